//! [`Unsaved`]: tokens that the issuer gave and the store did not take.

use super::local::Held;
use crate::{endpoint::AfterUnknown, record::Record, store::Key};
use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;

/// The successor of a refresh token, not stored yet. Nobody gets to see it before it is.
#[derive(Clone, Debug)]
pub(super) struct Successor {
    /// Of which generation of tokens.
    pub(super) of: u64,
    pub(super) record: Record,
    /// When its access token expires.
    pub(super) expires: Instant,
}

/// Successors that wait for the store to come back, and for a claim: then they are stored, and the token that
/// they succeed is not presented again. A bounded number, the youngest.
#[derive(Debug, Default)]
pub(super) struct Unsaved(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    successors: HashMap<Key, Successor>,
    /// Somebody sees to it that they are stored.
    is_tended: bool,
}

impl Successor {
    /// As it is to be written at that time, in place of this generation of the row.
    pub(super) fn at(&self, now: Instant, row: u64) -> Record {
        Record {
            expires_in: self.expires.saturating_duration_since(now),
            // The store may have gone back since the exchange.
            ahead: self.of.saturating_sub(row),
            ..self.record.clone()
        }
    }

    /// Whether it is to be stored in place of these tokens: those that it succeeds, or what another process
    /// made of them when it found them claimed and could not know that they were exchanged. Where none is
    /// presented twice, nobody else can have got anything newer for them.
    pub(super) fn follows(&self, held: &Held, rule: AfterUnknown) -> bool {
        let is_burnt = rule == AfterUnknown::FailClosed
            && held.record.refresh_token.is_none()
            && self.record.refresh_token.is_some();
        held.generation == self.of || (is_burnt && self.of.checked_add(1) == Some(held.generation))
    }
}

impl Unsaved {
    const MOST: usize = 1024;

    /// Says whether nobody tends them yet: then it is for the caller to do.
    #[must_use]
    pub(super) fn put(&self, key: Key, successor: Successor) -> bool {
        let Waiting { successors, is_tended } = &mut *self.all();
        if successors.len() >= Self::MOST && !successors.contains_key(&key) {
            let oldest = successors.iter().min_by_key(|(_, successor)| successor.expires);
            oldest.map(|(key, _)| *key).map(|key| successors.remove(&key));
        }
        successors.insert(key, successor);
        !mem::replace(is_tended, true)
    }

    /// Whether none waits any more. Nobody tends them then.
    pub(super) fn are_done(&self) -> bool {
        let Waiting { successors, is_tended } = &mut *self.all();
        *is_tended = !successors.is_empty();
        !*is_tended
    }

    /// The successor of these tokens, if there is one. What is there of another generation is of no use any
    /// more.
    pub(super) fn take(&self, held: &Held, rule: AfterUnknown) -> Option<Successor> {
        let successor = self.all().successors.remove(&held.key)?;
        // Over burnt tokens it is one generation further on.
        successor.follows(held, rule).then_some(Successor { of: held.generation, ..successor })
    }

    /// Whether these tokens have a successor here.
    pub(super) fn follow(&self, held: &Held, rule: AfterUnknown) -> bool {
        self.all().successors.get(&held.key).is_some_and(|successor| successor.follows(held, rule))
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.all().successors.contains_key(key)
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.all().successors.keys().copied().collect()
    }

    /// Somebody has brought later tokens. What came here meanwhile, for these or for later ones, stays.
    pub(super) fn forget_before(&self, held: &Held) {
        if let Entry::Occupied(entry) = self.all().successors.entry(held.key)
            && entry.get().of < held.generation
        {
            entry.remove();
        }
    }

    /// Returns what waited.
    pub(super) fn forget(&self, key: &Key) -> Option<Successor> {
        self.all().successors.remove(key)
    }

    fn all(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessToken, RefreshToken, TokenSet};
    use AfterUnknown::{FailClosed, PresentAgain};
    use std::time::Duration;

    fn tokens() -> Record {
        let tokens = TokenSet::new(AccessToken::new("a"), Duration::ZERO);
        Record::signed_in(tokens.refresh_token(RefreshToken::new("r")), false)
    }

    fn successor(of: u64, expires: Instant) -> Successor {
        Successor { of, record: tokens(), expires }
    }

    fn held(key: Key, generation: u64, record: Record) -> Held {
        Held::new(key, generation, record, Duration::ZERO, Instant::now())
    }

    #[test]
    fn a_successor_is_taken_once_and_only_for_its_generation() {
        let (unsaved, key, now) = (Unsaved::default(), Key::of("test", "a"), Instant::now());
        let (first, second) = (held(key, 1, tokens()), held(key, 2, tokens()));
        let _ = unsaved.put(key, successor(1, now));
        assert!(unsaved.follow(&first, FailClosed) && !unsaved.follow(&second, FailClosed));
        assert!(unsaved.take(&first, FailClosed).is_some());
        assert!(unsaved.take(&first, FailClosed).is_none());
        let _ = unsaved.put(key, successor(1, now));
        assert!(unsaved.take(&second, FailClosed).is_none());
        assert!(unsaved.take(&first, FailClosed).is_none());
    }

    #[test]
    fn a_successor_takes_the_place_of_what_was_burnt_for_want_of_it() {
        let (key, now) = (Key::of("test", "a"), Instant::now());
        let cases = [
            (2, tokens().burnt(), FailClosed, Some(2)),
            (1, tokens().burnt(), FailClosed, Some(1)),
            (3, tokens().burnt(), FailClosed, None),
            (2, tokens(), FailClosed, None),
            // Somebody else may have got it too, and more.
            (2, tokens().burnt(), PresentAgain, None),
        ];
        for (generation, record, rule, expected) in cases {
            let unsaved = Unsaved::default();
            let _ = unsaved.put(key, successor(1, now));
            let taken = unsaved.take(&held(key, generation, record), rule);
            assert_eq!(taken.map(|successor| successor.of), expected, "{generation} {rule:?}");
        }
    }

    #[test]
    fn only_what_was_overtaken_is_forgotten() {
        let (unsaved, key, now) = (Unsaved::default(), Key::of("test", "a"), Instant::now());
        let tended = unsaved.put(key, successor(2, now));
        assert!(tended, "nobody tended it before");
        for generation in [1, 2] {
            unsaved.forget_before(&held(key, generation, tokens()));
            assert!(unsaved.has(&key) && !unsaved.are_done(), "{generation}");
        }
        assert!(!unsaved.put(key, successor(2, now)), "somebody tends it");
        unsaved.forget_before(&held(key, 3, tokens()));
        assert!(!unsaved.has(&key) && unsaved.are_done());
        assert!(unsaved.put(key, successor(4, now)), "and nobody after that");
    }

    #[test]
    fn the_oldest_makes_room() {
        let (unsaved, now) = (Unsaved::default(), Instant::now());
        for number in 0..=Unsaved::MOST as u64 {
            let key = Key::of("test", &number.to_string());
            let _ = unsaved.put(key, successor(0, now + Duration::from_secs(number)));
        }
        assert_eq!(unsaved.keys().len(), Unsaved::MOST);
        let is_there = |name| unsaved.has(&Key::of("test", name));
        assert!(!is_there("0") && is_there("1"));
    }
}
