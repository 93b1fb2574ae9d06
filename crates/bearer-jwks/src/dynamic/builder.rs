//! The settings of a verifier whose issuers are found.

use super::{
    DynamicVerifier, ResolveIssuer,
    tenants::{QUESTIONS, STRANGERS, Tenants},
};
use crate::{connect::ConnectError, connector::Connector};
use quick_cache::sync::Cache;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::Instant};
use tower_bearer::TokenCache;

/// The most issuers that are kept, by default.
const CAPACITY: usize = 10_000;

/// How often the resolver is asked about an issuer that it has named.
const ASK_AGAIN_EVERY: Duration = Duration::from_secs(300);

/// Settings of a [`DynamicVerifier`].
#[derive(Clone, Debug)]
#[must_use]
pub struct DynamicVerifierBuilder<R> {
    resolver: R,
    connector: Connector,
    capacity: usize,
    cache: TokenCache,
    ask_again_every: Duration,
}

impl<R: ResolveIssuer> DynamicVerifierBuilder<R> {
    pub(super) fn new(resolver: R) -> Self {
        let (connector, cache) = (Connector::new(), TokenCache::default());
        Self { resolver, connector, capacity: CAPACITY, cache, ask_again_every: ASK_AGAIN_EVERY }
    }

    /// Fetches keys with the client, the schedule and the seeds of this one, which shows the issuers'
    /// [statuses](Connector::statuses).
    pub fn connector(mut self, connector: &Connector) -> Self {
        self.connector = connector.clone();
        self
    }

    /// Keeps up to so many issuers. Default 10,000.
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Remembers accepted tokens there, those of all issuers, instead of in a cache of 8 MiB of its own.
    pub fn cache(mut self, cache: &TokenCache) -> Self {
        self.cache = cache.clone();
        self
    }

    /// How long an issuer that the resolver has named is taken for one without asking again. Then the next of
    /// its requests has the question asked in the background: a no is heeded from then on, and no answer at
    /// all changes nothing. Default 5 minutes.
    pub fn ask_again_every(mut self, time: Duration) -> Self {
        self.ask_again_every = time;
        self
    }

    /// # Errors
    /// When the HTTP client for the issuers' keys cannot be made.
    pub fn build(self) -> Result<DynamicVerifier<R>, ConnectError> {
        Ok(DynamicVerifier(Arc::new(Tenants {
            resolver: self.resolver,
            connector: self.connector.ready()?,
            known: Cache::new(self.capacity),
            ask_again_every: self.ask_again_every,
            born: Instant::now(),
            tokens: self.cache,
            refused: Cache::new(STRANGERS),
            questions: Semaphore::new(QUESTIONS),
        })))
    }
}
