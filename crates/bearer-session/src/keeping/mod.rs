//! How a browser keeps its session: [`OpaqueCookie`], the default, or the cookies of `@supabase/ssr`.

mod begin;
mod check;
pub(crate) mod cookies;
mod opaque;
mod removed;
pub mod ssr;
#[cfg(all(test, feature = "http"))]
mod tests;

pub use self::{cookies::InvalidCookie, opaque::OpaqueCookie};

pub(crate) use self::removed::Removed;
#[cfg(feature = "axum")]
pub(crate) use self::removed::jar;

use self::{
    check::{Check, FirstExchange, newest_first},
    opaque::Untrusted,
    ssr::{SsrCookies, SsrSession},
};
use crate::{
    Access, SessionError, SessionErrorKind, SessionId, Sessions, TokenSet, endpoint::OnBehalf, store::Key,
};
use http::{HeaderMap, HeaderValue};
use std::{sync::Arc, time::SystemTime};
use tower_bearer::Verify;

/// How browsers keep their sessions: for the [`SessionLayer`](crate::SessionLayer) and the routes, which must
/// be given the same.
///
/// * An [`OpaqueCookie`] becomes one by `into()`, or where a keeping is asked for.
/// * [`supabase_ssr`](Self::supabase_ssr) shares the session with a frontend that has supabase-js.
///
/// Where this side shall only read the cookies of `@supabase/ssr`, and somebody else refreshes, none of this
/// is needed: the gate takes the access token out of them by itself
/// ([`Source::supabase_session`](tower_bearer::Source::supabase_session)), and never writes one.
#[derive(Clone, Debug)]
pub struct Keeping(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Opaque(OpaqueCookie),
    SupabaseSsr { cookies: Arc<SsrCookies>, check: Check },
}

/// What a request says of its session.
#[derive(Debug)]
pub(crate) enum Brought {
    /// Nothing at all.
    Nothing,
    /// Something that leads nowhere.
    Untrusted,
    /// A name that only the browser of the session knows.
    Id(SessionId),
    /// Tokens that nobody has verified, the newest first.
    Pairs(Vec<SsrSession>),
}

impl From<OpaqueCookie> for Keeping {
    fn from(cookie: OpaqueCookie) -> Self {
        Self(Kind::Opaque(cookie))
    }
}

impl Keeping {
    /// The cookies of `@supabase/ssr`, of which this side is the owner: it alone refreshes, and the browser
    /// gets each new pair with the answer to whatever it asks next. A tab that still has an older pair is led
    /// to the newest. Where a request has several pairs, of several domain scopes, the one that expires last
    /// is tried first, and at most three of them. Of pairs that were never seen here, a request has one
    /// exchanged: if the issuer refuses that one, and another is left, the answer is 503 with `Retry-After`,
    /// and the next request tries the other.
    ///
    /// A session that another library began is taken over if its access token is one that `verifier` accepts,
    /// or would have accepted before it expired: the gate's own verifier. The tokens are within reach of
    /// scripts, unless the cookies are [`http_only`](SsrCookies::http_only); and the frontend must be told
    /// not to refresh (`autoRefreshToken: false`). Even then supabase-js refreshes a session that it reads
    /// with less than 90 s left: its new pair is taken over as a session of its own, beside the older one.
    ///
    /// A session that the store has lost begins anew with what the browser has.
    ///
    /// Taking over asks nobody but `verifier`. Whoever has one access token can so begin many sessions with
    /// refresh tokens of their own making, one with each request, each of which takes a place in the store
    /// until it is tried, and costs a request to the issuer: limit the rate of requests in front of a
    /// [`MemoryStore`](crate::store::MemoryStore), which is full at some time, and of an issuer that counts.
    pub fn supabase_ssr<V>(cookies: SsrCookies, verifier: V) -> Self
    where
        V: Verify<Future: Send> + Send + Sync + 'static,
    {
        Self(Kind::SupabaseSsr { cookies: Arc::new(cookies), check: Check::by(verifier) })
    }

    pub(crate) fn brought(&self, request: &HeaderMap) -> Brought {
        match &self.0 {
            Kind::Opaque(cookie) => match cookie.read(request) {
                None => Brought::Nothing,
                Some(Ok(id)) => Brought::Id(id),
                Some(Err(Untrusted)) => Brought::Untrusted,
            },
            Kind::SupabaseSsr { cookies, .. } if !cookies.are_in(request) => Brought::Nothing,
            Kind::SupabaseSsr { cookies, .. } => match cookies.read(request) {
                pairs if pairs.is_empty() => Brought::Untrusted,
                pairs => Brought::Pairs(newest_first(pairs)),
            },
        }
    }

    /// The name of the session in the store. Nothing is refreshed.
    pub(crate) async fn key(&self, sessions: &Sessions, brought: &Brought) -> Result<Key, SessionError> {
        match (brought, &self.0) {
            (Brought::Id(id), _) => Ok(id.key()),
            (Brought::Pairs(pairs), Kind::SupabaseSsr { check, .. }) => {
                let (mut best, mut first) = (Best::default(), FirstExchange::default());
                for pair in pairs {
                    if let Some(key) = best.of(check.adopt(sessions, pair, &mut first).await) {
                        return Ok(key);
                    }
                }
                Err(best.0)
            }
            _ => Err(SessionError::SIGNED_OUT),
        }
    }

    /// An access token that lives, and the `Set-Cookie` lines by which the browser learns of new ones.
    pub(crate) async fn access(
        &self,
        sessions: &Sessions,
        brought: &Brought,
        request: &HeaderMap,
        on_behalf: OnBehalf,
    ) -> Result<(Access, Vec<HeaderValue>), SessionError> {
        match (brought, &self.0) {
            (Brought::Id(id), _) => Ok((sessions.access(id, on_behalf).await?, Vec::new())),
            (Brought::Pairs(pairs), Kind::SupabaseSsr { check, cookies }) => {
                let (mut best, mut first) = (Best::default(), FirstExchange::default());
                for pair in pairs {
                    let Some(key) = best.of(check.adopt(sessions, pair, &mut first).await) else { continue };
                    let Some(access) = best.of(sessions.access(key, on_behalf).await) else { continue };
                    let is_known = is_known(&access, pair);
                    let lines = if is_known { Vec::new() } else { renewed(cookies, request, &access) };
                    return Ok((access, lines));
                }
                Err(best.0)
            }
            _ => Err(SessionError::SIGNED_OUT),
        }
    }

    /// The lines by which the browser learns of this session's tokens, where it keeps these itself; or by
    /// which its cookie does not expire while the session goes on.
    #[cfg_attr(not(feature = "axum"), allow(dead_code, reason = "used by the routes"))]
    pub(crate) fn renewed(&self, request: &HeaderMap, access: &Access) -> Vec<HeaderValue> {
        match &self.0 {
            Kind::Opaque(cookie) => cookie.renew(request, access, SystemTime::now()).into_iter().collect(),
            Kind::SupabaseSsr { cookies, .. } => renewed(cookies, request, access),
        }
    }

    /// The lines that take the session out of the browser.
    pub(crate) fn clear(&self, request: &HeaderMap) -> Vec<HeaderValue> {
        match &self.0 {
            Kind::Opaque(cookie) => vec![cookie.clear()],
            Kind::SupabaseSsr { cookies, .. } => cookies.clear(request),
        }
    }

    /// Whether browsers keep the session over `https` alone.
    #[cfg(feature = "axum")]
    pub(crate) fn is_secure(&self) -> bool {
        match &self.0 {
            Kind::Opaque(cookie) => cookie.is_secure(),
            Kind::SupabaseSsr { cookies, .. } => cookies.is_secure(),
        }
    }

    /// Takes the session's cookies out of a request.
    pub(crate) fn remove_from(&self, request: &mut HeaderMap) -> Removed {
        match &self.0 {
            Kind::Opaque(cookie) => {
                cookie.remove_from(request);
                // That there is one cookie, and its name, is known without a request.
                Removed(None)
            }
            Kind::SupabaseSsr { cookies, .. } => {
                let removed = Removed(cookies.names_in(request));
                cookies.remove_from(request);
                removed
            }
        }
    }

    /// Whether a `Set-Cookie` line is about the session.
    pub(crate) fn is_in(&self, line: &HeaderValue) -> bool {
        let name = line.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        match &self.0 {
            Kind::Opaque(cookie) => name == cookie.name().as_bytes(),
            Kind::SupabaseSsr { cookies, .. } => cookies.has_part(name),
        }
    }
}

/// Why none of several is good for anything: one that only time can tell of says more than one that is over.
struct Best(SessionError);

impl Best {
    fn of<T>(&mut self, answer: Result<T, SessionError>) -> Option<T> {
        match answer {
            Ok(found) => return Some(found),
            Err(error) if error.kind() == SessionErrorKind::SignedOut && !error.keeps_cookie() => {}
            Err(error) if error.keeps_cookie() && self.0.kind() == SessionErrorKind::Unavailable => {}
            Err(error) => self.0 = error,
        }
        None
    }
}

impl Default for Best {
    fn default() -> Self {
        Self(SessionError::SIGNED_OUT)
    }
}

fn is_known(access: &Access, pair: &SsrSession) -> bool {
    access.refresh_token() == pair.refresh_token.as_ref() && *access.token() == pair.access_token
}

/// A session without a refresh token is found by the last one it had: the browser keeps that.
fn renewed(cookies: &SsrCookies, request: &HeaderMap, access: &Access) -> Vec<HeaderValue> {
    let Some(refresh_token) = access.refresh_token() else { return Vec::new() };
    let tokens = TokenSet {
        refresh_token: Some(refresh_token.clone()),
        document: access.document().cloned(),
        ..TokenSet::new(access.token().clone(), access.expires_in())
    };
    cookies.write(request, &tokens, SystemTime::now())
}
