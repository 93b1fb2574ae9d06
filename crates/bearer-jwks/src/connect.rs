//! From an [`Issuer`] to a verifier with fresh keys, in one call.

use crate::{connector::Connector, fetch::FetchError, location::InvalidLocation};
use std::{error::Error, fmt, future::Future};
use tower_bearer::{ConfigError, JwtVerifier};

/// Makes a [`JwtVerifier`] whose keys are fetched from the issuers'
/// [`jwks_uri`](tower_bearer::Issuer::jwks_uri), or from where their metadata says, and kept fresh, as long
/// as a clone of the verifier lives, by tasks of the current Tokio runtime.
///
/// For one [`Issuer`](tower_bearer::Issuer), or several at once (an array or `Vec`). An issuer that was given
/// [keys](tower_bearer::Issuer::keys) keeps them; one with nothing but a shared secret fetches nothing.
pub trait Connect: Sized + sealed::Issuers {
    /// Fetches the keys of all issuers first: with the verifier in hand, tokens can be verified.
    ///
    /// An issuer with a shared secret may have an empty set beside it, and publish its first key later.
    ///
    /// # Errors
    /// When the set-up is wrong, or the keys of one issuer cannot be fetched.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    fn connect(self) -> impl Future<Output = Result<JwtVerifier, ConnectError>> + Send {
        async move { Connector::new().connect(self).await }
    }

    /// Starts without keys: requests are answered 503 until the first set arrives, however long that takes.
    ///
    /// # Errors
    /// When the set-up is wrong.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    fn connect_lazy(self) -> Result<JwtVerifier, ConnectError> {
        Connector::new().connect_lazy(self)
    }
}

impl<T: sealed::Issuers> Connect for T {}

/// Why there is no verifier.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum ConnectError {
    /// The set-up of an issuer is wrong.
    Config(ConfigError),
    /// Keys must not be fetched from there.
    Location(InvalidLocation),
    /// The first fetch failed.
    Fetch {
        /// The issuer.
        iss: String,
        /// Why.
        error: FetchError,
    },
    /// The connecting task was stopped.
    Task(String),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Location(error) => error.fmt(f),
            Self::Fetch { iss, error } => write!(f, "the keys of {iss} cannot be fetched: {error}"),
            Self::Task(error) => write!(f, "connecting was stopped: {error}"),
        }
    }
}

/// Without a source: what the causes say is part of what it says.
impl Error for ConnectError {}

pub(crate) mod sealed {
    use tower_bearer::Issuer;

    /// One or several issuers.
    pub trait Issuers: Send + 'static {
        fn into_vec(self) -> Vec<Issuer>;
    }

    impl Issuers for Issuer {
        fn into_vec(self) -> Vec<Issuer> {
            vec![self]
        }
    }

    impl Issuers for Vec<Issuer> {
        fn into_vec(self) -> Vec<Issuer> {
            self
        }
    }

    impl<const N: usize> Issuers for [Issuer; N] {
        fn into_vec(self) -> Vec<Issuer> {
            self.into()
        }
    }
}
