//! Tokens that a library would not make.

use super::keys::{es256, token};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use bearer_testing::{SigningKey, sign_compact};

/// Unpadded base64url.
pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes behind unpadded base64url.
pub(crate) fn unb64(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Signs these two segments as they are.
pub(crate) fn sign_segments(key: &SigningKey, header: &str, payload: &str) -> String {
    let message = format!("{header}.{payload}");
    let signature = b64(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// The usual header as JSON text.
pub(crate) const HEADER: &str = r#"{"alg":"ES256","kid":"es256","typ":"JWT"}"#;

/// A good payload under this header, well signed.
pub(crate) fn with_header(header: &str) -> String {
    sign_compact(es256(), header, &token().payload())
}

/// This payload under a good header, well signed.
pub(crate) fn with_payload(payload: &str) -> String {
    sign_compact(es256(), HEADER, payload)
}

/// A good payload with this text before its closing brace.
pub(crate) fn with_claims(members: &str) -> String {
    let payload = token().payload();
    with_payload(&format!("{},{members}}}", payload.strip_suffix('}').unwrap()))
}

/// A token cut into its segments.
pub(crate) fn segments(token: &str) -> [&str; 3] {
    let segments: Vec<_> = token.split('.').collect();
    segments.try_into().unwrap()
}
