//! [`TokenSet::from_response`]: the tokens in the body of a success (RFC 6749 §5.1).

use crate::{AccessToken, RefreshToken, Secret, TokenSet};
use serde::{Deserialize, Deserializer, de::Visitor};
use std::{
    borrow::Cow,
    error::Error,
    fmt,
    time::{Duration, SystemTime},
};

/// The longest body, in bytes. A session with much said of its user has some kilobytes.
pub(crate) const MOST_BYTES: usize = 256 * 1024;

/// How long an access token lives of which the issuer does not say.
pub(crate) const UNLESS_TOLD: Duration = Duration::from_secs(300);

/// A body is not what a token endpoint answers. It says in what way, and shows nothing of the body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidTokenResponse(Flaw);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flaw {
    TooLong,
    NoObject,
    Member,
    NoAccessToken,
    AccessToken,
    TokenType,
}

impl TokenSet {
    /// Reads the body of an issuer's answer that the application has got by itself, a JSON object as RFC 6749
    /// §5.1 has it: of a sign-up, a one-time code, a new password. For [`Sessions::create`],
    /// [`Sessions::replace`] and [`Keeping::begin`].
    ///
    /// `received` is when it came: what has passed of `expires_in` (in seconds) since then is taken off. Where
    /// the issuer does not say, the access token lives for 5 minutes. A member that is no part of a token
    /// response, such as the `user` of Supabase Auth, stays in [`document`](Self::document).
    ///
    /// Give it what came straight from the issuer, over TLS, with a status of success, and nothing that a
    /// browser brought: the tokens are taken for good. Nothing in them is verified, the ID token included.
    ///
    /// ```
    /// use bearer_session::{Keyring, Sessions, TokenSet, endpoint::OnBehalf, store::MemoryStore};
    /// # use bearer_session::endpoint::SupabaseEndpoint;
    /// use std::time::SystemTime;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let endpoint = SupabaseEndpoint::new("https://abc.supabase.co", "sb_publishable_1")?;
    /// let sessions = Sessions::builder(endpoint, MemoryStore::new(10_000), Keyring::random()).build();
    /// // Supabase's answer to `POST /auth/v1/signup`.
    /// let body = br#"{"access_token":"a.b.c","token_type":"bearer","expires_in":3600,"refresh_token":"r","user":{}}"#;
    /// let session = sessions.create(TokenSet::from_response(body, SystemTime::now())?).await?;
    /// assert_eq!(sessions.access(&session, OnBehalf::default()).await?.token().expose(), "a.b.c");
    ///
    /// // The same where the e-mail address is to be confirmed first: the user, and no tokens.
    /// let user = br#"{"id":"2f0d","email":"ada@example.com","confirmation_sent_at":"2026-01-01T00:00:00Z"}"#;
    /// let refused = TokenSet::from_response(user, SystemTime::now()).unwrap_err();
    /// assert_eq!(refused.to_string(), "the token response has no access_token");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the body is longer than 256 KiB or no JSON object; when a member of a token response is of another
    /// type or there twice; when there is no `access_token`, or one that no `Authorization` header can carry;
    /// when `token_type` is another than `Bearer` (RFC 6749 §7.1).
    ///
    /// [`Sessions::create`]: crate::Sessions::create
    /// [`Sessions::replace`]: crate::Sessions::replace
    /// [`Keeping::begin`]: crate::keeping::Keeping::begin
    pub fn from_response(body: &[u8], received: SystemTime) -> Result<Self, InvalidTokenResponse> {
        let mut tokens = read(body, UNLESS_TOLD)?;
        // Of a time to come, nothing has passed.
        let passed = SystemTime::now().duration_since(received).unwrap_or_default();
        tokens.expires_in = tokens.expires_in.saturating_sub(passed);
        Ok(tokens)
    }
}

/// The tokens of a body. `lifetime` is that of an access token of which the issuer says nothing. Whoever reads
/// it without care hands out what no header can carry.
pub(crate) fn read(body: &[u8], lifetime: Duration) -> Result<TokenSet, InvalidTokenResponse> {
    #[derive(Deserialize)]
    struct Success<'a> {
        #[serde(borrow, default)]
        access_token: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        token_type: Option<Cow<'a, str>>,
        #[serde(default)]
        expires_in: Option<Seconds>,
        #[serde(borrow, default)]
        refresh_token: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        id_token: Option<Cow<'a, str>>,
    }
    let invalid = |flaw| move || InvalidTokenResponse(flaw);
    if body.len() > MOST_BYTES {
        return Err(InvalidTokenResponse(Flaw::TooLong));
    }
    let body = object(body).ok_or_else(invalid(Flaw::NoObject))?;
    let success: Success<'_> = serde_json::from_str(body)
        .map_err(|error| InvalidTokenResponse(if error.is_data() { Flaw::Member } else { Flaw::NoObject }))?;
    let access_token = success.access_token.ok_or_else(invalid(Flaw::NoAccessToken))?;
    // A token that is no bearer token must not be used as one (RFC 6749 §7.1). Some issuers say nothing.
    if success.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(InvalidTokenResponse(Flaw::TokenType));
    }
    if access_token.is_empty() || !access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(InvalidTokenResponse(Flaw::AccessToken));
    }
    let expires_in =
        success.expires_in.map_or(lifetime, |Seconds(seconds)| Duration::from_secs(seconds.into()));
    let mut tokens = TokenSet::new(AccessToken::new(access_token), expires_in);
    // An empty one is none.
    tokens.refresh_token = success.refresh_token.filter(|token| !token.is_empty()).map(RefreshToken::new);
    tokens.id_token = success.id_token.filter(|token| !token.is_empty()).map(Secret::new);
    tokens.document = Some(Secret::new(body));
    Ok(tokens)
}

/// A JSON object, by its first character: serde would read an array as well, member by member.
pub(crate) fn object(body: &[u8]) -> Option<&str> {
    let text = str::from_utf8(body).ok()?.trim_ascii();
    text.starts_with('{').then_some(text)
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

impl fmt::Display for InvalidTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Flaw::TooLong => "the token response is longer than 256 KiB",
            Flaw::NoObject => "the token response is no JSON object",
            Flaw::Member => "the token response has a member of another type, or twice",
            Flaw::NoAccessToken => "the token response has no access_token",
            Flaw::AccessToken => "the access_token is empty, or has other characters than a header can carry",
            Flaw::TokenType => "the token_type is another than Bearer",
        })
    }
}

impl Error for InvalidTokenResponse {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIFETIME: Duration = Duration::from_secs(300);

    #[test]
    fn tokens_of_a_good_answer() {
        let body = r#" {"token_type":"Bearer","access_token":"a.b","expires_in":60,"refresh_token":"r","id_token":"i","user":{"id":1}} "#;
        let tokens = read(body.as_bytes(), LIFETIME).expect("tokens");
        assert_eq!(tokens.access_token.expose(), "a.b");
        assert_eq!(tokens.refresh_token.as_ref().map(RefreshToken::expose), Some("r"));
        assert_eq!(tokens.id_token.as_ref().map(Secret::expose), Some("i"));
        assert_eq!(tokens.document.as_ref().map(Secret::expose), Some(body.trim()));
        assert_eq!(tokens.expires_in.as_secs(), 60);
    }

    #[test]
    fn what_is_no_token_response_is_refused_with_a_reason_that_shows_nothing_of_it() {
        for (body, expected) in [
            (r#"{"access_token":"hunter","token_type":"BEARER"}"#, None),
            (r#"{"access_token":"hunter"}"#, None),
            ("", Some(Flaw::NoObject)),
            ("access_token=hunter&token_type=bearer", Some(Flaw::NoObject)),
            (r#"["hunter","bearer"]"#, Some(Flaw::NoObject)),
            (r#"{"access_token":"hunter""#, Some(Flaw::NoObject)),
            (r#"{"access_token":"hunter"} {}"#, Some(Flaw::NoObject)),
            (r#"{"access_token":["hunter"]}"#, Some(Flaw::Member)),
            (r#"{"access_token":"hunter","access_token":"b"}"#, Some(Flaw::Member)),
            (r#"{"access_token":"hunter","expires_in":"hunter"}"#, Some(Flaw::Member)),
            (r#"{"error":"hunter"}"#, Some(Flaw::NoAccessToken)),
            (r#"{"access_token":null,"user":"hunter"}"#, Some(Flaw::NoAccessToken)),
            (r#"{"access_token":""}"#, Some(Flaw::AccessToken)),
            (r#"{"access_token":"hunter\r\nX: 1"}"#, Some(Flaw::AccessToken)),
            (r#"{"access_token":"hünter"}"#, Some(Flaw::AccessToken)),
            (r#"{"access_token":"hunter","token_type":"DPoP"}"#, Some(Flaw::TokenType)),
        ] {
            let read = TokenSet::from_response(body.as_bytes(), SystemTime::now());
            assert_eq!(read.as_ref().err().copied(), expected.map(InvalidTokenResponse), "{body}");
            let printed = format!("{read:?} {:?}", read.as_ref().map_err(ToString::to_string));
            assert!(!printed.contains("hunter"), "{printed}");
        }
        for (length, expected) in [(MOST_BYTES, None), (MOST_BYTES + 1, Some(Flaw::TooLong))] {
            let mut body = br#"{"access_token":"hunter"}"#.to_vec();
            body.resize(length, b' ');
            let read = TokenSet::from_response(&body, SystemTime::now());
            assert_eq!(read.err(), expected.map(InvalidTokenResponse), "{length}");
        }
    }

    #[test]
    fn what_has_passed_since_it_came_is_taken_off() {
        let body = br#"{"access_token":"a","expires_in":3600}"#;
        let now = SystemTime::now();
        let hour = Duration::from_secs(3600);
        for (received, most) in [
            (now, 3600),
            (now + hour, 3600),
            (now - Duration::from_secs(600), 3000),
            (now - 2 * hour, 0),
            (SystemTime::UNIX_EPOCH, 0),
        ] {
            let left = TokenSet::from_response(body, received).unwrap().expires_in;
            let most = Duration::from_secs(most);
            assert!(left <= most && left + Duration::from_secs(60) > most, "{left:?} {most:?}");
        }
        let untold = TokenSet::from_response(br#"{"access_token":"a"}"#, now + hour).unwrap();
        assert_eq!(untold.expires_in, UNLESS_TOLD);
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
            let tokens = read(body.as_bytes(), LIFETIME).expect(expires_in);
            assert_eq!(tokens.expires_in, Duration::from_secs(expected.into()), "{expires_in}");
            assert_eq!(tokens.refresh_token, None);
        }
    }

    proptest! {
        #[test]
        fn what_is_read_as_tokens_can_be_used_as_such(
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
            if let Ok(tokens) = TokenSet::from_response(body.as_bytes(), SystemTime::now()) {
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
        fn no_body_panics(body: Vec<u8>, json in "\\{\"access_token\":[\"a-z{}\\[\\]:,0-9]{0,20}\\}") {
            for body in [&body, json.as_bytes()] {
                if let Ok(tokens) = TokenSet::from_response(body, SystemTime::now()) {
                    prop_assert!(tokens.access_token.expose().bytes().all(|byte| byte.is_ascii_graphic()));
                }
            }
        }
    }
}
