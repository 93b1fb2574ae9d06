//! A session as JSON: how auth-js writes it, and what is read of it.

use super::encoding::decoded;
use crate::{AccessToken, RefreshToken, Secret, TokenSet};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    str::Chars,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A session that a browser sent. Nobody has checked anything of it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SsrSession {
    /// For the API, if it verifies.
    pub access_token: AccessToken,
    /// For the next refresh. `None` when it is empty.
    pub refresh_token: Option<RefreshToken>,
    /// When the access token expires, by what the cookie says, in seconds since 1970. `None` when it does
    /// not.
    pub expires_at: Option<u64>,
    /// The whole session, a JSON object.
    pub document: Secret,
}

impl SsrSession {
    /// What auth-js takes for a session: an object with the two tokens and `expires_at`.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Session<'a> {
            #[serde(borrow)]
            access_token: Cow<'a, str>,
            #[serde(borrow)]
            refresh_token: Cow<'a, str>,
            #[serde(borrow)]
            expires_at: &'a RawValue,
        }
        let text = decoded(value)?;
        let text = str::from_utf8(&text).ok()?.trim_ascii();
        // serde would read an array as well, member by member.
        if !text.starts_with('{') {
            return None;
        }
        let session: Session<'_> = serde_json::from_str(text).ok()?;
        let refresh_token =
            (!session.refresh_token.is_empty()).then(|| RefreshToken::new(session.refresh_token));
        Some(Self {
            access_token: AccessToken::new(session.access_token),
            refresh_token,
            expires_at: session.expires_at.get().parse().ok(),
            document: Secret::new(text),
        })
    }

    /// The same as an issuer's answer, at this time. An access token that does not say when it expires has
    /// expired.
    pub fn tokens(&self, now: SystemTime) -> TokenSet {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let expires_at = Duration::from_secs(self.expires_at.unwrap_or_default());
        let mut tokens = TokenSet::new(self.access_token.clone(), expires_at.saturating_sub(now));
        tokens.refresh_token.clone_from(&self.refresh_token);
        tokens.document = Some(self.document.clone());
        tokens
    }
}

/// `JSON.stringify` of the session that auth-js makes of an issuer's answer: all its members in their order,
/// with `expires_at` at the end, if it is not there. The tokens are those of the set, whatever the answer
/// was.
pub(super) fn document(tokens: &TokenSet, now: SystemTime, has_user: bool) -> String {
    let answer = tokens.document.as_ref().map_or("{}", Secret::expose);
    // What is no object has no members.
    let members = serde_json::from_str(answer).map_or_else(|_| Vec::new(), |Members(members)| members);
    let refresh_token = tokens.refresh_token.as_ref().map_or("", RefreshToken::expose);
    let mut object = Object::default();
    let mut wanted = [
        ("access_token", text(tokens.access_token.expose())),
        ("token_type", text("bearer")),
        ("expires_in", tokens.expires_in.as_secs().to_string()),
        ("refresh_token", text(refresh_token)),
        ("expires_at", expires_at(tokens.expires_in, now)),
    ]
    .map(Some);
    for (name, value) in &members {
        let ours = wanted.iter_mut().find(|wanted| wanted.as_ref().is_some_and(|(wanted, _)| wanted == name));
        let ours = ours.and_then(Option::take);
        match (&**name, ours) {
            ("user", _) if !has_user => {}
            ("access_token" | "refresh_token", Some((_, ours))) => object.push(name, &ours),
            // Of no use, as in JavaScript.
            ("expires_at", Some((_, ours))) if matches!(value.get(), "null" | "0") => {
                object.push(name, &ours);
            }
            _ => object.push(name, &stringified(value.get())),
        }
    }
    for (name, value) in wanted.into_iter().flatten() {
        object.push(name, &value);
    }
    object.close()
}

/// As auth-js computes it: seconds since 1970, rounded.
fn expires_at(expires_in: Duration, now: SystemTime) -> String {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default() + Duration::from_millis(500);
    now.as_secs().saturating_add(expires_in.as_secs()).to_string()
}

/// A JSON string.
fn text(text: &str) -> String {
    let mut json = String::from('"');
    text.chars().for_each(|character| push_escaped(&mut json, character));
    json.push('"');
    json
}

/// A JSON object being written.
#[derive(Default)]
struct Object(String);

impl Object {
    fn push(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&text(name));
        self.0.push(':');
        self.0.push_str(value);
    }

    fn close(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// The members of an object in their order, each value as it was written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// Valid JSON as `JSON.stringify` writes it: without white space, and with no escapes but those that must be.
/// Numbers stay as they are.
fn stringified(json: &str) -> String {
    let mut written = String::with_capacity(json.len());
    let mut rest = json.chars();
    let mut is_text = false;
    while let Some(character) = rest.next() {
        match character {
            '"' => {
                is_text = !is_text;
                written.push('"');
            }
            '\\' if is_text => unescape(&mut written, &mut rest),
            ' ' | '\t' | '\n' | '\r' if !is_text => {}
            _ => written.push(character),
        }
    }
    written
}

/// What follows a backslash, in the escape of JavaScript's choice or none.
fn unescape(written: &mut String, rest: &mut Chars<'_>) {
    let character = match rest.next() {
        Some('u') => {
            let unit = code_unit(rest);
            let Some(character) = whole(&[unit]).or_else(|| other_half(unit, rest)) else {
                // Half a character. Writing to a string cannot fail.
                let _ = write!(written, "\\u{unit:04x}");
                return;
            };
            character
        }
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some(character) => character,
        None => return,
    };
    push_escaped(written, character);
}

/// The character that this half of one is with the half that follows, if one follows.
fn other_half(unit: u16, rest: &mut Chars<'_>) -> Option<char> {
    let mut ahead = rest.clone();
    let is_escape = ahead.next() == Some('\\') && ahead.next() == Some('u');
    let character = is_escape.then(|| whole(&[unit, code_unit(&mut ahead)])).flatten()?;
    *rest = ahead;
    Some(character)
}

/// The one character in these units.
fn whole(units: &[u16]) -> Option<char> {
    char::decode_utf16(units.iter().copied()).next()?.ok()
}

/// Four hexadecimal digits.
fn code_unit(rest: &mut Chars<'_>) -> u16 {
    let digits = rest.by_ref().take(4).filter_map(|digit| digit.to_digit(16));
    u16::try_from(digits.fold(0, |unit, digit| unit << 4 | digit)).unwrap_or_default()
}

fn push_escaped(written: &mut String, character: char) {
    match character {
        '"' => written.push_str("\\\""),
        '\\' => written.push_str("\\\\"),
        '\u{8}' => written.push_str("\\b"),
        '\u{c}' => written.push_str("\\f"),
        '\n' => written.push_str("\\n"),
        '\r' => written.push_str("\\r"),
        '\t' => written.push_str("\\t"),
        '\0'..='\x1F' => {
            // As above.
            let _ = write!(written, "\\u{:04x}", u32::from(character));
        }
        _ => written.push(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const NOW: Duration = Duration::from_millis(1_000_500);

    fn tokens(answer: Option<&str>) -> TokenSet {
        let mut tokens = TokenSet::new(AccessToken::new("a"), Duration::from_secs(60));
        tokens.refresh_token = Some(RefreshToken::new("r"));
        tokens.document = answer.map(Secret::new);
        tokens
    }

    #[test]
    fn an_answer_becomes_a_session_as_in_auth_js() {
        for (answer, expected) in [
            (
                None,
                r#"{"access_token":"a","token_type":"bearer","expires_in":60,"refresh_token":"r","expires_at":1061}"#,
            ),
            (
                Some(
                    r#"{"access_token":"a","token_type":"bearer","expires_in":60,"expires_at":7,"refresh_token":"r","user":{"id":"u"}}"#,
                ),
                r#"{"access_token":"a","token_type":"bearer","expires_in":60,"expires_at":7,"refresh_token":"r","user":{"id":"u"}}"#,
            ),
            (
                Some(
                    r#" { "user" : { "n" : [ 1, 2.50 ] }, "access_token" : "a", "refresh_token":"r" , "expires_in":60,"token_type":"bearer" } "#,
                ),
                r#"{"user":{"n":[1,2.50]},"access_token":"a","refresh_token":"r","expires_in":60,"token_type":"bearer","expires_at":1061}"#,
            ),
            (
                Some(
                    r#"{"expires_at":null,"access_token":"old","refresh_token":"old","expires_in":60,"token_type":"bearer"}"#,
                ),
                r#"{"expires_at":1061,"access_token":"a","refresh_token":"r","expires_in":60,"token_type":"bearer"}"#,
            ),
        ] {
            assert_eq!(document(&tokens(answer), UNIX_EPOCH + NOW, true), expected);
        }
        let with_user = r#"{"access_token":"a","token_type":"bearer","user":{},"expires_in":60,"expires_at":7,"refresh_token":"r"}"#;
        assert_eq!(
            document(&tokens(Some(with_user)), UNIX_EPOCH, false),
            r#"{"access_token":"a","token_type":"bearer","expires_in":60,"expires_at":7,"refresh_token":"r"}"#
        );
    }

    #[test]
    fn text_is_escaped_as_in_javascript() {
        for (json, expected) in [
            (r#""\u003cb\u003e \u0026 \/""#, r#""<b> & /""#),
            (r#""\u0041\u00e9\u674e\ud83e\udd80""#, "\"Aé李🦀\""),
            (r#""\ud83e x \udd80\ud83e\u0041""#, r#""\ud83e x \udd80\ud83eA""#),
            (r#""\uD83E""#, r#""\ud83e""#),
            (
                r#""\u0008\u000c\u000a\u000d\u0009\u0000\u001f\u007f""#,
                "\"\\b\\f\\n\\r\\t\\u0000\\u001f\u{7f}\"",
            ),
            (r#""\\\" \\n \u005c\u0022""#, r#""\\\" \\n \\\"""#),
            ("\"\u{2028} a  b\"", "\"\u{2028} a  b\""),
            (r#"{ "a" : [ 1 , -2.5e+21 , true , null ] }"#, r#"{"a":[1,-2.5e+21,true,null]}"#),
        ] {
            assert_eq!(stringified(json), expected, "{json}");
        }
    }

    #[test]
    fn a_session_has_both_tokens_and_a_time() {
        let good =
            json!({ "access_token": "a", "refresh_token": "r", "expires_at": 1060, "user": { "id": 1 } });
        let session = SsrSession::read(good.to_string().as_bytes()).expect("a session");
        assert_eq!(
            (session.expires_at, session.refresh_token.as_ref().map(RefreshToken::expose)),
            (Some(1060), Some("r"))
        );
        let tokens = session.tokens(UNIX_EPOCH + Duration::from_secs(1000));
        assert_eq!(tokens.expires_in, Duration::from_secs(60));
        assert_eq!(session.tokens(UNIX_EPOCH + Duration::from_secs(2000)).expires_in, Duration::ZERO);
        assert_eq!(
            document(&tokens, UNIX_EPOCH, true).len(),
            good.to_string().len() + r#","expires_in":60,"token_type":"bearer""#.len()
        );
        for name in ["access_token", "refresh_token", "expires_at"] {
            let mut bad = good.clone();
            bad.as_object_mut().expect("an object").remove(name);
            assert_eq!(SsrSession::read(bad.to_string().as_bytes()), None, "{name}");
        }
        let empty = SsrSession::read(br#"{"access_token":"a","refresh_token":"","expires_at":null}"#);
        let empty = empty.expect("a session");
        assert_eq!((empty.refresh_token.clone(), empty.expires_at), (None, None));
        assert_eq!(empty.tokens(UNIX_EPOCH + NOW).expires_in, Duration::ZERO);
    }

    #[test]
    fn nothing_of_it_is_printed() {
        let session =
            SsrSession::read(br#"{"access_token":"hunter2","refresh_token":"hunter3","expires_at":1}"#);
        assert!(!format!("{session:?}").contains("hunter"));
    }

    proptest! {
        #[test]
        fn no_value_panics(value in proptest::collection::vec(any::<u8>(), 0..80), text in "[\\\\u\"{}:,a-f0-9 ]{0,40}") {
            let _ = SsrSession::read(&value);
            let _ = stringified(&text);
            let _ = document(&tokens(Some(&text)), UNIX_EPOCH, true);
        }

        #[test]
        fn stringified_json_is_the_same_json(name in any::<String>(), value in any::<String>(), number in any::<i64>()) {
            let value: Value = json!({ name: [value, number, null] });
            for written in [value.to_string(), serde_json::to_string_pretty(&value).expect("JSON")] {
                prop_assert_eq!(stringified(&written), value.to_string());
            }
        }
    }
}
