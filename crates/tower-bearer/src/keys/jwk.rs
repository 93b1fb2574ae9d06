//! One JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2) becomes keys, or a reason why not.

use super::{Key, SkipReason};
use crate::jwt::{
    Algorithm, from_object,
    signature::{PublicKey, PublicParts, Rejected},
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
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private part of every asymmetric kind.
    d: Option<IgnoredAny>,
}

/// Parses one key into an entry for each algorithm that it may be used with: the one it names, or, where it
/// names none, those that its kind has.
pub(super) fn parse(json: &str) -> Result<Vec<Key>, SkipReason> {
    let jwk: Jwk =
        from_object(json).map_err(|_| SkipReason::Malformed("not a JWK, or a member of a wrong type"))?;
    if jwk.kty == "oct" {
        return Err(SkipReason::Symmetric);
    }
    if jwk.d.is_some() {
        return Err(SkipReason::Private);
    }
    if !jwk.verifies() {
        return Err(SkipReason::NotForVerification);
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
            let x: &[u8; 32] = x.as_slice().try_into().map_err(|_| SkipReason::Point)?;
            if has_small_order(x) {
                return Err(SkipReason::Point);
            }
            jwk.keys(&[Algorithm::EdDSA], PublicParts::Ed25519 { x })
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
                let public = PublicKey::new(*algorithm, parts).map_err(|rejected| match rejected {
                    Rejected::Invalid => SkipReason::Point,
                    Rejected::Unsupported => SkipReason::UnsupportedByBackend,
                })?;
                Ok(Key { kid: self.kid.as_deref().map(Into::into), public })
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

fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), SkipReason> {
    let bits =
        |bytes: &[u8]| bytes.first().map_or(0, |first| bytes.len() * 8 - first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits(n)) {
        return Err(SkipReason::ModulusSize);
    }
    let is_odd = e.last().is_some_and(|last| last % 2 == 1);
    if !is_odd || e == [1] || bits(e) > 33 {
        return Err(SkipReason::Exponent);
    }
    Ok(())
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
