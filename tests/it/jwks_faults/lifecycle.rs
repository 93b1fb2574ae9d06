//! The refresher as a task: its end, its health, its neighbours.

use super::{
    keys::{key, rsa, set, token},
    rig::{Rig, millis, quick, quiet, soon, verify_now},
};
use bearer_jwks::{Fetch, FetchError, Fetched, HttpFetch, Refresher};
use bearer_testing::{ScriptedJwks, Step};
use serde_json::json;
use std::time::Duration;
use tower_bearer::{Reason, keys::SkipReason};

#[tokio::test]
async fn k05_a_hundred_instances_started_together_do_not_come_again_together() {
    let jwks = ScriptedJwks::start().await;
    jwks.always(Step::jwks([&key("a")]));
    let fetch = HttpFetch::new(&jwks.uri()).unwrap();
    let mut pauses = Vec::new();
    for _ in 0..100 {
        let (refresher, _keys) = Refresher::new(fetch.clone());
        let mut refresher = refresher.schedule(quiet());
        soon(refresher.refresh()).await.unwrap();
        let status = refresher.status().borrow().clone();
        pauses.push(status.next_fetch.unwrap() - status.last_success.unwrap());
    }
    pauses.sort_unstable();
    let (first, last) = (pauses[0], pauses[99]);
    let even = quiet().every.mul_f64(0.8);
    assert!(first >= even.mul_f64(0.95) && last <= even.mul_f64(1.05), "{first:?} to {last:?}");
    assert!(last > first + even.mul_f64(0.05), "over a tenth of the time: {first:?} to {last:?}");
}

/// A source with a bug.
struct Buggy {
    set: String,
    fetches: u32,
}

impl Fetch for Buggy {
    async fn fetch(&mut self, _: Option<&str>) -> Result<Fetched, FetchError> {
        self.fetches += 1;
        assert!(self.fetches < 2, "a bug of this test's source, on purpose");
        Ok(Fetched::new(self.set.clone()))
    }
}

#[tokio::test]
async fn k06_a_panic_in_a_fetch_is_not_silent() {
    let known = key("known");
    let jwks = ScriptedJwks::start().await;
    let source = Buggy { set: set(&[known.public_jwk()]).to_string(), fetches: 0 };
    let mut rig = Rig::around(jwks, source, quick());
    soon(async { while rig.status.changed().await.is_ok() {} }).await;
    assert_eq!(rig.verify_now(&token(&known).sign()), Err(Reason::StaleKeys));
    assert_eq!(rig.request(&token(&known).sign()).await, 503);
    assert!(format!("{:?}", rig.handle).contains("finished: true"));
}

#[tokio::test]
async fn k07_health_is_visible_and_holds_no_key_material() {
    let known = key("known");
    let secret = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    let mut leaked = key("leaked").public_jwk();
    leaked["d"] = json!(secret);
    let jwks = set(&[known.public_jwk(), rsa().public_jwk(), leaked, json!({ "kty": "oct", "k": secret })]);
    let mut schedule = quiet();
    schedule.signature_refill = Duration::from_secs(3600);
    let mut rig = Rig::started(Step::json(&jwks), schedule).await;
    let status = rig.until(|status| status.generation > 0).await;
    assert_eq!((status.generation, status.failures, status.unavailable), (1, 0, false));
    assert_eq!(status.key_ids, ["known", "rsa"]);
    let skipped: Vec<_> = status.skipped.iter().map(|key| (key.kid(), key.reason())).collect();
    assert_eq!(skipped, [(Some("leaked"), SkipReason::Private), (None, SkipReason::Symmetric)]);
    assert!(status.next_fetch.unwrap() > status.last_success.unwrap());

    rig.jwks.always(Step::answer(500, secret));
    let forged = token(&known).tampered();
    assert_eq!(rig.verify(&forged).await, Err(Reason::Signature));
    let status = rig.failures(1).await;
    assert_eq!((status.generation, status.failures), (1, 1));
    assert!(status.last_success.unwrap().elapsed() < Duration::from_secs(20), "the age of the keys");
    let error = status.last_error.as_ref().unwrap().to_string();
    let shown = format!("{status:?} {error} {:?} {:?}", rig.handle, rig.verifier);
    assert!(!shown.contains(secret), "{shown}");
}

#[tokio::test]
async fn k07_what_is_kept_for_the_next_start_is_public() {
    let known = key("known");
    let secret = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    let mut leaked = key("leaked").public_jwk();
    leaked["d"] = json!(secret);
    let jwks = set(&[known.public_jwk(), leaked, json!({ "kty": "oct", "kid": "shared", "k": secret })]);
    let mut rig = Rig::started(Step::json(&jwks), quiet()).await;
    let status = rig.until(|status| status.seed.is_some()).await;
    let written = serde_json::to_string(&**status.seed.as_ref().unwrap()).unwrap();
    assert!(written.contains("known") && !written.contains(secret), "{written}");
}

#[test]
fn k08_a_runtime_that_shuts_down_ends_the_task_without_a_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let known = key("known");
    let rig = runtime.block_on(async {
        let rig = Rig::ready(Step::jwks([&known]), quick()).await;
        rig.jwks.always(Step::hang());
        rig.fetches(1).await;
        rig
    });
    drop(runtime);
    assert_eq!(verify_now(&rig.verifier, &token(&known).sign()), Err(Reason::StaleKeys));
    // What is dropped outside of a runtime does not panic either.
    drop(rig);
}

#[tokio::test]
async fn k08_the_last_reader_ends_the_task() {
    let mut rig = Rig::ready(Step::jwks([&key("a")]), quick()).await;
    drop(rig.verifier);
    soon(async { while rig.status.changed().await.is_ok() {} }).await;
    let count = rig.jwks.count();
    tokio::time::sleep(rig.schedule.every + millis(50)).await;
    assert_eq!(rig.jwks.count(), count);
}
