//! The store as one instance sees it: late, broken, or both.

use crate::world::World;
use bearer_session::{
    BoxFuture,
    store::{Claim, Commit, Fence, Key, Lookup, MemoryStore, Store, StoreError},
};
use std::{future::pending, time::Duration};
use tokio::time::sleep;

#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) world: World,
    pub(crate) instance: usize,
    pub(crate) store: MemoryStore,
}

/// What becomes of a question besides the answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Luck {
    Good,
    FailsBefore,
    FailsAfter,
    /// It takes effect, and nobody hears of it.
    Silent,
}

impl Link {
    /// Asks the store, if the way there and back allows. `matters` is whether a failure may cost a strict session.
    async fn ask<T>(
        &self,
        key: &Key,
        matters: bool,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.world.step(self.instance).await;
        let (luck, there, back) = self.world.with(|state| {
            let slow = state.rng.f64() < state.faults.store_slow;
            // Mostly none, so that few timers are needed.
            let mut latency = || match state.rng.u8(..4) {
                _ if slow => Duration::from_millis(state.rng.u64(500..1500)),
                0 => Duration::from_millis(state.rng.u64(1..5)),
                _ => Duration::ZERO,
            };
            let (there, back) = (latency(), latency());
            let luck = match state.rng.f64() < state.faults.store {
                _ if state.is_down(self.instance) => Luck::FailsBefore,
                false => Luck::Good,
                true => match state.rng.u8(..3) {
                    0 => Luck::FailsBefore,
                    1 => Luck::FailsAfter,
                    _ => Luck::Silent,
                },
            };
            if matters && (luck != Luck::Good || slow) {
                state.excuse_key(key);
            }
            (luck, there, back)
        });
        late(there).await;
        if luck == Luck::FailsBefore {
            return Err(StoreError::new("it fails before"));
        }
        self.world.step(self.instance).await;
        let answer = question.await;
        match luck {
            Luck::FailsAfter => return Err(StoreError::new("it fails after")),
            Luck::Silent => return pending().await,
            Luck::Good | Luck::FailsBefore => {}
        }
        late(back).await;
        self.world.step(self.instance).await;
        answer
    }
}

async fn late(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

impl Store for Link {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        Box::pin(self.ask(key, false, async move { self.store.load(key).await }))
    }

    fn create<'a>(
        &'a self,
        key: &'a Key,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        self.store.create(key, sealed, ttl)
    }

    fn claim<'a>(
        &'a self,
        key: &'a Key,
        generation: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        // The memory store acts when it is called, not when it is polled.
        Box::pin(self.ask(key, true, async move { self.store.claim(key, generation, lease).await }))
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        fence: Fence,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Commit, StoreError>> {
        Box::pin(self.ask(key, true, async move {
            let commit = self.store.commit(key, fence, sealed, ttl).await?;
            let now = self.store.load(key).await?;
            self.world.with(|state| state.committed(key, commit, &now));
            Ok(commit)
        }))
    }

    fn release<'a>(&'a self, key: &'a Key, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.ask(key, true, async move { self.store.release(key, fence).await }))
    }

    fn end<'a>(&'a self, key: &'a Key, remember: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.ask(key, false, async move { self.store.end(key, remember).await }))
    }

    fn link<'a>(
        &'a self,
        alias: &'a Key,
        key: &'a Key,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.ask(key, true, async move { self.store.link(alias, key, ttl).await }))
    }

    fn resolve<'a>(&'a self, alias: &'a Key) -> BoxFuture<'a, Result<Option<Key>, StoreError>> {
        Box::pin(self.ask(alias, false, async move { self.store.resolve(alias).await }))
    }

    fn changed(&self, key: &Key) -> BoxFuture<'static, ()> {
        // Every fifth notice gets lost.
        if self.world.with(|state| state.rng.u8(..5) == 0) {
            Box::pin(pending())
        } else {
            self.store.changed(key)
        }
    }
}
