//! What an ID token says of the user, in a type of the application.

use crate::{Secret, unverified};
use serde::de::DeserializeOwned;
use std::{any::type_name, error::Error, fmt};

/// The claims of an ID token do not fit the type that was asked for, or it has none that can be read. The type
/// or the issuer is to blame, never the user.
///
/// It names the type, and a field that is missing. It shows no claim, and no piece of the token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidIdTokenClaims {
    wanted: &'static str,
    missing: Option<Box<str>>,
}

/// `None` where there is no ID token.
pub(crate) fn read<C: DeserializeOwned>(
    id_token: Option<&Secret>,
) -> Result<Option<C>, InvalidIdTokenClaims> {
    let Some(token) = id_token else { return Ok(None) };
    let misfit = |missing| InvalidIdTokenClaims { wanted: type_name::<C>(), missing };
    let payload = unverified::payload(token.expose()).ok_or_else(|| misfit(None))?;
    serde_json::from_slice(&payload).map(Some).map_err(|error| misfit(missing(&error)))
}

/// The field of the type that no claim is for. What serde says of anything else may hold a claim, such as the
/// e-mail address.
fn missing(error: &serde_json::Error) -> Option<Box<str>> {
    let text = error.to_string();
    let (field, _) = text.strip_prefix("missing field `")?.split_once('`')?;
    Some(field.into())
}

impl fmt::Display for InvalidIdTokenClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the claims of the ID token do not fit {}", self.wanted)?;
        match &self.missing {
            Some(field) => write!(f, ": missing field `{field}`"),
            None => Ok(()),
        }
    }
}

impl Error for InvalidIdTokenClaims {}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    struct User {
        name: String,
        #[serde(default)]
        level: u32,
    }

    fn token(payload: &str) -> Secret {
        Secret::new(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload)))
    }

    #[test]
    fn claims_come_in_the_type_that_was_asked_for_or_with_a_reason_that_shows_none() {
        let of = "the claims of the ID token do not fit bearer_session::id_claims::tests::User";
        for (payload, expected) in [
            (r#"{"name":"Ada","email":"hunter@example.com"}"#, Ok(User { name: "Ada".into(), level: 0 })),
            (r#"{"email":"hunter@example.com"}"#, Err(format!("{of}: missing field `name`"))),
            (r#"{"name":"hunter","level":"hunter"}"#, Err(of.into())),
            (r#"{"name":"hunter","name":"Ada"}"#, Err(of.into())),
            (r#"{"name":{"hunter":1}}"#, Err(of.into())),
            (r#"["hunter"]"#, Err(of.into())),
            (r#"{"name":"hunter""#, Err(of.into())),
        ] {
            let read = read::<User>(Some(&token(payload)));
            if let Err(error) = &read {
                assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
            }
            let read = read.map(|user| user.expect("there is one")).map_err(|error| error.to_string());
            assert_eq!(read, expected, "{payload}");
        }
        assert_eq!(read::<User>(None), Ok(None));
        for unreadable in ["opaque-hunter", "hunter.e30", "a.b.c.d.e", ""] {
            let error = read::<User>(Some(&Secret::new(unreadable))).unwrap_err();
            assert_eq!(error.to_string(), of, "{unreadable}");
        }
    }
}
