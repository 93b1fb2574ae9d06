//! Generated histories of an issuer and its clients, on paused time: after each step the refresher must have done what
//! a [model](model::Model) of it says, no more, no less and no later.
//!
//! Of each request: it is decided by the set of the last successful fetch; one whose key is there waits for nothing;
//! any other is answered when the fetch that it waits for ends, or one more where that began before it came, and within
//! 2 seconds. Of each fetch: it is the only
//! one, and it is due by the schedule, or paid for from the bucket of its kind by a request of this very moment. And
//! what is due does happen.
//!
//! A failure prints the shortest history that shows it. `PROPTEST_CASES=10000` looks longer.

mod model;

use self::model::{Claimed, IssuerKey, Model, Outcome, Wait};
use super::*;
use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
use proptest::{collection::vec, prelude::*};
use std::{
    future::pending,
    sync::{Arc, LazyLock, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    sync::Notify,
    task::{AbortHandle, yield_now},
    time::{sleep, sleep_until},
};
use tower_bearer::{
    Credential, Issuer, JwtVerifier, Presented, Reason, Verification, Verify, keys::MissKind,
};

const ISS: &str = "https://issuer.example";
const AUD: &str = "https://api.example";

/// The most keys of the issuer: as many as are tried on a token without `kid`.
const MOST_KEYS: usize = 4;

/// Names that forgers are fond of.
const FORGED_KIDS: usize = 2;

/// Key pairs, made once for all histories. The last is the strangers'.
static MATERIAL: LazyLock<Vec<SigningKey>> =
    LazyLock::new(|| std::iter::repeat_with(|| SigningKey::generate(Algorithm::EdDSA)).take(24).collect());

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The issuer changes its keys.
    Keys(Change),
    /// The issuer answers like this from now on, after so many milliseconds.
    Answers(Mode, u64),
    /// As many requests at once.
    Requests(Kind, usize),
    /// A request whose client leaves after so many milliseconds.
    Cancelled(Kind, u64),
    /// Milliseconds pass.
    Passes(u64),
    /// The machine sleeps for so many seconds: no timer fires before its end.
    Sleeps(u64),
    /// Forgeries come in, and a healthy issuer replaces its keys.
    RotationUnderFlood,
    /// Forgeries use up the bucket while the issuer is down, and go on while it says that nothing has changed.
    FloodAndNothingNew,
    /// The answer to a scheduled fetch, and the first token of a key that is younger than that answer, come in the
    /// same moment.
    AnswerMeetsRequest,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Add,
    ReplaceAll,
    Remove(usize),
    /// New key material under an old name.
    Renew(usize),
    /// A second key under a name that is taken.
    Twin(usize),
    /// A new key under a name that tokens may have named before.
    Late(usize),
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    /// The set; with an `ETag`, and so 304 to whoever has it.
    Set {
        tagged: bool,
        max_age: Option<u64>,
    },
    /// 304 to every conditional request, whatever has changed.
    Stuck,
    /// 304, whether it was asked for or not.
    Rogue,
    Status(u16, Option<u64>),
    Garbage,
    Empty,
    Hang,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Of a key that the issuer publishes now, whether it was fetched or not.
    Current(usize),
    /// Of a key that the issuer published once.
    Former(usize),
    /// Under a `kid` that is nobody's, one of a few.
    ForgedKid(usize),
    /// Under a `kid` that was never seen before.
    FreshKid,
    /// Under the `kid` of a held key.
    ForgedSignature(usize),
    /// Without `kid`, of a held key.
    Nameless(usize),
    NamelessForged,
    Expired(usize),
}

/// The issuer as it is, and the model that hears of everything.
#[derive(Clone)]
struct World(Arc<Mutex<State>>);

struct State {
    model: Model,
    mode: Mode,
    delay: Duration,
    keys: Vec<IssuerKey>,
    former: Vec<IssuerKey>,
    /// Counts the changes of the keys.
    version: usize,
    made: usize,
    forged: usize,
    is_over: bool,
    /// Lets an answer that is under way arrive before its delay is over.
    arrive: Arc<Notify>,
}

impl World {
    fn new(schedule: Schedule) -> Self {
        let model = Model::new(schedule, Instant::now());
        let world = Self(Arc::new(Mutex::new(State {
            model,
            mode: Mode::Set { tagged: false, max_age: None },
            delay: Duration::from_millis(1),
            keys: Vec::new(),
            former: Vec::new(),
            version: 0,
            made: 0,
            forged: 0,
            is_over: false,
            arrive: Arc::default(),
        })));
        world.state().change(Change::Add);
        world
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn make(&mut self, kid: Option<String>) -> IssuerKey {
        self.made += 1;
        let kid = kid.unwrap_or_else(|| format!("key-{}", self.made));
        let material = self.made % (MATERIAL.len() - 1);
        let key = IssuerKey { signing: MATERIAL[material].clone().kid(&kid), kid, material };
        self.former.push(key.clone());
        key
    }

    fn change(&mut self, change: Change) {
        self.version += 1;
        match change {
            Change::Add => {
                let key = self.make(None);
                self.keys.push(key);
            }
            Change::ReplaceAll => self.keys = vec![self.make(None)],
            Change::Late(at) => {
                let key = self.make(Some(forged_kid(at)));
                self.keys.push(key);
            }
            Change::Remove(at) if !self.keys.is_empty() => drop(self.keys.remove(at % self.keys.len())),
            Change::Renew(at) if !self.keys.is_empty() => {
                let at = at % self.keys.len();
                self.keys[at] = self.make(Some(self.keys[at].kid.clone()));
            }
            Change::Twin(at) if !self.keys.is_empty() => {
                let key = self.make(Some(self.keys[at % self.keys.len()].kid.clone()));
                self.keys.push(key);
            }
            Change::Remove(_) | Change::Renew(_) | Change::Twin(_) => {}
        }
        if self.keys.len() > MOST_KEYS {
            self.keys.remove(0);
        }
    }

    /// The answer to a request that arrives now, and what it means; `None` for none at all.
    fn answer(&self, etag: Option<&str>) -> Option<(Result<Fetched, FetchError>, Outcome)> {
        let full = |tag: Option<String>, max_age: Option<u64>| {
            let max_age = max_age.map(Duration::from_secs);
            let fetched = Fetched { max_age, etag: tag.clone(), ..Fetched::new(jwks(&self.keys)) };
            Some((Ok(fetched), Outcome::Published { keys: self.keys.clone(), etag: tag, max_age }))
        };
        let unchanged = |max_age: Option<u64>| {
            let max_age = max_age.map(Duration::from_secs);
            Some((Ok(Fetched { max_age, ..Fetched::default() }), Outcome::Unchanged { max_age }))
        };
        let failed = |result| Some((result, Outcome::Failed { retry_after: None }));
        let tag = format!("\"{}\"", self.version);
        match self.mode {
            Mode::Set { tagged: true, max_age } if etag == Some(&*tag) => unchanged(max_age),
            Mode::Set { tagged, max_age } => full(tagged.then_some(tag), max_age),
            Mode::Stuck if etag.is_some() => unchanged(None),
            Mode::Stuck => full(Some("\"stuck\"".to_owned()), None),
            Mode::Rogue => unchanged(None),
            Mode::Status(status, seconds) => {
                let asked = seconds.map(Duration::from_secs);
                let heard = asked.filter(|_| matches!(status, 429 | 503));
                Some((
                    Err(FetchError::Status { status, retry_after: asked }),
                    Outcome::Failed { retry_after: heard },
                ))
            }
            Mode::Garbage => failed(Ok(Fetched::new("<html>"))),
            Mode::Empty => failed(Ok(Fetched::new(r#"{"keys":[]}"#))),
            Mode::Hang => None,
        }
    }

    /// A token of this kind, or `None` where there is no such key.
    fn token(&mut self, kind: Kind) -> Option<(Claimed, String)> {
        let pick = |keys: &[IssuerKey], at: usize| keys.get(at.checked_rem(keys.len())?).cloned();
        let claimed =
            |kid: Option<&str>, signer| Claimed { kid: kid.map(str::to_owned), signer, expired: false };
        let of = |key: &IssuerKey| TokenBuilder::new(&key.signing, ISS, AUD);
        let forged = |kid: &str| {
            let stranger = &MATERIAL[MATERIAL.len() - 1];
            (claimed(Some(kid), None), TokenBuilder::new(stranger, ISS, AUD).header("kid", kid).sign())
        };
        Some(match kind {
            Kind::Current(at) => {
                let key = pick(&self.keys, at)?;
                (claimed(Some(&key.kid), Some(key.material)), of(&key).sign())
            }
            Kind::Former(at) => {
                let key = pick(&self.former, at)?;
                (claimed(Some(&key.kid), Some(key.material)), of(&key).sign())
            }
            Kind::ForgedKid(at) => forged(&forged_kid(at)),
            Kind::FreshKid => {
                self.forged += 1;
                forged(&format!("fresh-{}", self.forged))
            }
            Kind::ForgedSignature(at) => forged(&pick(&self.model.held, at)?.kid),
            Kind::Nameless(at) => {
                let key = pick(&self.model.held, at)?;
                (claimed(None, Some(key.material)), of(&key).without_header("kid").sign())
            }
            Kind::NamelessForged => {
                let stranger = MATERIAL[MATERIAL.len() - 1].clone().without_kid();
                (claimed(None, None), TokenBuilder::new(&stranger, ISS, AUD).sign())
            }
            Kind::Expired(at) => {
                let key = pick(&self.keys, at)?;
                let claimed = Claimed { expired: true, ..claimed(Some(&key.kid), Some(key.material)) };
                (claimed, of(&key).expired().sign())
            }
        })
    }
}

impl Fetch for World {
    async fn fetch(&mut self, etag: Option<&str>) -> Result<Fetched, FetchError> {
        // What a slow issuer answers is from before the delay.
        let (answer, delay, arrive) = {
            let mut state = self.state();
            state.model.fetch_started(etag, Instant::now());
            (state.answer(etag), state.delay, Arc::clone(&state.arrive))
        };
        let cut = Cut(self);
        let Some((result, outcome)) = answer else { return pending().await };
        tokio::select! {
            () = sleep(delay) => {}
            () = arrive.notified() => {}
        }
        std::mem::forget(cut);
        self.state().model.fetch_ended(outcome, Instant::now());
        result
    }
}

/// Tells the model of a fetch that was given up.
struct Cut<'a>(&'a World);

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if !state.is_over {
            state.model.fetch_cut(Instant::now());
        }
    }
}

fn forged_kid(number: usize) -> String {
    format!("forged-{number}")
}

fn jwks(keys: &[IssuerKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.signing.public_jwk()).collect();
    serde_json::json!({ "keys": keys }).to_string()
}

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

    /// A healthy issuer's new key is accepted within the refill of the bucket and a fetch, whatever else comes in.
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

    /// Which of the two the refresher looks at first is open; that it fetches once more, if it can pay, is not.
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

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = prop_oneof![
        3 => Just(Change::Add),
        3 => Just(Change::ReplaceAll),
        2 => (0..MOST_KEYS).prop_map(Change::Remove),
        2 => (0..MOST_KEYS).prop_map(Change::Renew),
        1 => (0..MOST_KEYS).prop_map(Change::Twin),
        1 => (0..FORGED_KIDS).prop_map(Change::Late),
    ];
    let max_age = prop_oneof![3 => Just(None), 1 => prop_oneof![0_u64..7200, Just(u64::MAX)].prop_map(Some)];
    let set = || (any::<bool>(), max_age.clone()).prop_map(|(tagged, max_age)| Mode::Set { tagged, max_age });
    let retry_after = prop_oneof![1 => Just(None), 3 => prop_oneof![0_u64..5, 0_u64..900, Just(u64::MAX / 2)].prop_map(Some)];
    let status = prop::sample::select(vec![429, 503, 500, 404]);
    let mode = prop_oneof![
        8 => set(),
        1 => Just(Mode::Stuck),
        1 => Just(Mode::Rogue),
        3 => (status, retry_after).prop_map(|(status, after)| Mode::Status(status, after)),
        1 => Just(Mode::Garbage),
        1 => Just(Mode::Empty),
        1 => Just(Mode::Hang),
    ];
    // Beyond 2 s nobody waits for it, beyond 5 s neither does the refresher.
    let delay = prop_oneof![3 => Just(1_u64), 3 => 1_u64..1900, 2 => 1900_u64..4900, 1 => 5100_u64..9000];
    let kind = || {
        prop_oneof![
            6 => (0..MOST_KEYS).prop_map(Kind::Current),
            2 => (0_usize..16).prop_map(Kind::Former),
            6 => (0..FORGED_KIDS).prop_map(Kind::ForgedKid),
            3 => Just(Kind::FreshKid),
            4 => (0..MOST_KEYS).prop_map(Kind::ForgedSignature),
            1 => (0..MOST_KEYS).prop_map(Kind::Nameless),
            1 => Just(Kind::NamelessForged),
            1 => (0..MOST_KEYS).prop_map(Kind::Expired),
        ]
    };
    let passes = prop_oneof![
        6 => 1_u64..1000,
        8 => 1000_u64..15_000,
        3 => 15_000_u64..700_000,
        1 => 700_000_u64..26_000_000,
    ];
    let step = prop_oneof![
        4 => change.prop_map(Step::Keys),
        4 => (mode, delay).prop_map(|(mode, delay)| Step::Answers(mode, delay)),
        16 => kind().prop_map(|kind| Step::Requests(kind, 1)),
        2 => (kind(), 2_usize..40).prop_map(|(kind, count)| Step::Requests(kind, count)),
        1 => (kind(), 0_u64..2500).prop_map(|(kind, after)| Step::Cancelled(kind, after)),
        10 => passes.prop_map(Step::Passes),
        1 => (1_u64..40_000).prop_map(Step::Sleeps),
        1 => Just(Step::RotationUnderFlood),
        1 => Just(Step::FloodAndNothingNew),
        1 => Just(Step::AnswerMeetsRequest),
    ];
    vec(step, 20..40)
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
