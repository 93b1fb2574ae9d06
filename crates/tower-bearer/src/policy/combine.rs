//! Policies made of policies: [`And`], [`Or`], [`Not`].

use super::{
    Policy,
    merge::{both, can_be_completed, either},
};
use crate::{
    error::{AuthError, AuthErrorKind, Reason},
    verify::Verified,
};

/// Permits whom both permit; see [`Policy::and`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct And<A, B> {
    first: A,
    second: B,
}

impl<A, B> And<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<A: Policy, B: Policy> Policy for And<A, B> {
    fn check(&self, verified: &Verified) -> Result<(), AuthError> {
        match self.first.check(verified) {
            Ok(()) => self.second.check(verified),
            Err(error) if can_be_completed(&error) => match self.second.check(verified) {
                Ok(()) => Err(error),
                Err(second) => Err(both(error, second)),
            },
            refused => refused,
        }
    }
}

/// Permits whom either permits; see [`Policy::or`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Or<A, B> {
    first: A,
    second: B,
}

impl<A, B> Or<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<A: Policy, B: Policy> Policy for Or<A, B> {
    fn check(&self, verified: &Verified) -> Result<(), AuthError> {
        let Err(first) = self.first.check(verified) else { return Ok(()) };
        let Err(second) = self.second.check(verified) else { return Ok(()) };
        Err(either(first, second))
    }
}

/// Permits whom another refuses; see [`not`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Not<P>(P);

/// Permits whom `policy` refuses for want of a scope, of a stronger sign-in, or of a permission. Its other
/// refusals (503, 500, a bad token) are no answers to its question, and stay.
///
/// Whoever lacks a claim is refused by policies on it, and permitted by their opposite.
///
/// ```
/// use tower_bearer::{RegisteredClaims, Verified, policy::{Policy, not, role}};
///
/// let policy = not(role("suspended").at("app_metadata.flags"));
/// let caller = |json: &str| Verified::assertion(RegisteredClaims::default(), ()).with_json(json);
///
/// assert!(policy.check(&caller(r#"{"app_metadata":{}}"#)).is_ok());
/// assert!(policy.check(&caller(r#"{"app_metadata":{"flags":["suspended"]}}"#)).is_err());
/// ```
pub fn not<P: Policy>(policy: P) -> Not<P> {
    Not(policy)
}

impl<P: Policy> Policy for Not<P> {
    fn check(&self, verified: &Verified) -> Result<(), AuthError> {
        use AuthErrorKind as Kind;
        match self.0.check(verified) {
            Ok(()) => Err(Reason::Policy("not").into()),
            Err(error) => match error.kind() {
                Kind::InsufficientScope | Kind::InsufficientUserAuthentication | Kind::Forbidden => Ok(()),
                Kind::MissingCredential
                | Kind::InvalidRequest
                | Kind::InvalidToken
                | Kind::Unavailable
                | Kind::Misconfigured => Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{
        aal, authenticated, client, deny, max_age,
        merge::tests::{KINDS, refusal},
        role, scope, scopes_all,
        testing::caller,
    };
    use std::time::Duration;

    /// Refuses with this kind, in these words.
    fn refuses(kind: AuthErrorKind, words: &'static str) -> impl Policy {
        move |_: &Verified| Err(refusal(kind, words))
    }

    fn nobody_asks() -> impl Policy {
        |_: &Verified| -> Result<(), AuthError> { panic!("nobody asks") }
    }

    fn check(policy: &impl Policy) -> Result<(), String> {
        policy.check(&caller("{}")).map_err(|error| error.to_string())
    }

    #[test]
    fn truth_tables() {
        for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
            let says = |yes| move |_: &Verified| if yes { Ok(()) } else { Err(AuthError::forbidden("no")) };
            assert_eq!(check(&says(a).and(says(b))).is_ok(), a && b, "{a} and {b}");
            assert_eq!(check(&says(a).or(says(b))).is_ok(), a || b, "{a} or {b}");
            assert_eq!(check(&not(says(a))).is_ok(), !a, "not {a}");
        }
    }

    #[test]
    fn and_asks_the_second_after_a_refusal_only_to_complete_a_challenge() {
        use AuthErrorKind as Kind;
        for kind in KINDS {
            if matches!(kind, Kind::InsufficientScope | Kind::InsufficientUserAuthentication) {
                let worse = refuses(kind, "first").and(refuses(Kind::Forbidden, "second"));
                assert_eq!(check(&worse), Err("second".into()), "{kind:?}");
                let alone = refuses(kind, "first").and(authenticated());
                assert_eq!(check(&alone), Err("first".into()), "{kind:?}");
            } else {
                assert_eq!(
                    check(&refuses(kind, "first").and(nobody_asks())),
                    Err("first".into()),
                    "{kind:?}"
                );
            }
            assert_eq!(
                check(&authenticated().and(refuses(kind, "second"))),
                Err("second".into()),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn or_permits_whatever_the_other_says() {
        for kind in KINDS {
            assert_eq!(check(&refuses(kind, "first").or(authenticated())), Ok(()), "{kind:?}");
            assert_eq!(check(&authenticated().or(nobody_asks())), Ok(()));
        }
    }

    #[test]
    fn not_turns_only_a_no_into_a_yes() {
        use AuthErrorKind as Kind;
        for kind in KINDS {
            let expected = match kind {
                Kind::InsufficientScope | Kind::InsufficientUserAuthentication | Kind::Forbidden => Ok(()),
                _ => Err("it".to_owned()),
            };
            assert_eq!(check(&not(refuses(kind, "it"))), expected, "{kind:?}");
        }
        let refused = not(authenticated()).check(&caller("{}")).expect_err("refused");
        assert_eq!(refused.reason(), Reason::Policy("not"));
        assert_eq!(check(&not(deny())), Ok(()));
    }

    #[test]
    fn not_permits_nobody_about_whom_a_part_of_its_policy_cannot_tell() {
        let suspended = || role("suspended").at("flags");
        // Two readers could see two lists of flags.
        let ambiguous = caller(r#"{"flags":{"suspended":[]},"flags":["suspended"]}"#);
        for policy in [
            &not(suspended()) as &dyn Policy,
            &not(suspended().or(client("batch"))),
            &not(client("batch").or(suspended())),
            &not(scope("a").or(suspended())),
            &not(deny().or(scope("a")).or(suspended())),
        ] {
            assert!(policy.check(&ambiguous).is_err());
            assert!(policy.check(&caller(r#"{"flags":["suspended"]}"#)).is_err());
            assert!(policy.check(&caller(r#"{"flags":[]}"#)).is_ok());
        }
    }

    #[test]
    fn rs_146_one_challenge_asks_for_all_that_is_lacking() {
        let week = max_age(Duration::from_secs(604_800));
        let policy = scopes_all(["a", "b"])
            .and(aal("aal2").max_age(Duration::from_secs(60)))
            .and(week)
            .and(scope("b"));
        let refused = policy.check(&caller("{}")).expect_err("refused");
        assert_eq!(refused.kind(), AuthErrorKind::InsufficientUserAuthentication);
        assert_eq!(refused.required_scope(), Some("a b"));
        assert_eq!(refused.required_acr_values(), Some("aal2"));
        assert_eq!(refused.required_max_age(), Some(Duration::from_secs(60)));
    }
}
