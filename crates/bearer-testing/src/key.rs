//! A private key, and how its public half is shown.

use std::{fmt, sync::Arc};

use serde_json::Value;

use crate::{
    algorithm::{Algorithm, Family},
    jwk,
    material::Material,
    random,
};

/// A private key that signs. Cheap to clone.
///
/// Its `Debug` shows the algorithm and the key id, never the key.
///
/// ```
/// use bearer_testing::{Algorithm, SigningKey};
///
/// let key = SigningKey::generate(Algorithm::ES256).kid("first");
/// let signature = key.sign(b"message");
/// assert_eq!(signature.len(), 64);
/// assert!(key.verify(b"message", &signature));
/// assert!(!key.verify(b"another message", &signature));
/// ```
#[derive(Clone)]
pub struct SigningKey {
    material: Arc<Material>,
    algorithm: Algorithm,
    kid: Option<Arc<str>>,
}

impl SigningKey {
    /// A fresh key with a random key id.
    ///
    /// RSA keys have 2048 bits and take tens to hundreds of milliseconds: generate one and share it between
    /// tests, under its several algorithms by [`with_algorithm`](Self::with_algorithm). HMAC secrets are as
    /// long as the digest (32, 48 or 64 bytes).
    ///
    /// # Panics
    /// When the system gives no randomness.
    pub fn generate(algorithm: Algorithm) -> Self {
        Self::from_material(Material::generate(algorithm), algorithm)
    }

    /// The given HMAC secret, with a random key id.
    ///
    /// Short secrets are taken too: refusing them is what a test may be about.
    ///
    /// # Panics
    /// When `algorithm` is not one of `HS256`, `HS384`, `HS512`, or the secret is empty.
    pub fn hmac(algorithm: Algorithm, secret: &[u8]) -> Self {
        assert!(
            algorithm.family() == Family::Hmac,
            "SigningKey::hmac takes HS256, HS384 or HS512, not {}",
            algorithm.name()
        );
        assert!(!secret.is_empty(), "an HMAC secret has at least one byte");
        Self::from_material(Material::Hmac(secret.to_vec()), algorithm)
    }

    fn from_material(material: Material, algorithm: Algorithm) -> Self {
        let kid = Some(random::text::<12>().into());
        Self { material: Arc::new(material), algorithm, kid }
    }

    /// Sets the key id: any string, as headers and JWKs carry it in `kid`.
    #[must_use]
    pub fn kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into().into());
        self
    }

    /// Takes the key id away: neither headers nor the JWK carry a `kid`.
    #[must_use]
    pub fn without_kid(mut self) -> Self {
        self.kid = None;
        self
    }

    /// The key id.
    pub fn id(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithm this key signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The same key material and key id under another algorithm of the family, such as an `RS256` key as
    /// `PS512`.
    ///
    /// # Panics
    /// When the algorithm takes other key material: RSA keys serve `RS*` and `PS*`, HMAC secrets `HS*`, and
    /// an ECDSA or Ed25519 key only its own algorithm.
    #[must_use]
    pub fn with_algorithm(&self, algorithm: Algorithm) -> Self {
        assert!(
            algorithm.family() == self.algorithm.family(),
            "a key for {} cannot sign {}",
            self.algorithm.name(),
            algorithm.name()
        );
        Self { algorithm, ..self.clone() }
    }

    /// The verifying key as a JWK: `kty`, `kid`, `alg`, `use` (`"sig"`), `key_ops` (`["verify"]`), and `n`,
    /// `e` or `crv`, `x`, `y` or `crv`, `x`, in unpadded base64url.
    ///
    /// For HMAC it is `kty` `oct` with the **secret** in `k`, which no issuer may ever publish: it is here to
    /// configure a verifier, and to test that one found in a JWK Set is refused.
    pub fn public_jwk(&self) -> Value {
        jwk::document(self, &self.material)
    }

    /// The verifying key as a DER `SubjectPublicKeyInfo`.
    ///
    /// For tests of algorithm confusion, where a verifier takes these public bytes for an HMAC secret.
    ///
    /// # Panics
    /// For HMAC, which has no public key.
    pub fn public_der(&self) -> Vec<u8> {
        self.material
            .public_der()
            .unwrap_or_else(|| panic!("{} has no public key, only a secret", self.algorithm.name()))
    }

    /// [`public_der`](Self::public_der) as PEM (`BEGIN PUBLIC KEY`), ending in a newline.
    ///
    /// # Panics
    /// For HMAC, which has no public key.
    pub fn public_pem(&self) -> String {
        jwk::pem(&self.public_der())
    }

    /// The JWS signature of the message; for ECDSA r and s side by side ([RFC 7518 §3.4]).
    ///
    /// [RFC 7518 §3.4]: https://www.rfc-editor.org/rfc/rfc7518#section-3.4
    ///
    /// # Panics
    /// When aws-lc refuses to sign, which it has no reason to.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.material.sign(self.algorithm, message)
    }

    /// The signature as ASN.1 DER, which JWS does not allow: for tests that it is refused.
    ///
    /// # Panics
    /// When the key is not for ECDSA, the only signature with two forms.
    pub fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        self.material
            .sign_der(message)
            .unwrap_or_else(|| panic!("{} signatures have no DER form, ECDSA's do", self.algorithm.name()))
    }

    /// Whether this key, under its own algorithm, made the signature.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.material.verify(self.algorithm, message, signature)
    }

    pub(crate) fn is_secret(&self) -> bool {
        self.algorithm.family() == Family::Hmac
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_signs_and_verifies() {
        for &algorithm in Algorithm::ALL {
            let key = SigningKey::generate(algorithm);
            let signature = key.sign(b"message");
            assert!(key.verify(b"message", &signature), "{algorithm:?}");
            assert!(!key.verify(b"massage", &signature), "{algorithm:?}");
            assert!(!key.verify(b"message", &signature[1..]), "{algorithm:?}");
            assert!(!SigningKey::generate(algorithm).verify(b"message", &signature), "{algorithm:?}");
        }
    }

    #[test]
    fn ecdsa_signatures_are_raw_and_their_der_form_is_not() {
        for (algorithm, bytes) in [(Algorithm::ES256, 64), (Algorithm::ES384, 96), (Algorithm::ES512, 132)] {
            let key = SigningKey::generate(algorithm);
            assert_eq!(key.sign(b"message").len(), bytes);
            let der = key.sign_der(b"message");
            assert_eq!(der[0], 0x30, "a SEQUENCE");
            assert!(!key.verify(b"message", &der), "{algorithm:?}");
        }
    }

    #[test]
    fn der_signature_is_by_the_same_key() {
        let key = SigningKey::generate(Algorithm::ES512);
        let Material::Ecdsa { raw, der } = &*key.material else { panic!("ES512 is ECDSA") };
        assert_eq!(
            aws_lc_rs::signature::KeyPair::public_key(raw).as_ref(),
            aws_lc_rs::signature::KeyPair::public_key(der).as_ref()
        );
    }

    #[test]
    fn rsa_key_serves_every_rsa_algorithm() {
        let key = SigningKey::generate(Algorithm::RS256);
        for &algorithm in &Algorithm::ALL[..6] {
            let other = key.with_algorithm(algorithm);
            assert_eq!(other.id(), key.id());
            assert!(other.verify(b"message", &other.sign(b"message")));
            assert_eq!(key.verify(b"message", &other.sign(b"message")), algorithm == Algorithm::RS256);
        }
    }

    #[test]
    #[should_panic(expected = "a key for ES256 cannot sign ES384")]
    fn curve_serves_only_its_own_algorithm() {
        let _ = SigningKey::generate(Algorithm::ES256).with_algorithm(Algorithm::ES384);
    }

    #[test]
    #[should_panic(expected = "HS256 has no public key")]
    fn hmac_has_no_public_key() {
        let _ = SigningKey::generate(Algorithm::HS256).public_der();
    }

    #[test]
    fn hmac_secret_of_one_byte_is_taken() {
        let key = SigningKey::hmac(Algorithm::HS512, b"x");
        assert!(key.verify(b"message", &key.sign(b"message")));
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = SigningKey::hmac(Algorithm::HS256, b"hunter2").kid("k");
        assert_eq!(format!("{key:?}"), r#"SigningKey { algorithm: HS256, kid: Some("k"), .. }"#);
    }
}
