//! [`Metadata`]: claims that are read when somebody asks for them.

use crate::claims_set::ClaimsSet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, ser::Error as _};
use serde_json::{Value, value::RawValue};
use std::{fmt, ops::Range, sync::Arc};

/// A JSON value that is kept as it came, and parsed when somebody asks: most requests do not.
#[derive(Clone, Default)]
pub struct Metadata(
    /// A part of the token's claims.
    Option<(Arc<str>, Range<usize>)>,
);

impl Metadata {
    /// Parses it into a type of yours. Missing metadata is `null`.
    ///
    /// # Errors
    /// When it does not fit the type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_json())
    }

    /// The JSON text.
    pub fn as_json(&self) -> &str {
        // It was found there; were it not, nothing is the answer that grants nothing.
        self.0.as_ref().and_then(|(json, place)| json.get(place.clone())).unwrap_or("null")
    }

    pub(super) fn is_missing(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn within(received: &ClaimsSet, name: &str) -> Self {
        let place = received.place(name).ok().flatten();
        Self(place.map(|place| (Arc::clone(received.json()), place)))
    }
}

/// From JSON, as a field of a type of yours.
impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json: Arc<str> = Value::deserialize(deserializer)?.to_string().into();
        let place = 0..json.len();
        Ok(Self(Some((json, place))))
    }
}

/// To JSON, by `serde_json`: the text, as it came. For another format, [parse](Metadata::parse) it first.
impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: &RawValue = serde_json::from_str(self.as_json()).map_err(S::Error::custom)?;
        text.serialize(serializer)
    }
}

/// Personal data stays out of logs.
impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metadata(..)")
    }
}
