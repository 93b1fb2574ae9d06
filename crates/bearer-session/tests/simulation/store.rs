//! The store as one instance sees it: late, broken, or both.

use crate::{shelves::Shelves, world::World};
use bearer_session::{
    BoxFuture,
    store::{Claim, Commit, Fence, Key, Lookup, Row, Store, StoreError},
};
use std::{
    collections::HashMap,
    fmt,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::sleep;

#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) world: World,
    pub(crate) instance: usize,
    pub(crate) shelves: Shelves,
    /// Claims that were granted, until their answers arrive.
    pub(crate) unheard: Arc<Mutex<HashMap<Key, Fence>>>,
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

/// When a question without an answer may cost a strict session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Costs {
    Nothing,
    /// Only when it took effect.
    Done,
    /// When it did, and when it did not.
    Anyway,
}

/// A question that was asked. Without an answer its session is excused.
struct Asked<'a> {
    link: &'a Link,
    key: &'a Key,
    costs: Costs,
    is_done: bool,
    is_answered: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let costs = match self.costs {
            Costs::Nothing => false,
            Costs::Done => self.is_done,
            Costs::Anyway => true,
        };
        if costs && !self.is_answered {
            self.link.world.with(|state| state.excuse_key(self.link.instance, self.key));
        }
    }
}

impl Link {
    /// Asks the store, if the way there and back allows.
    async fn ask<T: fmt::Debug>(
        &self,
        key: &Key,
        costs: Costs,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut asked = Asked { link: self, key, costs, is_done: false, is_answered: false };
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
            (luck, there, back)
        });
        late(there).await;
        if luck == Luck::FailsBefore {
            return Err(StoreError::new("it fails before"));
        }
        self.world.step(self.instance).await;
        asked.is_done = true;
        let answer = question.await;
        match luck {
            Luck::FailsAfter => return Err(StoreError::new("it fails after")),
            Luck::Silent => return pending().await,
            Luck::Good | Luck::FailsBefore => {}
        }
        late(back).await;
        self.world.step(self.instance).await;
        asked.is_answered = true;
        self.world.with(|state| state.tell(|| format!("{} asks of {key:?}: {answer:?}", self.instance)));
        answer
    }

    /// A row as it is, by the clock of the store: a backup keeps the time of writing.
    fn dated(&self, row: Row) -> Row {
        let age = self.world.with(|state| state.age(&row.sealed)).unwrap_or(row.age);
        Row::new(row.generation, row.sealed, age)
    }

    fn look(&self, found: Lookup) -> Lookup {
        match found {
            Lookup::Live(row) => Lookup::Live(self.dated(row)),
            other => other,
        }
    }

    fn claim_is_over(&self, key: &Key) {
        self.world.with(|state| state.claims(self.instance, key, false));
    }
}

async fn late(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

// The memory store acts when it is called, not when it is polled: so each call is within the future that `ask` polls.
impl Store for Link {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        Box::pin(self.ask(key, Costs::Nothing, async move {
            let found = self.shelves.of(key).load(key).await?;
            Ok(self.look(found))
        }))
    }

    fn create<'a>(
        &'a self,
        key: &'a Key,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        Box::pin(async move {
            let found = self.shelves.of(key).create(key, sealed, ttl).await?;
            if found == Lookup::Unknown {
                self.world.with(|state| state.created(key, sealed));
            }
            Ok(self.look(found))
        })
    }

    fn claim<'a>(
        &'a self,
        key: &'a Key,
        generation: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(async move {
            let claim = self
                .ask(key, Costs::Done, async move {
                    let store = self.shelves.of(key);
                    let unheard = self.unheard.lock().unwrap().remove(key);
                    if let Some(fence) = unheard {
                        // The same claim again, which the memory store cannot tell.
                        store.release(key, fence).await?;
                    }
                    let claim = store.claim(key, generation, lease).await?;
                    if let Claim::Granted { fence, .. } = claim {
                        self.unheard.lock().unwrap().insert(*key, fence);
                        self.world.with(|state| {
                            state.fence = state.fence.max(fence.get());
                            state.claims(self.instance, key, true);
                        });
                    }
                    Ok(claim)
                })
                .await?;
            self.unheard.lock().unwrap().remove(key);
            Ok(match claim {
                Claim::Granted { fence, row, interrupted } => {
                    Claim::Granted { fence, row: self.dated(row), interrupted }
                }
                Claim::Moved(row) => Claim::Moved(self.dated(row)),
                other => other,
            })
        })
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        fence: Fence,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Commit, StoreError>> {
        Box::pin(async move {
            let commit = self
                .ask(key, Costs::Anyway, async move {
                    let store = self.shelves.of(key);
                    let commit = store.commit(key, fence, sealed, ttl).await?;
                    let now = store.load(key).await?;
                    self.world.with(|state| state.committed(self.instance, key, commit, &now));
                    Ok(commit)
                })
                .await?;
            self.claim_is_over(key);
            Ok(commit)
        })
    }

    fn release<'a>(&'a self, key: &'a Key, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.ask(key, Costs::Anyway, async move { self.shelves.of(key).release(key, fence).await })
                .await?;
            self.claim_is_over(key);
            Ok(())
        })
    }

    fn end<'a>(&'a self, key: &'a Key, remember: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.world.with(|state| state.ends(self.instance, key));
        Box::pin(self.ask(key, Costs::Nothing, async move { self.shelves.of(key).end(key, remember).await }))
    }

    fn link<'a>(
        &'a self,
        alias: &'a Key,
        key: &'a Key,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.ask(key, Costs::Anyway, async move { self.shelves.names.link(alias, key, ttl).await }))
    }

    fn resolve<'a>(&'a self, alias: &'a Key) -> BoxFuture<'a, Result<Option<Key>, StoreError>> {
        Box::pin(self.ask(alias, Costs::Nothing, async move { self.shelves.names.resolve(alias).await }))
    }

    fn changed(&self, key: &Key) -> BoxFuture<'static, ()> {
        // Every fifth notice gets lost.
        if self.world.with(|state| state.rng.u8(..5) == 0) {
            Box::pin(pending())
        } else {
            self.shelves.of(key).changed(key)
        }
    }
}
