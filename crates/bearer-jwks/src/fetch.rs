//! Where a JWK Set comes from.

use crate::{InvalidLocation, InvalidMetadata, Schedule, location::start};
use std::{error::Error, fmt, future::Future, sync::Arc, time::Duration};
use tower_bearer::keys::{KeySetError, SkippedKey};

/// A place that a [`Refresher`](crate::Refresher) gets JWK Sets from. [`HttpFetch`](crate::HttpFetch) is the
/// usual one.
///
/// ```
/// use bearer_jwks::{Fetch, FetchError, Fetched, Refresher};
///
/// /// A set that is part of the program.
/// struct Embedded(&'static str);
///
/// impl Fetch for Embedded {
///     async fn fetch(&mut self, _: Option<&str>) -> Result<Fetched, FetchError> {
///         Ok(Fetched::new(self.0))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
/// let one_key = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// let (mut refresher, _keys) = Refresher::new(Embedded(one_key));
/// assert!(refresher.refresh().await.is_ok());
///
/// let (mut refresher, _keys) = Refresher::new(Embedded(r#"{"keys":[]}"#));
/// assert!(matches!(refresher.refresh().await, Err(FetchError::NoUsableKey(_))));
/// # });
/// ```
pub trait Fetch: Send + 'static {
    /// Gets the set. `etag` is that of the last set that was taken, where there was one and the fetch may be
    /// conditional (RFC 9110 §13.1.2).
    ///
    /// The refresher drops the future when it takes too long.
    fn fetch(&mut self, etag: Option<&str>) -> impl Future<Output = Result<Fetched, FetchError>> + Send;

    /// Where the last fetch asked, for the log and [`Status::location`](field@crate::Status::location): no
    /// secret may be in it. `None` before the first fetch, and for a source that has no place.
    fn location(&self) -> Option<String> {
        None
    }

    /// The [`Schedule`] that suits the source.
    fn schedule(&self) -> Schedule {
        Schedule::default()
    }
}

/// What a [`Fetch`] got.
#[non_exhaustive]
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Fetched {
    /// The text of a JWK Set (RFC 7517 §5), or `None` when the set of that `etag` is still the current one.
    pub jwks: Option<String>,
    /// The validator of this set, in a form of the source's own: the next fetch is given it as it is.
    pub etag: Option<String>,
    /// How long the set may be kept, by its source.
    pub max_age: Option<Duration>,
}

impl Fetched {
    /// A set without a validator or a lifetime.
    pub fn new(jwks: impl Into<String>) -> Self {
        Self { jwks: Some(jwks.into()), ..Self::default() }
    }
}

/// Without the set, which may have more in it than public keys, and the validator, which may hold a location
/// and its query.
impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("is_new", &self.jwks.is_some())
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

/// Why a fetch brought no new keys. Contains no key material; at most `kid`s and the location named by
/// metadata. Where it was asked stands beside it: in the log, in
/// [`Status::location`](field@crate::Status::location), and in [`ConnectError`](crate::ConnectError::Fetch).
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum FetchError {
    /// No answer within the deadline.
    Timeout,
    /// The answer's status was not 200.
    Status {
        /// The status code.
        status: u16,
        /// When the server wants to be asked again, of its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The answer was longer than the limit.
    TooLong,
    /// The answer came from another origin, to which the client had followed a redirect.
    Redirected,
    /// The answer was in a content coding that was not asked for.
    Encoded,
    /// The answer was not a JWK Set.
    Malformed(KeySetError),
    /// The set has no key that can be used; what it has was skipped. An empty set often means that the issuer
    /// signs with a shared secret; beside such a [secret](tower_bearer::Issuer::hmac_secret) it is an answer,
    /// until the first key has come.
    NoUsableKey(Arc<[SkippedKey]>),
    /// The set was said to be unchanged, but there is none.
    NotModified,
    /// The issuer's metadata is not its own, or not metadata.
    Metadata(InvalidMetadata),
    /// The issuer's metadata names a location that keys must not be fetched from.
    Location(InvalidLocation),
    /// The transport failed.
    Transport(Arc<dyn Error + Send + Sync>),
}

impl FetchError {
    /// A failure below HTTP. The texts of the error and its sources go into the log: no secret may be in
    /// them.
    pub fn transport(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Transport(Arc::new(error))
    }

    /// A name for a metric's label.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Status { .. } => "status",
            Self::TooLong => "too_long",
            Self::Redirected => "redirected",
            Self::Encoded => "encoded",
            Self::Malformed(_) => "malformed",
            Self::NoUsableKey(_) => "no_usable_key",
            Self::NotModified => "not_modified",
            Self::Metadata(_) => "metadata",
            Self::Location(_) => "location",
            Self::Transport(_) => "transport",
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer in time"),
            Self::Status { status, .. } => write!(f, "the answer's status is {status}"),
            Self::TooLong => f.write_str("the answer is too long"),
            Self::Redirected => f.write_str("the answer came by a redirect from another origin"),
            Self::Encoded => f.write_str("the answer is in a content coding that was not asked for"),
            Self::Malformed(error) => error.fmt(f),
            Self::NoUsableKey(skipped) if skipped.is_empty() => {
                f.write_str("the JWK Set is empty (does the issuer sign with a shared secret, HS256?)")
            }
            Self::NoUsableKey(skipped) => {
                f.write_str("no key of the JWK Set can be used:")?;
                skipped.iter().take(5).try_for_each(|key| {
                    write!(f, " {:?}: {};", start(key.kid().unwrap_or_default()), key.reason())
                })
            }
            Self::NotModified => f.write_str("an unchanged set was announced, but there is none"),
            Self::Metadata(error) => error.fmt(f),
            Self::Location(error) => write!(f, "the issuer's metadata names a bad location: {error}"),
            Self::Transport(error) => {
                error.fmt(f)?;
                // Transports say what went wrong only in their sources.
                let mut source = error.source();
                while let Some(error) = source {
                    write!(f, ": {error}")?;
                    source = error.source();
                }
                Ok(())
            }
        }
    }
}

/// Without a source: what the causes say is part of what it says.
impl Error for FetchError {}

#[cfg(test)]
mod tests {
    use super::*;
    use tower_bearer::keys::KeySet;

    #[test]
    fn the_names_of_a_hostile_set_do_not_fill_the_log() {
        let long = "é".repeat(10_000);
        let keys: Vec<_> = (0..20).map(|_| serde_json::json!({ "kty": "AKP", "kid": long })).collect();
        let set = KeySet::from_jwks(&serde_json::json!({ "keys": keys }).to_string()).expect("a set");
        let text = FetchError::NoUsableKey(set.skipped().into()).to_string();
        assert!(text.contains(&long[..100]), "{text}");
        assert!(text.chars().count() < 2000, "{} characters", text.chars().count());
    }
}
