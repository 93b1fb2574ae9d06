//! How a user signed in, by the claim `amr`.

use super::claims::usual;
use crate::jwt::Text;
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use std::borrow::Cow;

/// One entry of `amr`: `{"method": "password", "timestamp": 1700000000}`, or the method alone.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "AmrEntry")]
pub struct AuthenticationMethod {
    /// Such as `password`, `otp`, `totp`, `oauth`.
    pub method: Cow<'static, str>,
    /// When, in seconds since 1970-01-01T00:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// The identity provider of a `sso/saml` sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// An entry as the server makes it.
#[derive(Deserialize)]
struct FullEntry {
    #[serde(deserialize_with = "method")]
    method: Cow<'static, str>,
    #[serde(default)]
    timestamp: Option<u64>,
    #[serde(default)]
    provider: Option<String>,
}

/// An entry as a hook may have left it.
#[derive(Deserialize)]
#[serde(untagged)]
enum AmrEntry {
    Full(FullEntry),
    Name(String),
    Other(IgnoredAny),
}

impl From<FullEntry> for AuthenticationMethod {
    fn from(FullEntry { method, timestamp, provider }: FullEntry) -> Self {
        Self { method, timestamp, provider }
    }
}

impl From<AmrEntry> for AuthenticationMethod {
    fn from(entry: AmrEntry) -> Self {
        match entry {
            AmrEntry::Full(full) => full.into(),
            AmrEntry::Name(method) => Self { method: method.into(), timestamp: None, provider: None },
            AmrEntry::Other(_) => Self { method: "".into(), timestamp: None, provider: None },
        }
    }
}

fn method<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'static, str>, D::Error> {
    Text::deserialize(deserializer).map(|Text(text)| usual(text))
}

/// What does not fit does not decide whether the token is good.
pub(super) fn methods(json: &str) -> Vec<AuthenticationMethod> {
    // The usual form first: telling the forms apart costs as much as all other claims together.
    match serde_json::from_str::<Vec<FullEntry>>(json) {
        Ok(full) => full.into_iter().map(Into::into).collect(),
        Err(_) => serde_json::from_str(json).unwrap_or_default(),
    }
}
