//! When to fetch: pure functions of what happened and the time. Times are monotonic, so that a jump of the
//! wall clock costs nothing, and a long time in which nothing ran costs one fetch and not many.
//!
//! On Linux that clock stands still while the machine is suspended: after a night of sleep the keys are a
//! night older than they seem, and the next fetch comes when it would have come without the night.

mod bucket;
mod unknown_kids;

pub(crate) use bucket::Bucket;
pub(crate) use unknown_kids::UnknownKids;

use std::time::Duration;
use tokio::time::Instant;

/// When a [`Refresher`](crate::Refresher) fetches, and how long its keys are trusted. The defaults are good
/// for issuers that publish a key some minutes before they sign with it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// How long a set is taken to be current, where the source does not say. The refresh comes at 80 % of
    /// that time, give or take 5 % so that many instances do not ask together. Default 10 min: a refresh
    /// about every 8 min.
    pub every: Duration,
    /// The least time between two refreshes, whatever the source says, give or take 5 %. Default 60 s.
    pub at_least: Duration,
    /// The longest lifetime of a set that is believed, whatever the source says. Nor is more than a fifth of
    /// [`max_stale`](Self::max_stale) believed, so that an outage that begins just before a refresh is
    /// survived for most of that time. Default 24 h; with the default `max_stale`, the fifth of it counts: a
    /// refresh about every hour.
    pub at_most: Duration,
    /// For one fetch, from its start to its last byte. Default 5 s.
    pub deadline: Duration,
    /// How long a request waits for a fetch that may bring its key. Default 2 s.
    pub wait: Duration,
    /// How many fetches tokens of unknown keys can cause at once. Default 3.
    pub burst: u32,
    /// After that, one more fetch every so often. Default 10 s.
    pub refill: Duration,
    /// Between two fetches that bad signatures under a known `kid` can cause. Default 60 s.
    pub signature_refill: Duration,
    /// The first pause after a failure; it doubles with each. Default 1 s.
    pub backoff: Duration,
    /// The longest pause after a failure. Default 60 s.
    pub longest_backoff: Duration,
    /// How long keys are trusted without a successful refresh. Default 6 h. By the monotonic clock: on Linux
    /// the time in which the machine is suspended does not count.
    pub max_stale: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(600),
            at_least: Duration::from_secs(60),
            at_most: Duration::from_secs(24 * 3600),
            deadline: Duration::from_secs(5),
            wait: Duration::from_secs(2),
            burst: 3,
            refill: Duration::from_secs(10),
            signature_refill: Duration::from_secs(60),
            backoff: Duration::from_secs(1),
            longest_backoff: Duration::from_secs(60),
            max_stale: Duration::from_secs(6 * 3600),
        }
    }
}

impl Schedule {
    /// The pause after a success: at 80 % of the lifetime, give or take 5 %, so that many instances do not
    /// ask together. `random` is within `0.0..1.0`.
    pub(crate) fn after_success(&self, max_age: Option<Duration>, random: f64) -> Duration {
        // What has passed of `max_stale` when an outage begins is lost: the keys are to be young at any time,
        // however long the source lets them live.
        let longest = self.at_most.min(self.max_stale / 5).max(self.at_least);
        let lifetime = max_age.unwrap_or(self.every).clamp(self.at_least, longest);
        let jitter = 0.95 + 0.1 * random;
        // The floor holds for the pause itself: `max-age=0` must not mean "sooner than the floor".
        scaled(lifetime, 0.8 * jitter).max(scaled(self.at_least, jitter)).max(LEAST)
    }

    /// The pause after a failure: exponential with full jitter, and no shorter than the server asked for. A
    /// short `Retry-After` that comes with every failure is no reason to go on at that pace. `random` is
    /// within `0.0..1.0`.
    pub(crate) fn after_failure(
        &self,
        failures: u32,
        retry_after: Option<Duration>,
        random: f64,
    ) -> Duration {
        /// However the dice fall, a failing issuer is not asked in a tight loop.
        const FLOOR: f64 = 0.1;
        let doublings = failures.saturating_sub(1).min(16);
        let ceiling = self.backoff.saturating_mul(1 << doublings).min(self.longest_backoff);
        let pause = scaled(ceiling, random.max(FLOOR)).max(LEAST);
        retry_after.map_or(pause, |asked| pause.max(self.silence(asked, random)))
    }

    /// How long a source that asks for silence is left alone: as long as it asked, and up to a quarter more,
    /// so that the instances that it told the same time do not come back together. A silly `Retry-After` must
    /// not stop us from noticing a recovery.
    pub(crate) fn silence(&self, asked: Duration, random: f64) -> Duration {
        scaled(asked.clamp(self.backoff, self.every.max(self.backoff)), 1.0 + random / 4.0)
    }
}

/// Whatever the schedule says, a source is not asked in a tight loop: zero is easily written into a
/// configuration.
const LEAST: Duration = Duration::from_millis(100);

/// Longer than any process runs: what is to mean "never" must not be more than a clock can tell.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// A moment after this one.
pub(crate) fn later(now: Instant, pause: Duration) -> Instant {
    now + pause.min(FAR)
}

fn scaled(duration: Duration, factor: f64) -> Duration {
    duration.min(FAR).mul_f64(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROUNDING: Duration = Duration::from_millis(1);

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_refresh_comes_before_the_lifetime_ends_and_within_bounds() {
        let schedule = Schedule::default();
        let at = |max_age: Option<u64>| (schedule.after_success(max_age.map(secs), 0.5) + ROUNDING).as_secs();
        assert_eq!(at(None), 480);
        assert_eq!(at(Some(600)), 480);
        assert_eq!(at(Some(3600)), 2880);
        for floor in [0, 1, 59] {
            assert_eq!(at(Some(floor)), 60, "max-age={floor}");
        }
        assert_eq!(at(Some(10 * 24 * 3600)), 6 * 3600 / 5 * 4 / 5, "while the keys are young");
        let trusting = Schedule { max_stale: secs(7 * 24 * 3600), ..schedule };
        let pause = trusting.after_success(Some(secs(10 * 24 * 3600)), 0.5) + ROUNDING;
        assert_eq!(pause.as_secs(), 24 * 3600 / 5 * 4);
    }

    #[test]
    fn failures_back_off_and_retry_after_is_heard_within_bounds() {
        let schedule = Schedule::default();
        let ceiling = |failures| schedule.after_failure(failures, None, 1.0).as_secs();
        assert_eq!([1, 2, 3, 7, 8, 1000].map(ceiling), [1, 2, 4, 60, 60, 60]);
        assert!(schedule.after_failure(1, None, 0.0) >= Duration::from_millis(100), "never a tight loop");
        let asked = |seconds| schedule.after_failure(1, Some(secs(seconds)), 0.0).as_secs();
        assert_eq!([0, 30, 600, 1_000_000].map(asked), [1, 30, 600, 600]);
    }

    #[test]
    fn a_schedule_of_zeros_is_no_tight_loop() {
        let zero = Duration::ZERO;
        let none = Schedule {
            every: zero,
            at_least: zero,
            backoff: zero,
            longest_backoff: zero,
            ..Schedule::default()
        };
        for random in [0.0, 1.0] {
            assert_eq!(none.after_success(Some(zero), random), Duration::from_millis(100));
            assert_eq!(none.after_failure(1, Some(zero), random), Duration::from_millis(100));
        }
    }

    #[test]
    fn a_short_retry_after_does_not_switch_the_back_off_off() {
        let schedule = Schedule::default();
        let asked = |failures, seconds| schedule.after_failure(failures, Some(secs(seconds)), 1.0).as_secs();
        assert_eq!([1, 2, 3, 7, 1000].map(|failures| asked(failures, 1)), [1, 2, 4, 60, 60]);
        assert_eq!([0, 40, 48, 60, 601].map(|seconds| asked(7, seconds)), [60, 60, 60, 75, 750]);
    }

    #[test]
    fn who_is_asked_for_silence_comes_back_no_sooner_and_up_to_a_quarter_later() {
        let schedule = Schedule::default();
        let silence = |random| schedule.silence(secs(60), random).as_secs();
        assert_eq!([0.0, 0.4, 0.8, 1.0].map(silence), [60, 66, 72, 75]);
    }

    #[test]
    fn what_is_to_mean_never_is_longer_than_any_process_runs() {
        let now = Instant::now();
        assert!(later(now, Duration::MAX) - now > secs(20 * 365 * 24 * 3600));
    }

    /// Of any length, up to the longest there is.
    fn any_duration() -> impl Strategy<Value = Duration> {
        prop_oneof![
            3 => Just(Duration::MAX),
            1 => Just(Duration::ZERO),
            1 => (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
        ]
    }

    fn any_schedule() -> impl Strategy<Value = Schedule> {
        let burst = prop_oneof![Just(0), Just(3), Just(u32::MAX)];
        (proptest::collection::vec(any_duration(), 10), burst).prop_map(|(durations, burst)| Schedule {
            every: durations[0],
            at_least: durations[1],
            at_most: durations[2],
            deadline: durations[3],
            wait: durations[4],
            burst,
            refill: durations[5].max(secs(1)),
            signature_refill: durations[6].max(secs(1)),
            backoff: durations[7],
            longest_backoff: durations[8],
            max_stale: durations[9],
        })
    }

    proptest! {
        #[test]
        fn no_schedule_is_too_long_for_the_clock(
            schedule in any_schedule(),
            asked in proptest::option::of(any_duration()),
            failures in any::<u32>(),
            random in prop_oneof![Just(0.0), Just(1.0), 0.0..1.0],
        ) {
            let now = Instant::now();
            for pause in [
                schedule.after_success(asked, random),
                schedule.after_failure(failures, asked, random),
                schedule.wait,
                schedule.refill,
            ] {
                prop_assert!(later(now, pause) >= now);
            }
            for mut bucket in [Bucket::for_unknown_keys(&schedule), Bucket::for_bad_signatures(&schedule)] {
                let taken = bucket.take(now);
                prop_assert_eq!(taken, bucket.burst > 0);
                // Where there is none at all, none is promised either.
                prop_assert!(bucket.burst != 1 || bucket.empty_until(now).is_some_and(|until| until > now));
            }
        }

        #[test]
        fn pauses_stay_within_bounds(
            max_age in proptest::option::of(0u64..u64::from(u32::MAX)),
            random in 0.0..1.0,
            failures in 0u32..100,
        ) {
            let schedule = Schedule::default();
            let pause = schedule.after_success(max_age.map(secs), random);
            prop_assert!(pause >= secs(57) && pause <= schedule.at_most);
            let pause = schedule.after_failure(failures, max_age.map(secs), random);
            prop_assert!(pause <= schedule.every * 5 / 4);
        }
    }
}
