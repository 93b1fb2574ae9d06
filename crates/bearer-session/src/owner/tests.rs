//! The owner against an issuer and a store that do what they are told, on paused time.

mod adopted;
mod late;
mod unreadable;

use super::*;
use crate::{
    AccessToken, RefreshToken,
    endpoint::{AfterUnknown, ExchangeError, Outcome},
    store::{Claim, Commit, Fence, MemoryStore},
};
use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    sync::Mutex,
};
use tokio::{
    task::JoinSet,
    time::{advance, sleep, timeout},
};

const HOUR: Duration = Duration::from_secs(3600);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// An issuer whose every token succeeds the one before: `r0`, `r1` and so on.
#[derive(Clone, Debug)]
struct Issuer(Arc<Mutex<Told>>);

#[derive(Debug)]
struct Told {
    rule: AfterUnknown,
    expires_in: Duration,
    answers: VecDeque<(Duration, Answer)>,
    presented: Vec<String>,
    signed_out: Vec<(String, SignOutScope)>,
    sign_out_fails: bool,
    sign_out_takes: Duration,
}

#[derive(Debug)]
enum Answer {
    Tokens,
    /// The tokens never reach us.
    CommittedAndLost(Outcome),
    Hangs,
    Fails(ExchangeError),
}

impl Issuer {
    fn new(rule: AfterUnknown) -> Self {
        Self(Arc::new(Mutex::new(Told {
            rule,
            expires_in: HOUR,
            answers: VecDeque::new(),
            presented: Vec::new(),
            signed_out: Vec::new(),
            sign_out_fails: false,
            sign_out_takes: Duration::ZERO,
        })))
    }

    fn supabase() -> Self {
        Self::new(AfterUnknown::PresentAgain)
    }

    fn strict() -> Self {
        Self::new(AfterUnknown::FailClosed)
    }

    /// The next answers, each after some time; then tokens at once.
    fn answers(self, answers: impl IntoIterator<Item = (Duration, Answer)>) -> Self {
        self.0.lock().unwrap().answers.extend(answers);
        self
    }

    fn fails(self, error: ExchangeError) -> Self {
        self.answers([(Duration::ZERO, Answer::Fails(error))])
    }

    fn expires_in(self, time: Duration) -> Self {
        self.0.lock().unwrap().expires_in = time;
        self
    }

    fn presented(&self) -> Vec<String> {
        self.0.lock().unwrap().presented.clone()
    }

    fn most_presentations_of_one(&self) -> usize {
        let mut times = HashMap::new();
        self.presented().into_iter().for_each(|token| *times.entry(token).or_default() += 1);
        times.into_values().max().unwrap_or(0)
    }
}

fn tokens(number: u32, expires_in: Duration) -> TokenSet {
    TokenSet::new(AccessToken::new(format!("a{number}")), expires_in)
        .refresh_token(RefreshToken::new(format!("r{number}")))
}

impl TokenEndpoint for Issuer {
    fn refresh<'a>(
        &'a self,
        token: &'a RefreshToken,
        _on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        Box::pin(async move {
            let (after, answer, expires_in) = {
                let mut told = self.0.lock().unwrap();
                told.presented.push(token.expose().into());
                let (after, answer) = told.answers.pop_front().unwrap_or((Duration::ZERO, Answer::Tokens));
                (after, answer, told.expires_in)
            };
            sleep(after).await;
            let number: u32 = token.expose()[1..].parse().unwrap();
            match answer {
                Answer::Tokens => Ok(tokens(number + 1, expires_in)),
                Answer::CommittedAndLost(outcome) => Err(ExchangeError::new(outcome)),
                Answer::Hangs => pending().await,
                Answer::Fails(error) => Err(error),
            }
        })
    }

    fn sign_out<'a>(
        &'a self,
        access_token: &'a AccessToken,
        _refresh_token: Option<&'a RefreshToken>,
        scope: SignOutScope,
        _on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<(), ExchangeError>> {
        let mut told = self.0.lock().unwrap();
        told.signed_out.push((access_token.expose().into(), scope));
        let (fails, takes) = (told.sign_out_fails, told.sign_out_takes);
        Box::pin(async move {
            sleep(takes).await;
            if fails { Err(ExchangeError::new(Outcome::NotSpent)) } else { Ok(()) }
        })
    }

    fn after_unknown(&self) -> AfterUnknown {
        self.0.lock().unwrap().rule
    }
}

/// A store that breaks down when it is told to, or has another put in its place.
#[derive(Clone, Debug)]
struct Faulty {
    store: Arc<Mutex<MemoryStore>>,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Debug, Default)]
struct Faults {
    is_down: bool,
    hangs: bool,
    /// So many commits fail, before or after they took effect.
    commits_before: usize,
    commits_after: usize,
    loads: usize,
    claims: usize,
    /// So many releases fail.
    releases: usize,
    /// How long the answer to a load is under way.
    answers_take: Duration,
    /// By how much rows are older than the clock here says.
    slept: Duration,
}

impl Faulty {
    fn new() -> Self {
        Self { store: Arc::new(Mutex::new(MemoryStore::new(100))), faults: Arc::default() }
    }

    fn store(&self) -> MemoryStore {
        self.store.lock().unwrap().clone()
    }

    /// In its place comes a backup from the beginning of a session.
    async fn put_back(&self, id: &SessionId, first: &Row) {
        let backup = MemoryStore::new(1);
        backup.create(&id.key(), &first.sealed, HOUR).await.unwrap();
        *self.store.lock().unwrap() = backup;
    }

    fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.faults.lock().unwrap());
    }

    fn read<T>(&self, read: impl FnOnce(&Faults) -> T) -> T {
        read(&self.faults.lock().unwrap())
    }

    fn guard<'a, T: Send + 'a>(
        &'a self,
        act: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            let (is_down, hangs) = self.read(|faults| (faults.is_down, faults.hangs));
            if hangs {
                return pending().await;
            }
            if is_down { Err(StoreError::new("down")) } else { act.await }
        })
    }
}

impl Store for Faulty {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        self.set(|faults| faults.loads += 1);
        self.guard(Box::pin(async move {
            // As long as a round trip.
            sleep(Duration::from_millis(1)).await;
            let mut answer = self.store().load(key).await;
            if let Ok(Lookup::Live(row)) = &mut answer {
                row.age += self.read(|faults| faults.slept);
            }
            sleep(self.read(|faults| faults.answers_take)).await;
            answer
        }))
    }

    fn create<'a>(
        &'a self,
        key: &'a Key,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        self.guard(Box::pin(async move { self.store().create(key, sealed, ttl).await }))
    }

    fn claim<'a>(
        &'a self,
        key: &'a Key,
        generation: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        self.set(|faults| faults.claims += 1);
        self.guard(Box::pin(async move { self.store().claim(key, generation, lease).await }))
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        fence: Fence,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Commit, StoreError>> {
        self.guard(Box::pin(async move {
            if self.faults.lock().unwrap().commits_before.checked_sub(1).is_some() {
                self.set(|faults| faults.commits_before -= 1);
                return Err(StoreError::new("before"));
            }
            let committed = self.store().commit(key, fence, sealed, ttl).await;
            if self.faults.lock().unwrap().commits_after.checked_sub(1).is_some() {
                self.set(|faults| faults.commits_after -= 1);
                return Err(StoreError::new("after"));
            }
            committed
        }))
    }

    fn release<'a>(&'a self, key: &'a Key, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>> {
        self.guard(Box::pin(async move {
            if self.faults.lock().unwrap().releases.checked_sub(1).is_some() {
                self.set(|faults| faults.releases -= 1);
                return Err(StoreError::new("lost"));
            }
            self.store().release(key, fence).await
        }))
    }

    fn end<'a>(&'a self, key: &'a Key, remember: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.guard(Box::pin(async move { self.store().end(key, remember).await }))
    }

    fn link<'a>(
        &'a self,
        alias: &'a Key,
        key: &'a Key,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.guard(Box::pin(async move { self.store().link(alias, key, ttl).await }))
    }

    fn resolve<'a>(&'a self, alias: &'a Key) -> BoxFuture<'a, Result<Option<Key>, StoreError>> {
        self.guard(Box::pin(async move { self.store().resolve(alias).await }))
    }

    fn changed(&self, key: &Key) -> BoxFuture<'static, ()> {
        self.store().changed(key)
    }
}

fn keyring() -> Keyring {
    Keyring::new(&[7; 32])
}

fn owner(issuer: &Issuer, store: &Faulty) -> Sessions {
    Sessions::builder(issuer.clone(), store.clone(), keyring()).build()
}

async fn access(sessions: &Sessions, id: &SessionId) -> Result<String, SessionErrorKind> {
    // No wait is longer than it may be: the look, and the wait for the flight.
    let access = timeout(secs(16), sessions.access(id, OnBehalf::default())).await.expect("in time");
    access.map(|access| access.token().expose().to_owned()).map_err(|error| error.kind())
}

/// A session whose access token has expired.
async fn expired(issuer: &Issuer, store: &Faulty) -> (Sessions, SessionId) {
    let sessions = owner(issuer, store);
    let id = sessions.create(tokens(0, Duration::ZERO)).await.unwrap();
    (sessions, id)
}

/// A session whose access token lives for another minute: less than the margin.
async fn aging(issuer: &Issuer, store: &Faulty) -> (Sessions, SessionId) {
    let sessions = owner(issuer, store);
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    advance(secs(3540)).await;
    (sessions, id)
}

const OUT: Result<String, SessionErrorKind> = Err(SessionErrorKind::SignedOut);
const LATER: Result<String, SessionErrorKind> = Err(SessionErrorKind::Unavailable);

#[allow(clippy::unnecessary_wraps, reason = "it is compared with what is")]
fn got(token: &str) -> Result<String, SessionErrorKind> {
    Ok(token.into())
}

/// What becomes of a request whose cookie has these tokens.
async fn brings(sessions: &Sessions, tokens: TokenSet) -> Result<String, SessionErrorKind> {
    let access = async {
        let key = sessions.adopt(tokens).await?;
        sessions.access(key, OnBehalf::default()).await
    };
    access.await.map(|access| access.token().expose().to_owned()).map_err(|error| error.kind())
}

#[tokio::test(start_paused = true)]
async fn a_thousand_parallel_requests_on_an_expired_session_cause_one_exchange() {
    let issuer = Issuer::strict().answers([(secs(3), Answer::Tokens)]);
    let store = Faulty::new();
    let (sessions, id) = expired(&issuer, &store).await;
    let mut requests = JoinSet::new();
    for _ in 0..1000 {
        let (sessions, id) = (sessions.clone(), id.clone());
        requests.spawn(async move { access(&sessions, &id).await });
    }
    assert!(requests.join_all().await.into_iter().all(|answer| answer == got("a1")));
    assert_eq!(issuer.presented(), ["r0"]);
    assert_eq!(store.read(|faults| (faults.loads, faults.claims)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn several_owners_of_one_store_cause_one_exchange() {
    let issuer = Issuer::strict().answers([(secs(3), Answer::Tokens)]);
    let store = Faulty::new();
    let (first, id) = expired(&issuer, &store).await;
    let owners = [first, owner(&issuer, &store), owner(&issuer, &store), owner(&issuer, &store)];
    let mut requests = JoinSet::new();
    for number in 0..1000 {
        let (sessions, id) = (owners[number % 4].clone(), id.clone());
        requests.spawn(async move { access(&sessions, &id).await });
    }
    assert!(requests.join_all().await.into_iter().all(|answer| answer == got("a1")));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_came_while_the_store_was_asked_are_no_sign_that_it_went_back() {
    let millis = Duration::from_millis;
    let issuer = Issuer::supabase().answers([(millis(20), Answer::Tokens)]);
    let store = Faulty::new();
    let (sessions, id) = expired(&issuer, &store).await;
    store.set(|faults| faults.answers_take = millis(50));
    let ask = || {
        let (sessions, id) = (sessions.clone(), id.clone());
        tokio::spawn(async move { access(&sessions, &id).await })
    };
    let first = ask();
    // The first has looked, and waits for the issuer. The answer to the second's look comes after the new tokens.
    sleep(millis(60)).await;
    let second = ask();
    for asked in [first, second] {
        assert_eq!(asked.await.unwrap(), got("a1"));
    }
    sleep(secs(10)).await;
    assert_eq!(issuer.presented(), ["r0"], "the new ones are not exchanged in their turn");
}

#[tokio::test(start_paused = true)]
async fn a_live_session_is_served_without_asking_anyone_for_a_while() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    for _ in 0..100 {
        assert_eq!(access(&sessions, &id).await, got("a0"));
    }
    assert_eq!(store.read(|faults| faults.loads), 0);
    advance(secs(5)).await;
    for _ in 0..100 {
        assert_eq!(access(&sessions, &id).await, got("a0"));
    }
    assert_eq!(store.read(|faults| faults.loads), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_goes_away_takes_no_exchange_along() {
    let issuer = Issuer::strict().answers([(secs(3), Answer::Tokens)]);
    let (sessions, id) = expired(&issuer, &Faulty::new()).await;
    let cancelled = timeout(secs(1), sessions.access(&id, OnBehalf::default())).await;
    assert!(cancelled.is_err());
    assert_eq!(access(&sessions, &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn under_the_margin_the_live_token_serves_while_the_next_is_fetched() {
    let issuer = Issuer::strict().answers([(secs(9), Answer::Tokens)]);
    let (sessions, id) = aging(&issuer, &Faulty::new()).await;
    let before = Instant::now();
    assert_eq!(access(&sessions, &id).await, got("a0"));
    assert!(before.elapsed() < secs(1));
    sleep(secs(10)).await;
    assert_eq!(access(&sessions, &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_takes_nine_seconds_is_waited_for() {
    let issuer = Issuer::strict().answers([(secs(9), Answer::Tokens)]);
    let (sessions, id) = expired(&issuer, &Faulty::new()).await;
    assert_eq!(access(&sessions, &id).await, got("a1"));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_never_answers_costs_a_bounded_time_and_signs_nobody_out() {
    let hangs = || (Duration::ZERO, Answer::Hangs);
    let issuer = Issuer::supabase().answers([hangs(), hangs(), hangs(), hangs()]);
    let (sessions, id) = expired(&issuer, &Faulty::new()).await;
    assert_eq!(access(&sessions, &id).await, LATER);
    sleep(secs(120)).await;
    while access(&sessions, &id).await == LATER {
        sleep(secs(10)).await;
    }
    assert_eq!(access(&sessions, &id).await, got("a1"));
}

#[tokio::test(start_paused = true)]
async fn after_an_answer_was_lost_the_token_is_presented_again_only_where_that_is_allowed() {
    for after in [secs(9), Duration::ZERO] {
        let lost = || [(after, Answer::CommittedAndLost(Outcome::Unknown))];
        let supabase = Issuer::supabase().answers(lost());
        let (sessions, id) = expired(&supabase, &Faulty::new()).await;
        assert_eq!(access(&sessions, &id).await, got("a1"));
        assert_eq!(supabase.presented(), ["r0", "r0"]);

        let strict = Issuer::strict().answers(lost());
        let (sessions, id) = expired(&strict, &Faulty::new()).await;
        assert_eq!(access(&sessions, &id).await, OUT);
        assert_eq!(strict.presented(), ["r0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_answer_a_strict_session_lives_as_long_as_its_access_token() {
    let issuer = Issuer::strict().answers([(Duration::ZERO, Answer::CommittedAndLost(Outcome::Unknown))]);
    let store = Faulty::new();
    let (sessions, id) = aging(&issuer, &store).await;
    let mut events = sessions.events();
    assert_eq!(access(&sessions, &id).await, got("a0"));
    sleep(secs(50)).await;
    assert_eq!(access(&sessions, &id).await, got("a0"));
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a0"));
    sleep(secs(15)).await;
    assert_eq!(access(&sessions, &id).await, OUT);
    assert_eq!(access(&owner(&issuer, &store), &id).await, OUT);
    assert_eq!(issuer.presented(), ["r0"]);
    assert!(matches!(events.next().await, Some(SessionEvent::SignedOut(_))));
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_answer_the_next_refresh_waits_until_the_lost_request_cannot_arrive_any_more() {
    let issuer = Issuer::supabase().answers([(Duration::ZERO, Answer::Hangs)]);
    let store = Faulty::new();
    let (sessions, id) = expired(&issuer, &store).await;
    assert_eq!(access(&sessions, &id).await, got("a1"));
    for sessions in [&sessions, &owner(&issuer, &store)] {
        assert!(sessions.refresh(&id, OnBehalf::default()).await.is_err());
        assert_eq!(access(sessions, &id).await, got("a1"));
    }
    sleep(secs(10)).await;
    assert!(sessions.refresh(&id, OnBehalf::default()).await.is_ok());
    assert_eq!(issuer.presented(), ["r0", "r0", "r1"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_signed_out_while_the_store_cannot_say_whether_that_is_so() {
    let issuer = Issuer::strict().answers([(Duration::ZERO, Answer::CommittedAndLost(Outcome::Unknown))]);
    let store = Faulty::new();
    let (sessions, id) = aging(&issuer, &store).await;
    assert_eq!(access(&sessions, &id).await, got("a0"));
    sleep(secs(1)).await;
    store.set(|faults| faults.is_down = true);
    sleep(secs(90)).await;
    assert_eq!(access(&sessions, &id).await, LATER);
    store.set(|faults| faults.is_down = false);
    assert_eq!(access(&sessions, &id).await, OUT);
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_and_signs_nobody_out() {
    let failures = [
        ExchangeError::new(Outcome::NotSpent).with_status(http::StatusCode::CONFLICT),
        ExchangeError::new(Outcome::NotSpent).with_status(http::StatusCode::SERVICE_UNAVAILABLE),
    ];
    for (failure, issuer) in failures.into_iter().zip([Issuer::supabase(), Issuer::strict()]) {
        let issuer = issuer.fails(failure);
        let (sessions, id) = expired(&issuer, &Faulty::new()).await;
        assert_eq!(access(&sessions, &id).await, got("a1"));
        assert_eq!(issuer.presented(), ["r0", "r0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_asks_for_a_minute_gets_it_however_many_ask() {
    let busy = ExchangeError::new(Outcome::NotSpent).with_retry_after(secs(60));
    let issuer = Issuer::strict().fails(busy);
    let (sessions, id) = expired(&issuer, &Faulty::new()).await;
    for _ in 0..100 {
        let error = sessions.access(&id, OnBehalf::default()).await.unwrap_err();
        assert_eq!(error.kind(), SessionErrorKind::Unavailable);
        assert!(error.retry_after().unwrap() <= secs(60));
    }
    assert_eq!(issuer.presented(), ["r0"]);
    sleep(secs(61)).await;
    assert_eq!(access(&sessions, &id).await, got("a1"));
}

#[tokio::test(start_paused = true)]
async fn while_the_issuer_is_down_a_live_token_serves() {
    let down = || (Duration::ZERO, Answer::Fails(ExchangeError::new(Outcome::NotSpent)));
    let issuer = Issuer::strict().answers(std::iter::repeat_with(down).take(1000));
    let (sessions, id) = aging(&issuer, &Faulty::new()).await;
    for _ in 0..59 {
        assert_eq!(access(&sessions, &id).await, got("a0"));
        sleep(secs(1)).await;
    }
    assert!(issuer.presented().len() < 40, "{}", issuer.presented().len());
    sleep(secs(2)).await;
    assert_eq!(access(&sessions, &id).await, LATER);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_issuer_ended_ends_here_once_and_in_all_processes() {
    let issuer = Issuer::supabase().fails(ExchangeError::new(Outcome::Final));
    let store = Faulty::new();
    let revoked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&revoked);
    let builder = Sessions::builder(issuer.clone(), store.clone(), keyring());
    let sessions = builder.on_sign_out(move |_| *count.lock().unwrap() += 1).build();
    let mut events = sessions.events();
    let id = sessions.create(tokens(0, Duration::ZERO)).await.unwrap();
    for _ in 0..10 {
        assert_eq!(access(&sessions, &id).await, OUT);
    }
    assert_eq!(access(&owner(&issuer, &store), &id).await, OUT);
    assert_eq!(issuer.presented(), ["r0"]);
    assert_eq!(*revoked.lock().unwrap(), 1);
    assert!(matches!(events.next().await, Some(SessionEvent::SignedIn(_))));
    assert!(matches!(events.next().await, Some(SessionEvent::SignedOut(_))));
    drop(sessions);
    assert_eq!(events.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn tokens_of_another_process_are_taken_without_an_exchange() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (first, id) = expired(&issuer, &store).await;
    let second = owner(&issuer, &store);
    let mut events = first.events();
    assert_eq!(access(&second, &id).await, got("a1"));
    assert_eq!(access(&first, &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
    assert!(matches!(events.next().await, Some(SessionEvent::TokenRefreshed(_))));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_stops_refreshing_and_nothing_else() {
    for hangs in [false, true] {
        let (issuer, store) = (Issuer::supabase(), Faulty::new());
        let (sessions, id) = aging(&issuer, &store).await;
        store.set(|faults| (faults.is_down, faults.hangs) = (!hangs, hangs));
        for _ in 0..18 {
            assert_eq!(access(&sessions, &id).await, got("a0"));
            sleep(secs(1)).await;
        }
        assert_eq!(issuer.presented().len(), 0);
        sleep(secs(60)).await;
        assert_eq!(access(&sessions, &id).await, LATER);
        assert_eq!(issuer.presented().len(), 0);
        store.set(|faults| (faults.is_down, faults.hangs) = (false, false));
        sleep(secs(31)).await;
        assert_eq!(access(&sessions, &id).await, got("a1"));
    }
}

#[tokio::test(start_paused = true)]
async fn new_tokens_are_stored_before_anyone_gets_them_however_often_that_takes() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (sessions, id) = expired(&issuer, &store).await;
    store.set(|faults| faults.commits_before = 3);
    assert_eq!(access(&sessions, &id).await, got("a1"));
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_went_through_unheard_counts() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (sessions, id) = expired(&issuer, &store).await;
    store.set(|faults| faults.commits_after = 1);
    assert_eq!(access(&sessions, &id).await, got("a1"));
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_could_not_be_stored_in_time_are_stored_later_and_not_exchanged_again() {
    for issuer in [Issuer::supabase(), Issuer::strict()] {
        let store = Faulty::new();
        let (sessions, id) = expired(&issuer, &store).await;
        store.set(|faults| faults.commits_before = usize::MAX);
        for _ in 0..6 {
            assert_eq!(access(&sessions, &id).await, LATER);
            sleep(secs(10)).await;
        }
        store.set(|faults| faults.commits_before = 0);
        assert_eq!(access(&sessions, &id).await, got("a1"));
        assert_eq!(issuer.presented(), ["r0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_stopped_for_most_of_its_lease_presents_nothing_late() {
    let issuer = Issuer::strict().fails(ExchangeError::new(Outcome::NotSpent));
    let store = Faulty::new();
    let (sessions, id) = expired(&issuer, &store).await;
    drop(timeout(Duration::from_millis(50), sessions.access(&id, OnBehalf::default())).await);
    // It waits to try again. No timer fires while it is stopped.
    advance(secs(25)).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(issuer.presented(), ["r0"]);
    sleep(secs(1)).await;
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0", "r0"]);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_process_never_presents_what_others_have_exchanged() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens(0, secs(4))).await.unwrap();
    let other = owner(&issuer, &store);
    for _ in 0..5 {
        other.refresh(&id, OnBehalf::default()).await.unwrap();
    }
    // Its copy is trusted, and its token has little left.
    advance(secs(3)).await;
    assert_eq!(access(&sessions, &id).await, got("a0"));
    sleep(secs(1)).await;
    assert_eq!(access(&sessions, &id).await, got("a5"));
    assert_eq!(issuer.presented(), ["r0", "r1", "r2", "r3", "r4"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_went_back_is_brought_forward_and_its_old_tokens_are_not_presented() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    let Lookup::Live(old) = store.load(&id.key()).await.unwrap() else { panic!() };
    for _ in 0..3 {
        sessions.refresh(&id, OnBehalf::default()).await.unwrap();
    }
    assert_eq!(access(&sessions, &id).await, got("a3"));
    store.put_back(&id, &old).await;

    sleep(secs(6)).await;
    assert_eq!(access(&sessions, &id).await, got("a3"));
    sleep(secs(6)).await;
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a3"));
    // Whoever knows still newer ones has time to say so.
    assert!(sessions.refresh(&id, OnBehalf::default()).await.is_err());
    sleep(secs(10)).await;
    let next = sessions.refresh(&id, OnBehalf::default()).await.unwrap();
    assert_eq!((next.token().expose(), next.generation()), ("a4", 4));
    assert_eq!(issuer.most_presentations_of_one(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_went_back_to_before_a_refresh_is_noticed_at_the_claim_too() {
    let (issuer, store) = (Issuer::strict().expires_in(secs(3)), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    let Lookup::Live(old) = store.load(&id.key()).await.unwrap() else { panic!() };
    sessions.refresh(&id, OnBehalf::default()).await.unwrap();
    store.put_back(&id, &old).await;
    // Its copy is still trusted, and has little left: nobody looks before the claim.
    sleep(secs(2)).await;
    assert_eq!(access(&sessions, &id).await, got("a1"));
    while access(&sessions, &id).await != got("a2") {
        sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(issuer.presented(), ["r0", "r1"]);
}

#[tokio::test(start_paused = true)]
async fn to_look_at_a_session_refreshes_nothing() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (sessions, id) = expired(&issuer, &store).await;
    for sessions in [&sessions, &owner(&issuer, &store)] {
        let seen = sessions.peek(&id).await.unwrap();
        assert_eq!((seen.token().expose(), seen.expires_in()), ("a0", Duration::ZERO));
    }
    assert_eq!(issuer.presented().len(), 0);
    let stranger = sessions.peek(&SessionId::random()).await.unwrap_err();
    assert_eq!(stranger.kind(), SessionErrorKind::SignedOut);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_lives_shorter_than_the_margin_is_not_refreshed_all_the_time() {
    let issuer = Issuer::strict().expires_in(secs(60));
    let sessions = owner(&issuer, &Faulty::new());
    let id = sessions.create(tokens(0, secs(60))).await.unwrap();
    for _ in 0..600 {
        assert!(access(&sessions, &id).await.is_ok());
        sleep(secs(1)).await;
    }
    let exchanges = issuer.presented().len();
    assert!((10..=16).contains(&exchanges), "{exchanges}");
}

#[tokio::test(start_paused = true)]
async fn tokens_that_come_dead_are_not_asked_for_without_end() {
    let issuer = Issuer::strict().expires_in(Duration::ZERO);
    let (sessions, id) = expired(&issuer, &Faulty::new()).await;
    for _ in 0..100 {
        assert_eq!(access(&sessions, &id).await, LATER);
    }
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_signs_out_is_out_at_once_here_and_soon_elsewhere() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let (here, elsewhere) = (owner(&issuer, &store), owner(&issuer, &store));
    let id = here.create(tokens(0, HOUR)).await.unwrap();
    assert_eq!(access(&elsewhere, &id).await, got("a0"));
    let mut events = elsewhere.events();
    here.sign_out(&id, SignOutScope::Global, OnBehalf::default()).await.unwrap();
    assert_eq!(access(&here, &id).await, OUT);
    sleep(secs(5)).await;
    assert_eq!(access(&elsewhere, &id).await, OUT);
    assert!(matches!(events.next().await, Some(SessionEvent::SignedOut(_))));
    here.sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.unwrap();
    assert_eq!(issuer.0.lock().unwrap().signed_out, [("a0".to_owned(), SignOutScope::Global)]);
}

#[tokio::test(start_paused = true)]
async fn the_issuer_is_told_of_others_with_a_token_that_lives_and_this_session_goes_on() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let (sessions, id) = expired(&issuer, &store).await;
    sessions.sign_out(&id, SignOutScope::Others, OnBehalf::default()).await.unwrap();
    assert_eq!(issuer.0.lock().unwrap().signed_out, [("a1".to_owned(), SignOutScope::Others)]);
    assert_eq!(access(&sessions, &id).await, got("a1"));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_cannot_be_told_keeps_nobody_signed_in_here() {
    for (scope, expected) in
        [(SignOutScope::Local, None), (SignOutScope::Global, Some(SessionErrorKind::Unavailable))]
    {
        let issuer = Issuer::supabase();
        issuer.0.lock().unwrap().sign_out_fails = true;
        let sessions = owner(&issuer, &Faulty::new());
        let id = sessions.create(tokens(0, HOUR)).await.unwrap();
        let told = sessions.sign_out(&id, scope, OnBehalf::default()).await;
        assert_eq!(told.err().map(|error| error.kind()), expected);
        assert_eq!(access(&sessions, &id).await, OUT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_that_the_store_did_not_take_is_none_and_can_be_tried_again() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    store.set(|faults| faults.is_down = true);
    let failed = sessions.sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.unwrap_err();
    assert_eq!(failed.kind(), SessionErrorKind::Unavailable);
    assert_eq!(issuer.0.lock().unwrap().signed_out.len(), 0);
    assert_eq!(access(&sessions, &id).await, got("a0"));

    store.set(|faults| faults.is_down = false);
    sessions.sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.unwrap();
    assert_eq!(issuer.0.lock().unwrap().signed_out.len(), 1);
    assert_eq!(access(&owner(&issuer, &store), &id).await, OUT);
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_wins_over_a_refresh_under_way_and_the_issuer_hears_of_both() {
    let issuer = Issuer::supabase().answers([(secs(3), Answer::Tokens)]);
    let (sessions, id) = expired(&issuer, &Faulty::new()).await;
    let waiting = {
        let (sessions, id) = (sessions.clone(), id.clone());
        tokio::spawn(async move { access(&sessions, &id).await })
    };
    sleep(secs(1)).await;
    sessions.sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.unwrap();
    assert_eq!(waiting.await.unwrap(), OUT);
    let told = issuer.0.lock().unwrap().signed_out.clone();
    assert_eq!(told, [("a0".to_owned(), SignOutScope::Local), ("a1".to_owned(), SignOutScope::Local)]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_open_here_is_neither_served_nor_ended() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (sessions, id) = expired(&issuer, &store).await;
    let stranger = Sessions::builder(issuer.clone(), store.clone(), Keyring::new(&[8; 32])).build();
    assert_eq!(access(&stranger, &id).await, LATER);
    let rotated = Sessions::builder(issuer.clone(), store.clone(), Keyring::new(&[8; 32]).also(&[7; 32]));
    assert_eq!(access(&rotated.build(), &id).await, got("a1"));
    assert_eq!(access(&stranger, &id).await, got("a1"));
    // What was written with a key that it does not know.
    assert_eq!(access(&sessions, &id).await, LATER);
}

#[tokio::test(start_paused = true)]
async fn whoever_cannot_read_an_interrupted_session_does_not_hide_that_it_was_interrupted() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (_crashed, id) = expired(&issuer, &store).await;
    assert!(matches!(store.claim(&id.key(), 0, secs(1)).await.unwrap(), Claim::Granted { .. }));
    sleep(secs(2)).await;

    let stranger = Sessions::builder(issuer.clone(), store.clone(), Keyring::new(&[8; 32])).build();
    let there = owner(&issuer, &store).peek(&id).await.unwrap();
    let landing = Arc::clone(&stranger.0).flight(there.0, OnBehalf::default()).await;
    assert!(matches!(landing, Landing::Later(_)));

    sleep(secs(60)).await;
    assert_eq!(access(&owner(&issuer, &store), &id).await, OUT);
    assert_eq!(issuer.presented().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_printed_holds_a_token() {
    let (issuer, store) = (Issuer::strict(), MemoryStore::new(1));
    let sessions = Sessions::builder(issuer.clone(), store, keyring()).build();
    let secret = TokenSet::new(AccessToken::new("hunter-access"), HOUR);
    let id = sessions.create(secret.refresh_token(RefreshToken::new("hunter-refresh"))).await.unwrap();
    let access = sessions.access(&id, OnBehalf::default()).await.unwrap();
    let full = sessions.create(tokens(0, HOUR)).await.unwrap_err();
    for printed in
        [format!("{sessions:?}"), format!("{access:?}"), format!("{id:?}"), format!("{full:?} {full}")]
    {
        assert!(!printed.contains("hunter"), "{printed}");
        assert!(!printed.contains(id.to_text().expose()), "{printed}");
    }
}
