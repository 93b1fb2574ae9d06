//! Cookies of sessions that have lasted long.

use super::*;
use crate::{
    AccessToken, Keyring,
    endpoint::{OAuthClient, OAuthEndpoint},
    record::Record,
    store::{MemoryStore, Store as _},
};
use http::header::COOKIE;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A session that began so long ago, as its owner knows it.
async fn signed_in(ago: Duration) -> (SessionId, Access) {
    let (id, store) = (SessionId::random(), MemoryStore::new(9));
    let mut record = Record::signed_in(TokenSet::new(AccessToken::new("a"), DAY), false);
    record.signed_in -= ago.as_secs();
    let sealed = Keyring::new(&[1; 32]).seal(&id.key(), 0, &record.encode());
    store.create(&id.key(), &sealed, DAY).await.expect("a row");
    let endpoint = OAuthEndpoint::new("https://issuer.example/token", OAuthClient::public("app"));
    let sessions = Sessions::builder(endpoint.expect("a location"), store, Keyring::new(&[1; 32])).build();
    let access = sessions.peek(&id).await.expect("it lives");
    (id, access)
}

fn request(id: &SessionId) -> HeaderMap {
    let line = format!("__Host-session={}", id.to_text().expose());
    HeaderMap::from_iter([(COOKIE, line.parse().expect("a value"))])
}

#[tokio::test]
async fn the_cookie_of_an_old_session_is_written_anew_and_no_other() {
    let keeping = Keeping::from(OpaqueCookie::new());
    for (days, expected) in [(0, false), (99, false), (100, true), (1000, true)] {
        let (id, access) = signed_in(days * DAY).await;
        let lines = keeping.renewed(&request(&id), &access);
        let expected = expected.then(|| OpaqueCookie::new().write(&id));
        assert_eq!(lines, Vec::from_iter(expected), "{days}");
        for other in [HeaderMap::new(), request(&SessionId::random())] {
            assert_eq!(keeping.renewed(&other, &access).len(), 0, "only whoever has it");
        }
    }
}
