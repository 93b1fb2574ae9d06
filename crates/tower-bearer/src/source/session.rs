//! The access token out of the session that `@supabase/ssr` keeps in cookies.

use super::{
    cookie::cookies,
    session_name::{Part, SessionName},
    session_text::{base64url_decoded, percent_decoded},
};
use crate::{error::Reason, jwt::Text};
use http::HeaderMap;
use serde::{
    Deserializer as _,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use std::{borrow::Cow, fmt, str};

/// More cookies of one session than a browser would send, so that none can make us search for long.
const MOST: usize = 32;

/// Gives every access token of a session of this name to `found`. A session that cannot be read is none, as
/// for the real client; and like that one we leave the chunks where there is a whole cookie, for a longer
/// session from before leaves some behind. But of a name that came twice, from two domain scopes, that one
/// takes the first: whoever can set one cookie more, as from a sibling host, would choose. What could be put
/// together in more than one way is refused here.
pub(super) fn access_tokens(
    name: &SessionName,
    headers: &HeaderMap,
    found: impl FnMut(String) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let mut parts = Vec::new();
    for cookie in cookies(headers) {
        // An empty value is a deleted cookie.
        if let Some(part) = name.part(cookie.name)
            && !cookie.value.is_empty()
        {
            if parts.len() == MOST {
                return Err(Reason::SeveralCredentials);
            }
            parts.push((part, cookie.value));
        }
    }
    if parts.iter().any(|(part, _)| *part == Part::Whole) {
        let wholes = parts.iter().filter(|(part, _)| *part == Part::Whole);
        return wholes.filter_map(|(_, value)| access_token(&[value])).try_for_each(found);
    }
    access_token(&chunks(&parts)?).map_or(Ok(()), found)
}

/// The chunks from `.0` until the first gap. Of two values for one number nobody can tell which belongs to the
/// others.
fn chunks<'a>(parts: &[(Part, &'a [u8])]) -> Result<Vec<&'a [u8]>, Reason> {
    let mut chunks = Vec::new();
    loop {
        let wanted = Part::Chunk(chunks.len());
        let mut values = parts.iter().filter(|(part, _)| *part == wanted).map(|(_, value)| *value);
        let Some(chunk) = values.next() else { return Ok(chunks) };
        if values.any(|other| other != chunk) {
            return Err(Reason::SeveralCredentials);
        }
        chunks.push(chunk);
    }
}

/// The access token of the session in these chunks. What was decoded on the way, refresh token and all, is
/// gone when this returns.
fn access_token(chunks: &[&[u8]]) -> Option<String> {
    let mut text = chunks.iter().map(|chunk| percent_decoded(chunk)).collect::<Vec<_>>().concat();
    if let Some(encoded) = text.strip_prefix(b"base64-") {
        text = base64url_decoded(encoded)?;
    }
    let mut json = serde_json::Deserializer::from_str(str::from_utf8(&text).ok()?);
    let token = json.deserialize_map(Session).ok()?;
    json.end().ok()?;
    Some(token.into_owned())
}

/// Reads `access_token` out of a JSON object, and skips all else: neither the refresh token nor the user is
/// looked at.
struct Session;

impl<'de> Visitor<'de> for Session {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut token = None;
        while let Some(Text(name)) = map.next_key()? {
            if name != "access_token" {
                map.next_value::<IgnoredAny>()?;
            } else if token.is_none() {
                let Text(value) = map.next_value()?;
                token = Some(value);
            } else {
                return Err(A::Error::duplicate_field("access_token"));
            }
        }
        token.ok_or_else(|| A::Error::missing_field("access_token"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD, Engine as _};
    use http::{HeaderValue, header::COOKIE};
    use proptest::prelude::*;
    use serde_json::json;

    /// What the tests call their session.
    const NAME: &str = "sb-abc-auth-token";

    /// A name for the case, the jar, and the tokens in it.
    type Row<'a> = (&'a str, Vec<(String, String)>, &'a [&'a str]);

    /// All tokens of a jar, in the order in which they are found.
    fn tokens(jar: &[(&str, &str)]) -> Result<Vec<String>, Reason> {
        let line = |(name, value): &(&str, &str)| {
            (COOKIE, HeaderValue::from_bytes(format!("{name}={value}").as_bytes()).expect("a value"))
        };
        let headers = jar.iter().map(line).collect::<HeaderMap>();
        let mut found = Vec::new();
        let name = SessionName::new(NAME).expect("a name");
        access_tokens(&name, &headers, |token| {
            found.push(token);
            Ok(())
        })?;
        Ok(found)
    }

    fn session(token: &str) -> String {
        json!({
            "access_token": token, "token_type": "bearer", "expires_in": 3600, "expires_at": 1, "refresh_token": "r",
            "user": { "id": "u", "access_token": "inner", "user_metadata": { "name": "Zoë 😀" } },
        })
        .to_string()
    }

    fn encoded(text: impl AsRef<[u8]>) -> String {
        format!("base64-{}", BASE64_URL_SAFE_NO_PAD.encode(text))
    }

    /// `encodeURIComponent`, as cookie serializers do to values.
    fn percent_encoded(text: &str) -> String {
        text.bytes().fold(String::new(), |encoded, byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => encoded + &char::from(byte).to_string(),
            byte if b"-_.!~*'()".contains(&byte) => encoded + &char::from(byte).to_string(),
            _ => format!("{encoded}%{byte:02X}"),
        })
    }

    /// Chunks as `@supabase/ssr` makes them: pieces of at most 3180 characters once they are percent-encoded,
    /// whole characters each; one that fits has no number.
    fn jar(value: &str) -> Vec<(String, String)> {
        const MOST: usize = 3180;
        if percent_encoded(value).len() <= MOST {
            return vec![(NAME.to_owned(), percent_encoded(value))];
        }
        let mut chunks = vec![String::new()];
        for character in value.chars() {
            let piece = percent_encoded(&character.to_string());
            if chunks.last().is_some_and(|chunk| chunk.len() + piece.len() > MOST) {
                chunks.push(String::new());
            }
            chunks.last_mut().expect("never empty").push_str(&piece);
        }
        chunks.into_iter().enumerate().map(|(n, chunk)| (format!("{NAME}.{n}"), chunk)).collect()
    }

    #[test]
    fn the_cookie_as_the_real_client_reads_it() {
        let (one, two) = (encoded(session("one")), encoded(session("two")));
        let (start, rest) = two.split_at(50);
        let (middle, end) = rest.split_at(50);
        let chunk = |number: &str| format!("{NAME}.{number}");
        let (c0, c1, c2) = (chunk("0"), chunk("1"), chunk("2"));
        let whole = |value: &str| vec![(NAME.to_owned(), value.to_owned())];
        let raw = session("one");
        let standard = |text: &str| format!("base64-{}", BASE64_STANDARD.encode(text));
        let foreign = standard(&json!({ "access_token": "one", "a": "\u{fff}\u{fff}>>>???" }).to_string());
        assert!(foreign.contains(['+', '/']), "the sample shows the difference");
        let spaced = format!("{}  \t{}", &one[..20], &one[20..]);
        let table: Vec<Row<'_>> = vec![
            ("nothing", vec![], &[]),
            ("whole", whole(&one), &["one"]),
            (
                "chunks",
                vec![(c0.clone(), start.into()), (c1.clone(), middle.into()), (c2.clone(), end.into())],
                &["two"],
            ),
            (
                "in another order",
                vec![(c2.clone(), end.into()), (c0.clone(), start.into()), (c1.clone(), middle.into())],
                &["two"],
            ),
            ("one chunk", vec![(c0.clone(), two.clone())], &["two"]),
            ("both: whole wins", vec![(c0.clone(), two.clone()), (NAME.into(), one.clone())], &["one"]),
            (
                "a deleted whole does not",
                vec![(NAME.into(), String::new()), (c0.clone(), two.clone())],
                &["two"],
            ),
            ("an undecodable whole does", vec![(NAME.into(), "x".into()), (c0.clone(), two.clone())], &[]),
            ("a stale extra chunk", vec![(c0.clone(), two.clone()), (c1.clone(), "AA*".into())], &[]),
            ("stale text at the end", vec![(c0.clone(), two.clone()), (c1.clone(), end.into())], &[]),
            (".0 missing", vec![(c1.clone(), two.clone())], &[]),
            ("a gap ends it", vec![(c0.clone(), two.clone()), (c2.clone(), "AA*".into())], &["two"]),
            (
                "an empty chunk is a gap",
                vec![(c0.clone(), two.clone()), (c1.clone(), String::new()), (c2.clone(), "AA*".into())],
                &["two"],
            ),
            ("not a number", vec![(chunk("00"), two.clone()), (chunk("0a"), two.clone())], &[]),
            ("raw JSON", whole(&raw), &["one"]),
            ("raw JSON, percent-encoded", whole(&percent_encoded(&raw)), &["one"]),
            ("base64url, percent-encoded", whole(&percent_encoded(&one)), &["one"]),
            ("encoded twice", whole(&percent_encoded(&percent_encoded(&raw))), &[]),
            ("a bad escape stands for itself", whole(r#"{"access_token":"one","a":"100%"}"#), &["one"]),
            ("quoted", whole(&format!("\"{one}\"")), &["one"]),
            ("padded", whole(&format!("base64-{}", BASE64_URL_SAFE.encode(format!("{raw} ")))), &["one"]),
            ("padding and spaces anywhere", whole(&spaced), &["one"]),
            ("the standard alphabet", whole(&foreign), &[]),
            ("the prefix of 0.6.0", whole(&one.replace("base64-", "base64l-a-")), &[]),
            ("only the prefix", whole("base64-"), &[]),
            ("not UTF-8", whole(&encoded(b"{\"access_token\":\"one\",\"a\":\"\xff\"}")), &[]),
            ("the array of auth-helpers", whole(&encoded(r#"["one","r",null,null,null]"#)), &[]),
            ("an array of one", whole(&encoded(r#"["one"]"#)), &[]),
            ("a string", whole(&encoded("\"one\"")), &[]),
            ("null", whole(&encoded("null")), &[]),
            ("no token", whole(&encoded(r#"{"refresh_token":"r"}"#)), &[]),
            ("no text", whole(&encoded(r#"{"access_token":null}"#)), &[]),
            ("a number", whole(&encoded(r#"{"access_token":1}"#)), &[]),
            ("twice", whole(&encoded(r#"{"access_token":"one","access_token":"one"}"#)), &[]),
            ("more behind it", whole(&encoded(format!("{raw}{raw}"))), &[]),
            ("cut off", whole(&encoded(&raw[..raw.len() - 1])), &[]),
            ("escapes", whole(&encoded(r#"{"\u0061ccess_token":"o\u006ee"}"#)), &["one"]),
            (
                "half a character elsewhere",
                whole(&encoded(r#"{"a":"\ud83d","access_token":"one"}"#)),
                &["one"],
            ),
            ("a verifier", vec![(format!("{NAME}-code-verifier"), one.clone())], &[]),
            ("another project", vec![("sb-xyz-auth-token".into(), one.clone())], &[]),
            ("two scopes", vec![(NAME.into(), one.clone()), (NAME.into(), two.clone())], &["one", "two"]),
            (
                "two scopes, one undecodable",
                vec![(NAME.into(), "x".into()), (NAME.into(), two.clone())],
                &["two"],
            ),
            (
                "the same chunks at two scopes",
                vec![
                    (c0.clone(), start.into()),
                    (c1.clone(), format!("{middle}{end}")),
                    (c0.clone(), start.into()),
                    (c1.clone(), format!("{middle}{end}")),
                ],
                &["two"],
            ),
            (
                "behind a gap nothing is looked at",
                vec![(c0.clone(), two.clone()), (c2.clone(), start.into()), (c2.clone(), end.into())],
                &["two"],
            ),
        ];
        for (name, jar, expected) in table {
            let jar: Vec<_> = jar.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(tokens(&jar).expect("few enough"), expected, "{name}");
        }
    }

    #[test]
    fn chunks_that_could_be_put_together_in_two_ways_are_refused() {
        let (one, two) = (encoded(session("one")), encoded(session("two")));
        let (start, end) = two.split_at(50);
        let (c0, c1) = (&*format!("{NAME}.0"), &*format!("{NAME}.1"));
        for (name, jar) in [
            ("two beginnings", vec![(c0, start), (c1, end), (c0, &one[..50])]),
            ("the other one first", vec![(c0, &one[..50]), (c0, start), (c1, end)]),
            ("two ends", vec![(c0, start), (c1, end), (c1, "x")]),
            ("two sessions", vec![(c0, start), (c1, end), (c0, &one[..9]), (c1, &one[9..])]),
        ] {
            assert_eq!(tokens(&jar), Err(Reason::SeveralCredentials), "{name}");
        }
    }

    #[test]
    fn a_jar_with_more_parts_than_a_browser_sends_is_refused() {
        let one = encoded(session("one"));
        let jar = vec![(NAME, &*one); MOST];
        assert_eq!(tokens(&jar).map(|tokens| tokens.len()), Ok(MOST));
        let jar = vec![(NAME, &*one); MOST + 1];
        assert_eq!(tokens(&jar), Err(Reason::SeveralCredentials));
    }

    proptest! {
        #[test]
        fn what_the_client_writes_is_read_again(
            token in "[A-Za-z0-9._-]{1,40}",
            filler in proptest::collection::vec(any::<char>(), 0..3000),
            encode in any::<bool>(),
        ) {
            let filler: String = filler.into_iter().collect();
            let session = json!({ "user": filler, "access_token": token, "refresh_token": "r" }).to_string();
            let jar = jar(&if encode { encoded(session) } else { session });
            let jar: Vec<_> = jar.iter().map(|(name, value)| (&**name, &**value)).collect();
            prop_assert_eq!(tokens(&jar), Ok(vec![token]));
        }

        #[test]
        fn no_cookie_makes_it_panic(values in proptest::collection::vec("(base64-)?[ -:<-~]{0,40}", 0..5)) {
            let names: Vec<_> = (0..5).map(|number| format!("{NAME}.{number}")).collect();
            let jar: Vec<_> = names.iter().zip(&values).map(|(name, value)| (&**name, &**value)).collect();
            prop_assert!(tokens(&jar).is_ok());
            prop_assert!(tokens(&values.iter().map(|value| (NAME, &**value)).collect::<Vec<_>>()).is_ok());
        }
    }
}
