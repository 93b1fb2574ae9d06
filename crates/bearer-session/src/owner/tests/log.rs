//! What whoever runs the service reads.

use super::*;
use std::io;
use tracing::{Level, subscriber::DefaultGuard};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What this thread says from now on.
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_max_level(Level::DEBUG);
        let subscriber = subscriber.with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The lines of this level, taken out.
    fn take(&self, level: Level) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        let level = format!(" {level} bearer_session");
        text.lines().filter(|line| line.contains(&level)).map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unreachable() -> ExchangeError {
    ExchangeError::new(Outcome::NotSpent).with_source(io::Error::other("connection refused"))
}

#[tokio::test(start_paused = true)]
async fn why_no_session_is_refreshed_is_said_once_and_why_one_is_not_at_debug() {
    let issuer = Issuer::supabase();
    let store = Faulty::new();
    let sessions = owner(&issuer, &store);
    let (log, _guard) = Log::start();
    for number in 0..5 {
        let issuer = issuer.clone().answers((0..4).map(|_| (Duration::ZERO, Answer::Fails(unreachable()))));
        let id = sessions.create(tokens(0, Duration::ZERO)).await.unwrap();
        assert_eq!(access(&sessions, &id).await, LATER);
        assert_eq!(issuer.presented().len(), 4 * (number + 1));
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let warnings: Vec<_> = text.lines().filter(|line| line.contains(" WARN ")).collect();
    assert!(matches!(&warnings[..], [line] if line.contains("connection refused")), "{warnings:?}");
    let each = log.take(Level::DEBUG);
    assert!(each.iter().filter(|line| line.contains("connection refused")).count() >= 20, "{each:?}");
}

#[tokio::test(start_paused = true)]
async fn one_session_that_always_fails_among_others_raises_no_alarm() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let (log, _guard) = Log::start();
    let bad = sessions.create(tokens(0, Duration::ZERO)).await.unwrap();
    for _ in 0..20 {
        let _ = issuer.clone().answers((0..4).map(|_| (Duration::ZERO, Answer::Fails(unreachable()))));
        assert_eq!(access(&sessions, &bad).await, LATER);
        let good = sessions.create(tokens(0, Duration::ZERO)).await.unwrap();
        assert_eq!(access(&sessions, &good).await, got("a1"));
        sleep(secs(60)).await;
    }
    assert_eq!(log.take(Level::WARN), [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_spoken_of_when_that_begins_and_when_it_is_over() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let (sessions, id) = expired(&issuer, &store).await;
    let (log, _guard) = Log::start();
    store.set(|faults| faults.is_down = true);
    for _ in 0..100 {
        assert_eq!(access(&sessions, &id).await, LATER);
    }
    let warnings = log.take(Level::WARN);
    assert!(matches!(&warnings[..], [line] if line.contains("down")), "{warnings:?}");
    store.set(|faults| faults.is_down = false);
    sleep(secs(11)).await;
    for _ in 0..3 {
        assert_eq!(access(&sessions, &id).await, got("a1"));
    }
    let over = log.take(Level::INFO);
    assert!(matches!(&over[..], [line] if line.contains("questions=100")), "{over:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_forgot_its_sessions_is_spoken_of_and_one_that_forgot_a_sign_out_is_not() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(sessions.create(tokens(0, 10 * HOUR)).await.unwrap());
    }
    let (log, _guard) = Log::start();
    let idle = ids.pop().unwrap();
    sleep(secs(6)).await;
    *store.store.lock().unwrap() = MemoryStore::new(100);
    for id in &ids {
        assert_eq!(access(&sessions, id).await, OUT);
    }
    let warnings = log.take(Level::WARN);
    assert!(matches!(&warnings[..], [line] if line.contains("lost a session")), "{warnings:?}");
    // It may have ended so long ago that nobody remembers it.
    sleep(2 * HOUR).await;
    assert_eq!(access(&sessions, &idle).await, OUT);
    assert_eq!(log.take(Level::WARN), [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn sessions_that_do_not_open_here_are_spoken_of_once_a_minute_and_what_to_do_about_it() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let (_other, id) = expired(&issuer, &store).await;
    let sessions = Sessions::builder(issuer.clone(), store.clone(), Keyring::random()).build();
    let (log, _guard) = Log::start();
    for minute in 0..2 {
        for _ in 0..50 {
            assert_eq!(access(&sessions, &id).await, LATER);
        }
        let warnings = log.take(Level::WARN);
        let others = format!("others={}", 49 * minute);
        assert!(
            matches!(&warnings[..], [line] if line.contains("the same Keyring") && line.contains(&others)),
            "{warnings:?}"
        );
        sleep(secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_refused_without_the_word_for_it_is_spoken_of_when_its_user_is_sent_to_sign_in() {
    let refused = || {
        let error = ExchangeError::new(Outcome::NotSpent).with_status(http::StatusCode::BAD_REQUEST);
        (Duration::ZERO, Answer::Fails(error))
    };
    let issuer = Issuer::strict().answers(std::iter::repeat_with(refused).take(1000));
    let (sessions, id) = expired(&issuer, &Faulty::new()).await;
    let (log, _guard) = Log::start();
    while access(&sessions, &id).await == LATER {
        assert_eq!(log.take(Level::WARN), [] as [String; 0]);
        sleep(secs(1)).await;
    }
    let warnings = log.take(Level::WARN);
    assert!(matches!(&warnings[..], [line] if line.contains("invalid_grant")), "{warnings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_used_for_its_lifetime_is_over_and_nothing_is_lost() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let hears = Arc::new(Mutex::new(0));
    let heard = Arc::clone(&hears);
    let sessions = Sessions::builder(issuer.clone(), store.clone(), keyring())
        .lifetime(secs(60))
        .on_sign_out(move |_: &SignedOut| *heard.lock().unwrap() += 1)
        .build();
    let (idle, lost) = (
        sessions.create(tokens(0, secs(600))).await.unwrap(),
        sessions.create(tokens(0, HOUR)).await.unwrap(),
    );
    let (log, _guard) = Log::start();
    sleep(secs(661)).await;
    assert_eq!(access(&sessions, &idle).await, OUT);
    assert_eq!((*hears.lock().unwrap(), log.take(Level::WARN)), (1, Vec::new()));

    *store.store.lock().unwrap() = MemoryStore::new(100);
    assert_eq!(access(&sessions, &lost).await, OUT);
    let warnings = log.take(Level::WARN);
    assert!(matches!(&warnings[..], [line] if line.contains("lifetime=60s")), "{warnings:?}");
    assert_eq!(*hears.lock().unwrap(), 1);
}
