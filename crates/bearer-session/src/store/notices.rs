//! [`Notices`]: who waits for which row.

use super::Key;
use crate::BoxFuture;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Notify;

/// Wakes those who wait for a key. It knows only of keys that somebody waits for. Clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notices(Arc<Mutex<HashMap<Key, Awaited>>>);

#[derive(Debug, Default)]
struct Awaited {
    notify: Arc<Notify>,
    waiting: usize,
}

/// One who waits; the last one to leave takes the entry along.
struct Place {
    notices: Notices,
    key: Key,
}

impl Notices {
    /// Resolves at the next [`tell`](Self::tell) of this key. It listens from now on, polled or not.
    pub(crate) fn listen(&self, key: &Key) -> BoxFuture<'static, ()> {
        let notified = self.with(|awaited| {
            let awaited = awaited.entry(*key).or_default();
            awaited.waiting += 1;
            Arc::clone(&awaited.notify).notified_owned()
        });
        let place = Place { notices: self.clone(), key: *key };
        Box::pin(async move {
            notified.await;
            drop(place);
        })
    }

    /// Wakes all who wait for this key now.
    pub(crate) fn tell(&self, key: &Key) {
        self.with(|awaited| {
            if let Some(awaited) = awaited.get(key) {
                awaited.notify.notify_waiters();
            }
        });
    }

    /// Wakes all who wait for any key: nobody knows what was missed.
    #[cfg(feature = "redis")]
    pub(crate) fn tell_all(&self) {
        self.with(|awaited| awaited.values().for_each(|awaited| awaited.notify.notify_waiters()));
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Key, Awaited>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.notices.with(|awaited| {
            if let Some(entry) = awaited.get_mut(&self.key) {
                entry.waiting -= 1;
                if entry.waiting == 0 {
                    awaited.remove(&self.key);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_test::{assert_pending, assert_ready, task};

    #[test]
    fn a_notice_reaches_all_who_listen_to_its_key_whether_they_were_polled_or_not() {
        let notices = Notices::default();
        let key = Key::of("test", "a");
        let mut polled = task::spawn(notices.listen(&key));
        assert_pending!(polled.poll());
        let mut not_polled = task::spawn(notices.listen(&key));
        let mut other = task::spawn(notices.listen(&Key::of("test", "b")));
        notices.tell(&key);
        let mut late = task::spawn(notices.listen(&key));
        assert_ready!(polled.poll());
        assert_ready!(not_polled.poll());
        assert_pending!(other.poll());
        assert_pending!(late.poll());
    }

    #[test]
    fn nothing_is_left_of_those_who_left() {
        let notices = Notices::default();
        let key = Key::of("test", "a");
        let never_polled = notices.listen(&key);
        let mut served = task::spawn(notices.listen(&key));
        notices.tell(&key);
        assert_ready!(served.poll());
        assert_eq!(notices.with(|awaited| awaited.len()), 1);
        drop((never_polled, served));
        assert_eq!(notices.with(|awaited| awaited.len()), 0);
    }
}
