//! Refreshing, while it works and while it does not, under the eyes of those who ask.

use super::{
    keys::{key, token},
    rig::{Rig, forgetful, millis, quick, soon, verify_now},
};
use bearer_jwks::{FetchError, Status};
use bearer_testing::{Step, Stop};
use serde_json::json;
use tokio::time::Instant;

#[tokio::test]
async fn j05_without_traffic_the_keys_are_refreshed_all_the_same() {
    let rig = Rig::ready(Step::jwks([&key("a")]), quick()).await;
    rig.fetches(4).await;
    rig.assert_apart(rig.shortest_refresh());
}

#[tokio::test]
async fn j06_a_hanging_refresh_keeps_no_request_waiting() {
    let known = key("known");
    let rig = Rig::ready(Step::jwks([&known]), quick()).await;
    rig.jwks.always(Step::hang());
    rig.fetches(1).await;
    let (good, verifier) = (token(&known).sign(), forgetful(&rig.verifier));
    let mut took = Vec::new();
    while took.len() < 500 || rig.jwks.in_flight() == 1 {
        let asked = Instant::now();
        assert_eq!(verify_now(&verifier, &good), Ok(()));
        took.push(asked.elapsed());
        tokio::task::yield_now().await;
    }
    took.sort_unstable();
    let p99 = took[took.len() * 99 / 100];
    assert!(p99 < millis(50), "{p99:?} of {}", took.len());
}

#[tokio::test]
async fn j38_a_long_outage_is_not_noticed_by_known_keys_and_a_rotation_inside_it_is_seen_afterwards() {
    let (old, new) = (key("old"), key("new"));
    let mut rig = Rig::ready(Step::jwks([&old]), quick()).await;
    let (old, new) = (token(&old).sign(), (token(&new).sign(), new));
    rig.jwks.always(Step::status(503));
    for failures in 1..=6 {
        rig.failures(failures).await;
        assert_eq!(rig.verify_now(&old), Ok(()));
        assert_eq!(rig.request(&new.0).await, 401, "we hold keys: a token cannot make us answer 503");
        assert_eq!(rig.request(&old).await, 200);
    }
    let recovered = Instant::now();
    rig.jwks.always(Step::jwks([&new.1]));
    rig.until(|status| status.failures == 0).await;
    assert_eq!(rig.request(&new.0).await, 200);
    let bound = rig.schedule.every + rig.schedule.refill + rig.schedule.deadline;
    assert!(recovered.elapsed() < bound * 3, "{:?}, on a machine that may be busy", recovered.elapsed());
    assert_eq!(rig.request(&old).await, 401, "the key is gone");
    rig.assert_one_at_a_time();
}

#[tokio::test]
async fn j39_what_goes_wrong_now_and_then_is_never_noticed() {
    let known = key("known");
    let good = Step::jwks([&known]);
    let mut rig = Rig::ready(good.clone(), quick()).await;
    rig.jwks.script([
        Step::status(500),
        good.clone(),
        Step::reset(),
        Step::json(&json!({ "keys": [] })),
        good.clone(),
        Step::hang(),
        good.clone().stop_at(10, Stop::Reset),
        good,
    ]);
    let token = token(&known).sign();
    let done = rig.jwks.count() + 8;
    while rig.jwks.count() < done {
        assert_eq!(rig.verify_now(&token), Ok(()));
        tokio::time::sleep(millis(2)).await;
    }
    let status = rig.until(|status| status.failures == 0).await;
    assert!(status.is_ready());
    rig.assert_apart(rig.shortest_retry());
}

#[tokio::test]
async fn keys_that_get_too_old_are_answered_503_and_trusted_again_after_a_success() {
    let known = key("known");
    let mut schedule = quick();
    schedule.max_stale = millis(400);
    let mut rig = Rig::ready(Step::jwks([&known]), schedule).await;
    rig.jwks.always(Step::status(500));
    let status = rig.until(|status| status.unavailable).await;
    assert!(matches!(status.last_error, Some(FetchError::Status { status: 500, .. })));
    assert_eq!(rig.request(&token(&known).sign()).await, 503);
    assert_eq!(rig.request(&token(&known).expired().sign()).await, 401, "no keys are needed to say that");
    rig.jwks.always(Step::jwks([&known]));
    rig.until(Status::is_ready).await;
    assert_eq!(rig.request(&token(&known).sign()).await, 200);
    soon(rig.jwks.idle()).await;
}
