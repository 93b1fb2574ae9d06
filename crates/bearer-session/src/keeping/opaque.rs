//! [`OpaqueCookie`]: the browser has the session's id, and nothing else.

use super::cookies::{InvalidCookie, is_name, of_name, without};
use crate::{Access, SessionId};
use http::{HeaderMap, HeaderValue};
use std::time::{Duration, SystemTime};

const PREFIX: &str = "__Host-";

/// 400 days, the most that browsers grant. The store decides how long a session lives.
const MAX_AGE: u32 = 400 * 24 * 60 * 60;

/// A quarter of it.
#[cfg_attr(not(feature = "axum"), allow(dead_code, reason = "used by the routes"))]
const RENEWED_AFTER: Duration = Duration::from_secs(100 * 24 * 60 * 60);

/// A cookie that holds the [`SessionId`]: the tokens lie in the store, where no script and no other site gets
/// at them.
///
/// It is `__Host-session`, `HttpOnly`, `Secure`, `SameSite=Lax`, with `Path=/` and without `Domain`. Browsers
/// take a name with the prefix `__Host-` from this very host alone, over `https` (RFC 6265bis §4.1.3.2), so
/// that nobody else can put a session there. A request with two cookies of the name has none that can be
/// trusted.
///
/// Browsers keep it for 400 days. The routes `/session` and `/refresh` write it anew for a session that is
/// older than 100, unless they are behind the layer, which takes the cookie out: a site whose pages ask
/// neither signs even those out after 400 days that come every day.
#[derive(Clone, Debug)]
pub struct OpaqueCookie {
    name: Box<str>,
    is_secure: bool,
}

impl OpaqueCookie {
    /// By the name `__Host-session`.
    pub fn new() -> Self {
        Self { name: "__Host-session".into(), is_secure: true }
    }

    /// By another name, which begins with `__Host-` too.
    ///
    /// # Errors
    /// When it does not, or is not the name of a cookie.
    pub fn named(name: &str) -> Result<Self, InvalidCookie> {
        match name.strip_prefix(PREFIX) {
            Some(rest) if !rest.is_empty() && is_name(name) => {
                Ok(Self { name: name.into(), is_secure: true })
            }
            _ => Err(InvalidCookie(name.to_owned())),
        }
    }

    /// Without `Secure` and without the prefix, for `http://localhost`: then any program on this machine, and
    /// any page of another port, can put a session there.
    #[must_use]
    pub fn insecure_for_development(self) -> Self {
        let bare = self.name.strip_prefix(PREFIX).unwrap_or(&self.name);
        Self { name: bare.into(), is_secure: false }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    #[cfg(feature = "axum")]
    pub(super) const fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// What the request says. `None` when it has no such cookie.
    pub(super) fn read(&self, request: &HeaderMap) -> Option<Result<SessionId, Untrusted>> {
        let mut values = of_name(request, &self.name);
        let first = values.next()?;
        if values.next().is_some() {
            return Some(Err(Untrusted));
        }
        Some(str::from_utf8(first).ok().and_then(SessionId::parse).ok_or(Untrusted))
    }

    pub(super) fn remove_from(&self, request: &mut HeaderMap) {
        without(request, |name| name == self.name.as_bytes());
    }

    pub(super) fn write(&self, id: &SessionId) -> HeaderValue {
        self.line(id.to_text().expose(), MAX_AGE)
    }

    /// The same line again for a session that has lasted long, in a request that came with its cookie:
    /// otherwise whoever uses it every day is signed out when the cookie expires. A shorter one needs none,
    /// and each line less is one that cannot come too late.
    #[cfg_attr(not(feature = "axum"), allow(dead_code, reason = "used by the routes"))]
    pub(super) fn renew(&self, request: &HeaderMap, access: &Access, now: SystemTime) -> Option<HeaderValue> {
        let id = self.read(request)?.ok().filter(|id| id.key() == access.key())?;
        let age = now.duration_since(access.signed_in_at()).ok()?;
        (age >= RENEWED_AFTER).then(|| self.write(&id))
    }

    pub(super) fn clear(&self) -> HeaderValue {
        self.line("", 0)
    }

    fn line(&self, value: &str, max_age: u32) -> HeaderValue {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let line =
            format!("{}={value}; Max-Age={max_age}; Path=/; HttpOnly{secure}; SameSite=Lax", self.name);
        let mut line = HeaderValue::try_from(line).expect("names and ids are visible ASCII");
        line.set_sensitive(true);
        line
    }
}

impl Default for OpaqueCookie {
    fn default() -> Self {
        Self::new()
    }
}

/// There is a cookie of the name, but nobody's session: it is no id, or there are two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Untrusted;

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::COOKIE;

    fn request(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, line.parse().expect("a value"))).collect()
    }

    #[test]
    fn one_cookie_that_is_an_id_is_trusted_and_no_other() {
        let (cookie, id) = (OpaqueCookie::new(), SessionId::random());
        let text = id.to_text();
        let text = text.expose();
        let good = |line: String| (vec![line], Some(Ok(id.clone())));
        let bad = |lines: Vec<String>| (lines, Some(Err(Untrusted)));
        let none = |line: String| (vec![line], None);
        for (lines, expected) in [
            good(format!("__Host-session={text}")),
            good(format!("a=b; __Host-session={text};c=d")),
            bad(vec![format!("__Host-session={text}; __Host-session={text}")]),
            bad(vec![format!("__Host-session={text}"), "__Host-session=x".into()]),
            bad(vec![format!("__Host-session=\"{text}\"")]),
            bad(vec![format!("__Host-session={text}=")]),
            bad(vec![format!("__Host-session={}", &text[1..])]),
            bad(vec!["__Host-session=".into()]),
            none(format!("__host-session={text}")),
            none(format!("session={text}")),
            none(format!("x__Host-session={text}")),
            none(String::new()),
        ] {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            assert_eq!(cookie.read(&request(&lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn its_attributes_keep_scripts_and_other_sites_away() {
        let (cookie, id) = (OpaqueCookie::new(), SessionId::random());
        let line = cookie.write(&id);
        assert!(line.is_sensitive() && cookie.clear().is_sensitive());
        assert_eq!(
            line.to_str().unwrap(),
            format!(
                "__Host-session={}; Max-Age=34560000; Path=/; HttpOnly; Secure; SameSite=Lax",
                id.to_text().expose()
            )
        );
        assert_eq!(cookie.clear(), "__Host-session=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax");
        let local = cookie.insecure_for_development();
        assert_eq!(local.clear(), "session=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn a_name_keeps_the_prefix() {
        assert_eq!(OpaqueCookie::named("__Host-s").expect("a name").name(), "__Host-s");
        for bad in
            ["", "session", "__Secure-session", "__host-session", "__Host-", "__Host-a b", "__Host-a;b"]
        {
            assert!(OpaqueCookie::named(bad).is_err(), "{bad}");
        }
    }
}
