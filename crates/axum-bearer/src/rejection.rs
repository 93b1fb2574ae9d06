//! Why an extractor did not give a user.

use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use std::{error::Error, fmt};
use tower_bearer::Unauthenticated;

/// The rejection of [`AuthUser`](crate::AuthUser).
#[derive(Clone, Debug)]
pub struct AuthRejection(Cause);

#[derive(Clone, Debug)]
enum Cause {
    Unauthenticated(Unauthenticated),
    NoLayer { wanted: &'static str },
    WrongClaims { wanted: &'static str, found: &'static str },
}

impl AuthRejection {
    pub(crate) fn unauthenticated(caller: Unauthenticated) -> Self {
        Self(Cause::Unauthenticated(caller))
    }

    pub(crate) fn no_layer(wanted: &'static str) -> Self {
        Self(Cause::NoLayer { wanted })
    }

    pub(crate) fn wrong_claims(wanted: &'static str, found: &'static str) -> Self {
        Self(Cause::WrongClaims { wanted, found })
    }

    /// Whether the caller sent no credential; otherwise the service is put together wrongly.
    pub fn is_unauthenticated(&self) -> bool {
        matches!(self.0, Cause::Unauthenticated(_))
    }
}

impl IntoResponse for AuthRejection {
    /// 401 with the gate's challenge for an anonymous caller. Anything else is the server's fault: 500 without a
    /// word to the client, the reason in the log.
    fn into_response(self) -> Response {
        match &self.0 {
            Cause::Unauthenticated(caller) => caller.refuse(),
            Cause::NoLayer { .. } | Cause::WrongClaims { .. } => {
                tracing::error!(reason = %self, "request refused: the service is put together wrongly");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

impl fmt::Display for AuthRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Cause::Unauthenticated(_) => f.write_str("no credential"),
            Cause::NoLayer { wanted } => {
                write!(f, "AuthUser<{wanted}> without a BearerLayer around the handler")
            }
            Cause::WrongClaims { wanted, found } => {
                write!(f, "AuthUser<{wanted}>, but the issuer is set up for the claims {found}")
            }
        }
    }
}

impl Error for AuthRejection {}
