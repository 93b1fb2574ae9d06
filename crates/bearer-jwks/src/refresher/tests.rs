//! The refresher on paused time, with a source that does what the test says.

use super::*;
use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, sleep_until},
};
use tower_bearer::{
    Credential, Issuer, JwtVerifier, Presented, Reason, Verification, Verified, Verify,
    keys::{KeyState, SkipReason, Snapshot},
};

const ISS: &str = "https://issuer.example";
const AUD: &str = "https://api.example";

/// An issuer at a distance: the test holds one end, the refresher fetches from the other.
#[derive(Clone, Default)]
struct Source(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answer: Answer,
    delay: Duration,
    fetches: Vec<(Instant, Option<String>)>,
    /// What a fetch gets that waits for ever, once the test says so.
    late: Option<Fetched>,
    arrived: Arc<Notify>,
}

#[derive(Clone, Default)]
enum Answer {
    Set(Fetched),
    /// "Unchanged" to whoever asks with a tag, this set to all others.
    Stuck(Fetched),
    Error(FetchError),
    #[default]
    Never,
}

impl Source {
    fn of(keys: &[&SigningKey]) -> Self {
        let source = Self::default();
        source.publish(keys);
        source
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
    fn answer(&self, answer: Answer) {
        self.state().answer = answer;
    }
    fn publish(&self, keys: &[&SigningKey]) {
        self.answer(Answer::Set(Fetched::new(jwks(keys))));
    }
    fn fail(&self) {
        self.answer(Answer::Error(FetchError::Status { status: 500, retry_after: None }));
    }
    /// Answers the fetch that waits for ever.
    fn arrive(&self, fetched: Fetched) {
        let mut state = self.state();
        state.late = Some(fetched);
        state.arrived.notify_waiters();
    }
    fn fetches(&self) -> usize {
        self.state().fetches.len()
    }
}

impl Fetch for Source {
    async fn fetch(&mut self, etag: Option<&str>) -> Result<Fetched, FetchError> {
        let delay = {
            let mut state = self.state();
            state.fetches.push((Instant::now(), etag.map(str::to_owned)));
            state.delay
        };
        sleep(delay).await;
        let answer = self.state().answer.clone();
        match answer {
            Answer::Stuck(_) if etag.is_some() => Ok(Fetched::default()),
            Answer::Set(fetched) | Answer::Stuck(fetched) => Ok(fetched),
            Answer::Error(error) => Err(error),
            Answer::Never => {
                let arrived = Arc::clone(&self.state().arrived);
                arrived.notified().await;
                Ok(self.state().late.take().expect("it was said with the notification"))
            }
        }
    }
}

fn jwks(keys: &[&SigningKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.public_jwk()).collect();
    serde_json::json!({ "keys": keys }).to_string()
}

fn key(kid: &str) -> SigningKey {
    SigningKey::generate(Algorithm::EdDSA).kid(kid)
}

fn token(key: &SigningKey) -> TokenBuilder {
    TokenBuilder::new(key, ISS, AUD)
}

/// A running refresher, and a verifier over its keys.
fn start(source: &Source) -> (JwtVerifier, watch::Receiver<Status>) {
    let (refresher, keys) = Refresher::new(source.clone());
    let status = refresher.status();
    tokio::spawn(refresher.run());
    (verifier(keys), status)
}

async fn started(source: &Source) -> (JwtVerifier, watch::Receiver<Status>) {
    let (verifier, mut status) = start(source);
    status.wait_for(Status::is_ready).await.unwrap();
    (verifier, status)
}

fn verifier(keys: KeySource) -> JwtVerifier {
    JwtVerifier::new([Issuer::new(ISS, AUD).keys(keys)]).unwrap()
}

async fn verify(verifier: &JwtVerifier, token: &str) -> Result<Verified, Reason> {
    let request = ::http::Request::new(());
    let credential = Credential::new(token).unwrap();
    match verifier.verify(&Presented::new(credential, &request, SystemTime::now())) {
        Verification::Done(result) => result,
        Verification::Pending(verifying) => verifying.await,
    }
    .map_err(|error| error.reason())
}

/// The answer of a request that must not wait for anything.
fn verify_now(verifier: &JwtVerifier, token: &str) -> Result<(), Reason> {
    let request = ::http::Request::new(());
    let credential = Credential::new(token).unwrap();
    match verifier.verify(&Presented::new(credential, &request, SystemTime::now())) {
        Verification::Done(result) => result.map(drop).map_err(|error| error.reason()),
        Verification::Pending(_) => panic!("it waits"),
    }
}

async fn advance(duration: Duration) {
    sleep(duration).await;
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn after_a_rotation_all_first_requests_succeed_and_share_one_fetch() {
    let (old, new) = (key("old"), key("new"));
    let source = Source::of(&[&old]);
    let (verifier, _) = started(&source).await;
    source.publish(&[&old, &new]);
    source.state().delay = Duration::from_millis(300);
    let mut requests = JoinSet::new();
    for _ in 0..200 {
        let (verifier, token) = (verifier.clone(), token(&new).sign());
        requests.spawn(async move { verify(&verifier, &token).await });
    }
    assert!(requests.join_all().await.iter().all(Result::is_ok));
    assert_eq!(source.fetches(), 2, "the first, and one for all");
    assert_eq!(verify_now(&verifier, &token(&old).sign()), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn as_many_fetches_as_rotations() {
    let mut current = key("0");
    let source = Source::of(&[&current]);
    let (verifier, _) = started(&source).await;
    for rotation in 1..=10 {
        advance(secs(11)).await;
        current = key(&rotation.to_string());
        source.publish(&[&current]);
        let requests: JoinSet<_> = (0..200)
            .map(|_| {
                let (verifier, token) = (verifier.clone(), token(&current).sign());
                async move { verify(&verifier, &token).await.is_ok() }
            })
            .collect();
        assert!(requests.join_all().await.iter().all(|ok| *ok));
    }
    assert_eq!(source.fetches(), 1 + 10);
}

#[tokio::test(start_paused = true)]
async fn a_known_key_never_waits_and_an_unknown_one_two_seconds_at_most() {
    let (known, unknown) = (key("known"), key("unknown"));
    let source = Source::of(&[&known]);
    let (verifier, _) = started(&source).await;
    source.answer(Answer::Never);
    let asked = Instant::now();
    let waiting = tokio::spawn({
        let (verifier, token) = (verifier.clone(), token(&unknown).sign());
        async move { verify(&verifier, &token).await.map(drop) }
    });
    advance(secs(1)).await;
    assert_eq!(source.fetches(), 2, "the fetch hangs");
    assert_eq!(verify_now(&verifier, &token(&known).sign()), Ok(()));
    assert_eq!(waiting.await.unwrap(), Err(Reason::UnknownKey), "we hold keys: the token is to blame");
    assert_eq!(asked.elapsed(), secs(2));
}

#[tokio::test(start_paused = true)]
async fn without_keys_requests_wait_two_seconds_and_recover_by_themselves() {
    let key = key("a");
    let source = Source::default();
    let (verifier, _) = start(&source);
    let asked = Instant::now();
    assert_eq!(verify(&verifier, &token(&key).sign()).await.map(drop), Err(Reason::NoKeys));
    assert_eq!(asked.elapsed(), secs(2));
    source.publish(&[&key]);
    advance(secs(70)).await;
    assert_eq!(verify_now(&verifier, &token(&key).sign()), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn requests_that_arrive_during_the_first_fetch_succeed() {
    let key = key("a");
    let source = Source::of(&[&key]);
    source.state().delay = secs(1);
    let (verifier, _) = start(&source);
    let requests: JoinSet<_> = (0..50)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), token(&key).sign());
            async move { verify(&verifier, &token).await.is_ok() }
        })
        .collect();
    assert!(requests.join_all().await.iter().all(|ok| *ok));
    assert_eq!(source.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_fetch_keeps_the_keys_and_a_successful_one_replaces_them() {
    let (old, new) = (key("old"), key("new"));
    let source = Source::of(&[&old]);
    let (verifier, status) = started(&source).await;
    for bad in [
        Answer::Error(FetchError::Status { status: 404, retry_after: None }),
        Answer::Error(FetchError::TooLong),
        Answer::Set(Fetched::new("<html>")),
        Answer::Set(Fetched::new("[]")),
        Answer::Set(Fetched::new(r#"{"keys":[]}"#)),
        Answer::Set(Fetched::new(r#"{"keys":[{"kty":"AKP","kid":"pq","alg":"ML-DSA-44"}]}"#)),
        Answer::Never,
    ] {
        source.answer(bad);
        let before = source.fetches();
        advance(secs(700)).await;
        assert!(source.fetches() > before && status.borrow().failures > 0);
        assert_eq!(verify_now(&verifier, &token(&old).sign()), Ok(()));
    }
    source.publish(&[&new]);
    advance(secs(70)).await;
    assert_eq!(status.borrow().failures, 0);
    assert_eq!(verify_now(&verifier, &token(&new).sign()), Ok(()));
    assert_eq!(verify(&verifier, &token(&old).sign()).await.map(drop), Err(Reason::UnknownKey));
}

#[tokio::test(start_paused = true)]
async fn an_empty_set_says_what_it_may_mean() {
    let source = Source::default();
    source.answer(Answer::Set(Fetched::new(r#"{"keys":[]}"#)));
    let (mut refresher, _keys) = Refresher::new(source);
    let error = refresher.refresh().await.unwrap_err();
    assert!(error.to_string().contains("HS256"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn one_odd_key_spoils_no_set_and_is_visible() {
    let good = key("good");
    let mut set: serde_json::Value = serde_json::from_str(&jwks(&[&good])).unwrap();
    let keys = set["keys"].as_array_mut().unwrap();
    keys.extend([
        serde_json::json!({"kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AA"}),
        serde_json::json!({"kty": "RSA", "kid": 7}),
        serde_json::json!(null),
        SigningKey::hmac(Algorithm::HS256, &[7; 32]).kid("shared").public_jwk(),
    ]);
    let source = Source::default();
    source.answer(Answer::Set(Fetched::new(set.to_string())));
    let (verifier, status) = started(&source).await;
    assert_eq!(verify_now(&verifier, &token(&good).sign()), Ok(()));
    let status = status.borrow();
    assert_eq!(status.key_ids, ["good"]);
    let reasons: Vec<_> = status.skipped.iter().map(|key| (key.kid(), key.reason())).collect();
    let malformed = SkipReason::Malformed("not a JWK, or a member of a wrong type");
    assert_eq!(
        reasons,
        [
            (Some("pq"), SkipReason::UnknownKeyType),
            (None, malformed),
            (None, malformed),
            (Some("shared"), SkipReason::Symmetric)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_keys_costs_the_bucket_and_keeps_no_new_key_out() {
    let (known, new) = (key("known"), key("new"));
    let source = Source::of(&[&known]);
    let (verifier, _) = started(&source).await;
    let flood = tokio::spawn({
        let verifier = verifier.clone();
        async move {
            for n in 0..10_000_u32 {
                let forged = token(&known).header("kid", n.to_string()).sign();
                assert_eq!(verify(&verifier, &forged).await.map(drop), Err(Reason::UnknownKey));
                sleep(Duration::from_millis(10)).await;
            }
            known
        }
    });
    advance(secs(30)).await;
    source.publish(&[&new]);
    let rotated = Instant::now();
    let accepted_after = loop {
        if verify(&verifier, &token(&new).sign()).await.is_ok() {
            break rotated.elapsed();
        }
        sleep(Duration::from_millis(100)).await;
    };
    assert!(accepted_after <= secs(10), "{accepted_after:?}");
    let known = flood.await.unwrap();
    // 100 s of flood: the first fetch, the burst, one more every 10 s; the schedule's own is not due.
    assert!(source.fetches() <= 1 + 3 + 10, "{}", source.fetches());
    assert_eq!(verify(&verifier, &token(&known).sign()).await.map(drop), Err(Reason::UnknownKey), "removed");
}

#[tokio::test(start_paused = true)]
async fn a_kid_that_was_just_proved_unknown_is_not_asked_for_again() {
    let (known, late) = (key("known"), key("late"));
    let source = Source::of(&[&known]);
    let (verifier, _) = started(&source).await;
    for _ in 0..100 {
        assert_eq!(verify(&verifier, &token(&late).sign()).await.map(drop), Err(Reason::UnknownKey));
    }
    assert_eq!(source.fetches(), 2);
    source.publish(&[&known, &late]);
    advance(secs(10)).await;
    assert!(verify(&verifier, &token(&late).sign()).await.is_ok(), "but it is not forgotten for long");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_no_fetch_would_help_does_not_wait_to_hear_it() {
    let (known, stranger) = (key("known"), key("stranger"));
    let source = Source::of(&[&known]);
    let (verifier, _) = started(&source).await;
    let at_once = |token: &str| match verifier.verify_token(token, SystemTime::now()) {
        Verification::Done(result) => Some(result.map(drop).map_err(|error| error.reason())),
        Verification::Pending(_) => None,
    };
    let of = |kid: &str| token(&stranger).header("kid", kid).sign();
    assert_eq!(at_once(&of("0")), None);
    assert!(verify(&verifier, &of("0")).await.is_err());
    assert_eq!(at_once(&of("0")), Some(Err(Reason::UnknownKey)), "it was just looked for");
    for kid in ["1", "2"] {
        assert!(verify(&verifier, &of(kid)).await.is_err());
    }
    assert!(verify(&verifier, &of("3")).await.is_err());
    assert_eq!(at_once(&of("4")), Some(Err(Reason::UnknownKey)), "there were too many");
    assert_eq!(at_once(&token(&known).tampered()), None, "which is no word about signatures");
    assert_eq!(source.fetches(), 1 + 3);
    advance(secs(10)).await;
    assert_eq!(at_once(&of("4")), None, "one more fetch is allowed");
}

#[tokio::test(start_paused = true)]
async fn only_a_good_looking_token_with_an_unknown_kid_or_a_bad_signature_asks() {
    let (known, other) = (key("known"), key("other"));
    let source = Source::of(&[&known]);
    let (verifier, _) = started(&source).await;
    let cases = [
        (token(&other).expired().sign(), Reason::Expired),
        (token(&other).audience("elsewhere").sign(), Reason::Audience),
        (token(&other).issuer("https://elsewhere.example").sign(), Reason::UnknownIssuer),
        (token(&other).without_header("kid").sign(), Reason::Signature),
        (token(&known).unsigned(), Reason::NotAJwt),
        (token(&known).header("alg", "ES256").sign(), Reason::KeyAlgorithm),
        (token(&other).header("alg", "HS256").sign(), Reason::Algorithm),
    ];
    for (token, reason) in cases {
        assert_eq!(verify_now(&verifier, &token), Err(reason));
    }
    assert_eq!(source.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn new_key_material_under_an_old_name_is_found_and_forgeries_cost_a_fetch_a_minute() {
    let (old, new) = (key("same"), key("same"));
    let source = Source::of(&[&old]);
    let (verifier, _) = started(&source).await;
    source.publish(&[&new]);
    assert!(verify(&verifier, &token(&new).sign()).await.is_ok());
    assert_eq!(source.fetches(), 2);
    for _ in 0..590 {
        advance(Duration::from_millis(100)).await;
        let forged = token(&old).sign();
        assert_eq!(verify(&verifier, &forged).await.map(drop), Err(Reason::Signature));
    }
    assert_eq!(source.fetches(), 2);
    advance(secs(2)).await;
    assert_eq!(verify(&verifier, &token(&new).tampered()).await.map(drop), Err(Reason::Signature));
    assert_eq!(source.fetches(), 3);
    assert!(verify(&verifier, &token(&new).sign()).await.is_ok());
    let unknown = key("unknown");
    assert_eq!(verify(&verifier, &token(&unknown).sign()).await.map(drop), Err(Reason::UnknownKey));
    assert_eq!(source.fetches(), 4, "the buckets are apart");
}

#[tokio::test(start_paused = true)]
async fn keys_outlive_an_outage_of_less_than_six_hours_and_no_longer() {
    let key = key("a");
    let source = Source::of(&[&key]);
    let (verifier, status) = started(&source).await;
    let good = token(&key).expires_in(24 * 3600).sign();
    source.fail();
    advance(secs(6 * 3600 - 60)).await;
    assert_eq!(verify_now(&verifier, &good), Ok(()));
    assert!(status.borrow().is_ready());
    advance(secs(120)).await;
    assert_eq!(verify_now(&verifier, &good), Err(Reason::StaleKeys));
    assert_eq!(
        verify_now(&verifier, &token(&key).expired().sign()),
        Err(Reason::Expired),
        "whatever the keys"
    );
    assert!(!status.borrow().is_ready());
    source.publish(&[&key]);
    advance(secs(60)).await;
    assert_eq!(verify_now(&verifier, &good), Ok(()));
    assert!(status.borrow().is_ready());
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_lets_keys_live_for_a_day_does_not_shorten_what_an_outage_is_survived() {
    let key = key("a");
    let source = Source::default();
    let max_age = Some(secs(24 * 3600));
    source.answer(Answer::Set(Fetched { max_age, ..Fetched::new(jwks(&[&key])) }));
    let (verifier, _) = started(&source).await;
    let good = token(&key).expires_in(24 * 3600).sign();
    advance(secs(4 * 3600 + 42 * 60)).await;
    source.fail();
    advance(secs(4 * 3600 + 50 * 60)).await;
    assert_eq!(verify_now(&verifier, &good), Ok(()), "not much less than six hours");
    advance(secs(90 * 60)).await;
    assert_eq!(verify_now(&verifier, &good), Err(Reason::StaleKeys));
}

#[tokio::test(start_paused = true)]
async fn without_traffic_the_keys_are_refreshed_at_four_fifths_of_their_lifetime() {
    let key = key("a");
    let source = Source::of(&[&key]);
    let (_verifier, _) = started(&source).await;
    advance(secs(4 * 600)).await;
    assert!((4..=6).contains(&source.fetches()), "{}", source.fetches());

    let max_age = Some(secs(3600));
    source.answer(Answer::Set(Fetched { max_age, ..Fetched::new(jwks(&[&key])) }));
    advance(secs(600)).await;
    let before = source.fetches();
    advance(secs(4 * 3600)).await;
    assert!((4..=6).contains(&(source.fetches() - before)), "{}", source.fetches() - before);

    source.answer(Answer::Set(Fetched { max_age: Some(Duration::ZERO), ..Fetched::new(jwks(&[&key])) }));
    advance(secs(3600)).await;
    let before = source.fetches();
    advance(secs(600)).await;
    assert!((9..=11).contains(&(source.fetches() - before)), "never sooner than the floor");
}

#[tokio::test(start_paused = true)]
async fn scheduled_fetches_are_conditional_and_those_for_a_miss_are_not() {
    let (old, new) = (key("old"), key("new"));
    let source = Source::default();
    let with_tag = |keys: &[&SigningKey]| Fetched { etag: Some("\"1\"".into()), ..Fetched::new(jwks(keys)) };
    source.answer(Answer::Set(with_tag(&[&old])));
    let (verifier, status) = started(&source).await;
    source.answer(Answer::Set(Fetched::default()));
    advance(secs(600)).await;
    assert_eq!(source.state().fetches.last().unwrap().1.as_deref(), Some("\"1\""));
    assert_eq!((status.borrow().failures, status.borrow().generation), (0, 1), "unchanged is a success");
    assert_eq!(verify_now(&verifier, &token(&old).sign()), Ok(()));

    source.answer(Answer::Set(with_tag(&[&new])));
    assert!(verify(&verifier, &token(&new).sign()).await.is_ok());
    assert_eq!(source.state().fetches.last().unwrap().1, None, "a stuck 304 must hide no rotation");
}

#[tokio::test(start_paused = true)]
async fn who_comes_for_a_new_key_during_a_scheduled_fetch_is_not_put_off_with_a_304() {
    let (old, new) = (key("old"), key("new"));
    let source = Source::default();
    let with_tag = |keys: &[&SigningKey]| Fetched { etag: Some("\"1\"".into()), ..Fetched::new(jwks(keys)) };
    source.answer(Answer::Set(with_tag(&[&old])));
    let (verifier, status) = started(&source).await;
    source.answer(Answer::Stuck(with_tag(&[&old, &new])));
    source.state().delay = Duration::from_millis(500);
    let due = status.borrow().next_fetch.unwrap();
    sleep_until(due + Duration::from_millis(100)).await;
    assert_eq!(source.state().fetches.last().unwrap().1.as_deref(), Some("\"1\""), "it is on its way");
    assert!(verify(&verifier, &token(&new).sign()).await.is_ok());
    assert_eq!(source.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_comes_for_a_new_key_during_a_fetch_that_began_before_it_gets_one_more() {
    let (old, new, forged) = (key("old"), key("new"), key("forged"));
    let source = Source::of(&[&old]);
    let (verifier, status) = started(&source).await;
    source.state().delay = Duration::from_millis(500);
    let due = status.borrow().next_fetch.unwrap();
    sleep_until(due + Duration::from_millis(100)).await;
    let mut waiting = JoinSet::new();
    for key in [&new, &forged] {
        let (verifier, token) = (verifier.clone(), token(key).sign());
        waiting.spawn(async move { verify(&verifier, &token).await.map(drop) });
    }
    sleep_until(due + Duration::from_millis(600)).await;
    assert_eq!(source.fetches(), 3, "the set was the old one, and the next is under way");
    source.publish(&[&old, &new]);
    let mut answers = waiting.join_all().await;
    answers.sort_by_key(Result::is_err);
    assert_eq!(answers, [Ok(()), Err(Reason::UnknownKey)]);
    assert_eq!(due.elapsed().as_millis(), 1000, "with the second of these fetches");
    assert_eq!(source.fetches(), 3, "for a key that a fetch was made for there is not yet another");
}

#[tokio::test(start_paused = true)]
async fn who_comes_for_a_new_key_in_the_moment_of_an_answer_that_is_older_gets_one_more_fetch() {
    // Which of the two the task looks at first is left to chance, so this is tried many times.
    for attempt in 0..24 {
        let (old, new) = (key("old"), key("new"));
        let source = Source::of(&[&old]);
        let (verifier, status) = started(&source).await;
        source.answer(Answer::Never);
        let due = status.borrow().next_fetch.unwrap();
        sleep_until(due + Duration::from_millis(100)).await;
        source.arrive(Fetched::new(jwks(&[&old])));
        source.publish(&[&old, &new]);
        assert!(verify(&verifier, &token(&new).sign()).await.is_ok(), "attempt {attempt}");
        assert_eq!(source.fetches(), 3);
        let stranger = key("stranger");
        assert_eq!(verify(&verifier, &token(&stranger).sign()).await.map(drop), Err(Reason::UnknownKey));
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_asks_for_silence_gets_it() {
    let (known, new) = (key("known"), key("new"));
    let source = Source::of(&[&known]);
    let (verifier, _) = started(&source).await;
    source.answer(Answer::Error(FetchError::Status { status: 429, retry_after: Some(secs(120)) }));
    assert_eq!(verify(&verifier, &token(&new).sign()).await.map(drop), Err(Reason::UnknownKey));
    let before = source.fetches();
    source.publish(&[&new]);
    for _ in 0..11 {
        advance(secs(10)).await;
        assert_eq!(verify(&verifier, &token(&new).sign()).await.map(drop), Err(Reason::UnknownKey));
    }
    assert_eq!(source.fetches(), before);
    // A quarter more at most, so that not all instances come back together.
    advance(secs(40)).await;
    assert!(verify(&verifier, &token(&new).sign()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn instances_that_are_told_the_same_time_do_not_come_back_together() {
    let source = Source::default();
    source.answer(Answer::Error(FetchError::Status { status: 503, retry_after: Some(secs(60)) }));
    let instances: Vec<_> = (0..100).map(|_| start(&source)).collect();
    advance(secs(1)).await;
    let (asked, told) = (source.fetches(), Instant::now() - secs(1));
    assert_eq!(asked, instances.len());
    advance(secs(80)).await;
    let mut back: Vec<_> = source.state().fetches[asked..].iter().map(|(at, _)| *at - told).collect();
    back.truncate(instances.len());
    back.sort();
    assert!(back[0] >= secs(60), "none before its time: {:?}", back[0]);
    let most = (60..75).map(|second| back.iter().filter(|at| at.as_secs() == second).count()).max();
    assert!(most.unwrap() < 30, "{most:?} of them in one second");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_fetch_is_cut_and_tried_again() {
    let key = key("a");
    let source = Source::default();
    let (verifier, status) = start(&source);
    advance(Duration::from_millis(5001)).await;
    assert!(matches!(status.borrow().last_error, Some(FetchError::Timeout)));
    source.publish(&[&key]);
    advance(secs(2)).await;
    assert_eq!(verify_now(&verifier, &token(&key).sign()), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_is_asked_less_and_less_often() {
    let source = Source::default();
    source.fail();
    let (_verifier, _) = start(&source);
    advance(secs(600)).await;
    // 1 + 2 + 4 … seconds at most, then 60 s at most and 6 s at least.
    assert!((10..=106).contains(&source.fetches()), "{}", source.fetches());
    let before = source.fetches();
    advance(secs(60)).await;
    assert!((1..=10).contains(&(source.fetches() - before)));
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_reader_even_in_the_middle_of_a_fetch() {
    let source = Source::default();
    let (refresher, keys) = Refresher::new(source);
    let running = tokio::spawn(refresher.run());
    advance(secs(1)).await;
    drop(verifier(keys));
    timeout(Duration::from_millis(250), running).await.expect("it runs on").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stopped_refresher_is_not_trusted_any_more() {
    let key = key("a");
    let source = Source::of(&[&key]);
    let (refresher, keys) = Refresher::new(source.clone());
    let mut status = refresher.status();
    let verifier = verifier(keys);
    let handle = refresher.spawn();
    status.wait_for(Status::is_ready).await.unwrap();
    drop(handle);
    advance(secs(1)).await;
    assert_eq!(verify_now(&verifier, &token(&key).sign()), Err(Reason::StaleKeys));
    let before = source.fetches();
    advance(secs(3600)).await;
    assert_eq!(source.fetches(), before, "nothing runs on");
}

#[tokio::test(start_paused = true)]
async fn the_status_says_that_there_are_no_keys_yet_and_that_nobody_keeps_them_fresh_any_more() {
    let source = Source::of(&[&key("a")]);
    let (refresher, keys) = Refresher::new(source.clone());
    let mut status = refresher.status();
    assert!(status.borrow().unavailable && !status.borrow().is_ready());
    let handle = refresher.spawn();
    status.wait_for(Status::is_ready).await.unwrap();
    assert!(status.borrow().next_fetch.is_some());
    drop(handle);
    let last = status.wait_for(|status| status.unavailable).await.unwrap().clone();
    assert_eq!((last.next_fetch, last.is_ready(), last.generation), (None, false, 1));
    assert!(status.changed().await.is_err());
    assert_eq!(keys.with(Snapshot::state), KeyState::Stale);

    let (refresher, keys) = Refresher::new(source);
    let mut status = refresher.status();
    tokio::spawn(refresher.run());
    status.wait_for(Status::is_ready).await.unwrap();
    drop(keys);
    let last = status.wait_for(|status| status.unavailable).await.unwrap().clone();
    assert_eq!((last.next_fetch, last.is_ready()), (None, false), "the last reader is gone");
}

#[tokio::test(start_paused = true)]
async fn a_schedule_of_nothing_but_never_is_kept_to() {
    let (known, unknown) = (key("known"), key("unknown"));
    let source = Source::default();
    source.answer(Answer::Error(FetchError::Status { status: 503, retry_after: Some(Duration::MAX) }));
    let (refresher, keys) = Refresher::new(source.clone());
    let never = Duration::MAX;
    let mut refresher = refresher.schedule(Schedule {
        every: never,
        at_least: never,
        at_most: never,
        deadline: never,
        wait: never,
        burst: 3,
        refill: never,
        signature_refill: never,
        backoff: never,
        longest_backoff: never,
        max_stale: never,
    });
    assert!(refresher.refresh().await.is_err());
    source.publish(&[&known]);
    assert!(refresher.refresh().await.is_ok());
    let verifier = verifier(keys);
    let _running = refresher.first_fetch_in(never).spawn();
    assert_eq!(verify(&verifier, &token(&unknown).sign()).await.map(drop), Err(Reason::UnknownKey));
    assert_eq!(verify(&verifier, &token(&known).tampered()).await.map(drop), Err(Reason::Signature));
    assert_eq!(verify_now(&verifier, &token(&known).sign()), Ok(()));
    assert_eq!(source.fetches(), 4);
}

#[tokio::test(start_paused = true)]
async fn where_keys_may_be_absent_an_empty_set_is_an_answer_until_there_were_keys() {
    let key = key("a");
    let source = Source::default();
    let empty = Answer::Set(Fetched::new(r#"{"keys":[]}"#));
    source.answer(empty.clone());
    let (refresher, keys) = Refresher::new(source.clone());
    let mut refresher = refresher.keys_may_be_absent();
    let status = refresher.status();
    for generation in [1, 2] {
        assert!(refresher.refresh().await.is_ok());
        let status = status.borrow();
        assert_eq!((status.generation, status.failures, status.is_ready()), (generation, 0, true));
        assert!(status.seed.is_none(), "nothing to serve from");
        assert!(status.next_fetch.unwrap() - Instant::now() > secs(400), "as after a success");
    }
    source.answer(Answer::Set(Fetched::new("[]")));
    assert!(matches!(refresher.refresh().await, Err(FetchError::Malformed(_))), "and what is no set is none");
    source.publish(&[&key]);
    assert!(refresher.refresh().await.is_ok());
    source.answer(empty);
    assert!(matches!(refresher.refresh().await, Err(FetchError::NoUsableKey(_))));
    assert_eq!(status.borrow().key_ids, ["a"]);
    assert_eq!(verify_now(&verifier(keys), &token(&key).sign()), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_night_of_sleep_costs_one_fetch() {
    let key = key("a");
    let source = Source::of(&[&key]);
    let (verifier, _) = started(&source).await;
    // As when the machine was suspended and the clock was not: no timer fired meanwhile.
    tokio::time::advance(secs(8 * 3600)).await;
    advance(secs(1)).await;
    assert_eq!(source.fetches(), 2);
    assert_eq!(verify_now(&verifier, &token(&key).sign()), Ok(()));
    drop(verifier);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_cancelled_does_not_cancel_the_fetch_of_the_others() {
    let (old, new) = (key("old"), key("new"));
    let source = Source::of(&[&old]);
    let (verifier, _) = started(&source).await;
    source.publish(&[&new]);
    source.state().delay = secs(1);
    let impatient = tokio::spawn({
        let (verifier, token) = (verifier.clone(), token(&new).sign());
        async move { verify(&verifier, &token).await.is_ok() }
    });
    advance(Duration::from_millis(100)).await;
    impatient.abort();
    assert!(verify(&verifier, &token(&new).sign()).await.is_ok());
    assert_eq!(source.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_seed_serves_a_start_while_the_issuer_is_down_until_it_is_too_old() {
    let key = key("a");
    let first = Source::of(&[&key]);
    let (_verifier, status) = started(&first).await;
    let exported = Seed::clone(status.borrow().seed.as_ref().unwrap());

    let hours_ago = |hours: u64| Seed::new(exported.jwks.clone(), SystemTime::now() - secs(hours * 3600));
    let down = Source::default();
    down.fail();
    let (refresher, keys) = Refresher::new(down.clone());
    let read = keys.clone();
    let seeded = verifier(keys);
    let status = refresher.status();
    let running = refresher.seed(&hours_ago(5)).spawn();
    let good = token(&key).expires_in(24 * 3600).sign();
    assert_eq!(verify_now(&seeded, &good), Ok(()));
    assert_eq!(read.with(Snapshot::state), KeyState::Lagging, "no fetch has confirmed them yet");
    let age = status.borrow().last_success.unwrap().elapsed();
    assert!((5 * 3600..5 * 3600 + 5).contains(&age.as_secs()), "{age:?}");
    advance(secs(3600 - 60)).await;
    assert_eq!(verify_now(&seeded, &good), Ok(()));
    advance(secs(120)).await;
    assert_eq!(verify_now(&seeded, &good), Err(Reason::StaleKeys), "stale from its own time");
    down.publish(&[&key]);
    advance(secs(61)).await;
    assert_eq!(verify_now(&seeded, &good), Ok(()));
    assert_eq!(read.with(Snapshot::state), KeyState::Ready);
    drop(running);

    for useless in
        [hours_ago(7), Seed::new("{\"keys\":[]}", SystemTime::now()), Seed::new("", SystemTime::now())]
    {
        let (refresher, keys) = Refresher::new(Source::default());
        let refresher = refresher.seed(&useless);
        assert!(!refresher.status().borrow().is_ready());
        assert_eq!(keys.with(Snapshot::state), KeyState::Waiting);
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_fetch_that_is_put_off_comes_at_once_when_a_request_wants_it() {
    let key = key("a");
    let source = Source::of(&[&key]);
    let (refresher, keys) = Refresher::new(source.clone());
    tokio::spawn(refresher.first_fetch_in(secs(30)).run());
    let asked = verifier(keys);
    let (refresher, _idle) = Refresher::new(source.clone());
    tokio::spawn(refresher.first_fetch_in(secs(30)).run());
    advance(secs(29)).await;
    assert_eq!(source.fetches(), 0);
    assert!(verify(&asked, &token(&key).sign()).await.is_ok());
    assert_eq!(source.fetches(), 1);
    advance(secs(2)).await;
    assert_eq!(source.fetches(), 2, "the other one, in its time");
}

#[tokio::test(start_paused = true)]
async fn a_new_set_takes_the_place_of_the_whole_old_one() {
    let (a, b) = (key("a"), key("b"));
    let source = Source::of(&[&a]);
    let (refresher, keys) = Refresher::new(source.clone());
    tokio::spawn(refresher.run());
    advance(secs(1)).await;
    let ids = |snapshot: &Snapshot| snapshot.keys().ids().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(keys.with(ids), ["a"]);
    source.publish(&[&b]);
    advance(secs(600)).await;
    assert_eq!(keys.with(ids), ["b"]);
}
