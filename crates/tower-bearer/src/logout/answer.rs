//! The answers of a [`LogoutReceiver`](super::LogoutReceiver).

use crate::{AuthError, AuthErrorKind, challenge::RETRY_AFTER_SECONDS, seldom::Seldom};
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use std::error::Error as _;

/// Why there is no logout.
#[derive(Debug)]
pub(super) enum Refusal {
    Method,
    /// The request, before the token is looked at.
    Form(&'static str),
    Token(AuthError),
}

impl Refusal {
    pub(super) fn into_response<B: From<&'static str>>(self) -> Response<B> {
        let error = match self {
            Self::Method => return answer(StatusCode::METHOD_NOT_ALLOWED, "", [(ALLOW, "POST")]),
            Self::Form(detail) => AuthError::invalid_request(detail),
            Self::Token(error) => error,
        };
        let bad_request = |body| answer(StatusCode::BAD_REQUEST, body, [(CONTENT_TYPE, "application/json")]);
        let mut response = if error.kind() == AuthErrorKind::Unavailable {
            let mut response = bad_request(UNAVAILABLE);
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS.into());
            response
        } else {
            bad_request(INVALID_REQUEST)
        };
        response.extensions_mut().insert(error);
        response
    }
}

/// What whoever runs the service is told of refusals. Anybody may ask, and as often as they like.
pub(super) struct Log {
    undecided: Seldom,
    refused: Seldom,
}

impl Log {
    pub(super) const fn new() -> Self {
        Self { undecided: Seldom::new(), refused: Seldom::once_a_minute() }
    }

    pub(super) fn tell(&self, refusal: &Refusal) {
        let error = match refusal {
            Refusal::Method => return,
            Refusal::Form(detail) => return tracing::debug!(reason = detail, "logout refused"),
            Refusal::Token(error) => error,
        };
        let source = error.source().map(tracing::field::display);
        let is_undecided = error.kind() == AuthErrorKind::Unavailable;
        match error.issuer() {
            _ if is_undecided && self.undecided.is_time() => {
                tracing::warn!(reason = %error, source, "logout refused: cannot decide");
            }
            _ if is_undecided => tracing::debug!(reason = %error, source, "logout refused: cannot decide"),
            // In the name of an issuer of ours: its settings may differ from what it sends.
            Some(issuer) if self.refused.is_time() => {
                tracing::warn!(reason = %error, source, issuer, "logout refused: whom the issuer has signed out may go on here");
            }
            issuer => tracing::debug!(reason = %error, source, issuer, "logout refused"),
        }
    }
}

/// One text for all that is wrong with a request, as at the gate.
pub(super) const INVALID_REQUEST: &str =
    r#"{"error":"invalid_request","error_description":"the logout token is missing or not valid"}"#;

/// It may be repeated: the fault is ours, and passes (Back-Channel Logout §2.5).
pub(super) const UNAVAILABLE: &str =
    r#"{"error":"temporarily_unavailable","error_description":"the logout cannot be carried out now"}"#;

/// Never stored by a cache (Back-Channel Logout §2.8).
pub(super) fn answer<B: From<&'static str>, const N: usize>(
    status: StatusCode,
    body: &'static str,
    headers: [(HeaderName, &'static str); N],
) -> Response<B> {
    let mut response = Response::new(B::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
