//! Cookies that `@supabase/ssr` writes and reads, so that a frontend with supabase-js and this side share a
//! session.
//!
//! All of it is text in, text out: nothing here asks an issuer, checks a token, or knows the time. What is
//! written is, byte for byte, what `@supabase/ssr` 0.12 writes of the same answer of Supabase Auth, and what
//! it reads is read, with the same tolerance:
//!
//! | in the jar | what becomes of it |
//! |---|---|
//! | `base64-` and base64url of the session's JSON, in one cookie or in chunks `.0`, `.1`, … | read |
//! | the JSON itself, percent-encoded or not; JSON without `user` | read |
//! | white space or `=` within the base64url | skipped |
//! | one cookie and chunks as well | the one cookie counts |
//! | a chunk left over from a longer session, a first chunk that is missing | no session |
//! | anything else: standard base64, the arrays of auth-helpers, the names of code verifiers | no session |
//! | one name twice, from two domain scopes | each is a session: whoever asks tries them in turn |
//!
//! Two things are beyond it. JavaScript moves the names of an object that are whole numbers to its front, and
//! writes `1.0` as `1`; here both stay as the issuer has them, which every reader takes for the same.
//!
//! ```
//! use bearer_session::{AccessToken, RefreshToken, TokenSet, keeping::ssr::SsrCookies};
//! use http::{HeaderMap, header::COOKIE};
//! use std::time::{Duration, SystemTime};
//!
//! let cookies = SsrCookies::of_project("https://abc.supabase.co")?.secure();
//! let tokens = TokenSet::new(AccessToken::new("eyJ.eyJ.c2ln"), Duration::from_secs(3600))
//!     .refresh_token(RefreshToken::new("a-refresh-token"));
//!
//! let written = cookies.write(&HeaderMap::new(), &tokens, SystemTime::now());
//! let line = written[0].to_str()?;
//! assert!(line.starts_with("sb-abc-auth-token=base64-"));
//! assert!(line.ends_with("; Max-Age=34560000; Path=/; Secure; SameSite=Lax"));
//!
//! let pair = line.split(';').next().unwrap_or_default();
//! let request = HeaderMap::from_iter([(COOKIE, pair.parse()?)]);
//! assert_eq!(cookies.read(&request)[0].refresh_token, Some(RefreshToken::new("a-refresh-token")));
//!
//! let cut_off = HeaderMap::from_iter([(COOKIE, pair[..60].parse()?)]);
//! assert!(cookies.read(&cut_off).is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod encoding;
mod jar;
mod name;
mod session;

#[cfg(test)]
mod tests;

pub use self::{name::InvalidSsrCookie, session::SsrSession};

use self::{
    encoding::{base64url_encoded, chunks, encode_uri_component},
    jar::Jar,
    session::document,
};
use super::cookies;
use crate::TokenSet;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, EXPIRES, PRAGMA, SET_COOKIE},
};
use std::{fmt::Write as _, time::SystemTime};
use tower_bearer::supabase::cookies::SessionName;

/// 400 days, the most that browsers grant.
const MAX_AGE: u32 = 400 * 24 * 60 * 60;

/// How a session is written into a cookie: `cookieEncoding` of `@supabase/ssr`. Both are read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum SsrEncoding {
    /// `base64-` and base64url: what its clients write unless told otherwise.
    #[default]
    Base64Url,
    /// The JSON itself, percent-encoded.
    Raw,
}

/// The cookies of one session, by their name and attributes.
///
/// The defaults are those of `@supabase/ssr`: neither `Secure` nor `HttpOnly`, since a frontend on
/// `http://localhost` that reads `document.cookie` wants it so.
#[derive(Clone, Debug)]
pub struct SsrCookies {
    name: SessionName,
    domain: Option<Box<str>>,
    is_secure: bool,
    is_http_only: bool,
    encoding: SsrEncoding,
    has_user: bool,
}

impl SsrCookies {
    /// By the name that supabase-js derives from the URL of the project: `sb-abc-auth-token` for
    /// `https://abc.supabase.co`.
    ///
    /// # Errors
    /// When that is not a URL with a host, or when no cookie can have the name.
    pub fn of_project(project_url: &str) -> Result<Self, InvalidSsrCookie> {
        name::of_project(project_url).map(Self::new)
    }

    /// By a name of one's own: `cookieOptions.name`.
    ///
    /// # Errors
    /// When no cookie can have the name.
    pub fn named(name: &str) -> Result<Self, InvalidSsrCookie> {
        name::named(name).map(Self::new)
    }

    const fn new(name: SessionName) -> Self {
        let encoding = SsrEncoding::Base64Url;
        Self { name, domain: None, is_secure: false, is_http_only: false, encoding, has_user: true }
    }

    /// Sent over `https` alone.
    #[must_use]
    pub const fn secure(mut self) -> Self {
        self.is_secure = true;
        self
    }

    /// Out of reach of scripts: then no client in the browser shares the session.
    #[must_use]
    pub const fn http_only(mut self) -> Self {
        self.is_http_only = true;
        self
    }

    /// Shared with the subdomains of this domain.
    ///
    /// # Errors
    /// When that is not the name of a domain.
    pub fn domain(mut self, domain: &str) -> Result<Self, InvalidSsrCookie> {
        let is_domain_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        if domain.is_empty() || !domain.bytes().all(is_domain_byte) {
            return Err(InvalidSsrCookie::Domain(domain.to_owned()));
        }
        self.domain = Some(domain.into());
        Ok(self)
    }

    /// Written in this encoding.
    #[must_use]
    pub const fn encoding(mut self, encoding: SsrEncoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Written without `user`: `cookies.encode: 'tokens-only'`.
    #[must_use]
    pub const fn tokens_only(mut self) -> Self {
        self.has_user = false;
        self
    }

    #[cfg(feature = "axum")]
    pub(super) const fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The name, without the number of a chunk.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The sessions in the cookies of a request: at most one, unless two domain scopes have cookies of one
    /// name. What cannot be read is none. A request with more of these cookies than a browser would send has
    /// none either.
    pub fn read(&self, request: &HeaderMap) -> Vec<SsrSession> {
        let jar = Jar::of(&self.name, request);
        jar.values().iter().filter_map(|value| SsrSession::read(value)).collect()
    }

    /// Whether a request has any cookie of a session, readable or not.
    pub(super) fn are_in(&self, request: &HeaderMap) -> bool {
        cookies::all(request).any(|(name, _)| self.has_part(name))
    }

    /// A `Cookie` line with the names of the session's cookies in a request, and no values.
    pub(super) fn names_in(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let jar = Jar::of(&self.name, request);
        let names: Vec<_> = jar.names().into_iter().map(|name| format!("{name}=")).collect();
        HeaderValue::try_from(names.join("; ")).ok().filter(|line| !line.is_empty())
    }

    /// Whether a cookie of this name is one of the session's.
    pub(super) fn has_part(&self, name: &[u8]) -> bool {
        self.name.part(name).is_some()
    }

    /// The `Set-Cookie` lines that put this session into the browser in place of what the request says is
    /// there: the chunks of a longer one are deleted first, and a cookie that is there already is not written
    /// again. `now` dates an answer that does not say when its access token expires.
    ///
    /// They hold the tokens. Send them with [`set`](Self::set), or else with the headers that forbid to cache
    /// them.
    pub fn write(&self, request: &HeaderMap, tokens: &TokenSet, now: SystemTime) -> Vec<HeaderValue> {
        let document = document(tokens, now, self.has_user);
        let value = match self.encoding {
            SsrEncoding::Raw => document,
            SsrEncoding::Base64Url => base64url_encoded(&document),
        };
        let names = |number| match number {
            None => self.name().to_owned(),
            Some(number) => format!("{}.{number}", self.name()),
        };
        let parts: Vec<_> = chunks(&value).into_iter().map(|(number, part)| (names(number), part)).collect();
        let jar = Jar::of(&self.name, request);
        let is_left_over = |name: &&str| parts.iter().all(|(part, _)| part != name);
        let left_over: Vec<_> = jar.names().into_iter().filter(is_left_over).collect();
        let mut lines = self.removals(&left_over);
        lines.extend(
            parts
                .iter()
                .filter(|(name, value)| !jar.has(name, value))
                .map(|(name, value)| self.line(name, value, MAX_AGE, self.domain.as_deref())),
        );
        lines
    }

    /// The `Set-Cookie` lines that take the session out of the browser, as far as the request says that it is
    /// there.
    pub fn clear(&self, request: &HeaderMap) -> Vec<HeaderValue> {
        self.removals(&Jar::of(&self.name, request).names())
    }

    /// Takes the session's cookies out of a request, and leaves all others: what is behind needs no refresh
    /// token.
    pub fn remove_from(&self, request: &mut HeaderMap) {
        cookies::without(request, |name| self.has_part(name));
    }

    /// Adds `Set-Cookie` lines to a response, if there are any, with the headers that keep every cache from
    /// handing out somebody's session to others, in the words of `@supabase/ssr`.
    pub fn set(response: &mut HeaderMap, lines: Vec<HeaderValue>) {
        const HEADERS: [(HeaderName, &str); 3] = [
            (CACHE_CONTROL, "private, no-cache, no-store, must-revalidate, max-age=0"),
            (EXPIRES, "0"),
            (PRAGMA, "no-cache"),
        ];
        if lines.is_empty() {
            return;
        }
        for (name, value) in HEADERS {
            response.insert(name, HeaderValue::from_static(value));
        }
        for line in lines {
            response.append(SET_COOKIE, line);
        }
    }

    /// With a domain, a cookie of the host alone may be left from before there was one: it is deleted first,
    /// because stores that go by the name keep the last line.
    fn removals(&self, names: &[&str]) -> Vec<HeaderValue> {
        let domain = self.domain.as_deref();
        let host_only = names.iter().filter(|_| domain.is_some()).map(|name| self.line(name, "", 0, None));
        host_only.chain(names.iter().map(|name| self.line(name, "", 0, domain))).collect()
    }

    /// One line, its attributes in the order of the `cookie` package.
    fn line(&self, name: &str, value: &str, max_age: u32, domain: Option<&str>) -> HeaderValue {
        let mut line = format!("{name}={}; Max-Age={max_age}", encode_uri_component(value));
        if let Some(domain) = domain {
            // Writing to a string cannot fail.
            let _ = write!(line, "; Domain={domain}");
        }
        line.push_str("; Path=/");
        for (is_set, attribute) in [(self.is_http_only, "; HttpOnly"), (self.is_secure, "; Secure")] {
            if is_set {
                line.push_str(attribute);
            }
        }
        line.push_str("; SameSite=Lax");
        let mut line =
            HeaderValue::try_from(line).expect("names, domains and encoded values are visible ASCII");
        line.set_sensitive(true);
        line
    }
}
