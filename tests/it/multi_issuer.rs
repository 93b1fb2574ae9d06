//! Several issuers behind one gate.

use crate::support::{
    app::{app, bearer},
    keys::{AUD, gate, gate_of, jwks, source},
};
use axum_bearer::{Algorithm as Ours, ConfigError, Issuer, JwtVerifier, RegisteredClaims};
use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tower_bearer::Reason::{self, Audience, ClaimsType, Client, Signature, UnknownIssuer, UnknownKey};

const A: &str = "https://a.example";
const B: &str = "https://b.example";

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm).kid("same")
}

fn issuer(iss: &str, key: &SigningKey) -> Issuer {
    Issuer::new(iss, AUD).keys(source(&jwks(&[key])))
}

fn token(iss: &str, key: &SigningKey) -> TokenBuilder {
    TokenBuilder::new(key, iss, AUD)
}

#[tokio::test]
async fn one_kid_at_two_issuers_is_two_keys() {
    let (a, b) = (key(Algorithm::ES256), key(Algorithm::ES256));
    let app = app(gate_of([issuer(A, &a), issuer(B, &b)]));
    for (iss, good, bad) in [(A, &a, &b), (B, &b, &a)] {
        let answer = bearer(&app, &token(iss, good).sign()).await;
        answer.assert_passed(iss);
        assert_eq!(answer.verified.unwrap().registered().iss.as_deref(), Some(iss));
        bearer(&app, &token(iss, bad).sign()).await.assert_invalid(iss, Signature);
        bearer(&app, &token(iss, good).without_header("kid").sign()).await.assert_passed("without kid");
        bearer(&app, &token(iss, bad).without_header("kid").sign()).await.assert_invalid(iss, Signature);
    }
    bearer(&app, &token("https://c.example", &a).sign()).await.assert_invalid("neither", UnknownIssuer);
    bearer(&app, &token(A, &a).without("iss").sign()).await.assert_invalid("nobody's", UnknownIssuer);
}

#[tokio::test]
async fn each_issuer_has_its_own_allow_list_audience_and_secret() {
    let (a, b) = (key(Algorithm::ES256), key(Algorithm::EdDSA));
    let secret = SigningKey::hmac(Algorithm::HS256, &[7; 32]);
    let both = json!({ "keys": [a.public_jwk(), b.public_jwk()] });
    let app = app(gate_of([
        Issuer::new(A, "aud-a")
            .keys(source(&both))
            .algorithms([Ours::ES256])
            .hmac_secret(Ours::HS256, [7; 32]),
        Issuer::new(B, "aud-b").also_for("aud-c").keys(source(&both)).algorithms([Ours::EdDSA]),
    ]));
    let from = |iss: &str, key: &SigningKey, aud: &str| TokenBuilder::new(key, iss, aud).sign();
    bearer(&app, &from(A, &a, "aud-a")).await.assert_passed("A");
    bearer(&app, &from(B, &b, "aud-b")).await.assert_passed("B");
    bearer(&app, &from(B, &b, "aud-c")).await.assert_passed("B's other audience");
    bearer(&app, &from(A, &secret, "aud-a")).await.assert_passed("A's secret");
    bearer(&app, &from(A, &b, "aud-a")).await.assert_invalid("B's algorithm", Reason::Algorithm);
    bearer(&app, &from(B, &a, "aud-b")).await.assert_invalid("A's algorithm", Reason::Algorithm);
    bearer(&app, &from(B, &secret, "aud-b")).await.assert_invalid("A's secret for B", Reason::Algorithm);
    bearer(&app, &from(A, &a, "aud-b")).await.assert_invalid("B's audience for A", Reason::Audience);
    bearer(&app, &from(B, &b, "aud-a")).await.assert_invalid("A's audience for B", Reason::Audience);
}

#[derive(Deserialize)]
struct Employee {
    badge: u32,
}

#[derive(Deserialize)]
struct Customer {
    account: String,
}

#[tokio::test]
async fn each_issuer_has_its_own_type_of_claims() {
    let (a, b) = (key(Algorithm::ES256), key(Algorithm::ES256));
    let app = app(gate_of([issuer(A, &a).claims::<Employee>(), issuer(B, &b).claims::<Customer>()]));
    let employee = token(A, &a).claim("badge", 7);
    let verified = bearer(&app, &employee.sign()).await.verified.unwrap();
    assert_eq!(verified.claims::<Employee>().unwrap().badge, 7);
    assert!(verified.claims::<Customer>().is_none());
    assert_eq!(verified.claims::<RegisteredClaims>().unwrap().iss.as_deref(), Some(A), "of every issuer");
    assert!(verified.claims_type().ends_with("Employee"));
    let customer = token(B, &b).claim("account", "x");
    let verified = bearer(&app, &customer.sign()).await.verified.unwrap();
    assert_eq!(verified.claims::<Customer>().unwrap().account, "x");
    // What fits the other's type fits nothing here.
    bearer(&app, &token(B, &b).claim("badge", 7).sign()).await.assert_invalid("no account", ClaimsType);
    bearer(&app, &token(A, &a).claim("badge", "7").sign())
        .await
        .assert_invalid("a badge of text", ClaimsType);
}

#[tokio::test]
async fn a_token_without_iss_is_that_of_the_one_issuer_that_allows_it() {
    let (a, b) = (key(Algorithm::ES256), key(Algorithm::ES256));
    let app = app(gate_of([issuer(A, &a).allow_missing_iss(), issuer(B, &b)]));
    let answer = bearer(&app, &token(A, &a).without("iss").sign()).await;
    answer.assert_passed("nobody's name, A's key");
    assert_eq!(answer.verified.unwrap().registered().iss, None, "nothing is made up");
    bearer(&app, &token(A, &b).without("iss").sign()).await.assert_invalid("B's key", Signature);
    bearer(&app, &token(A, &a).sign()).await.assert_passed("A's name");
    for iss in [json!(""), json!("https://c.example"), json!("null")] {
        let token = token(A, &a).claim("iss", iss.clone()).sign();
        bearer(&app, &token).await.assert_invalid(&iss.to_string(), UnknownIssuer);
    }
    bearer(&app, &token(A, &a).claim("iss", json!(null)).sign())
        .await
        .assert_invalid_token("null is not absent");
    let two = [issuer(A, &a).allow_missing_iss(), issuer(B, &b).allow_missing_iss()];
    assert_eq!(JwtVerifier::new(two).unwrap_err(), ConfigError::SeveralWithoutIss);
}

#[tokio::test]
async fn an_issuer_without_audience_binds_its_tokens_to_a_client() {
    let key = key(Algorithm::ES256);
    let app = app(gate(Issuer::without_audience(A, "web").also_for("mobile").keys(source(&jwks(&[&key])))));
    let bare = || token(A, &key).without("aud");
    for (name, token) in [
        ("client_id", bare().claim("client_id", "web")),
        ("the other client", bare().claim("client_id", "mobile")),
        ("azp", bare().claim("azp", "web")),
        ("client_id before azp", bare().claim("client_id", "web").claim("azp", "evil")),
        ("an empty list", bare().claim("client_id", "web").claim("aud", json!([]))),
        ("our client as audience too", bare().claim("client_id", "web").audience("web")),
    ] {
        bearer(&app, &token.sign()).await.assert_passed(name);
    }
    for (name, token) in [
        ("neither", bare()),
        ("another client", bare().claim("client_id", "evil")),
        ("another client, our azp", bare().claim("client_id", "evil").claim("azp", "web")),
        ("a longer name", bare().claim("client_id", "web2")),
        ("empty", bare().claim("client_id", "")),
        ("our client as audience", bare().audience("web")),
        ("our client as subject", bare().subject("web")),
    ] {
        bearer(&app, &token.sign()).await.assert_invalid(name, Client);
    }
}

#[tokio::test]
async fn what_is_meant_for_another_api_is_refused_without_audience_too_unless_that_was_asked_for() {
    let key = key(Algorithm::ES256);
    let foreign = [json!("https://payments.example"), json!(["account", "https://payments.example"])];
    let strict = app(gate(Issuer::without_audience(A, "web").keys(source(&jwks(&[&key])))));
    let lenient = app(gate(Issuer::whatever_audience(A, "web").keys(source(&jwks(&[&key])))));
    for aud in foreign {
        let token = token(A, &key).claim("client_id", "web").claim("aud", aud.clone());
        bearer(&strict, &token.sign()).await.assert_invalid(&aud.to_string(), Audience);
        bearer(&lenient, &token.sign()).await.assert_passed(&aud.to_string());
        let stranger = token.claim("client_id", "evil").sign();
        bearer(&lenient, &stranger).await.assert_invalid("of another client", Client);
    }
}

#[tokio::test]
async fn where_neither_audience_nor_client_is_named_the_keys_alone_bind_and_what_is_meant_for_others_is_refused()
 {
    let (key, stranger) = (key(Algorithm::ES256), key(Algorithm::ES256));
    let issuer = || Issuer::without_audience_or_client(A).keys(source(&jwks(&[&key])));
    let app = app(gate(issuer().also_for("api")));
    let bare = || token(A, &key).without("aud");
    for (name, token) in [
        ("nothing", bare()),
        ("any client", bare().claim("client_id", "web")),
        ("an empty list", bare().claim("aud", json!([]))),
        ("the audience that is named", bare().claim("aud", json!(["x", "api"]))),
    ] {
        bearer(&app, &token.sign()).await.assert_passed(name);
    }
    for aud in ["https://payments.example", "", "ap", A] {
        bearer(&app, &bare().claim("aud", aud).sign()).await.assert_invalid(aud, Audience);
    }
    bearer(&app, &token(A, &stranger).without("aud").sign()).await.assert_invalid("another's key", Signature);
    assert_eq!(JwtVerifier::new([issuer().rfc9068()]).unwrap_err().fault(), &ConfigError::ProfileOptedOut);
}

#[tokio::test]
async fn of_a_set_that_tenants_share_a_key_signs_for_the_issuer_that_it_names() {
    let (of_a, of_all) = (key(Algorithm::ES256).kid("a"), key(Algorithm::ES256).kid("all"));
    let mut set = jwks(&[&of_a, &of_all]);
    set["keys"][0]["issuer"] = json!("https://login.example/a/v2.0");
    set["keys"][1]["issuer"] = json!("https://login.example/{tenantid}/v2.0");
    let tenant = |name: &str| format!("https://login.example/{name}/v2.0");
    let issuer = |name: &str| Issuer::new(tenant(name), AUD).keys(source(&set));
    let app = app(gate_of([issuer("a"), issuer("b")]));
    bearer(&app, &token(&tenant("a"), &of_a).sign()).await.assert_passed("its own");
    bearer(&app, &token(&tenant("b"), &of_a).sign()).await.assert_invalid("the other's", UnknownKey);
    for name in ["a", "b"] {
        bearer(&app, &token(&tenant(name), &of_all).sign()).await.assert_passed(name);
    }
}

#[tokio::test]
async fn the_audiences_of_a_token_are_handed_on_as_they_came() {
    let key = key(Algorithm::ES256);
    let app = app(gate(issuer(A, &key)));
    let many = [AUD, "https://else.example", "x"];
    let verified = bearer(&app, &token(A, &key).claim("aud", many).sign()).await.verified.unwrap();
    assert!(verified.registered().aud.iter().eq(many), "{:?}", verified.registered().aud);
}

#[test]
fn rfc_9068_cannot_be_had_without_what_it_requires_nor_a_leeway_that_is_none() {
    let key = key(Algorithm::ES256);
    let keys = || source(&jwks(&[&key]));
    let error = |issuer: Issuer| JwtVerifier::new([issuer]).err().map(|error| error.fault().clone());
    for issuer in [
        Issuer::without_audience(A, "web").keys(keys()),
        Issuer::whatever_audience(A, "web").keys(keys()),
        issuer(A, &key).allow_missing_iss(),
    ] {
        assert_eq!(error(issuer.clone()), None);
        assert_eq!(error(issuer.rfc9068()), Some(ConfigError::ProfileOptedOut));
    }
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    assert_eq!(error(issuer(A, &key).leeway(minutes(10))), None);
    for leeway in [minutes(11), Duration::MAX] {
        assert_eq!(error(issuer(A, &key).leeway(leeway)), Some(ConfigError::LongLeeway));
    }
}

#[test]
fn issuers_that_cannot_be_told_apart_or_trust_nobody_are_mistakes() {
    let key = key(Algorithm::ES256);
    let error = |issuers: Vec<Issuer>| JwtVerifier::new(issuers).unwrap_err();
    assert_eq!(error(vec![]), ConfigError::NoIssuer);
    assert_eq!(error(vec![issuer(A, &key), issuer(A, &key)]), ConfigError::DuplicateIssuer(A.to_owned()));
    assert_eq!(error(vec![issuer(A, &key), Issuer::new(B, AUD)]), ConfigError::NoKeys(B.to_owned()));
    assert_eq!(error(vec![issuer("", &key)]), ConfigError::EmptyIssuer);
    let keys = || source(&jwks(&[&key]));
    for nobody in [
        Issuer::new(A, "").keys(keys()),
        issuer(A, &key).also_for(""),
        Issuer::without_audience(A, "").keys(keys()),
    ] {
        let error = error(vec![issuer(B, &key), nobody]);
        let fault = Box::new(ConfigError::EmptyAudience);
        assert_eq!(error, ConfigError::Issuer { iss: A.to_owned(), fault });
        assert_eq!(error.to_string(), format!("the issuer {A}: an audience or client id is empty"));
    }
}
