//! [`Pauses`]: sessions whose refresh has just failed are left alone for a while.

use super::rules;
use crate::store::Key;
use quick_cache::sync::Cache;
use std::time::Duration;
use tokio::time::Instant;

/// When the next refresh of a session may be tried, for a bounded number of sessions.
#[derive(Debug)]
pub(super) struct Pauses(Cache<Key, Pause>);

#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    failures: u32,
}

impl Pauses {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity.max(1)))
    }

    /// How long it still is, if there is one.
    pub(super) fn left(&self, key: &Key, now: Instant) -> Option<Duration> {
        let pause = self.0.get(key)?;
        pause.until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// One more failure. Returns how long the pause is.
    pub(super) fn failed(&self, key: Key, retry_after: Option<Duration>, now: Instant) -> Duration {
        let failures = self.0.get(&key).map_or(0, |pause| pause.failures).saturating_add(1);
        let pause = rules::pause(failures, retry_after, fastrand::f64());
        self.0.insert(key, Pause { until: now + pause, failures });
        pause
    }

    /// No refresh for so long, for another reason than a failure at the issuer.
    pub(super) fn hold(&self, key: Key, time: Duration, now: Instant) {
        let failures = self.0.get(&key).map_or(0, |pause| pause.failures);
        self.0.insert(key, Pause { until: now + time, failures });
    }

    pub(super) fn over(&self, key: &Key) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_add_up_until_one_succeeds() {
        let (pauses, key, now) = (Pauses::new(8), Key::of("test", "a"), Instant::now());
        assert_eq!(pauses.left(&key, now), None);
        let asked = Duration::from_secs(7);
        assert_eq!(pauses.failed(key, Some(asked), now), asked);
        assert_eq!(pauses.left(&key, now), Some(asked));
        assert_eq!(pauses.left(&key, now + asked), None);
        assert!(pauses.failed(key, None, now) >= Duration::from_secs(1));
        assert!(pauses.failed(key, None, now) >= Duration::from_secs(2));
        pauses.hold(key, asked, now);
        assert_eq!(pauses.left(&key, now), Some(asked));
        assert!(pauses.failed(key, None, now) >= Duration::from_secs(4));
        pauses.over(&key);
        assert!(pauses.failed(key, None, now) <= Duration::from_secs(1));
    }
}
