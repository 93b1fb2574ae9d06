//! Requirements on the scopes of a token (RFC 6749 §3.3).

use super::{Policy, Quantity};
use crate::{
    error::{AuthError, Reason, Wanted},
    jwt::Scopes,
    scope::{ScopeList, is_scope_token},
    verify::Verified,
};
use std::sync::Arc;

/// Permits tokens with these scopes; see [`scope`], [`scopes_all`], [`scopes_any`]. Cheap to clone.
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireScopes {
    wanted: Arc<Wanted>,
    quantity: Quantity,
    broader: Option<ScopeList>,
}

/// Permits tokens that carry this scope (RFC 6749 §3.3).
///
/// # Panics
/// When `token` is not one scope token: empty, or with a space, quote, backslash or anything but visible
/// ASCII.
pub fn scope(token: &str) -> RequireScopes {
    scopes_all([token])
}

/// Permits tokens that carry all of these scopes.
///
/// # Panics
/// When the list is empty, or one of it is not a scope token.
pub fn scopes_all<'a>(tokens: impl IntoIterator<Item = &'a str>) -> RequireScopes {
    RequireScopes::new(tokens, Quantity::All)
}

/// Permits tokens that carry at least one of these scopes. The challenge names them all.
///
/// # Panics
/// When the list is empty, or one of it is not a scope token.
pub fn scopes_any<'a>(tokens: impl IntoIterator<Item = &'a str>) -> RequireScopes {
    RequireScopes::new(tokens, Quantity::Any)
}

/// Whether this is one scope token (RFC 6749 §3.3); [`scope`] would panic otherwise.
pub const fn is_scope(token: &str) -> bool {
    is_scope_token(token)
}

impl RequireScopes {
    fn new<'a>(tokens: impl IntoIterator<Item = &'a str>, quantity: Quantity) -> Self {
        let wanted = Wanted { scope: Some(list(tokens)), ..Wanted::default() };
        Self { wanted: Arc::new(wanted), quantity, broader: None }
    }

    /// Permits tokens that carry one of these broader scopes too. The challenge still names only what is
    /// required: a client is never sent for more than it needs.
    ///
    /// ```
    /// use tower_bearer::{RegisteredClaims, Scopes, Verified, policy::{Policy, scope}};
    ///
    /// let read = scope("files:read").implied_by(["files:write", "files:admin"]);
    /// let caller = |token| {
    ///     let mut claims = RegisteredClaims::default();
    ///     claims.scopes = Scopes::from_iter([token]);
    ///     Verified::assertion(claims, ())
    /// };
    /// assert!(read.check(&caller("files:admin")).is_ok());
    ///
    /// let refused = read.check(&caller("profile")).unwrap_err();
    /// assert_eq!(refused.required_scope(), Some("files:read"));
    /// ```
    ///
    /// # Panics
    /// When the list is empty, or one of it is not a scope token.
    pub fn implied_by<'a>(self, broader: impl IntoIterator<Item = &'a str>) -> Self {
        let more = list(broader);
        let all = list(self.broader.iter().flat_map(ScopeList::tokens).chain(more.tokens()));
        Self { broader: Some(all), ..self }
    }

    fn permits(&self, granted: &Scopes) -> bool {
        let mut required = self.wanted.scope.iter().flat_map(ScopeList::tokens);
        let mut broader = self.broader.iter().flat_map(ScopeList::tokens);
        let has = |token| granted.contains(token);
        match self.quantity {
            Quantity::All => required.all(has) || broader.any(has),
            Quantity::Any => required.any(has) || broader.any(has),
        }
    }
}

/// A requirement is written by the developer: a wrong one is a mistake in the program, found at its start.
fn list<'a>(tokens: impl IntoIterator<Item = &'a str>) -> ScopeList {
    ScopeList::new(tokens).expect("a required scope is one or more scope tokens (RFC 6749 §3.3)")
}

impl Policy for RequireScopes {
    fn check(&self, verified: &Verified) -> Result<(), AuthError> {
        if self.permits(verified.scopes()) {
            Ok(())
        } else {
            Err(AuthError::wanting(Reason::Scope, Arc::clone(&self.wanted)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::caller_with_scopes as caller;

    #[test]
    fn all_means_all_and_any_means_one() {
        let table: &[(&[&str], bool, bool)] = &[
            (&["a", "b"], true, true),
            (&["b", "a", "c", "a"], true, true),
            (&["a"], false, true),
            (&["A", "B"], false, false),
            (&["ab"], false, false),
            (&[], false, false),
        ];
        for (granted, all, any) in table {
            assert_eq!(scopes_all(["a", "b"]).check(&caller(granted)).is_ok(), *all, "{granted:?}");
            assert_eq!(scopes_any(["a", "b"]).check(&caller(granted)).is_ok(), *any, "{granted:?}");
        }
    }

    #[test]
    fn rs_117_a_broader_scope_stands_for_all_that_is_required() {
        let all = scopes_all(["a", "b"]).implied_by(["admin"]).implied_by(["root"]);
        let any = scopes_any(["a", "b"]).implied_by(["admin", "root"]);
        let table: &[(&[&str], bool, bool)] = &[
            (&["admin"], true, true),
            (&["x", "root"], true, true),
            (&["a", "admin"], true, true),
            (&["a", "b"], true, true),
            (&["a"], false, true),
            (&["admi"], false, false),
            (&["admin:x"], false, false),
            (&[], false, false),
        ];
        for (granted, for_all, for_any) in table {
            assert_eq!(all.check(&caller(granted)).is_ok(), *for_all, "{granted:?}");
            assert_eq!(any.check(&caller(granted)).is_ok(), *for_any, "{granted:?}");
        }
    }

    #[test]
    fn rs_117_the_challenge_names_only_what_is_required() {
        let refused = scope("a").implied_by(["admin"]).check(&caller(&["b"])).expect_err("refused");
        assert_eq!((refused.reason(), refused.required_scope()), (Reason::Scope, Some("a")));
    }

    #[test]
    fn rs_023_and_039_a_requirement_that_is_no_scope_cannot_be_made() {
        for bad in [vec![], vec![""], vec!["a b"], vec!["a\"b"], vec!["a", "\n"]] {
            let made = std::panic::catch_unwind(|| scopes_all(bad.clone()));
            assert!(made.is_err(), "{bad:?}");
            let made = std::panic::catch_unwind(|| scope("a").implied_by(bad.clone()));
            assert!(made.is_err(), "{bad:?} implies");
        }
    }
}
