//! From an [`AuthError`] to an answer: the one way, for the gate and for those behind it.

use crate::{
    Rejection, Unauthenticated, Verified,
    challenge::{Challenge, Dialect},
    error::{AuthError, AuthErrorKind, Reason},
    seldom::Seldom,
};
use http::{
    Extensions, HeaderMap, Method, Request, Response, StatusCode, Version,
    header::{CACHE_CONTROL, WWW_AUTHENTICATE},
};
use std::{
    error::Error,
    fmt,
    sync::{Arc, LazyLock},
};

/// A refusal by who stands behind the gate: a policy, an extractor, a handler.
///
/// It has the scheme, realm and dialect of the gate that the request came through, which renders its body on
/// the way out. A method of tonic returns it as a `Status`: that of
/// `Status::from_header_map(refusal.into_response::<()>().headers())` has its code, and the challenge in its
/// metadata. What an [observer](crate::Observe) is told of does not get through such a `Status`.
///
/// ```
/// use http::{Request, Response, StatusCode};
/// use tower_bearer::{AuthError, Refusal, RegisteredClaims, Verified};
///
/// fn delete(request: &Request<()>, owner: &str) -> Result<(), Refusal> {
///     let refuse = |error| Refusal::new(error, request.extensions());
///     let caller = Verified::of(request.extensions()).map_err(refuse)?;
///     if caller.subject() == Some(owner) { Ok(()) } else { Err(refuse(AuthError::forbidden("not the owner"))) }
/// }
///
/// let mut claims = RegisteredClaims::default();
/// claims.sub = Some("alice".to_owned());
/// let mut request = Request::new(());
/// request.extensions_mut().insert(Verified::assertion(claims, ()));
///
/// assert!(delete(&request, "alice").is_ok());
/// let answer: Response<String> = delete(&request, "bob").unwrap_err().into_response();
/// assert_eq!(answer.status(), StatusCode::FORBIDDEN);
/// ```
#[derive(Clone, Debug)]
pub struct Refusal {
    error: AuthError,
    challenge: Arc<Challenge>,
    dialect: Dialect,
}

/// Lies in the response extensions of a refusal from behind the gate, until the gate has rendered it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FromWithin(pub(crate) Dialect);

/// Whether the body of an answer is sent, or only its head.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Content {
    Sent,
    /// The answer to HEAD (RFC 9110 §9.3.2). hyper keeps a body back under HTTP/1, and knows its length then;
    /// under HTTP/2 it sends what it is given, which breaks the stream.
    Withheld,
}

impl Content {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let is_head = request.method() == Method::HEAD;
        if is_head && request.version() >= Version::HTTP_2 { Self::Withheld } else { Self::Sent }
    }
}

impl Refusal {
    /// A refusal of the request with these extensions, where the gate has left what the answer takes. Those
    /// of a request that came through no gate make an HTTP answer with a challenge of the realm `api`.
    pub fn new(error: AuthError, extensions: &Extensions) -> Self {
        Self { error, challenge: challenge_of(extensions), dialect: Dialect::noted(extensions) }
    }

    /// As [`new`](Self::new), where all of the request is at hand, which need not have come through a gate.
    pub(crate) fn of<B>(error: AuthError, request: &Request<B>) -> Self {
        Self { dialect: Dialect::of_request(request), ..Self::new(error, request.extensions()) }
    }

    /// Why.
    pub fn error(&self) -> &AuthError {
        &self.error
    }

    /// The answer, without a body: the gate adds that on the way out.
    pub fn into_response<B: Default>(self) -> Response<B> {
        log(&self.error);
        let mut answer = self.challenge.answer(self.dialect, self.error);
        answer.extensions_mut().insert(FromWithin(self.dialect));
        answer.map(|()| B::default())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// Lets the application's renderer have its way with an answer, and holds on to what must stay.
pub(crate) fn render<B: Default, R: Rejection<B>>(
    dialect: Dialect,
    content: Content,
    rejection: &R,
    answer: Response<()>,
) -> Response<B> {
    let Some(error) = answer.extensions().get::<AuthError>().cloned() else {
        return answer.map(|()| B::default());
    };
    // A gRPC answer is all head: with a body it would not be Trailers-Only.
    if dialect == Dialect::Grpc {
        return answer.map(|()| B::default());
    }
    let rendered = if R::ONLY_ADDS {
        rejection.render(&error, answer)
    } else {
        let (status, needed) = (answer.status(), answer.headers().clone());
        let mut rendered = rejection.render(&error, answer);
        put_back(&mut rendered, status, &needed);
        rendered.extensions_mut().insert(error);
        rendered
    };
    match content {
        Content::Sent => rendered,
        Content::Withheld => rendered.map(|_| B::default()),
    }
}

/// A renderer that made an answer of its own for the same status need not know what belongs to it; and
/// whatever it made, no cache may hand it to others.
fn put_back<B>(rendered: &mut Response<B>, status: StatusCode, needed: &HeaderMap) {
    let is_the_same = rendered.status() == status || rendered.status() == StatusCode::UNAUTHORIZED;
    for name in needed.keys().filter(|name| is_the_same || *name == CACHE_CONTROL) {
        if !rendered.headers().contains_key(name) {
            let values = needed.get_all(name).iter().map(|value| (name.clone(), value.clone()));
            rendered.headers_mut().extend(values);
        }
    }
    // There is no challenge for what no token could change, and no 401 without one (RFC 9110 §11.6.1).
    if rendered.status() == StatusCode::UNAUTHORIZED && !rendered.headers().contains_key(WWW_AUTHENTICATE) {
        *rendered.status_mut() = status;
    }
}

/// Every refusal is logged, once. The field names are those of OpenTelemetry's conventions where there is
/// one.
pub(crate) fn log(error: &AuthError) {
    static MISCONFIGURED: Seldom = Seldom::new();
    static UNAVAILABLE: Seldom = Seldom::new();
    static MISFIT: Seldom = Seldom::new();
    let source = error.source().map(tracing::field::display);
    let (kind, reason, issuer) = (error.kind().name(), error.reason().name(), error.issuer());
    match error.kind() {
        AuthErrorKind::Misconfigured if MISCONFIGURED.is_time() => {
            tracing::error!(error.type = kind, reason, issuer, %error, source, "request refused: the service is put together wrongly");
        }
        AuthErrorKind::Unavailable if UNAVAILABLE.is_time() => {
            tracing::warn!(error.type = kind, reason, issuer, %error, source, "request refused: cannot decide");
        }
        // Its signature was good: the issuer and the application do not agree.
        _ if error.reason() == Reason::ClaimsType && MISFIT.is_time() => {
            tracing::warn!(error.type = kind, reason, issuer, %error, source, "request refused: a good token without the claims that the application asks for");
        }
        _ => tracing::debug!(error.type = kind, reason, issuer, %error, source, "request refused"),
    }
}

/// The challenge of the gate that the request came through.
fn challenge_of(extensions: &Extensions) -> Arc<Challenge> {
    /// For a proof that no gate vouches for, as in a test that made it by hand.
    static NO_GATE: LazyLock<Arc<Challenge>> =
        LazyLock::new(|| Arc::new(Challenge::lenient("Bearer", "api")));
    let verified = extensions.get::<Verified>().and_then(Verified::challenge);
    let unauthenticated = extensions.get::<Unauthenticated>().map(Unauthenticated::challenge);
    Arc::clone(verified.or(unauthenticated).unwrap_or(&NO_GATE))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A refusal, as it is after a renderer that made an answer of its own.
    fn rendered(dialect: Dialect, reason: Reason, status: u16, challenge: Option<&str>) -> Response<String> {
        let mut gate = Challenge::lenient("Bearer", "api");
        gate.add_other("DPoP", &[("algs", "ES256")]).expect("a challenge");
        let renderer = |_: &AuthError, _: Response<()>| {
            let own = challenge.iter().map(|challenge| (WWW_AUTHENTICATE, *challenge));
            let own =
                own.fold(Response::builder().status(status), |own, (name, value)| own.header(name, value));
            own.body("mine".to_owned()).expect("an answer")
        };
        render(dialect, Content::Sent, &renderer, gate.answer(dialect, reason.into()))
    }

    #[test]
    fn what_belongs_to_a_status_stays_with_it_whatever_a_renderer_makes() {
        for (reason, status, own, challenges) in [
            (Reason::Expired, 401, None, 2),
            (Reason::Expired, 401, Some("Mine"), 1),
            (Reason::Scope, 403, None, 1),
            (Reason::Scope, 401, None, 1),
            (Reason::Scope, 404, None, 0),
            (Reason::Expired, 404, None, 0),
            (Reason::NoKeys, 401, Some("Mine"), 1),
        ] {
            let answer = rendered(Dialect::Http, reason, status, own);
            let found: Vec<_> = answer.headers().get_all(WWW_AUTHENTICATE).iter().collect();
            assert_eq!(found.len(), challenges, "{reason} {status}");
            assert!(own.is_none_or(|own| found == [own]), "the renderer's own stands alone");
            assert_eq!(answer.headers()[CACHE_CONTROL], "no-store", "{reason} {status}");
            assert_eq!((answer.status().as_u16(), &**answer.body()), (status, "mine"));
            let error = answer.extensions().get::<AuthError>();
            assert_eq!(error.map(AuthError::reason), Some(reason), "for whoever logs it");
        }
    }

    #[test]
    fn rs_015_what_has_no_challenge_is_made_no_401() {
        for (reason, status) in [(Reason::NoKeys, 503), (Reason::NoLayer, 500)] {
            let answer = rendered(Dialect::Http, reason, 401, None);
            assert_eq!((answer.status().as_u16(), &**answer.body()), (status, "mine"), "{reason}");
        }
    }

    #[test]
    fn a_grpc_refusal_is_rendered_by_nobody() {
        let answer = rendered(Dialect::Grpc, Reason::Expired, 401, None);
        assert_eq!((answer.status(), &**answer.body()), (StatusCode::OK, ""));
        assert_eq!(answer.headers()["grpc-status"], "16");
    }
}
