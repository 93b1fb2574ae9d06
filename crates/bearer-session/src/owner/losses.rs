//! Sessions that the store has lost, and word of them to whoever runs the service: not of each, since it may
//! lose all of them at once.

use super::{Owner, end::REMEMBERED, local::Entry};
use crate::{endpoint::SignOutScope, store::Key};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tracing::{debug, warn};

/// For how long it is known of a session that the store had lost it.
const MISSED: Duration = Duration::from_secs(5);

/// One line in so long a time.
const SELDOM: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Losses(Mutex<Unsaid>);

#[derive(Debug, Default)]
struct Unsaid {
    last: Option<Instant>,
    sessions: u64,
}

impl Owner {
    /// The store has never heard of this session. Where it knew of it not long ago, it was not ended, or an end
    /// would be there: it was evicted, or flushed; or the store is an empty one that stands in for a moment,
    /// and the session is back in the next. Nobody signed out: the hook is not told.
    pub(super) fn unknown(&self, key: &Key) {
        let now = Instant::now();
        let Some(held) = self.forget(key, Entry::Lost(now + MISSED), now) else { return };
        // For so long the store remembers an end; and a copy here may be older.
        if held.trusted_until + REMEMBERED <= now {
            self.announce(&held, SignOutScope::Local, now);
            return;
        }
        if let Some(others) = self.losses.is_time(now) {
            warn!(
                ?key,
                others, "the session store has lost a session that was not over: see to its memory and disk"
            );
        } else {
            debug!(?key, "the session store has lost a session that was not over");
        }
    }
}

impl Losses {
    /// How many others there were since it was time before, or `None`.
    fn is_time(&self, now: Instant) -> Option<u64> {
        let Unsaid { last, sessions } = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.saturating_duration_since(last) < SELDOM) {
            *sessions += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(sessions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_loses_everything_is_spoken_of_once_a_minute() {
        let (losses, began) = (Losses::default(), Instant::now());
        let said = [0, 1, 59, 60, 61, 200].map(|secs| losses.is_time(began + Duration::from_secs(secs)));
        assert_eq!(said, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
