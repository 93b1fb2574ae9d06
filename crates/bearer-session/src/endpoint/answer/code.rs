//! The issuer's own code, out of the body of a refusal.

use super::Dialect;
use crate::token_response::object;
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use std::borrow::Cow;

/// The error code of a body: `{"code": "…"}` or `{"code": 400, "error_code": "…"}` of Supabase Auth,
/// `{"error": "…"}` of RFC 6749 §5.2. Where an answer has several, that of the dialect counts: issuers put
/// codes of their own beside `error`.
pub(super) fn code(dialect: Dialect, body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal<'a> {
        #[serde(borrow, default)]
        error_code: Option<Text<'a>>,
        #[serde(borrow, default)]
        code: Option<Text<'a>>,
        #[serde(borrow, default)]
        error: Option<Text<'a>>,
    }
    let Refusal { error_code, code, error } = serde_json::from_str(object(body)?).ok()?;
    let codes = match dialect {
        Dialect::OAuth => [error, error_code, code],
        Dialect::Supabase => [error_code, code, error],
    };
    codes.into_iter().flatten().find_map(|Text(text)| text.map(Cow::into_owned))
}

/// A string, or `None` where something else stands.
struct Text<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<'a> {
            Text(#[serde(borrow)] Cow<'a, str>),
            Other(IgnoredAny),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(text) => Self(Some(text)),
            Either::Other(_) => Self(None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::answer, *};
    use crate::endpoint::Outcome;

    #[test]
    fn codes_are_found_in_each_shape_and_nothing_else_is() {
        for (body, expected) in [
            (r#"{"code":"a","message":"m"}"#, Some("a")),
            (r#"{"code":400,"error_code":"a","msg":"m"}"#, Some("a")),
            (r#"{"error":"a","error_description":"m"}"#, Some("a")),
            (r#"{"error":{"status":400},"code":null}"#, None),
            (r#"{"code":400}"#, None),
            (r#"["a","b","c"]"#, None),
            (r#""a""#, None),
            ("", None),
        ] {
            for dialect in [Dialect::OAuth, Dialect::Supabase] {
                assert_eq!(code(dialect, body.as_bytes()).as_deref(), expected, "{dialect:?} {body}");
            }
        }
        let error = answer(400, r#"{"error":"<script>"}"#).error(Dialect::OAuth);
        assert_eq!(error.code(), None, "whatever it is, it is no code");
    }

    #[test]
    fn of_several_codes_that_of_the_dialect_counts() {
        let own = r#"{"error":"invalid_grant","error_code":"KOE322","code":"K1"}"#;
        let error = answer(400, own).error(Dialect::OAuth);
        assert_eq!((error.code(), error.outcome()), (Some("invalid_grant"), Outcome::Final));
        let both = r#"{"error":"invalid_request","code":400,"error_code":"session_not_found"}"#;
        let error = answer(400, both).error(Dialect::Supabase);
        assert_eq!((error.code(), error.outcome()), (Some("session_not_found"), Outcome::Final));
        let odd = r#"{"error":{"status":400},"error_code":"a"}"#;
        assert_eq!(answer(400, odd).error(Dialect::OAuth).code(), Some("a"));
    }
}
