//! Everything that is shared: the dice, the weather, the issuer's sessions, and what must not be.

use crate::{
    issuer::{Held, Rules, read},
    shelves::Written,
};
use bearer_session::{
    TokenSet,
    store::{Commit, Key, Lookup},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    env,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// By how much a token may seem to live longer: the age of a row is reckoned from when the store took it, which may be
/// as long after it was sent as the [timeout](bearer_session::SessionsBuilder::store_timeout).
const SLACK: Duration = Duration::from_secs(2);

/// By how much a refresh may seem early: an owner reckons the life of a token from before its request was sent, which the
/// issuer may get as late as this.
const EARLY: Duration = Duration::from_secs(20);

/// For how long a refresh that somebody asked for may take to be tried.
const ASKED_FOR: Duration = Duration::from_secs(120);

/// How long it may take until an instance that waits for another's refresh knows of it, whether it got a
/// notice or not: the longest pause between two looks, and the way there and back.
const HEARD_OF: Duration = Duration::from_secs(4);

/// How far the clock on the wall of an instance is ahead, in seconds. Number 0 is the issuer.
pub(crate) fn skew(instance: usize) -> i64 {
    [-90, 0, 90][instance % 3]
}

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
    /// Until when an instance stands still, or last did.
    still: HashMap<usize, Instant>,
    /// Until when the store cannot be reached, and by whom; `None` for nobody.
    pub(crate) outage: Option<(Instant, Option<usize>)>,
    /// Who holds a claim of which session.
    claims: HashSet<(usize, usize)>,
    /// Sessions, each with the newest token at a moment that may cost a strict one.
    excused: HashSet<(usize, u64)>,
    /// The user signed out.
    pub(crate) left: HashSet<usize>,
    /// The store has lost the session.
    pub(crate) evicted: HashSet<usize>,
    /// The store went back: whoever knows no better may present what is older than this token.
    back: HashMap<usize, u64>,
    /// What the store has taken, by generation of the row.
    rows: HashMap<usize, Vec<Written>>,
    /// The greatest generation that it ever had.
    stored: HashMap<usize, u64>,
    /// The tokens that somebody has stored since they came.
    taken: HashSet<(usize, u64)>,
    /// By generation, the number of the tokens that were handed out.
    seen: HashMap<usize, BTreeMap<u64, u64>>,
    /// The newest token of a session that an instance has seen.
    known: HashMap<(usize, usize), u64>,
    /// When each access token expires, by the issuer's clock.
    minted: Vec<Instant>,
    /// When the access token expires that came last with a refresh token of this number.
    beside: HashMap<(usize, u64), Instant>,
    /// Of which generation the newest tokens are that an instance knows to have been refused, and since when.
    refused: HashMap<(usize, usize), (u64, Instant)>,
    /// When somebody last wanted new tokens though the old ones might live.
    wanted: HashMap<usize, Instant>,
    /// The greatest fence there was.
    pub(crate) fence: u64,
    pub(crate) tally: Tally,
    pub(crate) violations: Vec<String>,
    began: Instant,
    /// Whether to tell the history.
    trace: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) exchanges: usize,
    pub(crate) probes: usize,
    pub(crate) answers: usize,
    /// To a strict issuer whose answer was lost, or might have been.
    pub(crate) lost: usize,
    /// To an issuer that got a token out of a backup.
    pub(crate) lost_with_a_backup: usize,
    pub(crate) evicted: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.exchanges += other.exchanges;
        self.probes += other.probes;
        self.answers += other.answers;
        self.lost += other.lost;
        self.lost_with_a_backup += other.lost_with_a_backup;
        self.evicted += other.evicted;
    }
}

/// How likely what is, each time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) unknown: f64,
    pub(crate) busy: f64,
    pub(crate) slow: f64,
    pub(crate) crash: f64,
    pub(crate) pause: f64,
    pub(crate) store: f64,
    pub(crate) store_slow: f64,
    pub(crate) outage: f64,
    pub(crate) killed: f64,
    pub(crate) back: f64,
    pub(crate) evicted: f64,
}

impl Faults {
    /// Of each kind none, or some.
    fn of(rng: &mut fastrand::Rng) -> Self {
        let mut some = |one_in: u8, most: f64| if rng.u8(..one_in) == 0 { rng.f64() * most } else { 0.0 };
        Self {
            unknown: some(2, 0.3),
            busy: some(2, 0.3),
            slow: some(2, 0.3),
            crash: some(3, 0.03),
            pause: some(3, 0.03),
            store: some(3, 0.1),
            store_slow: some(3, 0.2),
            outage: some(3, 0.05),
            killed: some(4, 0.005),
            back: some(4, 0.1),
            evicted: some(8, 0.02),
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
            still: HashMap::new(),
            outage: None,
            claims: HashSet::new(),
            excused: HashSet::new(),
            left: HashSet::new(),
            evicted: HashSet::new(),
            back: HashMap::new(),
            rows: HashMap::new(),
            stored: HashMap::new(),
            taken: HashSet::new(),
            seen: HashMap::new(),
            known: HashMap::new(),
            minted: Vec::new(),
            beside: HashMap::new(),
            refused: HashMap::new(),
            wanted: HashMap::new(),
            fence: 0,
            tally: Tally::default(),
            violations: Vec::new(),
            began: Instant::now(),
            trace: env::var_os("TRACE").is_some(),
        })))
    }

    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    /// A moment in which an instance may crash, or be stopped for a while. One that has crashed goes no further.
    pub(crate) async fn step(&self, instance: usize) {
        let is_dead = self.with(|state| {
            if state.rng.f64() < state.faults.crash {
                state.dead.insert(instance);
                state.excuse_claims(instance);
            } else if state.rng.f64() < state.faults.pause {
                let until = Instant::now() + Duration::from_millis(state.rng.u64(500..60_000));
                state.still.insert(instance, until);
                state.excuse_claims(instance);
            }
            state.dead.contains(&instance)
        });
        if is_dead {
            pending::<()>().await;
        }
        while let Some(until) = self.with(|state| state.stands_still(instance)) {
            sleep_until(until).await;
        }
    }
}

impl State {
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>9.3?} {}", self.began.elapsed(), what());
        }
    }

    pub(crate) fn begun(&mut self, session: usize, key: Key) {
        self.keys.insert(key, session);
        self.seen.entry(session).or_default().insert(0, 0);
    }

    /// Tokens of this number, from now on.
    pub(crate) fn mint(&mut self, session: usize, number: u64) -> TokenSet {
        let expires = Instant::now() + self.expires_in;
        self.minted.push(expires);
        self.beside.insert((session, number), expires);
        crate::issuer::token_set(session, number, self.minted.len() - 1, self.expires_in)
    }

    /// The number of a refresh token that a browser may have.
    pub(crate) fn cookie(&mut self, session: usize) -> u64 {
        let numbers: Vec<u64> = self.seen[&session].values().copied().collect();
        numbers[self.rng.usize(..numbers.len())]
    }

    pub(crate) fn adopted(&mut self, session: usize, cookie: u64, key: Key) {
        if self.keys.get(&key) != Some(&session) {
            self.violations.push(format!("session {session}: its token {cookie} leads elsewhere"));
        }
    }

    /// Something happened that may cost a strict session: while this token is the newest, or its successor.
    pub(crate) fn excuse(&mut self, session: usize) {
        self.excused.insert((session, self.issuer[session].newest));
    }

    pub(crate) fn excuse_key(&mut self, instance: usize, key: &Key) {
        if let Some(session) = self.keys.get(key) {
            self.excuse_unless_dead(instance, *session);
        }
    }

    /// What the dead wait for is nothing any more: they were excused when they crashed, or shut down in
    /// order.
    pub(crate) fn excuse_unless_dead(&mut self, instance: usize, session: usize) {
        if !self.dead.contains(&instance) {
            self.excuse(session);
        }
    }

    fn excuse_claims(&mut self, instance: usize) {
        let claimed: Vec<usize> =
            self.claims.iter().filter(|(by, _)| *by == instance).map(|(_, session)| *session).collect();
        for session in claimed {
            self.excuse(session);
        }
    }

    /// An instance holds a claim, or no longer.
    pub(crate) fn claims(&mut self, instance: usize, key: &Key, holds: bool) {
        let Some(session) = self.keys.get(key).copied() else { return };
        if holds {
            self.claims.insert((instance, session));
        } else {
            self.claims.remove(&(instance, session));
        }
    }

    fn stands_still(&self, instance: usize) -> Option<Instant> {
        self.still.get(&instance).copied().filter(|until| *until > Instant::now())
    }

    /// Whether it did at any time since.
    pub(crate) fn stood_still_since(&self, instance: usize, then: Instant) -> bool {
        self.still.get(&instance).is_some_and(|until| *until > then)
    }

    pub(crate) fn is_down(&self, instance: usize) -> bool {
        self.outage.is_some_and(|(until, whose)| {
            Instant::now() < until && whose.is_none_or(|whose| whose == instance)
        })
    }

    pub(crate) fn created(&mut self, key: &Key, sealed: &[u8]) {
        // The first time nobody knows yet whose key it is.
        let session = self.keys.get(key).copied().unwrap_or(self.rows.len());
        self.rows.insert(session, vec![(sealed.to_vec(), Instant::now())]);
    }

    /// How long ago this was written.
    pub(crate) fn age(&self, sealed: &[u8]) -> Option<Duration> {
        self.rows.values().flatten().find(|(row, _)| row == sealed).map(|(_, written)| written.elapsed())
    }

    /// The row is to be what it was so many generations before. Returns what was written to it until then.
    pub(crate) fn goes_back(&mut self, session: usize, generations: usize) -> Vec<Written> {
        self.excuse(session);
        let is_claimed = self.claims.iter().any(|(_, claimed)| *claimed == session);
        let newest = self.issuer[session].newest + u64::from(is_claimed);
        self.back.insert(session, newest);
        self.tell(|| format!("{session} goes back by {generations}"));
        let rows = self.rows.get_mut(&session).unwrap();
        rows.truncate(rows.len().saturating_sub(generations).max(1));
        rows.clone()
    }

    /// A commit took effect, or did not.
    pub(crate) fn committed(&mut self, instance: usize, key: &Key, commit: Commit, now: &Lookup) {
        let (Some(session), Commit::Stored, Lookup::Live(row)) = (self.keys.get(key).copied(), commit, now)
        else {
            return;
        };
        let rows = self.rows.get_mut(&session).unwrap();
        if row.generation != rows.len() as u64 {
            self.violations.push(format!(
                "session {session}: from generation {} to {}",
                rows.len() - 1,
                row.generation
            ));
        }
        rows.push((row.sealed.clone(), Instant::now()));
        let most = self.stored.entry(session).or_default();
        *most = row.generation.max(*most);
        if let Some(number) = self.known.get(&(instance, session)) {
            self.taken.insert((session, *number));
        }
    }

    /// An instance presents a token.
    pub(crate) fn presents(&mut self, instance: usize, session: usize, number: u64) {
        let known = self.known.get(&(instance, session)).copied().unwrap_or(0);
        self.tell(|| format!("{instance} presents {session}.{number}"));
        if number < known {
            self.violations.push(format!("session {session}: {number} was presented by who knew {known}"));
        }
        if !self.is_due(session, number) {
            self.violations
                .push(format!("session {session}: {number} was presented long before it had to be"));
        }
        self.stored_by_now(session, number);
    }

    /// An instance ends a session, of which it may hold the newest tokens, and they the only ones.
    pub(crate) fn ends(&mut self, instance: usize, key: &Key) {
        let Some(session) = self.keys.get(key).copied() else { return };
        let newest = self.issuer[session].newest;
        let has_it = newest > 0 && self.known.get(&(instance, session)) == Some(&newest);
        let is_in_use = self.issuer[session].lives && !self.left.contains(&session);
        if has_it && is_in_use && !self.taken.contains(&(session, newest)) {
            self.violations
                .push(format!("session {session}: {newest} was never stored, and who has it ends it"));
        }
    }

    pub(crate) fn wants_new_tokens(&mut self, session: usize) {
        self.wanted.insert(session, Instant::now());
    }

    /// Whoever was shown this token did not take it.
    pub(crate) fn refused(&mut self, instance: usize, session: usize, generation: u64) {
        self.tell(|| format!("{instance} was refused with {session} of generation {generation}"));
        self.wants_new_tokens(session);
        let newest = self.refused.get(&(instance, session)).map_or(0, |(newest, _)| *newest);
        if generation >= newest {
            self.refused.insert((instance, session), (generation, Instant::now()));
        }
    }

    /// A request that began then got tokens of this generation: those that were refused before it began must
    /// not be handed out any more.
    pub(crate) fn knows_better(&mut self, instance: usize, session: usize, generation: u64, began: Instant) {
        let refused = self.refused.get(&(instance, session));
        if refused.is_some_and(|(refused, since)| generation <= *refused && *since < began) {
            self.violations.push(format!(
                "session {session}: generation {generation} was refused, and handed out again"
            ));
        }
    }

    /// Whether there is a reason to refresh: the access token has little left, or somebody asked for it. A session that
    /// is found by its tokens comes without saying how long they live, and one whose store went back has reasons of its
    /// own.
    fn is_due(&self, session: usize, number: u64) -> bool {
        // The default of `margin`, and never more than a third.
        let margin = Duration::from_secs(90).min(self.expires_in / 3) + EARLY;
        let expires = self.beside.get(&(session, number));
        session == crate::ADOPTED
            || self.back.contains_key(&session)
            || expires.is_none_or(|expires| *expires <= Instant::now() + margin)
            || self.wanted.get(&session).is_some_and(|wanted| wanted.elapsed() < ASKED_FOR)
    }

    /// What can be presented or handed out is stored: what happened to those before can cost nothing any more.
    fn stored_by_now(&mut self, session: usize, number: u64) {
        if !self.back.contains_key(&session) {
            self.excused.retain(|(of, then)| *of != session || *then >= number);
        }
    }

    pub(crate) fn learns(&mut self, instance: usize, session: usize, number: u64) {
        self.tell(|| format!("{instance} learns {session}.{number}"));
        let known = self.known.entry((instance, session)).or_default();
        *known = number.max(*known);
    }

    /// Whether a token is one that only a backup can still hold.
    pub(crate) fn is_out_of_a_backup(&self, session: usize, number: u64) -> bool {
        self.back.get(&session).is_some_and(|newest| number < *newest)
    }

    /// A request got this token.
    pub(crate) fn handed_out(&mut self, instance: usize, session: usize, generation: u64, token: &str) {
        self.tally.answers += 1;
        let (of, number) = read(token);
        let mint: usize = token.rsplit('.').next().unwrap().parse().unwrap();
        let stored = self.stored.get(&session).copied().unwrap_or(0);
        let is_dead = self.minted.get(mint).is_none_or(|expires| *expires + SLACK <= Instant::now());
        // Then the tokens are ahead of their row.
        let went_back = self.back.contains_key(&session);
        // A backup from before a token was given up, and a copy from after.
        let is_ambiguous = self.rules == Rules::Strict && went_back;
        let is_taken = number == 0 || self.taken.contains(&(session, number));
        let mut wrong = |what: String| self.violations.push(format!("session {session}: {what}"));
        if of != session {
            wrong(format!("a token of session {of}"));
        }
        if !went_back && generation > stored {
            wrong(format!("generation {generation} was handed out before it was stored"));
        }
        if !is_taken {
            wrong(format!("token {number} was handed out before it was stored"));
        }
        if is_dead {
            wrong(format!("token {number} was handed out when the issuer takes it for expired"));
        }
        let seen = self.seen.entry(session).or_default();
        let older = seen.range(..=generation).next_back().is_some_and(|(_, older)| *older > number);
        let newer = seen.range(generation..).next().is_some_and(|(_, newer)| *newer < number);
        if (older || newer) && !is_ambiguous {
            wrong(format!("generation {generation} has token {number}, among {seen:?}"));
        }
        seen.insert(generation, number);
        self.learns(instance, session, number);
        self.stored_by_now(session, number);
    }

    /// A request that began then was told to come again. Where nothing is wrong with the store it must not be
    /// so with tokens that somebody else has stored meanwhile, and long enough ago.
    pub(crate) fn put_off(&mut self, instance: usize, session: usize, began: Instant) {
        let Faults { store, store_slow, outage, .. } = self.faults;
        let is_well = [store, store_slow, outage].iter().all(|fault| *fault == 0.0);
        // What is stored there may be the old tokens, of which the refresh token was taken away.
        let is_newer = self.rules != Rules::Strict && !self.back.contains_key(&session);
        let is_its_own =
            self.claims.contains(&(instance, session)) || self.stood_still_since(instance, began);
        let stored = self.rows.get(&session).and_then(|rows| rows.last()).map(|(_, written)| *written);
        let has_lain_there = stored.is_some_and(|then| then > began && then.elapsed() > HEARD_OF);
        if is_well && is_newer && !is_its_own && has_lain_there {
            self.violations
                .push(format!("session {session}: its new tokens were not seen by who waited for them"));
        }
    }

    /// A request was told that the session is over.
    pub(crate) fn signed_out(&mut self, session: usize) {
        let newest = self.issuer[session].newest;
        if !self.issuer[session].lives || self.left.contains(&session) || self.evicted.contains(&session) {
            return;
        }
        let is_excused = [Some(newest), newest.checked_sub(1)]
            .into_iter()
            .flatten()
            .any(|newest| self.excused.contains(&(session, newest)));
        if self.rules == Rules::Strict && is_excused {
            self.tally.lost += 1;
            self.left.insert(session);
            return;
        }
        self.violations.push(format!("session {session} is over, and the issuer still holds it"));
    }
}
