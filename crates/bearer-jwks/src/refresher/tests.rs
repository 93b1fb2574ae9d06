//! The refresher on paused time, with a source that does what the test says.

mod lifecycle;
mod log;
mod misses;
mod outage;
mod rotation;
mod schedule;
mod sets;

use super::*;
use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, sleep_until},
};
use tower_bearer::{
    Credential, Issuer, JwtVerifier, Presented, Reason, Verification, Verified, Verify,
    keys::{KeyState, SkipReason, Snapshot},
};

const ISS: &str = "https://issuer.example";
const AUD: &str = "https://api.example";

/// An issuer at a distance: the test holds one end, the refresher fetches from the other.
#[derive(Clone, Default)]
struct Source(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answer: Answer,
    delay: Duration,
    fetches: Vec<(Instant, Option<String>)>,
    /// What a fetch gets that waits for ever, once the test says so.
    late: Option<Result<Fetched, FetchError>>,
    arrived: Arc<Notify>,
}

#[derive(Clone, Default)]
enum Answer {
    Set(Fetched),
    /// "Unchanged" to whoever asks with a tag, this set to all others.
    Stuck(Fetched),
    Error(FetchError),
    #[default]
    Never,
}

impl Source {
    fn of(keys: &[&SigningKey]) -> Self {
        let source = Self::default();
        source.publish(keys);
        source
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
    fn answer(&self, answer: Answer) {
        self.state().answer = answer;
    }
    fn publish(&self, keys: &[&SigningKey]) {
        self.answer(Answer::Set(Fetched::new(jwks(keys))));
    }
    fn fail(&self) {
        self.answer(Answer::Error(FetchError::Status { status: 500, retry_after: None }));
    }
    /// Answers the fetch that waits for ever.
    fn arrive(&self, result: Result<Fetched, FetchError>) {
        let mut state = self.state();
        state.late = Some(result);
        state.arrived.notify_waiters();
    }
    fn fetches(&self) -> usize {
        self.state().fetches.len()
    }
}

impl Fetch for Source {
    async fn fetch(&mut self, etag: Option<&str>) -> Result<Fetched, FetchError> {
        let delay = {
            let mut state = self.state();
            state.fetches.push((Instant::now(), etag.map(str::to_owned)));
            state.delay
        };
        sleep(delay).await;
        let answer = self.state().answer.clone();
        match answer {
            Answer::Stuck(_) if etag.is_some() => Ok(Fetched::default()),
            Answer::Set(fetched) | Answer::Stuck(fetched) => Ok(fetched),
            Answer::Error(error) => Err(error),
            Answer::Never => {
                let arrived = Arc::clone(&self.state().arrived);
                arrived.notified().await;
                self.state().late.take().expect("it was said with the notification")
            }
        }
    }

    fn location(&self) -> Option<String> {
        Some("the source".to_owned())
    }
}

fn jwks(keys: &[&SigningKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.public_jwk()).collect();
    serde_json::json!({ "keys": keys }).to_string()
}

fn key(kid: &str) -> SigningKey {
    SigningKey::generate(Algorithm::EdDSA).kid(kid)
}

fn token(key: &SigningKey) -> TokenBuilder {
    TokenBuilder::new(key, ISS, AUD)
}

/// A running refresher, and a verifier over its keys.
fn start(source: &Source) -> (JwtVerifier, watch::Receiver<Status>) {
    let (refresher, keys) = Refresher::new(source.clone());
    let status = refresher.status();
    tokio::spawn(refresher.run());
    (verifier(keys), status)
}

async fn started(source: &Source) -> (JwtVerifier, watch::Receiver<Status>) {
    let (verifier, mut status) = start(source);
    status.wait_for(Status::is_ready).await.unwrap();
    (verifier, status)
}

fn verifier(keys: KeySource) -> JwtVerifier {
    JwtVerifier::new([Issuer::new(ISS, AUD).keys(keys)]).unwrap()
}

async fn verify(verifier: &JwtVerifier, token: &str) -> Result<Verified, Reason> {
    let request = ::http::Request::new(());
    let credential = Credential::new(token).unwrap();
    match verifier.verify(&Presented::new(credential, &request, SystemTime::now())) {
        Verification::Done(result) => result,
        Verification::Pending(verifying) => verifying.await,
    }
    .map_err(|error| error.reason())
}

/// The answer of a request that must not wait for anything.
fn verify_now(verifier: &JwtVerifier, token: &str) -> Result<(), Reason> {
    let request = ::http::Request::new(());
    let credential = Credential::new(token).unwrap();
    match verifier.verify(&Presented::new(credential, &request, SystemTime::now())) {
        Verification::Done(result) => result.map(drop).map_err(|error| error.reason()),
        Verification::Pending(_) => panic!("it waits"),
    }
}

async fn advance(duration: Duration) {
    sleep(duration).await;
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
