//! The steps that are left, and which request gets which.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{JWKS_PATH, Step};

/// Which request gets which step.
#[derive(Debug, Default)]
pub(super) struct Script(Mutex<Steps>);

#[derive(Debug, Default)]
struct Steps {
    once: VecDeque<Step>,
    /// In turn, after those.
    repeated: VecDeque<Step>,
    elsewhere: HashMap<String, Step>,
}

impl Script {
    pub(super) fn append(&self, steps: impl IntoIterator<Item = Step>) {
        // Collected first, so that no code of the caller runs under the lock.
        let steps: Vec<_> = steps.into_iter().collect();
        self.lock().once.extend(steps);
    }

    pub(super) fn repeat(&self, steps: impl IntoIterator<Item = Step>) {
        let steps: VecDeque<_> = steps.into_iter().collect();
        assert!(!steps.is_empty(), "a script that goes on has a step to go on with");
        self.lock().repeated = steps;
    }

    pub(super) fn elsewhere(&self, path: &str, step: Step) {
        self.lock().elsewhere.insert(path.to_owned(), step);
    }

    /// The step of a request for this path.
    pub(super) fn next(&self, path: &str) -> Step {
        let mut steps = self.lock();
        let step = if path == JWKS_PATH { steps.next_of_keys() } else { steps.elsewhere.get(path).cloned() };
        step.unwrap_or_else(|| Step::status(404))
    }

    fn lock(&self) -> MutexGuard<'_, Steps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Steps {
    fn next_of_keys(&mut self) -> Option<Step> {
        self.once.pop_front().or_else(|| {
            self.repeated.rotate_left(usize::from(!self.repeated.is_empty()));
            self.repeated.back().cloned()
        })
    }
}
