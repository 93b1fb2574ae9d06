//! Sessions that the store has lost, and word of them to whoever runs the service: not of each, since it may
//! lose all of them at once.

use super::{Owner, SessionError, end::REMEMBERED, local::after};
use crate::{endpoint::SignOutScope, store::Key};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, warn};

/// For how long it is known of a session that the store had lost it.
const MISSED: Duration = Duration::from_secs(5);

impl Owner {
    /// Why a session is not there.
    pub(super) fn gone(&self, key: &Key) -> SessionError {
        match self.local.lost(key, Instant::now()) {
            Some(_) => SessionError::LOST,
            None => SessionError::SIGNED_OUT,
        }
    }

    /// The store has never heard of this session. Where it knew of it not long ago, it was not ended, or an end
    /// would be there: it was evicted, or flushed; or the store is an empty one that stands in for a moment,
    /// and the session is back in the next. Nobody signed out: the hook is not told.
    pub(super) fn unknown(&self, key: &Key) {
        let now = Instant::now();
        let Some(held) = self.forget(key, self.local.lose(key, now, now + MISSED)) else { return };
        // Nobody has used it for its lifetime; or it has ended: for so long the store remembers that, and a copy
        // here may be older.
        let lifetime = self.settings.lifetime;
        if after(lifetime, held.expires) <= now || held.trusted_until + REMEMBERED <= now {
            self.announce(&held, SignOutScope::Local, now);
            return;
        }
        if let Some(others) = self.losses.is_time(now) {
            warn!(
                ?key,
                others,
                ?lifetime,
                "the session store has lost a session that was not over: see to its memory and disk, and that \
                all instances have the same `lifetime`"
            );
        } else {
            debug!(?key, "the session store has lost a session that was not over");
        }
    }
}
