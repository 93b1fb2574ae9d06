//! The claims that every access token is asked about (RFC 7519 §4.1, RFC 8693 §4.2–4.3, RFC 9068 §2.2).

use super::{
    issuer::Issuer,
    payload::{Payload, ScopeClaim},
};
use crate::scope::is_scope_token;
use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The registered claims of a verified token: what policies, logs and metrics look at.
///
/// Also a claims type: the one of an [`Issuer`](crate::Issuer) that was not given its own, and readable as such
/// beside that one too.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegisteredClaims {
    /// `iss`: who issued the token. `None` only behind
    /// [`Issuer::allow_missing_iss`](crate::Issuer::allow_missing_iss).
    pub iss: Option<Arc<str>>,
    /// `sub`: whom the token speaks of.
    pub sub: Option<String>,
    /// `aud`: for whom the token is meant.
    pub aud: Audience,
    /// `exp`: the token is over from then on. A verified JWT always has it.
    pub exp: Option<SystemTime>,
    /// `nbf`: the token is not valid before.
    pub nbf: Option<SystemTime>,
    /// `iat`: when the token was issued.
    pub iat: Option<SystemTime>,
    /// `jti`: the token's own id.
    pub jti: Option<String>,
    /// `client_id`, or `azp` where there is none: the OAuth client that asked for the token.
    pub client_id: Option<String>,
    /// `session_id`: the session that the token belongs to, as Supabase names it.
    pub session_id: Option<String>,
    /// `sid`: the session that the token belongs to, as it is named in logout tokens (OpenID Connect
    /// Back-Channel Logout §2.1). A token may have both, and they may differ.
    pub sid: Option<String>,
    /// `scope` or `scp`.
    pub scopes: Scopes,
}

/// `aud`: a list of exact strings; a single string is a list of one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Audience(Names);

/// Nearly all tokens have one audience: no list is made for it.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Names {
    One(Arc<str>),
    Many(Vec<Arc<str>>),
}

impl Default for Names {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Audience {
    /// Whether `name` is one of them. Compared byte by byte: no prefix, no case folding, no trailing slash.
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|audience| audience == name)
    }

    /// The single audiences.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let names = match &self.0 {
            Names::One(name) => std::slice::from_ref(name),
            Names::Many(names) => names,
        };
        names.iter().map(|name| &**name)
    }
}

impl<S: Into<Arc<str>>> FromIterator<S> for Audience {
    fn from_iter<I: IntoIterator<Item = S>>(audiences: I) -> Self {
        let mut audiences = audiences.into_iter().map(Into::into);
        Self(match (audiences.next(), audiences.next()) {
            (Some(one), None) => Names::One(one),
            (first, second) => Names::Many(first.into_iter().chain(second).chain(audiences).collect()),
        })
    }
}

/// The scopes of a token (RFC 6749 §3.3): compared whole, case-sensitively, in any order.
///
/// ```
/// use tower_bearer::Scopes;
///
/// let scopes: Scopes = ["orders:read", "profile"].into_iter().collect();
/// assert!(scopes.contains("profile"));
/// assert!(!scopes.contains("orders"));
/// assert!(!scopes.contains("orders:read profile"), "one token at a time");
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scopes(Box<str>);

impl Scopes {
    /// Whether the token carries this scope.
    pub fn contains(&self, token: &str) -> bool {
        !token.is_empty() && self.iter().any(|scope| scope == token)
    }

    /// The single scope tokens.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        // The delimiter is the space alone; doubled spaces make no empty token.
        self.0.split(' ').filter(|token| !token.is_empty())
    }
}

/// What is not a scope token (RFC 6749 §3.3) is left out: an element with a space in it must not count as
/// two.
impl<'a> FromIterator<&'a str> for Scopes {
    fn from_iter<I: IntoIterator<Item = &'a str>>(tokens: I) -> Self {
        let tokens: Vec<_> = tokens.into_iter().filter(|token| is_scope_token(token)).collect();
        Self(tokens.join(" ").into())
    }
}

impl RegisteredClaims {
    /// The names of issuer and audience are those that the issuer was set up with: shared, not copied.
    pub(super) fn of(payload: &Payload<'_>, issuer: &Issuer) -> Self {
        let text = |claim: &Option<Cow<'_, str>>| claim.as_deref().map(Into::into);
        Self {
            iss: payload.iss.as_ref().map(|_| Arc::clone(&issuer.iss)),
            sub: text(&payload.sub),
            aud: payload.aud.iter().map(|aud| issuer.shared_audience(aud)).collect(),
            exp: payload.exp.map(time),
            nbf: payload.nbf.map(time),
            iat: payload.iat.map(time),
            jti: text(&payload.jti),
            client_id: text(&payload.client_id).or_else(|| text(&payload.azp)),
            session_id: text(&payload.session_id),
            sid: text(&payload.sid),
            scopes: match payload.granted(issuer.scope_lists) {
                None => Scopes::default(),
                Some(ScopeClaim::Text(text)) => Scopes((**text).into()),
                Some(ScopeClaim::List(list)) => list.iter().map(|token| &**token).collect(),
            },
        }
    }
}

pub(super) fn time(seconds: f64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs_f64(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rs_037_to_039_scope_tokens_are_compared_whole() {
        let granted = |text: &str, token: &str| Scopes(text.into()).contains(token);
        for (text, token) in [("read", "read"), ("b a a", "a"), (" read ", "read"), ("a  b", "b")] {
            assert!(granted(text, token), "{text:?} grants {token:?}");
        }
        let nothing = [
            ("Read", "read"),
            ("rea", "read"),
            ("readwrite", "read"),
            ("read:x", "read"),
            ("x\tread", "read"),
            ("x,read", "read"),
            ("x\u{a0}read", "read"),
            ("x\nread", "read"),
            ("a  b", ""),
            ("", ""),
            ("a b", "a b"),
        ];
        for (text, token) in nothing {
            assert!(!granted(text, token), "{text:?} must not grant {token:?}");
        }
    }

    #[test]
    fn a_listed_scope_with_a_space_in_it_grants_nothing() {
        let scopes: Scopes = ["a b", "c"].into_iter().collect();
        assert!(scopes.contains("c") && !scopes.contains("a") && !scopes.contains("b"));
    }
}
