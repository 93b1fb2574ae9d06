//! Serving: a token from memory, or from the store, or the next one.

use super::{
    Owner, SOON, SessionError, SessionErrorKind,
    flight::Landing,
    local::{Entry, Expiry, Held},
    rules::Freshness,
    single::Running,
};
use crate::{endpoint::OnBehalf, store::Key};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::debug;

impl Owner {
    pub(super) async fn access(
        self: &Arc<Self>,
        key: Key,
        on_behalf: OnBehalf,
    ) -> Result<Arc<Held>, SessionError> {
        let now = Instant::now();
        match self.local.get(&key, now) {
            Some(Entry::Ended(_) | Entry::Lost(..)) => return Err(self.gone(&key)),
            Some(Entry::Live(held)) if held.trusted_until > now => match self.freshness(&held, now) {
                Freshness::Fresh => return Ok(held),
                Freshness::Aging => {
                    self.refresh_in_background(&held, on_behalf, now);
                    return Ok(held);
                }
                Freshness::Expired => {}
            },
            _ => {}
        }
        self.access_after_a_look(key, on_behalf).await
    }

    async fn access_after_a_look(
        self: &Arc<Self>,
        key: Key,
        on_behalf: OnBehalf,
    ) -> Result<Arc<Held>, SessionError> {
        let deadline = Instant::now() + self.settings.wait;
        let held = self.look_or_trust(key, deadline).await?;
        let now = Instant::now();
        match self.freshness(&held, now) {
            Freshness::Fresh => Ok(held),
            Freshness::Aging => {
                self.refresh_in_background(&held, on_behalf, now);
                Ok(held)
            }
            Freshness::Expired if held.record.refresh_token.is_none() && !self.is_followed(&held) => {
                self.end(key, now + self.settings.store_timeout).await;
                Err(SessionError::SIGNED_OUT)
            }
            Freshness::Expired => self.successor(held, on_behalf, deadline).await,
        }
    }

    pub(super) async fn refresh(
        self: &Arc<Self>,
        key: Key,
        on_behalf: OnBehalf,
    ) -> Result<Arc<Held>, SessionError> {
        let deadline = Instant::now() + self.settings.wait;
        let held = self.look_or_trust(key, deadline).await?;
        self.successor(held, on_behalf, deadline).await
    }

    /// What comes after these tokens.
    async fn successor(
        self: &Arc<Self>,
        held: Arc<Held>,
        on_behalf: OnBehalf,
        deadline: Instant,
    ) -> Result<Arc<Held>, SessionError> {
        let (key, now) = (held.key, Instant::now());
        let has_expired = held.left(now).is_zero();
        let successor = match self.held_back(&key, now) {
            Some(left) => Err(SessionError::unavailable(left)),
            None => self.wait_for(key, self.fly(held, on_behalf), deadline).await,
        };
        successor.map_err(|error| match error.kind() {
            // It may pass yet, and then the session goes on. But nobody can be told to wait for that.
            SessionErrorKind::Unavailable if has_expired && self.pauses.is_refused(&key) => {
                SessionError::REFUSED
            }
            _ => error,
        })
    }

    pub(super) async fn peek(self: &Arc<Self>, key: Key) -> Result<Arc<Held>, SessionError> {
        let now = Instant::now();
        match self.local.get(&key, now) {
            Some(Entry::Ended(_) | Entry::Lost(..)) => Err(self.gone(&key)),
            Some(Entry::Live(held)) if held.trusted_until > now => Ok(held),
            _ => self.look_or_trust(key, now + self.settings.wait).await,
        }
    }

    /// Whoever got these tokens was refused with them. Returns whether there are others, or will be.
    pub(super) fn refused(self: &Arc<Self>, held: &Arc<Held>, on_behalf: OnBehalf) -> bool {
        let now = Instant::now();
        match self.local.expire(held, now) {
            Expiry::Passed => true,
            Expiry::Now(expired) => {
                debug!(key = ?held.key, "an access token was refused before its time; it is refreshed");
                self.refresh_in_background(&expired, on_behalf, now);
                true
            }
            Expiry::Stays => false,
        }
    }

    pub(super) fn refresh_in_background(
        self: &Arc<Self>,
        held: &Arc<Held>,
        on_behalf: OnBehalf,
        now: Instant,
    ) {
        if self.held_back(&held.key, now).is_none() {
            drop(self.fly(Arc::clone(held), on_behalf));
        }
    }

    fn freshness(&self, held: &Held, now: Instant) -> Freshness {
        match held.freshness(now, self.settings.margin) {
            // The sooner they are stored the better: where nobody has them, the session ends with its access
            // token.
            Freshness::Fresh if self.is_followed(held) => Freshness::Aging,
            freshness => freshness,
        }
    }

    /// Whether another process has burnt these tokens, and this one has their successor.
    pub(super) fn is_followed(&self, held: &Held) -> bool {
        // Most tokens are not burnt, and need no lock.
        held.record.refresh_token.is_none() && self.unsaved.follow(held, self.endpoint.after_unknown())
    }

    /// How long a refresh of this session is not even tried.
    fn held_back(&self, key: &Key, now: Instant) -> Option<Duration> {
        if self.flights.is_closed() {
            return Some(SOON);
        }
        // What only waits to be stored needs no issuer.
        let issuer = if self.unsaved.has(key) { None } else { self.breaker.left(now) };
        self.pauses.left(key, now).max(issuer)
    }

    /// The flight that brings the successor of these tokens: the one under way, or a new one.
    fn fly(self: &Arc<Self>, held: Arc<Held>, on_behalf: OnBehalf) -> Running<Landing> {
        let owner = Arc::clone(self);
        self.flights.run(held.key, || owner.flight(held, on_behalf))
    }

    async fn wait_for(
        &self,
        key: Key,
        flight: Running<Landing>,
        deadline: Instant,
    ) -> Result<Arc<Held>, SessionError> {
        match flight.until(deadline).await {
            Some(Landing::Arrived(held)) if !held.left(Instant::now()).is_zero() => Ok(held),
            Some(Landing::Arrived(_)) | None => Err(SessionError::unavailable(SOON)),
            Some(Landing::Over) => Err(self.gone(&key)),
            Some(Landing::Later(after)) => Err(SessionError::unavailable(after)),
        }
    }
}
