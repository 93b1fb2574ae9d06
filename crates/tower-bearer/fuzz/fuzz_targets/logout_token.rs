//! Whatever `verify_logout_token` accepts is a logout token that it should accept, by a second reading of it, and
//! proves nothing at the gate.
//!
//! The first byte of the input says what the rest is: `h` and `e` are followed by a header, a line feed and a
//! payload, which are signed with the secret or the Ed25519 key of the issuer, so that the rules are reached; after
//! `t` comes a token as it is.

#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bearer_testing::{Algorithm as Alg, SigningKey, sign_compact};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;
use std::{
    future::Future,
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tower_bearer::{
    Algorithm, Issuer, JwtVerifier, LogoutToken, Verification,
    keys::{KeySet, KeySource},
};

const ISSUER: &str = "https://issuer.example";
const CLIENT: &str = "web";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const SECRET: [u8; 32] = [7; 32];
const NOW: f64 = 1_700_000_000.0;
const LEEWAY: f64 = 60.0;
const MAX_AGE: f64 = 600.0;

struct World {
    secret: SigningKey,
    key: SigningKey,
    verifier: JwtVerifier,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let secret = SigningKey::hmac(Alg::HS256, &SECRET).without_kid();
    let key = SigningKey::generate(Alg::EdDSA).kid("k");
    let jwks = serde_json::json!({ "keys": [key.public_jwk()] }).to_string();
    // The client is an audience of access tokens, too: what tells the kinds apart is not `aud`.
    let issuer = Issuer::new(ISSUER, CLIENT)
        .algorithms([Algorithm::EdDSA])
        .hmac_secret(Algorithm::HS256, SECRET)
        .keys(KeySource::fixed(KeySet::from_jwks(&jwks).expect("a key set")))
        .logout_client(CLIENT);
    World { secret, key, verifier: JwtVerifier::new([issuer]).expect("an issuer with keys") }
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(input) = std::str::from_utf8(input) else { return Corpus::Reject };
    let world = &*WORLD;
    let sign = |key: &SigningKey| {
        let (header, payload) = input[1..].split_once('\n')?;
        Some(sign_compact(key, header, payload))
    };
    let token = match input.as_bytes().first() {
        Some(b'h') => sign(&world.secret),
        Some(b'e') => sign(&world.key),
        Some(b't') => Some(input[1..].to_owned()),
        _ => None,
    };
    let Some(token) = token else { return Corpus::Reject };
    if let Some(logout) = verify(&world.verifier, &token) {
        check(&token, &logout);
        match world.verifier.verify_token(&token, now()) {
            Verification::Done(result) => assert!(result.is_err(), "it proves who makes a request"),
            Verification::Pending(_) => panic!("keys that nobody publishes are not waited for"),
        }
    }
    Corpus::Keep
});

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs_f64(NOW)
}

fn verify(verifier: &JwtVerifier, token: &str) -> Option<LogoutToken> {
    match pin!(verifier.verify_logout_token(token, now())).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result.ok(),
        Poll::Pending => panic!("keys that nobody publishes are not waited for"),
    }
}

fn check(token: &str, logout: &LogoutToken) {
    let segments: Vec<Value> = token
        .split('.')
        .take(2)
        .map(|text| URL_SAFE_NO_PAD.decode(text).expect("base64url"))
        .map(|json| serde_json::from_slice(&json).expect("JSON"))
        .collect();
    let [header, payload] = &segments[..] else { panic!("{} segments", segments.len()) };
    check_header(header);
    check_payload(payload);
    check_copy(payload, logout);
}

fn check_header(header: &Value) {
    let alg = header["alg"].as_str().expect("alg");
    assert!(["HS256", "EdDSA", "Ed25519"].contains(&alg), "{alg}");
    if let Some(typ) = header.get("typ") {
        let typ = typ.as_str().expect("typ").to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        assert!(["jwt", "logout+jwt"].contains(&typ), "{typ}");
    }
    for name in ["crit", "b64", "zip"] {
        assert!(header.get(name).is_none(), "{name}");
    }
}

/// Back-Channel Logout §2.4 and §2.6.
fn check_payload(payload: &Value) {
    assert_eq!(payload["iss"], ISSUER);
    match &payload["aud"] {
        Value::Array(list) => assert!(list.iter().any(|aud| aud == CLIENT), "{list:?}"),
        one => assert_eq!(one, CLIENT),
    }
    let date = |name| payload.get(name).map(|value: &Value| value.as_f64().expect("a number"));
    let iat = date("iat").expect("iat");
    assert!(iat <= NOW + LEEWAY && NOW < iat + MAX_AGE + LEEWAY, "{iat}");
    assert!(date("exp").expect("exp") + LEEWAY > NOW);
    assert!(date("nbf").is_none_or(|nbf| nbf <= NOW + LEEWAY));
    assert!(payload["events"].as_object().expect("events")[EVENT].is_object());
    assert!(payload.get("nonce").is_none());
    assert!(payload["sub"].is_string() || payload["sid"].is_string());
}

/// What is heeded is what was signed.
fn check_copy(payload: &Value, logout: &LogoutToken) {
    assert_eq!(logout.iss, ISSUER);
    assert_eq!(Some(&*logout.jti), payload["jti"].as_str());
    let names = [("jti", Some(&logout.jti)), ("sub", logout.sub.as_ref()), ("sid", logout.sid.as_ref())];
    for (name, found) in names {
        assert_eq!(found.map(String::as_str), payload[name].as_str(), "{name}");
        assert!(found.is_none_or(|found| (1..=1024).contains(&found.len())), "{name}");
    }
    for (name, found) in [("iat", logout.iat), ("exp", logout.exp)] {
        let (found, signed) =
            (found.duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64(), &payload[name]);
        assert!((found - signed.as_f64().expect("a number")).abs() < 1e-3, "{name} {found} {signed}");
    }
}
