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
    /// When the set-up is wrong, or the keys of one issuer cannot be fetched. An empty list is wrong too: it
    /// would refuse everybody, and most often something was not read. A deployment that starts without tenants
    /// takes a [`DynamicVerifier`](crate::DynamicVerifier).
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
///
/// `Debug` says the same as `Display`, and the variant: it is what `unwrap`, and a `main` that returns the
/// error, print of it.
#[non_exhaustive]
#[derive(Clone)]
pub enum ConnectError {
    /// The set-up of an issuer is wrong.
    Config(ConfigError),
    /// Keys must not be fetched from there.
    Location(InvalidLocation),
    /// The first fetch failed.
    Fetch {
        /// The issuer.
        iss: String,
        /// Where it was asked: a URL without user, query and fragment.
        location: Option<String>,
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
            Self::Fetch { iss, location, error } => {
                write!(f, "the keys of {iss} cannot be fetched")?;
                let error = error.to_string();
                // Some errors name it themselves.
                if let Some(location) = location.as_deref().filter(|location| !error.contains(location)) {
                    write!(f, " from {location}")?;
                }
                write!(f, ": {error}")
            }
            Self::Task(error) => write!(f, "connecting was stopped: {error}"),
        }
    }
}

impl fmt::Debug for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = match self {
            Self::Config(_) => "Config",
            Self::Location(_) => "Location",
            Self::Fetch { .. } => "Fetch",
            Self::Task(_) => "Task",
        };
        write!(f, "{self} (ConnectError::{variant})")
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

#[cfg(test)]
mod tests {
    use crate::{Connector, FetchError, Schedule};
    use bearer_testing::{Algorithm, ScriptedJwks, SigningKey, Step};
    use serde_json::json;
    use std::time::Duration;
    use tower_bearer::Issuer;

    const METADATA: &str = "/tenant/.well-known/openid-configuration";
    const KEYS: &str = "/keys?key=s3cret";

    fn connector() -> Connector {
        Connector::new().schedule(Schedule { deadline: Duration::from_millis(500), ..Schedule::default() })
    }

    /// Metadata of the issuer at `/tenant`.
    fn metadata(server: &ScriptedJwks) -> Step {
        let (issuer, jwks_uri) = (server.url("/tenant"), server.url(KEYS));
        Step::json(&json!({ "issuer": issuer, "jwks_uri": jwks_uri }))
    }

    async fn assert_it_is_said_where(issuer: Issuer, location: &str) -> String {
        let error = connector().connect(issuer).await.expect_err("there are no keys").to_string();
        assert_eq!(error.matches(location).count(), 1, "{location}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
        error
    }

    #[tokio::test]
    async fn each_way_to_fail_says_where_it_was_asked_without_the_secret_of_the_location() {
        let server = ScriptedJwks::start().await;
        let issuer = || Issuer::new(server.url("/tenant"), "api");
        server.at(METADATA, metadata(&server));
        let location = server.url("/keys");
        for (keys, why) in [
            (Step::status(404), "status is 404"),
            (Step::answer(200, "<html>"), "not a JWK Set"),
            (Step::answer(200, b"\xe9"), "not a JWK Set"),
            (Step::answer(200, r#"{"keys":[]}"#), "the JWK Set is empty"),
            (Step::answer(200, " ".repeat(300 * 1024)), "too long"),
            (Step::answer(200, "{}").header("content-encoding", "gzip"), "content coding"),
            (Step::redirect(302, "https://elsewhere.example/"), "status is 302"),
            (Step::reset(), "error sending request"),
            (Step::hang(), "no answer in time"),
        ] {
            server.at(KEYS, keys);
            for issuer in [issuer().jwks_uri(server.url(KEYS)), issuer()] {
                let error = assert_it_is_said_where(issuer, &location).await;
                assert!(error.contains(why), "{why}: {error}");
            }
        }
    }

    #[tokio::test]
    async fn what_a_main_prints_that_returns_the_error_is_what_the_error_says() {
        let issuer = Issuer::new("https://issuer.example", "api").jwks_uri("http://keycloak/certs");
        let error = connector().connect(issuer).await.expect_err("it is not https");
        let text = error.to_string();
        assert!(text.contains("neither https"), "{text}");
        let printed = format!("{:?}", Box::<dyn std::error::Error>::from(error));
        assert_eq!(printed, format!("{text} (ConnectError::Location)"));
    }

    #[tokio::test]
    async fn metadata_that_is_not_there_or_of_no_use_is_named_by_its_place() {
        let server = ScriptedJwks::start().await;
        let elsewhere = "/.well-known/oauth-authorization-server/tenant";
        for (answer, place) in [
            (Step::status(403), METADATA),
            (Step::status(404), METADATA),
            (Step::status(500), METADATA),
            (Step::hang(), METADATA),
            (Step::answer(200, "<html>"), METADATA),
            (Step::json(&json!({ "issuer": "https://other.example", "jwks_uri": "" })), METADATA),
            (Step::json(&json!({ "issuer": server.url("/tenant"), "jwks_uri": "file:///" })), METADATA),
            (Step::status(500), elsewhere),
        ] {
            server.always(Step::status(404)).at(METADATA, Step::status(404)).at(place, answer);
            assert_it_is_said_where(Issuer::new(server.url("/tenant"), "api"), &server.url(place)).await;
        }
    }

    #[tokio::test]
    async fn the_status_tells_where_metadata_says_that_the_keys_are() {
        let server = ScriptedJwks::start().await;
        let issuer = || Issuer::new(server.url("/tenant"), "api");
        let key = SigningKey::generate(Algorithm::EdDSA).kid("a");
        server.at(METADATA, metadata(&server)).at(KEYS, Step::jwks([&key]));
        let up = connector();
        let _verifier = up.connect(issuer()).await.expect("keys");
        assert_eq!(up.statuses().remove(0).1.borrow().location, Some(server.url("/keys")));

        server.at(KEYS, Step::status(500));
        let connector = connector();
        let _verifier = connector.connect_lazy(issuer()).expect("a set-up");
        let mut status = connector.statuses().remove(0).1;
        let status = status.wait_for(|status| status.failures == 1).await.expect("it runs");
        assert_eq!(status.location, Some(server.url("/keys")));
        assert!(matches!(status.last_error, Some(FetchError::Status { status: 500, .. })), "{status:?}");
    }
}
