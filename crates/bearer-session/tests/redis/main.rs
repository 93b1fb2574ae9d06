//! The store in Redis, over a real one: `redis-server` of Debian's package of that name, started by each test.
//!
//! Without that program the tests skip themselves and say so, unless `REDIS=required`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod commands;
mod conformance;
mod issuer;
mod memory;
mod notices;
mod outages;
mod processes;
mod proxy;
mod server;
mod sessions;
#[cfg(feature = "redis-rustls")]
mod tls;
