//! [`Local`]: the copies that this process has of sessions.

use super::{
    events::SignedOut,
    rules::{Freshness, freshness},
};
use crate::{endpoint::SignOutScope, labels::Labels, record::Record, store::Key};
use quick_cache::sync::Cache;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// A session as this process knows it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) key: Key,
    /// Of the tokens. Of two, the greater is the newer, whatever became of the store.
    pub(super) generation: u64,
    /// Of the row in the store, by which it is claimed.
    pub(super) row: u64,
    pub(super) record: Arc<Record>,
    /// When the access token expires.
    pub(super) expires: Instant,
    /// When a request with an older token can no longer be under way.
    pub(super) settled: Instant,
    /// Until when nobody asks the store whether this is still so.
    pub(super) trusted_until: Instant,
}

/// What is known of a key.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Live(Arc<Held>),
    /// It has ended, which is remembered until then.
    Ended(Instant),
    /// The store has lost it, which is remembered until then. Nobody has ended it: it may come back.
    Lost(Arc<Held>, Instant),
}

/// What a copy replaced.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    /// Nothing.
    First,
    /// A copy of the same generation.
    Same,
    /// An older one.
    Newer,
    /// Nothing: this one here is newer, and stays.
    Behind(Arc<Held>),
    /// Nothing: the session has ended, and stays so.
    Ended,
}

/// What became of tokens that were to be treated as expired.
#[derive(Clone, Debug)]
pub(super) enum Expiry {
    /// They are.
    Now(Arc<Held>),
    /// Newer ones have taken their place already.
    Passed,
    /// They are not: there is nothing better.
    Stays,
}

/// A bounded number of copies. What is not there is read from the store.
#[derive(Debug)]
pub(super) struct Local {
    copies: Cache<Key, Entry>,
    /// For those who look before they write. Nobody who only reads waits for them.
    writing: Mutex<()>,
}

impl Held {
    /// A session that was written so long ago at `now`, as this generation of its row.
    pub(super) fn new(key: Key, row: u64, record: Record, age: Duration, now: Instant) -> Self {
        Self {
            key,
            generation: row.saturating_add(record.ahead),
            row,
            expires: after(record.expires_in.saturating_sub(age), now),
            settled: after(record.settles_in.saturating_sub(age), now),
            record: Arc::new(record),
            trusted_until: now,
        }
    }

    pub(super) fn trusted(mut self, time: Duration) -> Self {
        self.trusted_until += time;
        self
    }

    /// The same, found at `now` to be so still.
    pub(super) fn confirmed(&self, now: Instant) -> Self {
        Self { trusted_until: now, ..self.clone() }
    }

    /// The same, of a row that was written so long ago at `now`: the clock here may have stood still while
    /// the machine was suspended, and that of the store has not.
    pub(super) fn aged(self, age: Duration, now: Instant) -> Self {
        let expires = self.expires.min(after(self.record.expires_in.saturating_sub(age), now));
        Self { expires, ..self }
    }

    pub(super) fn left(&self, now: Instant) -> Duration {
        self.expires.saturating_duration_since(now)
    }

    pub(super) fn freshness(&self, now: Instant, margin: Duration) -> Freshness {
        let has_successor = self.record.refresh_token.is_some();
        freshness(self.left(now), self.record.expires_in, margin, has_successor)
    }

    /// The same, to be treated as expired now.
    pub(super) fn expired(&self, now: Instant) -> Self {
        Self { expires: self.expires.min(now), ..self.clone() }
    }

    /// Whether a token that was refused has a successor which may fare better. That of one which has just come
    /// would not, and an issuer is not to be asked again and again.
    pub(super) fn may_be_refused(&self, now: Instant) -> bool {
        const LEAST_AGE: Duration = Duration::from_secs(60);
        let age = self.record.expires_in.saturating_sub(self.left(now));
        self.record.refresh_token.is_some() && age >= LEAST_AGE
    }

    /// Whether what the access token says is true of the session. One that had expired when the session was
    /// adopted may come out of a log, with a refresh token that somebody made up: only an exchange shows
    /// whose it is.
    pub(super) fn is_proven(&self) -> bool {
        !self.record.is_aliased || self.generation > 0 || !self.record.expires_in.is_zero()
    }

    pub(super) fn signed_out(&self, scope: SignOutScope, now: Instant) -> SignedOut {
        let Labels { issuer, subject, session, issued, .. } = self.record.labels.clone();
        SignedOut {
            key: self.key,
            scope,
            issuer,
            subject,
            session_id: session,
            access_token_issued_at: issued,
            access_token_lives: self.left(now),
        }
    }
}

/// When a token expires that had so long to live at `now`.
pub(super) fn after(left: Duration, now: Instant) -> Instant {
    /// Longer than any token lives, and short enough to reckon with.
    const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
    now + left.min(LONGEST)
}

impl Local {
    pub(super) fn new(capacity: usize) -> Self {
        Self { copies: Cache::new(capacity.max(1)), writing: Mutex::new(()) }
    }

    pub(super) fn get(&self, key: &Key, now: Instant) -> Option<Entry> {
        let is_over = |entry: &Entry| match entry {
            Entry::Live(_) => false,
            Entry::Ended(until) | Entry::Lost(_, until) => *until <= now,
        };
        self.copies.get(key).filter(|entry| !is_over(entry))
    }

    pub(super) fn live(&self, key: &Key, now: Instant) -> Option<Arc<Held>> {
        match self.get(key, now) {
            Some(Entry::Live(held)) => Some(held),
            _ => None,
        }
    }

    /// Keeps a copy, unless what is here is newer: the knowledge of a process never goes back. Nor does the
    /// store know of tokens that are [treated as expired](Self::expire) here.
    pub(super) fn keep(&self, mut held: Held, now: Instant) -> (Arc<Held>, Kept) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = match self.get(&held.key, now) {
            None | Some(Entry::Lost(..)) => Kept::First,
            Some(Entry::Ended(_)) => Kept::Ended,
            Some(Entry::Live(ours)) if ours.generation > held.generation => Kept::Behind(ours),
            Some(Entry::Live(ours)) if ours.generation == held.generation => {
                held.expires = held.expires.min(ours.expires);
                Kept::Same
            }
            Some(Entry::Live(_)) => Kept::Newer,
        };
        let held = Arc::new(held);
        if matches!(kept, Kept::First | Kept::Same | Kept::Newer) {
            self.copies.insert(held.key, Entry::Live(Arc::clone(&held)));
        }
        (held, kept)
    }

    /// Treats these tokens as expired, if they are the newest that are known and may be.
    pub(super) fn expire(&self, held: &Arc<Held>, now: Instant) -> Expiry {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = match self.get(&held.key, now) {
            None => Arc::clone(held),
            Some(Entry::Live(ours)) => ours,
            Some(Entry::Ended(_) | Entry::Lost(..)) => return Expiry::Stays,
        };
        if ours.generation > held.generation {
            return Expiry::Passed;
        }
        if !ours.may_be_refused(now) {
            return Expiry::Stays;
        }
        let expired = Arc::new(ours.expired(now));
        self.copies.insert(held.key, Entry::Live(Arc::clone(&expired)));
        Expiry::Now(expired)
    }

    /// The copy of a session that the store has lost a moment ago.
    pub(super) fn lost(&self, key: &Key, now: Instant) -> Option<Arc<Held>> {
        match self.get(key, now) {
            Some(Entry::Lost(held, _)) => Some(held),
            _ => None,
        }
    }

    /// Returns the copy, if the session lived here until now, and then remembers that it is over. What never
    /// lived here is not remembered: names that somebody made up must not push out what is known.
    pub(super) fn end(&self, key: &Key, now: Instant, until: Instant) -> Option<Arc<Held>> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let lived = match self.get(key, now)? {
            Entry::Live(held) => Some(held),
            // It does not come back.
            Entry::Lost(..) => None,
            Entry::Ended(_) => return None,
        };
        self.copies.insert(*key, Entry::Ended(until));
        lived
    }

    /// The same, of a session that the store has lost.
    pub(super) fn lose(&self, key: &Key, now: Instant, until: Instant) -> Option<Arc<Held>> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let lived = self.live(key, now)?;
        self.copies.insert(*key, Entry::Lost(Arc::clone(&lived), until));
        Some(lived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessToken, TokenSet};

    const MINUTE: Duration = Duration::from_secs(60);

    fn held(generation: u64, now: Instant) -> Held {
        let tokens = TokenSet::new(AccessToken::new("a"), MINUTE);
        let record = Record::signed_in(tokens, false);
        Held::new(Key::of("test", "a"), generation, record, Duration::ZERO, now)
    }

    #[test]
    fn what_is_known_never_goes_back() {
        let (local, now) = (Local::new(8), Instant::now());
        let key = Key::of("test", "a");
        assert!(local.end(&key, now, now + MINUTE).is_none());
        let keep = |generation, at| local.keep(held(generation, now), at).1;
        assert!(matches!(keep(1, now), Kept::First));
        assert!(matches!(keep(3, now), Kept::Newer));
        assert!(matches!(keep(3, now), Kept::Same));
        assert!(matches!(keep(2, now), Kept::Behind(ours) if ours.generation == 3));
        assert_eq!(local.live(&key, now).map(|held| held.generation), Some(3));

        assert!(local.end(&key, now, now + MINUTE).is_some());
        assert!(local.end(&key, now, now + MINUTE).is_none());
        assert!(matches!(keep(4, now), Kept::Ended));
        assert!(local.live(&key, now).is_none());
        assert!(matches!(keep(4, now + MINUTE), Kept::First));
    }

    #[test]
    fn what_was_lost_may_come_back_unless_it_is_ended_meanwhile() {
        let (local, now) = (Local::new(8), Instant::now());
        let key = Key::of("test", "a");
        assert!(local.lose(&key, now, now + MINUTE).is_none());
        for ends in [false, true] {
            assert!(matches!(local.keep(held(1, now), now).1, Kept::First));
            assert!(local.lose(&key, now, now + MINUTE).is_some());
            assert!(local.lose(&key, now, now + MINUTE).is_none(), "once");
            assert!(local.live(&key, now).is_none() && local.lost(&key, now).is_some());
            assert!(local.lost(&key, now + MINUTE).is_none());
            if ends {
                assert!(local.end(&key, now, now + MINUTE).is_none(), "it lived here no more");
                assert!(matches!(local.keep(held(1, now), now).1, Kept::Ended));
            }
        }
    }

    #[test]
    fn a_token_that_lives_for_ever_is_no_panic() {
        let now = Instant::now();
        let record = Record { expires_in: Duration::MAX, ..Record::clone(&held(0, now).record) };
        assert!(Held::new(Key::of("test", "a"), 0, record, Duration::ZERO, now).left(now) > MINUTE);
    }
}
