//! Answers of the routes. None of them says more than a code.

use super::{RouteState, is_for_a_page};
use crate::{
    SessionError, SessionErrorKind,
    endpoint::{ExchangeError, Outcome, is_code},
    keeping::Brought,
    layer::retry_after,
};
use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE, X_CONTENT_TYPE_OPTIONS},
    },
    response::Response,
};
use serde::Serialize;

/// Why a sign-in failed, as it is shown.
pub(super) struct Failure {
    pub(super) status: StatusCode,
    /// Letters, digits and `_-.` only, at most 64.
    pub(super) code: Box<str>,
    retry_after: Option<HeaderValue>,
}

impl Failure {
    /// One of ours.
    pub(super) fn new(status: StatusCode, code: &str) -> Self {
        Self { status, code: code.into(), retry_after: None }
    }

    pub(super) fn bad_request(code: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code)
    }

    /// What the issuer says in the query of a callback, if it is a code. Its own words may be anybody's.
    pub(super) fn reported(error: &str) -> Self {
        Self::bad_request(if is_code(error) { error } else { "sign_in_failed" })
    }

    pub(super) fn exchange(error: &ExchangeError) -> Self {
        let status = match (error.outcome(), error.status()) {
            (Outcome::Final, _) => StatusCode::BAD_REQUEST,
            (_, Some(StatusCode::TOO_MANY_REQUESTS)) => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let unnamed =
            if status == StatusCode::BAD_REQUEST { "sign_in_failed" } else { "temporarily_unavailable" };
        let code = error.code().unwrap_or(unnamed);
        let retry_after = (status != StatusCode::BAD_REQUEST)
            .then(|| retry_after(&SessionError::unavailable(error.retry_after().unwrap_or_default())));
        Self { retry_after, ..Self::new(status, code) }
    }

    pub(super) fn store(error: &SessionError) -> Self {
        let code = "temporarily_unavailable";
        Self { retry_after: Some(retry_after(error)), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code) }
    }
}

impl RouteState {
    /// A page goes back to where one signs in, if this site has such a page; a script gets the status.
    pub(super) fn failed(&self, request: &HeaderMap, failure: &Failure, return_to: Option<&str>) -> Response {
        if let Some(page) = self.options.page.as_ref().filter(|_| is_for_a_page(request)) {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("error", &failure.code);
            if let Some(return_to) = return_to {
                query.append_pair("return_to", return_to);
            }
            return see_other(&format!("{page}?{}", query.finish()));
        }
        let mut response = json(failure.status, &Shown { error: &failure.code });
        if let Some(retry_after) = &failure.retry_after {
            response.headers_mut().insert(RETRY_AFTER, retry_after.clone());
        }
        response
    }

    /// What follows from a session that is not to be had.
    pub(super) fn without(&self, request: &HeaderMap, error: &SessionError) -> Response {
        match error.kind() {
            SessionErrorKind::SignedOut => {
                let mut response = json(StatusCode::UNAUTHORIZED, &Shown { error: "signed_out" });
                if !error.keeps_cookie() {
                    add_cookies(&mut response, self.taken_away(request));
                }
                response
            }
            SessionErrorKind::Unavailable => unavailable(error),
        }
    }

    /// The lines that take away what is there, if anything is.
    pub(super) fn taken_away(&self, request: &HeaderMap) -> Vec<HeaderValue> {
        match self.keeping.brought(request) {
            Brought::Nothing => Vec::new(),
            _ => self.keeping.clear(request),
        }
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    error: &'a str,
}

pub(super) fn unavailable(error: &SessionError) -> Response {
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, &Shown { error: "temporarily_unavailable" });
    response.headers_mut().insert(RETRY_AFTER, retry_after(error));
    response
}

pub(super) fn too_often(seconds: u64) -> Response {
    let mut response = json(StatusCode::TOO_MANY_REQUESTS, &Shown { error: "too_many_requests" });
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

pub(super) fn refused(code: &str) -> Response {
    json(StatusCode::BAD_REQUEST, &Shown { error: code })
}

/// The issuer ends no other sessions of a user.
pub(super) fn unsupported_scope() -> Response {
    json(StatusCode::NOT_IMPLEMENTED, &Shown { error: "unsupported_scope" })
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).unwrap_or_default();
    with(status, CONTENT_TYPE, HeaderValue::from_static("application/json"), Body::from(body))
}

pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// To the issuer. What the URL says goes through the browser and into no log: the state and the nonce of a
/// sign-in, the ID token of a sign-out.
pub(super) fn to_the_issuer(url: &str) -> Response {
    let mut response = see_other(url);
    response.headers_mut().get_mut(LOCATION).into_iter().for_each(|url| url.set_sensitive(true));
    response
}

/// To somewhere that was checked before.
pub(super) fn see_other(location: &str) -> Response {
    match HeaderValue::try_from(location) {
        Ok(location) => with(StatusCode::SEE_OTHER, LOCATION, location, Body::empty()),
        Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

pub(super) fn add_cookies(response: &mut Response, lines: impl IntoIterator<Item = HeaderValue>) {
    for line in lines {
        response.headers_mut().append(SET_COOKIE, line);
    }
}

fn with(status: StatusCode, name: HeaderName, value: HeaderValue, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(name, value);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_final_is_not_said_to_pass_though_the_issuer_has_no_word_for_it() {
        use Outcome::{Final, NotSpent, Unknown};
        for (outcome, status, code, expected) in [
            (Final, None, None, (400, "sign_in_failed")),
            (Final, Some(400), Some("invalid_grant"), (400, "invalid_grant")),
            (NotSpent, Some(429), None, (429, "temporarily_unavailable")),
            (NotSpent, Some(429), Some("over_request_rate_limit"), (429, "over_request_rate_limit")),
            (NotSpent, None, None, (503, "temporarily_unavailable")),
            (Unknown, Some(400), None, (503, "temporarily_unavailable")),
        ] {
            let mut error = ExchangeError::new(outcome);
            if let Some(status) = status {
                error = error.with_status(StatusCode::from_u16(status).unwrap());
            }
            if let Some(code) = code {
                error = error.with_code(code);
            }
            let failure = Failure::exchange(&error);
            assert_eq!((failure.status.as_u16(), &*failure.code), expected);
            assert_eq!(failure.retry_after.is_some(), expected.0 != 400, "{expected:?}");
        }
    }
}
