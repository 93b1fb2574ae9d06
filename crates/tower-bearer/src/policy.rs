//! What a verified caller may do: pure functions of [`Verified`].
//!
//! ```
//! use tower_bearer::{AuthErrorKind, RegisteredClaims, Scopes, Verified, policy::{Policy, scope, scopes_any}};
//!
//! let mut claims = RegisteredClaims::default();
//! claims.scopes = Scopes::from_iter(["orders:read"]);
//! let caller = Verified::assertion(claims, ());
//!
//! assert!(scope("orders:read").check(&caller).is_ok());
//! assert!(scopes_any(["orders:admin", "orders:read"]).check(&caller).is_ok());
//!
//! let refused = scope("orders:write").check(&caller).unwrap_err();
//! assert_eq!(refused.kind(), AuthErrorKind::InsufficientScope);
//! assert_eq!(refused.required_scope(), Some("orders:write"));
//! ```

use crate::{
    error::{AuthError, Reason, Wanted},
    scope::{ScopeList, is_scope_token},
    verify::Verified,
};
use std::sync::Arc;

/// Decides about a caller that was verified. Neither headers nor tokens are in sight.
///
/// Closures `Fn(&Verified) -> Result<(), AuthError>` are policies too.
pub trait Policy {
    /// Permits, or says which refusal the caller gets.
    ///
    /// # Errors
    /// The refusal.
    fn check(&self, verified: &Verified) -> Result<(), AuthError>;
}

impl<F> Policy for F
where
    F: Fn(&Verified) -> Result<(), AuthError>,
{
    fn check(&self, verified: &Verified) -> Result<(), AuthError> {
        self(verified)
    }
}

/// A policy that is chosen at run time: `Arc<dyn Policy + Send + Sync>`.
impl<P: Policy + ?Sized> Policy for Arc<P> {
    fn check(&self, verified: &Verified) -> Result<(), AuthError> {
        (**self).check(verified)
    }
}

/// Permits tokens with these scopes; see [`scope`], [`scopes_all`], [`scopes_any`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RequireScopes {
    wanted: Arc<Wanted>,
    quantity: Quantity,
}

#[derive(Clone, Copy, Debug)]
enum Quantity {
    All,
    Any,
}

/// Permits tokens that carry this scope (RFC 6749 §3.3).
///
/// # Panics
/// When `token` is not one scope token: empty, or with a space, quote, backslash or anything but visible ASCII.
pub fn scope(token: &str) -> RequireScopes {
    scopes_all([token])
}

/// Permits tokens that carry all of these scopes.
///
/// # Panics
/// When the list is empty, or one of it is not a scope token.
pub fn scopes_all<'a>(tokens: impl IntoIterator<Item = &'a str>) -> RequireScopes {
    RequireScopes { wanted: list(tokens), quantity: Quantity::All }
}

/// Permits tokens that carry at least one of these scopes. The challenge names them all.
///
/// # Panics
/// When the list is empty, or one of it is not a scope token.
pub fn scopes_any<'a>(tokens: impl IntoIterator<Item = &'a str>) -> RequireScopes {
    RequireScopes { wanted: list(tokens), quantity: Quantity::Any }
}

/// Whether this is one scope token (RFC 6749 §3.3); `scope` would panic otherwise.
pub const fn is_scope(token: &str) -> bool {
    is_scope_token(token)
}

/// A requirement is written by the developer: a wrong one is a mistake in the program, found at its start.
fn list<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Arc<Wanted> {
    let list = ScopeList::new(tokens).expect("a required scope is one or more scope tokens (RFC 6749 §3.3)");
    Arc::new(Wanted { scope: Some(list), ..Wanted::default() })
}

impl Policy for RequireScopes {
    fn check(&self, verified: &Verified) -> Result<(), AuthError> {
        let granted = verified.scopes();
        let mut required = self.wanted.scope.iter().flat_map(ScopeList::tokens);
        let permitted = match self.quantity {
            Quantity::All => required.all(|token| granted.contains(token)),
            Quantity::Any => required.any(|token| granted.contains(token)),
        };
        if permitted { Ok(()) } else { Err(AuthError::wanting(Reason::Scope, Arc::clone(&self.wanted))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::{RegisteredClaims, Scopes};

    fn caller(scopes: &[&str]) -> Verified {
        let scopes = scopes.iter().copied().collect::<Scopes>();
        Verified::assertion(RegisteredClaims { scopes, ..RegisteredClaims::default() }, ())
    }

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
    fn rs_023_and_039_a_requirement_that_is_no_scope_cannot_be_made() {
        for bad in [vec![], vec![""], vec!["a b"], vec!["a\"b"], vec!["a", "\n"]] {
            let made = std::panic::catch_unwind(|| scopes_all(bad.clone()));
            assert!(made.is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_closure_is_a_policy() {
        let only_bob = |verified: &Verified| match verified.subject() {
            Some("bob") => Ok(()),
            _ => Err(AuthError::forbidden("not bob")),
        };
        assert!(only_bob.check(&caller(&[])).is_err());
    }
}
