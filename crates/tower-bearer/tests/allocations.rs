//! What permitting costs: no allocation. In a binary of its own, since `allocation-counter` replaces the allocator.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tower_bearer::{
    AuthError, RegisteredClaims, Scopes, Verified,
    policy::{
        Claim, ClaimPath, Policy, aal, acr, acr_any, audience, authenticated, claim, claims, client, deny,
        max_age, not, not_anonymous, role, roles_all, roles_any, scope, scopes_all, scopes_any,
    },
};

/// Claims of several issuers at once, nested, with what has to be skipped on the way.
const CLAIMS: &str = r#"{
    "user_metadata": { "name": "A \"B\" C", "links": [{ "a": [[["deep"]]] }] },
    "role": "authenticated", "roles": ["staff", "editor"], "groups": ["a", "b"],
    "realm_access": { "roles": ["offline_access", "admin"] },
    "resource_access": { "account": { "roles": ["view"] }, "my.app": { "roles": ["editor"] } },
    "urn:zitadel:iam:org:project:roles": { "viewer": { "1": "x" }, "admin": { "230": "a.zitadel.cloud" } },
    "app_metadata": { "provider": "email", "roles": ["admin"], "plan": { "seats": 5 } },
    "aal": "aal2", "acr": "urn:mace:incommon:iap:silver", "auth_time": 1700000000, "is_anonymous": false,
    "amr": [{ "method": "totp", "timestamp": 1700000000 }, { "method": "password", "timestamp": 1699990000 }]
}"#;

fn caller() -> Verified {
    let mut registered = RegisteredClaims::default();
    registered.scopes = Scopes::from_iter(["orders:read", "orders:write", "files:admin"]);
    registered.aud = ["https://api.example", "https://other.example"].into_iter().collect();
    registered.client_id = Some("web".into());
    Verified::assertion(registered, 7_u8)
        .with_json(CLAIMS)
        .verified_at(UNIX_EPOCH + Duration::from_secs(1_700_000_010))
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

fn is_pro(plan: &Claim<'_>) -> bool {
    plan.as_u64() >= Some(5)
}

#[test]
fn whom_a_policy_permits_costs_no_allocation() {
    let no = || |_: &Verified| Err(AuthError::forbidden("no"));
    let table: Vec<(&str, Box<dyn Policy>)> = vec![
        ("authenticated", Box::new(authenticated())),
        ("scope", Box::new(scope("orders:read"))),
        ("scopes_all", Box::new(scopes_all(["orders:read", "orders:write"]))),
        ("scopes_any", Box::new(scopes_any(["x", "orders:write"]))),
        ("implied_by", Box::new(scope("files:read").implied_by(["files:write", "files:admin"]))),
        ("role", Box::new(role("editor"))),
        ("roles_all", Box::new(roles_all(["authenticated", "editor"]))),
        ("roles_any", Box::new(roles_any(["x", "staff"]))),
        ("role at", Box::new(role("admin").at("realm_access.roles"))),
        ("role at names with dots", Box::new(role("editor").at(["resource_access", "my.app", "roles"]))),
        ("role in an object", Box::new(role("admin").at("urn:zitadel:iam:org:project:roles"))),
        ("audience", Box::new(audience("https://other.example"))),
        ("client", Box::new(client("web"))),
        ("claim", Box::new(claim("app_metadata.plan.seats", is_pro))),
        ("claims", Box::new(claims(|number: &u8| *number == 7))),
        ("not_anonymous", Box::new(not_anonymous())),
        ("aal", Box::new(aal("aal2"))),
        ("acr", Box::new(acr("urn:mace:incommon:iap:silver"))),
        ("acr_any", Box::new(acr_any(["x", "urn:mace:incommon:iap:silver"]).max_age(minute()))),
        ("max_age", Box::new(max_age(minute()))),
        ("aal and max_age", Box::new(aal("aal2").max_age(minute()))),
        ("and", Box::new(scope("orders:read").and(role("staff")).and(aal("aal1")))),
        ("or", Box::new(scope("x").or(role("x")).or(acr("x")).or(role("staff")))),
        ("not", Box::new(not(scope("x")).and(not(role("x"))).and(not(aal("aal3"))).and(not(deny())))),
        ("nested", Box::new(not(role("x").and(scope("x"))).and(scope("x").or(no()).or(not(aal("aal3")))))),
        ("dyn", Box::new(Arc::new(role("staff")) as Arc<dyn Policy>)),
    ];
    let caller = caller();
    for (name, policy) in table {
        let mut outcome = Ok(());
        let count = allocation_counter::measure(|| outcome = policy.check(&caller));
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
        assert_eq!(count.count_total, 0, "{name}: {} bytes", count.bytes_total);
    }
}

#[test]
fn a_claim_by_a_path_made_before_costs_no_allocation() {
    let (caller, path) = (caller(), ClaimPath::from("resource_access.account.roles"));
    let mut found = false;
    let count = allocation_counter::measure(|| {
        found = caller.claim(&path).is_some_and(|roles| roles.contains("view"));
    });
    assert_eq!((found, count.count_total), (true, 0));
}

#[test]
fn the_counter_counts_and_only_a_challenge_that_was_completed_in_vain_costs_something() {
    let completed_in_vain = scope("x").and(aal("aal3")).or(authenticated());
    let (caller, mut outcome) = (caller(), Ok(()));
    let count = allocation_counter::measure(|| outcome = completed_in_vain.check(&caller));
    assert!(outcome.is_ok());
    assert!((1..=5).contains(&count.count_total), "{}", count.count_total);
}
