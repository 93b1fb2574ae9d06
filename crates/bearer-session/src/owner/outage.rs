//! Word of refreshes that fail to whoever runs the service: when that begins and when it is over, not of
//! each.

use crate::{endpoint::ExchangeError, sources::sources, store::Key};
use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tracing::{info, warn};

/// So many sessions fail where it is not the fault of one.
const SEVERAL: usize = 3;

/// Whether the last refreshes of this process, of several sessions, failed for no fault of theirs.
#[derive(Debug, Default)]
pub(super) struct Outage(Mutex<Failures>);

#[derive(Debug, Default)]
struct Failures {
    /// Sessions that failed since one was refreshed, as many as it takes.
    sessions: HashSet<Key>,
    is_said: bool,
}

impl Outage {
    /// One that fails for ever among others that are well is no outage: it alone would begin one, and each of
    /// the others end it.
    pub(super) fn goes_on(&self, key: Key, error: &ExchangeError) {
        if self.failures().begins(key) {
            let source = sources(error);
            warn!(%error, source, "sessions cannot be refreshed; nobody is signed out, and access tokens serve while they live");
        }
    }

    pub(super) fn is_over(&self) {
        if self.failures().ends() {
            info!("sessions are refreshed again");
        }
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failures {
    fn begins(&mut self, key: Key) -> bool {
        if self.is_said {
            return false;
        }
        self.sessions.insert(key);
        self.is_said = self.sessions.len() >= SEVERAL;
        self.is_said
    }

    fn ends(&mut self) -> bool {
        self.sessions.clear();
        std::mem::take(&mut self.is_said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        Key::of("test", &number.to_string())
    }

    #[test]
    fn an_outage_begins_and_ends_once_however_many_refreshes_fail() {
        let mut failures = Failures::default();
        assert!(!failures.ends(), "it has not begun");
        for _ in 0..2 {
            let begins: Vec<_> = (0..5).map(|number| failures.begins(key(number))).collect();
            assert_eq!(begins, [false, false, true, false, false]);
            assert_eq!([failures.ends(), failures.ends()], [true, false]);
        }
    }

    #[test]
    fn one_session_that_always_fails_is_no_outage() {
        let mut failures = Failures::default();
        for _ in 0..100 {
            assert!(!failures.begins(key(1)) && !failures.begins(key(1)));
            assert!(!failures.ends());
        }
    }
}
