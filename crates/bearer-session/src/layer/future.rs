//! The response future of [`SessionService`](super::SessionService).

use crate::BoxFuture;
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

pin_project! {
    /// The response future of [`SessionService`](super::SessionService): that of the service behind it where
    /// there is no session, and a boxed one where there is.
    pub struct SessionFuture<F, T> {
        #[pin]
        state: State<F, T>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, T> {
        Passing { #[pin] passing: F },
        Acting { acting: BoxFuture<'static, T> },
    }
}

impl<F, T> SessionFuture<F, T> {
    pub(super) const fn passing(passing: F) -> Self {
        Self { state: State::Passing { passing } }
    }

    pub(super) fn acting(acting: impl Future<Output = T> + Send + 'static) -> Self {
        Self { state: State::Acting { acting: Box::pin(acting) } }
    }
}

impl<F: Future<Output = T>, T> Future for SessionFuture<F, T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match self.project().state.project() {
            StateProj::Passing { passing } => passing.poll(cx),
            StateProj::Acting { acting } => acting.as_mut().poll(cx),
        }
    }
}

impl<F, T> fmt::Debug for SessionFuture<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionFuture(..)")
    }
}
