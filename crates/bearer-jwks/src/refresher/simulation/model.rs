//! What a refresher is to do, said a second time and without its machinery: no tasks, no channels, no dice.
//! The simulation tells it what happened; it says what had to happen, and notes where that differs.

use crate::{Schedule, Status};
use bearer_testing::SigningKey;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;
use tower_bearer::{Reason, keys::MissKind};

/// Timers fire at whole milliseconds.
const TICK: Duration = Duration::from_millis(1);

/// A key of the issuer. Keys of one `material` verify each other's signatures.
#[derive(Clone, Debug)]
pub(super) struct IssuerKey {
    pub(super) kid: String,
    pub(super) material: usize,
    pub(super) signing: SigningKey,
}

/// What matters about a token: the key id it names, what signed it (`None` for a stranger), and whether it is
/// over.
#[derive(Clone, Debug)]
pub(super) struct Claimed {
    pub(super) kid: Option<String>,
    pub(super) signer: Option<usize>,
    pub(super) expired: bool,
}

pub(super) type Verdict = Result<(), Reason>;

/// How a fetch ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Published { keys: Vec<IssuerKey>, etag: Option<String>, max_age: Option<Duration> },
    Unchanged { max_age: Option<Duration> },
    Failed { retry_after: Option<Duration> },
}

/// Until when a request that was not answered at once may wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wait {
    /// Nothing is fetched for it.
    Not,
    /// Until the fetch of this number ends, or for as long as the schedule says.
    For(usize),
}

#[derive(Debug)]
struct Running {
    started: Instant,
    /// The latest moment for its end: the deadline, or when the clock had jumped past it.
    until: Instant,
    asked: Vec<String>,
    conditional: bool,
}

#[derive(Debug)]
struct Waiting {
    until: Instant,
    fetch: Option<usize>,
    kind: MissKind,
    kid: Option<String>,
}

/// A token bucket as it is usually described: it fills all the time, up to its brim.
#[derive(Clone, Copy, Debug)]
struct Level {
    now_holds: Duration,
    brim: Duration,
    price: Duration,
    at: Instant,
}

impl Level {
    fn full(burst: u32, price: Duration, at: Instant) -> Self {
        Self { now_holds: price * burst, brim: price * burst, price, at }
    }

    fn pay(&mut self, now: Instant) -> bool {
        self.now_holds = (self.now_holds + (now - self.at)).min(self.brim);
        self.at = now;
        let left = self.now_holds.checked_sub(self.price);
        self.now_holds = left.unwrap_or(self.now_holds);
        left.is_some()
    }
}

#[derive(Debug)]
pub(super) struct Model {
    schedule: Schedule,
    /// The set of the last successful fetch, or of the seed.
    pub(super) held: Vec<IssuerKey>,
    pub(super) generation: u64,
    etag: Option<String>,
    failures: u32,
    last_success: Option<Instant>,
    expires: Option<Instant>,
    /// A seed tells its age in whole seconds.
    expires_vague: Duration,
    fetches: usize,
    running: Option<Running>,
    /// A fetch that has to start before time passes.
    expected: Option<(Instant, Vec<String>)>,
    /// When the next scheduled fetch may start, and when it must have.
    due: (Instant, Instant),
    /// Until when nothing is fetched, and from when on anything may be.
    silent: Option<(Instant, Instant)>,
    unknown_keys: Level,
    bad_signatures: Level,
    unknown: HashMap<String, Instant>,
    waiting: HashMap<usize, Waiting>,
    asked: usize,
    pub(super) violations: Vec<String>,
}

impl Model {
    pub(super) fn new(schedule: Schedule, now: Instant) -> Self {
        Self {
            held: Vec::new(),
            generation: 0,
            etag: None,
            failures: 0,
            last_success: None,
            expires: None,
            expires_vague: TICK,
            fetches: 0,
            running: None,
            expected: None,
            due: (now, now),
            silent: None,
            unknown_keys: Level::full(schedule.burst, schedule.refill, now),
            bad_signatures: Level::full(1, schedule.signature_refill, now),
            unknown: HashMap::new(),
            waiting: HashMap::new(),
            asked: 0,
            violations: Vec::new(),
            schedule,
        }
    }

    /// The refresher starts with a set of this age.
    pub(super) fn seeded(&mut self, keys: Vec<IssuerKey>, age: Duration, now: Instant) {
        self.held = keys;
        self.generation = 1;
        self.expires = now.checked_add(self.schedule.max_stale.saturating_sub(age));
        self.expires_vague = Duration::from_secs(2);
    }

    fn must(&mut self, holds: bool, what: impl FnOnce(&Self) -> String) {
        if !holds {
            let what = what(self);
            self.violations.push(what);
        }
    }

    /// Whether the keys are too old to trust; `None` in the moment when that changes.
    pub(super) fn is_stale(&self, now: Instant) -> Option<bool> {
        match self.expires {
            Some(at) if now + self.expires_vague < at => Some(false),
            Some(at) if now <= at + TICK => None,
            expires => Some(expires.is_some()),
        }
    }

    /// Whether the issuer is left alone, as it asked; `None` while that is up to the dice.
    pub(super) fn is_silent(&self, now: Instant) -> Option<bool> {
        match self.silent {
            Some((until, _)) if now + TICK < until => Some(true),
            Some((_, until)) if now <= until + TICK => None,
            _ => Some(false),
        }
    }

    /// What a verifier that knows the held set says.
    pub(super) fn verdict(&self, token: &Claimed, now: Instant) -> Verdict {
        if token.expired {
            return Err(Reason::Expired);
        } else if self.generation == 0 {
            return Err(Reason::NoKeys);
        } else if self.is_stale(now) == Some(true) {
            return Err(Reason::StaleKeys);
        }
        let mut meant = self.held.iter().filter(|key| token.kid.as_ref().is_none_or(|kid| *kid == key.kid));
        if meant.clone().next().is_none() {
            return Err(Reason::UnknownKey);
        }
        if meant.any(|key| Some(key.material) == token.signer) { Ok(()) } else { Err(Reason::Signature) }
    }

    /// What the reader misses, if there is something that another set may have.
    pub(super) fn missing(token: &Claimed, verdict: Verdict) -> Option<MissKind> {
        match verdict {
            Err(Reason::UnknownKey | Reason::NoKeys) => Some(MissKind::UnknownKey),
            Err(Reason::Signature) if token.kid.is_some() => Some(MissKind::BadSignature),
            _ => None,
        }
    }

    /// A request misses a key.
    pub(super) fn miss(&mut self, kind: MissKind, kid: Option<&str>, now: Instant) -> Wait {
        let asks_for_a_key = kind == MissKind::UnknownKey;
        if asks_for_a_key && kid.and_then(|kid| self.unknown.get(kid)).is_some_and(|until| *until > now) {
            return Wait::Not;
        }
        if self.running.is_some() {
            return Wait::For(self.fetches);
        }
        if self.expected.is_some() {
            return Wait::For(self.fetches + 1);
        }
        let is_silent = self.is_silent(now) == Some(true);
        let bucket = if asks_for_a_key { &mut self.unknown_keys } else { &mut self.bad_signatures };
        if is_silent || !bucket.pay(now) {
            return Wait::Not;
        }
        self.expected = Some((now, kid.filter(|_| asks_for_a_key).map(str::to_owned).into_iter().collect()));
        Wait::For(self.fetches + 1)
    }

    /// Whether a request that misses a key may be answered without a word to the refresher: nothing runs that
    /// could help it, and it is worth no fetch.
    pub(super) fn may_keep_back(&self, kind: MissKind, kid: Option<&str>, now: Instant) -> bool {
        let asks_for_a_key = kind == MissKind::UnknownKey;
        let is_known = kid.and_then(|kid| self.unknown.get(kid)).is_some_and(|until| *until > now);
        let mut bucket = if asks_for_a_key { self.unknown_keys } else { self.bad_signatures };
        let is_limited = self.is_silent(now) == Some(true) || !bucket.pay(now);
        self.running.is_none() && ((asks_for_a_key && is_known) || is_limited)
    }

    /// A request waits; says under which number.
    pub(super) fn waits(&mut self, wait: Wait, kind: MissKind, kid: Option<&str>, now: Instant) -> usize {
        self.asked += 1;
        let (until, fetch) = match wait {
            Wait::Not => (now, None),
            Wait::For(fetch) => (now + self.schedule.wait, Some(fetch)),
        };
        let waiting = Waiting { until, fetch, kind, kid: kid.map(str::to_owned) };
        self.waiting.insert(self.asked, waiting);
        self.asked
    }

    /// The client of a request that waits is gone.
    pub(super) fn cancelled(&mut self, number: usize) {
        self.waiting.remove(&number);
    }

    /// A request that waited is answered.
    pub(super) fn answered(&mut self, number: usize, now: Instant) {
        let Some(Waiting { until, fetch, .. }) = self.waiting.remove(&number) else { return };
        self.must(now <= until + TICK, |_| format!("a request was answered {:?} too late", now - until));
        let is_over = |model: &Self, fetch| fetch < model.fetches || model.running.is_none();
        self.must(fetch.is_none_or(|fetch| now >= until || is_over(self, fetch)), |_| {
            "a request was sent away before the fetch it waited for had ended".to_owned()
        });
    }

    pub(super) fn fetch_started(&mut self, etag: Option<&str>, now: Instant) {
        self.must(self.running.is_none(), |_| "two fetches at a time".to_owned());
        self.fetches += 1;
        let asked = if let Some((at, asked)) = self.expected.take() {
            self.must(at == now, |_| format!("a fetch came {:?} after its request", now - at));
            self.must(etag.is_none(), |_| "a fetch for a token was conditional".to_owned());
            asked
        } else {
            let (from, by) = self.due;
            self.must(now + TICK >= from, |_| {
                format!("a fetch that nobody asked for, {:?} early", from - now)
            });
            self.must(now <= by + TICK, |_| format!("a scheduled fetch was {:?} late", now - by));
            self.must(etag == self.etag.as_deref(), |model| format!("{etag:?} is not {:?}", model.etag));
            Vec::new()
        };
        let until = now + self.schedule.deadline;
        self.running = Some(Running { started: now, until, asked, conditional: etag.is_some() });
    }

    /// The refresher gave up on a fetch.
    pub(super) fn fetch_cut(&mut self, now: Instant) {
        let started = self.running.as_ref().map_or(now, |running| running.started);
        let lasted = now - started;
        self.must(lasted >= self.schedule.deadline, |_| format!("a fetch was cut after {lasted:?}"));
        self.fetch_ended(Outcome::Failed { retry_after: None }, now);
    }

    pub(super) fn fetch_ended(&mut self, outcome: Outcome, now: Instant) {
        let Some(Running { until, asked, conditional, .. }) = self.running.take() else { return };
        self.must(now <= until + TICK, |_| format!("a fetch ended {:?} after its deadline", now - until));
        let max_age = match outcome {
            Outcome::Published { keys, etag, max_age } if !keys.is_empty() => {
                self.held = keys;
                self.etag = etag;
                self.generation += 1;
                max_age
            }
            Outcome::Unchanged { max_age } if conditional => max_age,
            Outcome::Failed { retry_after } => return self.failed(retry_after, now),
            Outcome::Published { .. } | Outcome::Unchanged { .. } => return self.failed(None, now),
        };
        self.failures = 0;
        self.last_success = Some(now);
        self.expires = now.checked_add(self.schedule.max_stale);
        self.expires_vague = TICK;
        self.silent = None;
        self.unknown.clear();
        for kid in &asked {
            if self.held.iter().all(|key| key.kid != *kid) {
                self.unknown.insert(kid.clone(), now + self.schedule.refill);
            }
        }
        self.ask_again(&asked, now);
        let Schedule { every, at_least, at_most, max_stale, .. } = self.schedule;
        // However long the issuer lets them live: when an outage begins they are to be young.
        let lifetime = max_age.unwrap_or(every).clamp(at_least, at_most.min(max_stale / 5));
        let at = |part: f64| now + lifetime.mul_f64(0.8 * part).max(at_least.mul_f64(part));
        self.due = (at(0.95), at(1.05));
    }

    /// Who came during a fetch, for a key that it was not made for and has not brought, gets another one.
    fn ask_again(&mut self, asked: &[String], now: Instant) {
        let is_new = |kid: &String| !asked.contains(kid) && self.held.iter().all(|key| key.kid != *kid);
        let is_late = |waiting: &&mut Waiting| {
            let waits = waiting.fetch == Some(self.fetches) && waiting.until > now;
            waits && waiting.kind == MissKind::UnknownKey && waiting.kid.as_ref().is_some_and(is_new)
        };
        let mut late: Vec<_> = self.waiting.values_mut().filter(is_late).collect();
        if late.is_empty() || !self.unknown_keys.pay(now) {
            return;
        }
        self.expected = Some((now, late.iter().filter_map(|waiting| waiting.kid.clone()).collect()));
        for waiting in &mut late {
            waiting.fetch = Some(self.fetches + 1);
        }
    }

    fn failed(&mut self, retry_after: Option<Duration>, now: Instant) {
        self.failures += 1;
        let Schedule { backoff, longest_backoff, every, .. } = self.schedule;
        self.silent = retry_after.map(|asked| {
            let asked = asked.clamp(backoff, every);
            (now + asked, now + asked.mul_f64(1.25))
        });
        let most = (backoff * 2_u32.saturating_pow(self.failures - 1)).min(longest_backoff);
        let (not_before, at_latest) = self.silent.unwrap_or((now, now));
        self.due = (not_before.max(now + most.mul_f64(0.1)), at_latest.max(now + most));
    }

    /// The machine slept: nobody can be blamed for what was due meanwhile.
    pub(super) fn slept(&mut self, now: Instant) {
        self.due.1 = self.due.1.max(now);
        for until in self.running.iter_mut().map(|running| &mut running.until) {
            *until = (*until).max(now);
        }
        for until in self.waiting.values_mut().map(|waiting| &mut waiting.until) {
            *until = (*until).max(now);
        }
    }

    /// Whether the last fetch was a success, and none is under way.
    pub(super) fn is_healthy(&self) -> bool {
        self.last_success.is_some() && self.failures == 0 && self.running.is_none()
    }

    pub(super) fn is_fetching(&self) -> bool {
        self.running.is_some()
    }

    /// What must hold when everything that can happen now has happened.
    pub(super) fn settled(&mut self, status: &Status, now: Instant) {
        self.must(self.expected.is_none(), |_| {
            "nothing was fetched for a request that was worth it".to_owned()
        });
        match &self.running {
            Some(Running { until, .. }) => {
                let until = *until;
                self.must(now <= until + TICK, |_| "a fetch runs on after its deadline".to_owned());
            }
            None => self.must(now <= self.due.1 + TICK, |_| "a scheduled fetch did not happen".to_owned()),
        }
        let forgotten = self.waiting.values().any(|waiting| {
            let is_over = |fetch| fetch < self.fetches || self.running.is_none();
            now > waiting.until + TICK || waiting.fetch.is_none_or(is_over)
        });
        self.must(!forgotten, |model| format!("a request is still not answered: {:?}", model.waiting));

        self.must(status.generation == self.generation, |model| {
            format!("generation {} is not {}", status.generation, model.generation)
        });
        self.must(status.failures == self.failures, |model| {
            format!("{} failures are not {}", status.failures, model.failures)
        });
        self.must(status.last_error.is_some() == (self.failures > 0), |_| {
            "an error too many or too few".to_owned()
        });
        // That of a seed is what it says.
        let is_seeded = self.last_success.is_none() && self.generation > 0;
        self.must(is_seeded || status.last_success == self.last_success, |_| {
            "the last success was not then".to_owned()
        });
        let mut ids: Vec<&str> = Vec::new();
        for key in &self.held {
            if !ids.contains(&&*key.kid) {
                ids.push(&key.kid);
            }
        }
        let agrees = status.key_ids == ids;
        self.must(agrees, |model| format!("{:?} are not the keys of {:?}", status.key_ids, model.held));
        self.must(status.seed.is_some() == (self.generation > 0), |_| {
            "a seed without keys, or none".to_owned()
        });
        let ready = self.is_stale(now).map(|stale| self.generation > 0 && !stale);
        self.must(ready.is_none_or(|ready| ready == status.is_ready()), |_| {
            "readiness is not told".to_owned()
        });
    }
}
