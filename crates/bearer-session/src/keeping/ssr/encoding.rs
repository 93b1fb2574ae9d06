//! Text as it stands in cookies.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use std::borrow::Cow;

/// The most that one cookie holds, in characters once they are percent-encoded.
const MOST: usize = 3180;

const PREFIX: &str = "base64-";

/// As most sessions are written.
pub(super) fn base64url_encoded(text: &str) -> String {
    let mut encoded = PREFIX.to_owned();
    BASE64_URL_SAFE_NO_PAD.encode_string(text, &mut encoded);
    encoded
}

/// Undoes [`base64url_encoded`]; a value without the prefix is what it is.
pub(super) fn decoded(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    match value.strip_prefix(PREFIX.as_bytes()) {
        None => Some(Cow::Borrowed(value)),
        Some(encoded) => base64url_decoded(encoded).map(Cow::Owned),
    }
}

/// base64url as Supabase's own decoder reads it: white space and `=` are skipped wherever they stand, any other
/// foreign byte is an error, and bits that are left over are dropped.
fn base64url_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut queue, mut bits) = (0_u32, 0);
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            b' ' | b'\t' | b'\n' | b'\r' | b'=' => continue,
            _ => return None,
        };
        queue = queue << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            // The mask makes it a byte.
            decoded.push(u8::try_from(queue >> bits & 0xFF).ok()?);
        }
    }
    Some(decoded)
}

/// Cuts a value into cookies: one without a number if it fits, else as many whole characters as fit into each.
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
    match u8::try_from(character) {
        Ok(byte) if is_literal(byte) => 1,
        _ => 3 * character.len_utf8(),
    }
}

/// What `encodeURIComponent` leaves alone.
fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte)
}

/// `encodeURIComponent`, as cookie serializers do to values.
pub(super) fn percent_encoded(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_literal(byte) {
            encoded.push(char::from(byte));
        } else {
            let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
            encoded.extend(['%', digit(byte >> 4), digit(byte & 0xF)]);
        }
    }
    encoded
}

/// Undoes [`percent_encoded`]. What is not its output stands for itself, as in the cookie parsers of JavaScript.
pub(super) fn percent_decoded(value: &[u8]) -> Cow<'_, [u8]> {
    if !value.contains(&b'%') {
        return Cow::Borrowed(value);
    }
    let decoded = percent_decode(value).filter(|decoded| str::from_utf8(decoded).is_ok());
    decoded.map_or(Cow::Borrowed(value), Cow::Owned)
}

fn percent_decode(mut value: &[u8]) -> Option<Vec<u8>> {
    let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(value.len());
    loop {
        match value {
            [] => return Some(decoded),
            [b'%', high, low, rest @ ..] => {
                decoded.push(hex(*high)? << 4 | hex(*low)?);
                value = rest;
            }
            [b'%', ..] => return None,
            [byte, rest @ ..] => {
                decoded.push(*byte);
                value = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_is_cut_where_it_is_full() {
        let lengths = |value: &str| -> Vec<_> {
            chunks(value).into_iter().map(|(number, part)| (number, percent_encoded(part).len())).collect()
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
            let percent = percent_encoded(&text);
            prop_assert!(percent.bytes().all(|byte| is_literal(byte) || byte == b'%'));
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
            prop_assert!(chunks.iter().all(|(_, part)| percent_encoded(part).len() <= MOST));
        }
    }
}
