//! What 1, 100 and 10,000 issuers cost: a request, and the memory of an issuer that nobody asks for.
//!
//! `cargo bench -p bearer-jwks --bench issuers`
//!
//! Every issuer has a refresher that runs and a key of its own; their sets come from memory, so that no
//! sockets are counted.

use bearer_jwks::{Fetch, FetchError, Fetched, Refresher};
use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
use std::{
    fs,
    hint::black_box,
    time::{Duration, Instant, SystemTime},
};
use tower_bearer::{Issuer, JwtVerifier, TokenCache, Verification};

const AUDIENCE: &str = "https://api.example";
const SAMPLES: usize = 4000;

struct Embedded(String);

impl Fetch for Embedded {
    async fn fetch(&mut self, _: Option<&str>) -> Result<Fetched, FetchError> {
        Ok(Fetched::new(&*self.0))
    }
}

struct Tenants {
    verifier: JwtVerifier,
    bytes_each: Option<u64>,
    good: String,
    foreign: String,
    accepted: Vec<Duration>,
    refused: Vec<Duration>,
}

impl Tenants {
    async fn new(count: usize, key: &SigningKey) -> Self {
        let jwks = serde_json::json!({ "keys": [key.public_jwk()] }).to_string();
        let before = resident_bytes();
        let mut issuers = Vec::with_capacity(count);
        for number in 0..count {
            let (mut refresher, keys) = Refresher::new(Embedded(jwks.clone()));
            refresher.refresh().await.expect("an embedded set");
            tokio::spawn(refresher.run());
            issuers.push(Issuer::new(name(number), AUDIENCE).keys(keys));
        }
        let verifier = JwtVerifier::new(issuers).expect("a good set-up").cache(&TokenCache::new(0));
        tokio::task::yield_now().await;
        let bytes_each =
            before.zip(resident_bytes()).map(|(before, after)| after.saturating_sub(before) / count as u64);
        let token = |iss: &str| TokenBuilder::new(key, iss, AUDIENCE).expires_in(24 * 3600).sign();
        Self {
            verifier,
            bytes_each,
            good: token(&name(count / 2)),
            foreign: token("https://stranger.example"),
            accepted: Vec::new(),
            refused: Vec::new(),
        }
    }

    fn round(&mut self) {
        for _ in 0..SAMPLES / 10 {
            let sides = [(&self.good, true, &mut self.accepted), (&self.foreign, false, &mut self.refused)];
            for (token, is_good, samples) in sides {
                let start = Instant::now();
                let answer = self.verifier.verify_token(black_box(token), SystemTime::now());
                samples.push(start.elapsed());
                let Verification::Done(result) = answer else { panic!("it waits") };
                assert_eq!(result.is_ok(), is_good);
            }
        }
    }
}

fn name(number: usize) -> String {
    format!("https://tenant-{number}.issuer.example/auth/v1")
}

fn median(samples: &mut [Duration]) -> f64 {
    samples.sort_unstable();
    samples[samples.len() / 2].as_secs_f64() * 1e6
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let key = SigningKey::generate(Algorithm::ES256).kid("a");
        let counts = [1, 100, 10_000];
        let mut tenants = Vec::new();
        for count in counts {
            tenants.push(Tenants::new(count, &key).await);
        }
        for _ in 0..10 {
            tenants.iter_mut().for_each(Tenants::round);
        }
        println!("{:>8} {:>14} {:>14} {:>18}", "issuers", "accepted, µs", "foreign, µs", "bytes per issuer");
        for (count, tenants) in counts.iter().zip(&mut tenants) {
            let (accepted, refused) = (median(&mut tenants.accepted), median(&mut tenants.refused));
            let bytes = tenants.bytes_each.map_or("?".to_owned(), |bytes| bytes.to_string());
            println!("{count:>8} {accepted:>14.1} {refused:>14.2} {bytes:>18}");
        }
    });
}
