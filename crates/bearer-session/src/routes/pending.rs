//! [`Pending`]: a sign-in under way, sealed in a cookie of the browser that began it.

use crate::{Keyring, Secret, Sessions, endpoint::PkceVerifier, keeping::cookies, random, store::Key};
use axum::http::{HeaderMap, HeaderValue};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tower_bearer::ReturnPath;
use zeroize::Zeroizing;

/// For how long a user may be away.
const TERM: Duration = Duration::from_secs(600);

/// Sign-ins of one browser that are kept at once, in tabs beside each other. With one more the old ones are
/// forgotten, before their cookies fill the header.
const MOST: usize = 3;

/// What is kept while the user is at the issuer.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) state: Secret,
    pub(super) nonce: Secret,
    pub(super) verifier: PkceVerifier,
    pub(super) return_to: ReturnPath,
}

/// Where it is kept.
#[derive(Clone, Copy)]
pub(super) struct PendingCookies<'a> {
    keyring: &'a Keyring,
    is_secure: bool,
}

#[derive(Deserialize, Serialize)]
struct Written<T> {
    state: T,
    nonce: T,
    verifier: T,
    return_to: T,
    /// Seconds since 1970.
    expires_at: u64,
}

impl Pending {
    pub(super) fn new(return_to: ReturnPath) -> Self {
        let text = || Secret::new(URL_SAFE_NO_PAD.encode(random::bytes::<32>()));
        Self { state: text(), nonce: text(), verifier: PkceVerifier::generate(), return_to }
    }
}

impl<'a> PendingCookies<'a> {
    pub(super) fn new(sessions: &'a Sessions, is_secure: bool) -> Self {
        Self { keyring: sessions.keyring(), is_secure }
    }

    /// The lines that keep it.
    pub(super) fn keep(self, pending: &Pending, request: &HeaderMap, now: SystemTime) -> Vec<HeaderValue> {
        let state = pending.state.expose();
        let others = self.all(request);
        let mut lines = Vec::new();
        if others.len() >= MOST {
            lines.extend(others.iter().map(|name| line(self.is_secure, name, "", 0)));
        }
        let written = Written {
            state,
            nonce: pending.nonce.expose(),
            verifier: pending.verifier.secret().expose(),
            return_to: pending.return_to.as_str(),
            expires_at: (since_1970(now) + TERM).as_secs(),
        };
        let plain = Zeroizing::new(serde_json::to_vec(&written).expect("strings and a number are JSON"));
        let sealed = URL_SAFE_NO_PAD.encode(self.keyring.seal(&purpose(), 0, &plain));
        lines.push(line(self.is_secure, &self.name(state), &sealed, TERM.as_secs()));
        lines
    }

    /// The sign-in that this browser began with this state, if it is still under way.
    pub(super) fn find(self, state: &str, request: &HeaderMap, now: SystemTime) -> Option<Pending> {
        let name = self.name(state);
        let mut found = cookies::all(request).filter(|(cookie, _)| *cookie == name.as_bytes());
        let (Some((_, value)), None) = (found.next(), found.next()) else { return None };
        let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
        let plain = self.keyring.open(&purpose(), 0, &sealed)?;
        let written: Written<String> = serde_json::from_slice(&plain).ok()?;
        // By digests, so that the time it takes tells nothing of the state.
        let is_same = Key::of("state", state) == Key::of("state", &written.state);
        let is_in_time = since_1970(now).as_secs() < written.expires_at;
        (is_same && is_in_time).then_some(())?;
        Some(Pending {
            state: Secret::new(written.state),
            nonce: Secret::new(written.nonce),
            verifier: PkceVerifier::from_secret(Secret::new(written.verifier)),
            return_to: ReturnPath::parse(&written.return_to)?,
        })
    }

    /// Whether this browser has begun any sign-in here.
    pub(super) fn are_in(self, request: &HeaderMap) -> bool {
        !self.all(request).is_empty()
    }

    /// The line that forgets it: a state is good once.
    pub(super) fn forget(self, state: &str) -> HeaderValue {
        line(self.is_secure, &self.name(state), "", 0)
    }

    /// One for each sign-in, told apart by the first characters of the state.
    fn name(self, state: &str) -> String {
        let start = state.get(..8).filter(|start| is_base64url(start.as_bytes())).unwrap_or("unknown");
        format!("{}{start}", self.prefix())
    }

    const fn prefix(self) -> &'static str {
        if self.is_secure { "__Host-sign-in-" } else { "sign-in-" }
    }

    fn all(self, request: &HeaderMap) -> Vec<&str> {
        cookies::all(request)
            .map(|(name, _)| name)
            .filter(|name| name.starts_with(self.prefix().as_bytes()) && is_base64url(name))
            .filter_map(|name| str::from_utf8(name).ok())
            .collect()
    }
}

/// A cookie of a sign-in: for this host alone where it can be, out of reach of scripts, and there when the
/// user is sent here from another site. `max_age` is in seconds.
pub(super) fn line(is_secure: bool, name: &str, value: &str, max_age: u64) -> HeaderValue {
    let secure = if is_secure { "; Secure" } else { "" };
    let line = format!("{name}={value}; Max-Age={max_age}; Path=/; HttpOnly{secure}; SameSite=Lax");
    let mut line = HeaderValue::try_from(line).expect("names and base64url are visible ASCII");
    line.set_sensitive(true);
    line
}

/// As states are written, and so the names of these cookies: what else is sent under the prefix is not ours.
fn is_base64url(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Keeps what is sealed here apart from sessions.
fn purpose() -> Key {
    Key::of("sign-in", "")
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::COOKIE;

    #[test]
    fn a_sign_in_is_found_in_time_by_its_state_in_its_browser() {
        let (ours, theirs) = (Keyring::new(&[1; 32]), Keyring::new(&[2; 32]));
        let cookies = |keyring| PendingCookies { keyring, is_secure: true };
        let pending = Pending::new(ReturnPath::parse("/a").expect("a path"));
        let (state, now) = (pending.state.expose(), SystemTime::now());
        let line = cookies(&ours).keep(&pending, &HeaderMap::new(), now).remove(0);
        let pair = line.to_str().unwrap().split(';').next().unwrap();
        let request = |line: String| HeaderMap::from_iter([(COOKIE, line.parse().unwrap())]);
        let in_time = now + TERM - Duration::from_secs(1);
        let same_start = format!("{}{}", &state[..8], "A".repeat(35));
        for (name, keyring, state, line, at, expected) in [
            ("good", &ours, state, pair.to_owned(), in_time, true),
            ("late", &ours, state, pair.to_owned(), now + TERM, false),
            ("another state of the same start", &ours, &same_start, pair.to_owned(), now, false),
            ("another state", &ours, &same_start[8..], pair.to_owned(), now, false),
            ("another key", &theirs, state, pair.to_owned(), now, false),
            ("twice", &ours, state, format!("{pair}; {pair}"), now, false),
            ("cut", &ours, state, pair[..pair.len() - 4].to_owned(), now, false),
            ("another browser", &ours, state, "a=b".to_owned(), now, false),
        ] {
            let found = cookies(keyring).find(state, &request(line), at);
            assert_eq!(found.is_some(), expected, "{name}");
            if let Some(found) = found {
                assert_eq!((found.nonce, found.verifier), (pending.nonce.clone(), pending.verifier.clone()));
            }
        }
    }
}
