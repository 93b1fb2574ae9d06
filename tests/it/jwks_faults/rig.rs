//! A running refresher between an endpoint and a gate.

use super::keys::{AUD, ISS};
use bearer_jwks::{Fetch, HttpFetch, Refresher, RefresherHandle, Schedule, Status};
use bearer_testing::{ScriptedJwks, Step};
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_bearer::{BearerLayer, Issuer, JwtVerifier, Reason, TokenCache, Verification, keys::KeySource};

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The usual rhythm, some thousand times faster.
pub(super) fn quick() -> Schedule {
    let mut schedule = Schedule::default();
    schedule.every = millis(200);
    schedule.at_least = millis(40);
    schedule.at_most = Duration::from_secs(60);
    schedule.deadline = Duration::from_secs(1);
    schedule.wait = millis(200);
    schedule.refill = millis(300);
    schedule.signature_refill = millis(600);
    schedule.backoff = millis(50);
    schedule.longest_backoff = millis(200);
    schedule.max_stale = Duration::from_secs(6 * 3600);
    schedule
}

/// As [`quick`], but nothing is refreshed unless a token asks for it, and what is asked for may take its time.
pub(super) fn quiet() -> Schedule {
    let mut schedule = quick();
    schedule.every = Duration::from_secs(3600);
    schedule.at_most = schedule.every;
    schedule.deadline = Duration::from_secs(10);
    schedule.wait = Duration::from_secs(10);
    schedule
}

/// Ends a test that would wait forever.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), what).await.expect("it takes too long")
}

pub(super) fn verifier(keys: KeySource) -> JwtVerifier {
    JwtVerifier::new([Issuer::new(ISS, AUD).keys(keys)]).unwrap()
}

/// One that asks the keys about every token, also one that came before.
pub(super) fn forgetful(verifier: &JwtVerifier) -> JwtVerifier {
    verifier.clone().cache(&TokenCache::new(0))
}

/// The answer of a request that must not wait for anything.
pub(super) fn verify_now(verifier: &JwtVerifier, token: &str) -> Result<(), Reason> {
    match verifier.verify_token(token, SystemTime::now()) {
        Verification::Done(result) => result.map(drop).map_err(|error| error.reason()),
        Verification::Pending(_) => panic!("it waits"),
    }
}

/// The answer of a request that may wait for a fetch.
pub(super) async fn verify(verifier: &JwtVerifier, token: &str) -> Result<(), Reason> {
    let result = match verifier.verify_token(token, SystemTime::now()) {
        Verification::Done(result) => result,
        Verification::Pending(verifying) => soon(verifying).await,
    };
    result.map(drop).map_err(|error| error.reason())
}

/// The status that a whole request gets.
pub(super) async fn request(verifier: &JwtVerifier, token: &str) -> StatusCode {
    let service = BearerLayer::new(verifier.clone())
        .layer(service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new()))));
    let request =
        Request::builder().header(AUTHORIZATION, format!("Bearer {token}")).body(String::new()).unwrap();
    soon(service.oneshot(request)).await.unwrap().status()
}

pub(super) struct Rig {
    pub(super) jwks: ScriptedJwks,
    pub(super) verifier: JwtVerifier,
    pub(super) status: watch::Receiver<Status>,
    pub(super) schedule: Schedule,
    pub(super) handle: RefresherHandle,
}

impl Rig {
    /// Starts, and waits for nothing.
    pub(super) async fn started(step: Step, schedule: Schedule) -> Self {
        let jwks = ScriptedJwks::start().await;
        jwks.always(step);
        let fetch = HttpFetch::new(&jwks.uri()).unwrap();
        Self::around(jwks, fetch, schedule)
    }

    /// Starts, and waits until there are keys.
    pub(super) async fn ready(step: Step, schedule: Schedule) -> Self {
        let mut rig = Self::started(step, schedule).await;
        rig.until(Status::is_ready).await;
        rig
    }

    pub(super) fn around(jwks: ScriptedJwks, fetch: impl Fetch, schedule: Schedule) -> Self {
        let (refresher, keys) = Refresher::new(fetch);
        let refresher = refresher.schedule(schedule);
        let status = refresher.status();
        Self { jwks, verifier: verifier(keys), status, schedule, handle: refresher.spawn() }
    }

    /// Waits for a status.
    pub(super) async fn until(&mut self, condition: impl FnMut(&Status) -> bool) -> Status {
        soon(self.status.wait_for(condition)).await.unwrap().clone()
    }

    /// Waits for so many failures in a row.
    pub(super) async fn failures(&mut self, count: u32) -> Status {
        self.until(|status| status.failures >= count).await
    }

    pub(super) fn verify_now(&self, token: &str) -> Result<(), Reason> {
        verify_now(&self.verifier, token)
    }

    pub(super) async fn verify(&self, token: &str) -> Result<(), Reason> {
        verify(&self.verifier, token).await
    }

    pub(super) async fn request(&self, token: &str) -> u16 {
        request(&self.verifier, token).await.as_u16()
    }

    /// Waits until so many more requests have arrived at the endpoint.
    pub(super) async fn fetches(&self, more: usize) {
        soon(self.jwks.arrived(self.jwks.count() + more)).await;
    }

    /// That there was never more than one request at a time.
    pub(super) fn assert_one_at_a_time(&self) {
        assert_eq!(self.jwks.most_at_once(), 1);
    }

    /// The least time between two requests in a row. Only where no token asks for a fetch of its own.
    pub(super) fn assert_apart(&self, least: Duration) {
        assert!(least > Duration::ZERO);
        let at: Vec<Instant> = self.jwks.requests().iter().map(|request| request.at).collect();
        for pair in at.windows(2) {
            assert!(pair[1] - pair[0] >= least, "{:?} apart", pair[1] - pair[0]);
        }
        self.assert_one_at_a_time();
    }

    /// The shortest pause after a failure.
    pub(super) fn shortest_retry(&self) -> Duration {
        self.schedule.backoff / 10
    }

    /// The shortest pause after a success.
    pub(super) fn shortest_refresh(&self) -> Duration {
        self.schedule.at_least.mul_f64(0.95)
    }
}
