//! From an [`Issuer`] to a verifier with fresh keys, in one call.

use crate::{fetch::FetchError, http::HttpFetch, location::InvalidLocation, refresher::Refresher};
use reqwest::Client;
use std::{error::Error, fmt, future::Future};
use tower_bearer::{ConfigError, Issuer, JwtVerifier};

/// Makes a [`JwtVerifier`] whose keys are fetched from the issuers' [`jwks_uri`](Issuer::jwks_uri), or from where their
/// metadata says, and kept fresh, as long as a clone of the verifier lives, by tasks of the current Tokio runtime.
///
/// For one [`Issuer`], or several at once (an array or `Vec`). An issuer that was given [keys](Issuer::keys) keeps
/// them; one with nothing but a shared secret fetches nothing.
pub trait Connect: Sized + sealed::Issuers {
    /// Fetches the keys of all issuers first: with the verifier in hand, tokens can be verified.
    ///
    /// An issuer with a shared secret may have an empty set beside it.
    ///
    /// # Errors
    /// When the set-up is wrong, or the keys of one issuer cannot be fetched.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    fn connect(self) -> impl Future<Output = Result<JwtVerifier, ConnectError>> + Send {
        let issuers = self.into_vec();
        async {
            let client = HttpFetch::client().map_err(ConnectError::Location)?;
            let connecting: Vec<_> =
                issuers.into_iter().map(|issuer| tokio::spawn(connect_one(issuer, client.clone()))).collect();
            let mut connected = Vec::with_capacity(connecting.len());
            for issuer in connecting {
                // A task of ours neither panics nor is it aborted; if so, there is no verifier.
                connected.push(issuer.await.map_err(|error| ConnectError::Task(error.to_string()))??);
            }
            JwtVerifier::new(connected).map_err(ConnectError::Config)
        }
    }

    /// Starts without keys: requests are answered 503 until the first set arrives, however long that takes.
    ///
    /// # Errors
    /// When the set-up is wrong.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    fn connect_lazy(self) -> Result<JwtVerifier, ConnectError> {
        let client = HttpFetch::client().map_err(ConnectError::Location)?;
        let issuers = self.into_vec().into_iter().map(|issuer| start(issuer, &client));
        JwtVerifier::new(issuers.collect::<Result<Vec<_>, _>>()?).map_err(ConnectError::Config)
    }
}

impl<T: sealed::Issuers> Connect for T {}

async fn connect_one(issuer: Issuer, client: Client) -> Result<Issuer, ConnectError> {
    let Some((mut refresher, keys)) = refresher_of(&issuer, &client)? else {
        return Ok(issuer);
    };
    match refresher.refresh().await {
        Ok(()) => {}
        // A project that has not migrated from its shared secret publishes an empty set.
        Err(FetchError::NoUsableKey(_)) if issuer.has_secret() => {}
        Err(error) => return Err(ConnectError::Fetch { iss: issuer.iss().to_owned(), error }),
    }
    tokio::spawn(refresher.run());
    Ok(issuer.keys(keys))
}

/// Starts fetching the keys of an issuer, if they are fetched.
pub(crate) fn start(issuer: Issuer, client: &Client) -> Result<Issuer, ConnectError> {
    Ok(match refresher_of(&issuer, client)? {
        None => issuer,
        Some((refresher, keys)) => {
            tokio::spawn(refresher.run());
            issuer.keys(keys)
        }
    })
}

type Keys = (Refresher<HttpFetch>, tower_bearer::keys::KeySource);

/// `None` for an issuer whose keys are not fetched.
fn refresher_of(issuer: &Issuer, client: &Client) -> Result<Option<Keys>, ConnectError> {
    issuer.validate().map_err(ConnectError::Config)?;
    let fetch = match issuer.key_location() {
        _ if issuer.has_keys() => return Ok(None),
        Some(location) => HttpFetch::with_client(location, client.clone()),
        None if issuer.has_secret() => return Ok(None),
        None => HttpFetch::discover_with_client(issuer.iss(), client.clone()),
    };
    let (refresher, keys) = Refresher::new(fetch.map_err(ConnectError::Location)?);
    Ok(Some((refresher.name(issuer.iss()), keys)))
}

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

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Location(error) => Some(error),
            Self::Fetch { error, .. } => Some(error),
            Self::Task(_) => None,
        }
    }
}

mod sealed {
    use tower_bearer::Issuer;

    /// One or several issuers.
    pub trait Issuers {
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
