//! [`Bucket`]: how many fetches the tokens of strangers can cause.

use super::{Schedule, later};
use std::time::Duration;
use tokio::time::Instant;

/// A token bucket: fetches that strangers can cause. A plain cooldown could be held closed by a flood, and
/// one forged `kid` before a rotation would use it up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    tokens: u32,
    pub(super) burst: u32,
    refill: Duration,
    /// When the next token comes; `None` while the bucket is full.
    next: Option<Instant>,
}

impl Bucket {
    /// For tokens of unknown keys.
    pub(crate) fn for_unknown_keys(schedule: &Schedule) -> Self {
        Self { tokens: schedule.burst, burst: schedule.burst, refill: schedule.refill, next: None }
    }

    /// For bad signatures under a known `kid`: most of them are forgeries.
    pub(crate) fn for_bad_signatures(schedule: &Schedule) -> Self {
        Self { tokens: 1, burst: 1, refill: schedule.signature_refill, next: None }
    }

    /// Until when there is none; `None` when there is one.
    pub(crate) fn empty_until(&mut self, now: Instant) -> Option<Instant> {
        self.fill(now);
        self.next.filter(|_| self.tokens == 0)
    }

    fn fill(&mut self, now: Instant) {
        while let Some(next) = self.next.filter(|next| *next <= now) {
            self.tokens += 1;
            self.next = (self.tokens < self.burst).then_some(later(next, self.refill));
        }
    }

    /// Takes a token if there is one. Never given back: failures cost as much as successes.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        if self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        self.next.get_or_insert(later(now, self.refill));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bucket_lets_a_burst_through_and_then_one_at_a_time() {
        let schedule = Schedule::default();
        let mut bucket = Bucket::for_unknown_keys(&schedule);
        let start = Instant::now();
        let mut taken_at =
            |seconds: u64| (0..1000).filter(|_| bucket.take(start + Duration::from_secs(seconds))).count();
        assert_eq!([0, 9, 10, 19, 20, 25, 29, 30].map(&mut taken_at), [3, 0, 1, 0, 1, 0, 0, 1]);
        assert_eq!(taken_at(10_000), 3, "a long quiet fills it to its brim, no further");
    }

    proptest! {
        #[test]
        fn no_sequence_of_takes_beats_the_rate(gaps in proptest::collection::vec(0u64..30_000, 1..200)) {
            let schedule = Schedule::default();
            let mut bucket = Bucket::for_unknown_keys(&schedule);
            let start = Instant::now();
            let (mut now, mut taken) = (start, 0u64);
            for gap in gaps {
                now += Duration::from_millis(gap);
                taken += u64::from(bucket.take(now));
                let allowed = 3 + (now - start).as_secs() / 10;
                prop_assert!(taken <= allowed, "{taken} > {allowed}");
            }
        }
    }
}
