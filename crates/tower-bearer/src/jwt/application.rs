//! The application's own claims, of a type that the verifier does not know.

use serde::de::DeserializeOwned;
use std::{
    any::{Any, type_name},
    error::Error,
    fmt,
    sync::Arc,
};

/// The application's claims, decoded without the verifier knowing their type.
#[derive(Clone, Copy)]
pub(super) struct ClaimsType {
    pub(super) name: &'static str,
    decode: Decode,
}

/// From the text of a verified payload.
pub(crate) type Decode = fn(&Arc<str>) -> Result<Arc<dyn Any + Send + Sync>, serde_json::Error>;

impl ClaimsType {
    pub(super) fn of<C: DeserializeOwned + Send + Sync + 'static>() -> Self {
        Self {
            name: type_name::<C>(),
            decode: |json| super::from_object::<C>(json).map(|claims| Arc::new(claims) as _),
        }
    }

    /// Claims that may keep parts of the text rather than copies.
    pub(super) fn sharing<C: Send + Sync + 'static>(decode: Decode) -> Self {
        Self { name: type_name::<C>(), decode }
    }

    /// The claims of a verified payload.
    pub(super) fn decode(self, json: &Arc<str>) -> Result<Arc<dyn Any + Send + Sync>, ClaimsMismatch> {
        (self.decode)(json).map_err(|error| ClaimsMismatch::new(self.name, &error))
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
