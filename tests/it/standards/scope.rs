//! RS-036 to RS-041: scope.

use crate::support::{
    app::{app, ask, bearer, guarded, reached, request},
    keys::{gate, issuer, token},
};
use axum::Router;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_bearer::{
    AuthError, RequireLayer, Verified,
    policy::{Policy, scope, scopes_all, scopes_any},
};

/// Whether a token with this `scope` grants what the policy wants.
async fn grants<P: Policy + Clone + Send + Sync + 'static>(policy: P, claim: Value) -> bool {
    let answer = bearer(&guarded(policy), &token().claim("scope", claim.clone()).sign()).await;
    match answer.status {
        200 => answer.assert_passed("granted"),
        _ => answer.assert_insufficient(&claim.to_string()),
    }
    answer.reached()
}

#[tokio::test]
async fn rs_036_a_route_with_a_scope_refuses_a_token_without_any() {
    let app = guarded(scope("read"));
    bearer(&app, &token().sign()).await.assert_insufficient("no scope claim");
    bearer(&app, &token().scope("").sign()).await.assert_insufficient("an empty one");
    bearer(&app, &token().scope("read").sign()).await.assert_passed("the scope");
}

#[tokio::test]
async fn rs_037_scopes_are_compared_whole_and_case_sensitively_in_any_order() {
    for claim in ["Read", "READ", "rea", "readwrite", "read:x", "xread", "read*", "*", "x read:y"] {
        assert!(!grants(scope("read"), json!(claim)).await, "{claim:?}");
    }
    for claim in ["a b", "b a", "b a a", "c b x a"] {
        assert!(grants(scopes_all(["a", "b"]), json!(claim)).await, "{claim:?}");
    }
    assert!(grants(scopes_any(["x", "b"]), json!("a b")).await);
    assert!(!grants(scopes_any(["x", "y"]), json!("a b")).await);
    assert!(!grants(scopes_all(["a", "x"]), json!("a b")).await);
}

#[tokio::test]
async fn rs_038_only_a_space_separates_scopes() {
    for separator in ["\t", "\n", "\r\n", ",", ", ", ";", "\u{a0}", "\u{2003}", "\u{b}", "+"] {
        let claim = format!("x{separator}read");
        let with_space = separator.ends_with(' ');
        assert_eq!(grants(scope("read"), json!(claim)).await, with_space, "{claim:?}");
        assert!(!grants(scope("x"), json!(claim)).await, "{claim:?}");
    }
}

#[tokio::test]
async fn rs_039_odd_spaces_make_no_empty_scope() {
    for claim in [" read ", "  read", "read  ", "a  read  b"] {
        assert!(grants(scope("read"), json!(claim)).await, "{claim:?}");
    }
    for bad in ["", " "] {
        assert!(std::panic::catch_unwind(|| scope(bad)).is_err(), "{bad:?}");
    }
    assert!(std::panic::catch_unwind(|| scopes_all([])).is_err(), "no scope at all is no requirement");
    assert!(std::panic::catch_unwind(|| scopes_any([])).is_err());
}

#[tokio::test]
async fn rs_040_a_scope_claim_of_another_type_grants_nothing() {
    for claim in
        [json!(["read"]), json!([["read"]]), json!(7), json!({ "read": true }), json!(true), json!(null)]
    {
        assert!(!grants(scope("read"), claim.clone()).await, "{claim}");
    }
    // `scp` is how Entra and Okta spell it; an element is one scope, whatever is in it. So it is with `scope` where that
    // was said of the issuer.
    let app = guarded(scope("read"));
    let lists = gate(issuer().scope_as_list());
    let lists = Router::new().fallback(reached).layer(RequireLayer::new(scope("read"))).layer(lists);
    for (claim, granted) in [
        (json!(["x", "read"]), true),
        (json!("x read"), true),
        (json!(["x read"]), false),
        (json!(["read", 7]), false),
        (json!([["read"]]), false),
        (json!({ "read": 1 }), false),
    ] {
        let answer = bearer(&app, &token().claim("scp", claim.clone()).sign()).await;
        assert_eq!(answer.reached(), granted, "{claim}");
        let answer = bearer(&lists, &token().claim("scope", claim.clone()).sign()).await;
        assert_eq!(answer.reached(), granted, "{claim}");
    }
    let both = token().scope("write").claim("scp", json!(["read"])).sign();
    bearer(&app, &both).await.assert_insufficient("scope, where it stands, is the one that counts");
}

#[derive(Deserialize)]
struct Rfc9068 {
    roles: Vec<String>,
    groups: Vec<String>,
    entitlements: Vec<String>,
}

#[tokio::test]
async fn rs_041_roles_groups_and_entitlements_are_at_hand_for_decisions() {
    let admins_only = |verified: &Verified| match verified.claims::<Rfc9068>() {
        Some(claims) if claims.roles.iter().any(|role| role == "admin") => Ok(()),
        _ => Err(AuthError::forbidden("not an admin")),
    };
    let app = app(gate(issuer().claims::<Rfc9068>()));
    let guarded = axum::Router::new()
        .fallback(crate::support::app::reached)
        .layer(RequireLayer::new(admins_only))
        .layer(gate(issuer().claims::<Rfc9068>()));
    let with_role = |role: &str| {
        token().claims(json!({ "roles": [role], "groups": ["g"], "entitlements": ["e"] })).sign()
    };
    let answer = bearer(&app, &with_role("admin")).await;
    let claims = answer.verified.unwrap().claims::<Rfc9068>().unwrap();
    assert_eq!(
        (&claims.roles[0][..], &claims.groups[0][..], &claims.entitlements[0][..]),
        ("admin", "g", "e")
    );

    bearer(&guarded, &with_role("admin")).await.assert_passed("an admin");
    let refused = bearer(&guarded, &with_role("user")).await;
    assert_eq!((refused.status, refused.code(), refused.reached()), (403, None, false));
    ask(&guarded, request([])).await.assert_missing("nobody");
}
