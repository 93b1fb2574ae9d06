//! Keeps the keys of [`tower_bearer`] fresh: fetches an issuer's JWK Set in the background, parses it key by
//! key and swaps it in whole, so that requests read keys and never wait for a fetch, except the first one of
//! a new key.
//!
//! [`Connect`] is the short way: from issuers to a verifier in one call. [`Connector`] is the same with
//! settings, a [`Seed`] for each issuer, and its [`Status`]. [`DynamicVerifier`] asks the application for an
//! issuer when its first token comes. [`Refresher`] is the long way: its [`run`](Refresher::run) is a future
//! that the caller owns, and its source is any [`Fetch`], of which [`HttpFetch`] and [`FileFetch`] are two.
//!
//! ```
//! use bearer_jwks::Connect;
//! use tower_bearer::Issuer;
//! # use bearer_testing::TestIssuer;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let issuer = TestIssuer::start().await;
//! # let (iss, aud, uri) = (issuer.issuer(), issuer.audience(), issuer.jwks_uri());
//! let verifier = Issuer::new(iss, aud).jwks_uri(uri).connect().await?;
//! # drop(verifier);
//!
//! let nobody = Issuer::new(iss, aud).jwks_uri("http://127.0.0.1:9/jwks").connect().await;
//! assert!(nobody.is_err(), "connecting means having keys");
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it behaves
//!
//! - Time passes: a fetch at 80 % of the set's lifetime (± 5 %): after about 8 of the 10 minutes that it has
//!   by default, or as `Cache-Control: max-age` says, but after 60 s at least and an hour at most.
//! - A token names a `kid` that is not there: one fetch for all who ask; each waits 2 s at most; 3 fetches at
//!   once, then one every 10 s.
//! - A signature is bad under a known `kid`: the same, at most one fetch in 60 s, in case the issuer reused
//!   the name.
//! - A fetch fails: the last good keys stay; the next try after 1 s to 60 s, growing, with jitter, or later
//!   where `Retry-After` says so, by 10 minutes at most, and up to a quarter more so that instances do not
//!   come back together.
//! - A fetch succeeds: its set replaces the last one; a key that is gone no longer verifies.
//! - No key of the answer can be used: it counts as failed, and says so; beside a shared secret only once
//!   there were keys.
//! - No success for 6 hours: requests are answered 503 until there is one.
//! - The issuer is down at the start: 503, and recovery by itself; or a [`Seed`] from the last run serves
//!   until then.
//!
//! # What it shows
//!
//! [`Status`], `tracing` events (a warning for the first failure after a success, and when keys get too old;
//! at the level `INFO`, that the failures are over, and how long they lasted; all else is for debugging), and
//! with the feature `metrics` these of the `metrics` facade, all with the label `issuer`:
//!
//! | metric | |
//! |---|---|
//! | `bearer_jwks_ready` | 1 when the keys can be used, 0 when requests are answered 503: before the first keys, when they are too old, and when nobody keeps them fresh any more |
//! | `bearer_jwks_in_use` | 1 while somebody reads the keys, 0 when the issuer was removed from all verifiers |
//! | `bearer_jwks_keys` | how many there are |
//! | `bearer_jwks_last_success_timestamp_seconds` | of the keys in use, a [`Seed`]'s included, in seconds since 1970-01-01T00:00:00Z; 0 before the first |
//! | `bearer_jwks_age_seconds` | told with each fetch, when the keys get too old, and at the end; between those moments the time of the last success says more |
//! | `bearer_jwks_fetches_total` | by `trigger` and `result` |
//! | `bearer_jwks_limited_total` | tokens that were worth no fetch, by `trigger`, counted with the next fetch |
//! | `bearer_lagging_accepts_total` | tokens accepted while the last refresh had failed, or by the keys of a seed that none has confirmed |
//!
//! The gauges are there from the moment in which a refresher [runs](Refresher::run). Of several with the same
//! issuer, all must be ready. Worth an alert, in the words of Prometheus, are
//!
//! ```text
//! bearer_jwks_ready < bearer_jwks_in_use
//! time() - bearer_jwks_last_success_timestamp_seconds > 7200 and bearer_jwks_in_use == 1
//! ```
//!
//! The first holds when requests are answered 503: the issuer has been down since the start, or for too long,
//! or the refresher was stopped while its keys are read. (With `for: 1m`, a service may start in peace.) The
//! second holds hours before, while there is time to see to it: the default [`Schedule`] fetches once an hour
//! at least. Neither holds for an issuer that was removed. (Who stops a refresher by hand removes its issuer
//! first: afterwards nobody is there to notice that the keys are not read any more.)

#![cfg_attr(docsrs, feature(doc_cfg))]

mod connect;
mod connector;
mod discovery;
mod dynamic;
mod fetch;
mod file;
mod freshness;
mod http;
mod location;
mod off_limits;
mod refresher;
mod resolve;
mod schedule;
mod seed;
mod status;
mod telemetry;

pub use connect::{Connect, ConnectError};
pub use connector::Connector;
pub use discovery::InvalidMetadata;
pub use dynamic::{DynamicFuture, DynamicVerifier, DynamicVerifierBuilder, ResolveIssuer};
pub use fetch::{Fetch, FetchError, Fetched};
pub use file::FileFetch;
pub use http::HttpFetch;
pub use location::InvalidLocation;
pub use refresher::{Refresher, RefresherHandle};
pub use schedule::Schedule;
pub use seed::Seed;
pub use status::Status;
