//! Policies behind a real gate: what comes through, and what the refused are told.

use crate::support::{
    answer::Answer,
    app::{app, ask, bearer, guarded, reached, request},
    challenge::Challenge,
    forge::with_claims,
    grpc::{call, whoami},
    keys::{gate, issuer, token},
    server::Server,
    soon,
};
use axum::{Router, routing::post};
use bearer_testing::TokenBuilder;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tonic::Code;
use tower_bearer::{
    AuthError, Reason, RequireLayer, Verified,
    policy::{
        self, Policy, aal, acr_any, audience, authenticated, claim, claims, client, max_age, not, role, scope,
    },
};

const METHOD: &str = "/test.Payouts/Create";

/// Ten minutes.
const AGE: Duration = Duration::from_secs(600);

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A good token with these claims too.
fn with(claims: Value) -> TokenBuilder {
    token().claims(claims)
}

async fn asked<P: Policy + Clone + Send + Sync + 'static>(policy: P, token: &TokenBuilder) -> Answer {
    bearer(&guarded(policy), &token.sign()).await
}

/// 401 `insufficient_user_authentication` with exactly these parameters.
#[track_caller]
fn assert_step_up(answer: &Answer, scope: Option<&str>, acr_values: Option<&str>, max_age: Option<&str>) {
    assert_eq!((answer.status, answer.reached()), (401, false), "{answer:?}");
    let challenge = answer.challenge().unwrap();
    assert_eq!(challenge.param("error").as_deref(), Some("insufficient_user_authentication"));
    for (name, expected) in [("scope", scope), ("acr_values", acr_values), ("max_age", max_age)] {
        assert_eq!(challenge.param(name).as_deref(), expected, "{name}");
    }
}

/// 403 by this policy, without an error code: another token of this caller changes nothing.
#[track_caller]
fn assert_forbidden(answer: &Answer, policy: &'static str) {
    assert_eq!((answer.status, answer.code(), answer.reached()), (403, None, false), "{answer:?}");
    assert_eq!(answer.reason, Some(Reason::Policy(policy)));
}

#[tokio::test]
async fn rs_142_143_a_weak_or_old_sign_in_is_challenged_with_what_would_be_enough() {
    let second_factor = |at: u64| {
        json!({ "aal": "aal2", "amr": [{ "method": "totp", "timestamp": at },
            { "method": "password", "timestamp": now() }, { "method": "token_refresh", "timestamp": now() }] })
    };
    let strict = aal("aal2").max_age(AGE);
    asked(strict.clone(), &with(second_factor(now() - 300))).await.assert_passed("a fresh second factor");
    let old = asked(strict.clone(), &with(second_factor(now() - 900))).await;
    assert_step_up(&old, None, Some("aal2"), Some("600"));
    let weak = asked(strict, &with(json!({ "aal": "aal1" }))).await;
    assert_step_up(&weak, None, Some("aal2"), Some("600"));

    let classes = acr_any(["urn:x:gold", "urn:x:silver"]);
    asked(classes.clone(), &with(json!({ "acr": "urn:x:silver" }))).await.assert_passed("silver");
    let bronze = asked(classes, &with(json!({ "acr": "urn:x:bronze" }))).await;
    assert_step_up(&bronze, None, Some("urn:x:gold urn:x:silver"), None);

    let signed_in = |at: u64| with(json!({ "auth_time": at }));
    asked(max_age(AGE), &signed_in(now() - 300)).await.assert_passed("recent");
    assert_step_up(&asked(max_age(AGE), &signed_in(now() - 900)).await, None, None, Some("600"));
    assert_step_up(&asked(max_age(AGE), &signed_in(now() + 900)).await, None, None, Some("600"));
}

#[tokio::test]
async fn rs_144_a_token_without_the_claims_is_challenged() {
    for (policy, acr_values, age) in [
        (aal("aal1"), Some("aal1"), None),
        (acr_any(["a"]), Some("a"), None),
        (max_age(AGE), None, Some("600")),
        (acr_any(["a"]).max_age(AGE), Some("a"), Some("600")),
    ] {
        assert_step_up(&asked(policy, &token()).await, None, acr_values, age);
    }
}

#[tokio::test]
async fn rs_145_only_a_good_token_learns_what_would_be_enough() {
    let app = guarded(aal("aal2").max_age(AGE));
    for bad in [token().expired().sign(), token().tampered()] {
        let answer = bearer(&app, &bad).await;
        answer.assert_invalid_token("a bad token");
        let challenge = answer.challenge().unwrap();
        assert!(challenge.names().all(|name| !["acr_values", "max_age", "scope"].contains(&name)));
    }
    ask(&app, request([])).await.assert_missing("nobody");
}

#[tokio::test]
async fn rs_146_one_challenge_asks_for_scope_and_sign_in() {
    let policy = scope("payouts:write").and(aal("aal2").max_age(AGE)).and(scope("audit"));
    let answer = asked(policy.clone(), &token().scope("payouts:read")).await;
    assert_step_up(&answer, Some("payouts:write audit"), Some("aal2"), Some("600"));
    assert_eq!(
        answer.header("www-authenticate").unwrap(),
        "Bearer realm=\"https://api.example\", error=\"insufficient_user_authentication\", \
         error_description=\"a stronger or more recent sign-in is required\", scope=\"payouts:write audit\", \
         acr_values=\"aal2\", max_age=\"600\""
    );
    let strong = with(json!({ "aal": "aal2", "amr": [{ "method": "totp", "timestamp": now() }] }));
    let answer = asked(policy.clone(), &strong.clone().scope("audit")).await;
    answer.assert_insufficient("the sign-in is enough");
    assert_eq!(answer.challenge().unwrap().param("scope").as_deref(), Some("payouts:write"));
    asked(policy, &strong.scope("audit payouts:write")).await.assert_passed("all of it");
}

#[tokio::test]
async fn rs_142_a_grpc_caller_gets_the_challenge_as_metadata() {
    let guarded = post(whoami).layer(RequireLayer::new(scope("a").and(aal("aal2").max_age(AGE))));
    let server = Server::start(Router::new().route(METHOD, guarded).layer(gate(issuer()))).await;
    let authorization = |token: &TokenBuilder| format!("Bearer {}", token.sign());

    let weak = authorization(&with(json!({ "aal": "aal1" })));
    let status = soon(call(server.address, METHOD, &[&weak])).await.unwrap_err();
    assert_eq!((status.code(), status.code() as i32), (Code::Unauthenticated, 16));
    assert_eq!(status.message(), "a stronger or more recent sign-in is required");
    let challenge = status.metadata().get("www-authenticate").unwrap().to_str().unwrap();
    let challenge = Challenge::parse(challenge);
    for (name, expected) in [
        ("error", "insufficient_user_authentication"),
        ("scope", "a"),
        ("acr_values", "aal2"),
        ("max_age", "600"),
    ] {
        assert_eq!(challenge.param(name).as_deref(), Some(expected), "{name}");
    }

    let strong = json!({ "aal": "aal2", "amr": [{ "method": "mfa/phone", "timestamp": now() }] });
    let strong = authorization(&with(strong).scope("a"));
    assert_eq!(soon(call(server.address, METHOD, &[&strong])).await.unwrap(), "test-user");
}

#[tokio::test]
async fn rs_041_a_missing_role_is_forbidden_without_a_word_about_roles() {
    let keycloak = |roles: Value| with(json!({ "resource_access": { "my.app": { "roles": roles } } }));
    let policy = role("editor").at(["resource_access", "my.app", "roles"]);
    asked(policy.clone(), &keycloak(json!(["viewer", "editor"]))).await.assert_passed("an editor");
    for token in
        [keycloak(json!(["viewer"])), keycloak(json!("edit")), token().claim("roles", json!(["editor"]))]
    {
        let answer = asked(policy.clone(), &token).await;
        assert_forbidden(&answer, "role");
        assert_eq!(answer.challenge().unwrap().names().collect::<Vec<_>>(), ["realm"]);
    }
    ask(&guarded(policy), request([])).await.assert_missing("nobody");
}

#[tokio::test]
async fn a_claim_that_two_readers_could_read_differently_decides_nothing() {
    let twice = with_claims(r#""app_metadata":{"flags":["suspended"],"flags":[]}"#);
    let suspended = role("suspended").at("app_metadata.flags");
    for app in [guarded(suspended.clone()), guarded(not(suspended))] {
        let answer = bearer(&app, &twice).await;
        answer.assert_invalid("twice", Reason::MalformedClaims("a member stands twice"));
    }
}

#[tokio::test]
async fn and_or_and_not_decide_behind_a_gate_as_they_do_alone() {
    let policy = role("admin").or(scope("write").and(not(role("suspended"))));
    let as_role = |role: &str| with(json!({ "roles": [role] }));
    asked(policy.clone(), &as_role("admin")).await.assert_passed("an admin");
    asked(policy.clone(), &as_role("user").scope("write")).await.assert_passed("a writer");
    let neither = asked(policy.clone(), &as_role("user")).await;
    neither.assert_insufficient("neither: the scope can be had");
    assert_eq!(neither.challenge().unwrap().param("scope").as_deref(), Some("write"));
    let suspended = asked(policy.clone(), &as_role("suspended").scope("write")).await;
    assert_forbidden(&suspended, "role");
    // No challenge for a scope that would not help.
    let suspended = scope("write").and(not(role("suspended")));
    assert_forbidden(&asked(suspended, &as_role("suspended")).await, "not");
    ask(&guarded(policy), request([])).await.assert_missing("nobody");
}

#[tokio::test]
async fn what_cannot_be_told_is_not_turned_round() {
    let down =
        |_: &Verified| -> Result<(), AuthError> { Err(AuthError::unavailable("the database is down")) };
    assert_eq!(asked(not(down), &token()).await.status, 503);
    assert_eq!(asked(role("x").or(down), &token()).await.status, 503);
    asked(authenticated().or(down), &token()).await.assert_passed("no need to ask");
    let mistaken = claims(|_: &String| true);
    assert_eq!(asked(not(mistaken), &token()).await.status, 500);
    let answer = asked(claims(|_: &String| true), &token()).await;
    assert_eq!(
        (answer.status, answer.reason, answer.challenge().is_none()),
        (500, Some(Reason::OtherClaims), true)
    );
}

#[tokio::test]
async fn audience_client_and_single_claims_are_held_to() {
    let token = with(json!({ "azp": "web", "org": { "plan": "pro" } }));
    asked(policy::issuer("https://issuer.example"), &token).await.assert_passed("the issuer");
    assert_forbidden(&asked(policy::issuer("https://issuer.example/"), &token).await, "issuer");
    asked(audience("https://api.example"), &token).await.assert_passed("the audience");
    assert_forbidden(&asked(audience("https://api.example/"), &token).await, "audience");
    asked(client("web"), &token).await.assert_passed("the client");
    assert_forbidden(&asked(client("batch"), &token).await, "client");
    let plan = |name: &'static str| claim("org.plan", move |plan| plan.contains(name));
    asked(plan("pro"), &token).await.assert_passed("the plan");
    assert_forbidden(&asked(plan("free"), &token).await, "claim");
}

#[tokio::test]
async fn claims_are_at_hand_by_their_path_in_a_handler() {
    let app = app(gate(issuer()));
    let token = with(json!({ "app_metadata": { "tenant": "t-1" } })).sign();
    let verified = bearer(&app, &token).await.verified.unwrap();
    let tenant = verified.claim("app_metadata.tenant").and_then(|tenant| tenant.as_str());
    assert_eq!(tenant.as_deref(), Some("t-1"));
    assert!(verified.claim("app_metadata.other").is_none());
    // A policy chosen at run time does as well.
    let chosen: std::sync::Arc<dyn Policy + Send + Sync> = std::sync::Arc::new(role("admin"));
    let router = Router::new().fallback(reached).layer(RequireLayer::new(chosen)).layer(gate(issuer()));
    assert_forbidden(&bearer(&router, &token).await, "role");
}
