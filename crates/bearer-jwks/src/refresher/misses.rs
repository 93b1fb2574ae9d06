//! Requests that miss a key: which of them are worth a fetch, which wait for one, and which have their answer.

use crate::schedule::{Bucket, Schedule, UnknownKids, later};
use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};
use tokio::time::Instant;
use tower_bearer::keys::{Miss, MissFilter, MissKind, Snapshot};

/// The most requests that wait for one fetch. More are answered at once.
pub(super) const MOST_WAITERS: usize = 4096;

/// What is known of them.
pub(super) struct Misses {
    unknown_keys: Bucket,
    bad_signatures: Bucket,
    unknown: UnknownKids,
    /// For how long a key that a fetch did not bring is not asked for again.
    remembered_for: Duration,
    waiting: VecDeque<Waiter>,
    /// For how long a request waits at most.
    wait: Duration,
}

/// A request that waits for a fetch.
struct Waiter {
    miss: Miss,
    until: Instant,
}

impl Misses {
    pub(super) fn new(schedule: &Schedule) -> Self {
        Self {
            unknown_keys: Bucket::for_unknown_keys(schedule),
            bad_signatures: Bucket::for_bad_signatures(schedule),
            unknown: UnknownKids::default(),
            remembered_for: schedule.refill,
            waiting: VecDeque::new(),
            wait: schedule.wait,
        }
    }

    /// Whether the answer to a miss is not known already.
    pub(super) fn is_news(&self, miss: &Miss, keys: &Snapshot) -> bool {
        let is_known_unknown = kid_wanted(miss).is_some_and(|kid| self.unknown.contains(kid, Instant::now()));
        !is_answered(miss, keys) && !is_known_unknown
    }

    /// Whether one more fetch for misses of this kind is within what strangers may cause; it is taken for made.
    pub(super) fn may_fetch(&mut self, kind: MissKind) -> bool {
        let bucket = match kind {
            MissKind::BadSignature => &mut self.bad_signatures,
            _ => &mut self.unknown_keys,
        };
        bucket.take(Instant::now())
    }

    /// Which misses would be answered with nothing new, and until when; `silent` is until when the source
    /// asked not to be asked.
    pub(super) fn filter(&mut self, silent: Option<Instant>) -> MissFilter {
        let now = Instant::now();
        let silent = silent.filter(|until| *until > now);
        let mut filter = MissFilter::default();
        filter.unknown_keys = self.unknown_keys.empty_until(now).max(silent);
        filter.bad_signatures = self.bad_signatures.empty_until(now).max(silent);
        filter.kids = self.unknown.at(now).map(|(kid, until)| (kid.into(), until)).collect();
        filter
    }

    /// Lets it wait for a fetch, if there is room.
    pub(super) fn wait(&mut self, miss: Miss) {
        if self.waiting.len() < MOST_WAITERS {
            self.waiting.push_back(Waiter { miss, until: later(Instant::now(), self.wait) });
        }
    }

    /// When the first has waited for long enough.
    pub(super) fn impatient(&self) -> Option<Instant> {
        self.waiting.front().map(|waiter| waiter.until)
    }

    /// Dropping it is the answer: it looks at the keys once more.
    pub(super) fn answer_first(&mut self) {
        self.waiting.pop_front();
    }

    /// The same, for all.
    pub(super) fn answer_all(&mut self) {
        self.waiting.clear();
    }

    /// The key ids that the next fetch is asked for.
    pub(super) fn asked(&self) -> Vec<String> {
        self.waiting.iter().filter_map(|waiter| kid_wanted(&waiter.miss)).map(str::to_owned).collect()
    }

    /// Remembers which of the keys that were asked for before the fetch are not there after it.
    pub(super) fn note_unknown(&mut self, asked: &[String], keys: &Snapshot) {
        let now = Instant::now();
        // Each that was asked for is looked at once, however many asked.
        let mut known: HashSet<_> = keys.keys().ids().collect();
        let missing = asked.iter().map(String::as_str).filter(|kid| known.insert(*kid));
        self.unknown.extend(missing, now, later(now, self.remembered_for));
    }

    /// The issuer may have new keys: none is known to be unknown.
    pub(super) fn forget_unknown(&mut self) {
        self.unknown.clear();
    }

    /// Whether a request came during the last fetch for a key that the fetch neither targeted nor delivered:
    /// the issuer may have answered before it had that key, so one more fetch is due. Other requests have
    /// their answer.
    pub(super) fn ask_for_more(&mut self, asked: &[String], keys: &Snapshot) -> bool {
        let now = Instant::now();
        let mut answered: HashSet<_> = keys.keys().ids().collect();
        answered.extend(asked.iter().map(String::as_str));
        let is_open =
            |miss: &Miss| !miss.is_abandoned() && kid_wanted(miss).is_some_and(|kid| !answered.contains(kid));
        self.waiting.retain(|waiter| waiter.until > now && is_open(&waiter.miss));
        !self.waiting.is_empty() && self.may_fetch(MissKind::UnknownKey)
    }
}

/// Whether keys were published since the reader looked that decide about its token. Those of a fetch that the
/// issuer answered before it had the key do not: the miss of an older generation may still be worth a fetch.
pub(super) fn is_answered(miss: &Miss, keys: &Snapshot) -> bool {
    match kid_wanted(miss) {
        Some(kid) => keys.keys().has_id(kid),
        None => miss.generation() != keys.generation(),
    }
}

/// The id of the key that is missed, where it has one.
fn kid_wanted(miss: &Miss) -> Option<&str> {
    miss.kid().filter(|_| miss.kind() == MissKind::UnknownKey)
}
