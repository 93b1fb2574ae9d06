//! Where sessions lie, and who may refresh one: [`Store`].
//!
//! A store keeps one row per session, and the claim of whoever refreshes it in the same row. So a row that is
//! lost takes its claim with it, and a claim that is lost takes its tokens: what is left can never be spent
//! twice.
//!
//! Why not the store of a session middleware, such as that of tower-sessions? It loads, saves and deletes
//! whole sessions. Without a step that claims and one that compares, two instances can both spend a token,
//! and the slower one can put the older token back: what this crate is there to make impossible. An
//! application may have its own sessions there, beside.

#[cfg(feature = "conformance")]
pub mod conformance;
mod expiring;
mod memory;
pub(crate) mod notices;
#[cfg(feature = "redis")]
mod redis;

pub use self::memory::MemoryStore;
#[cfg(feature = "redis")]
pub use self::redis::{InvalidRedis, RedisStore, RedisStoreBuilder};

use crate::BoxFuture;
use sha2::{Digest as _, Sha256};
use std::{error::Error, fmt, num::NonZeroU64, sync::Arc, time::Duration};

/// The name of a session in a store: a digest, so that a copy of the store holds nobody's cookie.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key([u8; 32]);

/// Proof of a claim: of two on one key, the later one is greater, also where the row was forgotten in
/// between.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Fence(NonZeroU64);

/// A session as it lies in a store.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// How many times the session was refreshed. Only ever grows.
    pub generation: u64,
    /// The session itself, sealed by whoever put it here.
    pub sealed: Vec<u8>,
    /// How long ago this generation was written, by the clock of the store. No other clock is asked.
    pub age: Duration,
}

/// What a store knows of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lookup {
    /// The session lives.
    Live(Row),
    /// The session was ended, and that is still remembered.
    Ended,
    /// Never heard of, or forgotten.
    Unknown,
}

/// The answer to [`Store::claim`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Claim {
    /// The caller alone may spend the refresh token of this generation, for as long as the lease lasts.
    Granted {
        /// For [`Store::commit`] and [`Store::release`].
        fence: Fence,
        /// The row as it lies there now.
        row: Row,
        /// Somebody claimed this generation before and neither committed nor released it: the token may be
        /// spent. That stays so until the next commit, whoever claims and releases in between.
        interrupted: bool,
    },
    /// Somebody else may. Their lease ends after this time.
    Held(Duration),
    /// The session is not of the given generation; this is what it is now.
    Moved(Row),
    /// The session has ended.
    Ended,
    /// There is no such session.
    Unknown,
}

/// The answer to [`Store::commit`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Commit {
    /// Stored, as the next generation; the claim is over.
    Stored,
    /// Nothing was stored: the claim is another's by now, or the session is gone.
    Fenced,
}

/// A store cannot be reached, or answers what makes no sense. The error never says what was in the store.
#[derive(Debug)]
pub struct StoreError(Box<dyn Error + Send + Sync>);

/// Keeps sessions, and lets one at a time refresh each.
///
/// Each method is one atomic step. What every implementation must hold to is in the suite of the module
/// `conformance` (feature `conformance`).
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Looks a session up.
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lookup, StoreError>>;

    /// Puts a new session there, as generation 0, for `ttl`. Returns what lies there already, ended sessions
    /// included, and then leaves it alone; [`Lookup::Unknown`] says that nothing did and that it is stored.
    fn create<'a>(
        &'a self,
        key: &'a Key,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lookup, StoreError>>;

    /// Claims the right to refresh this generation, for the time of `lease`.
    ///
    /// Where no answer arrives the claim may have been granted all the same. A store whose answers may get
    /// lost then grants the next call of this process the same claim again, with the same fence and as
    /// little interrupted, unless another has claimed since: so the process can give it back, and need not
    /// be taken for one that was interrupted. One that cannot tell says [`Held`](Claim::Held), and the claim
    /// lapses.
    fn claim<'a>(
        &'a self,
        key: &'a Key,
        generation: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>>;

    /// Stores the next generation for `ttl` and ends the claim, where `fence` is still that of the row. Tells
    /// all who [wait](Self::changed), in all processes.
    fn commit<'a>(
        &'a self,
        key: &'a Key,
        fence: Fence,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Commit, StoreError>>;

    /// Ends a claim whose token was certainly not spent; nothing happens where it is over. Tells all who
    /// wait.
    fn release<'a>(&'a self, key: &'a Key, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Ends a session and remembers that for `remember`. Returns whether it lived until now. Tells all who
    /// wait.
    fn end<'a>(&'a self, key: &'a Key, remember: Duration) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Makes `alias` another name of a session, for `ttl`. An alias leads to the key, whatever lies there, or
    /// nothing: of a [logout at the issuer](crate::Sessions::heed_logout), the key says when it was.
    fn link<'a>(
        &'a self,
        alias: &'a Key,
        key: &'a Key,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The key that an alias leads to.
    fn resolve<'a>(&'a self, alias: &'a Key) -> BoxFuture<'a, Result<Option<Key>, StoreError>>;

    /// Resolves when the row has changed since this call, as far as the store can tell; the caller bounds the
    /// wait and then looks for itself, since a notice may get lost.
    ///
    /// Whoever looks and then waits would miss what happens in between: make this future first, look, and
    /// then await it. It listens from the moment it is returned.
    fn changed(&self, key: &Key) -> BoxFuture<'static, ()>;
}

/// A store that several share.
impl<S: Store + ?Sized> Store for Arc<S> {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        (**self).load(key)
    }

    fn create<'a>(
        &'a self,
        key: &'a Key,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        (**self).create(key, sealed, ttl)
    }

    fn claim<'a>(
        &'a self,
        key: &'a Key,
        generation: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        (**self).claim(key, generation, lease)
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        fence: Fence,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Commit, StoreError>> {
        (**self).commit(key, fence, sealed, ttl)
    }

    fn release<'a>(&'a self, key: &'a Key, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>> {
        (**self).release(key, fence)
    }

    fn end<'a>(&'a self, key: &'a Key, remember: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        (**self).end(key, remember)
    }

    fn link<'a>(
        &'a self,
        alias: &'a Key,
        key: &'a Key,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        (**self).link(alias, key, ttl)
    }

    fn resolve<'a>(&'a self, alias: &'a Key) -> BoxFuture<'a, Result<Option<Key>, StoreError>> {
        (**self).resolve(alias)
    }

    fn changed(&self, key: &Key) -> BoxFuture<'static, ()> {
        (**self).changed(key)
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Self {
        *key
    }
}

impl Key {
    /// The key of a secret name. `purpose` keeps names of different kinds apart.
    pub fn of(purpose: &str, secret: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update((purpose.len() as u64).to_be_bytes());
        hash.update(purpose);
        hash.update(secret);
        Self(hash.finalize().into())
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key that was stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// The first bytes, enough to tell rows apart in a log.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]]);
        write!(f, "Key({start:08x}..)")
    }
}

impl Fence {
    /// `None` for 0, which no claim has.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl Row {
    /// A row as a store found it.
    pub const fn new(generation: u64, sealed: Vec<u8>, age: Duration) -> Self {
        Self { generation, sealed, age }
    }
}

impl StoreError {
    /// What went wrong, without any content.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the session store did not answer as it should")
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}
