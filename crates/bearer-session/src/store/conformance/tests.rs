//! The suite lets a good store pass and finds each flaw.

use super::Suite;
use crate::{
    BoxFuture,
    store::{Claim, Commit, Fence, Key, Lookup, MemoryStore, Row, Store, StoreError},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flaw {
    None,
    EveryWriterIsFirst,
    SealCutOff,
    NoAge,
    EndIsNotRemembered,
    EndsAgainAndAgain,
    ClaimedTwice,
    ClaimOfAnotherGeneration,
    LeaseUnknown,
    InterruptionMissed,
    InterruptionImagined,
    LateCommitStored,
    ReleaseForgotten,
    AliasForgotten,
    Silent,
    ListensWhenPolled,
}

const FLAWS: [Flaw; 15] = [
    Flaw::EveryWriterIsFirst,
    Flaw::SealCutOff,
    Flaw::NoAge,
    Flaw::EndIsNotRemembered,
    Flaw::EndsAgainAndAgain,
    Flaw::ClaimedTwice,
    Flaw::ClaimOfAnotherGeneration,
    Flaw::LeaseUnknown,
    Flaw::InterruptionMissed,
    Flaw::InterruptionImagined,
    Flaw::LateCommitStored,
    Flaw::ReleaseForgotten,
    Flaw::AliasForgotten,
    Flaw::Silent,
    Flaw::ListensWhenPolled,
];

/// A good store with one flaw.
#[derive(Clone, Debug)]
struct Flawed(MemoryStore, Flaw);

impl Flawed {
    fn row(&self, mut row: Row) -> Row {
        match self.1 {
            Flaw::SealCutOff => row.sealed.truncate(4096),
            Flaw::NoAge => row.age = Duration::ZERO,
            _ => {}
        }
        row
    }
}

impl Store for Flawed {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        Box::pin(async move {
            Ok(match self.0.load(key).await? {
                Lookup::Live(row) => Lookup::Live(self.row(row)),
                Lookup::Ended if self.1 == Flaw::EndIsNotRemembered => Lookup::Unknown,
                other => other,
            })
        })
    }

    fn create<'a>(
        &'a self,
        key: &'a Key,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        Box::pin(async move {
            let there = self.0.create(key, sealed, ttl).await?;
            Ok(if self.1 == Flaw::EveryWriterIsFirst { Lookup::Unknown } else { there })
        })
    }

    fn claim<'a>(
        &'a self,
        key: &'a Key,
        generation: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(async move {
            Ok(match (self.0.claim(key, generation, lease).await?, self.1) {
                (Claim::Held(_), Flaw::LeaseUnknown) => Claim::Held(Duration::ZERO),
                (Claim::Held(_), Flaw::ClaimedTwice) => {
                    let (Lookup::Live(row), Some(fence)) = (self.load(key).await?, Fence::new(u64::MAX))
                    else {
                        return Ok(Claim::Unknown);
                    };
                    Claim::Granted { fence, row, interrupted: false }
                }
                (Claim::Moved(row), Flaw::ClaimOfAnotherGeneration) => {
                    return self.0.claim(key, row.generation, lease).await;
                }
                (Claim::Granted { fence, row, interrupted }, flaw) => {
                    let interrupted = match flaw {
                        Flaw::InterruptionMissed => false,
                        Flaw::InterruptionImagined => true,
                        _ => interrupted,
                    };
                    Claim::Granted { fence, row: self.row(row), interrupted }
                }
                (other, _) => other,
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
            let commit = self.0.commit(key, fence, sealed, ttl).await?;
            Ok(if self.1 == Flaw::LateCommitStored { Commit::Stored } else { commit })
        })
    }

    fn release<'a>(&'a self, key: &'a Key, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>> {
        match self.1 {
            Flaw::ReleaseForgotten => Box::pin(async { Ok(()) }),
            _ => self.0.release(key, fence),
        }
    }

    fn end<'a>(&'a self, key: &'a Key, remember: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let lived = self.0.end(key, remember).await?;
            let known = self.0.load(key).await? != Lookup::Unknown;
            Ok(if self.1 == Flaw::EndsAgainAndAgain { known } else { lived })
        })
    }

    fn link<'a>(
        &'a self,
        alias: &'a Key,
        key: &'a Key,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        match self.1 {
            Flaw::AliasForgotten => Box::pin(async { Ok(()) }),
            _ => self.0.link(alias, key, ttl),
        }
    }

    fn resolve<'a>(&'a self, alias: &'a Key) -> BoxFuture<'a, Result<Option<Key>, StoreError>> {
        self.0.resolve(alias)
    }

    fn changed(&self, key: &Key) -> BoxFuture<'static, ()> {
        match self.1 {
            Flaw::Silent => Box::pin(std::future::pending()),
            Flaw::ListensWhenPolled => {
                let (store, key) = (self.0.clone(), *key);
                Box::pin(async move { store.changed(&key).await })
            }
            _ => self.0.changed(key),
        }
    }
}

fn passes(flaw: Flaw) -> bool {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let store = Flawed(MemoryStore::new(1000), flaw);
    let run = || runtime.block_on(Suite::new(|| store.clone()).run());
    catch_unwind(AssertUnwindSafe(run)).is_ok()
}

#[test]
fn a_store_in_memory_passes() {
    assert!(passes(Flaw::None));
}

#[test]
fn each_flaw_is_found() {
    for flaw in FLAWS {
        assert!(!passes(flaw), "{flaw:?}");
    }
}
