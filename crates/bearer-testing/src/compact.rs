//! The compact form of a token: signed, joined, and read again.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::Value;

use crate::SigningKey;

/// Signs and joins: base64url(header) `.` base64url(payload) `.` base64url(signature), as [RFC 7515 §7.1].
///
/// Header and payload are raw text, so that anything malformed can be signed well:
///
/// ```
/// use bearer_testing::{Algorithm, SigningKey, sign_compact, verify_compact};
///
/// let key = SigningKey::generate(Algorithm::EdDSA);
/// let twice = sign_compact(&key, r#"{"alg":"EdDSA"}"#, r#"{"sub":"ada","sub":"eve"}"#);
/// let cut_short = sign_compact(&key, r#"{"alg":"EdDSA"}"#, r#"{"sub":"#);
///
/// // This parser takes the last of two members with one name; others take the first.
/// assert_eq!(verify_compact(&key, &twice).unwrap()["sub"], "eve");
/// assert!(verify_compact(&key, &cut_short).is_none(), "signed, and no JSON");
/// ```
///
/// [RFC 7515 §7.1]: https://www.rfc-editor.org/rfc/rfc7515#section-7.1
pub fn sign_compact(key: &SigningKey, header: &str, payload: &str) -> String {
    let message = signing_input(header, payload);
    let signature = BASE64_URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// The claims of a compact token that this key signed; `None` for anything else.
///
/// Looks at the signature and at nothing besides: not at the header, not at `exp`, `iss` or `aud`. It is for
/// looking into tokens in tests, not a verifier.
pub fn verify_compact(key: &SigningKey, token: &str) -> Option<Value> {
    let (message, signature) = token.rsplit_once('.')?;
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
    if !key.verify(message.as_bytes(), &signature) {
        return None;
    }
    let (_, payload) = message.split_once('.')?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

pub(crate) fn signing_input(header: &str, payload: &str) -> String {
    format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    #[test]
    fn signed_text_comes_back_as_it_was() {
        let key = SigningKey::generate(Algorithm::EdDSA);
        let token = sign_compact(&key, "no JSON", r#"{"a":1,"a":2}"#);
        let parts: Vec<_> =
            token.split('.').map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        assert_eq!(parts[0], b"no JSON");
        assert_eq!(parts[1], br#"{"a":1,"a":2}"#);
        assert_eq!(parts.len(), 3);
        assert_eq!(verify_compact(&key, &token).unwrap()["a"], 2);
    }

    #[test]
    fn verifying_refuses_what_is_no_token_of_the_key() {
        let key = SigningKey::generate(Algorithm::HS256);
        let good = sign_compact(&key, "{}", "{}");
        assert!(verify_compact(&key, &good).is_some());
        for bad in ["", ".", "..", "a.b.c", &good[1..], &format!("{good}="), &format!("{good}.")] {
            assert!(verify_compact(&key, bad).is_none(), "{bad}");
        }
    }
}
