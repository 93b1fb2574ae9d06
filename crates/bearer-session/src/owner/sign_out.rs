//! Signing out.

use super::{Owner, SOON, SessionError, SessionErrorKind, local::Held, within::within};
use crate::{
    endpoint::{OnBehalf, SignOutScope},
    store::Key,
};
use std::sync::Arc;
use tokio::time::Instant;
use tracing::warn;

impl Owner {
    pub(super) async fn sign_out(
        self: &Arc<Self>,
        key: Key,
        scope: SignOutScope,
        on_behalf: OnBehalf,
    ) -> Result<(), SessionError> {
        let held = match self.tokens_for(key, scope, on_behalf).await {
            Ok(held) => held,
            Err(error) if scope == SignOutScope::Others => {
                return if error.kind() == SessionErrorKind::SignedOut { Ok(()) } else { Err(error) };
            }
            Err(error) => return self.sign_out_unseen(key, scope, error.kind()).await,
        };
        // First here, so that nothing is refreshed that the issuer is about to end.
        if scope != SignOutScope::Others {
            let until = Instant::now() + self.settings.store_timeout;
            if !self.end_row(key, until).await {
                return Err(SessionError::unavailable(SOON));
            }
            // Somebody may have noticed the end meanwhile, and told of this one session.
            if !self.over(&key, scope) {
                self.announce(&held, scope, Instant::now());
            }
        }
        let told = self.tell_issuer(&held, scope, on_behalf).await;
        if scope == SignOutScope::Global {
            // Again: until the issuer has heard of it, it may have issued tokens to the user's other
            // sessions.
            self.announce(&held, scope, Instant::now());
        }
        // What is left of this one session at the issuer, nobody knows the tokens of any more.
        if told || scope == SignOutScope::Local { Ok(()) } else { Err(SessionError::unavailable(SOON)) }
    }

    /// A session whose tokens nobody here knows: it is over, or cannot be read. Whatever lies in the store is
    /// ended.
    async fn sign_out_unseen(
        &self,
        key: Key,
        scope: SignOutScope,
        why: SessionErrorKind,
    ) -> Result<(), SessionError> {
        let until = Instant::now() + self.settings.store_timeout;
        if !self.end_row(key, until).await {
            return Err(SessionError::unavailable(SOON));
        }
        self.over(&key, scope);
        let told = why == SessionErrorKind::SignedOut || scope == SignOutScope::Local;
        if told { Ok(()) } else { Err(SessionError::unavailable(SOON)) }
    }

    /// What the issuer wants to see: for the sessions elsewhere, an access token that lives.
    async fn tokens_for(
        self: &Arc<Self>,
        key: Key,
        scope: SignOutScope,
        on_behalf: OnBehalf,
    ) -> Result<Arc<Held>, SessionError> {
        match scope {
            SignOutScope::Local => self.look_or_trust(key, Instant::now() + self.settings.wait).await,
            SignOutScope::Others | SignOutScope::Global => match self.access(key, on_behalf).await {
                Err(error) if error.kind() == SessionErrorKind::Unavailable => {
                    self.look_or_trust(key, Instant::now() + self.settings.wait).await
                }
                known => known,
            },
        }
    }

    async fn tell_issuer(&self, held: &Held, scope: SignOutScope, on_behalf: OnBehalf) -> bool {
        let (access, refresh) = (&held.record.access_token, held.record.refresh_token.as_ref());
        let deadline = Instant::now() + self.settings.request_timeout;
        match within(deadline, self.endpoint.sign_out(access, refresh, scope, on_behalf)).await {
            Some(Ok(())) => true,
            Some(Err(error)) => {
                warn!(key = ?held.key, %error, "the issuer could not be told of a sign-out");
                false
            }
            None => false,
        }
    }
}
