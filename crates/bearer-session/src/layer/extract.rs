//! [`CurrentSession`] as a handler argument.

use super::{CurrentSession, current::Passed};
use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{Extensions, request::Parts},
    response::{IntoResponse, Response},
};
use std::{error::Error, fmt};
use tower_bearer::{AuthError, AuthErrorKind, Reason, Refusal};

/// The rejection of [`CurrentSession`]: the answer that the gate would give, rendered by it on the way out.
///
/// 401 with the gate's challenge for a caller without a session, whatever else they brought. Without a
/// [`SessionLayer`](crate::SessionLayer) around the handler, 500 without a word to the client.
#[derive(Clone, Debug)]
pub struct SessionRejection(Refusal);

impl SessionRejection {
    /// Why.
    pub fn error(&self) -> &AuthError {
        self.0.error()
    }

    fn new(error: AuthError, parts: &Parts) -> Self {
        Self(Refusal::new(error, &parts.extensions))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CurrentSession {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionRejection> {
        find(&parts.extensions).map_err(|error| SessionRejection::new(error, parts))
    }
}

/// `None` for a caller without a session.
impl<S: Send + Sync> OptionalFromRequestParts<S> for CurrentSession {
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, SessionRejection> {
        match find(&parts.extensions) {
            Ok(session) => Ok(Some(session)),
            Err(error) if error.kind() == AuthErrorKind::MissingCredential => Ok(None),
            Err(error) => Err(SessionRejection::new(error, parts)),
        }
    }
}

fn find(extensions: &Extensions) -> Result<CurrentSession, AuthError> {
    match extensions.get::<CurrentSession>() {
        Some(session) => Ok(session.clone()),
        None if extensions.get::<Passed>().is_some() => {
            Err(AuthError::from(Reason::NoCredential).with_source(NoSession))
        }
        None => Err(AuthError::misconfigured("CurrentSession without a SessionLayer around the handler")),
    }
}

impl IntoResponse for SessionRejection {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl fmt::Display for SessionRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for SessionRejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// For the log: there may well be a credential, of the caller's own.
#[derive(Debug)]
struct NoSession;

impl fmt::Display for NoSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the handler asks for a session, and the caller has none")
    }
}

impl Error for NoSession {}
