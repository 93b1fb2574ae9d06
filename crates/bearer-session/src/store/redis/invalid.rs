//! [`InvalidRedis`]: why there is no store, before anything was asked of it.

use std::{error::Error, fmt};

/// A [`RedisStore`](super::RedisStore) that cannot be set up so. It never says the address, in which there may
/// be a password.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InvalidRedis {
    /// Not a URL, or not one of a Redis: without a scheme, or with another.
    NotAUrl,
    /// A URL of a Redis with something wrong in it, such as no host, or no number for a database.
    Url(String),
    /// TLS (`rediss://`) without the feature `redis-rustls`.
    NoTls,
    /// Outside a Tokio runtime.
    NoRuntime,
}

impl fmt::Display for InvalidRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAUrl => f.write_str(
                "the address of the Redis is no URL such as redis://user:password@host:6379/0, with its scheme",
            ),
            Self::Url(error) => write!(f, "the address of the Redis is no good: {error}"),
            Self::NoTls => f.write_str(
                "the address of the Redis asks for TLS, for which bearer-session needs its feature `redis-rustls`",
            ),
            Self::NoRuntime => f.write_str("a Redis store is made within a Tokio runtime"),
        }
    }
}

impl Error for InvalidRedis {}
