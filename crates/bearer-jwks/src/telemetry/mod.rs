//! What a refresher tells the world: events, and with the feature `metrics` counters and gauges. Never key
//! material.

#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "metrics")]
use metrics::Metrics;

#[cfg(not(feature = "metrics"))]
mod no_metrics;
#[cfg(not(feature = "metrics"))]
use no_metrics::Metrics;

use crate::fetch::FetchError;
use std::time::{Duration, SystemTime};

/// Why a fetch is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trigger {
    /// The application asked.
    Manual,
    Schedule,
    UnknownKey,
    BadSignature,
}

impl Trigger {
    const fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Schedule => "schedule",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
        }
    }
}

/// A fetch that failed, and what it leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure<'a> {
    pub(crate) error: &'a FetchError,
    /// Where it was asked.
    pub(crate) location: Option<&'a str>,
    /// Since the last success.
    pub(crate) failures: u32,
    /// Of the keys in use.
    pub(crate) age: Option<Duration>,
    pub(crate) keys: usize,
    /// Whether what is there can be used.
    pub(crate) is_ready: bool,
}

impl Failure<'_> {
    const fn consequence(&self) -> &'static str {
        match (self.is_ready, self.keys) {
            (false, _) => {
                "there are none to use, and requests that need one are answered 503 until a fetch succeeds"
            }
            // Beside a shared secret.
            (true, 0) => "there were none before",
            (true, _) => "those that are there stay in use",
        }
    }
}

/// Tells about one issuer's keys.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    /// The name of the issuer, for a label.
    pub(crate) issuer: String,
    metrics: Metrics,
}

impl Telemetry {
    /// From now on it keeps the keys fresh.
    pub(crate) fn begin(&mut self) {
        self.metrics.begin(&self.issuer);
    }

    /// A fetch brought keys, or confirmed those that are there. The first one after failures is as much worth
    /// telling as the first of those; `failing_for` is how long they lasted.
    pub(crate) fn fetched(&mut self, trigger: Trigger, keys: usize, failing_for: Option<Duration>) {
        let (issuer, trigger) = (&self.issuer, trigger.name());
        if let Some(failing_for) = failing_for {
            let failing_for_seconds = failing_for.as_secs();
            tracing::info!(
                issuer,
                trigger,
                keys,
                failing_for_seconds,
                "keys fetched; fetching them had failed"
            );
        } else {
            tracing::debug!(issuer, trigger, keys, "keys fetched");
        }
        Metrics::count_fetch(issuer, trigger, "ok");
        self.succeeded(SystemTime::now());
        self.aged(Some(Duration::ZERO));
    }

    /// A fetch failed. The first failure after a success is worth a warning.
    pub(crate) fn failed(&self, trigger: Trigger, failure: &Failure<'_>) {
        let (issuer, trigger) = (&self.issuer, trigger.name());
        let Failure { error, location, failures, age, .. } = *failure;
        let age_seconds = age.map(|age| age.as_secs());
        if failures == 1 {
            tracing::warn!(
                issuer, trigger, %error, location, age_seconds,
                "fetching keys failed; {}", failure.consequence()
            );
        } else {
            tracing::debug!(
                issuer, trigger, %error, location, failures, age_seconds,
                "fetching keys failed again"
            );
        }
        Metrics::count_fetch(issuer, trigger, error.label());
        self.aged(age);
    }

    /// So many tokens would have been worth a fetch, but there were too many of their kind.
    pub(crate) fn limited(&self, trigger: Trigger, tokens: u64) {
        if tokens == 0 {
            return;
        }
        let (issuer, trigger) = (&self.issuer, trigger.name());
        tracing::debug!(issuer, trigger, tokens, "no fetch: too many of them");
        Metrics::count_limited(issuer, trigger, tokens);
    }

    /// The keys are too old to trust.
    pub(crate) fn expired(&self) {
        tracing::warn!(
            issuer = self.issuer,
            "the keys are too old to trust; requests are answered 503 until a fetch succeeds"
        );
    }

    /// The keys in use are from that time. What is told of their age is right in the moment in which it is
    /// told; from this, a dashboard can tell it at any time.
    pub(crate) fn succeeded(&mut self, at: SystemTime) {
        self.metrics.succeeded(at);
    }

    /// The keys in use are so old.
    pub(crate) fn aged(&self, age: Option<Duration>) {
        if let Some(age) = age {
            Metrics::aged(&self.issuer, age);
        }
    }

    /// There are so many keys, and they can be used now or not.
    pub(crate) fn state(&mut self, keys: usize, is_ready: bool) {
        self.metrics.state(&self.issuer, keys, is_ready);
    }

    /// Nobody keeps the keys fresh any more, though somebody may still read them.
    pub(crate) fn end(&mut self, is_read: bool) {
        self.metrics.end(&self.issuer, is_read);
    }
}
