//! The future of a layer that either calls the inner service or answers itself.

use http::Response;
use pin_project_lite::pin_project;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

pin_project! {
    /// The inner service's answer, or one that is there already.
    #[project = ShortCutProj]
    pub(crate) enum ShortCut<F, B> {
        Calling { #[pin] calling: F },
        Answered { response: Option<Response<B>> },
    }
}

impl<F, B> ShortCut<F, B> {
    pub(crate) fn answered(response: Response<B>) -> Self {
        Self::Answered { response: Some(response) }
    }
}

impl<F, B, E> Future for ShortCut<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ShortCutProj::Calling { calling } => calling.poll(cx),
            ShortCutProj::Answered { response } => {
                Poll::Ready(Ok(response.take().expect("polled after completion")))
            }
        }
    }
}
