//! aws-lc-rs: keys parsed once, when they are loaded.

use super::{Algorithm, PublicParts, Rejected};
use aws_lc_rs::{
    hmac,
    signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm},
};

pub(super) fn knows(_: Algorithm) -> bool {
    true
}

pub(super) struct PublicKey(ParsedPublicKey);

impl PublicKey {
    pub(super) fn new(algorithm: Algorithm, parts: PublicParts<'_>) -> Result<Self, Rejected> {
        let key = match parts {
            PublicParts::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(rsa(algorithm)?)
            }
            PublicParts::Ec { x, y } => {
                // SEC 1 §2.3.3: the uncompressed form of a point.
                let point = [&[0x04], x, y].concat();
                ParsedPublicKey::new(curve(algorithm)?, point)
            }
            PublicParts::Ed25519 { x } => match algorithm {
                Algorithm::EdDSA => ParsedPublicKey::new(&signature::ED25519, x),
                _ => return Err(Rejected::Unsupported),
            },
        };
        key.map(Self).map_err(|_| Rejected::Invalid)
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}

fn rsa(algorithm: Algorithm) -> Result<&'static RsaParameters, Rejected> {
    Ok(match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return Err(Rejected::Unsupported),
    })
}

/// The `FIXED` forms take `r || s` of exact length only; DER has its own algorithms, which are not used.
fn curve(algorithm: Algorithm) -> Result<&'static dyn VerificationAlgorithm, Rejected> {
    Ok(match algorithm {
        Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::ES512 => &signature::ECDSA_P521_SHA512_FIXED,
        _ => return Err(Rejected::Unsupported),
    })
}

pub(super) struct HmacKey(hmac::Key);

impl HmacKey {
    pub(super) fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, Rejected> {
        let hash = match algorithm {
            Algorithm::HS256 => hmac::HMAC_SHA256,
            Algorithm::HS384 => hmac::HMAC_SHA384,
            Algorithm::HS512 => hmac::HMAC_SHA512,
            _ => return Err(Rejected::Unsupported),
        };
        Ok(Self(hmac::Key::new(hash, secret)))
    }

    pub(super) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.0, message, tag).is_ok()
    }
}
