//! Everything that is shared: the dice, the weather, the issuer's sessions, and what must not be.

use crate::issuer::{Held, Rules, read};
use bearer_session::store::{Commit, Key, Lookup};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

#[derive(Clone, Debug)]
pub(crate) struct World(Arc<Mutex<State>>);

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) rng: fastrand::Rng,
    pub(crate) faults: Faults,
    pub(crate) rules: Rules,
    pub(crate) expires_in: Duration,
    pub(crate) issuer: Vec<Held>,
    pub(crate) keys: HashMap<Key, usize>,
    /// Instances that have crashed.
    pub(crate) dead: HashSet<usize>,
    /// Until when the store cannot be reached, and by whom; `None` for nobody.
    pub(crate) outage: Option<(Instant, Option<usize>)>,
    /// Sessions with an outcome that nobody knows, which may cost a strict session.
    excused: HashSet<usize>,
    /// The user signed out.
    pub(crate) left: HashSet<usize>,
    /// The newest generation that the store has taken.
    stored: HashMap<usize, u64>,
    /// By generation, the number of the tokens that were handed out.
    seen: HashMap<usize, BTreeMap<u64, u64>>,
    pub(crate) exchanges: usize,
    pub(crate) lost: usize,
    pub(crate) violations: Vec<String>,
}

/// How likely what is, each time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) unknown: f64,
    pub(crate) busy: f64,
    pub(crate) slow: f64,
    pub(crate) crash: f64,
    pub(crate) store: f64,
    pub(crate) store_slow: f64,
    pub(crate) outage: f64,
    pub(crate) killed: f64,
}

impl Faults {
    /// Of each kind none, or some.
    fn of(rng: &mut fastrand::Rng) -> Self {
        let mut some = |most: f64| if rng.bool() { rng.f64() * most } else { 0.0 };
        Self {
            unknown: some(0.3),
            busy: some(0.3),
            slow: some(0.3),
            crash: some(0.03),
            store: some(0.1),
            store_slow: some(0.2),
            outage: some(0.05),
            killed: some(0.005),
        }
    }
}

impl World {
    pub(crate) fn new(seed: u64, sessions: usize) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let faults = Faults::of(&mut rng);
        let rules = Rules::ALL[rng.usize(..3)];
        let expires_in = Duration::from_secs(rng.u64(20..200));
        Self(Arc::new(Mutex::new(State {
            rng,
            faults,
            rules,
            expires_in,
            issuer: (0..sessions).map(|_| Held::new()).collect(),
            keys: HashMap::new(),
            dead: HashSet::new(),
            outage: None,
            excused: HashSet::new(),
            left: HashSet::new(),
            stored: HashMap::new(),
            seen: HashMap::new(),
            exchanges: 0,
            lost: 0,
            violations: Vec::new(),
        })))
    }

    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    /// A moment in which an instance may crash. One that has goes no further.
    pub(crate) async fn step(&self, instance: usize) {
        let is_dead = self.with(|state| {
            if state.rng.f64() < state.faults.crash {
                state.dead.insert(instance);
                // It may have been about to refresh any of them.
                (0..state.issuer.len()).for_each(|session| state.excuse(session));
            }
            state.dead.contains(&instance)
        });
        if is_dead {
            pending::<()>().await;
        }
    }
}

impl State {
    pub(crate) fn excuse(&mut self, session: usize) {
        self.excused.insert(session);
    }

    pub(crate) fn excuse_key(&mut self, key: &Key) {
        if let Some(session) = self.keys.get(key) {
            self.excused.insert(*session);
        }
    }

    pub(crate) fn is_down(&self, instance: usize) -> bool {
        self.outage.is_some_and(|(until, whose)| {
            Instant::now() < until && whose.is_none_or(|whose| whose == instance)
        })
    }

    /// A commit took effect, or did not.
    pub(crate) fn committed(&mut self, key: &Key, commit: Commit, now: &Lookup) {
        let (Some(session), Commit::Stored, Lookup::Live(row)) = (self.keys.get(key).copied(), commit, now)
        else {
            return;
        };
        let before = self.stored.insert(session, row.generation).unwrap_or(0);
        if row.generation != before + 1 {
            self.violations
                .push(format!("session {session}: from generation {before} to {}", row.generation));
        }
    }

    /// A request got this token.
    pub(crate) fn handed_out(&mut self, session: usize, generation: u64, token: &str) {
        let (of, number) = read(token);
        let stored = self.stored.get(&session).copied().unwrap_or(0);
        let mut wrong = |what: String| self.violations.push(format!("session {session}: {what}"));
        if of != session {
            wrong(format!("a token of session {of}"));
        }
        if generation > stored {
            wrong(format!("generation {generation} was handed out before it was stored"));
        }
        let seen = self.seen.entry(session).or_default();
        let older = seen.range(..=generation).next_back().is_some_and(|(_, older)| *older > number);
        let newer = seen.range(generation..).next().is_some_and(|(_, newer)| *newer < number);
        if older || newer {
            wrong(format!("generation {generation} has token {number}, among {seen:?}"));
        }
        self.seen.entry(session).or_default().insert(generation, number);
    }

    /// A request was told that the session is over.
    pub(crate) fn signed_out(&mut self, session: usize) {
        if !self.issuer[session].lives || self.left.contains(&session) {
            return;
        }
        if self.rules == Rules::Strict && self.excused.contains(&session) {
            self.lost += 1;
            self.left.insert(session);
            return;
        }
        self.violations.push(format!("session {session} is over, and the issuer still holds it"));
    }
}
