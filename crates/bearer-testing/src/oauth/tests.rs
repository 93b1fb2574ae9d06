//! The provider as a client sees it.

use serde_json::json;

use super::*;
use crate::{
    client::{self, Answer},
    query::with_query,
    verify_compact,
};

const BACK: &str = "https://app.example/back?x=1";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn post(provider: &TestOAuth, path: &str, form: &[(&str, &str)]) -> Answer {
    let body = with_query("", form)[1..].to_owned();
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    client::request("POST", &format!("{}/{path}", provider.issuer()), &headers, &body).await
}

async fn refresh(provider: &TestOAuth, token: &str) -> Answer {
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_id", "app"),
        ("client_secret", "its-secret"),
    ];
    post(provider, "token", &form).await
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// The code of a sign-in.
async fn code(provider: &TestOAuth) -> String {
    code_for(provider, &[]).await
}

/// The code of a sign-in that was asked for with more parameters.
async fn code_for(provider: &TestOAuth, more: &[(&str, &str)]) -> String {
    let usual = [
        ("response_type", "code"),
        ("client_id", "public-app"),
        ("redirect_uri", BACK),
        ("scope", "openid"),
        ("state", "the state"),
        ("nonce", "the-nonce"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let url = with_query(&format!("{}/authorize", provider.issuer()), &[&usual, more].concat());
    let answer = client::get(&url).await;
    assert_eq!(answer.status, 302);
    let rest = answer.headers["location"].strip_prefix(&format!("{BACK}&code=")).expect("back again");
    let (code, rest) = rest.split_once('&').unwrap();
    assert!(rest.starts_with("state=the%20state&iss=http"), "{rest}");
    code.to_owned()
}

async fn redeem(provider: &TestOAuth, code: &str, back: &str, verifier: &str) -> Answer {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", back),
        ("code_verifier", verifier),
        ("client_id", "public-app"),
    ];
    post(provider, "token", &form).await
}

#[tokio::test]
async fn a_code_is_good_once_and_with_its_verifier_and_place() {
    let provider = TestOAuth::start().await;
    let good = code(&provider).await;
    let tokens = redeem(&provider, &good, BACK, VERIFIER).await.json();
    let claims = verify_compact(&provider.signing_key(), text(&tokens, "id_token")).unwrap();
    assert_eq!((text(&claims, "nonce"), text(&claims, "aud")), ("the-nonce", "public-app"));
    let (wrong_verifier, wrong_place) = (code(&provider).await, code(&provider).await);
    for answer in [
        redeem(&provider, &good, BACK, VERIFIER).await,
        redeem(&provider, &wrong_verifier, BACK, CHALLENGE).await,
        redeem(&provider, &wrong_place, "https://app.example/", VERIFIER).await,
    ] {
        assert_eq!((answer.status, answer.json()), (400, json!({ "error": "invalid_grant" })));
    }
    assert_eq!(provider.grants_alive(), 1);
}

/// The claims of the access token and of the ID token of a sign-in.
async fn claims_for(provider: &TestOAuth, more: &[(&str, &str)]) -> [Value; 2] {
    let code = code_for(provider, more).await;
    let tokens = redeem(provider, &code, BACK, VERIFIER).await.json();
    ["access_token", "id_token"]
        .map(|name| verify_compact(&provider.signing_key(), text(&tokens, name)).unwrap())
}

#[tokio::test]
async fn tokens_say_who_signed_in_and_how() {
    let provider = TestOAuth::start().await;
    let before = clock::now();
    let table: [(&[_], _, _); 3] = [
        (&[], "ada", None),
        (&[("login_hint", "eve"), ("acr_values", "")], "eve", None),
        (&[("acr_values", "urn:mfa urn:hwk")], "ada", Some("urn:mfa")),
    ];
    for (asked, subject, acr) in table {
        let [access_token, id_token] = claims_for(&provider, asked).await;
        for claims in [&access_token, &id_token] {
            assert_eq!(text(claims, "sub"), subject, "{asked:?}");
            assert_eq!(claims.get("acr").and_then(Value::as_str), acr, "{asked:?}");
            assert!((before..=clock::now()).contains(&claims["auth_time"].as_i64().unwrap()), "{claims}");
        }
        assert_eq!(text(&access_token, "aud"), provider.audience());
        assert!(access_token.get("nonce").is_none());
    }
}

#[tokio::test]
async fn a_refresh_is_no_sign_in() {
    let provider = TestOAuth::start_with(OAuthOptions::new().signed_in_ago(600)).await;
    let granted = provider.grant("ada");
    let claims = |answer: &Value| {
        let mut claims = verify_compact(&provider.signing_key(), text(answer, "access_token")).unwrap();
        claims.as_object_mut().unwrap().retain(|name, _| !["exp", "iat", "jti"].contains(&name.as_str()));
        claims
    };
    let refreshed = refresh(&provider, text(&granted, "refresh_token")).await.json();
    assert_eq!(claims(&refreshed), claims(&granted));
}

#[tokio::test]
async fn users_who_are_signed_in_are_asked_anew_when_the_client_wants_it() {
    let provider = TestOAuth::start_with(OAuthOptions::new().signed_in_ago(600)).await;
    let table: [(&[_], _); 6] = [
        (&[], false),
        (&[("max_age", "600")], false),
        (&[("max_age", "599")], true),
        (&[("max_age", "0")], true),
        (&[("prompt", "login consent")], true),
        (&[("prompt", "none"), ("max_age", "soon")], false),
    ];
    for (asked, is_new) in table {
        let [access_token, id_token] = claims_for(&provider, asked).await;
        assert_eq!(access_token["auth_time"], id_token["auth_time"]);
        let age = clock::now() - access_token["auth_time"].as_i64().unwrap();
        assert_eq!(age < 300, is_new, "{asked:?}: {age}");
    }
}

#[tokio::test]
async fn access_tokens_may_tell_nothing_of_the_sign_in() {
    let provider = TestOAuth::start_with(OAuthOptions::new().without_assurance()).await;
    let [access_token, id_token] = claims_for(&provider, &[("acr_values", "urn:mfa")]).await;
    assert_eq!((access_token.get("acr"), access_token.get("auth_time")), (None, None));
    assert_eq!(text(&id_token, "acr"), "urn:mfa");
    assert!(id_token["auth_time"].is_i64());
}

#[tokio::test]
async fn claims_of_a_user_are_in_the_tokens_of_that_user_alone() {
    let provider = TestOAuth::start().await;
    provider.set_claims("ada", json!({ "roles": ["admin"], "acr": "weak" }));
    for claims in claims_for(&provider, &[("acr_values", "strong")]).await {
        assert_eq!((&claims["roles"], &claims["acr"]), (&json!(["admin"]), &json!("weak")));
    }
    for claims in claims_for(&provider, &[("login_hint", "eve")]).await {
        assert_eq!(claims.get("roles"), None);
    }
    provider.set_claims("ada", json!({}));
    for claims in claims_for(&provider, &[]).await {
        assert_eq!(claims.get("roles"), None, "those before are forgotten");
    }
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let provider = TestOAuth::start().await;
    let first = text(&provider.grant("ada"), "refresh_token").to_owned();
    let second = text(&refresh(&provider, &first).await.json(), "refresh_token").to_owned();
    assert_ne!(first, second);
    assert_eq!(provider.grants_alive(), 1);
    for token in [&first, &second, "invented"] {
        assert_eq!(refresh(&provider, token).await.json(), json!({ "error": "invalid_grant" }));
    }
    assert_eq!(provider.grants_alive(), 0);
    assert_eq!(provider.presentations(), [2, 1, 1]);
}

#[tokio::test]
async fn without_rotation_no_answer_has_a_refresh_token() {
    let provider = TestOAuth::start_with(OAuthOptions::new().without_rotation()).await;
    let token = text(&provider.grant("ada"), "refresh_token").to_owned();
    for _ in 0..3 {
        assert_eq!(refresh(&provider, &token).await.json().get("refresh_token"), None);
    }
    assert_eq!(provider.presentations_of(&token), 3);
}

#[tokio::test]
async fn a_client_must_prove_itself() {
    let provider = TestOAuth::start().await;
    for form in [
        &[("client_id", "app")][..],
        &[("client_id", "app"), ("client_secret", "a guess")],
        &[("client_id", "public-app"), ("client_secret", "its-secret")],
        &[],
    ] {
        let form = [&[("grant_type", "refresh_token"), ("refresh_token", "x")], form].concat();
        assert_eq!(post(&provider, "token", &form).await.status, 401, "{form:?}");
        assert_eq!(post(&provider, "revoke", &form).await.status, 401, "{form:?}");
    }
}

#[tokio::test]
async fn a_revoked_grant_is_over() {
    let provider = TestOAuth::start().await;
    let token = text(&provider.grant("ada"), "refresh_token").to_owned();
    let proof = [("client_id", "app"), ("client_secret", "its-secret")];
    for token in [&*token, "unknown"] {
        assert_eq!(post(&provider, "revoke", &[&[("token", token)][..], &proof].concat()).await.status, 200);
    }
    assert_eq!(provider.grants_alive(), 0);
    assert_eq!(refresh(&provider, &token).await.status, 400);
}
