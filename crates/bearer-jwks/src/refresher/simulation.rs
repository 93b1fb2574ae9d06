//! Generated histories of an issuer and its clients, on paused time: after each step the refresher must have
//! done what a [model](model::Model) of it says, no more, no less and no later.
//!
//! Of each request: it is decided by the set of the last successful fetch; one whose key is there waits for
//! nothing; any other is answered when the fetch that it waits for ends, or one more where that began before
//! it came, and within 2 seconds. Of each fetch: it is the only one, and it is due by the schedule, or paid
//! for from the bucket of its kind by a request of this very moment. And what is due does happen.
//!
//! A failure prints the shortest history that shows it. `PROPTEST_CASES=10000` looks longer.

mod model;
mod steps;
mod world;

use self::{
    model::{Model, Wait},
    steps::{Change, Kind, Mode, Step, steps},
    world::{World, jwks},
};
use super::*;
use proptest::prelude::*;
use std::time::Duration;
use tokio::{
    task::{AbortHandle, yield_now},
    time::{sleep, sleep_until},
};
use tower_bearer::{
    Credential, Issuer, JwtVerifier, Presented, Reason, Verification, Verify, keys::MissKind,
};

const ISS: &str = "https://issuer.example";
const AUD: &str = "https://api.example";

/// A service in this world.
struct Simulation {
    world: World,
    verifier: JwtVerifier,
    status: watch::Receiver<Status>,
}

impl Simulation {
    /// Starts, from a seed of so many minutes if there is one.
    fn start(schedule: Schedule, seed: Option<u64>) -> Self {
        let world = World::new(schedule);
        let (refresher, keys) = Refresher::new(world.clone());
        let mut refresher = refresher.schedule(schedule);
        if let Some(minutes) = seed {
            let age = Duration::from_secs(minutes * 60);
            let mut state = world.state();
            let keys = state.keys.clone();
            refresher = refresher.seed(&Seed::new(jwks(&keys), SystemTime::now() - age));
            state.model.seeded(keys, age, Instant::now());
            // What a seed is for.
            state.mode = Mode::Status(500, None);
        }
        let status = refresher.status();
        let verifier = JwtVerifier::new([Issuer::new(ISS, AUD).keys(keys)]).unwrap();
        tokio::spawn(refresher.run());
        Self { world, verifier, status }
    }

    async fn step(&self, step: Step) {
        match step {
            Step::Keys(change) => self.world.state().change(change),
            Step::Answers(mode, delay) => {
                let mut state = self.world.state();
                (state.mode, state.delay) = (mode, Duration::from_millis(delay));
            }
            Step::Requests(kind, count) => {
                for _ in 0..count {
                    self.request(kind);
                }
            }
            Step::Cancelled(kind, after) => {
                if let Some((number, request)) = self.request(kind) {
                    sleep(Duration::from_millis(after)).await;
                    // A fetch that ends in this very moment still finds the request.
                    self.settle().await;
                    request.abort();
                    self.world.state().model.cancelled(number);
                }
            }
            Step::Passes(millis) => sleep(Duration::from_millis(millis)).await,
            Step::Sleeps(seconds) => {
                let duration = Duration::from_secs(seconds);
                self.world.state().model.slept(Instant::now() + duration);
                tokio::time::advance(duration).await;
            }
            Step::RotationUnderFlood => self.rotation_under_flood().await,
            Step::FloodAndNothingNew => self.flood_and_nothing_new().await,
            Step::AnswerMeetsRequest => self.answer_meets_request().await,
        }
        self.settle().await;
    }

    /// A request that arrives now; what it was answered is checked when it is. `Some` while it waits.
    fn request(&self, kind: Kind) -> Option<(usize, AbortHandle)> {
        let now = Instant::now();
        let (token, compact) = self.world.state().token(kind)?;
        let (before, generation) = {
            let model = &self.world.state().model;
            model.is_stale(now)?;
            model.is_silent(now)?;
            (model.verdict(&token, now), model.generation)
        };
        let missing = Model::missing(&token, before);
        let request = ::http::Request::new(());
        let credential = Credential::new(&compact).unwrap();
        match self.verifier.verify(&Presented::new(credential, &request, SystemTime::now())) {
            Verification::Done(result) => {
                let result = result.map(drop).map_err(|error| error.reason());
                let mut state = self.world.state();
                let may_be =
                    missing.is_none_or(|kind| state.model.may_keep_back(kind, token.kid.as_deref(), now));
                if result != before || !may_be {
                    state
                        .model
                        .violations
                        .push(format!("{token:?} is {before:?} and was {result:?} at once"));
                }
                None
            }
            Verification::Pending(verifying) => {
                let mut state = self.world.state();
                let wait =
                    missing.map_or(Wait::Not, |kind| state.model.miss(kind, token.kid.as_deref(), now));
                if missing.is_none() {
                    state.model.violations.push(format!("{token:?} is {before:?} and had to wait"));
                }
                let kind = missing.unwrap_or(MissKind::UnknownKey);
                let number = state.model.waits(wait, kind, token.kid.as_deref(), now);
                let world = self.world.clone();
                let answer = async move {
                    let result = verifying.await.map(drop).map_err(|error| error.reason());
                    let now = Instant::now();
                    let model = &mut world.state().model;
                    let expected = match model.is_stale(now) {
                        _ if model.generation != generation => model.verdict(&token, now),
                        Some(false) => before,
                        // The same keys, too old by now: which comes first, where both are due, is open.
                        _ if result == Err(Reason::StaleKeys) => result,
                        _ => before,
                    };
                    if result != expected {
                        model.violations.push(format!("{token:?} is {expected:?} and was {result:?}"));
                    }
                    model.answered(number, now);
                };
                Some((number, tokio::spawn(answer).abort_handle()))
            }
        }
    }

    /// A healthy issuer's new key is accepted within the refill of the bucket and a fetch, whatever else
    /// comes in.
    async fn rotation_under_flood(&self) {
        {
            let mut state = self.world.state();
            (state.mode, state.delay) =
                (Mode::Set { tagged: true, max_age: None }, Duration::from_millis(700));
            state.change(Change::Add);
        }
        // It is known to be healthy when it has answered.
        while !self.world.state().model.is_healthy() {
            sleep(Duration::from_secs(1)).await;
            self.settle().await;
        }
        self.world.state().change(Change::ReplaceAll);
        let new = self.world.state().keys[0].kid.clone();
        let rotated = Instant::now();
        let Schedule { refill, deadline, .. } = Schedule::default();
        while self.world.state().model.held.iter().all(|key| key.kid != new) {
            if rotated.elapsed() > refill + deadline {
                self.world.state().model.violations.push("a flood kept a new key out".to_owned());
                return;
            }
            self.request(Kind::FreshKid);
            self.request(Kind::Current(0));
            self.request(Kind::ForgedSignature(0));
            sleep(Duration::from_millis(400)).await;
            self.settle().await;
        }
        self.request(Kind::Current(0));
    }

    async fn flood_and_nothing_new(&self) {
        for (mode, delay, forgeries) in
            [(Mode::Stuck, 1, 1), (Mode::Status(500, None), 1, 3), (Mode::Stuck, 1500, 40)]
        {
            {
                let mut state = self.world.state();
                (state.mode, state.delay) = (mode, Duration::from_millis(delay));
            }
            for _ in 0..forgeries {
                self.request(Kind::FreshKid);
                sleep(Duration::from_millis(250)).await;
                self.settle().await;
            }
        }
    }

    /// Which of the two the refresher looks at first is open; that it fetches once more, if it can pay, is
    /// not.
    async fn answer_meets_request(&self) {
        {
            let mut state = self.world.state();
            (state.mode, state.delay) = (Mode::Set { tagged: false, max_age: None }, Duration::from_secs(1));
            // An empty set is no good answer.
            if state.keys.is_empty() {
                state.change(Change::Add);
            }
        }
        // A fetch that was under way before has another answer.
        while self.world.state().model.is_fetching() {
            sleep(Duration::from_secs(1)).await;
            self.settle().await;
        }
        while !self.world.state().model.is_fetching() {
            let due = self.status.borrow().next_fetch.expect("it runs");
            sleep_until(due + Duration::from_millis(2)).await;
            self.settle().await;
        }
        let newest = {
            let mut state = self.world.state();
            state.change(Change::Add);
            state.arrive.notify_waiters();
            state.keys.len() - 1
        };
        self.request(Kind::Current(newest));
    }

    /// Lets everything happen that can happen now, and looks whether it was what had to.
    async fn settle(&self) {
        for _ in 0..64 {
            yield_now().await;
        }
        let status = self.status.borrow().clone();
        self.world.state().model.settled(&status, Instant::now());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_goes_as_the_model_says(
        steps in steps(),
        seed in prop_oneof![4 => Just(None), 1 => (0_u64..350).prop_map(Some)],
        max_stale in prop_oneof![4 => Just(Schedule::default().max_stale), 1 => Just(Duration::MAX)],
        dice in any::<u64>(),
    ) {
        fastrand::seed(dice);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let simulation = Simulation::start(Schedule { max_stale, ..Schedule::default() }, seed);
            simulation.settle().await;
            for (number, step) in steps.iter().enumerate() {
                simulation.step(*step).await;
                let violations = &simulation.world.state().model.violations;
                prop_assert!(violations.is_empty(), "step {} ({:?}): {:#?}", number, step, violations);
            }
            simulation.world.state().is_over = true;
            Ok(())
        })?;
    }
}
