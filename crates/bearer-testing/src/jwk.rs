//! Public keys as JWK and PEM.

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};

use crate::{algorithm::Family, key::SigningKey, material::Material};

/// The key as RFC 7517 §4 and RFC 7518 §6 write it.
pub(crate) fn document(key: &SigningKey, material: &Material) -> Value {
    let bytes = material.public_bytes();
    let mut jwk = match key.algorithm().family() {
        Family::Rsa => {
            let (modulus, exponent) = rsa_integers(bytes);
            json!({ "kty": "RSA", "n": text(modulus), "e": text(exponent) })
        }
        Family::P256 => point("P-256", bytes),
        Family::P384 => point("P-384", bytes),
        Family::P521 => point("P-521", bytes),
        Family::Ed25519 => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(bytes) }),
        Family::Hmac => json!({ "kty": "oct", "k": text(bytes) }),
    };
    jwk["alg"] = key.algorithm().name().into();
    jwk["use"] = "sig".into();
    jwk["key_ops"] = json!(["verify"]);
    if let Some(kid) = key.id() {
        jwk["kid"] = kid.into();
    }
    jwk
}

/// RFC 7468 §13.
pub(crate) fn pem(der: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    for line in body.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|&byte| char::from(byte)));
        pem.push('\n');
    }
    pem + "-----END PUBLIC KEY-----\n"
}

fn text(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Each coordinate keeps the full length of the field, leading zeros too: RFC 7518 §6.2.1.2.
fn point(curve: &str, uncompressed: &[u8]) -> Value {
    let (x, y) = uncompressed[1..].split_at(uncompressed.len() / 2);
    json!({ "kty": "EC", "crv": curve, "x": text(x), "y": text(y) })
}

/// Modulus and exponent of a PKCS#1 `RSAPublicKey`, without leading zeros.
///
/// aws-lc-rs gives them as numbers only with its `ring-io` feature, which would be on for everybody.
fn rsa_integers(der: &[u8]) -> (&[u8], &[u8]) {
    const INTEGER: u8 = 0x02;
    const SEQUENCE: u8 = 0x30;
    let (sequence, _) = element(SEQUENCE, der);
    let (modulus, rest) = element(INTEGER, sequence);
    let (exponent, _) = element(INTEGER, rest);
    (unsigned(modulus), unsigned(exponent))
}

/// The content of the first DER element, and what follows it.
fn element(tag: u8, der: &[u8]) -> (&[u8], &[u8]) {
    assert_eq!(der[0], tag, "aws-lc writes RSAPublicKey as RFC 8017 has it");
    let (length, content) = match usize::from(der[1]) {
        short @ ..0x80 => (short, &der[2..]),
        long => {
            let (length, content) = der[2..].split_at(long & 0x7f);
            (length.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), content)
        }
    };
    content.split_at(length)
}

fn unsigned(integer: &[u8]) -> &[u8] {
    let zeros = integer.iter().take_while(|&&byte| byte == 0).count();
    &integer[zeros..]
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{rsa::PublicKeyComponents, signature::RSA_PKCS1_2048_8192_SHA256};

    use super::*;
    use crate::Algorithm;

    fn bytes(jwk: &Value, member: &str) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(jwk[member].as_str().unwrap()).unwrap()
    }

    #[test]
    fn every_jwk_says_what_it_is_for() {
        for &algorithm in Algorithm::ALL {
            let jwk = SigningKey::generate(algorithm).kid("k").public_jwk();
            assert_eq!(jwk["alg"], algorithm.name());
            assert_eq!(jwk["use"], "sig");
            assert_eq!(jwk["key_ops"], json!(["verify"]));
            assert_eq!(jwk["kid"], "k");
        }
    }

    #[test]
    fn members_are_those_of_the_key_type() {
        for (algorithm, kty, crv, members) in [
            (Algorithm::PS384, "RSA", None, &[("n", 256), ("e", 3)][..]),
            (Algorithm::ES256, "EC", Some("P-256"), &[("x", 32), ("y", 32)]),
            (Algorithm::ES384, "EC", Some("P-384"), &[("x", 48), ("y", 48)]),
            (Algorithm::ES512, "EC", Some("P-521"), &[("x", 66), ("y", 66)]),
            (Algorithm::EdDSA, "OKP", Some("Ed25519"), &[("x", 32)]),
            (Algorithm::HS384, "oct", None, &[("k", 48)]),
        ] {
            let jwk = SigningKey::generate(algorithm).public_jwk();
            assert_eq!(jwk["kty"], kty);
            assert_eq!(jwk.get("crv").and_then(Value::as_str), crv);
            for &(member, length) in members {
                assert_eq!(bytes(&jwk, member).len(), length, "{algorithm:?} {member}");
            }
            let common = 5 + usize::from(crv.is_some());
            assert_eq!(jwk.as_object().unwrap().len(), common + members.len(), "{jwk}");
        }
    }

    #[test]
    fn rsa_integers_verify_what_the_key_signed() {
        let key = SigningKey::generate(Algorithm::RS256);
        let jwk = key.public_jwk();
        let public = PublicKeyComponents { n: bytes(&jwk, "n"), e: bytes(&jwk, "e") };
        let signature = key.sign(b"message");
        assert!(public.verify(&RSA_PKCS1_2048_8192_SHA256, b"message", &signature).is_ok());
        assert!(public.verify(&RSA_PKCS1_2048_8192_SHA256, b"massage", &signature).is_err());
    }

    #[test]
    fn key_without_kid_has_none_in_its_jwk() {
        let jwk = SigningKey::generate(Algorithm::EdDSA).without_kid().public_jwk();
        assert!(jwk.get("kid").is_none());
    }

    #[test]
    fn public_der_is_a_subject_public_key_info() {
        for (algorithm, length) in
            [(Algorithm::RS256, 294), (Algorithm::ES256, 91), (Algorithm::ES512, 158), (Algorithm::EdDSA, 44)]
        {
            let der = SigningKey::generate(algorithm).public_der();
            assert_eq!((der[0], der.len()), (0x30, length), "{algorithm:?}");
        }
    }

    #[test]
    fn pem_is_the_der_in_lines_of_64() {
        let key = SigningKey::generate(Algorithm::ES256);
        let pem = key.public_pem();
        let lines: Vec<_> = pem.lines().collect();
        assert_eq!(lines.first(), Some(&"-----BEGIN PUBLIC KEY-----"));
        assert_eq!(lines.last(), Some(&"-----END PUBLIC KEY-----"));
        let body = lines[1..lines.len() - 1].concat();
        assert!(lines.iter().all(|line| line.len() <= 64));
        assert_eq!(BASE64_STANDARD.decode(body).unwrap(), key.public_der());
    }
}
