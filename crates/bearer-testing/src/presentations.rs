//! Counts how often each refresh token was presented.

use std::sync::{Mutex, PoisonError};

/// How often each refresh token was presented, in the order in which they were first.
#[derive(Debug, Default)]
pub(crate) struct Presentations(Mutex<Vec<(String, usize)>>);

impl Presentations {
    pub(crate) fn add(&self, token: &str) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.iter_mut().find(|(known, _)| known == token) {
            Some((_, times)) => *times += 1,
            None => seen.push((token.to_owned(), 1)),
        }
    }

    pub(crate) fn counts(&self) -> Vec<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, times)| *times).collect()
    }

    pub(crate) fn of(&self, token: &str) -> usize {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().find(|(known, _)| known == token).map_or(0, |(_, times)| *times)
    }
}
