//! The response future of [`LogoutReceiver`](super::LogoutReceiver).

use super::{
    LIMIT, LogoutReceiver,
    answer::{Refusal, answer},
    effect::Heeding,
};
use crate::VerifyLogoutToken;
use bytes::{Buf, BufMut as _};
use http::{Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

pin_project! {
    /// The response future of [`LogoutReceiver`](super::LogoutReceiver).
    #[must_use = "futures do nothing unless polled"]
    pub struct LogoutFuture<B, ResBody> {
        #[pin]
        state: State<B, ResBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<B, ResBody> {
        Reading { #[pin] body: B, form: Vec<u8>, receiver: LogoutReceiver<ResBody> },
        Verifying { verifying: VerifyLogoutToken, receiver: LogoutReceiver<ResBody> },
        Heeding { heeding: Heeding, receiver: LogoutReceiver<ResBody> },
        /// `None` once it was handed out.
        Refused { refusal: Option<Refusal> },
    }
}

impl<B, ResBody> LogoutFuture<B, ResBody> {
    pub(super) fn reading(body: B, receiver: LogoutReceiver<ResBody>) -> Self {
        Self { state: State::Reading { body, form: Vec::new(), receiver } }
    }

    pub(super) fn refused(refusal: Refusal, receiver: &LogoutReceiver<ResBody>) -> Self {
        Self { state: State::of(refusal, receiver) }
    }
}

impl<B, ResBody> State<B, ResBody> {
    fn of(refusal: Refusal, receiver: &LogoutReceiver<ResBody>) -> Self {
        receiver.log.tell(&refusal);
        Self::Refused { refusal: Some(refusal) }
    }
}

impl<B, ResBody> Future for LogoutFuture<B, ResBody>
where
    B: Body,
    ResBody: From<&'static str>,
{
    type Output = Result<Response<ResBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Reading { body, form, receiver } => {
                    let verifying = ready!(read(body, form, cx)).and_then(|()| receiver.verify(form));
                    match verifying {
                        Ok(verifying) => State::Verifying { verifying, receiver: receiver.clone() },
                        Err(refusal) => State::of(refusal, receiver),
                    }
                }
                StateProj::Verifying { verifying, receiver } => {
                    let token = ready!(Pin::new(verifying).poll(cx)).map_err(Refusal::Token);
                    match token.and_then(|token| receiver.heed(token)) {
                        Ok(heeding) => State::Heeding { heeding, receiver: receiver.clone() },
                        Err(refusal) => State::of(refusal, receiver),
                    }
                }
                StateProj::Heeding { heeding, receiver } => match ready!(heeding.poll(cx)) {
                    Ok(()) => return Poll::Ready(Ok(answer(StatusCode::OK, "", []))),
                    Err(refusal) => State::of(refusal, receiver),
                },
                StateProj::Refused { refusal } => {
                    let refusal = refusal.take().expect("polled after completion");
                    return Poll::Ready(Ok(refusal.into_response()));
                }
            };
            this.state.set(next);
        }
    }
}

/// Reads to the end, or to one byte more than there may be.
fn read<B: Body>(
    mut body: Pin<&mut B>,
    form: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Refusal>> {
    loop {
        let Some(frame) = ready!(body.as_mut().poll_frame(cx)) else { return Poll::Ready(Ok(())) };
        let Ok(frame) = frame else {
            return Poll::Ready(Err(Refusal::Form("the request broke off")));
        };
        // Trailers are never looked at.
        let Ok(data) = frame.into_data() else { continue };
        if data.remaining() > LIMIT - form.len() {
            return Poll::Ready(Err(Refusal::Form("the request is too long")));
        }
        form.put(data);
    }
}

impl<B, ResBody> fmt::Debug for LogoutFuture<B, ResBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogoutFuture(..)")
    }
}
