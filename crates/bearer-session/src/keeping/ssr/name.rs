//! The names that the cookies of one session can have.

use std::{error::Error, fmt};

/// What no cookie can have.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InvalidSsrCookie {
    /// Not a URL with a host whose first label can be part of a name.
    Project(String),
    /// Not a name.
    Name(String),
    /// Not a domain.
    Domain(String),
}

/// The name of a session's cookie, without the `.N` of its chunks.
#[derive(Clone, Debug)]
pub(super) struct SsrName(Box<str>);

/// Which part of a session a cookie holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    Whole,
    Chunk(usize),
}

impl SsrName {
    /// The first label of the host, as supabase-js takes it.
    pub(super) fn of_project(url: &str) -> Result<Self, InvalidSsrCookie> {
        let invalid = || InvalidSsrCookie::Project(url.to_owned());
        let uri: http::Uri = url.parse().map_err(|_| invalid())?;
        let host =
            uri.host().filter(|host| !host.is_empty() && uri.scheme().is_some()).ok_or_else(invalid)?;
        let label = host.split('.').next().unwrap_or_default();
        Self::new(&format!("sb-{}-auth-token", label.to_ascii_lowercase())).map_err(|_| invalid())
    }

    pub(super) fn new(name: &str) -> Result<Self, InvalidSsrCookie> {
        // `token` of RFC 9110 §5.6.2 (RFC 6265 §4.1.1).
        let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_tchar) {
            return Err(InvalidSsrCookie::Name(name.to_owned()));
        }
        Ok(Self(name.into()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The part that a cookie of this name holds. Exact: `…-code-verifier` is none.
    pub(super) fn part(&self, cookie: &[u8]) -> Option<Part> {
        match cookie.strip_prefix(self.0.as_bytes())? {
            [] => Some(Part::Whole),
            [b'.', b'0'] => Some(Part::Chunk(0)),
            [b'.', number @ ..] if number.first() != Some(&b'0') && number.iter().all(u8::is_ascii_digit) => {
                // One that is too great to count is a chunk all the same, to be deleted.
                let number = str::from_utf8(number).ok().filter(|number| !number.is_empty())?;
                Some(Part::Chunk(number.parse().unwrap_or(usize::MAX)))
            }
            _ => None,
        }
    }
}

impl fmt::Display for InvalidSsrCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(url) => write!(f, "{url:?} is not the URL of a project"),
            Self::Name(name) => write!(f, "{name:?} is not the name of a cookie"),
            Self::Domain(domain) => write!(f, "{domain:?} is not the domain of a cookie"),
        }
    }
}

impl Error for InvalidSsrCookie {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_follows_from_the_project() {
        for (project, name) in [
            ("https://abc.supabase.co", "sb-abc-auth-token"),
            ("https://ABC.supabase.co/auth/v1", "sb-abc-auth-token"),
            ("http://127.0.0.1:54321", "sb-127-auth-token"),
            ("http://localhost:54321", "sb-localhost-auth-token"),
            ("https://auth.example.com", "sb-auth-auth-token"),
        ] {
            assert_eq!(SsrName::of_project(project).expect(project).as_str(), name);
        }
        for bad in ["", "abc", "https://", "https://[::1]", "http://a b"] {
            assert!(SsrName::of_project(bad).is_err(), "{bad}");
        }
        for bad in ["", "a b", "a;b", "a=b", "é"] {
            assert!(SsrName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_part_is_the_exact_name_or_the_name_and_a_number() {
        let name = SsrName::new("sb-a-auth-token").expect("a name");
        for (cookie, part) in [
            ("sb-a-auth-token", Some(Part::Whole)),
            ("sb-a-auth-token.0", Some(Part::Chunk(0))),
            ("sb-a-auth-token.12", Some(Part::Chunk(12))),
            ("sb-a-auth-token.99999999999999999999999", Some(Part::Chunk(usize::MAX))),
            ("sb-a-auth-token.", None),
            ("sb-a-auth-token.00", None),
            ("sb-a-auth-token.01", None),
            ("sb-a-auth-token.1a", None),
            ("sb-a-auth-token.-1", None),
            ("sb-a-auth-token.0.0", None),
            ("sb-a-auth-token-code-verifier", None),
            ("SB-a-auth-token", None),
            ("xsb-a-auth-token", None),
        ] {
            assert_eq!(name.part(cookie.as_bytes()), part, "{cookie}");
        }
    }
}
