//! What a refusal looks like to the client: the body, and whatever else an application wants to say.

use crate::error::AuthError;
use http::{
    HeaderValue, Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use serde::Serialize;

/// Renders the answers to refused requests: those of the gate, and those of the policies and extractors
/// behind it.
///
/// Implemented by [`EmptyRejection`] (the default), [`ProblemDetails`], and closures
/// `Fn(&AuthError, Response<()>) -> Response<B>`:
///
/// ```
/// use http::{Response, StatusCode};
/// use tower_bearer::{AuthError, AuthErrorKind, EmptyRejection, Rejection};
///
/// /// Who may not see it shall not learn that it is there.
/// fn hide(error: &AuthError, mut answer: Response<()>) -> Response<String> {
///     if matches!(error.kind(), AuthErrorKind::InsufficientScope | AuthErrorKind::Forbidden) {
///         answer = Response::new(());
///         *answer.status_mut() = StatusCode::NOT_FOUND;
///     }
///     answer.map(|()| String::new())
/// }
///
/// let forbidden = || {
///     let mut answer = Response::new(());
///     *answer.status_mut() = StatusCode::FORBIDDEN;
///     answer
/// };
/// let error = AuthError::forbidden("not the owner");
/// assert_eq!(hide.render(&error, forbidden()).status(), StatusCode::NOT_FOUND);
///
/// let unchanged: Response<String> = EmptyRejection.render(&error, forbidden());
/// assert_eq!(unchanged.status(), StatusCode::FORBIDDEN);
/// ```
pub trait Rejection<B>: Clone {
    /// Of the renderers of this crate, which only add to the answer: nothing need be put back.
    #[doc(hidden)]
    const ONLY_ADDS: bool = false;

    /// The answer for this refusal. `answer` has its status, its challenges, `Cache-Control: no-store` and
    /// what else belongs to it; add a body and its `Content-Type`, or change what you must.
    ///
    /// What an answer of your own lacks is put back:
    ///
    /// * under the same status, or 401: the challenges, and what else belonged to it;
    /// * under any status: `Cache-Control: no-store`, unless you set another, since a 404 in place of a 403
    ///   is of this caller alone; and the [`AuthError`] in the extensions.
    ///
    /// There is no 401 without a challenge (RFC 9110 §11.6.1): where you make one of a 503 or 500, which have
    /// none, and add none of your own, the answer keeps its status.
    ///
    /// Refused gRPC calls are not rendered: they have no body. Nor has the answer to HEAD: under HTTP/2 the
    /// gate drops the body and keeps your headers, `Content-Length` among them if you set it.
    fn render(&self, error: &AuthError, answer: Response<()>) -> Response<B>;
}

/// The default: no body.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmptyRejection;

impl<B: Default> Rejection<B> for EmptyRejection {
    const ONLY_ADDS: bool = true;

    fn render(&self, _: &AuthError, answer: Response<()>) -> Response<B> {
        answer.map(|()| B::default())
    }
}

impl<F, B> Rejection<B> for F
where
    F: Fn(&AuthError, Response<()>) -> Response<B> + Clone,
{
    fn render(&self, error: &AuthError, answer: Response<()>) -> Response<B> {
        self(error, answer)
    }
}

/// Bodies of `application/problem+json` (RFC 9457), with the members of the challenge as extensions:
///
/// ```
/// use http::{Response, StatusCode};
/// use tower_bearer::{AuthError, EmptyRejection, ProblemDetails, Rejection};
///
/// let mut answer = Response::new(());
/// *answer.status_mut() = StatusCode::FORBIDDEN;
/// let answer: Response<String> = ProblemDetails::new().render(&AuthError::insufficient_scope(["orders:read"]), answer);
///
/// assert_eq!(answer.headers()["content-type"], "application/problem+json");
/// assert_eq!(
///     answer.body(),
///     r#"{"title":"Forbidden","status":403,"detail":"the access token does not have the scope that is needed","error":"insufficient_scope","scope":"orders:read"}"#,
/// );
///
/// let none: Response<String> = EmptyRejection.render(&AuthError::forbidden("not the owner"), Response::new(()));
/// assert_eq!(none.body(), "", "without it there is no body");
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ProblemDetails;

impl ProblemDetails {
    /// With the members that are shown above.
    pub const fn new() -> Self {
        Self
    }
}

/// RFC 9457 §3.1. No `type`: the status says it all (§4.2.1, `about:blank`).
#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr_values: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
}

impl<B: From<String>> Rejection<B> for ProblemDetails {
    const ONLY_ADDS: bool = true;

    fn render(&self, error: &AuthError, mut answer: Response<()>) -> Response<B> {
        let problem = Problem {
            title: answer.status().canonical_reason().unwrap_or("Refused"),
            status: answer.status().as_u16(),
            detail: &error.description(),
            error: error.kind().code(),
            scope: error.required_scope(),
            acr_values: error.required_acr_values(),
            max_age: error.required_max_age().map(|age| age.as_secs()),
        };
        // Texts and numbers: this cannot fail, and an empty body would say no less.
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // Also for HEAD, where the body is not sent (RFC 9110 §8.6).
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        answer.map(|()| body.into())
    }
}
