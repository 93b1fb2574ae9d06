//! Names that are remembered until some time: bounded, and read without a lock.
//!
//! Shards of sorted lists, each swapped whole by the one writer. A reader loads one pointer and searches a
//! list that nobody changes; a writer copies one shard, some 64 pointers, whatever the capacity.

use super::Full;
use arc_swap::ArcSwap;
use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::SystemTime,
};

/// How many entries of a full table a shard has, on average.
const PER_SHARD: usize = 64;

/// What a name stands for. Names of two kinds never meet.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Kind {
    Token,
    Session,
    Subject,
    #[cfg(feature = "logout")]
    LogoutToken,
}

/// A name, whole and with its issuer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Key<'a> {
    pub(crate) kind: Kind,
    pub(crate) iss: &'a str,
    pub(crate) name: &'a str,
}

/// What is remembered of a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Term {
    /// From then on it is forgotten.
    pub(crate) until: SystemTime,
    /// Only what was issued before is meant; `None` for everything.
    pub(crate) issued_before: Option<SystemTime>,
}

pub(crate) struct Table {
    /// Keyed at random, so that nobody can choose names that meet in one shard.
    hasher: RandomState,
    /// A power of two of them.
    shards: Box<[ArcSwap<Shard>]>,
    /// Never less than what the shards hold: 0 means that there is nothing to look for.
    len: AtomicUsize,
    capacity: usize,
    writer: Mutex<Writer>,
}

/// Sorted by hash.
type Shard = Vec<(u64, Arc<Entry>)>;

struct Entry {
    kind: Kind,
    iss: Box<str>,
    name: Box<str>,
    term: Term,
}

struct Writer {
    /// Nothing is forgotten before: a table that is full till then need not be searched for room.
    earliest: Option<SystemTime>,
}

impl Table {
    /// Remembers at most so many names.
    pub(crate) fn new(capacity: usize) -> Self {
        let empty = Arc::new(Shard::new());
        let shards = (capacity / PER_SHARD).max(1).next_power_of_two();
        Self {
            hasher: RandomState::new(),
            shards: (0..shards).map(|_| ArcSwap::new(Arc::clone(&empty))).collect(),
            len: AtomicUsize::new(0),
            capacity,
            writer: Mutex::new(Writer { earliest: None }),
        }
    }

    /// How many are in memory, forgotten ones perhaps among them.
    pub(crate) fn len(&self) -> usize {
        self.len.load(SeqCst)
    }

    /// What is remembered of this name.
    pub(crate) fn find(&self, key: &Key<'_>, now: SystemTime) -> Option<Term> {
        if self.len() == 0 {
            return None;
        }
        let hash = self.hasher.hash_one(key);
        let shard = self.shard(hash).load();
        let start = shard.partition_point(|(other, _)| *other < hash);
        let mut same = shard[start..].iter().take_while(|(other, _)| *other == hash);
        same.find(|(_, entry)| entry.key() == *key)
            .map(|(_, entry)| entry.term)
            .filter(|term| term.is_live(now))
    }

    /// Changes what is remembered of one name: `None` is nothing, before and after.
    pub(crate) fn update(
        &self,
        key: &Key<'_>,
        now: SystemTime,
        change: impl FnOnce(Option<Term>) -> Option<Term>,
    ) -> Result<(), Full> {
        let mut writer = self.lock();
        let Some(term) = change(self.find(key, now)).filter(|term| term.is_live(now)) else {
            self.replace(self.hasher.hash_one(key), key, None, now);
            return Ok(());
        };
        let hash = self.hasher.hash_one(key);
        if self.find(key, now).is_none() && self.len() >= self.capacity {
            self.purge(&mut writer, now);
            if self.len() >= self.capacity {
                return Err(Full);
            }
        }
        writer.earliest = Some(writer.earliest.map_or(term.until, |earliest| earliest.min(term.until)));
        self.replace(hash, key, Some(term), now);
        Ok(())
    }

    /// Writes one shard anew: without this name, or with this term for it, and without what is forgotten.
    fn replace(&self, hash: u64, key: &Key<'_>, term: Option<Term>, now: SystemTime) {
        let shard = self.shard(hash);
        let old = shard.load();
        let stays = |(_, entry): &&(u64, Arc<Entry>)| entry.term.is_live(now) && entry.key() != *key;
        let mut new: Shard = Vec::with_capacity(old.len() + 1);
        new.extend(old.iter().filter(stays).cloned());
        if let Some(term) = term {
            let place = new.partition_point(|(other, _)| *other < hash);
            new.insert(place, (hash, Arc::new(Entry::new(key, term))));
        }
        self.swap(shard, old.len(), new);
    }

    /// Forgets for good whose time has come.
    fn purge(&self, writer: &mut Writer, now: SystemTime) {
        if writer.earliest.is_none_or(|earliest| earliest > now) {
            return;
        }
        writer.earliest = None;
        for shard in &self.shards {
            let old = shard.load();
            let live = || old.iter().filter(|(_, entry)| entry.term.is_live(now));
            writer.earliest = live().map(|(_, entry)| entry.term.until).chain(writer.earliest).min();
            if live().count() < old.len() {
                self.swap(shard, old.len(), live().cloned().collect());
            }
        }
    }

    /// The count is raised before there is more, and lowered after there is less: whoever reads 0 misses
    /// nothing.
    fn swap(&self, shard: &ArcSwap<Shard>, old_len: usize, new: Shard) {
        let new_len = new.len();
        self.len.fetch_add(new_len, SeqCst);
        shard.store(Arc::new(new));
        self.len.fetch_sub(old_len, SeqCst);
    }

    fn shard(&self, hash: u64) -> &ArcSwap<Shard> {
        #[allow(clippy::cast_possible_truncation, reason = "the low bits are what is wanted")]
        let index = hash as usize & (self.shards.len() - 1);
        &self.shards[index]
    }

    /// Writers replace whole lists: what a panic leaves behind is one state or the other.
    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Term {
    pub(crate) fn is_live(&self, now: SystemTime) -> bool {
        now < self.until
    }

    /// Both at once, at the later times: that all is meant is the latest.
    pub(crate) fn or_later(self, other: Self) -> Self {
        Self {
            until: self.until.max(other.until),
            issued_before: self.issued_before.zip(other.issued_before).map(|(one, other)| one.max(other)),
        }
    }
}

impl Entry {
    fn new(key: &Key<'_>, term: Term) -> Self {
        Self { kind: key.kind, iss: key.iss.into(), name: key.name.into(), term }
    }

    fn key(&self) -> Key<'_> {
        Key { kind: self.kind, iss: &self.iss, name: &self.name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{
        collections::HashMap,
        time::{Duration, UNIX_EPOCH},
    };

    const CAPACITY: usize = 5;

    #[derive(Clone, Debug)]
    enum Step {
        Put { name: usize, until: u64 },
        Remove { name: usize },
        Wait { seconds: u64 },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..KEYS.len(), 0..30u64).prop_map(|(name, until)| Step::Put { name, until }),
            1 => (0..KEYS.len()).prop_map(|name| Step::Remove { name }),
            2 => (1..8u64).prop_map(|seconds| Step::Wait { seconds }),
        ];
        proptest::collection::vec(step, 0..60)
    }

    /// Names that would meet if kind, issuer and name were run together.
    const KEYS: [Key<'_>; 9] = [
        Key { kind: Kind::Token, iss: "a", name: "b" },
        Key { kind: Kind::Session, iss: "a", name: "b" },
        Key { kind: Kind::Subject, iss: "a", name: "b" },
        Key { kind: Kind::Token, iss: "", name: "ab" },
        Key { kind: Kind::Token, iss: "ab", name: "" },
        Key { kind: Kind::Token, iss: "b", name: "a" },
        Key { kind: Kind::Session, iss: "b", name: "a" },
        Key { kind: Kind::Token, iss: "a", name: "B" },
        Key { kind: Kind::Token, iss: "a", name: "c" },
    ];

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    proptest! {
        #[test]
        fn it_remembers_what_a_plain_map_would(steps in steps(), all_meet in any::<bool>()) {
            let mut table = Table::new(CAPACITY);
            if !all_meet {
                let empty = Arc::new(Shard::new());
                table.shards = (0..4).map(|_| ArcSwap::new(Arc::clone(&empty))).collect();
            }
            let mut model: HashMap<Key<'_>, SystemTime> = HashMap::new();
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Put { name, until } => {
                        let (key, until) = (KEYS[name], at(until));
                        let new = Term { until, issued_before: None };
                        let put = table.update(&key, at(now), |old| Some(old.map_or(new, |old| old.or_later(new))));
                        model.retain(|_, until| at(now) < *until);
                        let room = model.len() < CAPACITY || model.contains_key(&key) || until <= at(now);
                        prop_assert_eq!(put.is_ok(), room);
                        if room && at(now) < until {
                            let old = model.entry(key).or_insert(until);
                            *old = until.max(*old);
                        }
                    }
                    Step::Remove { name } => {
                        prop_assert_eq!(table.update(&KEYS[name], at(now), |_| None), Ok(()));
                        model.remove(&KEYS[name]);
                    }
                    Step::Wait { seconds } => now += seconds,
                }
                prop_assert!(table.len() <= CAPACITY);
                for key in &KEYS {
                    let expected = model.get(key).copied().filter(|until| at(now) < *until);
                    prop_assert_eq!(table.find(key, at(now)).map(|term| term.until), expected, "{:?}", key);
                }
            }
        }
    }

    #[test]
    fn names_of_one_hash_are_told_apart() {
        let table = Table::new(CAPACITY);
        let term = |seconds| Term { until: at(seconds), issued_before: None };
        let hash = table.hasher.hash_one(KEYS[1]);
        for (key, seconds) in KEYS.iter().zip(1..).take(CAPACITY) {
            table.replace(hash, key, Some(term(seconds)), at(0));
        }
        assert_eq!(table.find(&KEYS[1], at(0)), Some(term(2)));
        table.replace(hash, &KEYS[1], None, at(0));
        assert_eq!((table.find(&KEYS[1], at(0)), table.len()), (None, CAPACITY - 1));
    }

    #[test]
    fn a_large_table_is_exact_and_its_shards_stay_small() {
        let capacity = 10_000;
        let table = Table::new(capacity);
        let names: Vec<_> = (0..=capacity).map(|n| n.to_string()).collect();
        let key = |n: usize| Key { kind: Kind::Token, iss: "a", name: &names[n] };
        let term = Term { until: at(10), issued_before: None };
        for n in 0..capacity {
            assert_eq!(table.update(&key(n), at(0), |_| Some(term)), Ok(()));
        }
        assert_eq!(table.update(&key(capacity), at(9), |_| Some(term)), Err(Full));
        assert!((0..capacity).all(|n| table.find(&key(n), at(9)).is_some()), "nothing was dropped for it");
        assert!(table.find(&key(capacity), at(9)).is_none());
        let longest = table.shards.iter().map(|shard| shard.load().len()).max();
        assert!(longest < Some(4 * PER_SHARD), "{longest:?}");
        let next = Term { until: at(20), issued_before: None };
        assert_eq!(table.update(&key(capacity), at(10), |_| Some(next)), Ok(()));
        assert_eq!(table.len(), 1);
    }
}
