//! Two refusals become one answer.

use crate::{
    error::{AuthError, AuthErrorKind, Wanted},
    scope::ScopeList,
};
use std::sync::Arc;

/// The refusal when either policy would have been enough. One that cannot tell outweighs a no, since its
/// policy might have permitted: [`not`](super::not) must not take that for a no. Then the one that most can
/// be done about, and the first of two alike.
pub(super) fn either(first: AuthError, second: AuthError) -> AuthError {
    use AuthErrorKind as Kind;
    let rank = |error: &AuthError| match error.kind() {
        Kind::Forbidden => 0,
        Kind::InsufficientScope | Kind::InsufficientUserAuthentication => 1,
        Kind::MissingCredential | Kind::InvalidRequest | Kind::InvalidToken => 2,
        Kind::Unavailable => 3,
        Kind::Misconfigured => 4,
    };
    if rank(&second) > rank(&first) { second } else { first }
}

/// The refusal when both policies are required: two challenges become one, which asks for all (RFC 9470 §3).
/// No challenge is sent where meeting it would not help.
pub(super) fn both(first: AuthError, second: AuthError) -> AuthError {
    use AuthErrorKind as Kind;
    if can_be_completed(&first) && can_be_completed(&second) {
        return merge(first, second);
    }
    let rank = |error: &AuthError| match error.kind() {
        Kind::Unavailable => 0,
        Kind::InsufficientScope | Kind::InsufficientUserAuthentication => 1,
        Kind::Forbidden => 2,
        Kind::MissingCredential | Kind::InvalidRequest | Kind::InvalidToken => 3,
        Kind::Misconfigured => 4,
    };
    if rank(&second) > rank(&first) { second } else { first }
}

/// Whether the answer is a challenge that can ask for more.
pub(super) fn can_be_completed(error: &AuthError) -> bool {
    use AuthErrorKind as Kind;
    matches!(error.kind(), Kind::InsufficientScope | Kind::InsufficientUserAuthentication)
}

/// A sign-in outweighs a scope, and carries it along: the new token can have both.
fn merge(first: AuthError, second: AuthError) -> AuthError {
    let wanted = match (first.wanted(), second.wanted()) {
        (Some(one), Some(other)) => Some(Arc::new(union(one, other))),
        _ => first.shared_wanted().or(second.shared_wanted()),
    };
    let signs_in = |error: &AuthError| error.kind() == AuthErrorKind::InsufficientUserAuthentication;
    let outweighed = signs_in(&second) && !signs_in(&first);
    let error = if outweighed { second } else { first };
    error.with_wanted(wanted)
}

fn union(first: &Wanted, second: &Wanted) -> Wanted {
    Wanted {
        scope: scopes(first.scope.as_ref(), second.scope.as_ref()),
        acr_values: first.acr_values.as_ref().or(second.acr_values.as_ref()).cloned(),
        max_age: first.max_age.into_iter().chain(second.max_age).min(),
    }
}

/// All of both, each once.
fn scopes(first: Option<&ScopeList>, second: Option<&ScopeList>) -> Option<ScopeList> {
    let mut tokens = Vec::new();
    for token in first.into_iter().chain(second).flat_map(ScopeList::tokens) {
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    ScopeList::of_valid(tokens)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::error::Reason;
    use AuthErrorKind::{
        Forbidden, InsufficientScope, InsufficientUserAuthentication, InvalidRequest, InvalidToken,
        Misconfigured, MissingCredential, Unavailable,
    };
    use std::{io, time::Duration};

    pub(in crate::policy) const KINDS: [AuthErrorKind; 8] = [
        MissingCredential,
        InvalidRequest,
        InvalidToken,
        InsufficientScope,
        InsufficientUserAuthentication,
        Forbidden,
        Unavailable,
        Misconfigured,
    ];

    pub(in crate::policy) fn refusal(kind: AuthErrorKind, words: &'static str) -> AuthError {
        AuthError::new(Reason::Other(kind, words))
    }

    /// Which of two refusals wins: a row for each first kind, a column for each second, in the order of
    /// [`KINDS`].
    fn winners(decide: fn(AuthError, AuthError) -> AuthError) -> Vec<String> {
        let winner = |first, second| decide(refusal(first, "1"), refusal(second, "2")).to_string();
        KINDS.iter().map(|first| KINDS.iter().map(|second| winner(*first, *second)).collect()).collect()
    }

    #[test]
    fn either_refusal_is_one_that_cannot_tell_or_the_one_that_most_can_be_done_about() {
        let expected = [
            "11111122", // MissingCredential
            "11111122", // InvalidRequest
            "11111122", // InvalidToken
            "22211122", // InsufficientScope
            "22211122", // InsufficientUserAuthentication
            "22222122", // Forbidden
            "11111112", // Unavailable
            "11111111", // Misconfigured
        ];
        assert_eq!(winners(either), expected);
    }

    #[test]
    fn both_refusals_are_answered_by_what_would_stay_in_the_way() {
        let expected = [
            "11111112", // MissingCredential
            "11111112", // InvalidRequest
            "11111112", // InvalidToken
            "22212212", // InsufficientScope: a sign-in outweighs it
            "22211212", // InsufficientUserAuthentication
            "22211112", // Forbidden
            "22222212", // Unavailable
            "11111111", // Misconfigured
        ];
        assert_eq!(winners(both), expected);
    }

    #[test]
    fn rs_146_two_challenges_become_one_that_asks_for_all() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let scope = |tokens: &[&str]| AuthError::insufficient_scope(tokens.iter().copied());
        let sign_in =
            |acr: &[&str], age| AuthError::insufficient_user_authentication(acr.iter().copied(), age);
        let table = [
            (scope(&["a"]), scope(&["b"]), InsufficientScope, Some("a b"), None, None),
            (scope(&["a", "b", "a"]), scope(&["b", "c"]), InsufficientScope, Some("a b c"), None, None),
            (scope(&["a"]), scope(&[]), InsufficientScope, Some("a"), None, None),
            (
                scope(&["a"]),
                sign_in(&["x", "y"], seconds(9)),
                InsufficientUserAuthentication,
                Some("a"),
                Some("x y"),
                seconds(9),
            ),
            (
                sign_in(&["x"], None),
                scope(&["a"]),
                InsufficientUserAuthentication,
                Some("a"),
                Some("x"),
                None,
            ),
            (
                sign_in(&["x"], seconds(9)),
                sign_in(&["y"], seconds(5)),
                InsufficientUserAuthentication,
                None,
                Some("x"),
                seconds(5),
            ),
            (
                sign_in(&[], seconds(5)),
                sign_in(&["y"], None),
                InsufficientUserAuthentication,
                None,
                Some("y"),
                seconds(5),
            ),
        ];
        for (first, second, kind, scope, acr_values, max_age) in table {
            let one = both(first, second);
            assert_eq!(
                (one.kind(), one.required_scope(), one.required_acr_values(), one.required_max_age()),
                (kind, scope, acr_values, max_age)
            );
        }
    }

    #[test]
    fn what_one_alone_wants_and_says_is_kept() {
        let bare = || refusal(InsufficientUserAuthentication, "bare").with_source(io::Error::other("why"));
        for one in [
            both(bare(), AuthError::insufficient_scope(["a"])),
            both(AuthError::insufficient_scope(["a"]), bare()),
        ] {
            assert_eq!((one.to_string().as_str(), one.required_scope()), ("bare", Some("a")));
            assert!(std::error::Error::source(&one).is_some());
        }
    }
}
