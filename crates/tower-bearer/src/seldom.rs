//! [`Seldom`]: what every request would say is said once a second.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// Says yes once a second: in an outage, or where the set-up is wrong, every request has the same to say, and
/// one line is enough for an alarm.
pub(crate) struct Seldom(AtomicU64);

impl Seldom {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn is_time(&self) -> bool {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        // Zero is never.
        self.is_time_at(BEGAN.elapsed().as_secs() + 1)
    }

    fn is_time_at(&self, second: u64) -> bool {
        self.0.fetch_max(second, Ordering::Relaxed) < second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_request_would_say_is_said_once_a_second() {
        assert!(Seldom::new().is_time(), "the first time");
        let seldom = Seldom::new();
        let said = [1, 1, 1, 2, 1, 2, 5, 5].map(|second| seldom.is_time_at(second));
        assert_eq!(said, [true, false, false, true, false, false, true, false]);
    }
}
