//! What is counted, under which names: dashboards depend on them.

mod alerts;

use super::*;
use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::sleep;
use tower_bearer::{Issuer, JwtVerifier, Reason, Verification};

const ISS: &str = "https://issuer.example";
const AUD: &str = "https://api.example";

/// Answers in turn; the last for ever.
#[derive(Clone)]
struct Source(Arc<Mutex<VecDeque<Result<Fetched, FetchError>>>>);

impl Fetch for Source {
    async fn fetch(&mut self, _: Option<&str>) -> Result<Fetched, FetchError> {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.expect("an answer")
    }
}

/// All that was counted since the last look, as `name{label="value",…}` and value, sorted.
fn seen(snapshotter: &Snapshotter) -> Vec<(String, f64)> {
    let values = snapshotter.snapshot().into_vec().into_iter().filter_map(|(key, _, _, value)| {
        let labels: Vec<_> =
            key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let value = match value {
            DebugValue::Counter(0) => return None,
            DebugValue::Counter(count) => f64::from(u32::try_from(count).expect("a few")),
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(_) => panic!("there is none"),
        };
        Some((format!("{} {}", key.key().name(), labels.join(" ")), value))
    });
    let mut values: Vec<(String, f64)> = values.collect();
    values.sort_by(|one, other| one.0.cmp(&other.0));
    values
}

/// Runs a test with a recorder of its own, on paused time.
fn recorded<F: Future<Output = ()>>(test: impl FnOnce(Snapshotter) -> F) {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    metrics::with_local_recorder(&recorder, || runtime.block_on(test(snapshotter)));
}

async fn verify(verifier: &JwtVerifier, token: &str) -> Result<(), Reason> {
    match verifier.verify_token(token, SystemTime::now()) {
        Verification::Done(result) => result,
        Verification::Pending(verifying) => verifying.await,
    }
    .map(drop)
    .map_err(|error| error.reason())
}

#[test]
fn fetches_refusals_to_fetch_keys_and_their_age_are_counted_by_issuer() {
    recorded(async |snapshotter| {
        let (known, stranger) = (key("known"), key("stranger"));
        let set = Ok(Fetched::new(serde_json::json!({ "keys": [known.public_jwk()] }).to_string()));
        let down = Err(FetchError::Status { status: 500, retry_after: None });
        let answers = [set.clone(), set.clone(), set.clone(), set.clone(), set.clone(), set.clone(), down];
        let source = Source(Arc::new(Mutex::new(answers.into())));
        let (refresher, keys) = Refresher::new(source);
        let refresher = refresher.issuer(ISS);
        let mut status = refresher.status();
        let verifier = JwtVerifier::new([Issuer::new(ISS, AUD).keys(keys)]).expect("a verifier");
        tokio::spawn(refresher.run());
        status.wait_for(Status::is_ready).await.expect("it runs");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs_f64();
        // The time of the last success is the clock's, and not the test's.
        let seen = |snapshotter| {
            let (mut last, others): (Vec<_>, _) = seen(snapshotter)
                .into_iter()
                .partition(|(name, _)| name.starts_with("bearer_jwks_last_success_timestamp_seconds "));
            // What was not set again since the last look reads as 0.
            last.retain(|(_, at)| *at > 0.0);
            assert!(last.iter().all(|(_, at)| (at - now).abs() < 60.0), "{last:?}");
            (last.len(), others)
        };
        let named = |expected: &[(&str, f64)]| -> Vec<_> {
            expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
        };
        let first = [
            ("bearer_jwks_age_seconds issuer=https://issuer.example", 0.0),
            ("bearer_jwks_fetches_total issuer=https://issuer.example trigger=schedule result=ok", 1.0),
            ("bearer_jwks_in_use issuer=https://issuer.example", 1.0),
            ("bearer_jwks_keys issuer=https://issuer.example", 1.0),
            ("bearer_jwks_ready issuer=https://issuer.example", 1.0),
        ];
        assert_eq!(seen(&snapshotter), (1, named(&first)));

        // Three fetches for strangers, one for a bad signature, and no more for either.
        for number in 0..5 {
            let forged = token(&stranger).header("kid", number.to_string()).sign();
            assert_eq!(verify(&verifier, &forged).await, Err(Reason::UnknownKey));
        }
        for _ in 0..3 {
            assert_eq!(verify(&verifier, &token(&known).tampered()).await, Err(Reason::Signature));
        }
        // Those that were kept back are counted with the next fetch.
        sleep(Duration::from_secs(61)).await;
        assert_eq!(verify(&verifier, &token(&stranger).sign()).await, Err(Reason::UnknownKey));
        let flood = [
            ("bearer_jwks_age_seconds issuer=https://issuer.example", 0.0),
            ("bearer_jwks_fetches_total issuer=https://issuer.example trigger=bad_signature result=ok", 1.0),
            ("bearer_jwks_fetches_total issuer=https://issuer.example trigger=unknown_key result=ok", 4.0),
            ("bearer_jwks_in_use issuer=https://issuer.example", 1.0),
            ("bearer_jwks_keys issuer=https://issuer.example", 1.0),
            ("bearer_jwks_limited_total issuer=https://issuer.example trigger=bad_signature", 2.0),
            ("bearer_jwks_limited_total issuer=https://issuer.example trigger=unknown_key", 2.0),
            ("bearer_jwks_ready issuer=https://issuer.example", 1.0),
        ];
        assert_eq!(seen(&snapshotter), (1, named(&flood)));

        // The next scheduled fetch fails: the keys age, and tokens that they accept are counted.
        let last_success = status.borrow().last_success.expect("a success");
        status.wait_for(|status| status.failures == 1).await.expect("it runs");
        assert_eq!(verify(&verifier, &token(&known).sign()).await, Ok(()));
        let outage = [
            ("bearer_jwks_age_seconds issuer=https://issuer.example", last_success.elapsed().as_secs_f64()),
            ("bearer_jwks_fetches_total issuer=https://issuer.example trigger=schedule result=status", 1.0),
            ("bearer_jwks_in_use issuer=https://issuer.example", 1.0),
            ("bearer_jwks_keys issuer=https://issuer.example", 1.0),
            ("bearer_jwks_ready issuer=https://issuer.example", 1.0),
            ("bearer_lagging_accepts_total issuer=https://issuer.example", 1.0),
        ];
        assert_eq!(seen(&snapshotter), (1, named(&outage)));
        assert!(last_success.elapsed() > Duration::from_secs(400), "{:?}", last_success.elapsed());
    });
}

#[test]
fn the_age_of_keys_is_told_from_the_start_on_and_when_nothing_is_fetched_any_more() {
    // Another one than above: they share a process.
    const ISS: &str = "https://aging.example";
    const HOUR: Duration = Duration::from_secs(3600);
    const AGE: &str = "bearer_jwks_age_seconds issuer=https://aging.example";
    const LAST: &str = "bearer_jwks_last_success_timestamp_seconds issuer=https://aging.example";
    recorded(async |snapshotter| {
        let gauge =
            |name: &str| seen(&snapshotter).into_iter().find(|(seen, _)| seen == name).map(|(_, v)| v);
        let known = key("known");
        let fetched_at = SystemTime::now() - 5 * HOUR;
        let set = serde_json::json!({ "keys": [known.public_jwk()] }).to_string();
        let seed = Seed::new(set, fetched_at);
        let down = Err(FetchError::Status { status: 500, retry_after: None });
        let source = Source(Arc::new(Mutex::new([down].into())));
        let (refresher, keys) = Refresher::new(source);
        let schedule =
            Schedule { backoff: Duration::MAX, longest_backoff: Duration::MAX, ..Schedule::default() };
        let refresher = refresher.issuer(ISS).schedule(schedule).seed(&seed).first_fetch_in(HOUR / 2);
        let verifier = JwtVerifier::new([Issuer::new(ISS, AUD).keys(keys)]).expect("a verifier");
        let handle = refresher.spawn();
        sleep(Duration::from_secs(1)).await;
        let hours = |age: Option<f64>| age.map(|age| (age / 36.0).round() / 100.0);
        let before = fetched_at.duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs();
        let all = seen(&snapshotter);
        let of = |name| all.iter().find(|(seen, _)| seen == name).map(|(_, value)| *value);
        assert_eq!(hours(of(AGE)), Some(5.0), "as the seed says");
        assert_eq!(of(LAST), u32::try_from(before).ok().map(f64::from));
        assert_eq!(verify(&verifier, &TokenBuilder::new(&known, ISS, AUD).sign()).await, Ok(()));
        let lagging = seen(&snapshotter).iter().any(|(name, _)| name.starts_with("bearer_lagging_accepts"));
        assert!(lagging, "no fetch has confirmed the key yet");
        sleep(HOUR / 2).await;
        assert_eq!(hours(gauge(AGE)), Some(5.5), "with a fetch that fails");
        sleep(HOUR / 2).await;
        assert_eq!(hours(gauge(AGE)), Some(6.0), "when the keys are too old");
        sleep(HOUR).await;
        assert_eq!(gauge(AGE), Some(0.0), "not set again: nothing happens");
        drop(handle);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(hours(gauge(AGE)), Some(7.0), "when nobody keeps them fresh any more");
    });
}

#[test]
fn each_way_to_fail_has_a_name_and_none_tells_what_was_fetched() {
    recorded(async |snapshotter| {
        let answers = [
            Err(FetchError::Timeout),
            Err(FetchError::TooLong),
            Err(FetchError::transport(std::io::Error::other("secret"))),
            Ok(Fetched::new("secret")),
            Ok(Fetched::new(r#"{"keys":[]}"#)),
            Ok(Fetched::default()),
            Err(FetchError::Status { status: 404, retry_after: None }),
        ];
        let count = answers.len();
        let (mut refresher, _keys) = Refresher::new(Source(Arc::new(Mutex::new(answers.into()))));
        for _ in 0..count {
            assert!(refresher.refresh().await.is_err());
            sleep(Duration::from_secs(1)).await;
        }
        let names =
            ["malformed", "no_usable_key", "not_modified", "status", "timeout", "too_long", "transport"];
        let expected = names
            .map(|name| (format!("bearer_jwks_fetches_total issuer= trigger=manual result={name}"), 1.0));
        assert_eq!(seen(&snapshotter), expected);
    });
}

fn key(kid: &str) -> SigningKey {
    SigningKey::generate(Algorithm::EdDSA).kid(kid)
}

fn token(key: &SigningKey) -> TokenBuilder {
    TokenBuilder::new(key, ISS, AUD)
}
