//! [`Single`]: of all who want the same thing done, one has it done, for all.

use crate::store::Key;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

/// Runs one task per key at a time. It is a task of its own: whoever waits for it may leave, and it goes on.
#[derive(Debug)]
pub(super) struct Single<T>(Arc<Mutex<Tasks<T>>>);

#[derive(Debug)]
struct Tasks<T> {
    running: HashMap<Key, Running<T>>,
    /// No other is begun.
    is_closed: bool,
}

/// A task that runs, or has ended with this.
#[derive(Clone, Debug)]
pub(super) struct Running<T>(watch::Receiver<Option<T>>);

/// Takes the task off the list, also when it panics.
struct Listed<T> {
    single: Single<T>,
    key: Key,
}

impl<T: Clone + Send + Sync + 'static> Single<T> {
    /// The task of this key that is running already, or this one. Nothing comes of one that is begun after
    /// the end.
    pub(super) fn run<F>(&self, key: Key, task: impl FnOnce() -> F) -> Running<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut tasks = self.tasks();
        if let Some(running) = tasks.running.get(&key) {
            return running.clone();
        }
        let (done, running) = watch::channel(None);
        let running = Running(running);
        if tasks.is_closed {
            return running;
        }
        tasks.running.insert(key, running.clone());
        drop(tasks);
        let listed = Listed { single: Self(Arc::clone(&self.0)), key };
        let task = task();
        tokio::spawn(async move {
            let result = task.await;
            // First off the list: nobody is to join what has ended.
            drop(listed);
            done.send_replace(Some(result));
        });
        running
    }
}

impl<T: Clone> Single<T> {
    /// What is running now.
    pub(super) fn running(&self) -> Vec<Running<T>> {
        self.tasks().running.values().cloned().collect()
    }

    /// The task of this key, if one is running.
    pub(super) fn running_for(&self, key: &Key) -> Option<Running<T>> {
        self.tasks().running.get(key).cloned()
    }

    /// Begins no other. Returns what is running still.
    pub(super) fn close(&self) -> Vec<Running<T>> {
        self.tasks().is_closed = true;
        self.running()
    }
}

impl<T> Single<T> {
    pub(super) fn is_closed(&self) -> bool {
        self.tasks().is_closed
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Running<T> {
    /// What came of it; `None` when it takes longer, or broke down.
    pub(super) async fn until(mut self, deadline: Instant) -> Option<T> {
        let done = timeout_at(deadline, self.0.wait_for(Option::is_some)).await;
        done.ok()?.ok()?.clone()
    }
}

impl<T> Drop for Listed<T> {
    fn drop(&mut self) {
        self.single.tasks().running.remove(&self.key);
    }
}

impl<T> Default for Single<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Tasks { running: HashMap::new(), is_closed: false })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::pending, time::Duration};
    use tokio::time::sleep;

    fn key() -> Key {
        Key::of("test", "a")
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    async fn after_a_second(result: u32) -> u32 {
        sleep(Duration::from_secs(1)).await;
        result
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_while_it_runs_shares_it_and_whoever_comes_later_does_not() {
        let single = Single::default();
        let first = single.run(key(), || after_a_second(1));
        let second = single.run(key(), || after_a_second(2));
        drop(first);
        assert_eq!(second.until(soon()).await, Some(1));
        assert_eq!(single.run(key(), || after_a_second(3)).until(soon()).await, Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_is_bounded() {
        let single = Single::default();
        assert_eq!(single.run(key(), pending::<u32>).until(soon()).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_leaves_nobody_waiting_and_nothing_behind() {
        let single = Single::<u32>::default();
        let before = Instant::now();
        let broken = single.run(key(), || async { panic!("on purpose") });
        assert_eq!(broken.until(soon()).await, None);
        assert_eq!(Instant::now(), before);
        assert_eq!(single.run(key(), || after_a_second(3)).until(soon()).await, Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_end_what_runs_goes_on_and_nothing_is_begun() {
        let single = Single::default();
        let before = single.run(key(), || after_a_second(1));
        assert_eq!(single.close().len(), 1);
        assert_eq!(single.run(key(), || after_a_second(2)).until(soon()).await, Some(1));
        assert_eq!(before.until(soon()).await, Some(1));
        let now = Instant::now();
        assert_eq!(single.run(key(), || after_a_second(3)).until(soon()).await, None);
        assert_eq!(Instant::now(), now, "and nobody waits for it");
    }
}
