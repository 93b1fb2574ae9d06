//! [`Pauses`]: sessions whose refresh has just failed are left alone for a while.

use super::rules;
use crate::{endpoint::ExchangeError, store::Key};
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
    /// The first and the last time that the issuer refused this very token, with nothing else in between.
    refused: Option<(Instant, Instant)>,
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

    /// One more failure: the issuer's, or another. Returns how long the pause is.
    pub(super) fn failed(&self, key: Key, error: Option<&ExchangeError>, now: Instant) -> Duration {
        let before = self.0.get(&key);
        let failures = before.map_or(0, |pause| pause.failures).saturating_add(1);
        let pause = rules::pause(failures, error.and_then(ExchangeError::retry_after), fastrand::f64());
        let first = before.and_then(|pause| pause.refused).map_or(now, |(first, _)| first);
        let refused = error.is_some_and(rules::is_refusal).then_some((first, now));
        self.0.insert(key, Pause { until: now + pause, failures, refused });
        pause
    }

    /// Whether the issuer goes on refusing this very token.
    pub(super) fn is_refused(&self, key: &Key) -> bool {
        let refused = self.0.get(key).and_then(|pause| pause.refused);
        refused.is_some_and(|(first, last)| rules::is_refused(last.saturating_duration_since(first)))
    }

    /// No refresh for so long, for another reason than a failure at the issuer.
    pub(super) fn hold(&self, key: Key, time: Duration, now: Instant) {
        let (failures, refused) = self.0.get(&key).map_or((0, None), |pause| (pause.failures, pause.refused));
        self.0.insert(key, Pause { until: now + time, failures, refused });
    }

    pub(super) fn over(&self, key: &Key) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Outcome;
    use http::StatusCode;

    #[test]
    fn refusals_are_taken_at_their_word_when_they_go_on_with_nothing_in_between() {
        let (pauses, key, now) = (Pauses::new(8), Key::of("test", "a"), Instant::now());
        let error = |status| {
            let status = StatusCode::from_u16(status).unwrap();
            ExchangeError::new(Outcome::NotSpent).with_status(status)
        };
        let at = |secs| now + Duration::from_secs(secs);
        let steps = [
            (0, Some(400), false),
            (29, Some(400), false),
            (30, Some(400), true),
            (31, Some(503), false),
            (40, Some(400), false),
            (70, Some(400), true),
            (71, None, false),
            (72, Some(400), false),
        ];
        for (secs, status, expected) in steps {
            pauses.failed(key, status.map(error).as_ref(), at(secs));
            pauses.hold(key, Duration::ZERO, at(secs));
            assert_eq!(pauses.is_refused(&key), expected, "{secs}");
        }
        pauses.failed(key, Some(&error(400)), at(200));
        assert!(pauses.is_refused(&key));
        pauses.over(&key);
        assert!(!pauses.is_refused(&key));
    }

    #[test]
    fn failures_add_up_until_one_succeeds() {
        let (pauses, key, now) = (Pauses::new(8), Key::of("test", "a"), Instant::now());
        assert_eq!(pauses.left(&key, now), None);
        let asked = Duration::from_secs(7);
        let error = ExchangeError::new(Outcome::NotSpent).with_retry_after(asked);
        assert_eq!(pauses.failed(key, Some(&error), now), asked);
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
