//! Public keys in PEM (RFC 7468 §13): the `SubjectPublicKeyInfo` that tools such as `openssl pkey -pubout`
//! write.

use super::{
    Key, SkipReason,
    jwk::{check_ed25519, check_rsa},
};
use crate::jwt::{
    Algorithm,
    signature::{PublicKey, PublicParts},
};
use pkcs1::RsaPublicKey;
use spki::{
    DecodePublicKey as _, Document, ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{Decode as _, asn1::AnyRef},
};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Parses one block. The keys have no `kid`; an RSA key is good for all RSA algorithms.
pub(super) fn parse(block: &str) -> Result<Vec<Key>, SkipReason> {
    if block.contains("PRIVATE KEY") {
        return Err(SkipReason::Private);
    }
    let malformed = SkipReason::Malformed("not a PEM block of the kind PUBLIC KEY");
    let document = Document::from_public_key_pem(block).map_err(|_| malformed)?;
    let info = SubjectPublicKeyInfoRef::from_der(document.as_bytes()).map_err(|_| malformed)?;
    let key = info.subject_public_key.as_bytes().ok_or(malformed)?;
    match info.algorithm.oid {
        RSA => {
            let rsa = RsaPublicKey::from_der(key).map_err(|_| malformed)?;
            let (n, e) = (rsa.modulus.as_bytes(), rsa.public_exponent.as_bytes());
            check_rsa(n, e)?;
            keys(Algorithm::RSA, PublicParts::Rsa { n, e })
        }
        EC => {
            let curve = info
                .algorithm
                .parameters
                .and_then(|any: AnyRef<'_>| any.decode_as::<ObjectIdentifier>().ok());
            let (algorithm, len) = match curve {
                Some(P256) => (Algorithm::ES256, 32),
                Some(P384) => (Algorithm::ES384, 48),
                Some(P521) => (Algorithm::ES512, 66),
                _ => return Err(SkipReason::UnknownCurve),
            };
            // SEC 1 §2.3.4: only the uncompressed form, which is what everybody writes.
            let point =
                key.strip_prefix(&[0x04]).filter(|point| point.len() == 2 * len).ok_or(SkipReason::Point)?;
            let (x, y) = point.split_at(len);
            keys(&[algorithm], PublicParts::Ec { x, y })
        }
        ED25519 => keys(&[Algorithm::EdDSA], PublicParts::Ed25519 { x: check_ed25519(key)? }),
        _ => Err(SkipReason::UnknownKeyType),
    }
}

fn keys(algorithms: &[Algorithm], parts: PublicParts<'_>) -> Result<Vec<Key>, SkipReason> {
    let key = |algorithm: &Algorithm| {
        Ok(Key { kid: None, issuer: None, public: PublicKey::new(*algorithm, parts)? })
    };
    algorithms.iter().map(key).collect()
}

/// Cuts a text into its blocks; what stands between them is explanation (RFC 7468 §2).
pub(super) fn blocks(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("-----BEGIN ").map(|(start, _)| {
        let block = &text[start..];
        // To the end of the line with the END, or to the end of a text that lacks it, which is then
        // malformed.
        let end = block
            .find("-----END ")
            .and_then(|at| block[at + 9..].find("-----").map(|more| at + 9 + more + 5));
        &block[..end.unwrap_or(block.len())]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeySet;
    use bearer_testing::{Algorithm as Test, SigningKey};

    #[test]
    fn a_pem_key_verifies_what_its_private_key_signed() {
        for (test, algorithm) in [
            (Test::RS256, Algorithm::RS256),
            (Test::PS512, Algorithm::PS512),
            (Test::ES256, Algorithm::ES256),
            (Test::ES384, Algorithm::ES384),
            (Test::EdDSA, Algorithm::EdDSA),
        ] {
            let key = SigningKey::generate(test);
            let keys = KeySet::from_pem(&key.public_pem()).expect("a public key");
            let verify = |kid, signature: &[u8]| keys.verify(kid, algorithm, b"message", signature);
            assert!(verify(None, &key.sign(b"message")).is_ok(), "{algorithm}");
            assert!(
                verify(Some("any"), &key.sign(b"message")).is_ok(),
                "{algorithm}: it has no name of its own"
            );
            assert!(verify(None, &key.sign(b"another")).is_err(), "{algorithm}");
        }
    }

    #[test]
    fn several_blocks_with_words_between_them_are_one_set() {
        let (a, b) = (SigningKey::generate(Test::EdDSA), SigningKey::generate(Test::ES256));
        let text = format!("the old one\n{}\nthe new one\n{}\n", a.public_pem(), b.public_pem());
        let keys = KeySet::from_pem(&text).expect("two public keys");
        assert!(keys.verify(None, Algorithm::EdDSA, b"m", &a.sign(b"m")).is_ok());
        assert!(keys.verify(None, Algorithm::ES256, b"m", &b.sign(b"m")).is_ok());
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        let good = SigningKey::generate(Test::ES256).public_pem();
        let private = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----";
        for (text, is) in [
            (String::new(), "empty"),
            ("no block".into(), "no block"),
            (good.replace("PUBLIC KEY", "CERTIFICATE"), "another kind"),
            (good.replace("-----END PUBLIC KEY-----", ""), "no end"),
            (good.replacen('M', "N", 1), "other DER"),
            (private.into(), "private"),
            (format!("{good}\n{private}"), "one good, one private"),
        ] {
            assert!(KeySet::from_pem(&text).is_err(), "{is}");
        }
        assert_eq!(KeySet::from_pem(private).err(), Some(SkipReason::Private));
    }
}
