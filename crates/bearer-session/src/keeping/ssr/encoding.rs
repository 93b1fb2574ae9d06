//! Text as it stands in cookies.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use std::borrow::Cow;
use tower_bearer::supabase::cookies::base64url_decoded;

/// The most that one cookie holds, in characters once they are percent-encoded.
const MOST: usize = 3180;

const PREFIX: &str = "base64-";

/// As most sessions are written.
pub(super) fn base64url_encoded(text: &str) -> String {
    let mut encoded = PREFIX.to_owned();
    URL_SAFE_NO_PAD.encode_string(text, &mut encoded);
    encoded
}

/// Undoes [`base64url_encoded`]; a value without the prefix is what it is.
pub(super) fn decoded(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    match value.strip_prefix(PREFIX.as_bytes()) {
        None => Some(Cow::Borrowed(value)),
        Some(encoded) => base64url_decoded(encoded).map(Cow::Owned),
    }
}

/// Cuts a value into cookies: one without a number if it fits, else as many whole characters as fit into
/// each.
pub(super) fn chunks(value: &str) -> Vec<(Option<usize>, &str)> {
    let (mut chunks, mut start, mut length) = (Vec::new(), 0, 0);
    for (at, character) in value.char_indices() {
        let more = encoded_length(character);
        if length + more > MOST {
            chunks.push((Some(chunks.len()), &value[start..at]));
            (start, length) = (at, 0);
        }
        length += more;
    }
    let number = (!chunks.is_empty()).then_some(chunks.len());
    chunks.push((number, &value[start..]));
    chunks
}

fn encoded_length(character: char) -> usize {
    encode_uri_component(character.encode_utf8(&mut [0; 4])).map(str::len).sum()
}

/// What `encodeURIComponent` of JavaScript leaves alone.
const LITERAL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// As cookie serializers write values.
pub(super) fn encode_uri_component(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, LITERAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tower_bearer::supabase::cookies::percent_decoded;

    #[test]
    fn a_value_is_cut_where_it_is_full() {
        let lengths = |value: &str| -> Vec<_> {
            chunks(value)
                .into_iter()
                .map(|(number, part)| (number, encode_uri_component(part).to_string().len()))
                .collect()
        };
        assert_eq!(lengths(""), [(None, 0)]);
        assert_eq!(lengths(&"a".repeat(MOST)), [(None, MOST)]);
        assert_eq!(lengths(&"a".repeat(MOST + 1)), [(Some(0), MOST), (Some(1), 1)]);
        assert_eq!(lengths(&"\"".repeat(MOST / 3 + 1)), [(Some(0), MOST), (Some(1), 3)]);
        // A character of twelve does not fit behind 3169 others.
        let crab = format!("{}🦀", "a".repeat(3169));
        assert_eq!(lengths(&crab), [(Some(0), 3169), (Some(1), 12)]);
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(text in any::<String>()) {
            let percent = encode_uri_component(&text).to_string();
            prop_assert!(percent.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!~*'()%".contains(&byte)));
            prop_assert_eq!(&*percent_decoded(percent.as_bytes()), text.as_bytes());
            let base64 = base64url_encoded(&text);
            let decoded = decoded(base64.as_bytes());
            prop_assert_eq!(decoded.as_deref(), Some(text.as_bytes()));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = percent_decoded(&bytes);
            let _ = decoded(&[PREFIX.as_bytes(), &bytes].concat());
        }

        #[test]
        fn chunks_are_the_whole_in_pieces(characters in proptest::collection::vec(any::<char>(), 0..3000)) {
            let value: String = characters.into_iter().collect();
            let chunks = chunks(&value);
            prop_assert_eq!(chunks.iter().map(|(_, part)| *part).collect::<String>(), &*value);
            prop_assert!(chunks.iter().all(|(_, part)| encode_uri_component(part).to_string().len() <= MOST));
        }
    }
}
