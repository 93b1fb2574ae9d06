//! A store that can be put back to an earlier time, and forgets: one small store for each row.

use crate::world::World;
use bearer_session::store::{Claim, Key, MemoryStore, Store as _};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

const DAYS: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Clone, Debug)]
pub(crate) struct Shelves {
    rows: Arc<Mutex<HashMap<Key, MemoryStore>>>,
    /// Other names, which stay as they are.
    pub(crate) names: MemoryStore,
}

/// What was once in a row, and when it was written.
pub(crate) type Written = (Vec<u8>, Instant);

impl Shelves {
    pub(crate) fn new() -> Self {
        Self { rows: Arc::default(), names: MemoryStore::new(1).aliases(10_000) }
    }

    pub(crate) fn of(&self, key: &Key) -> MemoryStore {
        let mut rows = self.rows.lock().unwrap();
        rows.entry(*key).or_insert_with(|| MemoryStore::new(4)).clone()
    }

    /// The row is gone, as a store drops what it has no room for.
    pub(crate) fn evict(&self, key: &Key) {
        self.rows.lock().unwrap().insert(*key, MemoryStore::new(4));
    }

    /// A backup takes the place of the row: what was written to it so far, and the claim of somebody who is long gone.
    pub(crate) async fn put_back(&self, world: &World, key: &Key, written: &[Written], is_claimed: bool) {
        let backup = MemoryStore::new(4);
        let (first, later) = written.split_first().unwrap();
        backup.create(key, &first.0, DAYS).await.unwrap();
        let mut generation = 0;
        for (sealed, _) in later {
            let Claim::Granted { fence, .. } = backup.claim(key, generation, DAYS).await.unwrap() else {
                panic!("nobody else is here")
            };
            backup.commit(key, fence, sealed, DAYS).await.unwrap();
            generation += 1;
        }
        // Of two claims the later one has the greater fence, also where the row was forgotten in between.
        let (other, greatest) = (Key::of("test", "fences"), world.with(|state| state.fence));
        backup.create(&other, b"", DAYS).await.unwrap();
        while let Claim::Granted { fence, .. } = backup.claim(&other, 0, DAYS).await.unwrap() {
            backup.release(&other, fence).await.unwrap();
            if fence.get() > greatest {
                break;
            }
        }
        if is_claimed {
            backup.claim(key, generation, Duration::ZERO).await.unwrap();
        }
        self.rows.lock().unwrap().insert(*key, backup);
    }
}
