//! The compact serialization (RFC 7515 §7.1): three segments of strict base64url, nothing else.

use crate::error::Reason;
use base64::Engine as _;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use base64::engine::{Simd, general_purpose::NO_PAD};
use memchr::memchr_iter;

/// Vector instructions where the processor has them: decoding grows with the token, and no other step of the
/// gate is as easily made shorter.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static BASE64URL: std::sync::LazyLock<Simd> = std::sync::LazyLock::new(|| Simd::url_safe(NO_PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

/// A token cut into its segments, not decoded yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Compact<'a> {
    pub(crate) header: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) signature: &'a str,
    /// What the signature is over: header, dot, payload.
    pub(crate) signing_input: &'a str,
}

impl<'a> Compact<'a> {
    /// Cuts at the dots. Looks at no more than the fifth: a megabyte of dots is as cheap as four.
    pub(crate) fn split(token: &'a str) -> Result<Self, Reason> {
        let mut dots = memchr_iter(b'.', token.as_bytes()).take(5);
        let (Some(first), Some(second)) = (dots.next(), dots.next()) else {
            return Err(if is_api_key(token) { Reason::ApiKey } else { Reason::NotAJwt });
        };
        match dots.count() {
            0 => {
                let (signing_input, signature) = (&token[..second], &token[second + 1..]);
                let (header, payload) = (&token[..first], &token[first + 1..second]);
                if header.is_empty() || payload.is_empty() || signature.is_empty() {
                    return Err(Reason::NotAJwt);
                }
                Ok(Self { header, payload, signature, signing_input })
            }
            2 => Err(Reason::Encrypted),
            _ => Err(Reason::NotAJwt),
        }
    }
}

/// supabase-js sends its API key as a bearer token when nobody is signed in.
fn is_api_key(token: &str) -> bool {
    token.starts_with("sb_")
}

/// Decodes one segment to the front of `buffer`, and returns its bytes and the rest. No padding, no white
/// space, and no stray bits in the last character (RFC 7515 §2, RFC 4648 §3.5), so that a token has one
/// spelling.
pub(crate) fn decode<'b>(segment: &str, buffer: &'b mut [u8]) -> Result<(&'b [u8], &'b mut [u8]), Reason> {
    let len = BASE64URL.decode_slice(segment, buffer).map_err(|_| Reason::NotAJwt)?;
    let (bytes, rest) = buffer.split_at_mut(len);
    Ok((bytes, rest))
}

/// Room for the segments of one token: on the stack for tokens of the usual length.
pub(crate) struct Scratch {
    few: [u8; USUAL],
    many: Vec<u8>,
}

/// Most access tokens stay under 1.3 KiB, and so three quarters of that. It is zeroed for each of them.
const USUAL: usize = 1024;

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { few: [0; USUAL], many: Vec::new() }
    }

    /// As much as the segments of a token of this length may need: three bytes for four characters, and for
    /// each odd end.
    pub(crate) fn for_token(&mut self, len: usize) -> &mut [u8] {
        let needed = len / 4 * 3 + 3 * 3;
        if needed <= USUAL {
            &mut self.few
        } else {
            self.many.resize(needed, 0);
            &mut self.many
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    fn decoded(segment: &str) -> Result<Vec<u8>, Reason> {
        let mut scratch = Scratch::new();
        decode(segment, scratch.for_token(segment.len())).map(|(bytes, _)| bytes.to_vec())
    }

    #[test]
    fn a_token_of_any_length_has_room() {
        for len in [0, 1, USUAL, USUAL / 3 * 4 - 12, USUAL / 3 * 4, 2 * USUAL, 100_000] {
            let text = "A".repeat(len / 4 * 4);
            assert_eq!(decoded(&text).map(|bytes| bytes.len()), Ok(len / 4 * 3), "{len}");
        }
    }

    #[test]
    fn only_three_full_segments_are_a_jwt() {
        let table = [
            ("a.b.c", Ok(("a", "b", "c", "a.b"))),
            ("aaa.bb.c", Ok(("aaa", "bb", "c", "aaa.bb"))),
            ("", Err(Reason::NotAJwt)),
            ("a", Err(Reason::NotAJwt)),
            ("a.b", Err(Reason::NotAJwt)),
            ("a.b.", Err(Reason::NotAJwt)),
            (".b.c", Err(Reason::NotAJwt)),
            ("a..c", Err(Reason::NotAJwt)),
            ("..", Err(Reason::NotAJwt)),
            ("a.b.c.d", Err(Reason::NotAJwt)),
            ("a.b.c.d.e", Err(Reason::Encrypted)),
            ("a.b.c.d.e.f", Err(Reason::NotAJwt)),
            ("a.b.c.d.e.f.g", Err(Reason::NotAJwt)),
            ("sb_publishable_x", Err(Reason::ApiKey)),
            ("sb_secret_x", Err(Reason::ApiKey)),
        ];
        for (token, expected) in table {
            let found = Compact::split(token).map(|c| (c.header, c.payload, c.signature, c.signing_input));
            assert_eq!(found, expected, "{token:?}");
        }
    }

    #[test]
    fn base64url_is_strict() {
        for good in ["", "AA", "AAA", "AAAA", "-_-_"] {
            assert!(decoded(good).is_ok(), "{good:?}");
        }
        for bad in ["A", "AB", "AAB", "AA==", "AA=", "A A", "AA\n", "+/+/", "AA.", "~~~~", "{}", "AAAAA"] {
            assert_eq!(decoded(bad), Err(Reason::NotAJwt), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_segment_has_one_spelling(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in "[A-Za-z0-9_=+/ -]{0,12}") {
            let spelled = URL_SAFE_NO_PAD.encode(&bytes);
            prop_assert_eq!(decoded(&spelled), Ok(bytes));
            if let Ok(found) = decoded(&text) {
                prop_assert_eq!(URL_SAFE_NO_PAD.encode(found), text);
            }
        }

        #[test]
        fn whatever_decodes_it_is_as_strict(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..300, other in any::<char>()) {
            let mut text: Vec<_> = URL_SAFE_NO_PAD.encode(bytes).chars().collect();
            if let Some(place) = text.get_mut(at) {
                *place = other;
            }
            let text: String = text.into_iter().collect();
            prop_assert_eq!(decoded(&text).ok(), URL_SAFE_NO_PAD.decode(&text).ok());
        }

        #[test]
        fn splitting_never_panics(token in "[a.é]{0,20}") {
            if let Ok(compact) = Compact::split(&token) {
                prop_assert_eq!(format!("{}.{}", compact.signing_input, compact.signature), token);
            }
        }
    }
}
