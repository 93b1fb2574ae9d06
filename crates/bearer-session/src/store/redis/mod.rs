//! [`RedisStore`]: sessions in Redis, which several instances share.

mod builder;
mod claimants;
mod connection;
mod invalid;
mod reply;
mod scripts;
mod subscriber;

pub use self::{builder::RedisStoreBuilder, invalid::InvalidRedis};

use self::{
    claimants::Claimants,
    connection::{Answer, Broken, Connection, Question},
    reply::Malformed,
    scripts::Scripts,
};
use super::{Claim, Commit, Fence, Key, Lookup, Store, StoreError, notices::Notices};
use crate::BoxFuture;
use ::redis::{ScriptInvocation, Value, cmd};
use std::{fmt, sync::Arc, time::Duration};
use tokio::task::AbortHandle;

/// Sessions in Redis 5 or later, or Valkey, which several instances share. Clones are one store: one
/// connection for commands and one for notices.
///
/// Each step is one round trip, and takes no longer than the [timeout](RedisStoreBuilder::timeout). A
/// connection that was closed while it lay idle costs another one, and no step: the owner of sessions repeats
/// those two that the store itself cannot, [`commit`](Store::commit) and [`end`](Store::end). Where Redis is
/// down, slow, full or restarting, the step is an error: then nothing is refreshed, and nothing is spent. All
/// times are those of Redis; the clock of an instance is never asked.
///
/// ```
/// use bearer_session::store::{Key, RedisStore, Store as _};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bearer_session::store::InvalidRedis> {
/// // `rediss://` for TLS, with the feature `redis-rustls`.
/// let store = RedisStore::open("redis://user:password@127.0.0.1:1/0")?;
///
/// // No Redis there: an error, and not "no such session", which would sign somebody out.
/// assert!(store.load(&Key::of("session", "one")).await.is_err());
/// assert!(RedisStore::open("http://127.0.0.1/").is_err());
/// # Ok(())
/// # }
/// ```
///
/// # What Redis must keep
///
/// A session is one key, a hash with the sealed tokens and with the claim of whoever refreshes them. What
/// takes one takes both: a session that was evicted is signed out, and its token is not spent twice.
///
/// * **Memory**: set `maxmemory-policy noeviction`. Then a full Redis refuses new sessions and refreshes,
///   while what was already exchanged is still stored, and sign-outs work, except for [logouts at the
///   issuer](crate::Sessions::heed_logout). Other policies sign users out at random, and forget such logouts.
///   A keeping whose cookies hold the refresh token itself *needs* `noeviction`: such a session
///   begins anew with the token of the cookie. And of such a session, what was exchanged when Redis became
///   full is *not* stored, since its new name is a key of its own: the process that exchanged it keeps it in
///   memory alone, until there is room. If that process ends first, the spent token is presented again where
///   the issuer allows that, and otherwise the session is lost.
/// * **Disk**: either none at all (a restart signs out whoever has an opaque cookie), or `appendonly yes`. With
///   `appendfsync everysec` a crash may bring back a row that is a second old, with a token that was spent
///   since: harmless with an issuer that takes the newest token's predecessor again (Supabase Auth), a double
///   spend with a strict one; for such a one use `appendfsync always`. The same holds for a snapshot that is
///   restored, and for a replica that becomes the primary before it heard of everything
///   (`min-replicas-to-write` narrows that down).
/// * **Rights** of the user, where there are ACLs: `~bearer:*`, `&bearer:*`, and the commands `evalsha`,
///   `script|load`, `time`, `hmget`, `hset`, `hdel`, `hincrby`, `pexpire`, `del`, `get`, `set`, `publish`,
///   `subscribe`, `ping`; and `select`, where the address names another database than 0.
/// * **Cluster**: each step touches a single key, an alias being one of its own, so a cluster may hold them.
///   This client follows no redirections: it needs a proxy in front that does, as managed ones have.
///
/// Notices are published to the channel `bearer:changed`, with the digest of the session's name for content.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    connection: Connection,
    scripts: Scripts,
    claimants: Claimants,
    notices: Notices,
    prefix: String,
    channel: String,
    subscriber: AbortHandle,
}

impl RedisStore {
    /// The store at an address such as `redis://user:password@host:6379/0`, with the settings that
    /// [`builder`](Self::builder) starts with.
    ///
    /// # Errors
    /// Those of [`RedisStoreBuilder::build`].
    pub fn open(url: &str) -> Result<Self, InvalidRedis> {
        Self::builder(url).build()
    }

    /// Settings of a store at an address.
    pub fn builder(url: &str) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url)
    }
}

impl Store for RedisStore {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        let inner = &*self.0;
        inner.run(Broken::Repeat, inner.scripts.load.key(inner.session(key)), reply::lookup)
    }

    fn create<'a>(
        &'a self,
        key: &'a Key,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        let inner = &*self.0;
        Box::pin(async move {
            let mut script = inner.scripts.create.key(inner.session(key));
            script.arg(sealed).arg(milliseconds(ttl));
            let asked = inner.connection.ask(&Question::Script(script), Broken::Repeat).await;
            let Answer { value, is_repeated } = asked.map_err(StoreError::new)?;
            let found = reply::lookup(value).map_err(StoreError::new)?;
            Ok(match found {
                // It was taken the first time.
                Lookup::Live(row) if is_repeated && row.generation == 0 && row.sealed == sealed => {
                    Lookup::Unknown
                }
                found => found,
            })
        })
    }

    fn claim<'a>(
        &'a self,
        key: &'a Key,
        generation: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        let inner = &*self.0;
        Box::pin(async move {
            let attempt = inner.claimants.attempt(key);
            let mut script = inner.scripts.claim.key(inner.session(key));
            script.arg(generation).arg(milliseconds(lease) * 1000).arg(attempt.name());
            let claim = inner.run(Broken::Repeat, script, reply::claim).await?;
            attempt.answered();
            Ok(claim)
        })
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        fence: Fence,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Commit, StoreError>> {
        let inner = &*self.0;
        let mut script = inner.scripts.commit.key(inner.session(key));
        script.arg(fence.get()).arg(sealed).arg(milliseconds(ttl));
        // After one that went through unheard it would say that it is fenced.
        inner.run(Broken::Fail, inner.telling(script, key), reply::commit)
    }

    fn release<'a>(&'a self, key: &'a Key, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>> {
        let inner = &*self.0;
        let mut script = inner.scripts.release.key(inner.session(key));
        script.arg(fence.get());
        inner.run(Broken::Repeat, inner.telling(script, key), reply::release)
    }

    fn end<'a>(&'a self, key: &'a Key, remember: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        let inner = &*self.0;
        let mut script = inner.scripts.end.key(inner.session(key));
        script.arg(milliseconds(remember));
        // After one that went through unheard it would say that the session was over before.
        inner.run(Broken::Fail, inner.telling(script, key), reply::end)
    }

    fn link<'a>(
        &'a self,
        alias: &'a Key,
        key: &'a Key,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let mut set = cmd("SET");
        set.arg(self.0.alias(alias)).arg(key.as_bytes()).arg("PX").arg(milliseconds(ttl).max(1));
        self.0.command(set, reply::link)
    }

    fn resolve<'a>(&'a self, alias: &'a Key) -> BoxFuture<'a, Result<Option<Key>, StoreError>> {
        let mut get = cmd("GET");
        get.arg(self.0.alias(alias));
        self.0.command(get, reply::resolve)
    }

    fn changed(&self, key: &Key) -> BoxFuture<'static, ()> {
        self.0.notices.listen(key)
    }
}

impl Inner {
    fn session(&self, key: &Key) -> String {
        self.name("session", key)
    }

    fn alias(&self, key: &Key) -> String {
        self.name("alias", key)
    }

    /// In hexadecimal digits, for those who look with redis-cli.
    fn name(&self, kind: &str, key: &Key) -> String {
        use fmt::Write as _;
        let mut name = format!("{}:{kind}:", self.prefix);
        for byte in key.as_bytes() {
            let _ = write!(name, "{byte:02x}");
        }
        name
    }

    /// The last arguments of a script that tells those who wait.
    fn telling<'s>(&self, mut script: ScriptInvocation<'s>, key: &Key) -> ScriptInvocation<'s> {
        script.arg(&self.channel).arg(key.as_bytes());
        script
    }

    fn run<'a, T: 'a>(
        &'a self,
        broken: Broken,
        script: ScriptInvocation<'a>,
        read: fn(Value) -> Result<T, Malformed>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        self.ask(broken, Question::Script(script), read)
    }

    fn command<'a, T: 'a>(
        &'a self,
        command: ::redis::Cmd,
        read: fn(Value) -> Result<T, Malformed>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        self.ask(Broken::Repeat, Question::Command(command), read)
    }

    fn ask<'a, T: 'a>(
        &'a self,
        broken: Broken,
        question: Question<'a>,
        read: fn(Value) -> Result<T, Malformed>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            let answer = self.connection.ask(&question, broken).await.map_err(StoreError::new)?;
            read(answer.value).map_err(StoreError::new)
        })
    }
}

/// Rounded up: a lease is never over before its owner knows. What is beyond a century is as good as never.
fn milliseconds(time: Duration) -> u64 {
    const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let time = time.min(NEVER);
    time.as_secs() * 1000 + u64::from(time.subsec_nanos().div_ceil(1_000_000))
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.subscriber.abort();
    }
}

/// The address may hold a password.
impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.0.prefix).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up_and_have_an_end() {
        for (time, expected) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_secs(30), 30_000),
            (Duration::from_micros(1001), 2),
            (Duration::MAX, 3_153_600_000_000),
        ] {
            assert_eq!(milliseconds(time), expected, "{time:?}");
        }
    }

    #[tokio::test]
    async fn debug_shows_no_address() {
        let builder = RedisStore::builder("redis://user:hunter2@127.0.0.1:1/0");
        assert!(!format!("{builder:?}").contains("hunter2"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("hunter2"));
    }

    #[test]
    fn a_store_outside_of_a_runtime_is_an_error_and_no_panic() {
        assert!(RedisStore::open("redis://127.0.0.1:1/").is_err());
    }
}
