//! What the documentation says to alert on, held to what happens to an issuer.

use super::{Source, key};
use crate::{FetchError, Fetched, Refresher, Seed, Status};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::sleep;
use tower_bearer::{Issuer, JwtVerifier, keys::KeySource};

const HOUR: Duration = Duration::from_secs(3600);

/// The gauges as a scrape finds them: what was told last.
#[derive(Clone, Default)]
struct Gauges(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Gauges {
    fn of(&self, name: &str, issuer: &str) -> Option<f64> {
        let gauges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.get(&format!("bearer_jwks_{name} {issuer}")).map(|value| f64::from_bits(value.load(Relaxed)))
    }

    /// Keys, ready, in use.
    fn state(&self, issuer: &str) -> [Option<f64>; 3] {
        ["keys", "ready", "in_use"].map(|name| self.of(name, issuer))
    }

    /// `bearer_jwks_ready < bearer_jwks_in_use`: where one is absent, there is no alert.
    fn is_unavailable(&self, issuer: &str) -> bool {
        let [_, ready, in_use] = self.state(issuer);
        ready.zip(in_use).is_some_and(|(ready, in_use)| ready < in_use)
    }

    /// `time() - bearer_jwks_last_success_timestamp_seconds > 7200 and bearer_jwks_in_use == 1`, so long after
    /// the start of the test.
    fn is_old(&self, issuer: &str, later: Duration) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("later") + later;
        let last = self.of("last_success_timestamp_seconds", issuer);
        last.is_some_and(|last| now.as_secs_f64() - last > 7200.0) && self.of("in_use", issuer) == Some(1.0)
    }
}

impl Recorder for Gauges {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let issuer = key.labels().find(|label| label.key() == "issuer").expect("each has one").value();
        let mut gauges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Gauge::from_arc(Arc::clone(gauges.entry(format!("{} {issuer}", key.name())).or_default()))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn recorded<F: Future<Output = ()>>(test: impl FnOnce(Gauges) -> F) {
    let gauges = Gauges::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    metrics::with_local_recorder(&gauges, || runtime.expect("a runtime").block_on(test(gauges.clone())));
}

/// What a fetch gets.
#[derive(Clone, Copy)]
enum Answer {
    Set,
    Down,
}

fn set() -> String {
    serde_json::json!({ "keys": [key("a").public_jwk()] }).to_string()
}

/// A refresher that is answered in turn, and the last for ever.
fn refresher<const N: usize>(iss: &str, answers: [Answer; N]) -> (Refresher<Source>, KeySource) {
    let answers = answers.map(|answer| match answer {
        Answer::Set => Ok(Fetched::new(set())),
        Answer::Down => Err(FetchError::Status { status: 500, retry_after: None }),
    });
    let (refresher, keys) = Refresher::new(Source(Arc::new(Mutex::new(answers.into()))));
    (refresher.issuer(iss), keys)
}

fn verifier(iss: &str, keys: KeySource) -> JwtVerifier {
    JwtVerifier::new([Issuer::new(iss, "api").keys(keys)]).expect("a verifier")
}

/// Long enough for a task to see what happened, and too short for another fetch.
async fn soon() {
    sleep(Duration::from_millis(10)).await;
}

#[test]
fn an_issuer_that_never_answered_is_alerted_on_from_the_start_until_it_does() {
    const ISS: &str = "https://never.example";
    recorded(async |gauges| {
        let (refresher, keys) = refresher(ISS, [Answer::Down, Answer::Down, Answer::Set]);
        let refresher = refresher.first_fetch_in(HOUR);
        let mut status = refresher.status();
        let _verifier = verifier(ISS, keys);
        tokio::spawn(refresher.run());
        soon().await;
        assert_eq!(gauges.state(ISS), [Some(0.0), Some(0.0), Some(1.0)], "before the first fetch");
        assert_eq!(gauges.of("last_success_timestamp_seconds", ISS), Some(0.0));
        status.wait_for(|status| status.failures == 2).await.expect("it runs");
        assert!(gauges.is_unavailable(ISS) && gauges.is_old(ISS, Duration::ZERO));
        status.wait_for(Status::is_ready).await.expect("it runs");
        assert_eq!(gauges.state(ISS), [Some(1.0), Some(1.0), Some(1.0)]);
        assert!(!gauges.is_unavailable(ISS) && !gauges.is_old(ISS, Duration::ZERO));
    });
}

#[test]
fn an_outage_is_alerted_on_by_its_age_and_when_the_keys_are_too_old() {
    const ISS: &str = "https://outage.example";
    recorded(async |gauges| {
        let (refresher, keys) = refresher(ISS, [Answer::Set, Answer::Down]);
        let mut status = refresher.status();
        let _verifier = verifier(ISS, keys);
        tokio::spawn(refresher.run());
        status.wait_for(|status| status.failures == 1).await.expect("it runs");
        assert!(!gauges.is_unavailable(ISS) && !gauges.is_old(ISS, HOUR));
        sleep(3 * HOUR).await;
        assert!(!gauges.is_unavailable(ISS) && gauges.is_old(ISS, 3 * HOUR), "there is time to see to it");
        sleep(3 * HOUR).await;
        assert!(gauges.is_unavailable(ISS) && gauges.is_old(ISS, 6 * HOUR));
    });
}

#[test]
fn an_issuer_that_was_removed_is_not_alerted_on_ever_after() {
    const ISS: &str = "https://removed.example";
    recorded(async |gauges| {
        let (refresher, keys) = refresher(ISS, [Answer::Set, Answer::Down]);
        let mut status = refresher.status();
        let verifier = verifier(ISS, keys);
        let running = tokio::spawn(refresher.run());
        status.wait_for(Status::is_ready).await.expect("it runs");
        assert!(verifier.remove(ISS));
        running.await.expect("it ends");
        assert_eq!(gauges.state(ISS), [Some(0.0); 3]);
        assert!(!gauges.is_unavailable(ISS) && !gauges.is_old(ISS, 24 * HOUR));
    });
}

#[test]
fn an_issuer_that_is_replaced_by_another_of_its_name_is_ready_whichever_refresher_ends_when() {
    const ISS: &str = "https://replaced.example";
    recorded(async |gauges| {
        let (one, keys) = refresher(ISS, [Answer::Set]);
        let mut status = one.status();
        let verifier = verifier(ISS, keys);
        let running = tokio::spawn(one.run());
        status.wait_for(Status::is_ready).await.expect("it runs");

        let (other, keys) = refresher(ISS, [Answer::Set]);
        let mut status = other.status();
        tokio::spawn(other.run());
        status.wait_for(Status::is_ready).await.expect("it runs");
        assert_eq!(verifier.replace(Issuer::new(ISS, "api").keys(keys)), Ok(true));
        running.await.expect("it ends");
        assert_eq!(gauges.state(ISS), [Some(1.0); 3], "the old one ends after the new one is ready");
        verifier.remove(ISS);
        soon().await;
        assert_eq!(gauges.state(ISS), [Some(0.0); 3]);
    });
}

#[test]
fn one_of_two_verifiers_that_has_no_keys_is_alerted_on() {
    const ISS: &str = "https://twice.example";
    recorded(async |gauges| {
        let (good, good_keys) = refresher(ISS, [Answer::Set]);
        let (bad, bad_keys) = refresher(ISS, [Answer::Down]);
        let _verifiers = [verifier(ISS, good_keys), verifier(ISS, bad_keys)];
        tokio::spawn(bad.run());
        tokio::spawn(good.run());
        soon().await;
        assert!(gauges.is_unavailable(ISS));
    });
}

#[test]
fn a_refresher_that_was_stopped_while_its_keys_are_read_is_alerted_on_until_there_is_another() {
    const ISS: &str = "https://stopped.example";
    recorded(async |gauges| {
        let (one, keys) = refresher(ISS, [Answer::Set]);
        let verifier = verifier(ISS, keys);
        let handle = one.spawn();
        soon().await;
        assert!(!gauges.is_unavailable(ISS));
        drop(handle);
        soon().await;
        assert_eq!(gauges.state(ISS), [Some(0.0), Some(0.0), Some(1.0)]);
        assert!(gauges.is_unavailable(ISS));

        let (other, keys) = refresher(ISS, [Answer::Set]);
        verifier.replace(Issuer::new(ISS, "api").keys(keys)).expect("it can verify");
        let other = other.spawn();
        soon().await;
        assert_eq!(gauges.state(ISS), [Some(1.0); 3]);
        drop(verifier);
        drop(other);
        soon().await;
        assert_eq!(gauges.state(ISS), [Some(0.0); 3], "whoever goes first: nobody reads them");
    });
}

#[test]
fn one_of_two_that_was_stopped_is_alerted_on_though_the_other_is_ready() {
    const ISS: &str = "https://half.example";
    recorded(async |gauges| {
        let (stopped, stopped_keys) = refresher(ISS, [Answer::Set]);
        let (running, running_keys) = refresher(ISS, [Answer::Set]);
        let _verifiers = [verifier(ISS, stopped_keys), verifier(ISS, running_keys)];
        let handle = stopped.spawn();
        tokio::spawn(running.run());
        soon().await;
        assert!(!gauges.is_unavailable(ISS));
        drop(handle);
        soon().await;
        assert_eq!(gauges.state(ISS), [Some(1.0), Some(0.0), Some(1.0)]);
    });
}

#[test]
fn what_is_fetched_by_hand_is_told_and_is_nobodys_business_else() {
    const ISS: &str = "https://by-hand.example";
    recorded(async |gauges| {
        let (mut refresher, _keys) = refresher(ISS, [Answer::Set]);
        refresher.refresh().await.expect("a set");
        assert_eq!(gauges.state(ISS), [Some(1.0), None, None]);
        assert!(gauges.of("last_success_timestamp_seconds", ISS).is_some_and(|at| at > 0.0));
    });
}

#[test]
fn the_keys_of_a_seed_are_counted_and_as_old_as_it_is() {
    const ISS: &str = "https://seed.example";
    recorded(async |gauges| {
        let seed = Seed::new(set(), SystemTime::now() - 3 * HOUR);
        let (refresher, keys) = refresher(ISS, [Answer::Down]);
        let refresher = refresher.seed(&seed).first_fetch_in(HOUR);
        assert_eq!(gauges.state(ISS), [None; 3], "it does not run yet");
        let _verifier = verifier(ISS, keys);
        tokio::spawn(refresher.run());
        for _ in 0..2 {
            soon().await;
            assert_eq!(gauges.state(ISS), [Some(1.0); 3]);
            assert!(!gauges.is_unavailable(ISS) && gauges.is_old(ISS, Duration::ZERO));
            sleep(HOUR).await;
        }
        sleep(2 * HOUR).await;
        assert!(gauges.is_unavailable(ISS));
    });
}

#[test]
fn an_issuer_that_could_not_be_connected_is_its_callers_business_and_nobody_elses() {
    const ISS: &str = "https://refused.example";
    recorded(async |gauges| {
        let (mut refresher, keys) = refresher(ISS, [Answer::Down]);
        assert!(refresher.refresh().await.is_err());
        drop((keys, refresher));
        assert_eq!(gauges.state(ISS), [None; 3]);
    });
}
