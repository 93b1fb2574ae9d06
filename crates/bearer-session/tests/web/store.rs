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
    inner: Arc<Mutex<Arc<MemoryStore>>>,
    is_off: Arc<AtomicBool>,
    loses_creations: Arc<AtomicBool>,
    created: Arc<Mutex<Vec<Key>>>,
    older: Arc<Mutex<Duration>>,
}

impl Switch {
    pub(crate) fn new() -> Self {
        let inner = Arc::new(Mutex::new(Arc::new(MemoryStore::new(1000))));
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
            if matches!(self.inner().load(&key).await, Ok(Lookup::Live(_))) {
                return true;
            }
        }
        false
    }

    /// It forgets all that it was told.
    pub(crate) fn flush(&self) {
        *self.inner.lock().unwrap() = Arc::new(MemoryStore::new(1000));
    }

    fn inner(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.inner.lock().unwrap())
    }

    /// A store in memory has done its step when it returns the future: it must not even be asked.
    fn or_fail<'a, T, F>(
        &self,
        ask: impl FnOnce(Arc<MemoryStore>) -> F,
    ) -> BoxFuture<'a, Result<T, StoreError>>
    where
        T: Send + 'a,
        F: Future<Output = Result<T, StoreError>> + Send + 'a,
    {
        if self.is_off.load(SeqCst) {
            return Box::pin(async { Err(StoreError::new("cut off")) });
        }
        Box::pin(ask(self.inner()))
    }
}

impl Store for Switch {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        let older = *self.older.lock().unwrap();
        self.or_fail(|inner| async move {
            let mut found = inner.load(key).await;
            if let Ok(Lookup::Live(row)) = &mut found {
                row.age += older;
            }
            found
        })
    }

    fn create<'a>(
        &'a self,
        key: &'a Key,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        if !self.loses_creations.load(SeqCst) {
            return self.or_fail(|inner| async move { inner.create(key, sealed, ttl).await });
        }
        self.created.lock().unwrap().push(*key);
        Box::pin(async move {
            self.inner().create(key, sealed, ttl).await?;
            Err(StoreError::new("the answer was lost"))
        })
    }

    fn claim<'a>(
        &'a self,
        key: &'a Key,
        generation: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        self.or_fail(|inner| async move { inner.claim(key, generation, lease).await })
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        fence: Fence,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Commit, StoreError>> {
        self.or_fail(|inner| async move { inner.commit(key, fence, sealed, ttl).await })
    }

    fn release<'a>(&'a self, key: &'a Key, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>> {
        self.or_fail(|inner| async move { inner.release(key, fence).await })
    }

    fn end<'a>(&'a self, key: &'a Key, remember: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.or_fail(|inner| async move { inner.end(key, remember).await })
    }

    fn link<'a>(
        &'a self,
        alias: &'a Key,
        key: &'a Key,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.or_fail(|inner| async move { inner.link(alias, key, ttl).await })
    }

    fn resolve<'a>(&'a self, alias: &'a Key) -> BoxFuture<'a, Result<Option<Key>, StoreError>> {
        self.or_fail(|inner| async move { inner.resolve(alias).await })
    }

    fn changed(&self, key: &Key) -> BoxFuture<'static, ()> {
        self.inner().changed(key)
    }
}
