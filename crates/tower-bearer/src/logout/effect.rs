//! [`Effect`]: a good logout token revokes, once.

use super::answer::Refusal;
use crate::{
    AuthError, LogoutToken,
    revocation::{DenyList, Full, Key, Kind, Table, Term},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What a good logout token brings about.
#[derive(Clone)]
pub(super) struct Effect {
    pub(super) list: DenyList,
    pub(super) seen: Arc<Table>,
    pub(super) lifetime: Duration,
}

impl Effect {
    /// Takes the `jti`, and revokes (Back-Channel Logout §2.6, §2.7).
    pub(super) fn of(&self, token: &LogoutToken, now: SystemTime) -> Result<(), Refusal> {
        let full =
            |full: Full| Refusal::Token(AuthError::unavailable("no room for a logout").with_source(full));
        let id = Key { kind: Kind::LogoutToken, iss: &token.iss, name: &token.jti };
        let mut is_new = false;
        let seen = Term { until: token.refused_from, issued_before: None };
        self.seen
            .update(&id, now, |before| {
                is_new = before.is_none();
                before.or(Some(seen))
            })
            .map_err(full)?;
        if !is_new {
            return Err(Refusal::Token(AuthError::invalid_token("the logout token came before")));
        }
        self.revoke(token).map_err(|error| {
            // Nothing happened, so the issuer may repeat it. Forgetting one makes room, and so cannot fail.
            let _ = self.seen.update(&id, now, |_| None);
            full(error)
        })
    }

    fn revoke(&self, token: &LogoutToken) -> Result<(), Full> {
        match (&token.sid, &token.sub) {
            (Some(sid), _) => self.list.revoke_session(&token.iss, sid, self.lifetime),
            (None, Some(sub)) => {
                // Both dates are of the issuer's clock, so no leeway: it would refuse who signs in again at
                // once. But issuers count in whole seconds, and a token of the same second may be one from
                // before.
                let issued_before = token.iat + Duration::from_secs(1);
                self.list.revoke_subject(&token.iss, sub, issued_before, self.lifetime)
            }
            // The verifier lets none of these through.
            (None, None) => Err(Full),
        }
    }
}
