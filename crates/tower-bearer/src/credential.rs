//! One credential from the head of a request (RFC 6750 §2.1, RFC 9110 §11.4).

use crate::error::Reason;
use http::{HeaderMap, header::AUTHORIZATION};
use std::fmt;

/// One token, as presented. `Debug` never prints it.
///
/// ```
/// use tower_bearer::{Credential, Reason};
/// use http::{HeaderMap, header::AUTHORIZATION};
///
/// let mut headers = HeaderMap::new();
/// headers.insert(AUTHORIZATION, "bearer abc.def.ghi".parse()?);
/// assert_eq!(Credential::from_headers(&headers, "Bearer", 16 * 1024)?.token(), "abc.def.ghi");
///
/// headers.insert(AUTHORIZATION, "Bearer two tokens".parse()?);
/// let refused = Credential::from_headers(&headers, "Bearer", 16 * 1024);
/// assert_eq!(refused.unwrap_err(), Reason::MalformedCredential);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Credential<'a> {
    token: &'a str,
}

impl<'a> Credential<'a> {
    /// A credential that did not come from an `Authorization` header.
    ///
    /// # Errors
    /// [`Reason::MalformedCredential`] when the text is not a b64token (RFC 6750 §2.1).
    pub fn new(token: &'a str) -> Result<Self, Reason> {
        if is_b64token(token.as_bytes()) { Ok(Self { token }) } else { Err(Reason::MalformedCredential) }
    }

    /// The one credential of `scheme` in the `Authorization` header. `limit` is the longest token, in bytes.
    ///
    /// # Errors
    /// * [`Reason::NoCredential`], [`Reason::OtherScheme`]: nothing of our scheme was presented;
    /// * [`Reason::SeveralCredentials`]: two header lines, of whatever scheme, since choosing one is
    ///   guessing;
    /// * [`Reason::MalformedCredential`]: not the scheme, spaces and one b64token;
    /// * [`Reason::CredentialTooLong`].
    pub fn from_headers(headers: &'a HeaderMap, scheme: &str, limit: usize) -> Result<Self, Reason> {
        Self::from_bytes(token_of_headers(headers, scheme)?, limit)
    }

    /// One that was checked before, and kept since.
    pub(crate) const fn of_checked(token: &'a str) -> Self {
        Self { token }
    }

    /// The token: b64token characters only.
    pub const fn token(&self) -> &'a str {
        self.token
    }

    /// One b64token of at most `limit` bytes, wherever it was found.
    pub(crate) fn from_bytes(token: &'a [u8], limit: usize) -> Result<Self, Reason> {
        if token.len() > limit {
            return Err(Reason::CredentialTooLong);
        }
        if !is_b64token(token) {
            return Err(Reason::MalformedCredential);
        }
        // b64token is ASCII, so this cannot fail; if it ever did, refusing is right.
        let token = std::str::from_utf8(token).map_err(|_| Reason::MalformedCredential)?;
        Ok(Self { token })
    }
}

/// What stands in the one `Authorization` header where a token of `scheme` does, whatever it is.
pub(crate) fn token_of_headers<'a>(headers: &'a HeaderMap, scheme: &str) -> Result<&'a [u8], Reason> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Reason::NoCredential)?;
    if values.next().is_some() {
        return Err(Reason::SeveralCredentials);
    }
    token_of_value(value.as_bytes(), scheme)
}

/// `credentials = auth-scheme 1*SP token68`, white space around the value not being part of it.
pub(crate) fn token_of_value<'a>(value: &'a [u8], scheme: &str) -> Result<&'a [u8], Reason> {
    let value = trim(value);
    // As nearly everybody writes it.
    if let Some(token @ [b' ', ..]) = value.strip_prefix(scheme.as_bytes()) {
        return Ok(after_spaces(token));
    }
    let end = value.iter().position(|b| !is_tchar(*b)).unwrap_or(value.len());
    let (found, rest) = value.split_at(end);
    if found.is_empty() {
        return Err(Reason::MalformedCredential);
    }
    if !found.eq_ignore_ascii_case(scheme.as_bytes()) {
        return Err(Reason::OtherScheme);
    }
    if rest.first() == Some(&b' ') { Ok(after_spaces(rest)) } else { Err(Reason::MalformedCredential) }
}

fn after_spaces(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = text {
        text = rest;
    }
    text
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="` (RFC 6750 §2.1).
fn is_b64token(text: &[u8]) -> bool {
    let padding = text.iter().rev().take_while(|b| **b == b'=').count();
    let body = &text[..text.len() - padding];
    // Every accepted request pays for this scan: without an early end the compiler looks at many bytes at
    // once.
    !body.is_empty() && body.iter().fold(true, |good, b| good & is_b64token_char(*b))
}

/// Written so that it takes few vector instructions: `+` to `9` but for `,` holds the digits and four of the
/// others.
#[allow(clippy::needless_bitwise_bool, reason = "a branch would keep the scan from being vectorized")]
const fn is_b64token_char(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let from_plus_to_nine = byte.wrapping_sub(b'+') < 15;
    letter | (from_plus_to_nine & (byte != b',')) | (byte == b'_') | (byte == b'~')
}

/// `tchar` of RFC 9110 §5.6.2, what a scheme is made of.
pub(crate) const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(value: &[u8]) -> Result<&str, Reason> {
        Credential::from_bytes(token_of_value(value, "Bearer")?, 16).map(|credential| credential.token())
    }

    #[test]
    fn the_header_grammar_as_a_table() {
        use Reason::{CredentialTooLong, MalformedCredential, OtherScheme};
        let table: &[(&[u8], Result<&str, Reason>)] = &[
            (b"Bearer t", Ok("t")),
            (b"bearer t", Ok("t")),
            (b"bEaReR t", Ok("t")),
            (b"Bearer   t", Ok("t")),
            (b"  Bearer t  ", Ok("t")),
            (b"\tBearer t\t", Ok("t")),
            (b"Bearer a-._~+/9==", Ok("a-._~+/9==")),
            (b"", Err(MalformedCredential)),
            (b"Bearer", Err(MalformedCredential)),
            (b"Bearer ", Err(MalformedCredential)),
            (b"Bearer\tt", Err(MalformedCredential)),
            (b"Bearer \tt", Err(MalformedCredential)),
            (b"Bearer a b", Err(MalformedCredential)),
            (b"Bearer a,b", Err(MalformedCredential)),
            (b"Bearer a, Bearer b", Err(MalformedCredential)),
            (b"Bearer \"t\"", Err(MalformedCredential)),
            (b"Bearer=t", Err(MalformedCredential)),
            (b"Bearer/t", Err(MalformedCredential)),
            (b"Bearer ==", Err(MalformedCredential)),
            (b"Bearer a=b", Err(MalformedCredential)),
            (b"Bearer \xff", Err(MalformedCredential)),
            (b"Bearer a\x01b", Err(MalformedCredential)),
            (b"Bearer \xc3\xa9", Err(MalformedCredential)),
            (b"\"Bearer\" t", Err(MalformedCredential)),
            (b"Bearertok", Err(OtherScheme)),
            (b"BearerX t", Err(OtherScheme)),
            (b"Basic eDp5", Err(OtherScheme)),
            (b"Basic \xff", Err(OtherScheme)),
            (b"Bearer 0123456789abcdef", Ok("0123456789abcdef")),
            (b"Bearer 0123456789abcdefg", Err(CredentialTooLong)),
        ];
        for (value, expected) in table {
            assert_eq!(token(value), *expected, "{:?}", value.escape_ascii().to_string());
        }
    }

    #[test]
    fn every_byte_is_in_its_class() {
        for byte in 0..=u8::MAX {
            let listed = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_b64token_char(byte), listed, "{byte:#x}");
        }
    }

    #[test]
    fn debug_does_not_print_the_token() {
        let credential = Credential::new("secret").expect("a b64token");
        assert_eq!(format!("{credential:?}"), "Credential(..)");
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_one_b64token_of_the_header(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(found) = token(&value) {
                prop_assert!(!found.is_empty() && found.len() <= 16);
                prop_assert!(found.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b)));
                prop_assert!(trim(&value).ends_with(found.as_bytes()));
            }
        }

        #[test]
        fn every_b64token_is_accepted_under_every_spelling(
            scheme in "[Bb][Ee][Aa][Rr][Ee][Rr]",
            spaces in " {1,3}",
            body in "[A-Za-z0-9._~+/-]{1,14}={0,2}",
        ) {
            let value = format!("{scheme}{spaces}{body}");
            prop_assert_eq!(token(value.as_bytes()), Ok(body.as_str()));
        }
    }
}
