//! A request, as it is kept to be looked at.

use tokio::time::Instant;

/// A request as it arrived at a [`ScriptedJwks`](crate::ScriptedJwks).
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Recorded {
    /// When its head was complete.
    pub at: Instant,
    /// Its head: the request line and the header lines, without the empty line at their end.
    pub head: String,
}

impl Recorded {
    pub(super) fn now(head: String) -> Self {
        Self { at: Instant::now(), head }
    }

    /// The target of the request line, such as `/jwks.json`.
    pub fn path(&self) -> &str {
        self.head.split([' ', '\r']).nth(1).unwrap_or_default()
    }

    /// The value of the first header of this name, whatever the case of its letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_headers_are_read_from_the_head() {
        let request = Recorded::now("GET /a?b HTTP/1.1\r\nHost: x:1\r\nif-none-match:\"a\"\r\nX: ".into());
        assert_eq!(request.path(), "/a?b");
        assert_eq!(request.header("If-None-Match"), Some("\"a\""));
        assert_eq!((request.header("host"), request.header("x")), (Some("x:1"), Some("")));
        assert_eq!(request.header("cookie"), None);
        assert_eq!(Recorded::now("garbage".into()).path(), "");
    }
}
