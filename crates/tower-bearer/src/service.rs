//! [`Bearer`]: the gate itself.

use crate::{
    AuthError, Credential, Presented, Reason, Rejection, ResponseFuture, Unauthenticated, Verification,
    Verified, Verify,
    challenge::Dialect,
    layer::{Absent, Gate},
};
use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use std::{
    mem,
    task::{Context, Poll},
    time::SystemTime,
};
use tower_service::Service;

/// The service of a [`BearerLayer`](crate::BearerLayer); see there.
#[derive(Clone, Debug)]
pub struct Bearer<S, V, R> {
    pub(crate) inner: S,
    pub(crate) verifier: V,
    pub(crate) rejection: R,
    pub(crate) gate: Gate,
}

impl<S, V, R, ReqBody, ResBody> Service<Request<ReqBody>> for Bearer<S, V, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    V: Verify,
    R: Rejection<ResBody>,
    ResBody: Default,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, V, R, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        // Before anything can print the headers.
        mark_sensitive(request.headers_mut());
        let credential = match Credential::from_headers(request.headers(), V::SCHEME, self.gate.limit) {
            Ok(credential) => credential,
            Err(Reason::NoCredential | Reason::OtherScheme) if self.gate.absent == Absent::Anonymous => {
                return self.admit_anonymous(request);
            }
            Err(reason) => return self.refuse(&request, reason.into()),
        };
        let now = (self.gate.clock)();
        let presented = Presented::new(credential, &request, now);
        match self.verifier.verify(&presented) {
            Verification::Done(Ok(verified)) => self.admit(request, verified, now),
            Verification::Done(Err(error)) => self.refuse(&request, error),
            Verification::Pending(verifying) => {
                let ready = take_ready(&mut self.inner);
                ResponseFuture::verifying(
                    verifying,
                    request,
                    now,
                    ready,
                    self.rejection.clone(),
                    self.gate.challenge.clone(),
                )
            }
        }
    }
}

impl<S: Clone, V, R> Bearer<S, V, R> {
    fn admit<ReqBody, ResBody>(
        &mut self,
        mut request: Request<ReqBody>,
        verified: Verified,
        now: SystemTime,
    ) -> ResponseFuture<S, V, R, ReqBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
        V: Verify,
    {
        request.extensions_mut().insert(verified.under(&self.gate.challenge, now));
        ResponseFuture::calling(self.inner.call(request))
    }

    fn admit_anonymous<ReqBody, ResBody>(
        &mut self,
        mut request: Request<ReqBody>,
    ) -> ResponseFuture<S, V, R, ReqBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
        V: Verify,
    {
        let dialect = Dialect::of(request.headers());
        request.extensions_mut().insert(Unauthenticated::new(self.gate.challenge.clone(), dialect));
        ResponseFuture::calling(self.inner.call(request))
    }

    fn refuse<ReqBody, ResBody>(
        &mut self,
        request: &Request<ReqBody>,
        error: AuthError,
    ) -> ResponseFuture<S, V, R, ReqBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
        V: Verify,
        R: Rejection<ResBody>,
        ResBody: Default,
    {
        give_back(&mut self.inner);
        let dialect = Dialect::of(request.headers());
        ResponseFuture::refused(refusal(&self.gate.challenge, dialect, &self.rejection, error))
    }
}

/// The answer to a refused request, and the one place where it is logged.
pub(crate) fn refusal<B: Default, R: Rejection<B>>(
    challenge: &crate::challenge::Challenge,
    dialect: Dialect,
    rejection: &R,
    error: AuthError,
) -> Response<B> {
    use crate::AuthErrorKind::{Misconfigured, Unavailable};
    let source = std::error::Error::source(&error).map(tracing::field::display);
    match error.kind() {
        Misconfigured => {
            tracing::error!(reason = %error, source, "request refused: the service is put together wrongly");
        }
        Unavailable => tracing::warn!(reason = %error, source, "request refused: cannot decide"),
        _ => tracing::debug!(reason = %error, source, "request refused"),
    }
    // A gRPC answer is all head: with a body it would not be Trailers-Only.
    let body = match dialect {
        Dialect::Http => rejection.body(&error),
        Dialect::Grpc => B::default(),
    };
    challenge.respond(dialect, error, body)
}

/// Whoever prints the request further in does not print its credential.
fn mark_sensitive(headers: &mut HeaderMap) {
    // `entry` alone would make room for a header that most refused requests do not have.
    if !headers.contains_key(AUTHORIZATION) {
        return;
    }
    if let http::header::Entry::Occupied(mut values) = headers.entry(AUTHORIZATION) {
        values.iter_mut().for_each(|value| value.set_sensitive(true));
    }
}

/// Takes the service that was polled ready and leaves its clone behind, because readiness does not transfer to
/// clones.
fn take_ready<S: Clone>(inner: &mut S) -> S {
    let clone = inner.clone();
    mem::replace(inner, clone)
}

/// The service polled ready will not be called: an unready clone in its place gives back to the others whatever
/// it had reserved.
pub(crate) fn give_back<S: Clone>(inner: &mut S) {
    *inner = inner.clone();
}
