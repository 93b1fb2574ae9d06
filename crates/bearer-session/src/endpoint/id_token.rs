//! The ID token of a sign-in (OpenID Connect Core 1.0 §3.1.3.7) or of a refresh (§12.2): pure functions of its
//! text.
//!
//! It came straight from the token endpoint, over TLS, so its signature need not be checked (§3.1.3.7, rule 6).
//! That it is for us must be; that of a sign-in is fresh as well, and of this very sign-in.

use crate::unverified;
use serde::Deserialize;
use std::fmt;

/// How far the issuer's clock may be from ours, in seconds.
const LEEWAY: u64 = 60;

/// Why an ID token is not for us, or not that of this sign-in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum InvalidIdToken {
    Malformed,
    Issuer,
    Audience,
    Expired,
    Nonce,
}

/// Between whom an ID token must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parties<'a> {
    /// `None` where nobody told us.
    pub(super) issuer: Option<&'a str>,
    pub(super) client: &'a str,
}

/// What the ID token of a sign-in must say beside that.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfSignIn<'a> {
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

/// The ID token of a sign-in.
pub(super) fn check_of_sign_in(
    token: &str,
    parties: Parties<'_>,
    expected: OfSignIn<'_>,
) -> Result<(), InvalidIdToken> {
    let claims = claims_between(token, parties)?;
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

/// The ID token of a refresh. Some issuers send that of the sign-in once more, which may have expired.
pub(super) fn check_of_refresh(token: &str, parties: Parties<'_>) -> Result<(), InvalidIdToken> {
    claims_between(token, parties).map(drop)
}

fn claims_between(token: &str, Parties { issuer, client }: Parties<'_>) -> Result<Claims, InvalidIdToken> {
    let claims = unverified::claims::<Claims>(token).ok_or(InvalidIdToken::Malformed)?;
    if issuer.is_some_and(|issuer| issuer != claims.iss) {
        return Err(InvalidIdToken::Issuer);
    }
    // With several audiences, it must say that it was issued to us (rules 3 to 5).
    let is_for_us = match &claims.aud {
        Audience::One(audience) => audience == client,
        Audience::Several(audiences) => {
            audiences.iter().any(|audience| audience == client)
                && (audiences.len() == 1 || claims.azp.is_some())
        }
    };
    if !is_for_us || claims.azp.as_ref().is_some_and(|azp| azp != client) {
        return Err(InvalidIdToken::Audience);
    }
    Ok(claims)
}

impl fmt::Display for InvalidIdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the ID token cannot be read",
            Self::Issuer => "the ID token is of another issuer",
            Self::Audience => {
                "the ID token is not for this client: aud must name it, and azp too where aud names others"
            }
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

    const PARTIES: Parties<'_> = Parties { issuer: Some("https://i.example"), client: "app" };
    const EXPECTED: OfSignIn<'_> = OfSignIn { nonce: "n", now: 1000 };

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
            let token = token(changes.clone());
            assert_eq!(check_of_sign_in(&token, PARTIES, EXPECTED), expected, "{changes}");
            let of_refresh = if matches!(expected, Err(Expired | Nonce)) { Ok(()) } else { expected };
            assert_eq!(check_of_refresh(&token, PARTIES), of_refresh, "{changes}");
        }
        let anyones = Parties { issuer: None, ..PARTIES };
        let of_another = token(json!({ "iss": "https://other.example" }));
        assert_eq!(check_of_sign_in(&of_another, anyones, EXPECTED), Ok(()));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[A-Za-z0-9._-]{0,40}") {
            prop_assert!(check_of_sign_in(&text, PARTIES, EXPECTED).is_err());
        }
    }
}
