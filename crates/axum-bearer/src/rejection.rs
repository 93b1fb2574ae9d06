//! Why an extractor did not give a user.

use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use std::{error::Error, fmt};
use tower_bearer::{AuthError, AuthErrorKind, Refusal};

/// The rejection of [`AuthUser`](crate::AuthUser) and [`Authorized`](crate::Authorized): the answer that the
/// gate would give, rendered by it on the way out.
///
/// 401 with the gate's challenge for an anonymous caller. A handler that asks for what the service was not
/// set up for is the server's fault: 500 without a word to the client, the names of the types in the log.
///
/// A handler that decides about one object by itself makes one with [`AuthUser::refuse`](crate::AuthUser::refuse),
/// or of a [`Refusal`]:
///
/// ```
/// use axum::{Router, body::Body, http::{Extensions, Request, StatusCode}, routing::get};
/// use axum_bearer::{AuthError, AuthRejection, BearerLayer, Refusal, Verified};
/// # use axum_bearer::{Algorithm, Issuer, JwtVerifier};
/// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
/// # use tower::ServiceExt;
///
/// async fn mail(extensions: Extensions) -> Result<&'static str, AuthRejection> {
///     let refuse = |error| Refusal::new(error, &extensions);
///     match Verified::of(&extensions).map_err(refuse)?.subject() {
///         Some("alice") => Ok("mail of alice"),
///         _ => Err(refuse(AuthError::forbidden("not the owner")).into()),
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let secret = [7; 32];
/// # let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, secret);
/// let app = Router::new().route("/mail", get(mail)).layer(BearerLayer::new(JwtVerifier::new([issuer])?));
///
/// # let key = SigningKey::hmac(Alg::HS256, &secret);
/// # let token = |subject| TokenBuilder::new(&key, "https://issuer.example", "api").subject(subject).sign();
/// for (token, status) in [(token("alice"), StatusCode::OK), (token("bob"), StatusCode::FORBIDDEN)] {
///     let request = Request::get("/mail").header("authorization", format!("Bearer {token}")).body(Body::empty())?;
///     assert_eq!(app.clone().oneshot(request).await?.status(), status);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AuthRejection(Refusal);

impl From<Refusal> for AuthRejection {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl AuthRejection {
    pub(crate) fn new(error: AuthError, parts: &Parts) -> Self {
        Self(Refusal::new(error, &parts.extensions))
    }

    /// `None` for a caller who sent no credential.
    pub(crate) fn unless_missing<T>(found: Result<T, AuthError>, parts: &Parts) -> Result<Option<T>, Self> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == AuthErrorKind::MissingCredential => Ok(None),
            Err(error) => Err(Self::new(error, parts)),
        }
    }

    /// Why.
    pub fn error(&self) -> &AuthError {
        self.0.error()
    }

    /// Whether the caller sent no credential at all.
    pub fn is_unauthenticated(&self) -> bool {
        self.error().kind() == AuthErrorKind::MissingCredential
    }
}

impl IntoResponse for AuthRejection {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl fmt::Display for AuthRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for AuthRejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// What a handler asked for in vain, for the log: its developer reads it.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// As the router has it, without what a request put in its place.
    route: Option<String>,
    wanted: &'static str,
    /// `None` where there is no gate.
    found: Option<&'static str>,
}

impl Mismatch {
    pub(crate) fn new(wanted: &'static str, found: Option<&'static str>, parts: &Parts) -> Self {
        Self { route: route(parts), wanted, found }
    }
}

#[cfg(feature = "router")]
fn route(parts: &Parts) -> Option<String> {
    parts.extensions.get::<axum::extract::MatchedPath>().map(|path| path.as_str().to_owned())
}

#[cfg(not(feature = "router"))]
fn route(_: &Parts) -> Option<String> {
    None
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.route {
            Some(route) => write!(f, "the handler of {route}")?,
            None => f.write_str("a handler")?,
        }
        write!(f, " takes AuthUser<{}>, ", self.wanted)?;
        match self.found {
            None => f.write_str("and there is no BearerLayer around it"),
            Some(found) => write!(f, "but the issuer is set up for the claims {found}"),
        }
    }
}

impl Error for Mismatch {}
