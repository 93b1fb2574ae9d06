//! Requirements on single registered claims: [`issuer`], [`audience`], [`client`].

use super::Policy;
use crate::{
    error::{AuthError, Reason},
    verify::Verified,
};
use std::sync::Arc;

/// Permits tokens of one issuer; see [`issuer`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireIssuer(Arc<str>);

/// Permits tokens that this issuer made (`iss`), behind a gate that trusts several. Subjects, clients, roles
/// and scopes are each issuer's own: whoever runs another one can make an `admin` there. Compared byte by
/// byte; a token without `iss` is nobody's.
///
/// ```
/// use tower_bearer::{RegisteredClaims, Verified, policy::{Policy, issuer, role}};
///
/// let may_close_accounts = issuer("https://staff.example").and(role("admin").at("roles"));
/// let admin_of = |iss: &str| {
///     let mut claims = RegisteredClaims::default();
///     claims.iss = Some(iss.into());
///     Verified::assertion(claims, ()).with_json(r#"{"roles":["admin"]}"#)
/// };
///
/// assert!(may_close_accounts.check(&admin_of("https://staff.example")).is_ok());
/// assert!(may_close_accounts.check(&admin_of("https://partner.example")).is_err());
/// ```
///
/// # Panics
/// When `iss` is empty.
pub fn issuer(iss: &str) -> RequireIssuer {
    assert!(!iss.is_empty(), "a required issuer has a name");
    RequireIssuer(iss.into())
}

impl Policy for RequireIssuer {
    fn check(&self, verified: &Verified) -> Result<(), AuthError> {
        let permitted = verified.registered().iss.as_ref() == Some(&self.0);
        if permitted { Ok(()) } else { Err(Reason::Policy("issuer").into()) }
    }
}

/// Permits tokens for one audience; see [`audience`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireAudience(Arc<str>);

/// Permits tokens that have this audience among theirs (`aud`): for routes with an audience of their own,
/// behind a gate for several. Compared byte by byte.
///
/// # Panics
/// When `name` is empty.
pub fn audience(name: &str) -> RequireAudience {
    assert!(!name.is_empty(), "a required audience has a name");
    RequireAudience(name.into())
}

impl Policy for RequireAudience {
    fn check(&self, verified: &Verified) -> Result<(), AuthError> {
        let permitted = verified.registered().aud.contains(&self.0);
        if permitted { Ok(()) } else { Err(Reason::Policy("audience").into()) }
    }
}

/// Permits tokens of one client; see [`client`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireClient(Arc<str>);

/// Permits tokens that this OAuth client asked for (`client_id`, or `azp` where there is none). Compared byte
/// by byte.
///
/// ```
/// use tower_bearer::{RegisteredClaims, Verified, policy::{Policy, client}};
///
/// let mut claims = RegisteredClaims::default();
/// claims.client_id = Some("batch".into());
/// let caller = Verified::assertion(claims, ());
///
/// assert!(client("batch").check(&caller).is_ok());
/// assert!(client("Batch").check(&caller).is_err());
/// ```
///
/// # Panics
/// When `id` is empty.
pub fn client(id: &str) -> RequireClient {
    assert!(!id.is_empty(), "a required client has an id");
    RequireClient(id.into())
}

impl Policy for RequireClient {
    fn check(&self, verified: &Verified) -> Result<(), AuthError> {
        let permitted = verified.registered().client_id.as_deref() == Some(&*self.0);
        if permitted { Ok(()) } else { Err(Reason::Policy("client").into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::RegisteredClaims;
    use std::panic::catch_unwind;

    #[test]
    fn audience_and_client_are_compared_exactly() {
        let caller = |aud: &[&str], client: Option<&str>| {
            let aud = aud.iter().copied().collect();
            let client_id = client.map(Into::into);
            Verified::assertion(RegisteredClaims { aud, client_id, ..RegisteredClaims::default() }, ())
        };
        let table: &[(&[&str], Option<&str>, bool, bool)] = &[
            (&["api"], Some("web"), true, true),
            (&["x", "api"], None, true, false),
            (&["API"], Some("Web"), false, false),
            (&["api/"], Some("web "), false, false),
            (&["x api"], Some(""), false, false),
            (&[], None, false, false),
        ];
        for (aud, id, for_audience, for_client) in table {
            let caller = caller(aud, *id);
            let reason = |result: Result<(), AuthError>| result.err().map(|error| error.reason());
            let refused = |policy, permitted: bool| (!permitted).then_some(Reason::Policy(policy));
            assert_eq!(reason(audience("api").check(&caller)), refused("audience", *for_audience), "{aud:?}");
            assert_eq!(reason(client("web").check(&caller)), refused("client", *for_client), "{id:?}");
        }
    }

    #[test]
    fn an_issuer_is_compared_exactly_and_no_issuer_is_none() {
        for (iss, permitted) in [
            (Some("https://a.example"), true),
            (Some("https://a.example/"), false),
            (Some("https://A.example"), false),
            (Some("https://b.example"), false),
            (Some(""), false),
            (None, false),
        ] {
            let claims = RegisteredClaims { iss: iss.map(Into::into), ..RegisteredClaims::default() };
            let result = issuer("https://a.example").check(&Verified::assertion(claims, ()));
            let refused = (!permitted).then_some(Reason::Policy("issuer"));
            assert_eq!(result.err().map(|error| error.reason()), refused, "{iss:?}");
        }
    }

    #[test]
    fn an_empty_requirement_cannot_be_made() {
        assert!(catch_unwind(|| issuer("")).is_err());
        assert!(catch_unwind(|| audience("")).is_err());
        assert!(catch_unwind(|| client("")).is_err());
    }
}
