//! Keys and tokens of one issuer.

use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
use serde_json::{Value, json};
use std::sync::LazyLock;

pub(super) const ISS: &str = "https://issuer.example";

pub(super) const AUD: &str = "https://api.example";

/// A fresh key of this id.
pub(super) fn key(kid: &str) -> SigningKey {
    SigningKey::generate(Algorithm::EdDSA).kid(kid)
}

/// An RSA key takes long to make: this one is for all.
pub(super) fn rsa() -> &'static SigningKey {
    static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::RS256).kid("rsa"));
    &KEY
}

/// A good token, not signed yet.
pub(super) fn token(key: &SigningKey) -> TokenBuilder {
    TokenBuilder::new(key, ISS, AUD)
}

/// The JWK Set of these members, whatever they are.
pub(super) fn set(keys: &[Value]) -> Value {
    json!({ "keys": keys })
}
