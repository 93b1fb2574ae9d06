//! The task that keeps a set of keys fresh: a loop around one attempt at a time.

use crate::{
    fetch::{Fetch, FetchError, Fetched},
    schedule::{Bucket, Schedule, UnknownKids},
    seed::Seed,
    status::Status,
    telemetry::{Telemetry, Trigger},
};
use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, error::Elapsed, sleep_until, timeout},
};
use tower_bearer::keys::{self, KeySet, KeySink, KeySource, Miss, MissKind};

/// The most requests that wait for one fetch. More are answered at once.
const MOST_WAITERS: usize = 4096;

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
pub struct Refresher<F> {
    fetch: F,
    publisher: Publisher,
}

/// Everything but the source, so that a fetch in flight does not keep us from looking after the rest.
#[derive(Debug)]
struct Publisher {
    sink: KeySink,
    schedule: Schedule,
    status: watch::Sender<Status>,
    telemetry: Telemetry,
    etag: Option<String>,
    unknown_keys: Bucket,
    bad_signatures: Bucket,
    unknown: UnknownKids,
    waiters: VecDeque<Waiter>,
    /// When the next scheduled fetch is due.
    next: Instant,
    /// Until when the source asked not to be asked, unknown keys included.
    silent_until: Option<Instant>,
    /// When the keys are too old to trust; `None` where they already are, or never will be.
    expires: Option<Instant>,
}

/// A request that waits for a fetch.
#[derive(Debug)]
struct Waiter {
    miss: Miss,
    until: Instant,
}

/// Nobody reads the keys any more.
struct NoReader;

impl<F: Fetch> Refresher<F> {
    /// A refresher that has not fetched anything yet, and the keys that it will publish.
    pub fn new(fetch: F) -> (Self, KeySource) {
        let (sink, source) = keys::channel();
        let schedule = fetch.schedule();
        let publisher = Publisher {
            sink,
            unknown_keys: Bucket::for_unknown_keys(&schedule),
            bad_signatures: Bucket::for_bad_signatures(&schedule),
            schedule,
            status: watch::Sender::new(Status::default()),
            telemetry: Telemetry::default(),
            etag: None,
            unknown: UnknownKids::default(),
            waiters: VecDeque::new(),
            next: Instant::now(),
            silent_until: None,
            expires: None,
        };
        (Self { fetch, publisher }, source)
    }

    /// Another rhythm.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.publisher.unknown_keys = Bucket::for_unknown_keys(&schedule);
        self.publisher.bad_signatures = Bucket::for_bad_signatures(&schedule);
        self.publisher.schedule = schedule;
        self
    }

    /// Puts the first fetch off, unless a request wants a key before: for many issuers that start together.
    pub(crate) fn first_fetch_in(mut self, delay: Duration) -> Self {
        self.publisher.next = Instant::now() + delay;
        self
    }

    /// The name of the issuer, for events and metrics.
    #[must_use]
    pub fn name(mut self, issuer: impl Into<String>) -> Self {
        self.publisher.telemetry.issuer = issuer.into();
        self
    }

    /// Starts with the keys of a former run, trusted until [`max_stale`](Schedule::max_stale) after they were
    /// fetched, so that a start while the issuer is down serves at once. The first fetch is due all the same.
    ///
    /// A seed that is too old, or not a usable set, is left aside, and the log says so. A [`schedule`](Self::schedule)
    /// of its own is set before.
    #[must_use]
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

    /// Makes one attempt now, whatever the schedule says.
    ///
    /// # Errors
    /// Why there are no new keys; what was published before stays.
    pub async fn refresh(&mut self) -> Result<(), FetchError> {
        let deadline = self.publisher.schedule.deadline;
        let etag = self.publisher.etag.clone();
        let result = timeout(deadline, self.fetch.fetch(etag.as_deref())).await;
        self.publisher.apply(Trigger::Manual, outcome(etag.as_deref(), result))
    }

    /// Refreshes until the last [`KeySource`] is gone. Dropping the future stops it at once, and what it has
    /// published is no longer trusted, since nobody keeps it fresh.
    pub async fn run(mut self) {
        let Self { fetch, publisher } = &mut self;
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
            let is_unchanged = matches!(outcome, Ok(Fetched { jwks: None, .. }));
            if publisher.apply(trigger, outcome).is_ok() {
                publisher.note_unknown(&asked);
            }
            // A 304 is no answer to those who came meanwhile for a new key: they get a fetch of their own.
            if is_unchanged && publisher.asks_for_unknown_keys() {
                due = Some(Trigger::UnknownKey);
            } else {
                // Dropping them is the answer: they look at the keys once more.
                publisher.waiters.clear();
            }
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

impl Publisher {
    /// Waits for a reason to fetch.
    async fn until_due(&mut self) -> Result<Trigger, NoReader> {
        loop {
            let (next, expires) = (self.next, self.expires);
            tokio::select! {
                miss = self.sink.missed() => {
                    let miss = miss.ok_or(NoReader)?;
                    if let Some(trigger) = self.is_worth_a_fetch(&miss) {
                        self.wait(miss);
                        return Ok(trigger);
                    }
                }
                () = sleep_until(next) => return Ok(Trigger::Schedule),
                () = until(expires) => self.expire(),
            }
        }
    }

    /// Waits for a fetch, and meanwhile takes in who else waits for it, and lets go who has waited long enough.
    async fn attend<T>(&mut self, fetching: impl Future<Output = T>) -> Result<T, NoReader> {
        let mut fetching = pin!(fetching);
        loop {
            let (expires, impatient) = (self.expires, self.waiters.front().map(|waiter| waiter.until));
            tokio::select! {
                result = &mut fetching => return Ok(result),
                miss = self.sink.missed() => {
                    let miss = miss.ok_or(NoReader)?;
                    if self.is_news(&miss) {
                        self.wait(miss);
                    }
                }
                () = until(impatient) => drop(self.waiters.pop_front()),
                () = until(expires) => self.expire(),
            }
        }
    }

    /// Whether the answer to a miss is not known already.
    fn is_news(&self, miss: &Miss) -> bool {
        let current = self.sink.with(keys::Snapshot::generation);
        let is_known_unknown = match miss.kind() {
            MissKind::UnknownKey => miss.kid().is_some_and(|kid| self.unknown.contains(kid, Instant::now())),
            _ => false,
        };
        miss.generation() == current && !is_known_unknown
    }

    /// Why a fetch is to be made for a miss, if one is.
    fn is_worth_a_fetch(&mut self, miss: &Miss) -> Option<Trigger> {
        let now = Instant::now();
        if !self.is_news(miss) || self.silent_until.is_some_and(|until| until > now) {
            return None;
        }
        let (trigger, bucket) = match miss.kind() {
            MissKind::BadSignature => (Trigger::BadSignature, &mut self.bad_signatures),
            _ => (Trigger::UnknownKey, &mut self.unknown_keys),
        };
        if !bucket.take(now) {
            self.telemetry.limited(trigger);
            return None;
        }
        Some(trigger)
    }

    /// Whether somebody who waits is worth one more fetch.
    fn asks_for_unknown_keys(&mut self) -> bool {
        let now = Instant::now();
        self.waiters.retain(|waiter| waiter.until > now && !waiter.miss.is_abandoned());
        self.waiters.iter().any(|waiter| waiter.miss.kind() == MissKind::UnknownKey)
            && self.unknown_keys.take(now)
    }

    /// The key ids that the next fetch is asked for.
    fn asked(&self) -> Vec<String> {
        let unknown = self.waiters.iter().filter(|waiter| waiter.miss.kind() == MissKind::UnknownKey);
        unknown.filter_map(|waiter| waiter.miss.kid()).map(str::to_owned).collect()
    }

    fn wait(&mut self, miss: Miss) {
        if self.waiters.len() < MOST_WAITERS {
            self.waiters.push_back(Waiter { miss, until: Instant::now() + self.schedule.wait });
        }
    }

    /// Remembers which of the keys that were asked for before the fetch are not there after it.
    fn note_unknown(&mut self, asked: &[String]) {
        let now = Instant::now();
        let until = now + self.schedule.refill;
        self.sink.with(|snapshot| {
            for kid in asked {
                if !snapshot.keys().ids().any(|id| id == kid) {
                    self.unknown.insert(kid, now, until);
                }
            }
        });
    }

    /// What follows from the outcome of a fetch. Only good news replaces keys.
    fn apply(&mut self, trigger: Trigger, result: Result<Fetched, FetchError>) -> Result<(), FetchError> {
        let now = Instant::now();
        match result.and_then(|fetched| self.take(fetched)) {
            Ok(max_age) => {
                self.next = now + self.schedule.after_success(max_age, fastrand::f64());
                self.expires = now.checked_add(self.schedule.max_stale);
                self.silent_until = None;
                self.unknown.clear();
                self.telemetry.fetched(trigger, self.sink.with(|now| now.keys().len()));
                self.report(|status| {
                    status.last_success = Some(now);
                    status.last_error = None;
                    status.failures = 0;
                });
                Ok(())
            }
            Err(error) => {
                let retry_after = match &error {
                    FetchError::Status { status: 429 | 503, retry_after } => *retry_after,
                    _ => None,
                };
                let failures = self.status.borrow().failures.saturating_add(1);
                let pause = self.schedule.after_failure(failures, retry_after, fastrand::f64());
                self.next = now + pause;
                self.silent_until = retry_after.map(|_| now + pause);
                let age = self.status.borrow().last_success.map(|at| now - at);
                self.telemetry.failed(trigger, &error, failures, age);
                self.sink.lag();
                self.report(|status| {
                    status.last_error = Some(error.clone());
                    status.failures = failures;
                });
                Err(error)
            }
        }
    }

    /// Publishes what was fetched; says how long it may be kept.
    fn take(&mut self, fetched: Fetched) -> Result<Option<Duration>, FetchError> {
        let has_keys = self.sink.with(keys::Snapshot::generation) > 0;
        match fetched.jwks {
            None if has_keys => {
                self.sink.confirm();
                self.status.send_modify(|status| {
                    status.seed =
                        status.seed.take().map(|seed| Arc::new(Seed::new(&*seed.jwks, SystemTime::now())));
                });
            }
            None => return Err(FetchError::NotModified),
            Some(jwks) => {
                let (set, used) = KeySet::filtered(&jwks).map_err(FetchError::Malformed)?;
                if set.is_empty() {
                    return Err(FetchError::NoUsableKey(set.skipped().into()));
                }
                for key in set.skipped() {
                    tracing::debug!(kid = key.kid(), reason = %key.reason(), "a key of the set is not used");
                }
                self.sink.publish(set);
                self.etag = fetched.etag;
                let seed = Seed::new(used, SystemTime::now());
                self.status.send_modify(|status| status.seed = Some(Arc::new(seed)));
            }
        }
        Ok(fetched.max_age)
    }

    /// Publishes a seed as if it had been fetched when it was.
    fn plant(&mut self, seed: &Seed, now: SystemTime) -> Result<(), String> {
        let left = self.schedule.max_stale.checked_sub(seed.age(now)).ok_or("it is too old")?;
        let set = KeySet::from_jwks(&seed.jwks).map_err(|error| error.to_string())?;
        if set.is_empty() {
            return Err("it has no usable key".to_owned());
        }
        self.sink.publish(set);
        self.expires = Instant::now().checked_add(left);
        self.report(|status| status.seed = Some(Arc::new(seed.clone())));
        Ok(())
    }

    fn expire(&mut self) {
        self.telemetry.expired();
        self.sink.expire();
        self.expires = None;
        self.report(|_| {});
    }

    /// Updates the status with what can be read off, and `more`.
    fn report(&self, more: impl FnOnce(&mut Status)) {
        self.status.send_modify(|status| {
            self.sink.with(|snapshot| {
                if status.generation != snapshot.generation() {
                    status.generation = snapshot.generation();
                    status.key_ids = snapshot.keys().ids().map(str::to_owned).collect();
                    status.skipped = snapshot.keys().skipped().to_vec();
                }
                status.unavailable = !snapshot.is_ready();
            });
            status.next_fetch = Some(self.next);
            more(status);
        });
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

/// Sleeps until then, or for ever.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// A running [`Refresher`]. Dropping it stops the task.
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
