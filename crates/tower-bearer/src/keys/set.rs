//! A set of verification keys, each for exactly one algorithm.

use super::jwk;
use crate::{
    error::Reason,
    jwt::{Algorithm, from_object, signature::PublicKey},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{error::Error, fmt};

/// The most keys that one set may have.
const MAX_KEYS: usize = 100;

/// The most keys that are tried on one token.
const MAX_TRIES: usize = 4;

/// A set of public keys, parsed when it is built, so that a request parses none.
#[derive(Debug, Default)]
pub struct KeySet {
    /// One entry for each key and algorithm; an RSA key without `alg` has six.
    keys: Vec<Key>,
    skipped: Vec<SkippedKey>,
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) kid: Option<Box<str>>,
    pub(crate) public: PublicKey,
}

/// A key of a JWK Set that is not used, and why.
#[derive(Clone, Debug)]
pub struct SkippedKey {
    kid: Option<String>,
    reason: SkipReason,
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
    /// An RSA modulus of less than 2048 bits (RFC 7518 §3.3), or more than 8192.
    ModulusSize,
    /// An RSA exponent that is even, 1, or longer than 33 bits.
    Exponent,
    /// A point that is not on the curve, or has small order.
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

#[derive(Deserialize)]
struct JwkSet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl KeySet {
    /// Parses a JWK Set (RFC 7517 §5). Keys that cannot be used are [skipped](Self::skipped); a set of which
    /// nothing is left is empty, not an error.
    ///
    /// # Errors
    /// When the text as a whole is not a JWK Set, or has more than 100 keys.
    pub fn from_jwks(json: &str) -> Result<Self, KeySetError> {
        let set: JwkSet<'_> = from_object(json).map_err(|_| KeySetError::NotAJwkSet)?;
        if set.keys.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        let mut parsed = Self::default();
        for raw in set.keys {
            match jwk::parse(raw.get()) {
                Ok(keys) => parsed.keys.extend(keys),
                Err(reason) => parsed.skipped.push(SkippedKey { kid: jwk::kid_of(raw.get()), reason }),
            }
        }
        Ok(parsed)
    }

    /// Whether no key of the set can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The `kid`s of the keys in use, in the order of the set, each once.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let kids = self.keys.iter().map(|key| key.kid.as_deref());
        kids.enumerate().filter_map(|(at, kid)| {
            let before = self.keys[..at].iter().any(|key| key.kid.as_deref() == kid);
            kid.filter(|_| !before)
        })
    }

    /// The keys that are not used, and why.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// Whether one of the keys that the token may mean made the signature: those of its `kid`, or those that have
    /// none; for a token without `kid`, all. Only keys for `algorithm` are tried, and only a few.
    pub(crate) fn verify(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Reason> {
        let try_keys = |meant: fn(&Key, Option<&str>) -> bool| {
            let mut tries = self
                .keys
                .iter()
                .filter(|key| meant(key, kid) && key.public.algorithm() == algorithm)
                .take(MAX_TRIES)
                .peekable();
            let any = tries.peek().is_some();
            match tries.any(|key| key.public.verify(message, signature)) {
                true => Ok(()),
                false if any => Err(Reason::Signature),
                false => Err(Reason::KeyAlgorithm),
            }
        };
        if kid.is_none() {
            try_keys(|_, _| true)
        } else if self.keys.iter().any(|key| key.kid.as_deref() == kid) {
            try_keys(|key, kid| key.kid.as_deref() == kid)
        } else {
            try_keys(|key, _| key.kid.is_none()).map_err(|_| Reason::UnknownKey)
        }
    }
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
            Self::ModulusSize => "the RSA modulus is not between 2048 and 8192 bits",
            Self::Exponent => "the RSA exponent is even, 1 or too long",
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
