//! [`Seldom`]: what every request would say is said once a second, or once a minute.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// Says yes once in so many seconds: in an outage, or where the set-up is wrong, every request has the same to
/// say, and one line is enough for an alarm.
pub(crate) struct Seldom {
    every: u64,
    last: AtomicU64,
}

impl Seldom {
    /// Once a second.
    pub(crate) const fn new() -> Self {
        Self { every: 1, last: AtomicU64::new(0) }
    }

    /// Once a minute: for what strangers can bring about.
    #[cfg(feature = "logout")]
    pub(crate) const fn once_a_minute() -> Self {
        Self { every: 60, last: AtomicU64::new(0) }
    }

    pub(crate) fn is_time(&self) -> bool {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        self.is_time_at(BEGAN.elapsed().as_secs())
    }

    fn is_time_at(&self, second: u64) -> bool {
        // Zero is never.
        let now = second / self.every + 1;
        self.last.fetch_max(now, Ordering::Relaxed) < now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_request_would_say_is_said_once_a_second() {
        assert!(Seldom::new().is_time(), "the first time");
        let seldom = Seldom::new();
        let said = [0, 0, 0, 1, 0, 1, 4, 4].map(|second| seldom.is_time_at(second));
        assert_eq!(said, [true, false, false, true, false, false, true, false]);
    }

    #[cfg(feature = "logout")]
    #[test]
    fn or_once_a_minute() {
        let seldom = Seldom::once_a_minute();
        let said = [7, 8, 59, 60, 119, 200].map(|second| seldom.is_time_at(second));
        assert_eq!(said, [true, false, false, true, false, true]);
    }
}
