//! For whom a token is, and by whom.

use crate::support::{
    app::{app, bearer, usual},
    keys::{AUD, ISS, es256, gate, gate_of, issuer, jwks, source, token, token_by},
};
use axum_bearer::{Algorithm as Ours, Issuer};
use bearer_testing::{Algorithm, SigningKey};
use serde::Deserialize;
use serde_json::json;
use std::task::Poll;
use tower_bearer::{
    Reason::{self, Expired, MalformedClaims, Signature, UnknownIssuer},
    keys::{KeySet, channel},
};

#[tokio::test]
async fn cve_2020_26160_an_audience_of_another_type_matches_nothing() {
    let app = usual();
    for aud in [json!([]), json!([""]), json!(""), json!(["x", "y"])] {
        bearer(&app, &token().audience(aud.clone()).sign())
            .await
            .assert_invalid(&aud.to_string(), Reason::Audience);
    }
    for aud in [json!(null), json!(0), json!(false), json!({}), json!([[AUD]]), json!([AUD, null])] {
        bearer(&app, &token().audience(aud.clone()).sign()).await.assert_invalid_token(&aud.to_string());
    }
    bearer(&app, &token().audience(vec!["x", AUD]).sign()).await.assert_passed("a list with ours in it");
}

#[tokio::test]
async fn cve_2023_22482_cve_2024_5798_cve_2026_30223_cve_2026_55669_the_audience_is_asked_for_in_every_key_mode()
 {
    let secret = SigningKey::hmac(Algorithm::HS256, &[7; 32]);
    let (mut sink, published) = channel();
    sink.publish(KeySet::from_jwks(&jwks(&[es256()]).to_string()).unwrap());
    let named = || Issuer::new(ISS, AUD);
    let modes = [
        ("fixed keys", issuer(), es256()),
        ("published keys", named().keys(published), es256()),
        ("a secret", named().hmac_secret(Ours::HS256, [7; 32]), &secret),
        ("a secret beside keys", issuer().hmac_secret(Ours::HS256, [7; 32]), &secret),
        ("keys beside a secret", issuer().hmac_secret(Ours::HS256, [7; 32]), es256()),
        ("without iss", issuer().allow_missing_iss(), es256()),
    ];
    for (name, issuer, key) in modes {
        let app = app(gate(issuer));
        bearer(&app, &token_by(key).sign()).await.assert_passed(name);
        bearer(&app, &token_by(key).without("aud").sign()).await.assert_invalid(name, Reason::Audience);
        bearer(&app, &token_by(key).audience("https://x").sign())
            .await
            .assert_invalid(name, Reason::Audience);
        let nameless = token_by(key).without("iss").without("aud").sign();
        bearer(&app, &nameless).await.assert_invalid_token(name);
    }
}

#[derive(Deserialize)]
struct OfA {
    #[serde(rename = "sub")]
    a: String,
}

#[derive(Deserialize)]
struct OfB {
    #[serde(rename = "sub")]
    b: String,
}

#[tokio::test]
async fn cve_2023_3518_cve_2026_49998_provider_key_and_claims_are_of_one_issuer() {
    let (a, b) =
        (SigningKey::generate(Algorithm::ES256).kid("k"), SigningKey::generate(Algorithm::ES256).kid("k"));
    let named = |iss: &str, key| Issuer::new(iss, AUD).keys(source(&jwks(&[key])));
    let app = app(gate_of([named("https://a", &a).claims::<OfA>(), named("https://b", &b).claims::<OfB>()]));
    // Again and again, so that whatever was remembered of one could be used for the other.
    for _ in 0..3 {
        let verified = bearer(&app, &token_by(&a).issuer("https://a").sign()).await.verified.unwrap();
        assert_eq!(verified.registered().iss.as_deref(), Some("https://a"));
        assert_eq!(verified.claims::<OfA>().unwrap().a, "test-user");
        assert!(verified.claims::<OfB>().is_none());
        let verified = bearer(&app, &token_by(&b).issuer("https://b").sign()).await.verified.unwrap();
        assert_eq!(verified.claims::<OfB>().unwrap().b, "test-user");
        bearer(&app, &token_by(&a).issuer("https://b").sign()).await.assert_invalid("A as B", Signature);
        bearer(&app, &token_by(&b).issuer("https://a").sign()).await.assert_invalid("B as A", Signature);
    }
}

#[tokio::test]
async fn cve_2023_50424_ghsa_mj35_2rgf_cv8p_an_unknown_issuer_costs_no_question_and_leaves_nothing_behind() {
    let (mut sink, source) = channel();
    sink.publish(KeySet::from_jwks(&jwks(&[es256()]).to_string()).unwrap());
    let app = app(gate(Issuer::new(ISS, AUD).keys(source)));
    let stranger = SigningKey::generate(Algorithm::ES256);
    for number in 0..500 {
        let token = token_by(&stranger).issuer(&format!("https://issuer-{number}.example")).sign();
        bearer(&app, &token).await.assert_invalid("nobody we know", UnknownIssuer);
        // What can be refused without a key asks for none either.
        bearer(&app, &token_by(&stranger).expired().sign()).await.assert_invalid("expired", Expired);
        bearer(&app, &token_by(&stranger).audience("x").sign())
            .await
            .assert_invalid("not for us", Reason::Audience);
    }
    let mut question = tokio_test::task::spawn(sink.missed());
    assert!(matches!(question.poll(), Poll::Pending), "somebody asked for a key");
}

#[tokio::test]
async fn cve_2024_5037_cve_2024_53861_cve_2025_30144_iss_is_one_string_and_exactly_ours() {
    let app = usual();
    for iss in [
        "",
        "h",
        "https://issuer.exampl",
        "ttps://issuer.example",
        "https://issuer.example.",
        "issuer",
        "https://issuer.example/x",
        "https://issuer.example#",
        "https://xissuer.example",
    ] {
        bearer(&app, &token().issuer(iss).sign()).await.assert_invalid(iss, UnknownIssuer);
    }
    for iss in [json!([ISS]), json!([ISS, "https://evil.example"]), json!({ "0": ISS }), json!(null)] {
        let reason = MalformedClaims("iss is not a string");
        bearer(&app, &token().claim("iss", iss.clone()).sign())
            .await
            .assert_invalid(&iss.to_string(), reason);
    }
    bearer(&app, &token().without("iss").sign()).await.assert_invalid("absent", UnknownIssuer);
}
