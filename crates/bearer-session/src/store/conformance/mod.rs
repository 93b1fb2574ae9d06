//! What every [`Store`] must hold to, as a suite that tries to break it: [`Suite`].
//!
//! Whoever writes a store runs it in a test:
//!
//! ```
//! use bearer_session::store::{MemoryStore, conformance::Suite};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     let store = MemoryStore::new(1000);
//! #   tokio::time::pause();
//!     Suite::new(|| store.clone()).run().await;
//! }
//! ```
//!
//! A store that breaks a promise is refused:
//!
//! ```should_panic
//! use bearer_session::store::{MemoryStore, conformance::Suite};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     // Each handle is a store of its own, so that two instances both refresh.
//! #   tokio::time::pause();
//!     Suite::new(|| MemoryStore::new(1000)).run().await;
//! }
//! ```

mod claims;
mod names;
mod notices;
mod rows;
#[cfg(test)]
mod tests;

use super::{Claim, Commit, Fence, Key, Lookup, Row, Store};
use crate::BoxFuture;
use std::{fmt, sync::Arc, time::Duration};

/// The suite, for one store that several handles lead to.
pub struct Suite<'a> {
    open: Box<dyn Fn() -> Arc<dyn Store> + 'a>,
    pass: Box<dyn Fn(Duration) -> BoxFuture<'a, ()> + 'a>,
    unit: Duration,
    /// Keeps the keys of this run apart from those of others.
    run: u64,
}

impl<'a> Suite<'a> {
    /// A suite for the store that `open` opens. Each call must return another handle of the same store, such
    /// as another process would have.
    pub fn new<S: Store>(open: impl Fn() -> S + 'a) -> Self {
        Self {
            open: Box::new(move || Arc::new(open())),
            pass: Box::new(|time| Box::pin(tokio::time::sleep(time))),
            unit: Duration::from_millis(200),
            run: fastrand::u64(..),
        }
    }

    /// How to let time pass for the store. Default: by sleeping, which is at once where the time of tokio is
    /// paused.
    #[must_use]
    pub fn pass(mut self, pass: impl Fn(Duration) -> BoxFuture<'a, ()> + 'a) -> Self {
        self.pass = Box::new(pass);
        self
    }

    /// The time that leases and lives are multiples of. Default 200 milliseconds; more where the store is
    /// slow. No answer may take as long.
    #[must_use]
    pub fn unit(mut self, unit: Duration) -> Self {
        self.unit = unit;
        self
    }

    /// Tries to break each promise. Leaves a few hundred rows behind, of which the last expire within an
    /// hour.
    ///
    /// # Panics
    /// Where a promise is broken, and where the store returns an error.
    pub async fn run(&self) {
        rows::hold(self).await;
        claims::hold(self).await;
        names::hold(self).await;
        notices::hold(self).await;
    }

    fn store(&self) -> Handle {
        Handle((self.open)())
    }

    fn key(&self, name: &str) -> Key {
        Key::of("conformance", &format!("{:x} {name}", self.run))
    }

    /// So many units.
    fn units(&self, units: u32) -> Duration {
        self.unit * units
    }

    async fn pass_units(&self, units: u32) {
        (self.pass)(self.units(units)).await;
    }

    /// A store with a session in it that lives for an hour.
    async fn with_session(&self, name: &str) -> (Handle, Key) {
        let (store, key) = (self.store(), self.key(name));
        assert_eq!(store.create(&key, b"0", HOUR).await, Lookup::Unknown, "{name}: a new key is unknown");
        (store, key)
    }
}

impl fmt::Debug for Suite<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("unit", &self.unit).finish_non_exhaustive()
    }
}

const HOUR: Duration = Duration::from_secs(3600);
/// How many do the same at once.
const MANY: usize = 16;

/// A store that must not fail.
#[derive(Clone)]
struct Handle(Arc<dyn Store>);

impl Handle {
    async fn load(&self, key: &Key) -> Lookup {
        self.0.load(key).await.expect("load must not fail")
    }

    async fn create(&self, key: &Key, sealed: &[u8], ttl: Duration) -> Lookup {
        self.0.create(key, sealed, ttl).await.expect("create must not fail")
    }

    async fn claim(&self, key: &Key, generation: u64, lease: Duration) -> Claim {
        self.0.claim(key, generation, lease).await.expect("claim must not fail")
    }

    async fn commit(&self, key: &Key, fence: Fence, sealed: &[u8], ttl: Duration) -> Commit {
        self.0.commit(key, fence, sealed, ttl).await.expect("commit must not fail")
    }

    async fn release(&self, key: &Key, fence: Fence) {
        self.0.release(key, fence).await.expect("release must not fail");
    }

    async fn end(&self, key: &Key, remember: Duration) -> bool {
        self.0.end(key, remember).await.expect("end must not fail")
    }

    async fn link(&self, alias: &Key, key: &Key, ttl: Duration) {
        self.0.link(alias, key, ttl).await.expect("link must not fail");
    }

    async fn resolve(&self, alias: &Key) -> Option<Key> {
        self.0.resolve(alias).await.expect("resolve must not fail")
    }

    /// The row of a session that must live.
    async fn row(&self, key: &Key) -> Row {
        match self.load(key).await {
            Lookup::Live(row) => row,
            other => panic!("the session must live: {other:?}"),
        }
    }

    /// The fence of a claim that must be granted, the row it came with, and whether one before was
    /// interrupted.
    async fn granted(&self, key: &Key, generation: u64, lease: Duration) -> (Fence, Row, bool) {
        match self.claim(key, generation, lease).await {
            Claim::Granted { fence, row, interrupted } => (fence, row, interrupted),
            other => panic!("the claim must be granted: {other:?}"),
        }
    }
}
