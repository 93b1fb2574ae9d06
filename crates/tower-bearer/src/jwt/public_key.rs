//! What is public and was taken for a shared secret: whoever knows it could make tokens.

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// DER of the object identifiers of `rsaEncryption` and `id-ecPublicKey`, which are in every such key and
/// certificate.
const OIDS: [&[u8]; 2] =
    [b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"];

/// How an Ed25519 key begins in DER, and an RSA key of PKCS #1 after the length of the whole.
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70";
const MODULUS: &[u8] = b"\x02\x82";

/// Whether this is a public key or a certificate (in PEM, DER, base64 of either, as JWK, JWK Set or for
/// OpenSSH, with whatever stands before it), or an API key of Supabase, old or new. What is searched for is
/// too long to be in a random secret by chance.
pub(super) fn is_public(secret: &[u8]) -> bool {
    is_text(secret)
        || is_der(secret)
        || decoded(secret).is_some_and(|inner| is_text(&inner) || is_der(&inner))
}

fn is_text(text: &[u8]) -> bool {
    let has = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    let is_jwt = text.trim_ascii_start().starts_with(b"eyJ") && text.split(|byte| *byte == b'.').count() == 3;
    is_jwt
        || has(b"sb_publishable_")
        || has(b"sb_secret_")
        || has(b"-----BEGIN")
        || has(b"\"kty\"")
        || has(b"ssh-rsa ")
        || has(b"ssh-ed25519 ")
        || has(b"ecdsa-sha2-")
}

fn is_der(bytes: &[u8]) -> bool {
    let has = |part: &&[u8]| bytes.windows(part.len()).any(|window| window == *part);
    let is_pkcs1 =
        bytes.starts_with(b"\x30\x82") && bytes.get(4..).is_some_and(|rest| rest.starts_with(MODULUS));
    bytes.starts_with(b"\x30") && (OIDS.iter().any(has) || bytes.starts_with(ED25519) || is_pkcs1)
}

/// base64 of either alphabet, as environment variables often hold files.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let standard = |byte: &u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    };
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text: Vec<u8> = text.iter().filter(|byte| !byte.is_ascii_whitespace()).map(standard).collect();
    ENGINE.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bearer_testing::{Algorithm, SigningKey};
    use proptest::prelude::*;

    #[test]
    fn a_key_is_known_behind_whatever_stands_before_it() {
        for text in [
            "-----BEGIN PUBLIC KEY-----",
            "\u{feff}-----BEGIN CERTIFICATE-----",
            "# key\n-----BEGIN RSA PUBLIC KEY-----",
            r#"{"kty":"EC"}"#,
            r#"[{"kty":"EC"}]"#,
            "ssh-rsa AAAAB3",
            "ecdsa-sha2-nistp256 AAAA",
            "ssh-ed25519 AAAA",
            "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.c2ln",
            "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH",
            "sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz",
            // The same PEM in base64 of either alphabet.
            "LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0",
            " LS0tLS1CRUdJTiBQVUJM\nSUMgS0VZLS0tLS0= ",
        ] {
            assert!(is_public(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "-----",
            "kty",
            "ssh-",
            "eyJ",
            "a.b.c",
            "super-secret-jwt-token-with-at-least-32-characters-long",
        ] {
            assert!(!is_public(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_key_in_der_is_known_whichever_kind_it_is_of() {
        for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
            let der = SigningKey::generate(algorithm).public_der();
            assert!(is_public(&der), "{algorithm:?}");
            assert!(!is_public(&[b"x", &*der].concat()), "{algorithm:?}: no DER, for it does not begin so");
            if algorithm == Algorithm::RS256 {
                // What is in it without the name of the algorithm: PKCS #1.
                let begin =
                    der.windows(6).position(|part| part == b"\x30\x82\x01\x0a\x02\x82").expect("2048 bits");
                assert!(is_public(&der[begin..]));
            }
        }
    }

    proptest! {
        #[test]
        fn a_random_secret_is_none(secret in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!is_public(&secret));
            prop_assert!(!is_public(base64::engine::general_purpose::STANDARD.encode(&secret).as_bytes()));
        }
    }
}
