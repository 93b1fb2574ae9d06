//! Text as it stands in the cookies of `@supabase/ssr`.

use std::borrow::Cow;

/// Undoes the `encodeURIComponent` of cookie serializers. What is not its output stands for itself, as in the cookie
/// parsers of JavaScript.
pub fn percent_decoded(value: &[u8]) -> Cow<'_, [u8]> {
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

/// base64url as Supabase's own decoder reads it: white space and `=` are skipped wherever they stand, any other
/// foreign byte is an error, and bits that are left over are dropped.
pub fn base64url_decoded(text: &[u8]) -> Option<Vec<u8>> {
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
