//! How long a good token of a known key takes while the issuer is calm, rotates, is down, or while strangers
//! send tokens of invented keys: side by side, in one run.
//!
//! `cargo bench -p bearer-jwks --bench trouble`
//!
//! In every scenario another thread works as hard on requests of its own (good ones, or the flood), so that
//! what is compared is the trouble and not the load. The scenarios take turns in short rounds, so that the
//! noise of the machine falls on all alike.

use bearer_jwks::{HttpFetch, Refresher, RefresherHandle, Schedule, Status};
use bearer_testing::{SigningKey, TestIssuer, TokenBuilder};
use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::runtime::Runtime;
use tower_bearer::{Issuer, JwtVerifier, TokenCache, Verification};

const ROUNDS: usize = 40;
const SAMPLES: usize = 1000;

#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    Calm,
    Rotating,
    Outage,
    Flood,
}

struct Scenario {
    name: &'static str,
    trouble: Trouble,
    issuer: TestIssuer,
    verifier: JwtVerifier,
    good: String,
    /// What the other thread sends.
    others: Vec<String>,
    samples: Vec<Duration>,
    _running: RefresherHandle,
}

impl Scenario {
    async fn new(name: &'static str, trouble: Trouble) -> Self {
        let issuer = TestIssuer::start().await;
        let fetch = HttpFetch::new(&issuer.jwks_uri()).expect("a loopback location");
        let (refresher, keys) = Refresher::new(fetch);
        let mut schedule = Schedule::default();
        schedule.every = Duration::from_millis(50);
        schedule.at_least = Duration::from_millis(50);
        schedule.longest_backoff = Duration::from_millis(100);
        let mut status = refresher.status();
        let running = refresher.schedule(schedule).spawn();
        status.wait_for(Status::is_ready).await.expect("the refresher runs");
        let rules = Issuer::new(issuer.issuer(), issuer.audience()).keys(keys);
        let verifier = JwtVerifier::new([rules]).expect("a good set-up").cache(&TokenCache::new(0));
        let good = issuer.token().expires_in(24 * 3600).sign();
        let others = match trouble {
            Trouble::Flood => {
                let key = SigningKey::generate(bearer_testing::Algorithm::ES256);
                let token = TokenBuilder::new(&key, issuer.issuer(), issuer.audience());
                (0..1000).map(|n| token.clone().header("kid", format!("forged-{n}")).sign()).collect()
            }
            _ => vec![good.clone()],
        };
        Self { name, trouble, issuer, verifier, good, others, samples: Vec::new(), _running: running }
    }

    fn round(&mut self, runtime: &Runtime) {
        match self.trouble {
            Trouble::Rotating => drop(self.issuer.rotate()),
            Trouble::Outage => self.issuer.fail_with(503),
            Trouble::Calm | Trouble::Flood => {}
        }
        let done = Arc::new(AtomicBool::new(false));
        let other = runtime.spawn(others(self.verifier.clone(), self.others.clone(), Arc::clone(&done)));
        for _ in 0..SAMPLES {
            let start = Instant::now();
            let answer = self.verifier.verify_token(black_box(&self.good), SystemTime::now());
            self.samples.push(start.elapsed());
            assert!(
                matches!(answer, Verification::Done(Ok(_))),
                "{}: a good token waits or is refused",
                self.name
            );
        }
        done.store(true, Ordering::Relaxed);
        runtime.block_on(other).expect("the other thread");
    }

    fn percentile(&self, of: f64) -> f64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let at = ((self.samples.len() - 1) as f64 * of) as usize;
        self.samples[at].as_secs_f64() * 1e6
    }
}

/// The load that is not measured: requests, each on its way when the next comes.
async fn others(verifier: JwtVerifier, tokens: Vec<String>, done: Arc<AtomicBool>) {
    for token in tokens.iter().cycle() {
        if done.load(Ordering::Relaxed) {
            return;
        }
        if let Verification::Pending(waiting) = verifier.verify_token(token, SystemTime::now()) {
            drop(tokio::spawn(waiting));
        }
        tokio::task::yield_now().await;
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut scenarios = runtime.block_on(async {
        [
            Scenario::new("calm", Trouble::Calm).await,
            Scenario::new("rotating", Trouble::Rotating).await,
            Scenario::new("outage", Trouble::Outage).await,
            Scenario::new("unknown-kid flood", Trouble::Flood).await,
        ]
    });
    for _ in 0..ROUNDS {
        for scenario in &mut scenarios {
            scenario.round(&runtime);
        }
    }
    println!("verification of a known key, microseconds, {} samples each", ROUNDS * SAMPLES);
    println!("{:<18} {:>9} {:>9} {:>9} {:>12}", "", "p50", "p99", "p99.9", "p99 to calm");
    let mut calm = None;
    for scenario in &mut scenarios {
        scenario.samples.sort_unstable();
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|of| scenario.percentile(of));
        let ratio = p99 / *calm.get_or_insert(p99);
        println!("{:<18} {p50:>9.1} {p99:>9.1} {p999:>9.1} {ratio:>12.2}", scenario.name);
    }
}
