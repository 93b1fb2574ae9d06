//! What a refresher tells the world: events, and with the feature `metrics` counters. Never key material.

#[cfg(feature = "metrics")]
mod gauges;

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
    #[cfg(feature = "metrics")]
    gauges: gauges::Gauges,
}

impl Telemetry {
    /// A fetch brought keys, or confirmed those that are there. The first one after failures is as much worth
    /// telling as the first of those; `failing_for` is how long they lasted.
    pub(crate) fn fetched(&mut self, trigger: Trigger, keys: usize, failing_for: Option<Duration>) {
        let (issuer, trigger_name) = (&self.issuer, trigger.name());
        if let Some(failing_for) = failing_for {
            let failing_for_seconds = failing_for.as_secs();
            tracing::info!(
                issuer,
                trigger = trigger_name,
                keys,
                failing_for_seconds,
                "keys fetched; fetching them had failed"
            );
        } else {
            tracing::debug!(issuer, trigger = trigger_name, keys, "keys fetched");
        }
        #[cfg(feature = "metrics")]
        self.count(trigger, "ok");
        self.succeeded(SystemTime::now());
        self.aged(Some(Duration::ZERO));
    }

    /// The keys in use are from that time. What is told of their age is right in the moment in which it is
    /// told; from this, a dashboard can tell it at any time.
    #[cfg_attr(not(feature = "metrics"), allow(clippy::unused_self, reason = "there is nowhere to tell it"))]
    pub(crate) fn succeeded(&mut self, at: SystemTime) {
        #[cfg(feature = "metrics")]
        self.gauges.succeeded(at);
        #[cfg(not(feature = "metrics"))]
        let _ = at;
    }

    /// From now on it keeps the keys fresh.
    #[cfg_attr(not(feature = "metrics"), allow(clippy::unused_self, reason = "there is nowhere to tell it"))]
    pub(crate) fn begin(&mut self) {
        #[cfg(feature = "metrics")]
        self.gauges.begin(&self.issuer);
    }

    /// There are so many keys, and they can be used now or not.
    #[cfg_attr(not(feature = "metrics"), allow(clippy::unused_self, reason = "there is nowhere to tell it"))]
    pub(crate) fn state(&mut self, keys: usize, is_ready: bool) {
        #[cfg(feature = "metrics")]
        self.gauges.tell(&self.issuer, keys, is_ready);
        #[cfg(not(feature = "metrics"))]
        let _ = (keys, is_ready);
    }

    /// Nobody keeps the keys fresh any more, though somebody may still read them.
    #[cfg_attr(not(feature = "metrics"), allow(clippy::unused_self, reason = "there is nowhere to tell it"))]
    pub(crate) fn end(&mut self, is_read: bool) {
        #[cfg(feature = "metrics")]
        self.gauges.end(&self.issuer, is_read);
        #[cfg(not(feature = "metrics"))]
        let _ = is_read;
    }

    /// The keys in use are so old.
    #[cfg_attr(not(feature = "metrics"), allow(clippy::unused_self, reason = "there is nowhere to tell it"))]
    pub(crate) fn aged(&self, age: Option<Duration>) {
        let Some(seconds) = age.map(|age| age.as_secs_f64()) else { return };
        #[cfg(feature = "metrics")]
        metrics::gauge!("bearer_jwks_age_seconds", "issuer" => self.issuer.clone()).set(seconds);
        #[cfg(not(feature = "metrics"))]
        let _ = seconds;
    }

    /// A fetch failed. The first failure after a success is worth a warning.
    pub(crate) fn failed(&self, trigger: Trigger, failure: &Failure<'_>) {
        let (issuer, trigger_name) = (&self.issuer, trigger.name());
        let Failure { error, location, failures, age, .. } = *failure;
        let age_seconds = age.map(|age| age.as_secs());
        if failures == 1 {
            tracing::warn!(
                issuer, trigger = trigger_name, %error, location, age_seconds,
                "fetching keys failed; {}", failure.consequence()
            );
        } else {
            tracing::debug!(
                issuer, trigger = trigger_name, %error, location, failures, age_seconds,
                "fetching keys failed again"
            );
        }
        #[cfg(feature = "metrics")]
        self.count(trigger, error.label());
        self.aged(age);
    }

    /// So many tokens would have been worth a fetch, but there were too many of their kind.
    pub(crate) fn limited(&self, trigger: Trigger, tokens: u64) {
        if tokens == 0 {
            return;
        }
        tracing::debug!(issuer = self.issuer, trigger = trigger.name(), tokens, "no fetch: too many of them");
        #[cfg(feature = "metrics")]
        metrics::counter!(
            "bearer_jwks_limited_total",
            "issuer" => self.issuer.clone(), "trigger" => trigger.name()
        )
        .increment(tokens);
    }

    /// The keys are too old to trust.
    pub(crate) fn expired(&self) {
        tracing::warn!(
            issuer = self.issuer,
            "the keys are too old to trust; requests are answered 503 until a fetch succeeds"
        );
    }

    #[cfg(feature = "metrics")]
    fn count(&self, trigger: Trigger, result: &'static str) {
        metrics::counter!(
            "bearer_jwks_fetches_total",
            "issuer" => self.issuer.clone(), "trigger" => trigger.name(), "result" => result
        )
        .increment(1);
    }
}
