//! The future of [`Revocable`](super::Revocable).

use super::{
    Revocation, WhenUnsure,
    revocable::{Asked, Inquirer, decide},
};
use crate::{AuthError, Verified, Verify};
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::SystemTime,
};

pin_project! {
    /// The future of [`Revocable`](super::Revocable): waits for the verifier inside, the revocation, or both.
    #[must_use = "futures do nothing unless polled"]
    pub struct RevocableFuture<V: Verify, R: Revocation> {
        #[pin]
        state: State<V::Future, R::Future, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<Verifying, Asking, R> {
        Verifying { #[pin] verifying: Verifying, inquirer: Inquirer<R>, now: SystemTime },
        Asking { #[pin] asking: Asking, verified: Option<Verified>, when_unsure: WhenUnsure },
    }
}

impl<V: Verify, R: Revocation> RevocableFuture<V, R> {
    pub(super) fn verifying(verifying: V::Future, inquirer: Inquirer<R>, now: SystemTime) -> Self {
        Self { state: State::Verifying { verifying, inquirer, now } }
    }

    pub(super) fn asking(asking: R::Future, verified: Verified, when_unsure: WhenUnsure) -> Self {
        Self { state: State::Asking { asking, verified: Some(verified), when_unsure } }
    }
}

impl<V: Verify, R: Revocation> Future for RevocableFuture<V, R> {
    type Output = Result<Verified, AuthError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Verifying { verifying, inquirer, now } => {
                    let verified = match ready!(verifying.poll(cx)) {
                        Ok(verified) => verified,
                        Err(error) => return Poll::Ready(Err(error)),
                    };
                    let when_unsure = inquirer.when_unsure();
                    match inquirer.ask(verified, *now) {
                        Asked::Decided(result) => return Poll::Ready(result),
                        Asked::Pending(asking, verified) => {
                            this.state.set(State::Asking { asking, verified: Some(verified), when_unsure });
                        }
                    }
                }
                StateProj::Asking { asking, verified, when_unsure } => {
                    let answer = ready!(asking.poll(cx));
                    let verified = verified.take().expect("polled after completion");
                    return Poll::Ready(decide(answer, verified, *when_unsure));
                }
            }
        }
    }
}

impl<V: Verify, R: Revocation> fmt::Debug for RevocableFuture<V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RevocableFuture(..)")
    }
}
