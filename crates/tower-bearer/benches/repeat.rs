//! What a token costs that came before: with few and with many of them, with one and with many issuers, and on two
//! threads at once. Ratios of one run; every figure is the least of several rounds that take turns.
//!
//! `cargo bench -p tower-bearer --bench repeat`

use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant, SystemTime},
};
use tower_bearer::{Algorithm, Issuer, JwtVerifier, TokenCache, Verification};

const SECRET: [u8; 32] = [7; 32];
const ROUNDS: usize = 7;
const CALLS: u32 = 200_000;

fn issuer(number: usize) -> String {
    format!("https://tenant-{number}.issuer.example")
}

/// Of so many issuers, with all these tokens remembered. HMAC, so that it does not take minutes to get there.
fn verifier(issuers: usize, tokens: &[String]) -> JwtVerifier {
    let list = (0..issuers).map(|number| {
        let issuer = Issuer::new(issuer(number), "https://api.example");
        issuer.hmac_secret(Algorithm::HS256, SECRET)
    });
    let cache = TokenCache::new(tokens.len() * 4096 + 8 * 1024 * 1024);
    let verifier = JwtVerifier::new(list).expect("issuers").cache(&cache);
    let now = SystemTime::now();
    for token in tokens {
        ask(&verifier, token, now);
    }
    assert_eq!(cache.len(), tokens.len(), "all of them fit");
    verifier
}

fn tokens(count: usize, issuers: usize) -> Vec<String> {
    let key = SigningKey::hmac(Alg::HS256, &SECRET);
    let token = |number: usize| {
        let token = TokenBuilder::new(&key, &issuer(number % issuers), "https://api.example");
        token.subject(&format!("user-{number}")).claim("padding", "x".repeat(400)).sign()
    };
    (0..count).map(token).collect()
}

fn ask(verifier: &JwtVerifier, token: &str, now: SystemTime) {
    match verifier.verify_token(black_box(token), now) {
        Verification::Done(Ok(verified)) => drop(black_box(verified)),
        _ => panic!("a good token"),
    }
}

/// Nanoseconds a call, going round all tokens in an order that no cache of the processor foresees.
fn time(verifier: &JwtVerifier, tokens: &[String]) -> f64 {
    let (now, start) = (SystemTime::now(), Instant::now());
    let mut at = 0;
    for _ in 0..CALLS {
        at = (at + 7919) % tokens.len();
        ask(verifier, &tokens[at], now);
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}

/// The time that so many threads take for [`CALLS`] each.
fn together(verifier: &JwtVerifier, tokens: &[String], threads: usize) -> Duration {
    let (barrier, now) = (Barrier::new(threads + 1), SystemTime::now());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    let start = Instant::now();
                    for call in 0..CALLS as usize {
                        ask(verifier, &tokens[(call * 31 + thread * 17) % tokens.len()], now);
                    }
                    start.elapsed()
                })
            })
            .collect();
        barrier.wait();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).max().unwrap_or_default()
    })
}

fn main() {
    let few = tokens(1, 1);
    let many = tokens(100_000, 1);
    let of_many = tokens(10_000, 10_000);
    let some = tokens(1000, 1);
    let verifiers = [verifier(1, &few), verifier(1, &many), verifier(10_000, &of_many), verifier(1, &some)];

    let mut least = [f64::INFINITY; 3];
    let mut alone = Duration::MAX;
    let mut two = Duration::MAX;
    for _ in 0..ROUNDS {
        for (least, (verifier, tokens)) in least.iter_mut().zip(verifiers.iter().zip([&few, &many, &of_many]))
        {
            *least = least.min(time(verifier, tokens));
        }
        alone = alone.min(together(&verifiers[3], &some, 1));
        two = two.min(together(&verifiers[3], &some, 2));
    }
    let [one, many, issuers] = least;
    println!("1 token                        {one:>8.0} ns");
    println!("100,000 tokens                 {many:>8.0} ns   {:.2} times", many / one);
    println!("10,000 tokens, 10,000 issuers  {issuers:>8.0} ns   {:.2} times", issuers / one);
    let speedup = 2.0 * alone.as_secs_f64() / two.as_secs_f64();
    println!("two threads, 1,000 tokens      {speedup:.2} times the throughput of one");
}
