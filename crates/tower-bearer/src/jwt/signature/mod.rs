//! Signatures. This folder alone names the crates that do the cryptography.
//!
//! aws-lc-rs is used where its feature is on, whatever else is: features add, they do not change.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(feature = "aws-lc-rs")]
use aws_lc as backend;

#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
mod rust_crypto;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
use rust_crypto as backend;

#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod none;
#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
use none as backend;

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod vectors;

use super::Algorithm;
use std::fmt;

/// The parts of a public key, as they stand in a JWK.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(any(feature = "aws-lc-rs", feature = "rust-crypto")),
    allow(dead_code, reason = "without a backend nothing looks at them")
)]
pub(crate) enum PublicParts<'a> {
    /// Modulus and exponent, big-endian, no leading zeros.
    Rsa {
        n: &'a [u8],
        e: &'a [u8],
    },
    /// Coordinates of the curve's exact length.
    Ec {
        x: &'a [u8],
        y: &'a [u8],
    },
    Ed25519 {
        x: &'a [u8; 32],
    },
}

impl PublicParts<'_> {
    fn material(self) -> Box<[u8]> {
        match self {
            // The length of the modulus tells where the exponent begins.
            Self::Rsa { n, e } => [&n.len().to_be_bytes(), n, e].concat().into(),
            Self::Ec { x, y } => [x, y].concat().into(),
            Self::Ed25519 { x } => (*x).into(),
        }
    }
}

/// Whether the backend of this build could verify such a signature.
pub(crate) fn is_known(algorithm: Algorithm) -> bool {
    backend::knows(algorithm)
}

/// Why the backend would not take a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rejected {
    /// The key itself is wrong, such as a point that is not on the curve.
    Invalid,
    /// This backend does not know the algorithm.
    Unsupported,
}

/// A public key parsed for one algorithm.
pub(crate) struct PublicKey {
    algorithm: Algorithm,
    key: backend::PublicKey,
    /// What tells it from other keys for the algorithm.
    material: Box<[u8]>,
}

/// The same key for the same algorithm.
impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.material == other.material
    }
}

impl PublicKey {
    /// Parses, and so validates, a key. Rules that do not depend on the backend were applied before.
    pub(crate) fn new(algorithm: Algorithm, parts: PublicParts<'_>) -> Result<Self, Rejected> {
        Ok(Self { algorithm, key: backend::PublicKey::new(algorithm, parts)?, material: parts.material() })
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.algorithm.signature_len().is_none_or(|len| len == signature.len())
            && self.key.verify(message, signature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.algorithm)
    }
}

/// A shared secret for one HMAC algorithm.
pub(crate) struct HmacKey {
    algorithm: Algorithm,
    key: backend::HmacKey,
}

impl HmacKey {
    /// The least length, in bytes, of a secret: that of the hash (RFC 7518 §3.2).
    pub(crate) const fn least_len(algorithm: Algorithm) -> Option<usize> {
        match algorithm {
            Algorithm::HS256 => Some(32),
            Algorithm::HS384 => Some(48),
            Algorithm::HS512 => Some(64),
            _ => None,
        }
    }

    pub(crate) fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, Rejected> {
        match Self::least_len(algorithm) {
            Some(least) if secret.len() >= least => {
                Ok(Self { algorithm, key: backend::HmacKey::new(algorithm, secret)? })
            }
            _ => Err(Rejected::Invalid),
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Compares in constant time.
    pub(crate) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        self.key.verify(message, tag)
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HmacKey({})", self.algorithm)
    }
}
