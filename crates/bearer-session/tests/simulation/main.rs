//! Random histories of several instances, their clients, their store and an issuer, each from one seed, on paused time.
//!
//! Whatever happens: at a strict issuer no refresh token is presented twice; at Supabase Auth none that is two or more
//! behind; none is presented long before it has to be; the store never goes back; no tokens are handed out
//! before they are stored, and none by an instance that knows that it was refused; no request waits longer than it may, nor for tokens that lie in the store; nobody
//! is signed out whose session the issuer still holds, unless a strict issuer's answer was lost; and when all
//! is well again, every session goes on.
//!
//! A failure prints its seed. `SEED=7 cargo test --test simulation` runs that one, `SEEDS=100000` many; with `TRACE=1`
//! and `-- --nocapture` it tells the history.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod issuer;
mod shelves;
mod store;
mod world;

use self::{
    issuer::{Endpoint, token_set},
    shelves::Shelves,
    store::Link,
    world::{Faults, Tally, World},
};
use bearer_session::{
    Keyring, SessionErrorKind, Sessions,
    endpoint::{OnBehalf, SignOutScope},
    store::Key,
};
use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

const SESSIONS: usize = 2;
/// This one has a name of its own.
const OPAQUE: usize = 0;
/// This one came with a cookie of another library.
const ADOPTED: usize = 1;

const INSTANCES: usize = 3;

/// How long a request may take: to find the name, [`wait`](bearer_session::SessionsBuilder::wait), and a tick of the
/// clock.
const BOUND: Duration = Duration::from_millis(4_000 + 15_010);

/// How long it may take to shut down: as long as a [lease](bearer_session::SessionsBuilder::lease), and a
/// tick.
const CLOSED_IN: Duration = Duration::from_millis(30_010);

/// How long a history is: as many bursts of requests.
const STEPS: usize = 30;

struct Simulation {
    world: World,
    shelves: Shelves,
    instances: Vec<(usize, Sessions)>,
    born: usize,
    keys: Vec<Key>,
}

impl Simulation {
    async fn new(seed: u64) -> Self {
        let world = World::new(seed, SESSIONS);
        let mut simulation =
            Self { world, shelves: Shelves::new(), instances: Vec::new(), born: 0, keys: Vec::new() };
        for _ in 0..INSTANCES {
            let instance = simulation.bear();
            simulation.instances.push(instance);
        }
        let faults = simulation.world.with(|state| std::mem::take(&mut state.faults));
        for session in 0..SESSIONS {
            let tokens = simulation.world.with(|state| state.mint(session, 0));
            let first = &simulation.instances[0].1;
            // Some sessions have a name of their own, others are found by their refresh tokens.
            let key = match session {
                ADOPTED => first.adopt(tokens).await.unwrap(),
                _ => first.create(tokens).await.unwrap().key(),
            };
            simulation.world.with(|state| state.begun(session, key));
            simulation.keys.push(key);
        }
        simulation.world.with(|state| state.faults = faults);
        simulation
    }

    fn bear(&mut self) -> (usize, Sessions) {
        self.born += 1;
        let (world, instance) = (self.world.clone(), self.born);
        let store =
            Link { world: world.clone(), instance, shelves: self.shelves.clone(), unheard: Arc::default() };
        let keyring = Keyring::new(&[1; 32]);
        (instance, Sessions::builder(Endpoint { world, instance }, store, keyring).build())
    }

    /// A new process for each that has crashed.
    fn restart(&mut self) {
        for at in 0..self.instances.len() {
            let instance = self.instances[at].0;
            if self.world.with(|state| state.dead.contains(&instance)) {
                self.instances[at] = self.bear();
            }
        }
    }

    /// One is shut down in order, as for a new version: that costs nothing, and excuses nothing.
    async fn deploy(&mut self) {
        let at = self.world.with(|state| state.rng.usize(..INSTANCES));
        let (instance, sessions) = self.instances[at].clone();
        let began = Instant::now();
        let closed = timeout(Duration::from_secs(300), sessions.close()).await;
        self.world.with(|state| {
            let has_crashed = state.dead.contains(&instance) || state.stood_still_since(instance, began);
            if (closed.is_err() || began.elapsed() > CLOSED_IN) && !has_crashed {
                state.violations.push(format!("it took {:?} to shut down", began.elapsed()));
            }
            state.dead.insert(instance);
        });
    }

    /// Some requests at once, wherever they end up; and then time passes.
    async fn requests(&mut self, running: &mut JoinSet<()>) {
        self.restart();
        let requests = self.world.with(|state| state.rng.usize(1..6));
        for _ in 0..requests {
            let (session, at, forced, after) = self.world.with(|state| {
                let (session, at) = (state.rng.usize(..SESSIONS), state.rng.usize(..INSTANCES));
                let forced = state.rng.u8(..20) == 0;
                if forced {
                    state.wants_new_tokens(session);
                }
                // Some come while the others are under way.
                let after = if state.rng.bool() { 0 } else { state.rng.u64(0..100) };
                (session, at, forced, Duration::from_millis(after))
            });
            let (instance, sessions) = self.instances[at].clone();
            let (world, key) = (self.world.clone(), self.keys[session]);
            running.spawn(async move {
                sleep(after).await;
                request(world, instance, sessions, session, key, forced).await;
            });
        }
        if self.world.with(|state| state.rng.u8(..20) == 0) {
            // While some of them are under way.
            sleep(Duration::from_millis(self.world.with(|state| state.rng.u64(0..150)))).await;
            self.deploy().await;
        }
        let pause = self.world.with(|state| {
            let longest = state.expires_in.as_millis().try_into().unwrap_or(u64::MAX) / 4;
            state.rng.u64(0..longest)
        });
        sleep(Duration::from_millis(pause)).await;
        while running.try_join_next().is_some() {}
    }

    /// What happens without anybody asking.
    async fn weather(&mut self) {
        let (killed, outage) = self.world.with(|state| {
            let Faults { killed, outage, .. } = state.faults;
            (state.rng.f64() < killed, state.rng.f64() < outage)
        });
        self.world.with(|state| {
            let session = state.rng.usize(..SESSIONS);
            if killed {
                state.issuer[session].lives = false;
            }
            if outage {
                let whose = state.rng.bool().then(|| state.rng.usize(1..=INSTANCES));
                let until = Instant::now() + Duration::from_secs(state.rng.u64(1..60));
                state.outage = Some((until, whose));
            }
        });
        self.store_fails().await;
        if self.world.with(|state| state.rng.u16(..400) == 0) {
            let session = self.world.with(|state| state.rng.usize(..SESSIONS));
            self.world.with(|state| state.left.insert(session));
            let (_, sessions) = self.instances[0].clone();
            let signing_out = sessions.sign_out(self.keys[session], SignOutScope::Local, OnBehalf::default());
            let _ = timeout(Duration::from_secs(60), signing_out).await;
        }
    }

    /// The store is put back to an earlier time, or forgets: the row of the session that has a name of its own. For one
    /// that is found by its tokens, any tab then brings an old one as if it were the first.
    async fn store_fails(&mut self) {
        let key = self.keys[OPAQUE];
        let (backup, evicted) = self.world.with(|state| {
            let Faults { back, evicted, .. } = state.faults;
            let (back, evicted) = (state.rng.f64() < back, state.rng.f64() < evicted);
            let backup =
                (back && !state.evicted.contains(&OPAQUE) && !state.left.contains(&OPAQUE)).then(|| {
                    let generations = state.rng.usize(1..4);
                    (state.goes_back(OPAQUE, generations), state.rng.bool())
                });
            if evicted && state.evicted.insert(OPAQUE) {
                state.tally.evicted += 1;
            }
            (backup, evicted)
        });
        if let Some((written, is_claimed)) = backup {
            self.shelves.put_back(&self.world, &key, &written, is_claimed).await;
        }
        if evicted {
            self.shelves.evict(&key);
        }
    }

    /// All is well again: whoever is not signed out for a reason gets a token.
    async fn recovers(&mut self) {
        self.world.with(|state| (state.faults, state.outage) = (Faults::default(), None));
        self.restart();
        // As long as the longest pause, and the lease of whoever crashed last.
        sleep(Duration::from_secs(400)).await;
        // Whoever finds that the store went back brings it forward, which takes a moment.
        for session in 0..SESSIONS {
            for (_, sessions) in &self.instances {
                let _ = sessions.access(self.keys[session], OnBehalf::default()).await;
            }
        }
        sleep(Duration::from_secs(15)).await;
        for session in 0..SESSIONS {
            for at in 0..INSTANCES {
                let access = self.instances[at].1.access(self.keys[session], OnBehalf::default()).await;
                let world = &self.world;
                match access {
                    Ok(access) => world.with(|state| {
                        if state.evicted.contains(&session) {
                            state.violations.push(format!("session {session} outlives its row"));
                        }
                        let instance = self.instances[at].0;
                        state.handed_out(instance, session, access.generation(), access.token().expose());
                    }),
                    Err(error) if error.kind() == SessionErrorKind::SignedOut => {
                        world.with(|state| state.signed_out(session));
                    }
                    Err(error) => world.with(|state| {
                        state.violations.push(format!("session {session} does not recover: {error:?}"));
                    }),
                }
            }
        }
    }
}

async fn request(world: World, instance: usize, sessions: Sessions, session: usize, key: Key, forced: bool) {
    let began = Instant::now();
    let asked = async {
        if session == ADOPTED {
            // A tab brings any cookie that it ever got.
            let cookie = world.with(|state| state.cookie(session));
            let adopted = sessions.adopt(token_set(session, cookie, usize::MAX, Duration::ZERO)).await?;
            world.with(|state| state.adopted(session, cookie, adopted));
        }
        if forced {
            sessions.refresh(key, OnBehalf::default()).await
        } else {
            sessions.access(key, OnBehalf::default()).await
        }
    };
    let answer = timeout(Duration::from_secs(300), asked).await;
    world.with(|state| {
        // Nobody hears what a crashed process says.
        if state.dead.contains(&instance) {
            return;
        }
        if began.elapsed() > BOUND && !state.stood_still_since(instance, began) {
            state.violations.push(format!("session {session}: a request took {:?}", began.elapsed()));
        }
        match answer {
            Ok(Ok(access)) => {
                state.handed_out(instance, session, access.generation(), access.token().expose());
                state.knows_better(instance, session, access.generation(), began);
                if state.rng.u8(..20) == 0 && sessions.refused(&access, OnBehalf::default()) {
                    state.refused(instance, session, access.generation());
                }
            }
            Ok(Err(error)) if error.kind() == SessionErrorKind::SignedOut => state.signed_out(session),
            Ok(Err(_)) => state.put_off(instance, session, began),
            Err(_) => {}
        }
    });
}

async fn simulate(seed: u64) -> (Tally, Vec<String>) {
    let mut simulation = Simulation::new(seed).await;
    let mut running = JoinSet::new();
    for _ in 0..STEPS {
        simulation.requests(&mut running).await;
        simulation.weather().await;
    }
    while running.join_next().await.is_some() {}
    simulation.recovers().await;
    simulation.world.with(|state| (state.tally, std::mem::take(&mut state.violations)))
}

fn run(seed: u64) -> (Tally, Vec<String>) {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(simulate(seed))
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

#[test]
fn no_history_breaks_the_rules() {
    let (first, count) = match number("SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("SEEDS").unwrap_or(2000)),
    };
    let began = std::time::Instant::now();
    let next = AtomicU64::new(first);
    let work = || {
        let (mut all, mut failures) = (Tally::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= first + count {
                return (all, failures);
            }
            let (tally, violations) = run(seed);
            all.add(tally);
            failures.extend(violations.first().map(|first| format!("SEED={seed}: {first}")));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (mut all, mut failures) = (Tally::default(), Vec::new());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let (tally, failed) = worker.join().unwrap();
            all.add(tally);
            failures.extend(failed);
        }
    });
    failures.sort();
    println!("{count} histories in {:?}: {all:?}", began.elapsed());
    assert!(
        failures.is_empty(),
        "{} of {count} fail:\n{}",
        failures.len(),
        failures[..failures.len().min(20)].join("\n")
    );
}
