//! [`Bearer`]: the gate itself.

use crate::{
    BearerFuture, Credential, Presented, Rejection, Verification, Verify, future::Suspended, gate::Gate,
};
use http::{Request, Response};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower_service::Service;

/// The service of a [`BearerLayer`](crate::BearerLayer); see there.
#[derive(Clone, Debug)]
pub struct Bearer<S, V, R> {
    pub(crate) inner: S,
    pub(crate) rejection: R,
    pub(crate) gate: Arc<Gate<V>>,
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
    type Future = BearerFuture<S, V, R, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let gate = &*self.gate;
        let now = (gate.clock)();
        let glanced = gate.glance(request.headers_mut(), V::SCHEME);
        let is_marked = glanced.is_some();
        if let Some(verified) = glanced.and_then(|token| gate.verifier.recall(token, now)) {
            gate.admit(&mut request, verified, now);
            return self.forward(request);
        }
        if !is_marked {
            // Before anything can print the headers.
            gate.sources.mark_sensitive(request.headers_mut());
        }
        let token = match gate.sources.find(&request, V::SCHEME, gate.limit) {
            Ok(token) => token,
            Err(reason) if gate.lets_in_without(reason, &request) => {
                gate.admit_anonymous(&mut request);
                return self.forward(request);
            }
            Err(reason) => {
                let refused = gate.refuse(&request, &self.rejection, reason.into());
                return self.answer(refused);
            }
        };
        let credential = Credential::of_checked(&token);
        let verification = gate.verifier.verify(&Presented::new(credential, &request, now));
        if let Some(token) = gate.relayed(&token) {
            request.extensions_mut().insert(token);
        }
        match verification {
            Verification::Done(Ok(verified)) => {
                gate.admit(&mut request, verified, now);
                self.forward(request)
            }
            Verification::Done(Err(error)) => {
                let refused = gate.refuse(&request, &self.rejection, error);
                self.answer(refused)
            }
            Verification::Pending(verifying) => {
                // What the inner service has reserved is not for strangers who wait: it is asked again when
                // they are in.
                give_back(&mut self.inner);
                let suspended = Suspended {
                    request,
                    now,
                    inner: self.inner.clone(),
                    rejection: self.rejection.clone(),
                    gate: Arc::clone(&self.gate),
                };
                BearerFuture::verifying(verifying, suspended)
            }
        }
    }
}

impl<S: Clone, V, R: Clone> Bearer<S, V, R> {
    fn forward<ReqBody, ResBody>(&mut self, mut request: Request<ReqBody>) -> BearerFuture<S, V, R, ReqBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
        V: Verify,
    {
        let outward = self.gate.enter(&mut request);
        BearerFuture::calling(self.inner.call(request), self.rejection.clone(), outward)
    }

    /// The inner service was ready for this request, and is not called.
    fn answer<ReqBody, ResBody>(&mut self, response: Response<ResBody>) -> BearerFuture<S, V, R, ReqBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
        V: Verify,
    {
        give_back(&mut self.inner);
        BearerFuture::refused(response)
    }
}

/// The service polled ready will not be called: an unready clone in its place gives back to the others
/// whatever it had reserved.
pub(crate) fn give_back<S: Clone>(inner: &mut S) {
    *inner = inner.clone();
}
