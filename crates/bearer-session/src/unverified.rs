//! What a token says of itself, before anybody has verified it: for labels, and for what a verifier is asked
//! next.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::de::DeserializeOwned;

/// The claims of a JWT, of three segments and with a JSON object in the middle one; `None` for anything else.
pub(crate) fn claims<C: DeserializeOwned>(token: &str) -> Option<C> {
    serde_json::from_slice(&payload(token)?).ok()
}

/// The middle segment of three, if it looks like a JSON object.
pub(crate) fn payload(token: &str) -> Option<Vec<u8>> {
    let mut segments = token.split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return None;
    };
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    // serde would read an array as well, member by member.
    payload.trim_ascii_start().starts_with(b"{").then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Sub {
        sub: String,
    }

    #[test]
    fn only_three_segments_with_an_object_in_the_middle_say_anything() {
        let of = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let (object, array) = (of(r#" {"sub":"u"}"#), of(r#"["u"]"#));
        for (token, expected) in [
            (format!("e30.{object}.c2ln"), Some("u")),
            (format!("e30.{object}."), Some("u")),
            (format!("e30.{object}"), None),
            (format!("e30.{object}.c2ln.x"), None),
            (format!("e30.{object}=.c2ln"), None),
            (format!("e30.{array}.c2ln"), None),
            (format!("e30.{}.c2ln", of(r#"{"sub":1}"#)), None),
            (format!("e30.{}.c2ln", of("no JSON")), None),
            ("opaque".to_owned(), None),
        ] {
            assert_eq!(claims::<Sub>(&token).map(|claims| claims.sub).as_deref(), expected, "{token}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~é]{0,60}") {
            let _ = claims::<Sub>(&text);
            let _ = claims::<Sub>(&format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(&text)));
        }
    }
}
