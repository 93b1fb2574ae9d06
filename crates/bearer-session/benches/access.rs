//! What it costs to ask for the access token of a session, on each way that an ordinary request may take. Figures of one
//! run; each is the least of several rounds that take turns, and is held against the first.
//!
//! `cargo bench -p bearer-session --bench access`

use bearer_session::{
    AccessToken, BoxFuture, Keyring, RefreshToken, SessionId, SessionLayer, Sessions, TokenSet,
    endpoint::{AfterUnknown, ExchangeError, OnBehalf, Outcome, SignOutScope, TokenEndpoint},
    keeping::OpaqueCookie,
    store::MemoryStore,
};
use http::{Request, Response, header::COOKIE};
use std::{
    convert::Infallible,
    future::ready,
    hint::black_box,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use tower_http::csrf::CsrfLayer;

const ROUNDS: usize = 7;
const CALLS: usize = 50_000;
const HOUR: Duration = Duration::from_secs(3600);

/// The bound that is promised, in nanoseconds.
const MOST: f64 = 15_000.0;

/// Nothing here is ever refreshed.
#[derive(Debug)]
struct Issuer;

impl TokenEndpoint for Issuer {
    fn refresh<'a>(
        &'a self,
        _token: &'a RefreshToken,
        _on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        Box::pin(ready(Err(ExchangeError::new(Outcome::NotSpent))))
    }

    fn sign_out<'a>(
        &'a self,
        _access_token: &'a AccessToken,
        _refresh_token: Option<&'a RefreshToken>,
        _scope: SignOutScope,
        _on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<(), ExchangeError>> {
        Box::pin(ready(Ok(())))
    }

    fn after_unknown(&self) -> AfterUnknown {
        AfterUnknown::FailClosed
    }
}

/// Sessions with tokens of an ordinary size, and a way to ask for them.
struct Way {
    name: &'static str,
    sessions: Sessions,
    ids: Vec<SessionId>,
    calls: usize,
    least: f64,
}

impl Way {
    /// `local_for` is for how long copies are served, and `copies` how many there may be.
    async fn new(name: &'static str, count: usize, local_for: Duration, copies: usize) -> Self {
        let builder = Sessions::builder(Issuer, MemoryStore::new(count), Keyring::random());
        let sessions = builder.local_for(local_for).local_copies(copies).build();
        let mut ids = Vec::with_capacity(count);
        for number in 0..count {
            let tokens = TokenSet::new(AccessToken::new(format!("{number}.{}", "x".repeat(800))), HOUR);
            let tokens = tokens.refresh_token(RefreshToken::new(format!("{number}.refresh")));
            ids.push(sessions.create(tokens).await.expect("there is room"));
        }
        let calls = if local_for.is_zero() { CALLS / 10 } else { CALLS };
        Self { name, sessions, ids, calls, least: f64::INFINITY }
    }

    /// Nanoseconds a call, going round all sessions in an order that no cache of the processor foresees.
    async fn time(&mut self) {
        let (mut at, start) = (0, Instant::now());
        for _ in 0..self.calls {
            at = (at + 7919) % self.ids.len();
            let access = self.sessions.access(black_box(&self.ids[at]), OnBehalf::default()).await;
            black_box(access.expect("it lives").token());
        }
        #[allow(clippy::cast_precision_loss, reason = "a number of calls")]
        let each = start.elapsed().as_secs_f64() * 1e9 / self.calls as f64;
        self.least = self.least.min(each);
    }

    /// Allocations a call, once all is warm.
    fn allocations(&self, runtime: &Runtime) -> u64 {
        const CALLS: u64 = 1000;
        let ask = || {
            for (_, id) in (0..CALLS).zip(self.ids.iter().cycle()) {
                let asked = self.sessions.access(black_box(id), OnBehalf::default());
                black_box(runtime.block_on(asked).expect("it lives"));
            }
        };
        ask();
        allocation_counter::measure(ask).count_total / CALLS
    }
}

/// What a [`SessionLayer`] adds to a request of a live session, before a service that does nothing: the cookie is found
/// and taken out, the token put in its place.
struct Layered {
    session: String,
    layer: SessionLayer,
    least: [f64; 2],
}

impl Layered {
    async fn new() -> Self {
        let way = Way::new("", 1, HOUR, 10).await;
        let session = format!("theme=dark; __Host-session={}", way.ids[0].to_text().expose());
        let layer = SessionLayer::new(way.sessions, OpaqueCookie::new(), CsrfLayer::new());
        Self { session, layer, least: [f64::INFINITY; 2] }
    }

    fn requests(&self) -> Vec<Request<()>> {
        let request = || Request::get("/me").header(COOKIE, &self.session).body(()).expect("a request");
        (0..CALLS / 10).map(|_| request()).collect()
    }

    async fn time(&mut self) {
        let bare = service_fn(async |request: Request<()>| {
            drop(black_box(request));
            Ok::<_, Infallible>(Response::new(()))
        });
        let layered = self.layer.layer(bare);
        let times = [each(bare, self.requests()).await, each(layered, self.requests()).await];
        for (least, time) in self.least.iter_mut().zip(times) {
            *least = least.min(time);
        }
    }
}

/// Nanoseconds a request.
async fn each<S>(mut service: S, requests: Vec<Request<()>>) -> f64
where
    S: Service<Request<()>, Response = Response<()>, Error = Infallible>,
{
    #[allow(clippy::cast_precision_loss, reason = "a number of requests")]
    let (start, count) = (Instant::now(), requests.len() as f64);
    for request in requests {
        let response = service.ready().await.expect("it never fails").call(request).await;
        black_box(response.expect("it never fails"));
    }
    start.elapsed().as_secs_f64() * 1e9 / count
}

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut ways = runtime.block_on(async {
        [
            Way::new("1 session, from memory", 1, HOUR, 10_000).await,
            Way::new("10,000 sessions, from memory", 10_000, HOUR, 20_000).await,
            Way::new("its copy is too old: the store is asked", 1, Duration::ZERO, 10_000).await,
            Way::new("it has no copy: the store is asked, the row is opened", 10_000, Duration::ZERO, 1)
                .await,
        ]
    });
    let mut layered = runtime.block_on(Layered::new());
    for _ in 0..ROUNDS {
        for way in &mut ways {
            runtime.block_on(way.time());
        }
        runtime.block_on(layered.time());
    }
    let first = ways[0].least;
    for way in &ways {
        let (least, times) = (way.least, way.least / first);
        let allocations = way.allocations(&runtime);
        println!("{:<55} {least:>7.0} ns {times:>6.1} times  {allocations:>3} allocations", way.name);
    }
    let [bare, with_session] = layered.least;
    let added = with_session - bare;
    println!("{:<55} {added:>7.0} ns", "what the layer adds to a request of a live session");
    let worst = ways[..2].iter().map(|way| way.least).fold(added, f64::max);
    assert!(worst <= MOST, "a live session costs {worst:.0} ns");
}
