//! [`Expiring`]: what is kept for a time.

use super::Key;
use std::collections::{BTreeSet, HashMap};
use tokio::time::Instant;

/// A map whose values are gone when their time is over.
pub(super) struct Expiring<T> {
    values: HashMap<Key, (T, Instant)>,
    /// The same keys, the next to go first.
    order: BTreeSet<(Instant, Key)>,
}

impl<T> Expiring<T> {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut T> {
        self.values.get_mut(key).map(|(value, _)| value)
    }

    pub(super) fn insert(&mut self, key: Key, value: T, until: Instant) {
        if let Some((_, before)) = self.values.insert(key, (value, until)) {
            self.order.remove(&(before, key));
        }
        self.order.insert((until, key));
    }

    pub(super) fn keep_until(&mut self, key: &Key, until: Instant) {
        if let Some((_, at)) = self.values.get_mut(key) {
            self.order.remove(&(*at, *key));
            *at = until;
            self.order.insert((until, *key));
        }
    }

    /// The one that would go next.
    pub(super) fn drop_next(&mut self) {
        if let Some((_, key)) = self.order.pop_first() {
            self.values.remove(&key);
        }
    }

    pub(super) fn drop_expired(&mut self, now: Instant) {
        while let Some((until, key)) = self.order.first().copied() {
            if until > now {
                return;
            }
            self.order.pop_first();
            self.values.remove(&key);
        }
    }
}

impl<T> Default for Expiring<T> {
    fn default() -> Self {
        Self { values: HashMap::new(), order: BTreeSet::new() }
    }
}
