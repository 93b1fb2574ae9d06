//! Which keys there are: odd ones, none at all, one that is gone, one that is late.

use super::coordinate;
use crate::support::{
    app::{app, bearer},
    forge::b64,
    keys::{AUD, ISS, es256, gate, issuer_publishing, jwks, rs256, source, token, token_by},
    soon,
};
use axum_bearer::{Algorithm as Ours, ConfigError, Issuer, JwtVerifier};
use bearer_testing::{Algorithm, SigningKey};
use serde_json::json;
use tower_bearer::{
    Reason::{self, NotAJwt, UnknownKey},
    keys::{KeySet, channel},
};

#[tokio::test]
async fn cve_2017_12974_a_point_that_is_not_on_the_curve_makes_no_key() {
    let mut jwk = es256().public_jwk();
    let mut y = coordinate(es256(), "y");
    y[31] ^= 1;
    jwk["y"] = json!(b64(y));
    let app = app(gate(issuer_publishing(&json!({ "keys": [jwk, rs256().public_jwk()] }))));
    bearer(&app, &token().sign()).await.assert_invalid("an invalid curve", UnknownKey);
}

#[test]
fn ghsa_8wpc_h4q6_8fxv_a_verifier_without_a_key_cannot_be_built() {
    let refused = |issuer| JwtVerifier::new([issuer]).unwrap_err();
    assert_eq!(refused(Issuer::new(ISS, AUD)), ConfigError::NoKeys(ISS.to_owned()));
    let empty = Issuer::new(ISS, AUD).keys(source(&json!({ "keys": [] })));
    assert_eq!(refused(empty), ConfigError::NoKeys(ISS.to_owned()));
    let only_odd = Issuer::new(ISS, AUD).keys(source(&json!({ "keys": [{ "kty": "oct", "k": "AA" }] })));
    assert_eq!(refused(only_odd), ConfigError::NoKeys(ISS.to_owned()));
    let secret = Issuer::new(ISS, AUD).hmac_secret(Ours::HS256, "");
    let short = ConfigError::ShortSecret { algorithm: Ours::HS256, least: 32 };
    assert_eq!(refused(secret).fault(), &short);
}

#[tokio::test]
async fn cve_2024_45809_a_request_that_waits_for_a_key_may_go_away() {
    let (mut sink, source) = channel();
    sink.publish(KeySet::from_jwks(&jwks(&[es256()]).to_string()).unwrap());
    let app = app(gate(Issuer::new(ISS, AUD).keys(source)));
    let late = SigningKey::generate(Algorithm::ES256).kid("late");
    let token = token_by(&late).sign();
    let mut gone = tokio_test::task::spawn(Box::pin(bearer(&app, &token)));
    assert!(gone.poll().is_pending());
    let mut stays = tokio_test::task::spawn(Box::pin(bearer(&app, &token)));
    assert!(stays.poll().is_pending());
    drop(gone);
    let (first, second) = (soon(sink.missed()).await.unwrap(), soon(sink.missed()).await.unwrap());
    sink.publish(KeySet::from_jwks(&jwks(&[es256(), &late]).to_string()).unwrap());
    drop((first, second));
    assert!(stays.is_woken());
    soon(stays).await.assert_passed("the one that stayed");
}

#[tokio::test]
async fn cve_2025_22149_a_key_that_is_published_no_more_verifies_no_more() {
    let (mut sink, source) = channel();
    let app = app(gate(Issuer::new(ISS, AUD).keys(source)));
    let answering = |sink: &mut tower_bearer::keys::KeySink, keys: &[&SigningKey]| {
        sink.publish(KeySet::from_jwks(&jwks(keys).to_string()).unwrap());
    };
    answering(&mut sink, &[es256(), rs256()]);
    bearer(&app, &token().sign()).await.assert_passed("published");
    answering(&mut sink, &[rs256()]);
    let revoked = token().sign();
    let mut waiting = tokio_test::task::spawn(Box::pin(bearer(&app, &revoked)));
    assert!(waiting.poll().is_pending(), "it is asked for, as any unknown key");
    drop(soon(sink.missed()).await.unwrap());
    soon(waiting).await.assert_invalid("removed", UnknownKey);
    bearer(&app, &token_by(rs256()).sign()).await.assert_passed("the other one");
}

#[tokio::test]
async fn cve_2026_31837_without_keys_there_is_no_other_key() {
    let (sink, source) = channel();
    let app = app(gate(Issuer::new(ISS, AUD).keys(source)));
    drop(sink);
    for key in [es256(), rs256()] {
        let answer = bearer(&app, &token_by(key).sign()).await;
        assert_eq!((answer.status, answer.reason, answer.reached()), (503, Some(Reason::NoKeys), false));
    }
    bearer(&app, &token().unsigned()).await.assert_invalid("unsigned", NotAJwt);
}

#[tokio::test]
async fn cve_2026_42576_a_set_of_all_kinds_of_keys_is_read_without_a_panic() {
    let set = json!({ "keys": [
        { "kty": "EC", "crv": "P-256" }, { "kty": "OKP" }, { "kty": "oct" }, { "kty": "AKP" }, { "kty": "RSA", "n": "", "e": "" },
        { "kty": "RSA" }, { "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }, null, [], rs256().public_jwk(), es256().public_jwk(),
    ] });
    let app = app(gate(issuer_publishing(&set)));
    bearer(&app, &token().sign()).await.assert_passed("EC");
    bearer(&app, &token_by(rs256()).sign()).await.assert_passed("RSA");
}
