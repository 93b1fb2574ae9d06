//! What an answer of a token endpoint means: pure functions of its status and its body.

use super::{ExchangeError, Outcome};
use crate::{AccessToken, RefreshToken, Secret, TokenSet};
use http::StatusCode;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, Visitor},
};
use std::{borrow::Cow, fmt, str, time::Duration};
use zeroize::Zeroizing;

/// What came back, read to its end. A body that broke off or went on for too long is empty.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Whose codes the answer uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dialect {
    /// RFC 6749 §5.2 and OpenID Connect, and what GitHub made of them.
    OAuth,
    /// Supabase Auth, in both shapes, and the OAuth server in it.
    Supabase,
}

impl Dialect {
    /// Whether the code says that this token, code or password will never do: there is no session, or no longer one.
    ///
    /// What is wrong with the client is not of that kind: an operator puts it right, and the sessions live on. But
    /// Supabase says `invalid_client` of a session that belongs to another.
    fn is_final(self, code: &str) -> bool {
        let oauth = matches!(
            code,
            "invalid_grant"
                | "interaction_required"
                | "login_required"
                | "consent_required"
                | "bad_refresh_token"
                | "bad_verification_code"
        );
        let supabase = matches!(
            code,
            "refresh_token_not_found"
                | "refresh_token_already_used"
                | "session_not_found"
                | "session_expired"
                | "user_banned"
                | "user_not_found"
                | "validation_failed"
                | "invalid_client"
                | "invalid_credentials"
                | "email_not_confirmed"
                | "phone_not_confirmed"
                | "flow_state_not_found"
                | "flow_state_expired"
                | "bad_code_verifier"
        );
        oauth || (self == Self::Supabase && supabase)
    }
}

/// What became of the token that was sent, by the answer alone.
#[allow(clippy::match_same_arms, reason = "each has its own reason, and the order counts")]
pub(super) fn outcome(
    dialect: Dialect,
    status: StatusCode,
    code: Option<&str>,
    retry_after: bool,
) -> Outcome {
    let refused_for_good = code.is_some_and(|code| dialect.is_final(code));
    match status.as_u16() {
        // GitHub refuses with 200. Anything else of this kind was a success that cannot be read.
        200..300 if refused_for_good => Outcome::Final,
        // "Send it there instead": nothing was done with it here (RFC 9110 §15.4.8).
        307 | 308 => Outcome::NotSpent,
        // Somebody on the way gave up waiting, for the request or for the answer.
        408 | 499 => Outcome::Unknown,
        // "Not now", whatever else it says.
        409 | 425 | 429 => Outcome::NotSpent,
        400..500 if refused_for_good => Outcome::Final,
        400..500 if code == Some("server_error") => Outcome::Unknown,
        400..500 => Outcome::NotSpent,
        // Said by a server that declines; without a time, also by a gateway that lost the answer of the one behind it.
        503 if retry_after => Outcome::NotSpent,
        _ => Outcome::Unknown,
    }
}

impl Answer {
    /// The tokens in it. `lifetime` is that of an access token of which the issuer says nothing.
    pub(super) fn tokens(&self, dialect: Dialect, lifetime: Duration) -> Result<TokenSet, ExchangeError> {
        let tokens = self.status.is_success().then(|| tokens(&self.body, lifetime)).flatten();
        tokens.ok_or_else(|| self.error(dialect))
    }

    /// The failure that it is.
    pub(super) fn error(&self, dialect: Dialect) -> ExchangeError {
        let code = self.code(dialect);
        let outcome = outcome(dialect, self.status, code.as_deref(), self.retry_after.is_some());
        let mut error = ExchangeError::new(outcome).with_status(self.status);
        if let Some(code) = &code {
            error = error.with_code(code);
        }
        match self.retry_after {
            Some(time) => error.with_retry_after(time),
            None => error,
        }
    }

    /// The issuer's own code.
    pub(super) fn code(&self, dialect: Dialect) -> Option<String> {
        code(dialect, &self.body)
    }
}

/// The error code of a body: `{"code": "…"}` or `{"code": 400, "error_code": "…"}` of Supabase Auth, `{"error": "…"}` of
/// RFC 6749 §5.2. Where an answer has several, that of the dialect counts: issuers put codes of their own beside `error`.
fn code(dialect: Dialect, body: &[u8]) -> Option<String> {
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

/// The tokens of a body (RFC 6749 §5.1), or `None` where it is not what a token endpoint answers. Whoever reads it
/// without care hands out what no header can carry.
fn tokens(body: &[u8], lifetime: Duration) -> Option<TokenSet> {
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

/// A JSON object, by its first character: serde would read an array as well, member by member.
fn object(body: &[u8]) -> Option<&str> {
    let text = str::from_utf8(body).ok()?.trim_ascii();
    text.starts_with('{').then_some(text)
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

/// A lifetime. Some issuers write it as text or with a fraction; what has passed is none, and what is too long to count
/// is very long.
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

/// `Retry-After`, in seconds or as a date (RFC 9110 §10.2.3). A date is held against that of the answer, where it has
/// one, since clocks differ; one that has passed means now.
pub(super) fn retry_after(
    value: &str,
    answered: Option<&str>,
    now: std::time::SystemTime,
) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse::<u32>().unwrap_or(u32::MAX).into()));
    }
    let then = httpdate::parse_http_date(value).ok()?;
    let now = answered.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    Some(then.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::SystemTime;

    const LIFETIME: Duration = Duration::from_secs(300);

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, retry_after: None, body: Zeroizing::new(body.as_bytes().to_vec()) }
    }

    #[test]
    fn outcomes_as_a_table() {
        use Dialect::{OAuth, Supabase};
        use Outcome::{Final, NotSpent, Unknown};
        let new = |code: &str| format!(r#"{{"code":"{code}","message":"No"}}"#);
        let old = |code: &str| format!(r#"{{"code":400,"error_code":"{code}","msg":"No"}}"#);
        let oauth = |code: &str| format!(r#"{{"error":"{code}","error_description":"No"}}"#);
        let html = "<html><title>502 Bad Gateway</title></html>";
        let mut table = vec![
            (Supabase, 403, new("user_banned"), Final),
            (Supabase, 400, oauth("invalid_client"), Final),
            (Supabase, 400, oauth("invalid_grant"), Final),
            (Supabase, 409, new("conflict"), NotSpent),
            (Supabase, 409, new("session_not_found"), NotSpent),
            (Supabase, 429, new("over_request_rate_limit"), NotSpent),
            (Supabase, 504, new("request_timeout"), Unknown),
            (Supabase, 500, new("unexpected_failure"), Unknown),
            (Supabase, 500, new("session_not_found"), Unknown),
            (Supabase, 502, html.to_owned(), Unknown),
            (Supabase, 503, html.to_owned(), Unknown),
            (Supabase, 522, html.to_owned(), Unknown),
            (Supabase, 401, r#"{"message":"No API key found in request"}"#.to_owned(), NotSpent),
            (Supabase, 400, new("something_new"), NotSpent),
            (Supabase, 403, html.to_owned(), NotSpent),
            (Supabase, 400, String::new(), NotSpent),
            (OAuth, 400, oauth("invalid_grant"), Final),
            (OAuth, 401, oauth("invalid_grant"), Final),
            (OAuth, 400, oauth("interaction_required"), Final),
            (OAuth, 400, oauth("invalid_request"), NotSpent),
            (OAuth, 401, oauth("invalid_client"), NotSpent),
            (OAuth, 400, oauth("unauthorized_client"), NotSpent),
            (OAuth, 400, oauth("temporarily_unavailable"), NotSpent),
            (OAuth, 400, oauth("server_error"), Unknown),
            (OAuth, 400, new("refresh_token_not_found"), NotSpent),
            (OAuth, 200, oauth("bad_refresh_token"), Final),
            (OAuth, 200, oauth("something_else"), Unknown),
            (OAuth, 408, html.to_owned(), Unknown),
            (OAuth, 499, String::new(), Unknown),
            (OAuth, 425, String::new(), NotSpent),
            (OAuth, 307, String::new(), NotSpent),
            (OAuth, 308, String::new(), NotSpent),
            (OAuth, 302, String::new(), Unknown),
            (OAuth, 303, String::new(), Unknown),
            (OAuth, 204, String::new(), Unknown),
            (OAuth, 200, html.to_owned(), Unknown),
            (OAuth, 200, "{}".to_owned(), Unknown),
            (OAuth, 200, r#"["a","bearer",1]"#.to_owned(), Unknown),
            (OAuth, 200, r#"{"access_token":"a","token_type":"DPoP"}"#.to_owned(), Unknown),
            (OAuth, 200, r#"{"access_token":"","token_type":"bearer"}"#.to_owned(), Unknown),
            (OAuth, 200, r#"{"access_token":"a\r\nb","token_type":"bearer"}"#.to_owned(), Unknown),
            (OAuth, 200, r#"{"access_token":"a","access_token":"b"}"#.to_owned(), Unknown),
            (OAuth, 200, r#"{"access_token":"a","expires_in":"soon"}"#.to_owned(), Unknown),
            (OAuth, 200, r#"{"access_token":"a","refresh_tok"#.to_owned(), Unknown),
        ];
        for code in [
            "validation_failed",
            "refresh_token_not_found",
            "refresh_token_already_used",
            "session_not_found",
            "session_expired",
            "user_banned",
        ] {
            table.extend([(Supabase, 400, new(code), Final), (Supabase, 400, old(code), Final)]);
        }
        for (dialect, status, body, expected) in table {
            let error = answer(status, &body).tokens(dialect, LIFETIME).expect_err(&body);
            assert_eq!(error.outcome(), expected, "{dialect:?} {status} {body}");
            assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
        }
    }

    #[test]
    fn who_names_a_time_has_declined() {
        let unavailable = |retry_after| Answer { retry_after, ..answer(503, "") };
        for (retry_after, outcome) in [(None, Outcome::Unknown), (Some(LIFETIME), Outcome::NotSpent)] {
            let error = unavailable(retry_after).error(Dialect::OAuth);
            assert_eq!((error.outcome(), error.retry_after()), (outcome, retry_after));
        }
        let late = Answer { retry_after: Some(LIFETIME), ..answer(504, "") };
        assert_eq!(late.error(Dialect::OAuth).outcome(), Outcome::Unknown, "it says when, not what happened");
    }

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

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:59:00 GMT").expect("a date");
        let table = [
            ("120", None, Some(120)),
            (" 7 ", None, Some(7)),
            ("99999999999", None, Some(u32::MAX)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", None, Some(59)),
            ("Fri, 31 Dec 1999 23:58:59 GMT", None, Some(0)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some("Fri, 31 Dec 1999 23:59:49 GMT"), Some(10)),
            ("-1", None, None),
            ("", None, None),
        ];
        for (text, answered, expected) in table {
            let expected = expected.map(|seconds| Duration::from_secs(seconds.into()));
            assert_eq!(retry_after(text, answered, now), expected, "{text:?} {answered:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics_or_is_printed(
            status in 200_u16..600,
            body in proptest::collection::vec(any::<u8>(), 0..80),
            member in "token_type|error|error_description|error_code|code|msg|expires_in|x",
            header in any::<String>(),
        ) {
            let status = StatusCode::from_u16(status).expect("a status");
            let given = format!(
                r#"{{"access_token":"Hunter-1","refresh_token":"Hunter-2","id_token":"Hunter-3","{member}":"Hunter 4"}}"#
            );
            let refused = format!(r#"{{"{member}":"Hunter 4"}}"#);
            for body in [body, given.into_bytes(), refused.into_bytes()] {
                let answer = Answer { status, retry_after: None, body: Zeroizing::new(body) };
                for dialect in [Dialect::OAuth, Dialect::Supabase] {
                    let printed = match answer.tokens(dialect, LIFETIME) {
                        Ok(tokens) => format!("{tokens:?}"),
                        Err(error) => format!("{error:?} {error}"),
                    };
                    prop_assert!(!printed.contains("Hunter"), "{}", printed);
                }
            }
            let _ = retry_after(&header, Some(&header), SystemTime::UNIX_EPOCH);
        }

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

        #[test]
        fn a_time_to_wait_is_what_was_meant(seconds: u64, now in 0..4_000_000_000_u64, wait in 0..10_000_000_u64, ahead in 0..200_u64) {
            let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let most = Duration::from_secs(u32::MAX.into());
            let read = retry_after(&seconds.to_string(), None, at(now));
            prop_assert_eq!(read, Some(Duration::from_secs(seconds).min(most)));
            let (date, answered) = (httpdate::fmt_http_date(at(now + wait)), httpdate::fmt_http_date(at(now)));
            prop_assert_eq!(retry_after(&date, None, at(now)), Some(Duration::from_secs(wait)));
            // However wrong the clock here is, that of the answer counts.
            let read = retry_after(&date, Some(&answered), at(now + ahead));
            prop_assert_eq!(read, Some(Duration::from_secs(wait)));
        }

        #[test]
        fn only_a_refusal_of_the_issuer_itself_is_final(
            status in 200_u16..600,
            body in proptest::option::of("[a-z_]{1,20}"),
            retry_after in any::<bool>(),
        ) {
            let status = StatusCode::from_u16(status).expect("a status");
            for dialect in [Dialect::OAuth, Dialect::Supabase] {
                prop_assert_ne!(outcome(dialect, status, body.as_deref(), retry_after), Outcome::Final);
            }
        }
    }
}
