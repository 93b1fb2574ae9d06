//! Requirements on roles, groups, permissions, entitlements: names in a claim (RFC 9068 §2.2.3.1).

use super::{ClaimPath, Policy, Quantity, claim::Claim, claim_path::look};
use crate::{
    error::{AuthError, Reason},
    verify::Verified,
};
use std::sync::Arc;

/// Permits callers with these roles; see [`role`], [`roles_all`], [`roles_any`]. Cheap to clone.
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireRoles {
    names: Arc<[Box<str>]>,
    quantity: Quantity,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    /// `role` and `roles`.
    Usual,
    At(ClaimPath),
}

/// Permits callers with this role, by the claims `role` and `roles`, or by the one that
/// [`at`](RequireRoles::at) names.
///
/// ```
/// use tower_bearer::{RegisteredClaims, Verified, policy::{Policy, role}};
///
/// let json = r#"{"roles":["editor"],"realm_access":{"roles":["offline_access"]}}"#;
/// let caller = Verified::assertion(RegisteredClaims::default(), ()).with_json(json);
///
/// assert!(role("editor").check(&caller).is_ok());
/// assert!(role("offline_access").at("realm_access.roles").check(&caller).is_ok());
///
/// assert!(role("admin").check(&caller).is_err());
/// assert!(role("editor").at("groups").check(&caller).is_err());
/// ```
///
/// # Panics
/// When `name` is empty.
pub fn role(name: &str) -> RequireRoles {
    roles_all([name])
}

/// Permits callers with all of these roles.
///
/// # Panics
/// When the list is empty, or a name in it.
pub fn roles_all<'a>(names: impl IntoIterator<Item = &'a str>) -> RequireRoles {
    RequireRoles::new(names, Quantity::All)
}

/// Permits callers with at least one of these roles.
///
/// # Panics
/// When the list is empty, or a name in it.
pub fn roles_any<'a>(names: impl IntoIterator<Item = &'a str>) -> RequireRoles {
    RequireRoles::new(names, Quantity::Any)
}

impl RequireRoles {
    fn new<'a>(names: impl IntoIterator<Item = &'a str>, quantity: Quantity) -> Self {
        let names: Arc<[Box<str>]> = names.into_iter().map(Into::into).collect();
        assert!(!names.is_empty() && names.iter().all(|name| !name.is_empty()), "a required role has a name");
        Self { names, quantity, place: Place::Usual }
    }

    /// Looks at this claim instead: a string, an array of strings, or an object whose members are the names
    /// (see [`Claim::contains`]).
    ///
    /// | issuer | path |
    /// |---|---|
    /// | Keycloak | `realm_access.roles`; `["resource_access", client, "roles"]` |
    /// | Auth0 | `permissions`; `["https://example.com/roles"]` |
    /// | Entra ID | `roles`, `groups` |
    /// | Cognito | `cognito:groups` |
    /// | Zitadel | `urn:zitadel:iam:org:project:roles` |
    /// | Supabase | `app_metadata.roles` |
    ///
    /// # Panics
    /// When the path is none (see [`ClaimPath`]), or leads into `user_metadata` or `raw_user_meta_data`
    /// (Supabase, Auth0): users write those themselves.
    pub fn at(self, path: impl Into<ClaimPath>) -> Self {
        Self { place: Place::At(path.into().trusted()), ..self }
    }

    fn permits(&self, verified: &Verified) -> Result<bool, AuthError> {
        let claims = match &self.place {
            Place::Usual => [look(verified, ["role"])?, look(verified, ["roles"])?],
            Place::At(path) => [look(verified, path.names())?, None],
        };
        let mut held = self.names.iter().map(|name| holds(&claims, name));
        match self.quantity {
            Quantity::All => held.try_fold(true, |all, one| Ok(all & one?)),
            Quantity::Any => held.try_fold(false, |any, one| Ok(any | one?)),
        }
    }
}

fn holds(claims: &[Option<Claim<'_>>], name: &str) -> Result<bool, AuthError> {
    claims.iter().flatten().try_fold(false, |any, claim| Ok(any | claim.holds(name)?))
}

impl Policy for RequireRoles {
    fn check(&self, verified: &Verified) -> Result<(), AuthError> {
        if self.permits(verified)? { Ok(()) } else { Err(Reason::Policy("role").into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::caller;
    use std::panic::catch_unwind;

    fn permits(policy: &RequireRoles, json: &str) -> bool {
        match policy.check(&caller(json)) {
            Ok(()) => true,
            Err(refused) => {
                assert_eq!(refused.reason(), Reason::Policy("role"), "{json}");
                false
            }
        }
    }

    #[test]
    fn rs_041_roles_are_found_where_issuers_put_them() {
        let keycloak = r#"{"realm_access":{"roles":["offline_access","admin"]},
            "resource_access":{"account":{"roles":["view-profile"]},"my.app":{"roles":["editor"]}}}"#;
        let auth0 = r#"{"permissions":["read:a","write:a"],"https://example.com/roles":["admin"]}"#;
        let entra =
            r#"{"roles":["Orders.Read"],"groups":["0c9d1f6e-8c1e-4b0b-9a52-0f1d4f7a2b3c"],"wids":[]}"#;
        let zitadel =
            r#"{"urn:zitadel:iam:org:project:roles":{"admin":{"230":"a.zitadel.cloud"},"off":null}}"#;
        let cognito = r#"{"cognito:groups":["admins"],"username":"a"}"#;
        let supabase = r#"{"role":"authenticated","app_metadata":{"provider":"email","roles":["admin"]},
            "user_metadata":{"roles":["root"]}}"#;
        let zitadel_path = "urn:zitadel:iam:org:project:roles";
        let table = [
            ("keycloak realm", keycloak, role("admin").at("realm_access.roles"), true),
            ("keycloak realm, another", keycloak, role("editor").at("realm_access.roles"), false),
            ("keycloak client", keycloak, role("editor").at(["resource_access", "my.app", "roles"]), true),
            ("keycloak, another client", keycloak, role("editor").at("resource_access.account.roles"), false),
            ("keycloak, no path", keycloak, role("admin"), false),
            ("auth0 permissions", auth0, role("write:a").at("permissions"), true),
            ("auth0, a part", auth0, role("write").at("permissions"), false),
            ("auth0 namespaced", auth0, role("admin").at(["https://example.com/roles"]), true),
            ("entra roles", entra, role("Orders.Read"), true),
            ("entra roles, case", entra, role("orders.read"), false),
            ("entra groups", entra, role("0c9d1f6e-8c1e-4b0b-9a52-0f1d4f7a2b3c").at("groups"), true),
            ("zitadel", zitadel, role("admin").at(zitadel_path), true),
            ("zitadel, null", zitadel, role("off").at(zitadel_path), false),
            ("zitadel, an organisation", zitadel, role("230").at(zitadel_path), false),
            ("cognito", cognito, role("admins").at("cognito:groups"), true),
            ("cognito, another", cognito, role("users").at("cognito:groups"), false),
            ("supabase role", supabase, role("authenticated"), true),
            ("supabase app_metadata", supabase, role("admin").at("app_metadata.roles"), true),
            ("supabase, what the user wrote", supabase, role("root").at("app_metadata.roles"), false),
        ];
        for (name, json, policy, expected) in table {
            assert_eq!(permits(&policy, json), expected, "{name}");
        }
    }

    #[test]
    fn all_means_all_and_any_means_one_across_role_and_roles() {
        let table = [
            (r#"{"roles":["a","b"]}"#, true, true),
            (r#"{"role":"a","roles":["b"]}"#, true, true),
            (r#"{"role":["a","b"]}"#, true, true),
            (r#"{"roles":{"a":true,"b":true}}"#, true, true),
            (r#"{"roles":["a"]}"#, false, true),
            (r#"{"role":"b"}"#, false, true),
            (r#"{"roles":"a b"}"#, false, false),
            (r#"{"roles":["a b"]}"#, false, false),
            (r#"{"roles":[["a","b"]]}"#, false, false),
            (r#"{"roles":{"a":false,"b":null}}"#, false, false),
            (r#"{"x":{"roles":["a","b"]}}"#, false, false),
            (r#"{"roles":null,"role":7}"#, false, false),
            ("{}", false, false),
        ];
        for (json, all, any) in table {
            assert_eq!(permits(&roles_all(["a", "b"]), json), all, "{json}");
            assert_eq!(permits(&roles_any(["a", "b"]), json), any, "{json}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_not_a_missing_role() {
        let reason = |verified: &Verified| role("a").check(verified).expect_err("refused").reason();
        let twice = Reason::MalformedClaims("a member stands twice");
        assert_eq!(reason(&caller(r#"{"roles":{"a":true,"a":false}}"#)), twice);
        assert_eq!(reason(&caller(r#"{"roles":["a"],"roles":[]}"#)), twice);
        let no_json = Verified::assertion(crate::RegisteredClaims::default(), ());
        assert_eq!(reason(&no_json), Reason::NoClaims);
    }

    #[test]
    fn an_empty_requirement_cannot_be_made_nor_one_on_what_users_write() {
        assert!(catch_unwind(|| role("")).is_err());
        assert!(catch_unwind(|| roles_all([])).is_err());
        assert!(catch_unwind(|| roles_any([])).is_err());
        assert!(catch_unwind(|| roles_any(["a", ""])).is_err());
        assert!(catch_unwind(|| role("a").at("")).is_err());
        assert!(catch_unwind(|| role("a").at("user_metadata.roles")).is_err());
    }
}
