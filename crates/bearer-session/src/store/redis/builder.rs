//! [`RedisStoreBuilder`]: what is said of a Redis before it is asked.

use super::{
    Inner, InvalidRedis, RedisStore, claimants::Claimants, connection::Connection, scripts::Scripts,
    subscriber::Subscriber,
};
use crate::store::notices::Notices;
use redis::{Client, ConnectionAddr, parse_redis_url};
use std::{fmt, sync::Arc, time::Duration};
use tokio::runtime::Handle;

/// Settings of a [`RedisStore`].
#[must_use]
pub struct RedisStoreBuilder {
    url: String,
    prefix: String,
    timeout: Duration,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), prefix: "bearer".to_owned(), timeout: Duration::from_secs(1) }
    }

    /// What the names of keys and of the channel begin with, before a colon. Default `bearer`. Those who
    /// share sessions say the same. Two issuers in one Redis, staging and production too, are never to have
    /// the same: the refresh tokens of one would be presented to the other, which ends the sessions. The
    /// issuer's host makes a good prefix.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a step may take, connecting included. Default 1 second. Keep it far below the lease of a
    /// refresh.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The store. It connects when it is first used, so a program starts also while Redis is down.
    ///
    /// For `rediss://`, the redis crate takes the provider of cryptography that rustls has for the whole
    /// process. Where the application has installed none by then, that of aws-lc-rs is installed here. For
    /// `redis://` none is.
    ///
    /// # Errors
    /// If the URL is not a Redis URL, if it is `rediss://` without the feature `redis-rustls`, or outside a
    /// Tokio runtime.
    pub fn build(self) -> Result<RedisStore, InvalidRedis> {
        let runtime = Handle::try_current().map_err(|_| InvalidRedis::NoRuntime)?;
        let client = open(&self.url)?;
        if let ConnectionAddr::TcpTls { .. } = client.get_connection_info().addr() {
            provide_cryptography();
        }
        let channel = format!("{}:changed", self.prefix);
        let notices = Notices::default();
        let subscriber = Subscriber {
            client: client.clone(),
            channel: channel.clone(),
            notices: notices.clone(),
            bound: self.timeout,
        };
        Ok(RedisStore(Arc::new(Inner {
            connection: Connection::new(client, Scripts::told(), self.timeout),
            scripts: Scripts::new(),
            claimants: Claimants::new(),
            notices,
            prefix: self.prefix,
            channel,
            subscriber: runtime.spawn(subscriber.run()).abort_handle(),
        })))
    }
}

/// The address may hold a password.
impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn open(url: &str) -> Result<Client, InvalidRedis> {
    let url = parse_redis_url(url).ok_or(InvalidRedis::NotAUrl)?;
    let is_tls = matches!(url.scheme(), "rediss" | "valkeys");
    Client::open(url).map_err(|error| {
        // Asked only then, since the application may have another TLS of the redis crate.
        let has_tls = cfg!(feature = "redis-rustls");
        if is_tls && !has_tls { InvalidRedis::NoTls } else { InvalidRedis::Url(error.to_string()) }
    })
}

/// The redis crate takes the provider of the process, and panics where there are two and none was chosen.
fn provide_cryptography() {
    #[cfg(feature = "redis-rustls")]
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Whoever came first is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_wrong_with_an_address_is_said_without_its_password() {
        for (url, expected) in [
            ("", "is no URL"),
            ("localhost:6379", "is no URL"),
            ("127.0.0.1:6379", "is no URL"),
            ("user:hunter2@127.0.0.1:6379", "is no URL"),
            ("http://user:hunter2@127.0.0.1/", "is no URL"),
            ("redis://user:hunter2@127.0.0.1/first", "Invalid database number"),
            ("redis:///0", "Missing hostname"),
        ] {
            let error = RedisStore::open(url).expect_err(url);
            assert!(error.to_string().contains(expected), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn a_store_is_made_within_a_runtime() {
        assert_eq!(RedisStore::open("redis://127.0.0.1:1").err(), Some(InvalidRedis::NoRuntime));
    }

    #[cfg(not(feature = "redis-rustls"))]
    #[tokio::test]
    async fn the_feature_that_tls_needs_is_named() {
        for url in ["rediss://user:hunter2@127.0.0.1:1", "valkeys://127.0.0.1:1"] {
            let error = RedisStore::open(url).expect_err(url);
            assert!(error.to_string().contains("`redis-rustls`"), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    /// Nothing else in these tests chooses one.
    #[cfg(feature = "redis-rustls")]
    #[tokio::test]
    async fn a_provider_of_cryptography_is_chosen_for_tls_alone() {
        use rustls::crypto::CryptoProvider;
        RedisStore::open("redis://127.0.0.1:1").expect("an address");
        assert!(CryptoProvider::get_default().is_none());
        RedisStore::open("rediss://127.0.0.1:1").expect("an address");
        assert!(CryptoProvider::get_default().is_some());
    }
}
