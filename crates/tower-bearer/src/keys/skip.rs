//! What of a JWK Set is not used, and why.

use crate::jwt::signature::Rejected;
use std::{error::Error, fmt};

/// A key of a JWK Set that is not used, and why.
#[derive(Clone, Debug)]
pub struct SkippedKey {
    pub(super) kid: Option<String>,
    pub(super) reason: SkipReason,
}

/// Why a key is not used.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SkipReason {
    /// Not a JWK; says what was wrong.
    Malformed(&'static str),
    /// `kty: oct`: a shared secret has no place in a published set.
    Symmetric,
    /// The set publishes the private part: whoever reads it can sign.
    Private,
    /// A `kty` that is not known here.
    UnknownKeyType,
    /// A `crv` that is not known here, or does not sign.
    UnknownCurve,
    /// An `alg` that is not known here.
    UnknownAlgorithm,
    /// `alg` is not one for this `kty` and `crv`.
    AlgorithmMismatch,
    /// `use` is not `sig`, or `key_ops` has no `verify`.
    NotForVerification,
    /// A `kid` of more than 256 bytes: no token can name it.
    LongKid,
    /// An RSA modulus of less than 2048 bits (RFC 7518 §3.3), or more than 8192.
    ModulusSize,
    /// An RSA exponent that is even, 1, or greater than 65537.
    Exponent,
    /// A point that is not on the curve, or has small order. An Ed25519 point is tried for its order alone:
    /// one that is on no curve is a key that never made a signature.
    Point,
    /// The cryptographic backend of this build does not know the algorithm.
    UnsupportedByBackend,
}

/// Why a whole JWK Set is refused.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeySetError {
    /// Not a JSON object with an array `keys` (RFC 7517 §5).
    NotAJwkSet,
    /// More than 100 keys.
    TooManyKeys,
}

impl SkippedKey {
    /// The `kid`, where it could be read.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Why the key is not used.
    pub fn reason(&self) -> SkipReason {
        self.reason
    }
}

impl From<Rejected> for SkipReason {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Invalid => Self::Point,
            Rejected::Unsupported => Self::UnsupportedByBackend,
        }
    }
}

impl Error for SkipReason {}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(what) => what,
            Self::Symmetric => "a shared secret (kty oct) in a published set",
            Self::Private => "the private part of the key is published",
            Self::UnknownKeyType => "unknown kty",
            Self::UnknownCurve => "unknown crv, or one that does not sign",
            Self::UnknownAlgorithm => "unknown alg",
            Self::AlgorithmMismatch => "alg does not fit kty and crv",
            Self::NotForVerification => "use or key_ops say it does not verify signatures",
            Self::LongKid => "the kid is longer than 256 bytes",
            Self::ModulusSize => "the RSA modulus is not between 2048 and 8192 bits",
            Self::Exponent => "the RSA exponent is even, 1 or greater than 65537",
            Self::Point => "not a usable point of the curve",
            Self::UnsupportedByBackend => "the cryptographic backend of this build does not support it",
        })
    }
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAJwkSet => "not a JWK Set (a JSON object with an array `keys`)",
            Self::TooManyKeys => "more than 100 keys in the JWK Set",
        })
    }
}

impl Error for KeySetError {}
