//! Looking: what lies in the store, and what of it is news here.

use super::{
    Owner, SOON, SessionError, SessionEvent, Who,
    local::{Held, Kept},
    rules::{self, Unreadable},
};
use crate::{
    endpoint::{OnBehalf, SignOutScope},
    record::Record,
    store::{Key, Lookup, Row},
};
use std::sync::Arc;
use tokio::time::Instant;
use tracing::{debug, warn};

/// What came of looking into the store.
#[derive(Clone, Debug)]
pub(super) enum Looked {
    Live(Arc<Held>),
    /// There is no such session any more.
    Over,
    /// There is one that nobody opens who has the keys of this process.
    Unreadable,
    /// The store did not answer, or nobody here can read what it said.
    Unreachable,
}

impl Owner {
    /// The session as it lies in the store; where that cannot be reached, a copy that is still good for
    /// something.
    pub(super) async fn look_or_trust(
        self: &Arc<Self>,
        key: Key,
        deadline: Instant,
    ) -> Result<Arc<Held>, SessionError> {
        match self.look_until(key, deadline).await {
            Looked::Live(held) => Ok(held),
            Looked::Over => Err(self.gone(&key)),
            Looked::Unreadable => Err(SessionError::UNREADABLE),
            Looked::Unreachable => self.trust(&key),
        }
    }

    /// The session as it lies in the store.
    pub(super) async fn look_until(self: &Arc<Self>, key: Key, deadline: Instant) -> Looked {
        let owner = Arc::clone(self);
        let looking = self.looks.run(key, || async move { owner.look(key).await });
        looking.until(deadline).await.unwrap_or(Looked::Unreachable)
    }

    /// Serves a copy whose access token lives, for some time without asking again: otherwise each request
    /// would wait for a store that does not answer.
    fn trust(&self, key: &Key) -> Result<Arc<Held>, SessionError> {
        let now = Instant::now();
        let held = self.local.live(key, now).filter(|held| !held.left(now).is_zero());
        let held = held.ok_or(SessionError::unavailable(SOON))?;
        self.local.keep(held.confirmed(now).trusted(SOON), now);
        Ok(held)
    }

    async fn look(self: Arc<Self>, key: Key) -> Looked {
        let asked = Instant::now();
        let before = self.local.live(&key, asked);
        let row = match self.ask(self.store.load(&key)).await {
            Some(Lookup::Live(row)) => row,
            Some(Lookup::Ended) => {
                self.over(&key, SignOutScope::Local);
                return Looked::Over;
            }
            Some(Lookup::Unknown) => {
                self.unknown(&key);
                return Looked::Over;
            }
            None => return Looked::Unreachable,
        };
        let Some(found) = self.confirm_or_open(key, &row, asked) else {
            return match self.unreadable(&key, &row, asked) {
                Unreadable::Wait => Looked::Unreachable,
                Unreadable::Over => Looked::Unreadable,
            };
        };
        // Before a copy is kept, which would be served.
        match self.is_logged_out(&found.record).await {
            Some(false) => {}
            Some(true) => {
                self.logged_out(&found).await;
                return Looked::Over;
            }
            None => return Looked::Unreachable,
        }
        match self.keep(found.trusted(self.settings.local_for)) {
            (held, Kept::First | Kept::Same | Kept::Newer) => Looked::Live(held),
            (_, Kept::Ended) => Looked::Over,
            (held, Kept::Behind(ours)) => {
                // What came here while the store was asked is news to its answer. But where it is behind
                // what was known before, it has gone back, and the flight brings it forward again.
                if before.is_some_and(|before| before.generation > held.generation) {
                    self.refresh_in_background(&ours, OnBehalf::default(), asked);
                }
                Looked::Live(ours)
            }
        }
    }

    /// The session as it lies in the store, whether its user was logged out at the issuer or not.
    pub(super) async fn stored(&self, key: Key) -> Option<Arc<Held>> {
        let asked = Instant::now();
        match self.ask(self.store.load(&key)).await? {
            Lookup::Live(row) => self.confirm_or_open(key, &row, asked).map(Arc::new),
            Lookup::Ended | Lookup::Unknown => None,
        }
    }

    /// A generation that is known already needs not be opened.
    fn confirm_or_open(&self, key: Key, row: &Row, asked: Instant) -> Option<Held> {
        match self.local.live(&key, asked) {
            Some(ours) if ours.row == row.generation => Some(ours.confirmed(asked).aged(row.age, asked)),
            _ => self.open(key, row, asked),
        }
    }

    /// Reads a row that the store was asked for at that time. `None` where it does not open.
    fn open(&self, key: Key, row: &Row, asked: Instant) -> Option<Held> {
        let plain = self.keyring.open(&key, row.generation, &row.sealed);
        let Some(record) = plain.and_then(|plain| Record::decode(&plain)) else {
            self.say_unreadable(&key, asked);
            return None;
        };
        Some(Held::new(key, row.generation, record, row.age, asked))
    }

    /// The same, of a row that came by another way than a look, and keeps a copy.
    pub(super) fn absorb(&self, key: Key, row: &Row, asked: Instant) -> Option<(Arc<Held>, Kept)> {
        let held = self.open(key, row, asked)?;
        Some(self.keep(held.trusted(self.settings.local_for_without_a_look())))
    }

    /// Where instances have different keys it befalls every request, and else nobody.
    fn say_unreadable(&self, key: &Key, now: Instant) {
        if let Some(others) = self.unreadable.is_time(now) {
            warn!(
                ?key,
                others,
                "a session in the store does not open with the keys of this process: give all instances the same \
                Keyring, from one secret (Keyring::random is another in each)"
            );
        } else {
            debug!(?key, "a session in the store does not open with the keys of this process");
        }
    }

    /// The row stays where it is in any case: others may have the key.
    pub(super) fn unreadable(&self, key: &Key, row: &Row, asked: Instant) -> Unreadable {
        let is_news = self.local.live(key, asked).is_some_and(|ours| ours.row < row.generation);
        rules::unreadable(row.age, is_news)
    }

    pub(super) fn keep(&self, held: Held) -> (Arc<Held>, Kept) {
        let (held, kept) = self.local.keep(held, Instant::now());
        // A session that lost its refresh token has no new access token either.
        if matches!(kept, Kept::Newer) && held.record.refresh_token.is_some() {
            self.announcer.tell(SessionEvent::TokenRefreshed(Who::new(held.key, &held.record.labels)));
        }
        (held, kept)
    }
}
