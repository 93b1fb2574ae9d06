//! What a policy behind the gate makes of good tokens.

use super::{
    outcome::{EXPIRED, FORBIDDEN, INVALID, MISCONFIGURED, MISSING, Outcome, PASSES, refused},
    row::{bearer, get, row},
    servers::{Guard, Servers, by},
};
use crate::support::keys::{gate, issuer, token};
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tower_bearer::policy::{
    Policy as _, aal, acr_any, claims, deny, max_age, not, role, scope, scopes_all, scopes_any,
};

async fn behind(guard: Guard) -> Servers {
    Servers::start(gate(issuer()), guard).await
}

fn seconds_ago(seconds: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - seconds
}

const LACKS_BOTH: Outcome = refused(
    403,
    &[concat!(
        r#"Bearer realm="https://api.example", error="insufficient_scope", "#,
        r#"error_description="the access token does not have the scope that is needed", scope="read write""#
    )],
    7,
);

#[tokio::test]
async fn rs_020_021_028_155_168_scopes_decide_alike_everywhere() {
    let with = |scope: &str| bearer(token().scope(scope).sign());
    let all = behind(by(scopes_all(["read", "write"]))).await;
    all.hold([
        row("both", with("write read read"), PASSES),
        row("one", with("read"), LACKS_BOTH),
        row("none", bearer(token().sign()), LACKS_BOTH),
        row("other letters", with("Read WRITE"), LACKS_BOTH),
        row("another delimiter", with("read,write"), LACKS_BOTH),
        row("another type", bearer(token().claim("scope", json!(["read", "write"])).sign()), LACKS_BOTH),
        row("expired, and without the scope", bearer(token().expired().sign()), EXPIRED),
        row("nobody", get(), MISSING),
    ])
    .await;
    let any = behind(by(scopes_any(["read", "write"]).implied_by(["admin"]))).await;
    any.hold([
        row("one will do", with("write"), PASSES),
        row("a broader one", with("admin"), PASSES),
        row("neither", with("reader"), LACKS_BOTH),
    ])
    .await;
}

#[tokio::test]
async fn rs_155_168_roles_and_combinations_decide_alike_everywhere() {
    let with = |roles: &[&str]| bearer(token().claim("app_metadata", json!({ "roles": roles })).sign());
    let at = |name: &str| role(name).at("app_metadata.roles");
    behind(by(at("editor")))
        .await
        .hold([
            row("an editor", with(&["reader", "editor"]), PASSES),
            row("a reader", with(&["reader"]), FORBIDDEN),
            row("no roles", bearer(token().sign()), FORBIDDEN),
            row("a bad token", bearer(token().tampered()), INVALID),
        ])
        .await;
    behind(by(not(at("suspended"))))
        .await
        .hold([
            row("anybody", bearer(token().sign()), PASSES),
            row("suspended", with(&["suspended"]), FORBIDDEN),
            row("nobody", get(), MISSING),
        ])
        .await;
    behind(by(at("admin").or(scopes_all(["read", "write"]))))
        .await
        .hold([
            row("an admin", with(&["admin"]), PASSES),
            row("the scopes", bearer(token().scope("read write").sign()), PASSES),
            row("what can be got is asked for", with(&["reader"]), LACKS_BOTH),
        ])
        .await;
    behind(by(deny())).await.hold([row("switched off", bearer(token().sign()), FORBIDDEN)]).await;
}

/// One for each thing that is asked for.
const WEAK_OR_OLD: Outcome = refused(
    401,
    &[concat!(
        r#"Bearer realm="https://api.example", error="insufficient_user_authentication", "#,
        r#"error_description="a stronger or more recent sign-in is required", acr_values="aal2", max_age="600""#
    )],
    16,
);

const WEAK_AND_WITHOUT_SCOPE: Outcome = refused(
    401,
    &[concat!(
        r#"Bearer realm="https://api.example", error="insufficient_user_authentication", "#,
        r#"error_description="a stronger or more recent sign-in is required", scope="pay", acr_values="aal2", max_age="600""#
    )],
    16,
);

const LACKS_PAY: Outcome = refused(
    403,
    &[concat!(
        r#"Bearer realm="https://api.example", error="insufficient_scope", "#,
        r#"error_description="the access token does not have the scope that is needed", scope="pay""#
    )],
    7,
);

const OTHER_CLASS: Outcome = refused(
    401,
    &[concat!(
        r#"Bearer realm="https://api.example", error="insufficient_user_authentication", "#,
        r#"error_description="a stronger or more recent sign-in is required", acr_values="gold silver""#
    )],
    16,
);

const OLD: Outcome = refused(
    401,
    &[concat!(
        r#"Bearer realm="https://api.example", error="insufficient_user_authentication", "#,
        r#"error_description="a stronger or more recent sign-in is required", max_age="600""#
    )],
    16,
);

#[tokio::test]
async fn rs_142_to_146_155_168_step_up_is_asked_for_alike_everywhere() {
    let age = Duration::from_secs(600);
    let totp = |ago| {
        let amr = json!([{ "method": "totp", "timestamp": seconds_ago(ago) }]);
        token().claims(json!({ "aal": "aal2", "amr": amr }))
    };
    behind(by(scope("pay").and(aal("aal2").max_age(age))))
        .await
        .hold([
            row("strong and recent", bearer(totp(60).scope("pay").sign()), PASSES),
            row("strong and old", bearer(totp(900).scope("pay").sign()), WEAK_OR_OLD),
            row("weak", bearer(token().claim("aal", "aal1").scope("pay").sign()), WEAK_OR_OLD),
            row(
                "weak, and without the scope",
                bearer(token().claim("aal", "aal1").sign()),
                WEAK_AND_WITHOUT_SCOPE,
            ),
            row("strong, and without the scope", bearer(totp(60).sign()), LACKS_PAY),
            row("the claims are missing", bearer(token().scope("pay").sign()), WEAK_OR_OLD),
            row("expired", bearer(totp(900).expired().sign()), EXPIRED),
            row("nobody", get(), MISSING),
        ])
        .await;
    behind(by(acr_any(["gold", "silver"])))
        .await
        .hold([
            row("silver", bearer(token().claim("acr", "silver").sign()), PASSES),
            row("Gold", bearer(token().claim("acr", "Gold").sign()), OTHER_CLASS),
        ])
        .await;
    behind(by(max_age(age)))
        .await
        .hold([
            row("signed in just now", bearer(token().claim("auth_time", seconds_ago(60)).sign()), PASSES),
            row("signed in long ago", bearer(token().claim("auth_time", seconds_ago(900)).sign()), OLD),
        ])
        .await;
}

#[tokio::test]
async fn rs_155_168_a_mistake_of_the_service_is_its_own_everywhere() {
    behind(by(claims(|_: &String| true)))
        .await
        .hold([
            row("claims of another type", bearer(token().sign()), MISCONFIGURED),
            row("a bad token", bearer(token().tampered()), INVALID),
            row("nobody", get(), MISSING),
        ])
        .await;
}
