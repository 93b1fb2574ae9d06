//! The signature examples of RFC 7515, 7520 and 8037, through the same steps as a token of a request.

use super::{
    super::{
        TokenKind,
        compact::{self, Compact},
        header::Header,
    },
    Algorithm, HmacKey, Rejected,
};
use crate::{
    error::Reason,
    keys::{KeySet, SkipReason},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bearer_testing::Algorithm as Test;
use serde_json::Value;

const EXAMPLES: &str = include_str!("../../../testdata/rfc_examples.json");

/// What the RustCrypto crates cannot do, and say so when the key is loaded.
const HAS_ES512: bool = cfg!(feature = "aws-lc-rs");

struct Example {
    id: String,
    jwk: Value,
    jws: String,
    valid: bool,
}

fn examples() -> Vec<Example> {
    let Ok(Value::Array(examples)) = serde_json::from_str(EXAMPLES) else { panic!("an array of examples") };
    let text = |example: &Value, name: &str| example[name].as_str().expect("a string").to_owned();
    examples
        .iter()
        .map(|example| Example {
            id: text(example, "id"),
            jwk: example["jwk"].clone(),
            jws: text(example, "jws"),
            valid: example["valid"].as_bool().expect("a boolean"),
        })
        .collect()
}

fn decode(segment: &str) -> Result<Vec<u8>, Reason> {
    let mut scratch = compact::Scratch::new();
    compact::decode(segment, scratch.for_token(segment.len())).map(|(bytes, _)| bytes.to_vec())
}

/// What can be said about a token without a key.
fn read(jws: &str) -> Result<(Algorithm, Option<String>), Reason> {
    let compact = Compact::split(jws)?;
    let header = decode(compact.header)?;
    let header = Header::parse(&header, TokenKind::Access)?;
    Ok((header.algorithm, header.kid.map(Into::into)))
}

/// Verifies as the kind of key asks for: an `oct` key as a secret, all others as a published set of one.
enum Key {
    Secret(Box<HmacKey>),
    Published(KeySet),
}

impl Key {
    fn of(example: &Example) -> Self {
        let set =
            KeySet::from_jwks(&serde_json::json!({ "keys": [example.jwk] }).to_string()).expect("a set");
        if example.jwk["kty"] != "oct" {
            return Self::Published(set);
        }
        assert_eq!(set.skipped()[0].reason(), SkipReason::Symmetric, "{}", example.id);
        let secret = URL_SAFE_NO_PAD.decode(example.jwk["k"].as_str().expect("k")).expect("base64url");
        let (algorithm, _) = read(&example.jws).expect("a good header");
        Self::Secret(Box::new(HmacKey::new(algorithm, &secret).expect("long enough")))
    }

    fn verify(&self, jws: &str, message: &[u8], signature: &[u8]) -> Result<(), Reason> {
        let (algorithm, kid) = read(jws)?;
        match self {
            Self::Secret(secret) if secret.verify(message, signature) => Ok(()),
            Self::Secret(_) => Err(Reason::Signature),
            Self::Published(set) => set.verify(kid.as_deref(), algorithm, message, signature),
        }
    }
}

#[test]
fn all_examples_are_here() {
    let examples = examples();
    assert_eq!(examples.iter().filter(|example| example.valid).count(), 9);
    assert_eq!(examples.iter().filter(|example| !example.valid).count(), 2);
}

#[test]
fn valid_examples_verify_and_one_changed_bit_spoils_them() {
    for example in examples().iter().filter(|example| example.valid) {
        let (algorithm, _) = read(&example.jws).expect(&example.id);
        let key = Key::of(example);
        if algorithm == Algorithm::ES512 && !HAS_ES512 {
            let Key::Published(set) = &key else { panic!("{} is no secret", example.id) };
            assert_eq!(set.skipped()[0].reason(), SkipReason::UnsupportedByBackend, "{}", example.id);
            assert!(set.is_empty(), "{}", example.id);
            continue;
        }
        let compact = Compact::split(&example.jws).expect(&example.id);
        let (message, signature) =
            (compact.signing_input.as_bytes(), decode(compact.signature).expect("strict"));
        assert_eq!(key.verify(&example.jws, message, &signature), Ok(()), "{}", example.id);

        for at in [0, signature.len() / 2, signature.len() - 1] {
            let mut flipped = signature.clone();
            flipped[at] ^= 1;
            let verdict = key.verify(&example.jws, message, &flipped);
            assert_eq!(verdict, Err(Reason::Signature), "{}, byte {at} of the signature", example.id);
        }
        for at in [compact.header.len() + 1, message.len() - 1] {
            let mut changed = message.to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let verdict = key.verify(&example.jws, &changed, &signature);
            assert_eq!(verdict, Err(Reason::Signature), "{}, byte {at} of the payload", example.id);
        }
        for (name, cut) in [("shorter", &signature[1..]), ("empty", &[])] {
            let verdict = key.verify(&example.jws, message, cut);
            assert_eq!(verdict, Err(Reason::Signature), "{}, {name}", example.id);
        }
        let longer = [&signature[..], &[0]].concat();
        assert_eq!(
            key.verify(&example.jws, message, &longer),
            Err(Reason::Signature),
            "{}, longer",
            example.id
        );
    }
}

#[test]
fn invalid_examples_are_refused_before_a_key_is_looked_for() {
    for example in examples().iter().filter(|example| !example.valid) {
        let refused = read(&example.jws).expect_err(&example.id);
        // An unsecured JWS has an empty third segment; a JWE has five.
        assert!(matches!(refused, Reason::NotAJwt | Reason::Encrypted), "{}: {refused}", example.id);
        let header = Example::header(example);
        assert_eq!(
            Header::parse(&header, TokenKind::Access).map(|_| ()),
            Err(Reason::Algorithm),
            "{}",
            example.id
        );
    }
}

impl Example {
    fn header(&self) -> Vec<u8> {
        decode(self.jws.split('.').next().expect("a segment")).expect("base64url")
    }
}

#[test]
fn a_secret_is_for_one_hash_and_at_least_as_long_as_that() {
    for (algorithm, least) in [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)] {
        assert!(HmacKey::new(algorithm, &vec![7; least]).is_ok(), "{algorithm}");
        assert!(
            matches!(HmacKey::new(algorithm, &vec![7; least - 1]), Err(Rejected::Invalid)),
            "{algorithm}"
        );
    }
    let key = |algorithm| bearer_testing::SigningKey::hmac(algorithm, &[7; 64]);
    let ours = HmacKey::new(Algorithm::HS384, &[7; 64]).expect("long enough");
    assert!(ours.verify(b"message", &key(Test::HS384).sign(b"message")));
    for other in [Test::HS256, Test::HS512] {
        assert!(!ours.verify(b"message", &key(other).sign(b"message")), "{other:?}");
    }
    for algorithm in Algorithm::ASYMMETRIC {
        assert!(HmacKey::new(*algorithm, &[7; 64]).is_err(), "{algorithm}");
    }
    assert_eq!(format!("{ours:?}"), "HmacKey(HS384)");
}
