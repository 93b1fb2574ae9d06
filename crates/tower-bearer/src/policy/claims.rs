//! Requirements on any claim: [`claim`] by its path, [`claims`] by the application's type, [`not_anonymous`].

use super::{
    Policy,
    claim::Claim,
    claim_path::{ClaimPath, look},
};
use crate::{
    error::{AuthError, Reason},
    verify::Verified,
};
use std::{any::type_name, error::Error, fmt, marker::PhantomData};

/// Permits by what one claim says; see [`claim`].
#[derive(Clone)]
#[must_use]
pub struct RequireClaim<F> {
    path: ClaimPath,
    permits: F,
}

/// Permits callers with this claim when `permits` says so. Without the claim nobody is asked: 403.
///
/// ```
/// use tower_bearer::{RegisteredClaims, Verified, policy::{Policy, claim}};
///
/// let staff = claim("org.plan", |plan| plan.contains("enterprise"));
/// let caller = |json: &str| Verified::assertion(RegisteredClaims::default(), ()).with_json(json);
///
/// assert!(staff.check(&caller(r#"{"org":{"plan":"enterprise"}}"#)).is_ok());
/// assert!(staff.check(&caller(r#"{"org":{"plan":"free"}}"#)).is_err());
/// assert!(staff.check(&caller("{}")).is_err());
/// ```
///
/// # Panics
/// When the path is none (see [`ClaimPath`]), or leads into `user_metadata` or `raw_user_meta_data`
/// (Supabase, Auth0): users write those themselves.
pub fn claim<F>(path: impl Into<ClaimPath>, permits: F) -> RequireClaim<F>
where
    F: Fn(&Claim<'_>) -> bool,
{
    RequireClaim { path: path.into().trusted(), permits }
}

impl<F: Fn(&Claim<'_>) -> bool> Policy for RequireClaim<F> {
    fn check(&self, verified: &Verified) -> Result<(), AuthError> {
        match look(verified, self.path.names())? {
            Some(claim) if (self.permits)(&claim) => Ok(()),
            _ => Err(Reason::Policy("claim").into()),
        }
    }
}

impl<F> fmt::Debug for RequireClaim<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireClaim").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Permits by what the application's claims say; see [`claims`].
#[must_use]
pub struct RequireClaims<C, F> {
    permits: F,
    claims: PhantomData<fn(&C)>,
}

/// Permits callers when `permits` says so of the application's own claims, of the type that the issuer was
/// [set up for](crate::Issuer::claims). Behind a verifier for another type the answer is 500: the names of
/// the types go to the log.
///
/// ```
/// use tower_bearer::{RegisteredClaims, Verified, policy::{Policy, claims}};
///
/// struct Member { level: u8 }
///
/// let seniors = claims(|member: &Member| member.level >= 3);
/// let caller = |level| Verified::assertion(RegisteredClaims::default(), Member { level });
///
/// assert!(seniors.check(&caller(3)).is_ok());
/// assert!(seniors.check(&caller(2)).is_err());
/// ```
pub fn claims<C, F>(permits: F) -> RequireClaims<C, F>
where
    C: Send + Sync + 'static,
    F: Fn(&C) -> bool,
{
    RequireClaims { permits, claims: PhantomData }
}

impl<C: Send + Sync + 'static, F: Fn(&C) -> bool> Policy for RequireClaims<C, F> {
    fn check(&self, verified: &Verified) -> Result<(), AuthError> {
        match verified.claims::<C>() {
            Some(claims) if (self.permits)(&claims) => Ok(()),
            Some(_) => Err(Reason::Policy("claims").into()),
            None => {
                let mismatch = Mismatch { wanted: type_name::<C>(), found: verified.claims_type() };
                Err(AuthError::from(Reason::OtherClaims).with_source(mismatch))
            }
        }
    }
}

/// For the log: who put the service together reads it.
#[derive(Debug)]
struct Mismatch {
    wanted: &'static str,
    found: &'static str,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, found } = self;
        write!(f, "a policy asks for the claims {wanted}, but the issuer is set up for {found}")
    }
}

impl Error for Mismatch {}

impl<C, F: Clone> Clone for RequireClaims<C, F> {
    fn clone(&self) -> Self {
        Self { permits: self.permits.clone(), claims: PhantomData }
    }
}

impl<C, F> fmt::Debug for RequireClaims<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireClaims").field("claims", &type_name::<C>()).finish_non_exhaustive()
    }
}

/// Permits users who signed up; see [`not_anonymous`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct NotAnonymous;

/// Permits all but Supabase's anonymous users, by the claim `is_anonymous`: missing, `null` or `false`, and
/// nothing else.
///
/// ```
/// use tower_bearer::{RegisteredClaims, Verified, policy::{Policy, not_anonymous}};
///
/// let caller = |json: &str| Verified::assertion(RegisteredClaims::default(), ()).with_json(json);
/// assert!(not_anonymous().check(&caller(r#"{"is_anonymous":false}"#)).is_ok());
/// assert!(not_anonymous().check(&caller(r#"{"is_anonymous":true}"#)).is_err());
/// ```
pub fn not_anonymous() -> NotAnonymous {
    NotAnonymous
}

impl Policy for NotAnonymous {
    fn check(&self, verified: &Verified) -> Result<(), AuthError> {
        let permitted = match look(verified, ["is_anonymous"])? {
            None => true,
            Some(claim) => claim.is_null() || claim.as_bool() == Some(false),
        };
        if permitted { Ok(()) } else { Err(Reason::Policy("not_anonymous").into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::AuthErrorKind, jwt::RegisteredClaims, policy::testing::caller};
    use std::panic::catch_unwind;

    #[test]
    fn an_absent_claim_is_refused_without_asking() {
        let reason = |json: &str, permits: fn(&Claim<'_>) -> bool| {
            claim("a.b", permits).check(&caller(json)).err().map(|error| error.reason())
        };
        let refused = Some(Reason::Policy("claim"));
        assert_eq!(reason(r#"{"a":{"b":7}}"#, |claim| claim.as_u64() == Some(7)), None);
        assert_eq!(reason(r#"{"a":{"b":"7"}}"#, |claim| claim.as_u64() == Some(7)), refused);
        assert_eq!(reason(r#"{"a":{"b":null}}"#, |claim| claim.as_json() == "null"), None);
        assert_eq!(reason(r#"{"a":{}}"#, |_| panic!("nobody asks")), refused);
        assert_eq!(reason("{}", |_| panic!("nobody asks")), refused);
        let twice = Some(Reason::MalformedClaims("a member stands twice"));
        assert_eq!(reason(r#"{"a":{"b":7,"b":7}}"#, |_| panic!("nobody asks")), twice);
        assert!(catch_unwind(|| claim("user_metadata.plan", |_| true)).is_err());
    }

    #[test]
    fn another_type_of_claims_is_the_servers_mistake() {
        let long = claims(|name: &String| name.len() > 3);
        let check =
            |claims: &str| long.check(&Verified::assertion(RegisteredClaims::default(), claims.to_owned()));
        assert!(check("long").is_ok());
        assert_eq!(check("no").expect_err("refused").reason(), Reason::Policy("claims"));
        let other = long.check(&caller("{}")).expect_err("refused");
        assert_eq!((other.reason(), other.kind()), (Reason::OtherClaims, AuthErrorKind::Misconfigured));
    }

    #[test]
    fn only_a_clear_no_is_not_anonymous() {
        let table = [
            ("{}", true),
            (r#"{"is_anonymous":null}"#, true),
            (r#"{"is_anonymous":false}"#, true),
            (r#"{"is_anonymous":true}"#, false),
            (r#"{"is_anonymous":"false"}"#, false),
            (r#"{"is_anonymous":""}"#, false),
            (r#"{"is_anonymous":0}"#, false),
            (r#"{"is_anonymous":[]}"#, false),
            (r#"{"is_anonymous":{}}"#, false),
            (r#"{"is_anonymous":true,"is_anonymous":false}"#, false),
        ];
        for (json, expected) in table {
            assert_eq!(not_anonymous().check(&caller(json)).is_ok(), expected, "{json}");
        }
        let no_json = Verified::assertion(RegisteredClaims::default(), ());
        let refused = not_anonymous().check(&no_json).expect_err("nobody knows");
        assert_eq!(refused.kind(), AuthErrorKind::Misconfigured);
    }

    #[test]
    fn debug_shows_what_is_looked_at() {
        assert_eq!(format!("{:?}", claim("a", |_| true)), r#"RequireClaim { path: ClaimPath(["a"]), .. }"#);
        assert_eq!(format!("{:?}", claims(|_: &u8| true)), r#"RequireClaims { claims: "u8", .. }"#);
    }
}
