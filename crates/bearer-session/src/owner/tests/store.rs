//! A store that does what it is told.

use super::*;

/// A store that breaks down when it is told to, or has another put in its place.
#[derive(Clone, Debug)]
pub(super) struct Faulty {
    pub(super) store: Arc<Mutex<MemoryStore>>,
    pub(super) faults: Arc<Mutex<Faults>>,
    /// Claims that were granted and not answered.
    unheard: Arc<Mutex<HashMap<Key, Fence>>>,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) is_down: bool,
    pub(super) hangs: bool,
    /// So many commits fail, before or after they took effect.
    pub(super) commits_before: usize,
    pub(super) commits_after: usize,
    pub(super) loads: usize,
    /// So many questions for a row or a name are answered, and no more.
    pub(super) answers: Option<usize>,
    pub(super) claims: usize,
    /// So many claims fail after they took effect.
    pub(super) claims_after: usize,
    /// So many releases fail.
    pub(super) releases: usize,
    /// How long the answer to a load is under way.
    pub(super) answers_take: Duration,
    /// Nobody hears of a change.
    pub(super) is_deaf: bool,
    /// By how much rows are older than the clock here says.
    pub(super) slept: Duration,
}

impl Faulty {
    pub(super) fn new() -> Self {
        Self {
            store: Arc::new(Mutex::new(MemoryStore::new(100))),
            faults: Arc::default(),
            unheard: Arc::default(),
        }
    }

    /// The same store as another process reaches it.
    pub(super) fn elsewhere(&self) -> Self {
        Self { store: Arc::clone(&self.store), faults: Arc::default(), unheard: Arc::default() }
    }

    pub(super) fn store(&self) -> MemoryStore {
        self.store.lock().unwrap().clone()
    }

    /// In its place comes a backup from the beginning of a session.
    pub(super) async fn put_back(&self, id: &SessionId, first: &Row) {
        let backup = MemoryStore::new(1);
        backup.create(&id.key(), &first.sealed, HOUR).await.unwrap();
        *self.store.lock().unwrap() = backup;
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.faults.lock().unwrap());
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Faults) -> T) -> T {
        read(&self.faults.lock().unwrap())
    }

    /// Counts an answer, if there is to be one.
    fn answer(&self) -> Result<(), StoreError> {
        if let Some(left) = self.read(|faults| faults.answers) {
            let left = left.checked_sub(1).ok_or_else(|| StoreError::new("no answer"))?;
            self.set(|faults| faults.answers = Some(left));
        }
        Ok(())
    }

    pub(super) fn guard<'a, T: Send + 'a>(
        &'a self,
        act: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            let (is_down, hangs) = self.read(|faults| (faults.is_down, faults.hangs));
            if hangs {
                return pending().await;
            }
            if is_down { Err(StoreError::new("down")) } else { act.await }
        })
    }
}

impl Store for Faulty {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        self.set(|faults| faults.loads += 1);
        self.guard(Box::pin(async move {
            self.answer()?;
            // As long as a round trip.
            sleep(Duration::from_millis(1)).await;
            let mut answer = self.store().load(key).await;
            if let Ok(Lookup::Live(row)) = &mut answer {
                row.age += self.read(|faults| faults.slept);
            }
            sleep(self.read(|faults| faults.answers_take)).await;
            answer
        }))
    }

    fn create<'a>(
        &'a self,
        key: &'a Key,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        self.guard(Box::pin(async move { self.store().create(key, sealed, ttl).await }))
    }

    fn claim<'a>(
        &'a self,
        key: &'a Key,
        generation: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        self.set(|faults| faults.claims += 1);
        self.guard(Box::pin(async move {
            let unheard = self.unheard.lock().unwrap().remove(key);
            if let Some(fence) = unheard {
                // The same claim again.
                self.store().release(key, fence).await?;
            }
            let claim = self.store().claim(key, generation, lease).await?;
            if self.faults.lock().unwrap().claims_after.checked_sub(1).is_some() {
                self.set(|faults| faults.claims_after -= 1);
                if let Claim::Granted { fence, .. } = claim {
                    self.unheard.lock().unwrap().insert(*key, fence);
                }
                return Err(StoreError::new("after"));
            }
            Ok(claim)
        }))
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        fence: Fence,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Commit, StoreError>> {
        self.guard(Box::pin(async move {
            if self.faults.lock().unwrap().commits_before.checked_sub(1).is_some() {
                self.set(|faults| faults.commits_before -= 1);
                return Err(StoreError::new("before"));
            }
            let committed = self.store().commit(key, fence, sealed, ttl).await;
            if self.faults.lock().unwrap().commits_after.checked_sub(1).is_some() {
                self.set(|faults| faults.commits_after -= 1);
                return Err(StoreError::new("after"));
            }
            committed
        }))
    }

    fn release<'a>(&'a self, key: &'a Key, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>> {
        self.guard(Box::pin(async move {
            if self.faults.lock().unwrap().releases.checked_sub(1).is_some() {
                self.set(|faults| faults.releases -= 1);
                return Err(StoreError::new("lost"));
            }
            self.store().release(key, fence).await
        }))
    }

    fn end<'a>(&'a self, key: &'a Key, remember: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.guard(Box::pin(async move { self.store().end(key, remember).await }))
    }

    fn link<'a>(
        &'a self,
        alias: &'a Key,
        key: &'a Key,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.guard(Box::pin(async move { self.store().link(alias, key, ttl).await }))
    }

    fn resolve<'a>(&'a self, alias: &'a Key) -> BoxFuture<'a, Result<Option<Key>, StoreError>> {
        self.guard(Box::pin(async move {
            self.answer()?;
            // As long as a round trip.
            sleep(Duration::from_millis(1)).await;
            self.store().resolve(alias).await
        }))
    }

    fn changed(&self, key: &Key) -> BoxFuture<'static, ()> {
        if self.read(|faults| faults.is_deaf) { Box::pin(pending()) } else { self.store().changed(key) }
    }
}
