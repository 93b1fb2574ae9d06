//! The RustCrypto crates, through `jsonwebtoken`'s provider, which is named and never looked up: the
//! process-wide one panics when none, or both, of that crate's features are on.
//!
//! Its verifiers are not `Sync`, so one is made per verification: slower, and right.

use super::{Algorithm, PublicParts, Rejected};
use jsonwebtoken::{
    Algorithm as Name, DecodingKey,
    crypto::{JwtVerifier, rust_crypto::DEFAULT_PROVIDER},
};

/// The longest modulus, in bytes, that the `rsa` crate verifies with.
const MAX_MODULUS: usize = 4096 / 8;

struct Key {
    algorithm: Name,
    key: DecodingKey,
}

impl Key {
    /// Makes a verifier once, to see that the key is one.
    fn new(algorithm: Algorithm, key: DecodingKey) -> Result<Self, Rejected> {
        let key = Self { algorithm: name(algorithm).ok_or(Rejected::Unsupported)?, key };
        key.verifier().map(drop).ok_or(Rejected::Invalid)?;
        Ok(key)
    }

    fn verifier(&self) -> Option<Box<dyn JwtVerifier>> {
        (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm, &self.key).ok()
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifier().is_some_and(|verifier| verifier.verify(message, &signature.to_vec()).is_ok())
    }
}

fn name(algorithm: Algorithm) -> Option<Name> {
    Some(match algorithm {
        Algorithm::RS256 => Name::RS256,
        Algorithm::RS384 => Name::RS384,
        Algorithm::RS512 => Name::RS512,
        Algorithm::PS256 => Name::PS256,
        Algorithm::PS384 => Name::PS384,
        Algorithm::PS512 => Name::PS512,
        Algorithm::ES256 => Name::ES256,
        Algorithm::ES384 => Name::ES384,
        Algorithm::EdDSA => Name::EdDSA,
        Algorithm::HS256 => Name::HS256,
        Algorithm::HS384 => Name::HS384,
        Algorithm::HS512 => Name::HS512,
        Algorithm::ES512 => return None,
    })
}

pub(super) fn knows(algorithm: Algorithm) -> bool {
    name(algorithm).is_some()
}

pub(super) struct PublicKey(Key);

impl PublicKey {
    pub(super) fn new(algorithm: Algorithm, parts: PublicParts<'_>) -> Result<Self, Rejected> {
        let key = match parts {
            PublicParts::Rsa { n, .. } if n.len() > MAX_MODULUS => return Err(Rejected::Unsupported),
            PublicParts::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
            // SEC 1 §2.3.3: the uncompressed form of a point.
            PublicParts::Ec { x, y } => DecodingKey::from_ec_der(&[&[0x04], x, y].concat()),
            PublicParts::Ed25519 { x } => DecodingKey::from_ed_der(x),
        };
        Key::new(algorithm, key).map(Self)
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify(message, signature)
    }
}

pub(super) struct HmacKey(Key);

impl HmacKey {
    pub(super) fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, Rejected> {
        Key::new(algorithm, DecodingKey::from_secret(secret)).map(Self)
    }

    pub(super) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        self.0.verify(message, tag)
    }
}
