//! The owner against an issuer and a store that do what they are told, on paused time.

mod adopted;
mod close;
mod issuer;
mod issuer_trouble;
mod late;
mod log;
mod logouts;
mod refused;
mod replace;
mod sign_out;
mod store;
mod store_trouble;
mod unreadable;

use self::{
    issuer::{Answer, Issuer, tokens, tokens_of},
    store::Faulty,
};
use super::*;
use crate::{
    AccessToken, CurrentSession, RefreshToken, Secret,
    endpoint::{AfterUnknown, ExchangeError, Outcome},
    store::{Claim, Commit, Fence, Lookup, MemoryStore, Row, StoreError},
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

fn keyring() -> Keyring {
    Keyring::new(&[7; 32])
}

fn owner(issuer: &Issuer, store: &Faulty) -> Sessions {
    Sessions::builder(issuer.clone(), store.clone(), keyring()).build()
}

/// One that counts what its hook hears of sign-outs.
fn listening(issuer: &Issuer, store: &Faulty) -> (Sessions, Arc<Mutex<usize>>) {
    let hears = Arc::new(Mutex::new(0));
    let heard = Arc::clone(&hears);
    let sessions = Sessions::builder(issuer.clone(), store.clone(), keyring())
        .on_sign_out(move |_: &SignedOut| *heard.lock().unwrap() += 1);
    (sessions.build(), hears)
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
async fn however_short_its_lifetime_a_session_lives_as_long_as_it_is_used() {
    for lifetime in [Duration::ZERO, secs(60), secs(1800)] {
        let (issuer, store) = (Issuer::strict(), Faulty::new());
        let builder = Sessions::builder(issuer.clone(), store.clone(), keyring()).lifetime(lifetime);
        let sessions = builder.build();
        let id = sessions.create(tokens(0, HOUR)).await.unwrap();
        let key = sessions.adopt(tokens_of("other", 0, HOUR)).await.unwrap();
        for _ in 0..200 {
            assert!(access(&sessions, &id).await.is_ok(), "{lifetime:?}");
            assert!(sessions.access(key, OnBehalf::default()).await.is_ok(), "{lifetime:?}");
            sleep(secs(60)).await;
        }
        assert_eq!(issuer.presented().len(), 6);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_not_used_lives_for_its_lifetime_after_its_access_token() {
    for (lifetime, idle, expected) in [
        (1800, HOUR + secs(1799), got("a1")),
        (1800, HOUR + secs(1801), OUT),
        // The lease.
        (0, HOUR + secs(29), got("a1")),
        (0, HOUR + secs(31), OUT),
    ] {
        let (issuer, store) = (Issuer::strict(), Faulty::new());
        let builder = Sessions::builder(issuer.clone(), store.clone(), keyring()).lifetime(secs(lifetime));
        let sessions = builder.build();
        let id = sessions.create(tokens(0, HOUR)).await.unwrap();
        sleep(idle).await;
        assert_eq!(access(&sessions, &id).await, expected, "{lifetime} {idle:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_without_end_is_no_panic() {
    const EVER: Duration = Duration::MAX;
    let issuer = Issuer::strict();
    let builder = Sessions::builder(issuer.clone(), MemoryStore::new(9), keyring()).margin(EVER).wait(EVER);
    let builder =
        builder.local_for(EVER).request_timeout(EVER).store_timeout(EVER).lease(EVER).lifetime(EVER);
    let sessions = builder.build();
    let id = sessions.create(tokens(0, Duration::ZERO)).await.unwrap();
    assert_eq!(access(&sessions, &id).await, got("a1"));
    assert_eq!(sessions.peek(&id).await.unwrap().token().expose(), "a1");
    sessions.sign_out(&id, SignOutScope::Global, OnBehalf::default()).await.unwrap();
    sessions.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_shares_the_id_token_of_its_session_and_reads_it_when_asked() {
    #[derive(Debug, serde::Deserialize)]
    struct User {
        name: String,
    }

    let sessions = owner(&Issuer::strict(), &Faulty::new());
    let with = |id_token: Option<&str>| TokenSet { id_token: id_token.map(Secret::new), ..tokens(0, HOUR) };
    let signed_in = async |id_token| {
        let id = sessions.create(with(id_token)).await.unwrap();
        sessions.access(&id, OnBehalf::default()).await.unwrap()
    };
    // {"name":"Ada"}
    let access = signed_in(Some("e30.eyJuYW1lIjoiQWRhIn0.c2ln")).await;
    let shared = access.shared_id_token().unwrap();
    let before = Arc::strong_count(&shared);
    let session = CurrentSession::of(&access);
    assert_eq!(Arc::strong_count(&shared), before + 1);
    assert_eq!(access.id_token_claims::<User>().unwrap().unwrap().name, "Ada");
    assert_eq!(session.id_token_claims::<User>().unwrap().unwrap().name, "Ada");
    for none in [None, Some("hunter-opaque")] {
        let access = signed_in(none).await;
        let read = access.id_token_claims::<User>().map(|user| user.map(|user| user.name));
        assert_eq!(read.is_err(), none.is_some(), "{none:?}");
        let session = CurrentSession::of(&access);
        assert_eq!(session.id_token_claims::<User>().map(|user| user.map(|user| user.name)), read);
        assert!(!format!("{session:?} {read:?}").contains("hunter"));
    }
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
