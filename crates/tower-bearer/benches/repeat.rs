//! What a token costs that came before: with few and with many of them, with one and with many issuers, and
//! on two threads at once. Ratios of one run; every figure is the least of several rounds that take turns.
//!
//! `cargo bench -p tower-bearer --bench repeat`

use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
use http::{Request, Response, header::AUTHORIZATION};
use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    sync::Barrier,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant, SystemTime},
};
use tower::{Layer, Service, service_fn};
use tower_bearer::{Algorithm, BearerLayer, Issuer, JwtVerifier, TokenCache, Verification};

const SECRET: [u8; 32] = [7; 32];
const ROUNDS: usize = 7;
const CALLS: u32 = 200_000;

/// Requests that are made, then served.
const BATCH: u32 = 16;

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

/// Nanoseconds a request through the layer, going round all tokens in an order that no cache of the processor
/// foresees. The requests themselves are in these caches, as those that were just received are.
fn time(verifier: &JwtVerifier, tokens: &[String]) -> f64 {
    let mut service = BearerLayer::new(verifier.clone()).layer(service_fn(inner));
    let mut context = Context::from_waker(Waker::noop());
    let (mut at, mut elapsed) = (0, Duration::ZERO);
    for _ in 0..CALLS / BATCH {
        let requests: [_; BATCH as usize] = std::array::from_fn(|_| {
            at = (at + 7919) % tokens.len();
            let value = format!("Bearer {}", tokens[at]);
            Request::builder().header(AUTHORIZATION, value).body(()).expect("a request")
        });
        let start = Instant::now();
        for request in requests {
            assert!(service.poll_ready(&mut context).is_ready());
            match pin!(service.call(request)).poll(&mut context) {
                Poll::Ready(Ok(response)) => assert!(response.status().is_success()),
                _ => panic!("nothing here waits or fails"),
            }
        }
        elapsed += start.elapsed();
    }
    elapsed.as_secs_f64() * 1e9 / f64::from(CALLS)
}

fn inner(request: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
    drop(request);
    ready(Ok(Response::new(())))
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

/// Nanoseconds for a token that was never seen, HMAC included, when the cache is full of others.
fn new(tokens: &[String], cache: &dyn Fn() -> TokenCache) -> f64 {
    let now = SystemTime::now();
    let issuer = Issuer::new(issuer(0), "https://api.example").hmac_secret(Algorithm::HS256, SECRET);
    let verifier = JwtVerifier::new([issuer]).expect("an issuer").cache(&cache());
    let (first, rest) = tokens.split_at(10_000);
    for token in first {
        ask(&verifier, token, now);
    }
    let mut least = f64::INFINITY;
    for some in rest.chunks(5_000) {
        let start = Instant::now();
        for token in some {
            ask(&verifier, token, now);
        }
        #[allow(clippy::cast_precision_loss)]
        let each = start.elapsed().as_secs_f64() * 1e9 / some.len() as f64;
        least = least.min(each);
    }
    least
}

fn main() {
    let few = tokens(1, 1);
    let many = tokens(100_000, 1);
    let of_many = tokens(10_000, 10_000);
    // As many as a cache of the default size holds.
    let some = tokens(3000, 1);
    let verifiers = [
        verifier(1, &few),
        verifier(10_000, &few),
        verifier(1, &some),
        verifier(1, &many),
        verifier(10_000, &of_many),
    ];

    let mut least = [f64::INFINITY; 5];
    let mut alone = Duration::MAX;
    let mut two = Duration::MAX;
    for _ in 0..ROUNDS {
        for (least, (verifier, tokens)) in
            least.iter_mut().zip(verifiers.iter().zip([&few, &few, &some, &many, &of_many]))
        {
            *least = least.min(time(verifier, tokens));
        }
        alone = alone.min(together(&verifiers[2], &some, 1));
        two = two.min(together(&verifiers[2], &some, 2));
    }
    let remembering = new(&many, &TokenCache::default);
    let forgetting = new(&many, &|| TokenCache::new(0));
    let [one, one_of_many, some, many_ns, issuers] = least;
    println!("through the layer:");
    println!("1 token                        {one:>8.0} ns");
    println!("1 token, 10,000 issuers        {one_of_many:>8.0} ns   {:.2} times", one_of_many / one);
    println!("3,000 tokens                   {some:>8.0} ns   {:.2} times", some / one);
    println!("100,000 tokens                 {many_ns:>8.0} ns   {:.2} times", many_ns / one);
    println!("10,000 tokens, 10,000 issuers  {issuers:>8.0} ns   {:.2} times", issuers / one);
    println!("a new token, remembered        {remembering:>8.0} ns   {:.2} times", remembering / forgetting);
    println!("a new token, not remembered    {forgetting:>8.0} ns");
    let speedup = 2.0 * alone.as_secs_f64() / two.as_secs_f64();
    println!("two threads, 3,000 tokens      {speedup:.2} times the throughput of one");
}
