//! [`MemoryStore`]: sessions in the memory of this process.

use super::{
    Claim, Commit, Fence, Key, Lookup, Row, Store, StoreError, expiring::Expiring, notices::Notices,
};
use crate::BoxFuture;
use std::{
    error::Error,
    fmt,
    future::ready,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// Sessions in the memory of this process: nothing to set up, nothing that outlives it. Clones are one store.
///
/// It holds a fixed number of sessions, each for the time it was given. One that is full refuses a new
/// session and drops none; what has expired makes room. The sessions that it remembers as ended count. Of
/// other names it [drops](Self::aliases) some instead.
///
/// How old a row is, it reckons by two clocks, of which the one that stands still while the machine is
/// suspended must not have the last word: an access token may have expired meanwhile. A clock on the wall
/// that jumps ahead costs each session a refresh; one that is put back changes nothing.
///
/// ```
/// use bearer_session::store::{Key, Lookup, MemoryStore, Store as _};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bearer_session::store::StoreError> {
/// let store = MemoryStore::new(1);
/// let (first, second) = (Key::of("session", "one"), Key::of("session", "two"));
/// let an_hour = Duration::from_secs(3600);
///
/// assert_eq!(store.create(&first, b"sealed", an_hour).await?, Lookup::Unknown);
/// assert!(matches!(store.load(&first).await?, Lookup::Live(row) if row.sealed == b"sealed"));
/// assert!(store.create(&second, b"sealed", an_hour).await.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    notices: Notices,
    sessions: usize,
    aliases: usize,
    wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

/// A moment, by the clock that is never put back, and by the one that goes on while the machine is suspended.
#[derive(Clone, Copy)]
struct Moment {
    steady: Instant,
    wall: SystemTime,
}

#[derive(Default)]
struct State {
    sessions: Expiring<Session>,
    aliases: Expiring<Key>,
    /// How many claims there have been. Counted for all rows, so that no fence comes back with a row that
    /// does.
    claims: u64,
}

enum Session {
    Live(Live),
    Ended,
}

struct Live {
    generation: u64,
    sealed: Vec<u8>,
    written: Moment,
    /// The claim that was neither committed nor released, and when its lease ends.
    claim: Option<(Fence, Instant)>,
    /// A claim of this generation lapsed.
    interrupted: bool,
}

/// There is no room for another one.
#[derive(Debug)]
struct Full;

impl MemoryStore {
    /// As many other names as there may be for each session, on average, unless it is [said](Self::aliases).
    const ALIASES_PER_SESSION: usize = 16;

    /// An empty store for so many sessions.
    pub fn new(sessions: usize) -> Self {
        let aliases = sessions.saturating_mul(Self::ALIASES_PER_SESSION);
        let wall = Arc::new(SystemTime::now);
        Self { state: Arc::default(), notices: Notices::default(), sessions, aliases, wall }
    }

    /// How many other names there may be for all sessions together, each some 150 bytes; at least one.
    /// Default 16 times the number of sessions. A keeping that finds a session by its refresh token needs one
    /// for every refresh token, and every [logout at the issuer](crate::Sessions::heed_logout) is one.
    ///
    /// Where there are too many, the one that would expire first makes room. A browser that still has
    /// the refresh token of that name begins a session anew with it, and if there are newer ones the issuer
    /// may take that for theft; a session that was logged out at the issuer goes on. A name stays when its
    /// session has ended, so that an old cookie does not bring it back.
    #[must_use]
    pub fn aliases(mut self, most: usize) -> Self {
        self.aliases = most;
        self
    }

    /// With another clock on the wall.
    #[cfg(test)]
    pub(crate) fn with_wall_clock(mut self, wall: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.wall = Arc::new(wall);
        self
    }

    /// Acts on what has not expired.
    fn with<T>(&self, act: impl FnOnce(&mut State, Moment) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Moment { steady: Instant::now(), wall: (self.wall)() };
        state.sessions.drop_expired(now.steady);
        state.aliases.drop_expired(now.steady);
        act(&mut state, now)
    }
}

impl Store for MemoryStore {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        let found = self.with(|state, now| state.lookup(key, now));
        Box::pin(ready(Ok(found)))
    }

    fn create<'a>(
        &'a self,
        key: &'a Key,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        let created = self.with(|state, now| match state.lookup(key, now) {
            Lookup::Unknown if state.sessions.len() >= self.sessions => Err(StoreError::new(Full)),
            Lookup::Unknown => {
                state.sessions.insert(*key, Session::Live(Live::new(sealed, now)), until(now.steady, ttl));
                Ok(Lookup::Unknown)
            }
            there => Ok(there),
        });
        Box::pin(ready(created))
    }

    fn claim<'a>(
        &'a self,
        key: &'a Key,
        generation: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        let claim = self.with(|state, now| match state.sessions.get_mut(key) {
            Some(Session::Live(live)) => live.claim(generation, lease, now, &mut state.claims),
            Some(Session::Ended) => Claim::Ended,
            None => Claim::Unknown,
        });
        Box::pin(ready(Ok(claim)))
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        fence: Fence,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Commit, StoreError>> {
        let commit = self.with(|state, now| {
            let Some(Session::Live(live)) = state.sessions.get_mut(key) else { return Commit::Fenced };
            if !live.is_claimed_by(fence) {
                return Commit::Fenced;
            }
            live.advance(sealed, now);
            state.sessions.keep_until(key, until(now.steady, ttl));
            self.notices.tell(key);
            Commit::Stored
        });
        Box::pin(ready(Ok(commit)))
    }

    fn release<'a>(&'a self, key: &'a Key, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>> {
        self.with(|state, _| match state.sessions.get_mut(key) {
            Some(Session::Live(live)) if live.is_claimed_by(fence) => {
                live.claim = None;
                self.notices.tell(key);
            }
            _ => {}
        });
        Box::pin(ready(Ok(())))
    }

    fn end<'a>(&'a self, key: &'a Key, remember: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        let lived = self.with(|state, now| {
            let Some(Session::Live(_)) = state.sessions.get_mut(key) else { return false };
            state.sessions.insert(*key, Session::Ended, until(now.steady, remember));
            self.notices.tell(key);
            true
        });
        Box::pin(ready(Ok(lived)))
    }

    fn link<'a>(
        &'a self,
        alias: &'a Key,
        key: &'a Key,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.with(|state, now| {
            // The new name is that of tokens which were just exchanged: to refuse it would lose them.
            while state.aliases.get_mut(alias).is_none() && state.aliases.len() >= self.aliases.max(1) {
                state.aliases.drop_next();
            }
            state.aliases.insert(*alias, *key, until(now.steady, ttl));
        });
        Box::pin(ready(Ok(())))
    }

    fn resolve<'a>(&'a self, alias: &'a Key) -> BoxFuture<'a, Result<Option<Key>, StoreError>> {
        let key = self.with(|state, _| state.aliases.get_mut(alias).copied());
        Box::pin(ready(Ok(key)))
    }

    fn changed(&self, key: &Key) -> BoxFuture<'static, ()> {
        self.notices.listen(key)
    }
}

impl State {
    fn lookup(&mut self, key: &Key, now: Moment) -> Lookup {
        match self.sessions.get_mut(key) {
            Some(Session::Live(live)) => Lookup::Live(live.row(now)),
            Some(Session::Ended) => Lookup::Ended,
            None => Lookup::Unknown,
        }
    }
}

impl Live {
    fn new(sealed: &[u8], now: Moment) -> Self {
        Self { generation: 0, sealed: sealed.to_vec(), written: now, claim: None, interrupted: false }
    }

    fn row(&self, now: Moment) -> Row {
        Row::new(self.generation, self.sealed.clone(), now.since(self.written))
    }

    fn claim(&mut self, generation: u64, lease: Duration, now: Moment, claims: &mut u64) -> Claim {
        if self.generation != generation {
            return Claim::Moved(self.row(now));
        }
        if let Some((_, until)) = self.claim.filter(|(_, until)| *until > now.steady) {
            return Claim::Held(until.saturating_duration_since(now.steady));
        }
        *claims += 1;
        let Some(fence) = Fence::new(*claims) else { return Claim::Unknown };
        self.interrupted |= self.claim.is_some();
        self.claim = Some((fence, until(now.steady, lease)));
        Claim::Granted { fence, row: self.row(now), interrupted: self.interrupted }
    }

    /// Also one whose lease is over, as long as nobody else has claimed since.
    fn is_claimed_by(&self, fence: Fence) -> bool {
        self.claim.is_some_and(|(held, _)| held == fence)
    }

    fn advance(&mut self, sealed: &[u8], now: Moment) {
        self.generation += 1;
        self.sealed = sealed.to_vec();
        self.written = now;
        self.claim = None;
        self.interrupted = false;
    }
}

impl Moment {
    /// How long ago `then` was, by the clock that says more. Leases and the lives of rows are left to the
    /// steady one: this process was suspended too, and the issuer knows how long a session lives.
    fn since(self, then: Self) -> Duration {
        /// So far apart two clocks may be that are right.
        const APART: Duration = Duration::from_secs(5);
        let steady = self.steady.saturating_duration_since(then.steady);
        let wall = self.wall.duration_since(then.wall).unwrap_or_default();
        if wall > steady.saturating_add(APART) { wall } else { steady }
    }
}

/// What cannot be reckoned is as good as never.
fn until(now: Instant, after: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    now + after.min(NEVER)
}

/// Rows are sealed, but nobody needs them in a log: only how many there are.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sessions, aliases) = self.with(|state, _| (state.sessions.len(), state.aliases.len()));
        f.debug_struct("MemoryStore")
            .field("sessions", &sessions)
            .field("aliases", &aliases)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store is full")
    }
}

impl Error for Full {}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const HOUR: Duration = Duration::from_secs(3600);
    const LEASE: Duration = Duration::from_secs(30);

    fn key(name: &str) -> Key {
        Key::of("test", name)
    }

    async fn with_session() -> (MemoryStore, Key) {
        let store = MemoryStore::new(8);
        assert_eq!(store.create(&key("a"), b"0", HOUR).await.unwrap(), Lookup::Unknown);
        (store, key("a"))
    }

    /// The fence of a claim that must be granted, and whether the one before was interrupted.
    async fn granted(store: &MemoryStore, key: &Key, generation: u64) -> (Fence, bool) {
        match store.claim(key, generation, LEASE).await.unwrap() {
            Claim::Granted { fence, interrupted, .. } => (fence, interrupted),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_store_refuses_a_new_session_and_drops_none() {
        let store = MemoryStore::new(2);
        store.create(&key("a"), b"a", HOUR).await.unwrap();
        store.create(&key("b"), b"b", HOUR * 2).await.unwrap();
        store.end(&key("b"), HOUR * 2).await.unwrap();
        assert!(store.create(&key("c"), b"c", HOUR).await.is_err());
        assert!(matches!(store.create(&key("a"), b"c", HOUR).await.unwrap(), Lookup::Live(_)));
        assert_eq!(store.load(&key("b")).await.unwrap(), Lookup::Ended);

        advance(HOUR).await;
        assert_eq!(store.create(&key("c"), b"c", HOUR).await.unwrap(), Lookup::Unknown);
        assert_eq!(store.load(&key("a")).await.unwrap(), Lookup::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_bounded_too() {
        let store = MemoryStore::new(1).aliases(1);
        store.link(&key("x"), &key("a"), HOUR).await.unwrap();
        store.link(&key("x"), &key("b"), HOUR).await.unwrap();
        assert_eq!(store.resolve(&key("x")).await.unwrap(), Some(key("b")));
        advance(HOUR).await;
        assert_eq!(store.resolve(&key("x")).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn of_too_many_names_the_one_that_would_expire_first_goes() {
        let store = MemoryStore::new(1).aliases(2);
        let kept = async || {
            let mut kept = String::new();
            for name in ["x", "y", "z"] {
                kept += if store.resolve(&key(name)).await.unwrap().is_some() { name } else { "-" };
            }
            kept
        };
        for (name, expected) in [("x", "x--"), ("y", "xy-"), ("x", "xy-"), ("z", "x-z"), ("y", "-yz")] {
            store.link(&key(name), &key("a"), HOUR).await.unwrap();
            assert_eq!(kept().await, expected, "{name}");
            advance(Duration::from_secs(1)).await;
        }
        let none = MemoryStore::new(1).aliases(0);
        none.link(&key("x"), &key("a"), HOUR).await.unwrap();
        none.link(&key("y"), &key("a"), HOUR / 2).await.unwrap();
        assert_eq!(none.resolve(&key("y")).await.unwrap(), Some(key("a")), "the newest is always there");
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_lapsed_says_so_to_the_next_and_can_commit_no_more() {
        let (store, key) = with_session().await;
        let (first, interrupted) = granted(&store, &key, 0).await;
        assert!(!interrupted);
        advance(Duration::from_secs(29)).await;
        assert_eq!(store.claim(&key, 0, LEASE).await.unwrap(), Claim::Held(Duration::from_secs(1)));
        advance(Duration::from_secs(1)).await;
        let (second, interrupted) = granted(&store, &key, 0).await;
        assert!(interrupted && second > first);
        assert_eq!(store.commit(&key, first, b"late", HOUR).await.unwrap(), Commit::Fenced);
        store.release(&key, first).await.unwrap();
        assert_eq!(store.commit(&key, second, b"1", HOUR).await.unwrap(), Commit::Stored);
        assert_eq!(store.commit(&key, second, b"twice", HOUR).await.unwrap(), Commit::Fenced);
        assert_eq!(
            store.claim(&key, 0, LEASE).await.unwrap(),
            Claim::Moved(Row::new(1, b"1".to_vec(), Duration::ZERO))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_was_released_leaves_no_trace() {
        let (store, key) = with_session().await;
        let (first, _) = granted(&store, &key, 0).await;
        store.release(&key, first).await.unwrap();
        let (second, interrupted) = granted(&store, &key, 0).await;
        assert!(!interrupted && second > first);
        assert_eq!(store.commit(&key, first, b"late", HOUR).await.unwrap(), Commit::Fenced);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_lives_on_with_each_commit_and_ages_from_there() {
        let (store, key) = with_session().await;
        advance(HOUR / 2).await;
        let (fence, _) = granted(&store, &key, 0).await;
        store.commit(&key, fence, b"1", HOUR).await.unwrap();
        advance(HOUR * 3 / 4).await;
        assert_eq!(store.load(&key).await.unwrap(), Lookup::Live(Row::new(1, b"1".to_vec(), HOUR * 3 / 4)));
        advance(HOUR / 4).await;
        assert_eq!(store.load(&key).await.unwrap(), Lookup::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_machine_was_suspended_rows_have_aged_and_nothing_else_has_passed() {
        let wall = Arc::new(Mutex::new(SystemTime::UNIX_EPOCH + HOUR * 1000));
        let clock = Arc::clone(&wall);
        let store = MemoryStore::new(8).with_wall_clock(move || *clock.lock().unwrap());
        let key = key("a");
        store.create(&key, b"0", HOUR).await.unwrap();
        let age = async || match store.load(&key).await.unwrap() {
            Lookup::Live(row) => row.age,
            other => panic!("{other:?}"),
        };
        let (fence, _) = granted(&store, &key, 0).await;
        advance(Duration::from_secs(7)).await;
        *wall.lock().unwrap() += HOUR * 2;
        assert_eq!(age().await, HOUR * 2);
        assert!(matches!(store.claim(&key, 0, LEASE).await.unwrap(), Claim::Held(_)));

        assert_eq!(store.commit(&key, fence, b"1", HOUR).await.unwrap(), Commit::Stored);
        assert_eq!(age().await, Duration::ZERO, "once it is written anew");
        *wall.lock().unwrap() -= HOUR * 3;
        advance(Duration::from_secs(7)).await;
        assert_eq!(age().await, Duration::from_secs(7), "put back, it changes nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn an_ended_session_is_remembered_and_ends_once() {
        let (store, key) = with_session().await;
        let (fence, _) = granted(&store, &key, 0).await;
        assert!(store.end(&key, HOUR).await.unwrap());
        assert!(!store.end(&key, HOUR).await.unwrap());
        assert_eq!(store.commit(&key, fence, b"late", HOUR).await.unwrap(), Commit::Fenced);
        assert_eq!(store.create(&key, b"again", HOUR).await.unwrap(), Lookup::Ended);
        assert_eq!(store.claim(&key, 0, LEASE).await.unwrap(), Claim::Ended);
        advance(HOUR).await;
        assert_eq!(store.load(&key).await.unwrap(), Lookup::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_beyond_all_reckoning_is_no_panic() {
        let store = MemoryStore::new(1);
        store.create(&key("a"), b"a", Duration::MAX).await.unwrap();
        let Claim::Granted { fence, .. } = store.claim(&key("a"), 0, Duration::MAX).await.unwrap() else {
            panic!("nobody has it");
        };
        assert_eq!(store.resolve(&key("a")).await.unwrap(), None);
        advance(HOUR * 24 * 365 * 20).await;
        assert_eq!(store.commit(&key("a"), fence, b"b", Duration::MAX).await.unwrap(), Commit::Stored);
    }

    #[test]
    fn debug_counts() {
        assert_eq!(format!("{:?}", MemoryStore::new(1)), "MemoryStore { sessions: 0, aliases: 0, .. }");
    }
}
