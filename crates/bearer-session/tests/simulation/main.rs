//! Random histories of several instances, their clients, their store and an issuer, each from one seed, on paused time.
//!
//! Whatever happens: at a strict issuer no refresh token is presented twice; at Supabase Auth none that is two or more
//! behind; the store never goes back; no tokens are handed out before they are stored; no request waits longer than it
//! may; nobody is signed out whose session the issuer still holds, unless a strict issuer's answer was lost; and when
//! all is well again, every session goes on.
//!
//! A failure prints its seed. `SEED=7 cargo test --test simulation` runs that one, `SEEDS=100000` many.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod issuer;
mod store;
mod world;

use self::{
    issuer::{Endpoint, token_set},
    store::Link,
    world::{Faults, World},
};
use bearer_session::{
    Keyring, SessionErrorKind, SessionId, Sessions,
    endpoint::{OnBehalf, SignOutScope},
    store::MemoryStore,
};
use std::{
    env,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

const SESSIONS: usize = 2;
const INSTANCES: usize = 3;

/// How long a request may take: [`wait`](bearer_session::SessionsBuilder::wait), and a tick of the clock.
const BOUND: Duration = Duration::from_millis(15_010);

/// How long a history is: as many bursts of requests.
const STEPS: usize = 30;

#[derive(Default)]
struct Tally {
    exchanges: usize,
    lost: usize,
}

struct Simulation {
    world: World,
    store: MemoryStore,
    instances: Vec<(usize, Sessions)>,
    born: usize,
    ids: Vec<SessionId>,
}

impl Simulation {
    async fn new(seed: u64) -> Self {
        let world = World::new(seed, SESSIONS);
        let mut simulation =
            Self { world, store: MemoryStore::new(100), instances: Vec::new(), born: 0, ids: Vec::new() };
        for _ in 0..INSTANCES {
            let instance = simulation.bear();
            simulation.instances.push(instance);
        }
        for session in 0..SESSIONS {
            let expires_in = simulation.world.with(|state| state.expires_in);
            let first = &simulation.instances[0].1;
            let id = first.create(token_set(session, 0, expires_in)).await.unwrap();
            simulation.world.with(|state| state.keys.insert(id.key(), session));
            simulation.ids.push(id);
        }
        simulation
    }

    fn bear(&mut self) -> (usize, Sessions) {
        self.born += 1;
        let (world, instance) = (self.world.clone(), self.born);
        let store = Link { world: world.clone(), instance, store: self.store.clone() };
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

    /// Some requests at once, wherever they end up; and then time passes.
    async fn requests(&mut self, running: &mut JoinSet<()>) {
        self.restart();
        let requests = self.world.with(|state| state.rng.usize(1..6));
        for _ in 0..requests {
            let (session, at, forced) = self.world.with(|state| {
                (state.rng.usize(..SESSIONS), state.rng.usize(..INSTANCES), state.rng.u8(..20) == 0)
            });
            let (instance, sessions) = self.instances[at].clone();
            running.spawn(request(
                self.world.clone(),
                instance,
                sessions,
                session,
                self.ids[session].clone(),
                forced,
            ));
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
                (0..SESSIONS).for_each(|session| state.excuse(session));
            }
        });
        if self.world.with(|state| state.rng.u16(..400) == 0) {
            let session = self.world.with(|state| state.rng.usize(..SESSIONS));
            self.world.with(|state| state.left.insert(session));
            let (_, sessions) = self.instances[0].clone();
            let signing_out = sessions.sign_out(&self.ids[session], SignOutScope::Local, OnBehalf::default());
            let _ = timeout(Duration::from_secs(60), signing_out).await;
        }
    }

    /// All is well again: whoever is not signed out for a reason gets a token.
    async fn recovers(&mut self) {
        self.world.with(|state| (state.faults, state.outage) = (Faults::default(), None));
        self.restart();
        // As long as the longest pause, and the lease of whoever crashed last.
        sleep(Duration::from_secs(400)).await;
        for session in 0..SESSIONS {
            for at in 0..INSTANCES {
                let access = self.instances[at].1.access(&self.ids[session], OnBehalf::default()).await;
                let world = &self.world;
                match access {
                    Ok(access) => world.with(|state| {
                        state.handed_out(session, access.generation(), access.token().expose());
                    }),
                    Err(error) if error.kind() == SessionErrorKind::SignedOut => {
                        world.with(|state| state.signed_out(session));
                    }
                    Err(_) => world.with(|state| {
                        state.violations.push(format!("session {session} does not recover"));
                    }),
                }
            }
        }
    }
}

async fn request(
    world: World,
    instance: usize,
    sessions: Sessions,
    session: usize,
    id: SessionId,
    forced: bool,
) {
    let began = Instant::now();
    let asked = async {
        if forced {
            sessions.refresh(&id, OnBehalf::default()).await
        } else {
            sessions.access(&id, OnBehalf::default()).await
        }
    };
    let answer = timeout(Duration::from_secs(300), asked).await;
    world.with(|state| {
        // Nobody hears what a crashed process says.
        if state.dead.contains(&instance) {
            return;
        }
        if began.elapsed() > BOUND {
            state.violations.push(format!("session {session}: a request took {:?}", began.elapsed()));
        }
        match answer {
            Ok(Ok(access)) => {
                if access.expires_in().is_zero() {
                    state.violations.push(format!("session {session}: an expired token was handed out"));
                }
                state.handed_out(session, access.generation(), access.token().expose());
            }
            Ok(Err(error)) if error.kind() == SessionErrorKind::SignedOut => state.signed_out(session),
            Ok(Err(_)) | Err(_) => {}
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
    simulation.world.with(|state| {
        let tally = Tally { exchanges: state.exchanges, lost: state.lost };
        (tally, std::mem::take(&mut state.violations))
    })
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
    let (next, exchanges, lost) = (AtomicU64::new(first), AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut failures = Vec::new();
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= first + count {
                return failures;
            }
            let (tally, violations) = run(seed);
            exchanges.fetch_add(tally.exchanges, Relaxed);
            lost.fetch_add(tally.lost, Relaxed);
            failures.extend(violations.first().map(|first| format!("SEED={seed}: {first}")));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut failures = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    failures.sort();
    println!(
        "{count} histories, {} exchanges, {} sessions lost to a strict issuer, {:?}",
        exchanges.into_inner(),
        lost.into_inner(),
        began.elapsed()
    );
    assert!(
        failures.is_empty(),
        "{} of {count} fail:\n{}",
        failures.len(),
        failures[..failures.len().min(20)].join("\n")
    );
}
