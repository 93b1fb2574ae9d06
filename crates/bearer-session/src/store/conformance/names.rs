//! Other names of a session.

use super::{HOUR, Suite};
use crate::store::Lookup;

pub(super) async fn hold(suite: &Suite<'_>) {
    an_alias_leads_to_its_key_for_its_time(suite).await;
    an_alias_is_led_elsewhere_by_the_next_link(suite).await;
}

async fn an_alias_leads_to_its_key_for_its_time(suite: &Suite<'_>) {
    let (store, key) = suite.with_session("linked").await;
    let alias = suite.key("alias");
    assert_eq!(store.resolve(&alias).await, None);
    store.link(&alias, &key, suite.units(3)).await;
    assert_eq!(suite.store().resolve(&alias).await, Some(key));
    assert_eq!(store.load(&alias).await, Lookup::Unknown, "an alias is no row");
    assert!(store.end(&key, HOUR).await);
    assert_eq!(store.resolve(&alias).await, Some(key), "an alias leads to the key, whatever lies there");
    suite.pass_units(4).await;
    assert_eq!(store.resolve(&alias).await, None, "an alias is gone after its time");
}

async fn an_alias_is_led_elsewhere_by_the_next_link(suite: &Suite<'_>) {
    let store = suite.store();
    let (alias, first, second) = (suite.key("moved alias"), suite.key("first"), suite.key("second"));
    store.link(&alias, &first, suite.units(3)).await;
    store.link(&alias, &second, suite.units(6)).await;
    assert_eq!(store.resolve(&alias).await, Some(second));
    suite.pass_units(4).await;
    assert_eq!(store.resolve(&alias).await, Some(second), "its time is that of the last link");
    // One name for a row and an alias: neither hides the other.
    store.create(&alias, b"0", HOUR).await;
    assert_eq!(store.resolve(&alias).await, Some(second));
    assert_eq!(store.row(&alias).await.sealed, b"0");
}
