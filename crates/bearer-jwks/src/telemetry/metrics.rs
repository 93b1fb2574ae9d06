//! The counters and gauges of an issuer's keys.
//!
//! All gauges are told with each event, and not only those that changed: a recorder that was installed late, or
//! that forgets what it has not heard of for a while, has them soon.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The refreshers of this process, by issuer. They share the label, so none alone knows what holds for it:
/// one that takes the place of another may begin before that one has ended.
static RUNNING: Mutex<BTreeMap<String, Refreshers>> = Mutex::new(BTreeMap::new());

/// Those of one issuer.
#[derive(Clone, Copy, Debug, Default)]
struct Refreshers {
    running: usize,
    ready: usize,
    /// Whether one was stopped while its keys were read, and none has begun since.
    is_one_missed: bool,
}

/// What one refresher has to tell.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// In seconds; 0 before the first success.
    last_success: f64,
    /// Whether it is ready, while it runs. One that does not run yet is no reason for an alert: whoever made
    /// it is told what fails.
    running: Option<bool>,
}

impl Metrics {
    pub(super) fn succeeded(&mut self, at: SystemTime) {
        self.last_success = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    }

    pub(super) fn begin(&mut self, issuer: &str) {
        self.running = Some(false);
        change(issuer, |refreshers| {
            refreshers.running += 1;
            refreshers.is_one_missed = false;
        });
    }

    pub(super) fn state(&mut self, issuer: &str, keys: usize, is_ready: bool) {
        if self.running.is_some() || self.last_success > 0.0 {
            set("bearer_jwks_keys", issuer, count(keys));
            set("bearer_jwks_last_success_timestamp_seconds", issuer, self.last_success);
        }
        if let Some(told) = &mut self.running {
            let was_ready = mem::replace(told, is_ready);
            change(issuer, |refreshers| {
                refreshers.ready = refreshers.ready + usize::from(is_ready) - usize::from(was_ready);
            });
        }
    }

    pub(super) fn end(&mut self, issuer: &str, is_read: bool) {
        let Some(was_ready) = self.running.take() else { return };
        change(issuer, |refreshers| {
            refreshers.running -= 1;
            refreshers.ready -= usize::from(was_ready);
            refreshers.is_one_missed |= is_read;
        });
    }

    pub(super) fn aged(issuer: &str, age: Duration) {
        set("bearer_jwks_age_seconds", issuer, age.as_secs_f64());
    }

    pub(super) fn count_fetch(issuer: &str, trigger: &'static str, result: &'static str) {
        let issuer = issuer.to_owned();
        metrics::counter!(
            "bearer_jwks_fetches_total", "issuer" => issuer, "trigger" => trigger, "result" => result
        )
        .increment(1);
    }

    pub(super) fn count_limited(issuer: &str, trigger: &'static str, tokens: u64) {
        let issuer = issuer.to_owned();
        metrics::counter!("bearer_jwks_limited_total", "issuer" => issuer, "trigger" => trigger)
            .increment(tokens);
    }
}

/// Changes what is known of an issuer's refreshers, and tells it: under the lock, so that the last word is the
/// latest.
fn change(issuer: &str, change: impl FnOnce(&mut Refreshers)) {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let refreshers = running.entry(issuer.to_owned()).or_default();
    change(refreshers);
    let Refreshers { running: count, ready, is_one_missed } = *refreshers;
    set("bearer_jwks_in_use", issuer, is(count > 0 || is_one_missed));
    set("bearer_jwks_ready", issuer, is(count > 0 && ready == count && !is_one_missed));
    if count == 0 {
        set("bearer_jwks_keys", issuer, 0.0);
        if !is_one_missed {
            running.remove(issuer);
        }
    }
}

fn set(name: &'static str, issuer: &str, value: f64) {
    metrics::gauge!(name, "issuer" => issuer.to_owned()).set(value);
}

fn is(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// A set has a hundred keys at most.
fn count(keys: usize) -> f64 {
    u32::try_from(keys).map_or(f64::INFINITY, f64::from)
}
