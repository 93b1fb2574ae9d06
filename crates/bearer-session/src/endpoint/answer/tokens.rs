//! The tokens in the body of a success.

use super::object;
use crate::{AccessToken, RefreshToken, Secret, TokenSet};
use serde::{Deserialize, Deserializer, de::Visitor};
use std::{borrow::Cow, fmt, time::Duration};

/// The tokens of a body (RFC 6749 §5.1), or `None` where it is not what a token endpoint answers. Whoever
/// reads it without care hands out what no header can carry.
pub(super) fn tokens(body: &[u8], lifetime: Duration) -> Option<TokenSet> {
    #[derive(Deserialize)]
    struct Success<'a> {
        #[serde(borrow)]
        access_token: Cow<'a, str>,
        #[serde(borrow, default)]
        token_type: Option<Cow<'a, str>>,
        #[serde(default)]
        expires_in: Option<Seconds>,
        #[serde(borrow, default)]
        refresh_token: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        id_token: Option<Cow<'a, str>>,
    }
    let body = object(body)?;
    let success: Success<'_> = serde_json::from_str(body).ok()?;
    // A token that is no bearer token must not be used as one (RFC 6749 §7.1). Some issuers say nothing.
    if success.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return None;
    }
    let is_text = |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_text(&success.access_token) {
        return None;
    }
    let expires_in =
        success.expires_in.map_or(lifetime, |Seconds(seconds)| Duration::from_secs(seconds.into()));
    let mut tokens = TokenSet::new(AccessToken::new(success.access_token), expires_in);
    // An empty one is none.
    tokens.refresh_token = success.refresh_token.filter(|token| !token.is_empty()).map(RefreshToken::new);
    tokens.id_token = success.id_token.filter(|token| !token.is_empty()).map(Secret::new);
    tokens.document = Some(Secret::new(body));
    Some(tokens)
}

/// A lifetime. Some issuers write it as text or with a fraction; what has passed is none, and what is too
/// long to count is very long.
struct Seconds(u32);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Seconds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Seconds, E> {
                Ok(Seconds(u32::try_from(number).unwrap_or(u32::MAX)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Seconds, E> {
                Ok(Seconds(u32::try_from(number.max(0)).unwrap_or(u32::MAX)))
            }

            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "such casts saturate, as meant"
            )]
            fn visit_f64<E>(self, number: f64) -> Result<Seconds, E> {
                Ok(Seconds(number as u32))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Seconds, E> {
                text.parse().map(Seconds).map_err(|_| E::custom("not seconds"))
            }
        }

        deserializer.deserialize_any(Number)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Dialect,
            tests::{LIFETIME, answer},
        },
        *,
    };
    use proptest::prelude::*;

    #[test]
    fn tokens_of_a_good_answer() {
        let body = r#" {"token_type":"Bearer","access_token":"a.b","expires_in":60,"refresh_token":"r","id_token":"i","user":{"id":1}} "#;
        let tokens = answer(200, body).tokens(Dialect::OAuth, LIFETIME).expect("tokens");
        assert_eq!(tokens.access_token.expose(), "a.b");
        assert_eq!(tokens.refresh_token.as_ref().map(RefreshToken::expose), Some("r"));
        assert_eq!(tokens.id_token.as_ref().map(Secret::expose), Some("i"));
        assert_eq!(tokens.document.as_ref().map(Secret::expose), Some(body.trim()));
        assert_eq!(tokens.expires_in.as_secs(), 60);
    }

    #[test]
    fn lifetimes_are_read_as_issuers_write_them() {
        for (expires_in, expected) in [
            ("60", 60),
            ("\"60\"", 60),
            ("60.9", 60),
            ("0", 0),
            ("-5", 0),
            ("-5.5", 0),
            ("1e300", u32::MAX),
            ("99999999999", u32::MAX),
            ("null", 300),
        ] {
            let body = format!(r#"{{"access_token":"a","expires_in":{expires_in},"refresh_token":""}}"#);
            let tokens = answer(200, &body).tokens(Dialect::OAuth, LIFETIME).expect(expires_in);
            assert_eq!(tokens.expires_in, Duration::from_secs(expected.into()), "{expires_in}");
            assert_eq!(tokens.refresh_token, None);
        }
    }

    proptest! {
        #[test]
        fn what_is_read_as_tokens_can_be_used_as_such(
            status in 200_u16..600,
            access in "\\PC{0,8}|[!-~]{1,8}",
            kind in "(?i:bearer)|[a-zA-Z]{0,6}",
            expires in prop_oneof!["[0-9.e+-]{1,24}", Just("null".to_owned()), Just("\"60\"".to_owned())],
            refresh in proptest::option::of("\\PC{0,8}"),
        ) {
            let access_text = serde_json::to_string(&access).expect("JSON");
            let refresh_text = serde_json::to_string(&refresh).expect("JSON");
            let body = format!(
                r#"{{"access_token":{access_text},"token_type":"{kind}","expires_in":{expires},"refresh_token":{refresh_text}}}"#
            );
            if let Ok(tokens) = answer(status, &body).tokens(Dialect::OAuth, LIFETIME) {
                prop_assert!((200..300).contains(&status));
                prop_assert!(kind.eq_ignore_ascii_case("bearer"));
                prop_assert_eq!(tokens.access_token.expose(), &access);
                let header = format!("Bearer {access}");
                prop_assert!(http::HeaderValue::from_str(&header).is_ok());
                prop_assert_eq!(
                    tokens.refresh_token.as_ref().map(RefreshToken::expose),
                    refresh.as_deref().filter(|token| !token.is_empty())
                );
                prop_assert!(tokens.expires_in <= Duration::from_secs(u32::MAX.into()));
                let printed = format!("{tokens:?}");
                prop_assert!(!printed.contains(&body));
            }
        }
    }
}
