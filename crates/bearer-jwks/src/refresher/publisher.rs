//! What surrounds a fetch: when the next is due, who waits for it, and what follows from its outcome.

use super::misses::{MOST_WAITERS, Misses, is_answered};
use crate::{
    fetch::{FetchError, Fetched},
    location::start,
    schedule::{Schedule, later},
    seed::Seed,
    status::Status,
    telemetry::{Failure, Telemetry, Trigger},
};
use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::watch,
    task::unconstrained,
    time::{Instant, sleep_until},
};
use tower_bearer::keys::{KeySet, KeySink, Miss, MissFilter, MissKind};

/// Everything but the source, so that a fetch in flight does not keep us from looking after the rest.
pub(super) struct Publisher {
    sink: KeySink,
    pub(super) schedule: Schedule,
    pub(super) status: watch::Sender<Status>,
    pub(super) telemetry: Telemetry,
    pub(super) etag: Option<String>,
    misses: Misses,
    /// When the next scheduled fetch is due.
    pub(super) next: Instant,
    /// Until when the source asked not to be asked, unknown keys included.
    silent_until: Option<Instant>,
    /// When the keys are too old to trust; `None` where they already are, or never will be.
    expires: Option<Instant>,
    /// When the first fetch since the last success failed.
    failing_since: Option<Instant>,
    /// Whether an issuer that has published no key yet may have none.
    pub(super) keys_may_be_absent: bool,
}

/// Nobody reads the keys any more.
pub(super) struct NoReader;

impl Publisher {
    pub(super) fn new(sink: KeySink, schedule: Schedule) -> Self {
        Self {
            sink,
            misses: Misses::new(&schedule),
            schedule,
            status: watch::Sender::new(Status::default()),
            telemetry: Telemetry::default(),
            etag: None,
            next: Instant::now(),
            silent_until: None,
            expires: None,
            failing_since: None,
            keys_may_be_absent: false,
        }
    }

    pub(super) fn set_schedule(&mut self, schedule: Schedule) {
        self.misses = Misses::new(&schedule);
        self.schedule = schedule;
    }

    /// Waits for a reason to fetch.
    pub(super) async fn until_due(&mut self) -> Result<Trigger, NoReader> {
        loop {
            let (next, expires) = (self.next, self.expires);
            tokio::select! {
                miss = self.sink.missed() => {
                    let miss = miss.ok_or_else(|| self.unread())?;
                    if let Some(trigger) = self.is_worth_a_fetch(&miss) {
                        self.misses.wait(miss);
                        return Ok(trigger);
                    }
                    // Before it is answered: the next ones of its kind need not come here.
                    if !self.sink.keeps_back(&miss) && !self.sink.with(|keys| is_answered(&miss, keys)) {
                        self.filter();
                    }
                }
                () = sleep_until(next) => return Ok(Trigger::Schedule),
                () = until(expires) => self.expire(),
            }
        }
    }

    /// Waits for a fetch, and meanwhile takes in who else waits for it, and lets go who has waited long
    /// enough.
    pub(super) async fn attend<T>(&mut self, fetching: impl Future<Output = T>) -> Result<T, NoReader> {
        let mut fetching = pin!(fetching);
        // This fetch may help anybody, whatever another one may.
        self.keep_back(MissFilter::default());
        loop {
            let (expires, impatient) = (self.expires, self.misses.impatient());
            tokio::select! {
                result = &mut fetching => return Ok(result),
                miss = self.sink.missed() => {
                    let miss = miss.ok_or_else(|| self.unread())?;
                    if self.is_news(&miss) {
                        self.misses.wait(miss);
                    }
                }
                () = until(impatient) => self.misses.answer_first(),
                () = until(expires) => self.expire(),
            }
        }
    }

    /// Says that it ends because nobody reads the keys: for any other reason, its readers are left alone with
    /// them.
    fn unread(&self) -> NoReader {
        self.status.send_modify(|status| status.unread = true);
        NoReader
    }

    fn is_news(&self, miss: &Miss) -> bool {
        self.sink.with(|keys| self.misses.is_news(miss, keys))
    }

    /// Why a fetch is to be made for a miss, if one is.
    fn is_worth_a_fetch(&mut self, miss: &Miss) -> Option<Trigger> {
        if !self.is_news(miss) || self.silent_until.is_some_and(|until| until > Instant::now()) {
            return None;
        }
        let trigger = match miss.kind() {
            MissKind::BadSignature => Trigger::BadSignature,
            _ => Trigger::UnknownKey,
        };
        if !self.misses.may_fetch(miss.kind()) {
            self.telemetry.limited(trigger, 1);
            return None;
        }
        Some(trigger)
    }

    /// Tells the readers which misses would be answered with nothing new, and until when.
    fn filter(&mut self) {
        let filter = self.misses.filter(self.silent_until);
        self.keep_back(filter);
    }

    fn keep_back(&mut self, filter: MissFilter) {
        let before = self.sink.filter(filter);
        self.telemetry.limited(Trigger::UnknownKey, before.unknown_keys);
        self.telemetry.limited(Trigger::BadSignature, before.bad_signatures);
    }

    /// The key ids that the next fetch is asked for.
    pub(super) fn asked(&self) -> Vec<String> {
        self.misses.asked()
    }

    /// Answers those who wait for the fetch that has ended, which was asked for these key ids. Whether one more
    /// is due at once: then those whom it may help wait on.
    pub(super) fn answer(&mut self, asked: &[String], is_good: bool) -> bool {
        let is_more_due = is_good
            && self.sink.with(|keys| {
                self.misses.note_unknown(asked, keys);
                self.misses.ask_for_more(asked, keys)
            });
        if !is_more_due {
            // Before they are answered: the next ones of their kind need not come here.
            self.filter();
            self.misses.answer_all();
        }
        is_more_due
    }

    /// What follows from the outcome of a fetch. Only good news replaces keys.
    pub(super) fn apply(
        &mut self,
        trigger: Trigger,
        location: Option<String>,
        result: Result<Fetched, FetchError>,
    ) -> Result<(), FetchError> {
        match result.and_then(|fetched| self.take(fetched)) {
            Ok(max_age) => {
                self.succeeded(trigger, location, max_age);
                Ok(())
            }
            Err(error) => {
                self.failed(trigger, location, &error);
                Err(error)
            }
        }
    }

    fn succeeded(&mut self, trigger: Trigger, location: Option<String>, max_age: Option<Duration>) {
        let now = Instant::now();
        self.next = later(now, self.schedule.after_success(max_age, fastrand::f64()));
        self.expires = now.checked_add(self.schedule.max_stale);
        self.silent_until = None;
        self.misses.forget_unknown();
        let failing_for = self.failing_since.take().map(|since| now - since);
        self.telemetry.fetched(trigger, self.keys().0, failing_for);
        self.report(|status| {
            status.last_success = Some(now);
            status.last_error = None;
            status.location = location;
            status.failures = 0;
        });
    }

    fn failed(&mut self, trigger: Trigger, location: Option<String>, error: &FetchError) {
        let now = Instant::now();
        let retry_after = match error {
            FetchError::Status { status: 429 | 503, retry_after } => *retry_after,
            _ => None,
        };
        let failures = self.status.borrow().failures.saturating_add(1);
        let random = fastrand::f64();
        self.next = later(now, self.schedule.after_failure(failures, retry_after, random));
        self.silent_until = retry_after.map(|asked| later(now, self.schedule.silence(asked, random)));
        self.failing_since.get_or_insert(now);
        let ((keys, is_ready), age) = (self.keys(), self.age());
        let failure = Failure { error, location: location.as_deref(), failures, age, keys, is_ready };
        self.telemetry.failed(trigger, &failure);
        self.sink.lag();
        self.report(|status| {
            status.last_error = Some(error.clone());
            status.location = location;
            status.failures = failures;
        });
    }

    /// Publishes what was fetched; says how long it may be kept.
    fn take(&mut self, fetched: Fetched) -> Result<Option<Duration>, FetchError> {
        let (has_set, had_keys) = self.sink.with(|now| (now.generation() > 0, !now.keys().is_empty()));
        match fetched.jwks {
            None if has_set => {
                self.sink.confirm();
                self.status.send_modify(|status| {
                    status.seed =
                        status.seed.take().map(|seed| Arc::new(Seed::new(&*seed.jwks, SystemTime::now())));
                });
            }
            None => return Err(FetchError::NotModified),
            Some(jwks) => {
                let (set, used) = KeySet::filtered(&jwks).map_err(FetchError::Malformed)?;
                // Nothing takes the place of keys but keys.
                if set.is_empty() && (had_keys || !self.keys_may_be_absent) {
                    return Err(FetchError::NoUsableKey(set.skipped().into()));
                }
                for key in set.skipped() {
                    let kid = key.kid().map(start);
                    tracing::debug!(kid, reason = %key.reason(), "a key of the set is not used");
                }
                // A seed is there to be served from.
                let seed = (!set.is_empty()).then(|| Arc::new(Seed::new(used, SystemTime::now())));
                self.sink.publish(set);
                self.etag = fetched.etag;
                self.status.send_modify(|status| status.seed = seed);
            }
        }
        Ok(fetched.max_age)
    }

    /// Publishes a seed as if it had been fetched when it was.
    pub(super) fn plant(&mut self, seed: &Seed, now: SystemTime) -> Result<(), String> {
        let age = seed.age(now);
        let left = self.schedule.max_stale.checked_sub(age).ok_or("it is too old")?;
        let set = KeySet::from_jwks(&seed.jwks).map_err(|error| error.to_string())?;
        if set.is_empty() {
            return Err("it has no usable key".to_owned());
        }
        self.sink.publish(set);
        // They decide, but this process has not heard of them from the issuer yet.
        self.sink.lag();
        let now = Instant::now();
        self.expires = now.checked_add(left);
        self.report(|status| {
            status.last_success = now.checked_sub(age);
            status.seed = Some(Arc::new(seed.clone()));
        });
        Ok(())
    }

    /// Tells what it starts with: that it has no keys, or how old they are.
    pub(super) fn begin(&mut self) {
        if let Some(seed) = &self.status.borrow().seed {
            self.telemetry.succeeded(seed.fetched_at());
        }
        self.telemetry.aged(self.age());
        self.telemetry.begin();
        self.tell_state();
    }

    fn tell_state(&mut self) {
        let (keys, is_ready) = self.keys();
        self.telemetry.state(keys, is_ready);
    }

    /// How many there are, and whether they can be used.
    fn keys(&self) -> (usize, bool) {
        self.sink.with(|now| (now.keys().len(), now.is_ready()))
    }

    /// How long ago the keys in use were fetched or confirmed.
    fn age(&self) -> Option<Duration> {
        self.status.borrow().last_success.map(|at| at.elapsed())
    }

    /// Whether somebody reads the keys, as far as that can be told without waiting.
    fn is_read(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        // More than there can be, so that readers who keep asking are an answer as well.
        for _ in 0..MOST_WAITERS {
            match pin!(unconstrained(self.sink.missed())).poll(&mut nobody) {
                Poll::Ready(None) => return false,
                Poll::Ready(Some(answered)) => drop(answered),
                Poll::Pending => return true,
            }
        }
        true
    }

    fn expire(&mut self) {
        self.telemetry.expired();
        self.telemetry.aged(self.age());
        self.sink.expire();
        self.expires = None;
        self.report(|_| {});
    }

    /// Updates the status with what can be read off, and `more`.
    fn report(&mut self, more: impl FnOnce(&mut Status)) {
        // First: who waits for the status may look at the metrics next.
        self.tell_state();
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

/// Without the validator, which may hold a location and its query.
impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("issuer", &self.telemetry.issuer)
            .field("schedule", &self.schedule)
            .field("status", &*self.status.borrow())
            .finish_non_exhaustive()
    }
}

/// The last word: keys that nobody keeps fresh are not trusted.
impl Drop for Publisher {
    fn drop(&mut self) {
        self.telemetry.aged(self.age());
        // Before those who wait look at them once more.
        self.sink.expire();
        let is_read = self.is_read();
        self.telemetry.end(is_read);
        self.status.send_modify(|status| {
            status.unavailable = true;
            status.next_fetch = None;
        });
    }
}

/// Sleeps until then, or for ever.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
