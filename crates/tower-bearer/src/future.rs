//! The response future of [`Bearer`](crate::Bearer).

use crate::{
    AuthError, Rejection, Verify,
    challenge::{Challenge, Dialect},
    service::refusal,
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
    pub struct ResponseFuture<S, V, R, B>
    where
        S: Service<Request<B>>,
        V: Verify,
    {
        #[pin]
        state: State<V::Future, S::Future, S::Response, Suspended<S, R, B>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<Verifying, Calling, Response, Suspended> {
        Verifying { #[pin] verifying: Verifying, suspended: Option<Suspended> },
        Calling { #[pin] calling: Calling },
        Refused { response: Option<Response> },
    }
}

/// A request that waits for the verifier, and what it needs then.
struct Suspended<S, R, B> {
    request: Request<B>,
    now: SystemTime,
    ready: S,
    rejection: R,
    challenge: Arc<Challenge>,
}

impl<S: Service<Request<B>>, V: Verify, R, B> ResponseFuture<S, V, R, B> {
    pub(crate) fn calling(calling: S::Future) -> Self {
        Self { state: State::Calling { calling } }
    }

    pub(crate) fn refused(response: S::Response) -> Self {
        Self { state: State::Refused { response: Some(response) } }
    }

    pub(crate) fn verifying(
        verifying: V::Future,
        request: Request<B>,
        now: SystemTime,
        ready: S,
        rejection: R,
        challenge: Arc<Challenge>,
    ) -> Self {
        let suspended = Some(Suspended { request, now, ready, rejection, challenge });
        Self { state: State::Verifying { verifying, suspended } }
    }
}

impl<S, V, R, B, ResBody> Future for ResponseFuture<S, V, R, B>
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
                    match outcome {
                        Ok(verified) => {
                            let verified = verified.under(&suspended.challenge, suspended.now);
                            suspended.request.extensions_mut().insert(verified);
                            let calling = suspended.ready.call(suspended.request);
                            this.state.set(State::Calling { calling });
                        }
                        // Dropping the suspended service gives back what it had reserved.
                        Err(error) => return Poll::Ready(Ok(suspended.refuse(error))),
                    }
                }
                StateProj::Calling { calling } => return calling.poll(cx),
                StateProj::Refused { response } => {
                    return Poll::Ready(Ok(response.take().expect("polled after completion")));
                }
            }
        }
    }
}

impl<S, R, B> Suspended<S, R, B> {
    fn refuse<ResBody>(self, error: AuthError) -> Response<ResBody>
    where
        R: Rejection<ResBody>,
        ResBody: Default,
    {
        let dialect = Dialect::of(self.request.headers());
        refusal(&self.challenge, dialect, &self.rejection, error)
    }
}

impl<S: Service<Request<B>>, V: Verify, R, B> fmt::Debug for ResponseFuture<S, V, R, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture(..)")
    }
}
