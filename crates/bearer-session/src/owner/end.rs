//! The end of a session: here, in the store, and for those who listen.

use super::{Owner, SessionEvent, Who, claimed::Purpose, local::Held};
use crate::{endpoint::SignOutScope, store::Key};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::warn;

/// For how long it is known of a session that it was, and is over.
pub(super) const REMEMBERED: Duration = Duration::from_secs(3600);

impl Owner {
    /// Remembers that a session is over, and tells those who listen, if it lived here until now. The issuer
    /// hears of tokens that nobody but this process knows.
    pub(super) fn over(self: &Arc<Self>, key: &Key, scope: SignOutScope) -> bool {
        let now = Instant::now();
        if let Some(successor) = self.unsaved.forget(key) {
            let owner = Arc::clone(self);
            tokio::spawn(async move { owner.drop_tokens(&successor.record).await });
        }
        let Some(held) = self.forget(key, self.local.end(key, now, now + REMEMBERED)) else { return false };
        self.announce(&held, scope, now);
        true
    }

    /// Forgets a session that lived here until now, if it did.
    pub(super) fn forget(&self, key: &Key, lived: Option<Arc<Held>>) -> Option<Arc<Held>> {
        self.unsaved.forget(key);
        let held = lived?;
        self.announcer.tell(SessionEvent::SignedOut(Who::new(*key, &held.record.labels)));
        Some(held)
    }

    /// Ends a session in whose place another has come that may be the same one at the issuer: that is not
    /// told, nor the hook.
    pub(super) async fn succeeded(self: &Arc<Self>, held: Arc<Held>) {
        let key = held.key;
        // A refresh that finds its session ended gives up its tokens at the issuer, and what succeeds them: one
        // that is under way, in whatever process, comes first.
        let _ = self.claim(held, Purpose::Replace).await;
        if !self.end_row(key, Instant::now() + self.settings.store_timeout).await {
            warn!(?key, "the store could not be told that a session has a successor");
        }
        let now = Instant::now();
        self.forget(&key, self.local.end(&key, now, now + REMEMBERED));
    }

    /// Tells the hook, unless that would let somebody sign out another's session: see [`Held::is_proven`].
    pub(super) fn announce(&self, held: &Held, scope: SignOutScope, now: Instant) {
        if held.is_proven() {
            self.announcer.signed_out(&held.signed_out(scope, now));
        }
    }

    /// Ends a session that is over, in the store too if that can be reached until then. Otherwise others will
    /// find out for themselves.
    pub(super) async fn end(self: &Arc<Self>, key: Key, until: Instant) {
        if !self.end_row(key, until).await {
            warn!(?key, "the store could not be told that a session is over");
        }
        self.over(&key, SignOutScope::Local);
    }

    /// Ends the row, trying until then. Whether the store has taken it.
    pub(super) async fn end_row(&self, key: Key, until: Instant) -> bool {
        let end = || self.ask(self.store.end(&key, REMEMBERED));
        self.retry_until(until, end).await.is_some()
    }
}
