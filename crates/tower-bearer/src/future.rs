//! The response future of [`Bearer`](crate::Bearer).

use crate::{
    Rejection, Verify,
    gate::{Gate, Outward},
};
use http::{Request, Response};
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::SystemTime,
};
use tower_service::Service;

pin_project! {
    /// The response future of [`Bearer`](crate::Bearer).
    #[must_use = "futures do nothing unless polled"]
    pub struct BearerFuture<S, V, R, B>
    where
        S: Service<Request<B>>,
        V: Verify,
    {
        #[pin]
        state: State<V::Future, S::Future, R, S::Response, Box<Suspended<S, V, R, B>>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<Verifying, Calling, R, Response, Suspended> {
        Verifying { #[pin] verifying: Verifying, suspended: Option<Suspended> },
        Admitted { suspended: Option<Suspended> },
        Calling { #[pin] calling: Calling, rejection: R, outward: Outward },
        Refused { response: Option<Response> },
    }
}

/// A request that waits for the verifier, and what it needs then. Boxed: it is the largest state and the
/// rarest, and the future of every request would be moved about in its size.
pub(crate) struct Suspended<S, V, R, B> {
    pub(crate) request: Request<B>,
    pub(crate) now: SystemTime,
    /// Not ready yet.
    pub(crate) inner: S,
    pub(crate) rejection: R,
    pub(crate) gate: Arc<Gate<V>>,
}

impl<S: Service<Request<B>>, V: Verify, R, B> BearerFuture<S, V, R, B> {
    pub(crate) fn calling(calling: S::Future, rejection: R, outward: Outward) -> Self {
        Self { state: State::Calling { calling, rejection, outward } }
    }

    pub(crate) fn refused(response: S::Response) -> Self {
        Self { state: State::Refused { response: Some(response) } }
    }

    pub(crate) fn verifying(verifying: V::Future, suspended: Suspended<S, V, R, B>) -> Self {
        Self { state: State::Verifying { verifying, suspended: Some(Box::new(suspended)) } }
    }
}

impl<S, V, R, B, ResBody> Future for BearerFuture<S, V, R, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    V: Verify,
    R: Rejection<ResBody>,
    ResBody: Default,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Verifying { verifying, suspended } => {
                    let outcome = ready!(verifying.poll(cx));
                    let mut suspended = suspended.take().expect("polled after completion");
                    let Suspended { request, now, rejection, gate, .. } = &mut *suspended;
                    match outcome {
                        Ok(verified) => {
                            gate.admit(request, verified, *now);
                            this.state.set(State::Admitted { suspended: Some(suspended) });
                        }
                        Err(error) => return Poll::Ready(Ok(gate.refuse(request, rejection, error))),
                    }
                }
                StateProj::Admitted { suspended } => {
                    let waiting = suspended.as_mut().expect("polled after completion");
                    let is_ready = ready!(waiting.inner.poll_ready(cx));
                    let Suspended { mut request, mut inner, rejection, gate, .. } =
                        *suspended.take().expect("polled after completion");
                    if let Err(error) = is_ready {
                        return Poll::Ready(Err(error));
                    }
                    let outward = gate.enter(&mut request);
                    let calling = inner.call(request);
                    this.state.set(State::Calling { calling, rejection, outward });
                }
                StateProj::Calling { calling, rejection, outward } => {
                    let mut answer = calling.poll(cx);
                    if let Poll::Ready(Ok(response)) = &mut answer {
                        outward.settle(response, rejection);
                    }
                    return answer;
                }
                StateProj::Refused { response } => {
                    return Poll::Ready(Ok(response.take().expect("polled after completion")));
                }
            }
        }
    }
}

impl<S: Service<Request<B>>, V: Verify, R, B> fmt::Debug for BearerFuture<S, V, R, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerFuture(..)")
    }
}
