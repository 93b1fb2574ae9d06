//! One issuer, its keys and its tokens.

use axum_bearer::{BearerLayer, Issuer, JwtVerifier};
use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
use serde_json::{Value, json};
use std::sync::LazyLock;
use tower_bearer::keys::{KeySet, KeySource};

/// The issuer's name.
pub(crate) const ISS: &str = "https://issuer.example";

/// The audience that the gate stands for.
pub(crate) const AUD: &str = "https://api.example";

/// The key that signs unless a test says otherwise.
pub(crate) fn es256() -> &'static SigningKey {
    static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::ES256).kid("es256"));
    &KEY
}

/// The one RSA key of the whole run: they take long to make.
pub(crate) fn rs256() -> &'static SigningKey {
    static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::RS256).kid("rs256"));
    &KEY
}

/// The published form of these keys.
pub(crate) fn jwks(keys: &[&SigningKey]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.public_jwk()).collect::<Vec<_>>() })
}

/// A set that never changes, parsed as if it had been fetched.
pub(crate) fn source(jwks: &Value) -> KeySource {
    KeySource::fixed(KeySet::from_jwks(&jwks.to_string()).unwrap())
}

/// The issuer with both keys.
pub(crate) fn issuer() -> Issuer {
    issuer_with(&[es256(), rs256()])
}

/// The issuer with these keys.
pub(crate) fn issuer_with(keys: &[&SigningKey]) -> Issuer {
    Issuer::new(ISS, AUD).keys(source(&jwks(keys)))
}

/// The issuer with this set, whatever is in it.
pub(crate) fn issuer_publishing(set: &Value) -> Issuer {
    Issuer::new(ISS, AUD).keys(source(set))
}

/// A gate that trusts this issuer.
pub(crate) fn gate(issuer: Issuer) -> BearerLayer {
    gate_of([issuer])
}

/// A gate that trusts these issuers.
pub(crate) fn gate_of(issuers: impl IntoIterator<Item = Issuer>) -> BearerLayer {
    BearerLayer::new(JwtVerifier::new(issuers).unwrap())
}

/// A good token, not signed yet.
pub(crate) fn token() -> TokenBuilder {
    token_by(es256())
}

/// A good token by another key.
pub(crate) fn token_by(key: &SigningKey) -> TokenBuilder {
    TokenBuilder::new(key, ISS, AUD)
}
