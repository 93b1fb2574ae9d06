//! What the endpoint says about how long its set is good, and whether it has changed.

use super::{
    by_hand::ByHand,
    keys::{key, token},
    rig::{Rig, quick, quiet, soon, verifier},
};
use bearer_jwks::{FetchError, HttpFetch, Refresher};
use bearer_testing::{ScriptedJwks, Step};
use std::time::Duration;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn j33_a_lifetime_is_heard_within_the_bounds_of_the_schedule() {
    let mut schedule = quick();
    (schedule.at_least, schedule.every, schedule.at_most) = (secs(60), secs(1000), secs(3600));
    schedule.deadline = secs(10);
    let mut by_hand = ByHand::with_schedule(schedule).await;
    let floor = 57..=63;
    for (cache_control, age, pause) in [
        ("", "", 760..=840),
        ("max-age=0", "", floor.clone()),
        ("max-age=1", "", floor.clone()),
        ("no-store", "", floor.clone()),
        ("no-cache", "", floor.clone()),
        ("max-age=600, no-store", "", floor.clone()),
        ("max-age=-1", "", floor.clone()),
        ("max-age=ten", "", floor.clone()),
        ("max-age=600", "601", floor.clone()),
        ("max-age=600", "99999999999999999999", floor),
        ("garbage;;=,,", "", 760..=840),
        ("max-age=600", "", 456..=504),
        ("public, max-age=700, must-revalidate", "100", 456..=504),
        ("max-age=600", "garbage", 456..=504),
        ("max-age=31536000, immutable", "", 2736..=3024),
        ("max-age=99999999999999999999", "", 2736..=3024),
    ] {
        let mut step = Step::jwks([&by_hand.old]);
        for (name, value) in [("Cache-Control", cache_control), ("Age", age)] {
            step = if value.is_empty() { step } else { step.header(name, value) };
        }
        by_hand.refresh(step).await.unwrap();
        let status = by_hand.refresher.status().borrow().clone();
        let next = status.next_fetch.unwrap() - status.last_success.unwrap();
        assert!(pause.contains(&next.as_secs()), "{cache_control:?}, Age {age:?}: {next:?}");
    }
}

#[tokio::test]
async fn j33_a_set_that_must_not_be_kept_is_not_fetched_for_every_request() {
    let known = key("known");
    let rig = Rig::ready(Step::jwks([&known]).header("Cache-Control", "no-store, max-age=0"), quick()).await;
    let (good, until) = (token(&known).sign(), rig.jwks.count() + 4);
    while rig.jwks.count() < until {
        for _ in 0..20 {
            assert_eq!(rig.verify_now(&good), Ok(()));
        }
        tokio::task::yield_now().await;
    }
    rig.assert_apart(rig.shortest_refresh());
}

#[tokio::test]
async fn j34_a_set_that_has_not_changed_is_confirmed_and_one_that_has_is_taken() {
    let mut by_hand = ByHand::with_keys().await;
    let old = by_hand.old.clone();
    by_hand.refresh(Step::jwks([&old]).etag("\"1\"")).await.unwrap();
    let generation = by_hand.refresher.status().borrow().generation;
    for step in [Step::jwks([&old]).etag("\"1\""), Step::status(304)] {
        by_hand.refresh(step).await.unwrap();
        let asked = by_hand.jwks.requests().pop().unwrap();
        assert_eq!(asked.header("if-none-match"), Some("\"1\""));
        let status = by_hand.refresher.status().borrow().clone();
        assert_eq!((status.generation, status.failures), (generation, 0), "confirmed");
        assert_eq!(by_hand.verify(&old), Ok(()));
    }
    by_hand.taken("new", |new| Step::jwks([new]).etag("W/\"2\"")).await;
    by_hand.taken("newer", |newer| Step::jwks([newer])).await;
    assert_eq!(by_hand.jwks.requests().pop().unwrap().header("if-none-match"), Some("W/\"2\""));
    by_hand.taken("newest", |newest| Step::jwks([newest])).await;
    assert_eq!(by_hand.jwks.requests().pop().unwrap().header("if-none-match"), None, "the last had none");
}

#[tokio::test]
async fn j34_a_tag_of_a_set_that_was_not_taken_is_not_remembered() {
    let mut by_hand = ByHand::with_keys().await;
    let old = by_hand.old.clone();
    by_hand.refresh(Step::jwks([&old]).etag("\"good\"")).await.unwrap();
    by_hand.refused("no set", Step::answer(200, "{}").etag("\"bad\"")).await;
    by_hand.refused("an empty set", Step::answer(200, r#"{"keys":[]}"#).etag("\"empty\"")).await;
    by_hand.refused("an error", Step::status(500).etag("\"500\"")).await;
    by_hand.refresh(Step::jwks([&old]).etag("\"good\"")).await.unwrap();
    assert_eq!(by_hand.jwks.requests().pop().unwrap().header("if-none-match"), Some("\"good\""));
}

#[tokio::test]
async fn j34_a_tag_that_is_stuck_hides_no_rotation() {
    let (old, new) = (key("old"), key("new"));
    let mut schedule = quiet();
    schedule.every = quick().every;
    let mut rig = Rig::ready(Step::jwks([&old]).etag("\"stuck\""), schedule).await;
    rig.jwks.always(Step::jwks([&old, &new]).etag("\"stuck\""));
    let confirmed = rig.status.borrow().last_success;
    // A scheduled refresh is told that nothing has changed.
    let status = rig.until(|status| status.last_success != confirmed).await;
    assert_eq!((status.generation, status.failures), (1, 0));
    assert_eq!(rig.verify(&token(&new).sign()).await, Ok(()));
    let asked = rig.jwks.requests();
    assert!(asked.iter().any(|asked| asked.header("if-none-match") == Some("\"stuck\"")));
    assert!(
        asked[1..].iter().any(|asked| asked.header("if-none-match").is_none()),
        "and this one brought it"
    );
}

#[tokio::test]
async fn j34_an_unchanged_set_that_nobody_has_is_no_set() {
    let jwks = ScriptedJwks::start().await;
    jwks.always(Step::status(304).header("ETag", "\"1\""));
    let (mut refresher, keys) = Refresher::new(HttpFetch::new(&jwks.uri()).unwrap());
    for _ in 0..2 {
        let error = soon(refresher.refresh()).await.unwrap_err();
        assert!(matches!(error, FetchError::Status { status: 304, .. } | FetchError::NotModified), "{error}");
    }
    assert!(!refresher.status().borrow().is_ready());
    assert!(jwks.requests().iter().all(|asked| asked.header("if-none-match").is_none()));
    drop(verifier(keys));
}
