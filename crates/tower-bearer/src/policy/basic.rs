//! [`authenticated`] and [`deny`]: everybody, and nobody.

use super::Policy;
use crate::{
    error::{AuthError, Reason},
    verify::Verified,
};

/// Permits everybody; see [`authenticated`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Authenticated;

/// Permits everybody who was verified: for places that want a policy.
///
/// ```
/// use tower_bearer::{RegisteredClaims, Verified, policy::{Policy, authenticated, deny}};
///
/// let anybody = Verified::assertion(RegisteredClaims::default(), ());
/// assert!(authenticated().check(&anybody).is_ok());
/// assert!(deny().check(&anybody).is_err());
/// ```
pub fn authenticated() -> Authenticated {
    Authenticated
}

impl Policy for Authenticated {
    fn check(&self, _: &Verified) -> Result<(), AuthError> {
        Ok(())
    }
}

/// Permits nobody; see [`deny`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Deny;

/// Permits nobody: 403. For what is switched off.
pub fn deny() -> Deny {
    Deny
}

impl Policy for Deny {
    fn check(&self, _: &Verified) -> Result<(), AuthError> {
        Err(Reason::Policy("deny").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::caller;

    #[test]
    fn everybody_and_nobody() {
        assert!(authenticated().check(&caller("{}")).is_ok());
        let refused = deny().check(&caller("{}")).expect_err("refused");
        assert_eq!(refused.reason(), Reason::Policy("deny"));
    }
}
