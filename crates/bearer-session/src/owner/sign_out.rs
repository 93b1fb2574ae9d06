//! Signing out.

use super::{Owner, SOON, SessionError, SessionErrorKind, local::Held, within::within};
use crate::{
    endpoint::{AfterUnknown, ExchangeError, OnBehalf, Outcome, SignOutScope},
    record::Record,
    store::Key,
};
use http::StatusCode;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

/// For how long the issuer is told again of a sign-out that it did not hear of. Not for ever: a global one
/// ends sessions too that the user has begun since.
const PATIENCE: Duration = Duration::from_secs(120);

/// The longest pause in between.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What came of telling the issuer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Told {
    Heard,
    /// It may hear of it later.
    NotNow,
    /// Not from this access token: it has expired, perhaps.
    Stale,
    Refused,
}

impl Owner {
    /// In a task of its own: whoever asked for it may be gone when half of it is done.
    pub(super) async fn sign_out(
        self: &Arc<Self>,
        key: Key,
        scope: SignOutScope,
        on_behalf: OnBehalf,
    ) -> Result<(), SessionError> {
        let owner = Arc::clone(self);
        let ending = tokio::spawn(async move { owner.sign_out_in_full(key, scope, on_behalf).await });
        ending.await.unwrap_or(Err(SessionError::unavailable(SOON)))
    }

    /// Once, however many requests with the token are refused.
    pub(super) fn revoked(self: &Arc<Self>, key: Key, on_behalf: OnBehalf) {
        let owner = Arc::clone(self);
        let ending = async move {
            match owner.sign_out_in_full(key, SignOutScope::Local, on_behalf).await {
                Ok(()) => info!(?key, "a session is over, since its token was revoked"),
                Err(error) => debug!(?key, %error, "a session whose token was revoked cannot be ended now"),
            }
        };
        drop(self.revocations.run(key, || ending));
    }

    async fn sign_out_in_full(
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
        self.announce_again(&held, scope);
        if matches!(told, Told::NotNow | Told::Stale) && scope != SignOutScope::Others {
            // Nobody else knows the tokens any more, by which it can be told.
            let owner = Arc::clone(self);
            let telling = async move { owner.tell_later(held, told, scope, on_behalf).await };
            drop(self.farewells.run(key, || telling));
        }
        let is_done = told == Told::Heard || scope == SignOutScope::Local;
        if is_done { Ok(()) } else { Err(SessionError::unavailable(SOON)) }
    }

    /// Ends a session that gives way to one with these tokens. An issuer with a session of its own for both
    /// (single sign-on) is not told: to give up the old tokens may be to give up the new ones with them.
    pub(super) async fn give_way(
        self: &Arc<Self>,
        key: Key,
        to: &Record,
        on_behalf: OnBehalf,
    ) -> Result<(), SessionError> {
        // A logout at the issuer is no reason to end more than this one: who comes back may have the same session
        // there.
        let held = match self.stored(key).await {
            Some(held) => Ok(held),
            None => self.last_known(key).await,
        };
        match held {
            Ok(held) if held.record.may_be_one_with(to) => {
                self.succeeded(held).await;
                Ok(())
            }
            _ => self.sign_out(key, SignOutScope::Local, on_behalf).await,
        }
    }

    /// A session whose tokens nobody here knows: it is over, or cannot be read. Whatever lies in the store is
    /// ended.
    async fn sign_out_unseen(
        self: &Arc<Self>,
        key: Key,
        scope: SignOutScope,
        why: SessionErrorKind,
    ) -> Result<(), SessionError> {
        let until = Instant::now() + self.settings.store_timeout;
        if !self.end_row(key, until).await {
            return Err(SessionError::unavailable(SOON));
        }
        self.over(&key, scope);
        let is_done = match self.farewells.running_for(&key) {
            _ if scope == SignOutScope::Local => true,
            // The issuer has not heard of it yet.
            Some(farewell) => {
                farewell.until(Instant::now() + self.settings.request_timeout).await == Some(true)
            }
            None => why == SessionErrorKind::SignedOut,
        };
        if is_done { Ok(()) } else { Err(SessionError::unavailable(SOON)) }
    }

    /// What the issuer wants to see: for the sessions elsewhere, an access token that lives.
    async fn tokens_for(
        self: &Arc<Self>,
        key: Key,
        scope: SignOutScope,
        on_behalf: OnBehalf,
    ) -> Result<Arc<Held>, SessionError> {
        match scope {
            SignOutScope::Local => self.last_known(key).await,
            SignOutScope::Others | SignOutScope::Global => match self.access(key, on_behalf).await {
                Ok(held) => Ok(held),
                Err(_) => self.last_known(key).await,
            },
        }
    }

    /// The session as it lies in the store, or as it was when the store lost it: it may be found again.
    async fn last_known(self: &Arc<Self>, key: Key) -> Result<Arc<Held>, SessionError> {
        let held = self.look_or_trust(key, Instant::now() + self.settings.wait).await;
        held.or_else(|error| self.local.lost(&key, Instant::now()).ok_or(error))
    }

    async fn tell_issuer(&self, held: &Held, scope: SignOutScope, on_behalf: OnBehalf) -> Told {
        let (access, refresh) = (&held.record.access_token, held.record.refresh_token.as_ref());
        let deadline = Instant::now() + self.settings.request_timeout;
        match within(deadline, self.endpoint.sign_out(access, refresh, scope, on_behalf)).await {
            Some(Ok(())) => Told::Heard,
            Some(Err(error)) => {
                // Its refresh token may be under way, in another process too, when the session ends.
                let may_renew =
                    refresh.is_some() && self.endpoint.after_unknown() == AfterUnknown::PresentAgain;
                let told = told(&error, may_renew);
                if told == Told::Stale {
                    debug!(key = ?held.key, %error, "the issuer does not hear of a sign-out from an old token");
                } else {
                    warn!(key = ?held.key, %error, ?told, "the issuer could not be told of a sign-out");
                }
                told
            }
            None => {
                warn!(key = ?held.key, "the issuer does not answer in time to a sign-out");
                Told::NotNow
            }
        }
    }

    /// Until the issuer has heard of it, it may have issued tokens to the user's other sessions.
    fn announce_again(&self, held: &Held, scope: SignOutScope) {
        if scope == SignOutScope::Global {
            self.announce(held, scope, Instant::now());
        }
    }

    /// Whether the issuer has heard of it in the end.
    async fn tell_later(
        &self,
        mut held: Arc<Held>,
        mut told: Told,
        scope: SignOutScope,
        on_behalf: OnBehalf,
    ) -> bool {
        let (until, mut pause) = (Instant::now() + PATIENCE, SOON);
        loop {
            told = match told {
                Told::Heard => {
                    info!(key = ?held.key, "the issuer has heard of a sign-out");
                    self.announce_again(&held, scope);
                    return true;
                }
                Told::Refused => return false,
                Told::NotNow if Instant::now() + pause >= until => {
                    warn!(key = ?held.key, "the issuer never heard of a sign-out");
                    return false;
                }
                Told::NotNow => {
                    sleep(pause).await;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                    self.tell_issuer(&held, scope, on_behalf).await
                }
                Told::Stale => match self.last_tokens(&held, scope, on_behalf).await {
                    Ok(last) => {
                        held = last;
                        match self.tell_issuer(&held, scope, on_behalf).await {
                            Told::Stale => Told::Refused,
                            told => told,
                        }
                    }
                    Err(told) => told,
                },
            }
        }
    }

    /// The last tokens of a session that is over, by which the issuer can be told.
    async fn last_tokens(
        &self,
        held: &Held,
        scope: SignOutScope,
        on_behalf: OnBehalf,
    ) -> Result<Arc<Held>, Told> {
        let Some(token) = &held.record.refresh_token else { return Err(Told::Refused) };
        let deadline = Instant::now() + self.settings.request_timeout;
        match within(deadline, self.endpoint.refresh(token, on_behalf.that_can_wait())).await {
            Some(Ok(tokens)) => match held.record.renewed(tokens) {
                Some(record) => Ok(Arc::new(Held { record: Arc::new(record), ..held.clone() })),
                None => Err(Told::Refused),
            },
            // It knows of this session no more, which says nothing of others.
            Some(Err(error)) if error.outcome() == Outcome::Final && scope == SignOutScope::Local => {
                Err(Told::Heard)
            }
            Some(Err(error)) if error.outcome() == Outcome::Final => Err(Told::Refused),
            Some(Err(_)) | None => Err(Told::NotNow),
        }
    }
}

/// What a refusal to be told means: the issuer, or the way to it, is out of order; or it does not want to.
fn told(error: &ExchangeError, may_renew: bool) -> Told {
    match error.status() {
        Some(StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => Told::NotNow,
        Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) if may_renew => Told::Stale,
        Some(status) if status.is_server_error() => Told::NotNow,
        None if error.code().is_none() => Told::NotNow,
        _ => Told::Refused,
    }
}
