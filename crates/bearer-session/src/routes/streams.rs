//! [`Streams`]: how many pages listen.

use crate::store::Key;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Of one session: a browser opens no more than a few over HTTP/1.1, and a hundred over HTTP/2.
const OF_ONE: usize = 16;

/// A bounded number of listeners.
#[derive(Clone)]
pub(super) struct Streams(Arc<Mutex<Open>>);

struct Open {
    left: usize,
    of: HashMap<Key, usize>,
}

/// A place, given back when it is dropped.
pub(super) struct Place {
    streams: Streams,
    key: Key,
}

impl Streams {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Open { left: most, of: HashMap::new() })))
    }

    pub(super) fn enter(&self, key: Key) -> Option<Place> {
        let mut open = self.open();
        let of_this = open.of.get(&key).copied().unwrap_or_default();
        if open.left == 0 || of_this >= OF_ONE {
            return None;
        }
        open.left -= 1;
        open.of.insert(key, of_this + 1);
        drop(open);
        Some(Place { streams: self.clone(), key })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open();
        open.left += 1;
        if let Some(of_this) = open.of.get_mut(&self.key) {
            *of_this -= 1;
            if *of_this == 0 {
                open.of.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_places_in_all_and_for_each_session() {
        let (streams, one) = (Streams::new(OF_ONE + 1), Key::of("session", "1"));
        let mut places: Vec<_> = (0..OF_ONE).map(|_| streams.enter(one).expect("a place")).collect();
        assert!(streams.enter(one).is_none());
        let other = streams.enter(Key::of("session", "2")).expect("the last place");
        assert!(streams.enter(Key::of("session", "3")).is_none());
        places.pop();
        drop(other);
        assert!(streams.enter(one).is_some());
        drop(places);
        assert!(streams.open().of.is_empty() && streams.open().left == OF_ONE + 1);
    }
}
