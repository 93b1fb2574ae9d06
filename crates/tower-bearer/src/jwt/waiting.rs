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
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    runtime::Handle,
    time::{Sleep, sleep},
};

/// For a publisher that never answers; bearer-jwks does so after two seconds at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// The future of a [`JwtVerifier`] for a token whose key is not known yet: the publisher of its issuer's keys
/// is asked once. When it has answered, or said nothing for five seconds, the token is decided by the keys
/// that there are then.
///
/// The five seconds are those of tokio's timer, which the runtime must have enabled as `#[tokio::main]` does.
/// Outside of a tokio runtime the wait is the publisher's alone to bound.
#[must_use = "futures do nothing unless polled"]
pub struct WaitForKeys(pub(super) Box<Waiting<Verified>>);

/// A token of either kind whose key is not known yet.
pub(super) struct Waiting<P> {
    pub(super) question: Question,
    pub(super) verifier: JwtVerifier,
    pub(super) token: Box<str>,
    pub(super) now: SystemTime,
    pub(super) since: Instant,
    /// `None` until there is something to wait for.
    pub(super) patience: Option<Pin<Box<Sleep>>>,
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
        if Pin::new(&mut self.question.answer).poll(cx).is_pending() {
            ready!(self.poll_patience(cx));
        }
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

impl<P> Waiting<P> {
    /// Resolves when nothing more is to be expected. Nobody else's runtime has our timer.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.patience.is_none() && Handle::try_current().is_ok() {
            self.patience = Some(Box::pin(sleep(PATIENCE)));
        }
        self.patience.as_mut().map_or(Poll::Pending, |patience| patience.as_mut().poll(cx))
    }
}

impl fmt::Debug for WaitForKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitForKeys(..)")
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use super::*;
    use crate::{
        Issuer, Verification,
        keys::{self, KeySet, KeySink},
    };
    use bearer_testing::{Algorithm, SigningKey, TokenBuilder};

    const ISS: &str = "https://issuer.example";

    fn key(kid: &str) -> SigningKey {
        SigningKey::generate(Algorithm::EdDSA).kid(kid)
    }

    fn set(keys: &[&SigningKey]) -> KeySet {
        let keys: Vec<_> = keys.iter().map(|key| key.public_jwk()).collect();
        KeySet::from_jwks(&serde_json::json!({ "keys": keys }).to_string()).expect("a set")
    }

    /// Of a publisher that has a key, and a token of another.
    fn waiting(other: &SigningKey) -> (KeySink, WaitForKeys) {
        let (mut sink, source) = keys::channel();
        sink.publish(set(&[&key("a")]));
        let verifier = JwtVerifier::new([Issuer::new(ISS, "api").keys(source)]).expect("a verifier");
        match verifier.verify_token(&TokenBuilder::new(other, ISS, "api").sign(), SystemTime::now()) {
            Verification::Pending(waiting) => (sink, waiting),
            Verification::Done(result) => panic!("it does not wait: {result:?}"),
        }
    }

    async fn soon<F: Future>(future: F) -> F::Output {
        tokio::time::timeout(Duration::from_secs(60), future).await.expect("it waits for ever")
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_on_a_publisher_that_does_not_listen() {
        let (_sink, waiting) = waiting(&key("b"));
        let since = tokio::time::Instant::now();
        let refused = soon(waiting).await.expect_err("no such key");
        assert_eq!(refused.reason(), Reason::UnknownKey);
        let waited = since.elapsed();
        assert!(waited >= PATIENCE && waited < PATIENCE + Duration::from_secs(1), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_published_meanwhile_counts_though_nobody_answers() {
        let other = key("b");
        let (mut sink, waiting) = waiting(&other);
        sink.publish(set(&[&other]));
        assert!(soon(waiting).await.is_ok());
    }

    #[test]
    fn outside_of_a_runtime_the_publisher_bounds_the_wait() {
        let (mut sink, waiting) = waiting(&key("b"));
        let mut waiting = tokio_test::task::spawn(waiting);
        assert!(waiting.poll().is_pending());
        drop(tokio_test::block_on(sink.missed()).expect("a miss"));
        match waiting.poll() {
            Poll::Ready(Err(refused)) => assert_eq!(refused.reason(), Reason::UnknownKey),
            other => panic!("{other:?}"),
        }
    }
}
