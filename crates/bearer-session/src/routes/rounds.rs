//! [`Rounds`]: a brake on sign-ins that lead nowhere.
//!
//! An issuer that knows its user signs them in again without a question. If their page still sends them back
//! to sign in, because the gate refuses the token or the browser keeps no session, nothing else ends the
//! round. Neither is known here: only that one sign-in has followed the other.

use super::pending::line;
use crate::keeping::cookies;
use axum::http::{HeaderMap, HeaderValue};

/// For how long a sign-in is remembered, in seconds. A round without a question takes no more than a few.
const TERM: u64 = 30;

/// After so many sign-ins, each within the term of the one before, there is not another.
const MOST: u8 = 3;

/// How many sign-ins of this browser followed each other, in a cookie. It is not sealed: whoever makes one up
/// keeps themselves from signing in, and no one else.
#[derive(Clone, Copy)]
pub(super) struct Rounds {
    pub(super) is_secure: bool,
}

impl Rounds {
    pub(super) fn are_too_many(self, request: &HeaderMap) -> bool {
        self.count(request) >= MOST
    }

    /// The line by which a sign-in that is complete is remembered.
    pub(super) fn one_more(self, request: &HeaderMap) -> HeaderValue {
        let count = self.count(request).saturating_add(1);
        line(self.is_secure, self.name(), &count.to_string(), TERM)
    }

    /// The line that forgets them, if there are any: whoever signs out is free to sign in.
    pub(super) fn forget(self, request: &HeaderMap) -> Option<HeaderValue> {
        self.value(request).map(|_| line(self.is_secure, self.name(), "", 0))
    }

    fn count(self, request: &HeaderMap) -> u8 {
        let count = self.value(request).and_then(|value| str::from_utf8(value).ok()?.parse().ok());
        count.unwrap_or_default()
    }

    fn value(self, request: &HeaderMap) -> Option<&[u8]> {
        cookies::all(request).find(|(name, _)| *name == self.name().as_bytes()).map(|(_, value)| value)
    }

    const fn name(self) -> &'static str {
        if self.is_secure { "__Host-sign-ins" } else { "sign-ins" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::COOKIE;

    #[test]
    fn a_browser_is_stopped_after_three_and_by_no_nonsense() {
        for (brought, is_stopped, next) in [
            ("", false, "1"),
            ("__Host-sign-ins=1", false, "2"),
            ("__Host-sign-ins=2", false, "3"),
            ("a=b; __Host-sign-ins=3", true, "4"),
            ("__Host-sign-ins=255", true, "255"),
            ("__Host-sign-ins=256", false, "1"),
            ("__Host-sign-ins=-3", false, "1"),
            ("__Host-sign-ins=", false, "1"),
            ("sign-ins=3", false, "1"),
        ] {
            let (rounds, request) =
                (Rounds { is_secure: true }, HeaderMap::from_iter([(COOKIE, brought.parse().unwrap())]));
            assert_eq!(rounds.are_too_many(&request), is_stopped, "{brought}");
            let attributes = "Path=/; HttpOnly; Secure; SameSite=Lax";
            let expected = format!("__Host-sign-ins={next}; Max-Age=30; {attributes}");
            assert_eq!(rounds.one_more(&request), expected, "{brought}");
            let gone = rounds.forget(&request);
            assert_eq!(gone.is_some(), brought.contains("__Host-sign-ins"), "{brought}");
            assert!(gone.is_none_or(|line| line == format!("__Host-sign-ins=; Max-Age=0; {attributes}")));
        }
        let local = Rounds { is_secure: false }.one_more(&HeaderMap::new());
        assert_eq!(local, "sign-ins=1; Max-Age=30; Path=/; HttpOnly; SameSite=Lax");
    }
}
