//! What a verified caller may do: pure functions of [`Verified`].
//!
//! | asks for | policy | refusal |
//! |---|---|---|
//! | scopes | [`scope`], [`scopes_all`], [`scopes_any`] | 403 `insufficient_scope` |
//! | roles, groups, permissions | [`role`], [`roles_all`], [`roles_any`] | 403 |
//! | a strong or recent sign-in (RFC 9470) | [`aal`], [`acr`], [`acr_any`], [`max_age`] | 401 `insufficient_user_authentication` |
//! | issuer, audience, client | [`issuer`], [`audience`], [`client`] | 403 |
//! | anything in the claims | [`claim`], [`claims`], [`not_anonymous`] | 403 |
//!
//! They combine by [`and`](Policy::and), [`or`](Policy::or) and [`not`]. Two refusals become the one that the
//! caller can do most about:
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::{AuthErrorKind, RegisteredClaims, Scopes, Verified};
//! use tower_bearer::policy::{Policy, aal, role, scope};
//!
//! let may_pay_out = scope("payouts:write")
//!     .and(aal("aal2").max_age(Duration::from_secs(300)))
//!     .or(role("treasurer").at("app_metadata.roles"));
//!
//! let caller = |json: &str| {
//!     let mut claims = RegisteredClaims::default();
//!     claims.scopes = Scopes::from_iter(["payouts:read"]);
//!     Verified::assertion(claims, ()).with_json(json)
//! };
//! let treasurer = caller(r#"{"app_metadata":{"roles":["treasurer"]},"aal":"aal1"}"#);
//! assert!(may_pay_out.check(&treasurer).is_ok());
//!
//! // WWW-Authenticate: Bearer realm="…", error="insufficient_user_authentication", error_description="…",
//! //     scope="payouts:write", acr_values="aal2", max_age="300"
//! let refused = may_pay_out.check(&caller(r#"{"app_metadata":{},"aal":"aal1"}"#)).unwrap_err();
//! assert_eq!(refused.kind(), AuthErrorKind::InsufficientUserAuthentication);
//! assert_eq!(refused.required_scope(), Some("payouts:write"));
//! assert_eq!(refused.required_acr_values(), Some("aal2"));
//! assert_eq!(refused.required_max_age(), Some(Duration::from_secs(300)));
//! ```
//!
//! A check that permits allocates nothing, except for an `and` of two refusals inside of an `or` or a `not`
//! that then permits. Policies are cheap to clone.

mod assurance;
mod basic;
mod claim;
mod claim_path;
mod claims;
mod combine;
mod merge;
mod registered;
mod roles;
mod scopes;

pub use assurance::{RequireAssurance, aal, acr, acr_any, max_age};
pub use basic::{Authenticated, Deny, authenticated, deny};
pub use claim::Claim;
pub use claim_path::ClaimPath;
pub use claims::{NotAnonymous, RequireClaim, RequireClaims, claim, claims, not_anonymous};
pub use combine::{And, Not, Or, not};
pub use registered::{RequireAudience, RequireClient, RequireIssuer, audience, client, issuer};
pub use roles::{RequireRoles, role, roles_all, roles_any};
pub use scopes::{RequireScopes, is_scope, scope, scopes_all, scopes_any};

use crate::{error::AuthError, verify::Verified};
use std::sync::Arc;

/// Decides about a caller that was verified. Neither headers nor tokens are in sight.
///
/// Closures `Fn(&Verified) -> Result<(), AuthError>` are policies too.
pub trait Policy {
    /// Permits, or says which refusal the caller gets.
    ///
    /// # Errors
    /// What becomes the answer: [`AuthError::forbidden`], or a more specific kind.
    fn check(&self, verified: &Verified) -> Result<(), AuthError>;

    /// Permits whom both permit.
    ///
    /// Where both ask for what a client can get (scopes, a sign-in), one challenge asks for all of it: the
    /// second policy is looked at too. Any other refusal of the first is the answer.
    ///
    /// ```
    /// # use tower_bearer::{AuthErrorKind, RegisteredClaims, Scopes, Verified, policy::{Policy, client, scope}};
    /// let policy = scope("a").and(scope("b"));
    /// let caller = |scopes: &[&'static str]| {
    ///     let mut claims = RegisteredClaims::default();
    ///     claims.scopes = Scopes::from_iter(scopes.iter().copied());
    ///     Verified::assertion(claims, ())
    /// };
    /// assert!(policy.check(&caller(&["a", "b"])).is_ok());
    /// assert_eq!(policy.check(&caller(&[])).unwrap_err().required_scope(), Some("a b"));
    /// ```
    fn and<P: Policy>(self, other: P) -> And<Self, P>
    where
        Self: Sized,
    {
        And::new(self, other)
    }

    /// Permits whom either permits.
    ///
    /// Where both refuse, the answer is that of a policy that cannot tell, if one cannot: for a mistake of
    /// the server, an outage, a bad token, in this order. Then a challenge for scopes or a sign-in, then a
    /// plain no; the first of two alike.
    ///
    /// ```
    /// # use tower_bearer::{AuthErrorKind, RegisteredClaims, Scopes, Verified, policy::{Policy, client, scope}};
    /// let policy = client("batch").or(scope("jobs:run"));
    /// let caller = |client_id: &str| {
    ///     let mut claims = RegisteredClaims::default();
    ///     claims.client_id = Some(client_id.into());
    ///     Verified::assertion(claims, ())
    /// };
    /// assert!(policy.check(&caller("batch")).is_ok());
    /// assert_eq!(policy.check(&caller("web")).unwrap_err().kind(), AuthErrorKind::InsufficientScope);
    /// ```
    fn or<P: Policy>(self, other: P) -> Or<Self, P>
    where
        Self: Sized,
    {
        Or::new(self, other)
    }
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

/// How many of a list are required.
#[derive(Clone, Copy, Debug)]
enum Quantity {
    All,
    Any,
}

/// Callers for the tests of policies.
#[cfg(test)]
mod testing {
    use crate::{
        jwt::{RegisteredClaims, Scopes},
        verify::Verified,
    };

    pub(super) fn caller(json: &str) -> Verified {
        Verified::assertion(RegisteredClaims::default(), ()).with_json(json)
    }

    pub(super) fn caller_with_scopes(scopes: &[&str]) -> Verified {
        let scopes = scopes.iter().copied().collect::<Scopes>();
        Verified::assertion(RegisteredClaims { scopes, ..RegisteredClaims::default() }, ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closure_is_a_policy() {
        let only_bob = |verified: &Verified| match verified.subject() {
            Some("bob") => Ok(()),
            _ => Err(AuthError::forbidden("not bob")),
        };
        assert!(only_bob.check(&testing::caller("{}")).is_err());
        assert!(only_bob.or(authenticated()).check(&testing::caller("{}")).is_ok());
    }

    #[test]
    fn a_policy_is_chosen_at_run_time() {
        let chosen = |strict| -> Arc<dyn Policy + Send + Sync> {
            if strict { Arc::new(deny()) } else { Arc::new(authenticated()) }
        };
        assert!(chosen(false).and(authenticated()).check(&testing::caller("{}")).is_ok());
        assert!(chosen(true).and(authenticated()).check(&testing::caller("{}")).is_err());
    }
}
