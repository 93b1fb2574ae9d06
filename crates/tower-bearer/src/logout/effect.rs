//! [`Effect`]: a good logout token revokes, once.

use super::answer::Refusal;
use crate::{
    AuthError, LogoutToken,
    revocation::{DenyList, Full, Key, Kind, Table, Term},
};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

/// What a good logout token brings about.
#[derive(Clone)]
pub(super) struct Effect {
    pub(super) list: DenyList,
    pub(super) seen: Arc<Table>,
    pub(super) lifetime: Duration,
    pub(super) hook: Option<Hook>,
}

/// What the application does at a logout; see [`on_logout`](super::LogoutReceiver::on_logout).
pub(super) type Hook = Arc<dyn Fn(LogoutToken) -> Heeded + Send + Sync>;

/// What came of that.
pub(super) type Heeded = Pin<Box<dyn Future<Output = Result<(), AuthError>> + Send>>;

/// A logout that is being carried out.
pub(super) struct Heeding {
    /// `None` where the list was all.
    hook: Option<Heeded>,
    taken: Taken,
}

/// A logout token that nobody else heeds. Where the logout came to nothing, or was broken off, the issuer may
/// repeat it.
struct Taken {
    seen: Arc<Table>,
    iss: String,
    jti: String,
    at: SystemTime,
    is_done: bool,
}

impl Effect {
    /// Takes the `jti`, and revokes (Back-Channel Logout §2.6, §2.7).
    pub(super) fn of(&self, token: LogoutToken, now: SystemTime) -> Result<Heeding, Refusal> {
        let taken = Taken::new(&self.seen, &token, now)?;
        self.revoke(&token).map_err(full)?;
        Ok(Heeding { hook: self.hook.as_ref().map(|hook| hook(token)), taken })
    }

    fn revoke(&self, token: &LogoutToken) -> Result<(), Full> {
        // Both dates are of the issuer's clock, so no leeway: it would refuse who signs in again at once. But
        // issuers count in whole seconds, and a token of the same second may be one from before.
        let issued_before = token.iat + Duration::from_secs(1);
        match (&token.sid, &token.sub) {
            // Not for good: a user who only takes the consent back that this client has is signed in at the
            // issuer as before, and has the same `sid` when they come back (Keycloak).
            (Some(sid), _) => self.list.revoke_session_before(&token.iss, sid, issued_before, self.lifetime),
            (None, Some(sub)) => self.list.revoke_subject(&token.iss, sub, issued_before, self.lifetime),
            // The verifier lets none of these through.
            (None, None) => Err(Full),
        }
    }
}

impl Heeding {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        if let Some(hook) = &mut self.hook {
            ready!(hook.as_mut().poll(cx)).map_err(Refusal::Token)?;
        }
        self.taken.is_done = true;
        Poll::Ready(Ok(()))
    }
}

impl Taken {
    fn new(seen: &Arc<Table>, token: &LogoutToken, now: SystemTime) -> Result<Self, Refusal> {
        let id = Key { kind: Kind::LogoutToken, iss: &token.iss, name: &token.jti };
        let mut is_new = false;
        let term = Term { until: token.refused_from, issued_before: None };
        let take = |before: Option<Term>| {
            is_new = before.is_none();
            before.or(Some(term))
        };
        seen.update(&id, now, take).map_err(full)?;
        if !is_new {
            return Err(Refusal::Token(AuthError::invalid_token("the logout token came before")));
        }
        let (iss, jti) = (token.iss.clone(), token.jti.clone());
        Ok(Self { seen: Arc::clone(seen), iss, jti, at: now, is_done: false })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.is_done {
            let id = Key { kind: Kind::LogoutToken, iss: &self.iss, name: &self.jti };
            // Forgetting one makes room, and so cannot fail.
            let _ = self.seen.update(&id, self.at, |_| None);
        }
    }
}

fn full(full: Full) -> Refusal {
    Refusal::Token(AuthError::unavailable("no room for a logout").with_source(full))
}
