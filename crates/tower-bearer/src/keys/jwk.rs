//! One JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2) becomes keys, or a reason why not.

use super::{Key, SkipReason, set::LONGEST_KID};
use crate::jwt::{
    Algorithm, from_object,
    signature::{PublicKey, PublicParts},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    /// Of Entra: whose tokens the key signs.
    issuer: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    // The private parts of every asymmetric kind (RFC 7518 §6.2.2, §6.3.2), whatever they say.
    d: Option<IgnoredAny>,
    p: Option<IgnoredAny>,
    q: Option<IgnoredAny>,
    dp: Option<IgnoredAny>,
    dq: Option<IgnoredAny>,
    qi: Option<IgnoredAny>,
    oth: Option<IgnoredAny>,
}

/// Parses one key into an entry for each algorithm that it may be used with: the one it names, or, where it
/// names none, those that its kind has.
pub(super) fn parse(json: &str) -> Result<Vec<Key>, SkipReason> {
    let jwk: Jwk =
        from_object(json).map_err(|_| SkipReason::Malformed("not a JWK, or a member of a wrong type"))?;
    if jwk.kty == "oct" {
        return Err(SkipReason::Symmetric);
    }
    if jwk.is_private() {
        return Err(SkipReason::Private);
    }
    if !jwk.verifies() {
        return Err(SkipReason::NotForVerification);
    }
    if jwk.kid.as_ref().is_some_and(|kid| kid.len() > LONGEST_KID) {
        return Err(SkipReason::LongKid);
    }
    match &*jwk.kty {
        "RSA" => {
            let (n, e) = (integer(jwk.n.as_deref())?, integer(jwk.e.as_deref())?);
            check_rsa(&n, &e)?;
            jwk.keys(Algorithm::RSA, PublicParts::Rsa { n: &n, e: &e })
        }
        "EC" => {
            let (algorithm, len) = match jwk.crv.as_deref() {
                Some("P-256") => (Algorithm::ES256, 32),
                Some("P-384") => (Algorithm::ES384, 48),
                Some("P-521") => (Algorithm::ES512, 66),
                _ => return Err(SkipReason::UnknownCurve),
            };
            let (x, y) = (octets(jwk.x.as_deref())?, octets(jwk.y.as_deref())?);
            // The full length, leading zeros included (RFC 7518 §6.2.1.2).
            if x.len() != len || y.len() != len {
                return Err(SkipReason::Point);
            }
            jwk.keys(&[algorithm], PublicParts::Ec { x: &x, y: &y })
        }
        "OKP" if jwk.crv.as_deref() == Some("Ed25519") => {
            let x = octets(jwk.x.as_deref())?;
            jwk.keys(&[Algorithm::EdDSA], PublicParts::Ed25519 { x: check_ed25519(&x)? })
        }
        // X25519 and X448 do not sign; Ed448 is not supported.
        "OKP" => Err(SkipReason::UnknownCurve),
        _ => Err(SkipReason::UnknownKeyType),
    }
}

/// The `kid` of a key that could not be parsed, for the report about it.
pub(super) fn kid_of(json: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        kid: String,
    }
    from_object::<Named>(json).ok().map(|named| named.kid)
}

impl Jwk {
    fn is_private(&self) -> bool {
        [&self.d, &self.p, &self.q, &self.dp, &self.dq, &self.qi, &self.oth].into_iter().any(Option::is_some)
    }

    /// `use` and `key_ops`, where they stand, are restrictions (RFC 7517 §4.2, §4.3).
    fn verifies(&self) -> bool {
        self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"))
    }

    fn keys(&self, of_kind: &[Algorithm], parts: PublicParts<'_>) -> Result<Vec<Key>, SkipReason> {
        let algorithms = match self.alg.as_deref() {
            None => of_kind,
            Some(name) => {
                let named = Algorithm::from_name(name).ok_or(SkipReason::UnknownAlgorithm)?;
                let at = of_kind.iter().position(|algorithm| *algorithm == named);
                std::slice::from_ref(&of_kind[at.ok_or(SkipReason::AlgorithmMismatch)?])
            }
        };
        algorithms
            .iter()
            .map(|algorithm| {
                let public = PublicKey::new(*algorithm, parts)?;
                let text = |member: &Option<String>| member.as_deref().map(Into::into);
                Ok(Key { kid: text(&self.kid), issuer: text(&self.issuer), public })
            })
            .collect()
    }
}

fn octets(member: Option<&str>) -> Result<Vec<u8>, SkipReason> {
    let text = member.ok_or(SkipReason::Malformed("a member of the key is missing"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| SkipReason::Malformed("a member of the key is not base64url"))
}

/// A `Base64urlUInt`. Leading zeros are against RFC 7518 §2, but do no harm: some issuers write them.
fn integer(member: Option<&str>) -> Result<Vec<u8>, SkipReason> {
    let mut bytes = octets(member)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    Ok(bytes)
}

/// Of RSA keys, and nearly everybody's: 65537. A greater one makes nobody safer, and every signature, a
/// stranger's forged one too, several times as dear to verify.
const GREATEST_EXPONENT: &[u8] = &[1, 0, 1];

pub(super) fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), SkipReason> {
    let bits =
        |bytes: &[u8]| bytes.first().map_or(0, |first| bytes.len() * 8 - first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits(n)) {
        return Err(SkipReason::ModulusSize);
    }
    let is_odd = e.last().is_some_and(|last| last % 2 == 1);
    if !is_odd || e == [1] || bits(e) > 17 || (bits(e) == 17 && e != GREATEST_EXPONENT) {
        return Err(SkipReason::Exponent);
    }
    Ok(())
}

/// RFC 8032 §5.1.5: 32 bytes, and a point worth having.
pub(super) fn check_ed25519(x: &[u8]) -> Result<&[u8; 32], SkipReason> {
    let x = x.try_into().map_err(|_| SkipReason::Point)?;
    if has_small_order(x) { Err(SkipReason::Point) } else { Ok(x) }
}

/// With a public key of small order anybody can make signatures. These are its encodings below the sign bit,
/// the non-canonical ones among them (the points of order 1, 2, 4 and 8 of Curve25519 in Edwards form).
fn has_small_order(x: &[u8; 32]) -> bool {
    const ENCODINGS: [[u8; 32]; 7] = [
        // 0: order 4
        [0; 32],
        // 1: order 1
        ends(0x01, 0x00, 0x00),
        // order 8
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        // order 8
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
        // p - 1: order 2
        ends(0xec, 0xff, 0x7f),
        // p, which is 0
        ends(0xed, 0xff, 0x7f),
        // p + 1, which is 1
        ends(0xee, 0xff, 0x7f),
    ];
    let mut without_sign = *x;
    without_sign[31] &= 0x7f;
    ENCODINGS.contains(&without_sign)
}

const fn ends(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use super::*;
    use bearer_testing::{Algorithm as Test, SigningKey};
    use serde_json::{Value, json};

    const HAS_ES512: bool = cfg!(feature = "aws-lc-rs");

    fn parse(jwk: &Value) -> Result<Vec<Algorithm>, SkipReason> {
        super::parse(&jwk.to_string()).map(|keys| keys.iter().map(|key| key.public.algorithm()).collect())
    }

    /// The key as an issuer may publish it: without `alg`, `use`, `key_ops`.
    fn bare(algorithm: Test) -> Value {
        let mut jwk = SigningKey::generate(algorithm).kid("k").public_jwk();
        jwk.as_object_mut()
            .expect("a JWK")
            .retain(|name, _| !matches!(name.as_str(), "alg" | "use" | "key_ops"));
        jwk
    }

    fn with(jwk: &Value, changes: Value) -> Value {
        let mut jwk = jwk.clone();
        let Value::Object(changes) = changes else { panic!("changes are members") };
        jwk.as_object_mut().expect("a JWK").extend(changes);
        jwk
    }

    fn bytes(jwk: &Value, member: &str) -> Vec<u8> {
        octets(jwk[member].as_str()).expect("base64url")
    }

    fn text(bytes: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    #[test]
    fn good_keys_are_for_the_algorithms_of_their_kind() {
        for (test, algorithm) in [
            (Test::ES256, Algorithm::ES256),
            (Test::ES384, Algorithm::ES384),
            (Test::EdDSA, Algorithm::EdDSA),
        ] {
            assert_eq!(parse(&bare(test)), Ok(vec![algorithm]), "{algorithm}");
            assert_eq!(parse(&SigningKey::generate(test).public_jwk()), Ok(vec![algorithm]), "{algorithm}");
        }
        let expected =
            if HAS_ES512 { Ok(vec![Algorithm::ES512]) } else { Err(SkipReason::UnsupportedByBackend) };
        assert_eq!(parse(&bare(Test::ES512)), expected);
        let rsa = bare(Test::RS256);
        assert_eq!(parse(&rsa), Ok(Algorithm::RSA.to_vec()));
        assert_eq!(parse(&with(&rsa, json!({ "alg": "RS512" }))), Ok(vec![Algorithm::RS512]));
        // Against RFC 7518 §2, and seen in the wild.
        let zeros = text([&[0, 0][..], &bytes(&rsa, "n")].concat());
        assert!(parse(&with(&rsa, json!({ "n": zeros, "e": "AAEAAQ" }))).is_ok());
        assert!(parse(&with(&rsa, json!({ "kid": "k".repeat(256) }))).is_ok());
        for exponent in [&[3][..], &[0xff, 0xff], &[1, 0, 1]] {
            assert!(parse(&with(&rsa, json!({ "e": text(exponent) }))).is_ok(), "{exponent:?}");
        }
    }

    #[test]
    fn rs_072_an_ed25519_key_may_name_its_algorithm_either_way() {
        let ed = bare(Test::EdDSA);
        for alg in ["EdDSA", "Ed25519"] {
            assert_eq!(parse(&with(&ed, json!({ "alg": alg }))), Ok(vec![Algorithm::EdDSA]), "{alg}");
        }
        assert_eq!(parse(&with(&ed, json!({ "alg": "Ed448" }))), Err(SkipReason::UnknownAlgorithm));
    }

    #[test]
    #[allow(clippy::too_many_lines, reason = "a table")]
    fn rs_066_068_070_071_073_every_key_that_must_not_verify_is_skipped_and_says_why() {
        use SkipReason as Skip;
        let malformed = Skip::Malformed("not a JWK, or a member of a wrong type");
        let missing = Skip::Malformed("a member of the key is missing");
        let base64url = Skip::Malformed("a member of the key is not base64url");
        let (rsa, ec, ed) = (bare(Test::RS256), bare(Test::ES256), bare(Test::EdDSA));
        let weak = text(&bytes(&rsa, "n")[..128]);
        let just_short = text([&[0x7f], &bytes(&rsa, "n")[1..]].concat());
        let huge = text([&bytes(&rsa, "n")[..], &[0xff; 800]].concat());
        let mut off = bytes(&ec, "y");
        off[31] ^= 1;
        let x = bytes(&ec, "x");
        let table = [
            ("a secret", json!({ "kty": "oct", "k": text([7; 32]), "alg": "HS256" }), Skip::Symmetric),
            (
                "a secret under a public alg",
                json!({ "kty": "oct", "k": "AA", "alg": "RS256" }),
                Skip::Symmetric,
            ),
            ("private RSA", with(&rsa, json!({ "d": "AA" })), Skip::Private),
            ("a prime of an RSA key", with(&rsa, json!({ "p": "AA" })), Skip::Private),
            ("private EC", with(&ec, json!({ "d": "AA" })), Skip::Private),
            ("private OKP", with(&ed, json!({ "d": "AA" })), Skip::Private),
            ("private and of another type", with(&ed, json!({ "d": 7 })), Skip::Private),
            ("unknown kty", json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA" }), Skip::UnknownKeyType),
            ("kty in lower case", with(&rsa, json!({ "kty": "rsa" })), Skip::UnknownKeyType),
            ("oct in upper case", json!({ "kty": "OCT", "k": "AA" }), Skip::UnknownKeyType),
            ("empty kty", with(&ec, json!({ "kty": "" })), Skip::UnknownKeyType),
            ("X25519", with(&ed, json!({ "crv": "X25519" })), Skip::UnknownCurve),
            ("X448", with(&ed, json!({ "crv": "X448" })), Skip::UnknownCurve),
            ("Ed448", with(&ed, json!({ "crv": "Ed448", "x": text([7; 57]) })), Skip::UnknownCurve),
            ("secp256k1", with(&ec, json!({ "crv": "secp256k1" })), Skip::UnknownCurve),
            ("EC with an OKP curve", with(&ec, json!({ "crv": "Ed25519" })), Skip::UnknownCurve),
            ("OKP with an EC curve", with(&ed, json!({ "crv": "P-256" })), Skip::UnknownCurve),
            ("EC without crv", with(&ec, json!({ "crv": null })), Skip::UnknownCurve),
            ("for encryption", with(&rsa, json!({ "use": "enc" })), Skip::NotForVerification),
            ("use in upper case", with(&rsa, json!({ "use": "SIG" })), Skip::NotForVerification),
            (
                "ops without verify",
                with(&ec, json!({ "key_ops": ["encrypt", "sign"] })),
                Skip::NotForVerification,
            ),
            ("no ops", with(&ec, json!({ "key_ops": [] })), Skip::NotForVerification),
            ("ops in upper case", with(&ec, json!({ "key_ops": ["Verify"] })), Skip::NotForVerification),
            ("257 bytes of kid", with(&ec, json!({ "kid": "k".repeat(257) })), Skip::LongKid),
            ("unknown alg", with(&rsa, json!({ "alg": "RSA-OAEP" })), Skip::UnknownAlgorithm),
            ("alg none", with(&rsa, json!({ "alg": "none" })), Skip::UnknownAlgorithm),
            ("alg in lower case", with(&rsa, json!({ "alg": "rs256" })), Skip::UnknownAlgorithm),
            ("RSA for ES256", with(&rsa, json!({ "alg": "ES256" })), Skip::AlgorithmMismatch),
            ("RSA for HS256", with(&rsa, json!({ "alg": "HS256" })), Skip::AlgorithmMismatch),
            ("P-256 for ES384", with(&ec, json!({ "alg": "ES384" })), Skip::AlgorithmMismatch),
            ("EC for EdDSA", with(&ec, json!({ "alg": "EdDSA" })), Skip::AlgorithmMismatch),
            ("Ed25519 for RS256", with(&ed, json!({ "alg": "RS256" })), Skip::AlgorithmMismatch),
            ("1024 bits", with(&rsa, json!({ "n": weak })), Skip::ModulusSize),
            ("2047 bits", with(&rsa, json!({ "n": just_short })), Skip::ModulusSize),
            ("8448 bits", with(&rsa, json!({ "n": huge })), Skip::ModulusSize),
            ("empty modulus", with(&rsa, json!({ "n": "" })), Skip::ModulusSize),
            ("zero modulus", with(&rsa, json!({ "n": text([0; 256]) })), Skip::ModulusSize),
            ("even exponent", with(&rsa, json!({ "e": "AQAA" })), Skip::Exponent),
            ("exponent 1", with(&rsa, json!({ "e": "AQ" })), Skip::Exponent),
            ("exponent 1 with zeros", with(&rsa, json!({ "e": "AAAB" })), Skip::Exponent),
            ("exponent 0", with(&rsa, json!({ "e": "AA" })), Skip::Exponent),
            ("empty exponent", with(&rsa, json!({ "e": "" })), Skip::Exponent),
            ("exponent 65539", with(&rsa, json!({ "e": text([1, 0, 3]) })), Skip::Exponent),
            ("18 bits of exponent", with(&rsa, json!({ "e": text([2, 0, 1]) })), Skip::Exponent),
            ("33 bits of exponent", with(&rsa, json!({ "e": text([1, 0, 0, 0, 1]) })), Skip::Exponent),
            ("off the curve", with(&ec, json!({ "y": text(off) })), Skip::Point),
            ("x and y swapped", with(&ec, json!({ "x": ec["y"], "y": ec["x"] })), Skip::Point),
            ("the origin", with(&ec, json!({ "x": text([0; 32]), "y": text([0; 32]) })), Skip::Point),
            ("beyond the field", with(&ec, json!({ "x": text([0xff; 32]) })), Skip::Point),
            ("short coordinate", with(&ec, json!({ "x": text(&x[1..]) })), Skip::Point),
            ("long coordinate", with(&ec, json!({ "x": text([&[0], &x[..]].concat()) })), Skip::Point),
            ("a point of another curve", with(&ec, json!({ "crv": "P-384" })), Skip::Point),
            ("short Ed25519", with(&ed, json!({ "x": text([7; 31]) })), Skip::Point),
            ("long Ed25519", with(&ed, json!({ "x": text([7; 33]) })), Skip::Point),
            ("empty Ed25519", with(&ed, json!({ "x": "" })), Skip::Point),
            ("no modulus", with(&rsa, json!({ "n": null })), missing),
            ("no exponent", with(&rsa, json!({ "e": null })), missing),
            ("no y", with(&ec, json!({ "y": null })), missing),
            ("no x", with(&ed, json!({ "x": null })), missing),
            ("padded", with(&rsa, json!({ "e": "AQAB====" })), base64url),
            ("standard alphabet", with(&ed, json!({ "x": "+/+/" })), base64url),
            ("stray bits", with(&rsa, json!({ "e": "AR" })), base64url),
            ("no kty", json!({ "n": rsa["n"], "e": rsa["e"] }), malformed),
            ("kty 7", with(&rsa, json!({ "kty": 7 })), malformed),
            ("kid 7", with(&rsa, json!({ "kid": 7 })), malformed),
            ("alg 7", with(&rsa, json!({ "alg": 7 })), malformed),
            ("use 7", with(&rsa, json!({ "use": 7 })), malformed),
            ("n 7", with(&rsa, json!({ "n": 7 })), malformed),
            ("crv []", with(&ec, json!({ "crv": [] })), malformed),
            ("key_ops as a string", with(&rsa, json!({ "key_ops": "verify" })), malformed),
            ("key_ops of numbers", with(&rsa, json!({ "key_ops": [7] })), malformed),
            ("null", json!(null), malformed),
            ("a string", json!("key"), malformed),
            ("a number", json!(7), malformed),
            ("an array", json!([]), malformed),
            (
                "an array in the order of the members",
                json!(["OKP", "k", null, null, null, "Ed25519"]),
                malformed,
            ),
        ];
        for (name, jwk, reason) in table {
            assert_eq!(parse(&jwk), Err(reason), "{name}: {jwk}");
        }
    }

    #[test]
    fn a_member_that_stands_twice_is_malformed() {
        let twice =
            r#"{"kty":"OKP","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        assert!(matches!(super::parse(twice).map(|_| ()), Err(SkipReason::Malformed(_))));
    }

    #[test]
    fn with_a_public_key_of_small_order_anybody_could_sign() {
        let mut points = vec![[0; 32], ends(0x01, 0, 0), ends(0xec, 0xff, 0x7f)];
        points.extend([ends(0xed, 0xff, 0x7f), ends(0xee, 0xff, 0x7f)]);
        for hex in [
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        ] {
            let byte = |at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex");
            points.push(std::array::from_fn(byte));
        }
        for mut point in points {
            for sign in [0, 0x80] {
                point[31] = point[31] & 0x7f | sign;
                let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": text(point) });
                assert_eq!(parse(&jwk), Err(SkipReason::Point), "{point:02x?}");
            }
        }
    }

    #[test]
    fn a_modulus_that_only_one_backend_takes_is_skipped_by_the_other() {
        let rsa = bare(Test::RS256);
        let mut long = [&bytes(&rsa, "n")[..], &[0xff; 257]].concat();
        *long.last_mut().expect("not empty") |= 1;
        let parsed = parse(&with(&rsa, json!({ "n": text(long) })));
        let expected =
            if HAS_ES512 { Ok(Algorithm::RSA.to_vec()) } else { Err(SkipReason::UnsupportedByBackend) };
        assert_eq!(parsed, expected);
    }

    #[test]
    fn deep_nesting_and_many_members_are_only_skipped() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let ed = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
        let ignored = format!(r#"{{{ed},"unknown":{deep}}}"#);
        assert_eq!(super::parse(&ignored).map(|keys| keys.len()), Ok(1));
        for bad in [deep.clone(), format!(r#"{{{ed},"kid":{deep}}}"#), "{\"a\":".repeat(100_000)] {
            assert!(matches!(super::parse(&bad).map(|_| ()), Err(SkipReason::Malformed(_))), "{bad:.60}");
            assert_eq!(kid_of(&bad), None);
        }
    }
}
