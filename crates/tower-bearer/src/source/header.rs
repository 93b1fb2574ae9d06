//! A token in a header of its own.

use super::found::{Carrier, Tokens};
use crate::{config::ConfigError, credential::trim, error::Reason};
use http::{HeaderMap, HeaderName, header};

/// Where to look.
#[derive(Clone, Debug)]
pub(super) struct TokenHeader {
    name: HeaderName,
    prefix: Box<str>,
}

impl TokenHeader {
    /// Headers that mean something else to HTTP, or to this gate, hold no token.
    pub(super) fn new(name: HeaderName, prefix: &str) -> Result<Self, ConfigError> {
        const RESERVED: [HeaderName; 6] = [
            header::AUTHORIZATION,
            header::PROXY_AUTHORIZATION,
            header::COOKIE,
            header::HOST,
            header::ORIGIN,
            header::SEC_WEBSOCKET_PROTOCOL,
        ];
        if RESERVED.contains(&name) {
            return Err(ConfigError::ReservedHeader(name.as_str().to_owned()));
        }
        Ok(Self { name, prefix: prefix.trim().into() })
    }

    pub(super) fn name(&self) -> &HeaderName {
        &self.name
    }

    pub(super) fn find<'a>(&self, headers: &'a HeaderMap, tokens: &mut Tokens<'a>) -> Result<(), Reason> {
        headers.get_all(&self.name).iter().try_for_each(|value| {
            let token = self.token(value.as_bytes()).ok_or(Reason::MalformedCredential)?;
            tokens.add(token, Carrier::Header)
        })
    }

    /// What follows the prefix and its spaces. Like a scheme, it is compared without regard to case.
    fn token<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        let value = trim(value);
        if self.prefix.is_empty() {
            return Some(value);
        }
        let (prefix, rest) = value.split_at_checked(self.prefix.len())?;
        // A word ends before a space, so that `Token` is not found in `Tokens`.
        let is_apart = !prefix.last()?.is_ascii_alphanumeric() || rest.first() == Some(&b' ');
        (is_apart && prefix.eq_ignore_ascii_case(self.prefix.as_bytes())).then(|| trim(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    /// The prefix, the header's lines, and what is found.
    type Row<'a> = (&'a str, &'a [&'a str], Result<Option<&'a str>, Reason>);

    fn find(prefix: &str, lines: &[&'static str]) -> Result<Option<String>, Reason> {
        let name = HeaderName::from_static("x-token");
        let headers: HeaderMap =
            lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line))).collect();
        let mut tokens = Tokens::new(9);
        TokenHeader::new(name, prefix).expect("a header").find(&headers, &mut tokens)?;
        Ok(tokens.into_one()?.map(std::borrow::Cow::into_owned))
    }

    #[test]
    fn the_value_is_a_prefix_and_one_token() {
        let malformed = Err(Reason::MalformedCredential);
        let table: &[Row<'_>] = &[
            ("", &[], Ok(None)),
            ("", &["t"], Ok(Some("t"))),
            ("", &[" t "], Ok(Some("t"))),
            ("", &["t", "t"], Ok(Some("t"))),
            ("", &["t", "u"], Err(Reason::SeveralCredentials)),
            ("", &["t", ""], malformed),
            ("", &[""], malformed),
            ("", &["Bearer t"], malformed),
            ("", &["t,t"], malformed),
            ("", &["0123456789"], Err(Reason::CredentialTooLong)),
            ("Token", &["Token t"], Ok(Some("t"))),
            ("Token ", &["token   t"], Ok(Some("t"))),
            ("token=", &["token=t"], Ok(Some("t"))),
            ("Token", &["Token"], malformed),
            ("Token", &["Token "], malformed),
            ("Token", &["Tokent"], malformed),
            ("Token", &["t"], malformed),
            ("Token", &["Basic t"], malformed),
            ("Token", &[""], malformed),
        ];
        for (prefix, lines, expected) in table {
            let found = find(prefix, lines);
            assert_eq!(
                found.as_ref().map(Option::as_deref),
                expected.as_ref().map(|t| *t),
                "{prefix:?} {lines:?}"
            );
        }
    }

    #[test]
    fn headers_with_another_meaning_are_refused() {
        for name in ["authorization", "cookie", "sec-websocket-protocol", "host"] {
            assert!(TokenHeader::new(HeaderName::from_static(name), "").is_err(), "{name}");
        }
    }
}
