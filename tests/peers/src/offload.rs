//! What new tokens do to the other requests of the same worker: verified on it, or handed to other threads.
//!
//! One worker thread serves requests that each bring a new ES256 token, as many at a time as the row says and as fast as
//! it can; now and then a request without anything to verify comes, and how long that takes is what counts.

use crate::{
    options::OffloadOptions,
    rows::axum_bearer::verifier,
    world::{ALGORITHMS, Case, World},
};
use axum::{Router, body::Body, routing::get};
use axum_bearer::{BearerLayer, JwtVerifier, TokenCache, tower_bearer::Verification};
use http::{HeaderValue, Request, header::AUTHORIZATION};
use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};
use tokio::{runtime, sync::mpsc, task};
use tower::ServiceExt as _;

const TOKENS: usize = 2000;
const BETWEEN_PROBES: Duration = Duration::from_micros(300);

#[derive(Clone, Copy)]
enum Where {
    /// As this project does.
    OnTheWorker,
    /// On tokio's threads for blocking work.
    Elsewhere,
}

pub fn run(options: &OffloadOptions) -> Result<(), Box<dyn Error>> {
    let world = World::start()?;
    let tokens: Vec<_> = world.credentials(ALGORITHMS[0], Case::New, TOKENS).into_iter().flatten().collect();
    let tokens: Arc<[HeaderValue]> = tokens.into();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let verifier = runtime.block_on(verifier(&world.jwks_uri))?.cache(&TokenCache::new(0));
    println!(
        "Time of a request that has nothing to verify, on a worker thread full of others with new ES256 tokens.\n\n\
         | new tokens | verified | verified/s | p50, µs | p99, µs | p99.9, µs |\n|---|---|--:|--:|--:|--:|"
    );
    row("none", "", &measure(options.turn, 0, Where::OnTheWorker, &verifier, &tokens)?);
    for at_a_time in [1, 4, 16] {
        for (name, place) in [("on the worker", Where::OnTheWorker), ("elsewhere", Where::Elsewhere)] {
            let found = measure(options.turn, at_a_time, place, &verifier, &tokens)?;
            row(&format!("{at_a_time} at a time"), name, &found);
        }
    }
    Ok(())
}

struct Found {
    rate: f64,
    /// Sorted.
    waits: Vec<Duration>,
}

fn row(load: &str, place: &str, Found { rate, waits }: &Found) {
    let at = |part: f64| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let index = (waits.len() as f64 * part) as usize;
        waits[index.min(waits.len() - 1)].as_secs_f64() * 1e6
    };
    println!("| {load} | {place} | {rate:.0} | {:.0} | {:.0} | {:.0} |", at(0.5), at(0.99), at(0.999));
}

fn measure(
    turn: Duration,
    at_a_time: usize,
    place: Where,
    verifier: &JwtVerifier,
    tokens: &Arc<[HeaderValue]>,
) -> Result<Found, Box<dyn Error>> {
    let (probe, mut probes) = mpsc::unbounded_channel::<(Instant, std::sync::mpsc::Sender<Duration>)>();
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let worker = {
        let (verifier, tokens, stop, served) =
            (verifier.clone(), Arc::clone(tokens), Arc::clone(&stop), Arc::clone(&served));
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || {
            let public: Router = Router::new().route("/", get(async || ()));
            let guarded = public.clone().layer(BearerLayer::new(verifier.clone()));
            runtime.block_on(async move {
                for _ in 0..at_a_time {
                    let load = Load {
                        place,
                        verifier: verifier.clone(),
                        guarded: guarded.clone(),
                        tokens: Arc::clone(&tokens),
                        stop: Arc::clone(&stop),
                        served: Arc::clone(&served),
                    };
                    task::spawn(load.run());
                }
                while let Some((sent, answer)) = probes.recv().await {
                    let response = public.clone().oneshot(Request::new(Body::empty())).await;
                    assert!(response.is_ok_and(|response| response.status().is_success()));
                    _ = answer.send(sent.elapsed());
                }
                stop.store(true, Ordering::Relaxed);
            });
        })
    };
    let (answer, answers) = std::sync::mpsc::channel();
    let start = Instant::now();
    while start.elapsed() < turn {
        probe.send((Instant::now(), answer.clone()))?;
        thread::sleep(BETWEEN_PROBES);
    }
    let elapsed = start.elapsed().as_secs_f64();
    drop((probe, answer));
    worker.join().map_err(|_| "the worker panicked")?;
    let mut waits: Vec<_> = answers.into_iter().collect();
    waits.sort_unstable();
    #[allow(clippy::cast_precision_loss)]
    let rate = served.load(Ordering::Relaxed) as f64 / elapsed;
    Ok(Found { rate, waits })
}

/// What the load is made of.
struct Load {
    place: Where,
    verifier: JwtVerifier,
    guarded: Router,
    tokens: Arc<[HeaderValue]>,
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
}

impl Load {
    /// One request after the other.
    async fn run(self) {
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.served.fetch_add(1, Ordering::Relaxed);
            let header = self.tokens[number % self.tokens.len()].clone();
            match self.place {
                Where::OnTheWorker => {
                    let request = Request::builder().header(AUTHORIZATION, header).body(Body::empty());
                    let response = self.guarded.clone().oneshot(request.expect("a request")).await;
                    assert!(response.is_ok_and(|response| response.status().is_success()));
                    // As a connection does when its next request has not come yet.
                    task::yield_now().await;
                }
                Where::Elsewhere => {
                    let verifier = self.verifier.clone();
                    let verifying = task::spawn_blocking(move || is_good(&verifier, &header));
                    assert!(verifying.await.is_ok_and(|good| good));
                }
            }
        }
    }
}

fn is_good(verifier: &JwtVerifier, header: &HeaderValue) -> bool {
    let token = header.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
    let verify = |token| verifier.verify_token(token, SystemTime::now());
    token.is_some_and(|token| matches!(verify(token), Verification::Done(Ok(_))))
}
