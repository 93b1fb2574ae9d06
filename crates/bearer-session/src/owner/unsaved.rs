//! [`Unsaved`]: tokens that the issuer gave and the store did not take.

use crate::{record::Record, store::Key};
use std::{
    collections::HashMap,
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

/// Successors that wait for the store to come back, and for a claim: then they are stored, and the token that they
/// succeed is not presented again. A bounded number, the youngest.
#[derive(Debug, Default)]
pub(super) struct Unsaved(Mutex<HashMap<Key, Successor>>);

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
}

impl Unsaved {
    const MOST: usize = 1024;

    pub(super) fn put(&self, key: Key, successor: Successor) {
        let mut unsaved = self.all();
        if unsaved.len() >= Self::MOST && !unsaved.contains_key(&key) {
            let oldest = unsaved.iter().min_by_key(|(_, successor)| successor.expires).map(|(key, _)| *key);
            oldest.map(|key| unsaved.remove(&key));
        }
        unsaved.insert(key, successor);
    }

    /// The successor of this generation, if there is one. What is there of another generation is of no use any more.
    pub(super) fn take(&self, key: &Key, generation: u64) -> Option<Successor> {
        self.all().remove(key).filter(|successor| successor.of == generation)
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.all().contains_key(key)
    }

    pub(super) fn forget(&self, key: &Key) {
        self.all().remove(key);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Key, Successor>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessToken, TokenSet};
    use std::time::Duration;

    fn successor(of: u64, expires: Instant) -> Successor {
        let record = Record::signed_in(TokenSet::new(AccessToken::new("a"), Duration::ZERO), false);
        Successor { of, record, expires }
    }

    #[test]
    fn a_successor_is_taken_once_and_only_for_its_generation() {
        let (unsaved, key, now) = (Unsaved::default(), Key::of("test", "a"), Instant::now());
        unsaved.put(key, successor(1, now));
        assert!(unsaved.take(&key, 1).is_some());
        assert!(unsaved.take(&key, 1).is_none());
        unsaved.put(key, successor(1, now));
        assert!(unsaved.take(&key, 2).is_none());
        assert!(unsaved.take(&key, 1).is_none());
    }

    #[test]
    fn the_oldest_makes_room() {
        let (unsaved, now) = (Unsaved::default(), Instant::now());
        for number in 0..=Unsaved::MOST as u64 {
            let key = Key::of("test", &number.to_string());
            unsaved.put(key, successor(0, now + Duration::from_secs(number)));
        }
        assert_eq!(unsaved.all().len(), Unsaved::MOST);
        assert!(unsaved.take(&Key::of("test", "0"), 0).is_none());
        assert!(unsaved.take(&Key::of("test", "1"), 0).is_some());
    }
}
