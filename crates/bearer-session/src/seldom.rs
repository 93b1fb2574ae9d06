//! [`Seldom`]: word of what may befall everybody at once, or be caused by anybody.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// One line in so long a time.
const SELDOM: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Unsaid>);

#[derive(Debug, Default)]
struct Unsaid {
    last: Option<Instant>,
    others: u64,
}

impl Seldom {
    /// How many others there were since it was time before, or `None`.
    pub(crate) fn is_time(&self, now: Instant) -> Option<u64> {
        let Unsaid { last, others } = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.saturating_duration_since(last) < SELDOM) {
            *others += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_befalls_everybody_is_spoken_of_once_a_minute() {
        let (seldom, began) = (Seldom::default(), Instant::now());
        let said = [0, 1, 59, 60, 61, 200].map(|secs| seldom.is_time(began + Duration::from_secs(secs)));
        assert_eq!(said, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
