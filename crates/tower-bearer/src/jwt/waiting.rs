//! A token whose key is not known yet: it is decided again when the refresher has answered.

use super::{
    judge::{Outcome, Proof},
    verifier::JwtVerifier,
};
use crate::{
    AuthError, Reason, Verified,
    keys::{Answer, KeySource, KeyState},
};
use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Instant, SystemTime},
};

/// The future of a [`JwtVerifier`] for a token whose key is not known yet: the refresher is asked once, and
/// answers within its own bounds.
#[must_use = "futures do nothing unless polled"]
pub struct WaitForKeys(pub(super) Box<Waiting<Verified>>);

/// A token of either kind whose key is not known yet.
pub(super) struct Waiting<P> {
    pub(super) question: Question,
    pub(super) verifier: JwtVerifier,
    pub(super) token: Box<str>,
    pub(super) now: SystemTime,
    pub(super) since: Instant,
    pub(super) proof: PhantomData<fn() -> P>,
}

/// What the publisher of an issuer's keys was asked, and what the answer is if it brings nothing new.
pub(super) struct Question {
    pub(super) iss: Arc<str>,
    pub(super) keys: KeySource,
    pub(super) generation: u64,
    pub(super) otherwise: Reason,
    pub(super) answer: Answer,
}

impl Future for WaitForKeys {
    type Output = Result<Verified, AuthError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<P: Proof> Future for Waiting<P> {
    type Output = Result<P, AuthError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(Pin::new(&mut self.question.answer).poll(cx));
        let Question { iss, keys, generation, otherwise, .. } = &self.question;
        let (now, state) = keys.with(|now| (now.generation(), now.state()));
        if now == *generation {
            // The same keys would say the same, at the cost of another signature, unless they are too old by
            // now.
            let reason = if state == KeyState::Stale { Reason::StaleKeys } else { *otherwise };
            return Poll::Ready(Err(AuthError::new(reason).of_issuer(iss)));
        }
        let now = self.now + self.since.elapsed();
        Poll::Ready(match self.verifier.decide(&self.token, now, false) {
            Outcome::Decided(result) => result,
            // It was not asked to wait again; if it ever did, the key is still unknown.
            Outcome::Waiting(_) => Err(Reason::UnknownKey.into()),
        })
    }
}

impl fmt::Debug for WaitForKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitForKeys(..)")
    }
}
