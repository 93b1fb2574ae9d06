//! Claims of the wrong type, dates, and factors of a sign-in.

use crate::support::{
    app::{bearer, guarded, usual},
    keys::token,
};
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tower_bearer::{
    Reason::{self, Expired, MalformedClaims},
    policy::{aal, acr},
};

#[tokio::test]
async fn cve_2026_25537_a_claim_of_the_wrong_type_is_not_an_absent_one() {
    let app = usual();
    let values = [
        json!(null),
        json!(true),
        json!("4000000000"),
        json!("x"),
        json!([]),
        json!([4_000_000_000_u64]),
        json!({}),
        json!(4_000_000_000_u64),
        json!(-1),
        json!(1e300),
    ];
    for name in ["exp", "nbf", "iat", "iss", "sub", "aud", "jti", "client_id", "azp"] {
        let mut passed = Vec::new();
        for value in &values {
            let answer = bearer(&app, &token().claim(name, value.clone()).sign()).await;
            if answer.reached() {
                passed.push(value.clone());
            } else {
                answer.assert_invalid_token(&format!("{name}: {value}"));
            }
        }
        let expected = match name {
            "exp" => vec![json!(4_000_000_000_u64)],
            "nbf" | "iat" | "iss" | "aud" => vec![],
            _ => vec![json!("4000000000"), json!("x")],
        };
        assert_eq!(passed, expected, "{name}");
    }
}

#[tokio::test]
async fn ghsa_wxg7_w2v3_w38g_dates_are_checked() {
    let app = usual();
    bearer(&app, &token().without("exp").sign())
        .await
        .assert_invalid("no exp", MalformedClaims("exp is missing"));
    bearer(&app, &token().expired().sign()).await.assert_invalid("exp", Expired);
    let future = token().claim("iat", 4_000_000_000_u64).claim("exp", 4_000_000_001_u64).sign();
    bearer(&app, &future).await.assert_invalid("iat", Reason::IssuedInTheFuture);
    let early = token().claim("nbf", 4_000_000_000_u64).claim("exp", 4_000_000_001_u64).sign();
    bearer(&app, &early).await.assert_invalid("nbf", Reason::NotYetValid);
}

#[tokio::test]
async fn ghsa_hp74_gm6m_2qm5_a_recent_sign_in_of_another_kind_does_not_renew_an_old_factor() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signed_in = |factor: u64, password: u64| {
        let amr = json!([
            { "method": "password", "timestamp": password },
            { "method": "totp", "timestamp": factor },
        ]);
        token().claims(json!({ "aal": "aal2", "auth_time": password, "amr": amr })).sign()
    };
    let app = guarded(aal("aal2").max_age(Duration::from_secs(300)));
    bearer(&app, &signed_in(now - 60, now - 900)).await.assert_passed("a recent factor");
    let refused = bearer(&app, &signed_in(now - 900, now)).await;
    assert_eq!(refused.code().as_deref(), Some("insufficient_user_authentication"));
    assert!(!refused.reached());

    // Strong and recent, or it is not enough.
    let app = guarded(acr("gold").max_age(Duration::from_secs(300)));
    for (claims, enough) in [
        (json!({ "acr": "gold", "auth_time": now - 60 }), true),
        (json!({ "acr": "gold", "auth_time": now - 900 }), false),
        (json!({ "acr": "gold" }), false),
        (json!({ "acr": "lead", "auth_time": now - 60 }), false),
        (json!({ "auth_time": now - 60 }), false),
    ] {
        let answer = bearer(&app, &token().claims(claims.clone()).sign()).await;
        assert_eq!(answer.reached(), enough, "{claims}");
    }
}
