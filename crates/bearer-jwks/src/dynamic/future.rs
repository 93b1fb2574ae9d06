//! The future of [`DynamicVerifier`](super::DynamicVerifier).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tower_bearer::{AuthError, Verified, WaitForKeys};

/// The future of a [`DynamicVerifier`](super::DynamicVerifier).
#[must_use = "futures do nothing unless polled"]
pub struct DynamicFuture(State);

enum State {
    Waiting(WaitForKeys),
    Resolving(Pin<Box<dyn Future<Output = Result<Verified, AuthError>> + Send>>),
}

impl DynamicFuture {
    pub(super) fn waiting(waiting: WaitForKeys) -> Self {
        Self(State::Waiting(waiting))
    }

    pub(super) fn resolving(
        resolving: impl Future<Output = Result<Verified, AuthError>> + Send + 'static,
    ) -> Self {
        Self(State::Resolving(Box::pin(resolving)))
    }
}

impl Future for DynamicFuture {
    type Output = Result<Verified, AuthError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Waiting(waiting) => Pin::new(waiting).poll(cx),
            State::Resolving(resolving) => resolving.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for DynamicFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DynamicFuture(..)")
    }
}
