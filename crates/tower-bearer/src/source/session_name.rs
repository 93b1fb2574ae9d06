//! The names that the cookies of one `@supabase/ssr` session can have.

use super::cookie::is_name;
use crate::config::{ConfigError, shown};
use http::Uri;

/// The name of a session's cookie, without the `.N` of its chunks.
#[derive(Clone, Debug)]
pub struct SessionName(Box<str>);

/// Which part of a session a cookie holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// All of it: there is no number behind the name.
    Whole,
    /// One of several, by its number. One that is too great to count is [`usize::MAX`].
    Chunk(usize),
}

impl SessionName {
    /// From the name itself, or from the URL of a project, as supabase-js derives it: the first label of the
    /// host.
    ///
    /// # Errors
    /// When it is neither, or no cookie can have the name.
    pub fn new(name_or_project: &str) -> Result<Self, ConfigError> {
        let name = if name_or_project.contains("://") {
            let uri = name_or_project.parse::<Uri>().ok();
            let host = uri.as_ref().and_then(Uri::host).filter(|host| !host.is_empty());
            let host = host.ok_or_else(|| ConfigError::InvalidUrl(shown(name_or_project)))?;
            let label = host.split('.').next().unwrap_or_default();
            format!("sb-{}-auth-token", label.to_ascii_lowercase())
        } else {
            name_or_project.to_owned()
        };
        if is_name(&name) { Ok(Self(name.into())) } else { Err(ConfigError::InvalidCookieName(name)) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part that a cookie of this name holds. Exact: `…-code-verifier` is none.
    pub fn part(&self, cookie: &[u8]) -> Option<Part> {
        match cookie.strip_prefix(self.0.as_bytes())? {
            [] => Some(Part::Whole),
            [b'.', number @ ..] => chunk_number(number).map(Part::Chunk),
            _ => None,
        }
    }
}

/// A cookie's name without `.N`.
pub(crate) fn without_chunk_number(name: &[u8]) -> &[u8] {
    match name.iter().rposition(|byte| *byte == b'.') {
        Some(dot) if chunk_number(&name[dot + 1..]).is_some() => &name[..dot],
        _ => name,
    }
}

/// `0|[1-9][0-9]*`. A number that is too great to count is one all the same.
fn chunk_number(text: &[u8]) -> Option<usize> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => {
            Some(std::str::from_utf8(text).ok()?.parse().unwrap_or(usize::MAX))
        }
        _ => None,
    }
}

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
            ("my-session", "my-session"),
        ] {
            assert_eq!(&*SessionName::new(project).expect("a name").0, name, "{project}");
        }
        for bad in ["", "a b", "a;b", "a=b", "é", "https://", "https://[::1]", "http://a b"] {
            assert!(SessionName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_part_is_the_exact_name_or_the_name_and_a_number() {
        let name = SessionName::new("sb-a-auth-token").expect("a name");
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
            ("sb-a-auth-token-flows-code-verifier", None),
            ("sb-a-auth-token-user", None),
            ("SB-a-auth-token", None),
            ("sb-b-auth-token", None),
            ("xsb-a-auth-token", None),
        ] {
            assert_eq!(name.part(cookie.as_bytes()), part, "{cookie}");
        }
    }
}
