//! Private keys and secrets, and signing with them.

use aws_lc_rs::{
    encoding::AsDer,
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
        UnparsedPublicKey, VerificationAlgorithm,
    },
};

use crate::{
    algorithm::{Algorithm, Family},
    random,
};

/// The secret half of a key. Has no `Debug`, so that nothing can print it.
pub(crate) enum Material {
    Rsa(RsaKeyPair),
    /// One key, parsed once for each form of signature: aws-lc-rs ties the form to the key pair.
    Ecdsa {
        raw: EcdsaKeyPair,
        der: EcdsaKeyPair,
    },
    Ed25519(Ed25519KeyPair),
    Hmac(Vec<u8>),
}

impl Material {
    pub(crate) fn generate(algorithm: Algorithm) -> Self {
        match algorithm.family() {
            Family::Rsa => Self::Rsa(
                RsaKeyPair::generate(KeySize::Rsa2048).expect("aws-lc generates RSA keys of 2048 bits"),
            ),
            Family::P256 => Self::ecdsa(
                &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            ),
            Family::P384 => Self::ecdsa(
                &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
                &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
            ),
            Family::P521 => Self::ecdsa(
                &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
                &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
            ),
            Family::Ed25519 => {
                Self::Ed25519(Ed25519KeyPair::generate().expect("aws-lc generates Ed25519 keys"))
            }
            // RFC 7518 §3.2: as long as the digest, at least.
            Family::Hmac => Self::Hmac(
                random::bytes::<64>()[..hmac_algorithm(algorithm).digest_algorithm().output_len()].to_vec(),
            ),
        }
    }

    fn ecdsa(raw: &'static EcdsaSigningAlgorithm, der: &'static EcdsaSigningAlgorithm) -> Self {
        let raw = EcdsaKeyPair::generate(raw).expect("aws-lc generates keys of every NIST curve");
        let pkcs8 = raw.to_pkcs8v1().expect("a generated key has a PKCS#8 form");
        let der =
            EcdsaKeyPair::from_pkcs8(der, pkcs8.as_ref()).expect("the PKCS#8 form was written just now");
        Self::Ecdsa { raw, der }
    }

    /// The signature as JWS carries it: ECDSA as r and s side by side, RFC 7518 §3.4.
    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(rsa_encoding(algorithm), &random, message, &mut signature)
                    .expect("the buffer is as long as the modulus");
                signature
            }
            Self::Ecdsa { raw, .. } => {
                raw.sign(&random, message).expect("a generated key signs").as_ref().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Hmac(secret) => {
                let key = hmac::Key::new(hmac_algorithm(algorithm), secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
        }
    }

    /// The ECDSA signature as an ASN.1 `SEQUENCE` of r and s; `None` for what is not ECDSA.
    pub(crate) fn sign_der(&self, message: &[u8]) -> Option<Vec<u8>> {
        let Self::Ecdsa { der, .. } = self else { return None };
        Some(der.sign(&SystemRandom::new(), message).expect("a generated key signs").as_ref().to_vec())
    }

    pub(crate) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if let Self::Hmac(secret) = self {
            let key = hmac::Key::new(hmac_algorithm(algorithm), secret);
            return hmac::verify(&key, message, signature).is_ok();
        }
        UnparsedPublicKey::new(verification(algorithm), self.public_bytes())
            .verify(message, signature)
            .is_ok()
    }

    /// RSA: PKCS#1 `RSAPublicKey` DER. ECDSA: the uncompressed point. Ed25519: the point.
    ///
    /// An HMAC secret has no public half, and is given out as it is: the caller decides whether it may.
    pub(crate) fn public_bytes(&self) -> &[u8] {
        match self {
            Self::Rsa(pair) => pair.public_key().as_ref(),
            Self::Ecdsa { raw, .. } => raw.public_key().as_ref(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
            Self::Hmac(secret) => secret,
        }
    }

    /// The public half as a DER `SubjectPublicKeyInfo`; `None` for HMAC.
    pub(crate) fn public_der(&self) -> Option<Vec<u8>> {
        let der = match self {
            Self::Rsa(pair) => pair.public_key().as_der(),
            Self::Ecdsa { raw, .. } => raw.public_key().as_der(),
            Self::Ed25519(pair) => pair.public_key().as_der(),
            Self::Hmac(_) => return None,
        };
        Some(der.expect("a generated key has a DER form").as_ref().to_vec())
    }
}

fn rsa_encoding(algorithm: Algorithm) -> &'static dyn RsaEncoding {
    match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_SHA512,
        other => unreachable!("an RSA key never carries {}", other.name()),
    }
}

fn hmac_algorithm(algorithm: Algorithm) -> hmac::Algorithm {
    match algorithm {
        Algorithm::HS256 => hmac::HMAC_SHA256,
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        other => unreachable!("an HMAC secret never carries {}", other.name()),
    }
}

fn verification(algorithm: Algorithm) -> &'static dyn VerificationAlgorithm {
    match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::ES512 => &signature::ECDSA_P521_SHA512_FIXED,
        Algorithm::EdDSA => &signature::ED25519,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
            unreachable!("an HMAC secret verifies by its own branch")
        }
    }
}
