//! The ID token of a sign-in (OpenID Connect Core 1.0 §3.1.3.7): pure functions of its text.
//!
//! It came straight from the token endpoint, over TLS, so its signature need not be checked (there, rule 6).
//! That it is for us, fresh, and of this very sign-in must be.

use crate::unverified;
use serde::Deserialize;
use std::fmt;

/// How far the issuer's clock may be from ours, in seconds.
const LEEWAY: u64 = 60;

/// Why an ID token is not that of this sign-in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum InvalidIdToken {
    Malformed,
    Issuer,
    Audience,
    Expired,
    Nonce,
}

/// What an ID token must say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    /// `None` where nobody told us.
    pub(super) issuer: Option<&'a str>,
    pub(super) client: &'a str,
    pub(super) nonce: &'a str,
    /// Seconds since 1970.
    pub(super) now: u64,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    #[serde(default)]
    azp: Option<String>,
    exp: f64,
    #[serde(default)]
    nonce: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

pub(super) fn check(token: &str, expected: Expected<'_>) -> Result<(), InvalidIdToken> {
    let claims = unverified::claims::<Claims>(token).ok_or(InvalidIdToken::Malformed)?;
    if expected.issuer.is_some_and(|issuer| issuer != claims.iss) {
        return Err(InvalidIdToken::Issuer);
    }
    // With several audiences, it must say that it was issued to us (rules 3 to 5).
    let is_for_us = match &claims.aud {
        Audience::One(audience) => audience == expected.client,
        Audience::Several(audiences) => {
            audiences.iter().any(|audience| audience == expected.client)
                && (audiences.len() == 1 || claims.azp.is_some())
        }
    };
    if !is_for_us || claims.azp.is_some_and(|azp| azp != expected.client) {
        return Err(InvalidIdToken::Audience);
    }
    #[allow(clippy::cast_precision_loss, reason = "exact for a million years")]
    let earliest = expected.now.saturating_sub(LEEWAY) as f64;
    // Put so that what is not a number has expired.
    if claims.exp.partial_cmp(&earliest) != Some(std::cmp::Ordering::Greater) {
        return Err(InvalidIdToken::Expired);
    }
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return Err(InvalidIdToken::Nonce);
    }
    Ok(())
}

impl fmt::Display for InvalidIdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the ID token cannot be read",
            Self::Issuer => "the ID token is of another issuer",
            Self::Audience => "the ID token is for another client",
            Self::Expired => "the ID token has expired",
            Self::Nonce => "the ID token is of another sign-in",
        })
    }
}

impl std::error::Error for InvalidIdToken {}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const EXPECTED: Expected<'_> =
        Expected { issuer: Some("https://i.example"), client: "app", nonce: "n", now: 1000 };

    #[allow(clippy::needless_pass_by_value, reason = "reads better with json!({…}) in place")]
    fn token(changes: Value) -> String {
        let mut claims =
            json!({ "iss": "https://i.example", "aud": "app", "exp": 1001, "nonce": "n", "sub": "ada" });
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn the_rules_as_a_table() {
        use InvalidIdToken::{Audience, Expired, Issuer, Malformed, Nonce};
        for (changes, expected) in [
            (json!({}), Ok(())),
            (json!({ "aud": ["app"] }), Ok(())),
            (json!({ "aud": ["other", "app"], "azp": "app" }), Ok(())),
            (json!({ "azp": "app" }), Ok(())),
            (json!({ "exp": 941 }), Ok(())),
            (json!({ "exp": 1000.5 }), Ok(())),
            (json!({ "iss": "https://i.example/" }), Err(Issuer)),
            (json!({ "iss": null }), Err(Malformed)),
            (json!({ "aud": "other" }), Err(Audience)),
            (json!({ "aud": [] }), Err(Audience)),
            (json!({ "aud": ["other", "app"] }), Err(Audience)),
            (json!({ "aud": ["other", "app"], "azp": "other" }), Err(Audience)),
            (json!({ "azp": "other" }), Err(Audience)),
            (json!({ "exp": 940 }), Err(Expired)),
            (json!({ "exp": null }), Err(Malformed)),
            (json!({ "nonce": "m" }), Err(Nonce)),
            (json!({ "nonce": "" }), Err(Nonce)),
            (json!({ "nonce": null }), Err(Nonce)),
        ] {
            assert_eq!(check(&token(changes.clone()), EXPECTED), expected, "{changes}");
        }
        let anyones = Expected { issuer: None, ..EXPECTED };
        assert_eq!(check(&token(json!({ "iss": "https://other.example" })), anyones), Ok(()));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[A-Za-z0-9._-]{0,40}") {
            prop_assert!(check(&text, EXPECTED).is_err());
        }
    }
}
