//! [`Revocable`]: any verifier, and the question whether what it accepts was revoked.

use super::{CannotTell, Inquiry, RevocableFuture, Revocation, Standing, WhenUnsure};
use crate::{AuthError, Presented, Reason, Verification, Verified, Verify, seldom::Seldom};
use std::{error::Error, time::SystemTime};

/// A verifier that asks a [`Revocation`] about everything that another one accepts; see
/// [`Verify::revocable`].
///
/// | the answer | what comes of it |
/// |---|---|
/// | not revoked | what the other verifier said |
/// | revoked | 401 `invalid_token`, [`Reason::Revoked`] |
/// | it cannot tell | [`WhenUnsure`] |
#[derive(Clone, Debug)]
pub struct Revocable<V, R> {
    verifier: V,
    inquiry: Inquirer<R>,
}

/// Whom to ask, and what to make of no answer.
#[derive(Clone, Debug)]
pub(super) struct Inquirer<R> {
    revocation: R,
    when_unsure: WhenUnsure,
}

/// The answer on the way to the gate.
pub(super) enum Asked<F> {
    Decided(Result<Verified, AuthError>),
    Pending(F, Verified),
}

impl<V: Verify, R: Revocation> Revocable<V, R> {
    /// Asks `revocation` about what `verifier` accepts.
    pub fn new(verifier: V, revocation: R, when_unsure: WhenUnsure) -> Self {
        Self { verifier, inquiry: Inquirer { revocation, when_unsure } }
    }
}

impl<V: Verify, R: Revocation> Verify for Revocable<V, R> {
    const SCHEME: &'static str = V::SCHEME;

    type Future = RevocableFuture<V, R>;

    fn verify(&self, presented: &Presented<'_>) -> Verification<Self::Future> {
        let now = presented.now;
        match self.verifier.verify(presented) {
            Verification::Done(Err(error)) => Verification::Done(Err(error)),
            Verification::Done(Ok(verified)) => match self.inquiry.ask(verified, now) {
                Asked::Decided(result) => Verification::Done(result),
                Asked::Pending(asking, verified) => {
                    let when_unsure = self.inquiry.when_unsure;
                    Verification::Pending(RevocableFuture::asking(asking, verified, when_unsure))
                }
            },
            Verification::Pending(verifying) => {
                Verification::Pending(RevocableFuture::verifying(verifying, self.inquiry.clone(), now))
            }
        }
    }

    fn realm(&self) -> Option<&str> {
        self.verifier.realm()
    }
}

impl<R: Revocation> Inquirer<R> {
    /// Asks as of the time of the request, which the gate sets only afterwards.
    pub(super) fn ask(&self, verified: Verified, now: SystemTime) -> Asked<R::Future> {
        let verified = verified.verified_at(now);
        match self.revocation.ask(&verified) {
            Inquiry::Answered(answer) => Asked::Decided(decide(answer, verified, self.when_unsure)),
            Inquiry::Pending(asking) => Asked::Pending(asking, verified),
        }
    }

    pub(super) fn when_unsure(&self) -> WhenUnsure {
        self.when_unsure
    }
}

/// What the answer means for the request.
pub(super) fn decide(
    answer: Result<Standing, CannotTell>,
    verified: Verified,
    when_unsure: WhenUnsure,
) -> Result<Verified, AuthError> {
    match (answer, when_unsure) {
        (Ok(Standing::Good), _) => Ok(verified),
        (Ok(Standing::Revoked), _) => Err(Reason::Revoked.into()),
        (Err(error), WhenUnsure::Refuse) => {
            Err(AuthError::unavailable("whether the token was revoked cannot be told").with_source(error))
        }
        (Err(error), WhenUnsure::Accept) => {
            log_doubt(&error);
            Ok(verified)
        }
    }
}

/// In an outage every request has the same to say.
fn log_doubt(error: &CannotTell) {
    static WARNED: Seldom = Seldom::new();
    let source = error.source().map(tracing::field::display);
    if WARNED.is_time() {
        tracing::warn!(reason = %error, source, "token accepted, though it may have been revoked");
    } else {
        tracing::debug!(reason = %error, source, "token accepted, though it may have been revoked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuthErrorKind, Credential, RegisteredClaims};
    use http::Request;
    use std::{
        future::{Future, Ready, ready},
        pin::Pin,
        time::{Duration, UNIX_EPOCH},
    };

    type Answer = Result<Standing, CannotTell>;

    /// Accepts `good`, at once or later.
    #[derive(Clone)]
    struct Inner {
        later: bool,
    }

    impl Verify for Inner {
        const SCHEME: &'static str = "Other";
        type Future = Pin<Box<dyn Future<Output = Result<Verified, AuthError>>>>;
        fn verify(&self, presented: &Presented<'_>) -> Verification<Self::Future> {
            let result = match presented.credential.token() {
                "good" => Ok(Verified::assertion(RegisteredClaims::default(), ())),
                _ => Err(AuthError::invalid_token("bad")),
            };
            if self.later {
                Verification::Pending(Box::pin(async {
                    tokio::task::yield_now().await;
                    result
                }))
            } else {
                Verification::Done(result)
            }
        }
        fn realm(&self) -> Option<&str> {
            Some("inner")
        }
    }

    /// Answers at once, if it is asked as of the time of the request.
    #[derive(Clone)]
    struct AtOnce(Answer);

    impl Revocation for AtOnce {
        type Future = Ready<Answer>;
        fn ask(&self, verified: &Verified) -> Inquiry<Self::Future> {
            assert_eq!(verified.at(), now());
            Inquiry::Answered(self.0.clone())
        }
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000)
    }

    fn ask<R: Revocation>(
        verifier: &Revocable<Inner, R>,
        token: &str,
    ) -> (bool, Result<Verified, AuthError>) {
        let request = Request::new(());
        let presented = Presented::new(Credential::new(token).expect("a token"), &request, now());
        match verifier.verify(&presented) {
            Verification::Done(result) => (false, result),
            Verification::Pending(future) => (true, tokio_test::block_on(future)),
        }
    }

    fn kind(result: Result<Verified, AuthError>) -> Result<(), AuthErrorKind> {
        result.map(drop).map_err(|error| error.kind())
    }

    #[test]
    fn rs_101_every_answer_has_its_consequence_at_once_or_later() {
        use AuthErrorKind::{InvalidToken, Unavailable};
        use WhenUnsure::{Accept, Refuse};
        let unsure = || Err(CannotTell::new("down"));
        let table = [
            (Ok(Standing::Good), Refuse, Ok(())),
            (Ok(Standing::Good), Accept, Ok(())),
            (Ok(Standing::Revoked), Refuse, Err(InvalidToken)),
            (Ok(Standing::Revoked), Accept, Err(InvalidToken)),
            (unsure(), Refuse, Err(Unavailable)),
            (unsure(), Accept, Ok(())),
        ];
        for (answer, when_unsure, expected) in table {
            for later in [false, true] {
                let inner = Inner { later };
                let name = format!("{answer:?}, {when_unsure:?}, {later}");
                let at_once = inner.clone().revocable(AtOnce(answer.clone()), when_unsure);
                let (waited, result) = ask(&at_once, "good");
                assert_eq!((waited, kind(result)), (later, expected), "{name}");
                let answer = answer.clone();
                let closure = inner.revocable(
                    move |verified: &Verified| {
                        assert_eq!(verified.at(), now());
                        let answer = answer.clone();
                        async move {
                            tokio::task::yield_now().await;
                            answer
                        }
                    },
                    when_unsure,
                );
                let (waited, result) = ask(&closure, "good");
                assert_eq!((waited, kind(result)), (true, expected), "{name}, by a closure");
            }
        }
    }

    #[test]
    fn what_is_refused_anyway_is_not_asked_about() {
        for later in [false, true] {
            let never = |_: &Verified| -> Ready<Answer> { panic!("asked") };
            let (_, result) = ask(&Inner { later }.revocable(never, WhenUnsure::Accept), "bad");
            assert_eq!(kind(result), Err(AuthErrorKind::InvalidToken));
        }
    }

    #[test]
    fn the_reason_and_the_cause_are_told() {
        let (_, revoked) =
            ask(&Inner { later: false }.revocable(AtOnce(Ok(Standing::Revoked)), WhenUnsure::Accept), "good");
        assert_eq!(revoked.expect_err("revoked").reason(), Reason::Revoked);
        let down = |_: &Verified| ready(Err(CannotTell::new("down").with_source(std::fmt::Error)));
        let (_, unsure) = ask(&Inner { later: false }.revocable(down, WhenUnsure::Refuse), "good");
        let unsure = unsure.expect_err("unsure");
        let source = unsure.source().expect("what the revocation said");
        assert_eq!(source.to_string(), "down");
        assert!(source.source().is_some());
    }

    #[test]
    fn scheme_and_realm_are_those_of_the_verifier_inside() {
        let verifier = Inner { later: false }.revocable(AtOnce(Ok(Standing::Good)), WhenUnsure::Refuse);
        assert_eq!(verifier.realm(), Some("inner"));
        assert_eq!(<Revocable<Inner, AtOnce> as Verify>::SCHEME, "Other");
    }
}
