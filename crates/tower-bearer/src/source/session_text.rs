//! Text as it stands in the cookies of `@supabase/ssr`.

use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// Undoes the `encodeURIComponent` of cookie serializers. What is not its output stands for itself, as in the
/// cookie parsers of JavaScript.
pub fn percent_decoded(value: &[u8]) -> Cow<'_, [u8]> {
    let mut after_signs = value.split(|byte| *byte == b'%').skip(1);
    let is_whole = after_signs
        .all(|rest| matches!(rest, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()));
    let decoded = is_whole.then(|| Cow::from(percent_decode(value)));
    decoded.filter(|decoded| str::from_utf8(decoded).is_ok()).unwrap_or(Cow::Borrowed(value))
}

/// Bits that are left over are dropped.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// base64url as Supabase's own decoder reads it: white space and `=` are skipped wherever they stand, any
/// other foreign byte is an error, and bits that are left over are dropped.
pub fn base64url_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut symbols: Vec<u8> = text.iter().copied().filter(|byte| !b" \t\n\r=".contains(byte)).collect();
    // One symbol by itself is no byte yet. With another one it would be, and is looked at like the rest.
    let is_odd = symbols.len() % 4 == 1;
    symbols.extend(is_odd.then_some(b'A'));
    let mut decoded = TOLERANT.decode(symbols).ok()?;
    decoded.truncate(decoded.len() - usize::from(is_odd));
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{URL_SAFE as PADDED, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    #[test]
    fn percent_encoding_is_undone_as_a_whole_or_not_at_all() {
        for (value, expected) in [
            ("a", "a"),
            ("%61%C3%A9%25", "a\u{e9}%"),
            ("%e2%82%aC", "\u{20ac}"),
            ("100%", "100%"),
            ("%61%", "%61%"),
            ("%61%6", "%61%6"),
            ("%61%6g", "%61%6g"),
            ("%%61", "%%61"),
            ("%61%ff", "%61%ff"),
            ("%+1", "%+1"),
            ("a+b", "a+b"),
        ] {
            assert_eq!(percent_decoded(value.as_bytes()), expected.as_bytes(), "{value}");
        }
        assert_eq!(percent_decoded(b"\xff").as_ref(), b"\xff", "what has no escapes stands for itself");
    }

    #[test]
    fn base64url_is_tolerant_of_what_carries_nothing() {
        for (text, expected) in [
            ("", Some("")),
            ("YWJj", Some("abc")),
            (" Y=W\tJ\r\nj==", Some("abc")),
            ("YQ", Some("a")),
            ("YR", Some("a")),
            ("YWI", Some("ab")),
            ("YWJ", Some("ab")),
            ("YWJjA", Some("abc")),
            ("A", Some("")),
            ("YWJj!", None),
            ("YWJj+", None),
            ("YW/j", None),
            ("YWJj\x0b", None),
            ("YWJj.", None),
        ] {
            assert_eq!(base64url_decoded(text.as_bytes()), expected.map(Into::into), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn base64url_is_that_of_everyone_else_but_for_its_tolerance(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(base64url_decoded(URL_SAFE_NO_PAD.encode(&bytes).as_bytes()), Some(bytes.clone()));
            prop_assert_eq!(base64url_decoded(PADDED.encode(&bytes).as_bytes()), Some(bytes));
        }

        #[test]
        fn no_text_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (percent_decoded(&bytes), base64url_decoded(&bytes));
        }
    }
}
