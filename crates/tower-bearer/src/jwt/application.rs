//! The application's own claims, of a type that the verifier does not know.

use crate::{
    claims::{AnyClaims, Claims},
    claims_set::ClaimsSet,
};
use serde::de::DeserializeOwned;
use std::{
    any::type_name,
    error::Error,
    fmt,
    sync::{Arc, OnceLock},
};

/// The application's claims, decoded without the verifier knowing their type.
#[derive(Clone, Copy)]
pub(super) enum ClaimsType {
    /// A token whose claims do not fit is refused.
    Checked { name: &'static str, decode: Decode },
    /// Every token that the issuer's guard lets through fits.
    Fitting { name: &'static str, read: Read },
}

type Decode = fn(&str) -> Result<AnyClaims, serde_json::Error>;

/// From the text of a verified payload, which the claims may keep parts of.
pub(crate) type Read = fn(&ClaimsSet) -> Option<AnyClaims>;

impl ClaimsType {
    pub(super) fn of<C: DeserializeOwned + Send + Sync + 'static>() -> Self {
        Self::Checked {
            name: type_name::<C>(),
            decode: |json| super::from_object::<C>(json).map(|claims| Arc::new(claims) as _),
        }
    }

    pub(super) fn fitting<C>(read: Read) -> Self {
        Self::Fitting { name: type_name::<C>(), read }
    }

    pub(super) fn name(self) -> &'static str {
        let (Self::Checked { name, .. } | Self::Fitting { name, .. }) = self;
        name
    }

    /// The claims of a verified payload.
    pub(super) fn decode(self, json: &str) -> Result<Claims, ClaimsMismatch> {
        match self {
            Self::Checked { name, decode } => decode(json)
                .map(|claims| Claims::Own { name, claims })
                .map_err(|error| ClaimsMismatch::new(name, &error)),
            Self::Fitting { name, read } => Ok(Claims::Unread { name, read, claims: OnceLock::new() }),
        }
    }
}

/// The claims did not fit the application's type: a message for its developer, without the claims themselves.
#[derive(Debug)]
pub(super) struct ClaimsMismatch {
    type_name: &'static str,
    what: String,
}

impl ClaimsMismatch {
    fn new(type_name: &'static str, error: &serde_json::Error) -> Self {
        // Of serde's messages only these two name nothing but our own fields; the others quote the value.
        let message = error.to_string();
        let safe = message.starts_with("missing field") || message.starts_with("duplicate field");
        let what = if safe { message } else { format!("a wrong type at column {}", error.column()) };
        Self { type_name, what }
    }
}

impl fmt::Display for ClaimsMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the claims do not fit {}: {}", self.type_name, self.what)
    }
}

impl Error for ClaimsMismatch {}
