//! What can go wrong with the exchange of a refresh token.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use tokio::time;

use crate::server::Reset;

/// What becomes of one request to exchange a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenFault {
    /// Nothing: it is answered as usual.
    None,
    /// The token is spent at once, and the answer comes this much later.
    Slow(Duration),
    /// The token is spent, and the answer is 504.
    TimeoutAfterCommit,
    /// The token is spent, and the connection is reset in place of an answer.
    ResetAfterCommit,
    /// The token is spent, and the answer is 200 with half a body.
    GarbageAfterCommit,
    /// The connection is reset, and nothing was spent.
    ResetBeforeCommit,
    /// 409: nothing was spent.
    Conflict,
    /// 429, with `Retry-After` in seconds if there is one: nothing was spent.
    TooManyRequests(Option<u32>),
    /// 502 with a page of HTML, as a gateway makes it: nothing was spent.
    BadGateway,
    /// 503, with `Retry-After` in seconds if there is one: nothing was spent.
    Unavailable(Option<u32>),
    /// The session is ended first, as by a sign-out elsewhere; then the token is looked at.
    SessionKilled,
}

/// The faults of the requests to come, in their order.
#[derive(Debug, Default)]
pub(crate) struct TokenFaults(Mutex<VecDeque<TokenFault>>);

impl TokenFaults {
    pub(crate) fn script(&self, faults: impl IntoIterator<Item = TokenFault>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    pub(crate) fn next(&self) -> TokenFault {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or(TokenFault::None)
    }

    pub(crate) fn recover(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl TokenFault {
    /// Spoils an answer. The token is spent when `answer` is awaited; `refusal` is how this issuer words a
    /// status.
    pub(crate) async fn spoil(
        self,
        answer: impl Future<Output = Response>,
        refusal: impl FnOnce(StatusCode) -> Response,
    ) -> Response {
        let later = |seconds: Option<u32>, mut response: Response| {
            if let Some(seconds) = seconds {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        };
        match self {
            Self::None | Self::SessionKilled => answer.await,
            Self::Slow(delay) => {
                let answer = answer.await;
                time::sleep(delay).await;
                answer
            }
            Self::TimeoutAfterCommit => {
                drop(answer.await);
                refusal(StatusCode::GATEWAY_TIMEOUT)
            }
            Self::ResetAfterCommit => {
                drop(answer.await);
                Reset::response()
            }
            Self::GarbageAfterCommit => {
                drop(answer.await);
                let json = HeaderValue::from_static("application/json");
                ([(header::CONTENT_TYPE, json)], r#"{"access_token":"eyJ"#).into_response()
            }
            Self::ResetBeforeCommit => Reset::response(),
            Self::Conflict => refusal(StatusCode::CONFLICT),
            Self::TooManyRequests(seconds) => later(seconds, refusal(StatusCode::TOO_MANY_REQUESTS)),
            Self::BadGateway => {
                let page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
                (StatusCode::BAD_GATEWAY, Html(page)).into_response()
            }
            Self::Unavailable(seconds) => later(seconds, refusal(StatusCode::SERVICE_UNAVAILABLE)),
        }
    }
}
