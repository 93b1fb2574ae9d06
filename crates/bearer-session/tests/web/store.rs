//! A store that can be cut off.

use bearer_session::{
    BoxFuture,
    store::{Claim, Commit, Fence, Key, Lookup, MemoryStore, Store, StoreError},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

#[derive(Clone, Debug)]
pub(crate) struct Switch {
    inner: Arc<MemoryStore>,
    is_off: Arc<AtomicBool>,
    loses_creations: Arc<AtomicBool>,
    created: Arc<Mutex<Vec<Key>>>,
    older: Arc<Mutex<Duration>>,
}

impl Switch {
    pub(crate) fn new() -> Self {
        let inner = Arc::new(MemoryStore::new(1000));
        let (is_off, loses_creations) = (Arc::default(), Arc::default());
        Self { inner, is_off, loses_creations, created: Arc::default(), older: Arc::default() }
    }

    pub(crate) fn cut_off(&self, is_off: bool) {
        self.is_off.store(is_off, SeqCst);
    }

    /// From now on it takes new rows, and its answer is lost.
    pub(crate) fn lose_creations(&self) {
        self.loses_creations.store(true, SeqCst);
    }

    /// By how much rows are older than they are.
    pub(crate) fn age(&self, by: Duration) {
        *self.older.lock().unwrap() = by;
    }

    /// Whether any row lives that it was ever given.
    pub(crate) async fn holds_any(&self) -> bool {
        let created = self.created.lock().unwrap().clone();
        for key in created {
            if matches!(self.inner.load(&key).await, Ok(Lookup::Live(_))) {
                return true;
            }
        }
        false
    }

    /// A store in memory has done its step when it returns the future: it must not even be asked.
    fn or_fail<'a, T: Send + 'a>(
        &'a self,
        ask: impl FnOnce() -> BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        if self.is_off.load(SeqCst) {
            return Box::pin(async { Err(StoreError::new("cut off")) });
        }
        ask()
    }
}

impl Store for Switch {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        let older = *self.older.lock().unwrap();
        self.or_fail(|| {
            Box::pin(async move {
                let mut found = self.inner.load(key).await;
                if let Ok(Lookup::Live(row)) = &mut found {
                    row.age += older;
                }
                found
            })
        })
    }

    fn create<'a>(
        &'a self,
        key: &'a Key,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        if !self.loses_creations.load(SeqCst) {
            return self.or_fail(|| self.inner.create(key, sealed, ttl));
        }
        self.created.lock().unwrap().push(*key);
        Box::pin(async move {
            self.inner.create(key, sealed, ttl).await?;
            Err(StoreError::new("the answer was lost"))
        })
    }

    fn claim<'a>(
        &'a self,
        key: &'a Key,
        generation: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        self.or_fail(|| self.inner.claim(key, generation, lease))
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        fence: Fence,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Commit, StoreError>> {
        self.or_fail(|| self.inner.commit(key, fence, sealed, ttl))
    }

    fn release<'a>(&'a self, key: &'a Key, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>> {
        self.or_fail(|| self.inner.release(key, fence))
    }

    fn end<'a>(&'a self, key: &'a Key, remember: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.or_fail(|| self.inner.end(key, remember))
    }

    fn link<'a>(
        &'a self,
        alias: &'a Key,
        key: &'a Key,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.or_fail(|| self.inner.link(alias, key, ttl))
    }

    fn resolve<'a>(&'a self, alias: &'a Key) -> BoxFuture<'a, Result<Option<Key>, StoreError>> {
        self.or_fail(|| self.inner.resolve(alias))
    }

    fn changed(&self, key: &Key) -> BoxFuture<'static, ()> {
        self.inner.changed(key)
    }
}
