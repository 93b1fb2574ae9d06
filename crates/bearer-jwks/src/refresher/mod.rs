//! The task that keeps a set of keys fresh: a loop around one attempt at a time.

mod misses;
mod publisher;

use crate::{
    fetch::{Fetch, FetchError, Fetched},
    schedule::{Schedule, later},
    seed::Seed,
    status::Status,
    telemetry::Trigger,
};
use publisher::{NoReader, Publisher};
use std::{
    fmt,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, error::Elapsed, timeout},
};
use tower_bearer::keys::{self, KeySource};

/// Fetches, parses and publishes keys. Its other end is the [`KeySource`] of an
/// [`Issuer`](tower_bearer::Issuer::keys).
///
/// ```
/// use bearer_jwks::{HttpFetch, Refresher};
/// use tower_bearer::{Issuer, JwtVerifier};
/// # use bearer_testing::TestIssuer;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let issuer = TestIssuer::start().await;
/// # let (iss, aud, uri) = (issuer.issuer(), issuer.audience(), issuer.jwks_uri());
/// let (refresher, keys) = Refresher::new(HttpFetch::new(&uri)?);
/// let mut status = refresher.status();
/// let verifier = JwtVerifier::new([Issuer::new(iss, aud).keys(keys)])?;
/// assert!(!status.borrow().is_ready(), "nothing was fetched yet");
///
/// let handle = refresher.spawn();
/// status.wait_for(|status| status.is_ready()).await?;
/// # drop((verifier, handle));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a refresher does nothing unless it is run"]
pub struct Refresher<F> {
    fetch: F,
    publisher: Publisher,
}

impl<F: Fetch> Refresher<F> {
    /// A refresher that has not fetched anything yet, and the keys that it will publish.
    pub fn new(fetch: F) -> (Self, KeySource) {
        let (sink, source) = keys::channel();
        let publisher = Publisher::new(sink, fetch.schedule());
        (Self { fetch, publisher }, source)
    }

    /// Replaces the default [`Schedule`].
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.publisher.set_schedule(schedule);
        self
    }

    /// Puts the first fetch off, unless a request wants a key before: for many issuers that start together.
    pub(crate) fn first_fetch_in(mut self, delay: Duration) -> Self {
        self.publisher.next = later(Instant::now(), delay);
        self
    }

    /// Takes a set without a usable key for an answer as long as there were no keys: for an issuer that may
    /// sign with nothing but a shared secret.
    pub(crate) fn keys_may_be_absent(mut self) -> Self {
        self.publisher.keys_may_be_absent = true;
        self
    }

    /// The issuer, as events and the label `issuer` of metrics name it.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.publisher.telemetry.issuer = issuer.into();
        self
    }

    /// Starts with the keys of a former run, trusted until [`max_stale`](Schedule::max_stale) after they were
    /// fetched, so that a start while the issuer is down serves at once. The first fetch is due all the same;
    /// until it succeeds, the keys are [`Lagging`](keys::KeyState::Lagging).
    ///
    /// A seed that is too old, or not a usable set, is left aside, and the log says so. A
    /// [`schedule`](Self::schedule) of its own is set before.
    pub fn seed(mut self, seed: &Seed) -> Self {
        if let Err(reason) = self.publisher.plant(seed, SystemTime::now()) {
            tracing::warn!(%reason, "the seed is not used");
        }
        self
    }

    /// What the refresher does, to look at or to wait for.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.publisher.status.subscribe()
    }

    /// Makes one attempt now, whatever the schedule says. Tokens that wait for a key, and keys that get too
    /// old, are looked after by [`run`](Self::run) only.
    ///
    /// # Errors
    /// Why there are no new keys; what was published before stays.
    pub async fn refresh(&mut self) -> Result<(), FetchError> {
        let deadline = self.publisher.schedule.deadline;
        let etag = self.publisher.etag.clone();
        let result = timeout(deadline, self.fetch.fetch(etag.as_deref())).await;
        let outcome = outcome(etag.as_deref(), result);
        self.publisher.apply(Trigger::Manual, self.fetch.location(), outcome)
    }

    /// Refreshes until the last [`KeySource`] is gone. Dropping the future stops it at once, and what it has
    /// published is no longer trusted, since nobody keeps it fresh.
    pub async fn run(mut self) {
        let Self { fetch, publisher } = &mut self;
        publisher.begin();
        let mut due = None;
        loop {
            let trigger = match due.take() {
                Some(trigger) => trigger,
                None => match publisher.until_due().await {
                    Ok(trigger) => trigger,
                    Err(NoReader) => return,
                },
            };
            // A fetch for a token is unconditional: a stuck 304 must not hide a rotation.
            let etag = publisher.etag.clone().filter(|_| trigger == Trigger::Schedule);
            let asked = publisher.asked();
            let fetching = timeout(publisher.schedule.deadline, fetch.fetch(etag.as_deref()));
            let Ok(result) = publisher.attend(fetching).await else { return };
            let outcome = outcome(etag.as_deref(), result);
            let is_good = publisher.apply(trigger, fetch.location(), outcome).is_ok();
            due = publisher.answer(&asked, is_good).then_some(Trigger::UnknownKey);
        }
    }

    /// [Runs](Self::run) as a task of the current Tokio runtime.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn spawn(self) -> RefresherHandle {
        RefresherHandle(tokio::spawn(self.run()))
    }
}

/// What a fetch got in time. That nothing has changed is an answer to a conditional fetch, and to no other.
fn outcome(
    etag: Option<&str>,
    result: Result<Result<Fetched, FetchError>, Elapsed>,
) -> Result<Fetched, FetchError> {
    match result.unwrap_or(Err(FetchError::Timeout)) {
        Ok(Fetched { jwks: None, .. }) if etag.is_none() => Err(FetchError::NotModified),
        result => result,
    }
}

/// A running [`Refresher`]. Keep it: dropping it stops the task, and the keys become stale.
#[must_use = "dropping the handle stops the refresher"]
pub struct RefresherHandle(JoinHandle<()>);

impl Drop for RefresherHandle {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for RefresherHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefresherHandle").field("finished", &self.0.is_finished()).finish()
    }
}

#[cfg(all(test, feature = "metrics"))]
mod metrics_tests;

#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests;
