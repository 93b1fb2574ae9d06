//! Whatever `JwtVerifier` accepts is a token that it should accept, by a second reading of it.
//!
//! The first byte of the input says what the rest is: `h` and `e` are followed by a header, a line feed and a
//! payload, which are signed with the secret or the Ed25519 key of the issuer, so that the rules are reached; after
//! `t` comes a token as it is.

#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bearer_testing::{Algorithm as Alg, SigningKey, sign_compact};
use http::Request;
use libfuzzer_sys::{Corpus, fuzz_target};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::{
    collections::HashSet,
    fmt,
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tower_bearer::{
    Algorithm, Credential, Issuer, JwtVerifier, Presented, Verification, Verified, Verify,
    keys::{KeySet, KeySource},
};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://api.example";
const SECRET: [u8; 32] = [7; 32];
const NOW: f64 = 1_700_000_000.0;
const LEEWAY: f64 = 60.0;

struct World {
    secret: SigningKey,
    key: SigningKey,
    verifier: JwtVerifier,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let secret = SigningKey::hmac(Alg::HS256, &SECRET).without_kid();
    let key = SigningKey::generate(Alg::EdDSA).kid("k");
    let jwks = serde_json::json!({ "keys": [key.public_jwk()] }).to_string();
    let issuer = Issuer::new(ISSUER, AUDIENCE)
        .algorithms([Algorithm::EdDSA])
        .hmac_secret(Algorithm::HS256, SECRET)
        .keys(KeySource::fixed(KeySet::from_jwks(&jwks).expect("a key set")))
        .claims::<Value>();
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
    if let Some(verified) = verify(&world.verifier, &token) {
        check(&token, &verified);
    }
    Corpus::Keep
});

fn verify(verifier: &JwtVerifier, token: &str) -> Option<Verified> {
    let credential = Credential::new(token).ok()?;
    let now = UNIX_EPOCH + Duration::from_secs_f64(NOW);
    match verifier.verify(&Presented::new(credential, &Request::new(()), now)) {
        Verification::Done(result) => result.ok(),
        Verification::Pending(_) => panic!("keys that nobody publishes are not waited for"),
    }
}

fn check(token: &str, verified: &Verified) {
    let segments: Vec<_> =
        token.split('.').map(|text| URL_SAFE_NO_PAD.decode(text).expect("base64url")).collect();
    let [header, payload, _] = &segments[..] else { panic!("{} segments", segments.len()) };
    check_header(&object(header));
    let payload = object(payload);
    check_payload(&payload);
    check_copy(&payload, verified);
}

/// Neither `Value` nor `Map` would notice a member that stands twice.
fn object(json: &[u8]) -> Value {
    let Names(names) = serde_json::from_slice(json).expect("an object");
    let several = names.len();
    assert_eq!(names.into_iter().collect::<HashSet<_>>().len(), several, "a member stands twice");
    serde_json::from_slice(json).expect("JSON")
}

fn check_header(header: &Value) {
    let alg = header["alg"].as_str().expect("alg");
    assert!(["HS256", "EdDSA", "Ed25519"].contains(&alg), "{alg}");
    match header.get("kid") {
        None => {}
        Some(Value::String(kid)) => assert!(alg == "HS256" || kid == "k", "{kid}"),
        Some(other) => panic!("kid {other}"),
    }
    match header.get("typ") {
        None => {}
        Some(Value::String(typ)) => {
            let typ = typ.to_ascii_lowercase();
            let typ = typ.strip_prefix("application/").unwrap_or(&typ);
            assert!(["jwt", "at+jwt"].contains(&typ), "{typ}");
        }
        Some(other) => panic!("typ {other}"),
    }
    for name in ["crit", "b64", "zip"] {
        assert!(header.get(name).is_none(), "{name}");
    }
}

fn check_payload(payload: &Value) {
    assert_eq!(payload["iss"], ISSUER);
    let aud = match &payload["aud"] {
        Value::Array(list) => list.iter().map(|aud| aud.as_str().expect("aud")).collect(),
        one => vec![one.as_str().expect("aud")],
    };
    assert!(aud.contains(&AUDIENCE), "{aud:?}");
    let date = |name| payload.get(name).map(|value: &Value| value.as_f64().expect("a number"));
    assert!(date("exp").expect("exp") + LEEWAY > NOW);
    assert!(date("nbf").is_none_or(|nbf| nbf <= NOW + LEEWAY));
    assert!(date("iat").is_none_or(|iat| iat <= NOW + LEEWAY));
    for name in ["cnf", "at_hash", "c_hash", "s_hash", "events"] {
        assert!(payload.get(name).is_none(), "{name}");
    }
    assert!(payload.get("nonce").is_none() || payload["scope"].is_string() || payload.get("scp").is_some());
    assert!(payload.get("token_use").is_none_or(|name| name == "access"));
    for name in ["typ", "type", "token_type"] {
        let kind = payload.get(name).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
        assert!(!kind.contains("refresh") && kind != "id", "{name} {kind}");
    }
    assert_ne!(payload["sub"], "");
}

/// What the handlers get to see is what was signed.
fn check_copy(payload: &Value, verified: &Verified) {
    assert_eq!(*verified.claims::<Value>().expect("the claims"), *payload);
    // No path has an empty name.
    for (name, value) in payload.as_object().expect("an object").iter().filter(|(name, _)| !name.is_empty()) {
        let claim = verified.claim([name]).expect("a claim of that name");
        assert_eq!(claim.parse::<Value>().expect("JSON"), *value, "{name}");
    }
    let registered = verified.registered();
    for (name, found) in [
        ("iss", registered.iss.as_deref()),
        ("sub", registered.sub.as_deref()),
        ("jti", registered.jti.as_deref()),
    ] {
        assert_eq!(found, payload.get(name).map(|value| value.as_str().expect(name)), "{name}");
    }
    for (name, found) in [("session_id", &registered.session_id), ("sid", &registered.sid)] {
        assert_eq!(found.as_deref(), payload[name].as_str(), "{name}");
    }
    let client = payload.get("client_id").or(payload.get("azp")).and_then(Value::as_str);
    assert_eq!(registered.client_id.as_deref(), client);
    let seconds = |time: Option<SystemTime>| {
        time.map(|time| time.duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64())
    };
    for (name, found) in [("exp", registered.exp), ("nbf", registered.nbf), ("iat", registered.iat)] {
        match (seconds(found), payload.get(name).and_then(Value::as_f64)) {
            (Some(found), Some(signed)) => assert!((found - signed).abs() < 1e-3, "{name} {found} {signed}"),
            (found, signed) => assert_eq!(found, signed, "{name}"),
        }
    }
    for scope in registered.scopes.iter() {
        let listed = |claim: &Value| match claim {
            Value::String(text) => text.split(' ').any(|token| token == scope),
            Value::Array(list) => list.iter().any(|token| token == scope),
            _ => false,
        };
        assert!(listed(&payload["scope"]) || listed(&payload["scp"]), "{scope:?}");
    }
}

/// The names of an object's members, in order.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}
