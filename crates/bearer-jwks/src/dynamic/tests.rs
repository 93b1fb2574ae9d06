//! Many tenants, some of them strangers. Where nothing is fetched, on paused time.

use super::{
    tenants::{DEADLINE, QUESTIONS, STRANGERS, TROUBLED_FOR},
    *,
};
use crate::{Connector, Schedule};
use bearer_testing::{Algorithm, SigningKey, TestIssuer, TokenBuilder};
use std::{
    collections::HashMap,
    future::pending,
    io,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{
    sync::Notify,
    task::{JoinSet, yield_now},
    time::{Instant, sleep, timeout},
};
use tower_bearer::{
    AuthError, AuthErrorKind, Credential, TokenCache,
    keys::{KeySet, KeySource},
};

/// Longer than anything here takes, and so a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// A list of tenants that the test writes to, and that counts who asks.
#[derive(Clone, Default)]
struct Directory(Arc<Listing>);

#[derive(Default)]
struct Listing {
    tenants: Mutex<HashMap<String, Entry>>,
    asked: Mutex<Vec<String>>,
    /// How long an answer takes.
    delay: Mutex<Duration>,
    being_asked: AtomicUsize,
    most_at_once: AtomicUsize,
    begun: Notify,
}

#[derive(Clone)]
enum Entry {
    Trusted(Box<Issuer>),
    Unreachable,
    NoAnswer,
}

impl Directory {
    fn tenants(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.tenants.lock().unwrap()
    }
    fn trust(&self, issuer: &TestIssuer) {
        let trusted = Issuer::new(issuer.issuer(), issuer.audience()).jwks_uri(issuer.jwks_uri());
        self.list(issuer.issuer(), Entry::Trusted(Box::new(trusted)));
    }
    fn list(&self, iss: &str, entry: Entry) {
        self.tenants().insert(iss.to_owned(), entry);
    }
    fn delay(&self, delay: Duration) {
        *self.0.delay.lock().unwrap() = delay;
    }
    /// How often it was asked, for anybody.
    fn questions(&self) -> usize {
        self.0.asked.lock().unwrap().len()
    }
    fn questions_for(&self, iss: &str) -> usize {
        self.0.asked.lock().unwrap().iter().filter(|asked| *asked == iss).count()
    }
}

impl ResolveIssuer for Directory {
    type Error = io::Error;

    async fn resolve(&self, iss: &str) -> Result<Option<Issuer>, io::Error> {
        self.0.asked.lock().unwrap().push(iss.to_owned());
        let at_once = self.0.being_asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.most_at_once.fetch_max(at_once, Ordering::Relaxed);
        let entry = self.tenants().get(iss).cloned();
        self.0.begun.notify_one();
        let delay = *self.0.delay.lock().unwrap();
        sleep(delay).await;
        self.0.being_asked.fetch_sub(1, Ordering::Relaxed);
        match entry {
            Some(Entry::Trusted(issuer)) => Ok(Some(*issuer)),
            Some(Entry::Unreachable) => Err(io::Error::other("no route to the database at 10.0.0.7")),
            Some(Entry::NoAnswer) => pending().await,
            None => Ok(None),
        }
    }
}

/// A tenant whose keys need no fetch.
struct Local {
    iss: String,
    key: SigningKey,
}

impl Local {
    fn of(directory: &Directory, iss: &str) -> Self {
        let tenant = Self { iss: iss.to_owned(), key: SigningKey::generate(Algorithm::EdDSA).kid("key-1") };
        directory.list(iss, Entry::Trusted(Box::new(tenant.config())));
        tenant
    }
    fn config(&self) -> Issuer {
        let jwks = serde_json::json!({ "keys": [self.key.public_jwk()] }).to_string();
        Issuer::new(&self.iss, "api").keys(KeySource::fixed(KeySet::from_jwks(&jwks).unwrap()))
    }
    fn token(&self) -> TokenBuilder {
        TokenBuilder::new(&self.key, &self.iss, "api")
    }
}

type Answer = Result<(), AuthError>;

fn ask(verifier: &DynamicVerifier<Directory>, token: &str) -> Verification<DynamicFuture> {
    let request = ::http::Request::new(());
    verifier.verify(&Presented::new(Credential::new(token).unwrap(), &request, SystemTime::now()))
}

async fn verify(verifier: &DynamicVerifier<Directory>, token: &str) -> Answer {
    let answer = async {
        match ask(verifier, token) {
            Verification::Done(result) => result,
            Verification::Pending(verifying) => verifying.await,
        }
    };
    timeout(PATIENCE, answer).await.expect("an answer").map(drop)
}

/// The answer to a request that must not wait for anything.
fn verify_now(verifier: &DynamicVerifier<Directory>, token: &str) -> Answer {
    match ask(verifier, token) {
        Verification::Done(result) => result.map(drop),
        Verification::Pending(_) => panic!("it waits"),
    }
}

fn reason(answer: Answer) -> Option<Reason> {
    answer.err().map(|error| error.reason())
}

fn kind(answer: Answer) -> Option<AuthErrorKind> {
    answer.err().map(|error| error.kind())
}

fn new(directory: &Directory) -> DynamicVerifier<Directory> {
    DynamicVerifier::new(directory.clone()).unwrap()
}

/// Waits for what other tasks are about to do.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "{what}");
}

#[tokio::test]
async fn nothing_is_fetched_for_an_issuer_that_the_resolver_did_not_name() {
    let (canary, tenant) = (TestIssuer::start().await, TestIssuer::start().await);
    let directory = Directory::default();
    directory.trust(&tenant);
    // A resolver that answers with the wrong row, in both directions.
    let canarys = Issuer::new(canary.issuer(), canary.audience()).jwks_uri(canary.jwks_uri());
    directory.list("https://asked.example", Entry::Trusted(Box::new(canarys)));
    let verifier = new(&directory);

    assert!(verify(&verifier, &tenant.token().sign()).await.is_ok());
    assert_eq!(reason(verify(&verifier, &canary.token().sign()).await), Some(Reason::UnknownIssuer));
    let asked = canary.token().issuer("https://asked.example").sign();
    assert_eq!(kind(verify(&verifier, &asked).await), Some(AuthErrorKind::Unavailable));
    assert_eq!(verifier.len(), 1);
    assert_eq!(canary.requests(), 0);
}

#[tokio::test]
async fn a_tenant_is_judged_by_its_own_keys_and_not_by_its_neighbours() {
    let (one, other) = (TestIssuer::start().await, TestIssuer::start().await);
    let directory = Directory::default();
    directory.trust(&one);
    directory.trust(&other);
    let verifier = new(&directory);
    for tenant in [&one, &other] {
        assert!(verify(&verifier, &tenant.token().sign()).await.is_ok());
    }
    let borrowed = one.token().key(&other.signing_key()).sign();
    assert_eq!(reason(verify(&verifier, &borrowed).await), Some(Reason::Signature));
}

#[tokio::test]
async fn a_tenant_whose_keys_cannot_be_fetched_is_a_503_of_its_own() {
    let (up, down) = (TestIssuer::start().await, TestIssuer::start().await);
    let directory = Directory::default();
    directory.trust(&up);
    directory.trust(&down);
    down.fail_with(503);
    let verifier = new(&directory);
    assert_eq!(kind(verify(&verifier, &down.token().sign()).await), Some(AuthErrorKind::Unavailable));
    assert!(verify(&verifier, &up.token().sign()).await.is_ok());
    assert_eq!(kind(verify(&verifier, &down.token().sign()).await), Some(AuthErrorKind::Unavailable));
}

#[tokio::test]
async fn fifty_first_requests_share_one_question_and_one_fetch() {
    let tenant = TestIssuer::start().await;
    let directory = Directory::default();
    directory.trust(&tenant);
    directory.delay(Duration::from_millis(20));
    let verifier = new(&directory);
    let requests: JoinSet<_> = (0..50)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), tenant.token().sign());
            async move { verify(&verifier, &token).await }
        })
        .collect();
    assert!(requests.join_all().await.iter().all(Result::is_ok));
    assert_eq!((directory.questions(), tenant.requests(), verifier.len()), (1, 1, 1));
    assert!(verify_now(&verifier, &tenant.token().sign()).is_ok(), "and later ones neither");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_first_request_does_not_fail_the_others() {
    let directory = Directory::default();
    let tenant = Local::of(&directory, "https://tenant.example");
    directory.delay(Duration::from_millis(100));
    let verifier = new(&directory);
    let start = |token: String| {
        let verifier = verifier.clone();
        tokio::spawn(async move { verify(&verifier, &token).await })
    };
    let impatient = start(tenant.token().sign());
    directory.0.begun.notified().await;
    let patient = start(tenant.token().sign());
    yield_now().await;
    impatient.abort();
    assert!(patient.await.unwrap().is_ok());
    assert_eq!(directory.questions(), 2, "the second took over");
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_remembered_for_thirty_seconds() {
    let directory = Directory::default();
    let verifier = new(&directory);
    let tenant = Local { iss: "https://new.example".to_owned(), key: SigningKey::generate(Algorithm::EdDSA) };
    let token = tenant.token().sign();
    assert_eq!(reason(verify(&verifier, &token).await), Some(Reason::UnknownIssuer));
    sleep(Duration::from_secs(29)).await;
    assert_eq!(reason(verify_now(&verifier, &token)), Some(Reason::UnknownIssuer));
    assert_eq!(directory.questions(), 1);

    directory.list(&tenant.iss, Entry::Trusted(Box::new(tenant.config())));
    sleep(Duration::from_secs(2)).await;
    assert!(verify(&verifier, &token).await.is_ok());
    assert_eq!(directory.questions(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stranger_that_is_forgotten_is_asked_for_at_once() {
    let directory = Directory::default();
    let verifier = new(&directory);
    let tenant = Local { iss: "https://new.example".to_owned(), key: SigningKey::generate(Algorithm::EdDSA) };
    assert_eq!(reason(verify(&verifier, &tenant.token().sign()).await), Some(Reason::UnknownIssuer));
    directory.list(&tenant.iss, Entry::Trusted(Box::new(tenant.config())));
    assert!(!verifier.forget(&tenant.iss), "it was not known");
    assert!(verify(&verifier, &tenant.token().sign()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_names_asks_for_each_once_a_few_at_a_time_and_drives_no_tenant_out() {
    const NAMES: usize = 10_000;
    let directory = Directory::default();
    let tenants: Vec<_> =
        (0..4).map(|n| Local::of(&directory, &format!("https://tenant-{n}.example"))).collect();
    let verifier = DynamicVerifier::builder(directory.clone()).capacity(8).build().unwrap();
    for tenant in &tenants {
        assert!(verify(&verifier, &tenant.token().sign()).await.is_ok());
    }
    directory.delay(Duration::from_millis(10));
    let stranger = SigningKey::generate(Algorithm::EdDSA);
    let flood: JoinSet<_> = (0..NAMES)
        .map(|n| {
            let forged = TokenBuilder::new(&stranger, &format!("https://{n}.example"), "api").sign();
            let verifier = verifier.clone();
            // All of them are under way before the first is answered; the last waits its turn.
            async move {
                match ask(&verifier, &forged) {
                    Verification::Done(result) => result.map(drop),
                    Verification::Pending(verifying) => verifying.await.map(drop),
                }
            }
        })
        .collect();
    directory.0.begun.notified().await;
    sleep(Duration::from_millis(100)).await;
    for tenant in &tenants {
        assert!(verify_now(&verifier, &tenant.token().sign()).is_ok(), "in the middle of it");
    }
    let answers = flood.join_all().await;
    assert!(answers.into_iter().all(|answer| reason(answer) == Some(Reason::UnknownIssuer)));

    assert_eq!(directory.questions(), tenants.len() + NAMES);
    assert_eq!(directory.0.most_at_once.load(Ordering::Relaxed), QUESTIONS);
    assert!(verifier.0.refused.len() <= STRANGERS);
    assert_eq!(verifier.len(), tenants.len());
    for tenant in &tenants {
        assert!(verify_now(&verifier, &tenant.token().sign()).is_ok(), "after it");
        assert_eq!(directory.questions_for(&tenant.iss), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn while_strangers_have_all_turns_nobody_waits_for_those_who_wait_for_the_same() {
    let directory = Directory::default();
    let tenant = Local::of(&directory, "https://tenant.example");
    directory.delay(Duration::from_secs(60));
    let verifier = new(&directory);
    let start = |token: String| {
        let verifier = verifier.clone();
        async move {
            let since = Instant::now();
            let answer = verify(&verifier, &token).await;
            (kind(answer), since.elapsed())
        }
    };
    let stranger = SigningKey::generate(Algorithm::EdDSA);
    let mut flood = JoinSet::new();
    let mut requests = JoinSet::new();
    for n in 0..200 {
        for m in 0..QUESTIONS {
            let iss = format!("https://{n}-{m}.example");
            flood.spawn(start(TokenBuilder::new(&stranger, &iss, "api").sign()));
        }
        // They come one after the other, as requests do.
        if (20..30).contains(&n) {
            requests.spawn(start(tenant.token().sign()));
        }
        sleep(Duration::from_millis(100)).await;
    }
    for (answer, waited) in requests.join_all().await {
        assert_eq!(answer, Some(AuthErrorKind::Unavailable));
        assert!(waited <= 2 * DEADLINE, "{waited:?}");
    }
    flood.abort_all();
}

#[tokio::test(start_paused = true)]
async fn many_tenants_are_asked_about_again_a_few_at_a_time() {
    const TENANTS: usize = 2 * QUESTIONS;
    let directory = Directory::default();
    let tenants: Vec<_> =
        (0..TENANTS).map(|n| Local::of(&directory, &format!("https://tenant-{n}.example"))).collect();
    let verifier = new(&directory);
    for turn in 0..2 {
        for tenant in &tenants {
            assert!(verify(&verifier, &tenant.token().sign()).await.is_ok());
        }
        directory.delay(Duration::from_millis(10));
        sleep(Duration::from_secs(600)).await;
        assert_eq!(directory.questions(), (turn + 1) * TENANTS);
    }
    assert_eq!(directory.0.most_at_once.load(Ordering::Relaxed), QUESTIONS);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_does_not_answer_holds_up_no_known_tenant() {
    let directory = Directory::default();
    let tenant = Local::of(&directory, "https://tenant.example");
    let verifier = new(&directory);
    assert!(verify(&verifier, &tenant.token().sign()).await.is_ok());
    let stranger = SigningKey::generate(Algorithm::EdDSA);
    let mut stuck = JoinSet::new();
    for n in 0..2 * QUESTIONS {
        let iss = format!("https://{n}.example");
        directory.list(&iss, Entry::NoAnswer);
        let (verifier, token) = (verifier.clone(), TokenBuilder::new(&stranger, &iss, "api").sign());
        stuck.spawn(async move { drop(verify(&verifier, &token).await) });
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(directory.questions(), 1 + QUESTIONS, "the rest waits for its turn");
    assert!(verify_now(&verifier, &tenant.token().sign()).is_ok());
    stuck.abort_all();
    while stuck.join_next().await.is_some() {}
    directory.tenants().clear();
    let token = TokenBuilder::new(&stranger, "https://0.example", "api").sign();
    assert_eq!(
        reason(verify(&verifier, &token).await),
        Some(Reason::UnknownIssuer),
        "the turns are given back"
    );
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_fails_is_a_503_that_is_not_remembered_for_long_and_tells_nothing() {
    let directory = Directory::default();
    let tenant = Local::of(&directory, "https://tenant.example");
    let entry = directory.tenants().insert(tenant.iss.clone(), Entry::Unreachable).unwrap();
    let verifier = new(&directory);
    let error = verify(&verifier, &tenant.token().sign()).await.unwrap_err();
    assert_eq!(error.kind(), AuthErrorKind::Unavailable);
    assert!(!error.to_string().contains("10.0.0.7"), "{error}");
    assert!(error.source().is_some_and(|source| source.to_string().contains("10.0.0.7")), "for the log");
    directory.list(&tenant.iss, entry);
    let again = verify_now(&verifier, &tenant.token().sign());
    assert_eq!((kind(again), directory.questions()), (Some(AuthErrorKind::Unavailable), 1), "for a moment");
    sleep(TROUBLED_FOR).await;
    assert!(verify(&verifier, &tenant.token().sign()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_question_that_fails_or_takes_too_long_does_not_ask_it_again() {
    for entry in [Entry::Unreachable, Entry::NoAnswer] {
        let directory = Directory::default();
        let tenant = Local::of(&directory, "https://tenant.example");
        directory.list(&tenant.iss, entry);
        directory.delay(Duration::from_millis(300));
        let (verifier, began) = (new(&directory), Instant::now());
        let requests: JoinSet<_> = (0..50)
            .map(|_| {
                let (verifier, token) = (verifier.clone(), tenant.token().sign());
                async move { kind(verify(&verifier, &token).await) }
            })
            .collect();
        let answers = requests.join_all().await;
        assert!(answers.iter().all(|kind| *kind == Some(AuthErrorKind::Unavailable)));
        assert!(began.elapsed() <= DEADLINE + Duration::from_millis(1), "{:?}", began.elapsed());
        assert_eq!(directory.questions(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_set_up_wrongly_is_a_503_and_is_not_kept() {
    let directory = Directory::default();
    let iss = "https://tenant.example";
    for wrong in [
        Issuer::new(iss, ""),
        Issuer::new(iss, "api").jwks_uri("http://tenant.example/jwks"),
        Issuer::new(iss, "api").jwks_uri("https://169.254.169.254/jwks"),
        Issuer::new(iss, "api").keys(KeySource::fixed(KeySet::default())),
    ] {
        directory.list(iss, Entry::Trusted(Box::new(wrong)));
        let verifier = new(&directory);
        let token = TokenBuilder::new(&SigningKey::generate(Algorithm::EdDSA), iss, "api").sign();
        assert_eq!(kind(verify(&verifier, &token).await), Some(AuthErrorKind::Unavailable));
        assert_eq!(verifier.len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_names_no_issuer_asks_nobody_and_a_known_issuers_bad_tokens_wait_for_nothing() {
    let directory = Directory::default();
    let tenant = Local::of(&directory, "https://tenant.example");
    let verifier = new(&directory);
    for nameless in ["opaque".to_owned(), "a.b.c".to_owned(), tenant.token().without("iss").sign()] {
        assert_eq!(reason(verify_now(&verifier, &nameless)), Some(Reason::UnknownIssuer));
    }
    assert_eq!(directory.questions(), 0);

    assert!(verify(&verifier, &tenant.token().sign()).await.is_ok());
    for (token, expected) in [
        (tenant.token().expired().sign(), Reason::Expired),
        (tenant.token().audience("elsewhere").sign(), Reason::Audience),
        (tenant.token().header("kid", "key-2").sign(), Reason::UnknownKey),
        (tenant.token().tampered(), Reason::Signature),
    ] {
        assert_eq!(reason(verify_now(&verifier, &token)), Some(expected));
    }
    assert_eq!(directory.questions(), 1);
}

#[tokio::test(start_paused = true)]
async fn all_tenants_share_the_cache_of_the_application() {
    let directory = Directory::default();
    let cache = TokenCache::default();
    let verifier = DynamicVerifier::builder(directory.clone()).cache(&cache).build().unwrap();
    for n in 0..2 {
        let tenant = Local::of(&directory, &format!("https://tenant-{n}.example"));
        assert!(verify(&verifier, &tenant.token().sign()).await.is_ok());
    }
    assert_eq!((verifier.len(), cache.len()), (2, 2));
}

#[tokio::test]
async fn forgetting_works_at_once_and_ends_the_refresher() {
    let tenant = TestIssuer::start().await;
    let directory = Directory::default();
    directory.trust(&tenant);
    let connector = Connector::new();
    let verifier = DynamicVerifier::builder(directory.clone()).connector(&connector).build().unwrap();
    assert!(verify(&verifier, &tenant.token().sign()).await.is_ok());
    assert_eq!(connector.statuses().len(), 1);

    directory.tenants().clear();
    assert!(verify_now(&verifier, &tenant.token().sign()).is_ok(), "nobody said so yet");
    assert!(verifier.forget(tenant.issuer()));
    assert_eq!(reason(verify(&verifier, &tenant.token().sign()).await), Some(Reason::UnknownIssuer));
    eventually("the refresher ends", || connector.statuses().is_empty()).await;
    assert!(!verifier.forget(tenant.issuer()), "nor is it known");
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_before_forgetting_is_not_kept() {
    let directory = Directory::default();
    let tenant = Local::of(&directory, "https://tenant.example");
    directory.delay(Duration::from_millis(100));
    let verifier = new(&directory);
    let early = tokio::spawn({
        let (verifier, token) = (verifier.clone(), tenant.token().sign());
        async move { verify(&verifier, &token).await }
    });
    directory.0.begun.notified().await;
    directory.tenants().clear();
    verifier.forget(&tenant.iss);
    assert!(early.await.unwrap().is_ok(), "it was asked for before");
    assert_eq!(verifier.len(), 0);
    assert_eq!(reason(verify(&verifier, &tenant.token().sign()).await), Some(Reason::UnknownIssuer));
}

#[tokio::test]
async fn the_least_used_makes_room_its_keys_are_fetched_no_more_and_it_comes_back_on_demand() {
    let directory = Directory::default();
    let mut schedule = Schedule::default();
    schedule.every = Duration::from_millis(20);
    schedule.at_least = schedule.every;
    let connector = Connector::new().schedule(schedule);
    let verifier =
        DynamicVerifier::builder(directory.clone()).connector(&connector).capacity(2).build().unwrap();
    let mut issuers = Vec::new();
    for _ in 0..4 {
        let issuer = TestIssuer::start().await;
        directory.trust(&issuer);
        assert!(verify(&verifier, &issuer.token().sign()).await.is_ok());
        assert!(verifier.len() <= 2);
        issuers.push(issuer);
    }
    eventually("the refreshers of the others end", || connector.statuses().len() == verifier.len()).await;
    let kept: Vec<_> = connector.statuses().into_iter().map(|(name, _)| name).collect();
    assert!(!kept.is_empty(), "some are kept");
    let (kept, gone): (Vec<_>, Vec<_>) =
        issuers.iter().partition(|issuer| kept.iter().any(|name| *name == issuer.issuer()));

    let requests = |issuers: &[&TestIssuer]| issuers.iter().map(|issuer| issuer.requests()).sum::<usize>();
    let ten_fetches = async || {
        let goal = requests(&kept) + 10;
        eventually("the keys of the others are kept fresh", || requests(&kept) >= goal).await;
    };
    // What was on its way when they ended has arrived by then.
    ten_fetches().await;
    let before = requests(&gone);
    ten_fetches().await;
    assert_eq!(requests(&gone), before);

    for issuer in gone {
        let asked = directory.questions_for(issuer.issuer());
        assert!(verify(&verifier, &issuer.token().sign()).await.is_ok(), "back on demand");
        assert_eq!(directory.questions_for(issuer.issuer()), asked + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_the_resolver_names_no_more_is_refused_when_it_was_asked_again() {
    let directory = Directory::default();
    let (gone, stays) =
        (Local::of(&directory, "https://gone.example"), Local::of(&directory, "https://b.example"));
    let verifier =
        DynamicVerifier::builder(directory.clone()).ask_again_every(Duration::from_secs(60)).build().unwrap();
    let good = |tenant: &Local| tenant.token().expires_in(36_000).sign();
    for tenant in [&gone, &stays] {
        assert!(verify(&verifier, &good(tenant)).await.is_ok());
    }
    directory.tenants().remove("https://gone.example");
    sleep(Duration::from_secs(59)).await;
    assert!(verify_now(&verifier, &good(&gone)).is_ok());
    assert_eq!(directory.questions(), 2, "it is not time yet");
    sleep(Duration::from_secs(1)).await;
    for _ in 0..10 {
        assert!(verify_now(&verifier, &good(&gone)).is_ok(), "nobody waits for the answer");
    }
    eventually("it is forgotten", || verifier.len() == 1).await;
    assert_eq!(reason(verify_now(&verifier, &good(&gone))), Some(Reason::UnknownIssuer));
    assert_eq!(directory.questions_for("https://gone.example"), 2);

    // No answer is no answer.
    directory.list("https://b.example", Entry::Unreachable);
    for questions in 2..5 {
        assert!(verify_now(&verifier, &good(&stays)).is_ok());
        eventually("it is asked", || directory.questions_for("https://b.example") == questions).await;
        sleep(Duration::from_secs(60)).await;
    }
    directory.list("https://b.example", Entry::NoAnswer);
    assert!(verify_now(&verifier, &good(&stays)).is_ok());
    sleep(Duration::from_secs(60)).await;
    assert!(verify_now(&verifier, &good(&stays)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_waits_for_its_turn_behind_strangers_has_all_the_time_for_its_question() {
    let directory = Directory::default();
    let tenant = Local::of(&directory, "https://tenant.example");
    let verifier = new(&directory);
    let mut strangers = JoinSet::new();
    for number in 0..QUESTIONS {
        let iss = format!("https://{number}.example");
        directory.list(&iss, Entry::NoAnswer);
        let (verifier, token) = (verifier.clone(), tenant.token().issuer(&iss).sign());
        strangers.spawn(async move { verify(&verifier, &token).await });
    }
    eventually("all turns are taken", || directory.questions() == QUESTIONS).await;
    sleep(Duration::from_millis(1)).await;
    directory.delay(Duration::from_millis(20));
    assert!(verify(&verifier, &tenant.token().sign()).await.is_ok());
    drop(strangers);
}
