//! Word of a store that does not answer to whoever runs the service: when that begins and when it is over,
//! not of each question.

use crate::sources::sources;
use std::{
    error::Error,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// A store that fails now and then is in one outage, and not in one for each answer in between.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct StoreOutage {
    /// For those who were answered, of whom there are many.
    goes_on: AtomicBool,
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    questions: u64,
    last: Option<Instant>,
}

impl StoreOutage {
    /// A question failed for this reason.
    pub(super) fn goes_on(&self, error: &(dyn Error + 'static)) {
        let source = sources(error);
        if self.begins(Instant::now()) {
            warn!(%error, source, "the session store fails; what is in memory serves while it lives");
        } else {
            debug!(%error, source, "the session store fails");
        }
    }

    /// A question was answered.
    pub(super) fn is_over(&self) {
        if self.goes_on.load(Ordering::Relaxed)
            && let Some(questions) = self.ends(Instant::now())
        {
            info!(questions, "the session store answers again");
        }
    }

    fn begins(&self, now: Instant) -> bool {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.questions += 1;
        failures.last = Some(now);
        !self.goes_on.swap(true, Ordering::Relaxed)
    }

    /// How many questions failed since it began.
    fn ends(&self, now: Instant) -> Option<u64> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.last.take_if(|last| now.saturating_duration_since(*last) >= QUIET)?;
        self.goes_on.store(false, Ordering::Relaxed);
        Some(std::mem::take(&mut failures.questions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_of_the_store_begins_once_and_ends_when_all_was_quiet_for_a_while() {
        let (outage, began) = (StoreOutage::default(), Instant::now());
        assert_eq!(outage.ends(began), None, "it has not begun");
        for round in 0..2 {
            let at = |secs: u64| began + Duration::from_secs(100 * round + secs);
            let begins = [0, 0, 5].map(|secs| outage.begins(at(secs)));
            assert_eq!(begins, [true, false, false]);
            assert_eq!([6, 14, 15, 16].map(|secs| outage.ends(at(secs))), [None, None, Some(3), None]);
        }
    }
}
