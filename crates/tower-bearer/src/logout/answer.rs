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
        /// Whoever can reach the receiver may ask, and as often as it likes.
        static WARNED: Seldom = Seldom::new();
        let error = match self {
            Self::Method => return answer(StatusCode::METHOD_NOT_ALLOWED, "", [(ALLOW, "POST")]),
            Self::Form(detail) => AuthError::invalid_request(detail),
            Self::Token(error) => error,
        };
        let source = error.source().map(tracing::field::display);
        let bad_request = |body| answer(StatusCode::BAD_REQUEST, body, [(CONTENT_TYPE, "application/json")]);
        let mut response = if error.kind() == AuthErrorKind::Unavailable {
            if WARNED.is_time() {
                tracing::warn!(reason = %error, source, "logout refused: cannot decide");
            } else {
                tracing::debug!(reason = %error, source, "logout refused: cannot decide");
            }
            let mut response = bad_request(UNAVAILABLE);
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS.into());
            response
        } else {
            tracing::debug!(reason = %error, source, "logout refused");
            bad_request(INVALID_REQUEST)
        };
        response.extensions_mut().insert(error);
        response
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
