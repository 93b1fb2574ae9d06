//! RS-175: Tower's contract, for the gate and for a policy.

use crate::support::{
    keys::{AUD, ISS, es256, gate, issuer, jwks, rs256, token, token_by},
    soon,
};
use axum_bearer::{BearerLayer, Issuer, RequireLayer};
use http::{Request, Response, header::AUTHORIZATION};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt as _, limit::ConcurrencyLimit, service_fn};
use tower_bearer::{
    AuthError, Presented, RegisteredClaims, Verification, Verified, Verify,
    keys::{KeySet, KeySink, channel},
    policy::scope,
};
use tower_test::mock;

type Asked = Request<String>;
type Answered = Response<String>;

fn ask(authorization: Option<&str>) -> Asked {
    let mut request = Request::new(String::new());
    if let Some(value) = authorization {
        request.headers_mut().insert(AUTHORIZATION, value.parse().unwrap());
    }
    request
}

fn with(token: &str) -> Asked {
    ask(Some(&format!("Bearer {token}")))
}

fn good() -> Asked {
    with(&token().sign())
}

/// As a gate would hand it on, with this scope.
fn verified(granted: &str) -> Asked {
    let mut claims = RegisteredClaims::default();
    claims.scopes = [granted].into_iter().collect();
    let mut request = Request::new(String::new());
    request.extensions_mut().insert(Verified::assertion(claims, ()));
    request
}

/// A gate whose keys come when the test publishes them.
fn late_gate() -> (KeySink, BearerLayer) {
    let (sink, source) = channel();
    (sink, gate(Issuer::new(ISS, AUD).keys(source)))
}

fn keys() -> KeySet {
    KeySet::from_jwks(&jwks(&[es256()]).to_string()).unwrap()
}

/// Decides when it is told to, and notes that it was dropped.
#[derive(Clone)]
struct Told {
    verdict: Arc<tokio::sync::Notify>,
    dropped: Flag,
}

impl Verify for Told {
    type Future = Pin<Box<dyn Future<Output = Result<Verified, AuthError>> + Send>>;

    fn verify(&self, presented: &Presented<'_>) -> Verification<Self::Future> {
        let good = presented.credential.token() == "good";
        let (verdict, noted) = (Arc::clone(&self.verdict), self.dropped.on_drop());
        Verification::Pending(Box::pin(async move {
            let _noted = noted;
            verdict.notified().await;
            if good {
                Ok(Verified::assertion(RegisteredClaims::default(), ()))
            } else {
                Err(AuthError::invalid_token("no"))
            }
        }))
    }
}

fn told() -> Told {
    Told { verdict: Arc::default(), dropped: Flag::default() }
}

/// Raised when something is dropped.
#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn on_drop(&self) -> OnDrop {
        OnDrop(self.clone())
    }
    fn is_up(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

struct OnDrop(Flag);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::SeqCst);
    }
}

fn poll_ready<S: Service<Asked>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    task::spawn(()).enter(|context: &mut Context<'_>, _| service.poll_ready(context))
}

/// The service that was polled is the one that is called: a clone of the mock would panic.
async fn is_called_where_it_was_polled<L>(layer: L, request: Asked, decide: impl AsyncFnOnce())
where
    L: Layer<mock::Mock<Asked, Answered>>,
    L::Service: Service<Asked, Response = Answered>,
    <L::Service as Service<Asked>>::Future: Send + 'static,
    <L::Service as Service<Asked>>::Error: Send + std::fmt::Debug + 'static,
{
    let (inner, mut handle) = mock::pair::<Asked, Answered>();
    let mut service = layer.layer(inner);
    handle.allow(0);
    assert_pending!(poll_ready(&mut service), "as long as the inner one is not ready");
    handle.allow(1);
    assert_ready_ok!(poll_ready(&mut service));
    let answer = tokio::spawn(service.call(request));
    soon(decide()).await;
    let (_, respond) = soon(handle.next_request()).await.expect("it was not called");
    respond.send_response(Response::new("ok".to_owned()));
    assert_eq!(soon(answer).await.unwrap().unwrap().into_body(), "ok");
    // The one reservation is spent.
    assert_pending!(poll_ready(&mut service));
}

#[tokio::test]
async fn rs_175_readiness_is_spent_on_the_service_that_was_polled() {
    is_called_where_it_was_polled(gate(issuer()), good(), async || {}).await;
    is_called_where_it_was_polled(gate(issuer()).allow_anonymous(), ask(None), async || {}).await;
    is_called_where_it_was_polled(RequireLayer::new(scope("read")), verified("read"), async || {}).await;
    // Decided later: nothing is reserved meanwhile, and the service is polled again.
    let (mut sink, late) = late_gate();
    is_called_where_it_was_polled(late, good(), async || {
        let miss = sink.missed().await.unwrap();
        sink.publish(keys());
        drop(miss);
    })
    .await;
    let told = told();
    let verdict = Arc::clone(&told.verdict);
    is_called_where_it_was_polled(BearerLayer::new(told), with("good"), async || verdict.notify_one()).await;
}

#[tokio::test]
async fn rs_175_errors_of_the_inner_service_are_handed_on() {
    fn broken<L>(layer: L, request: Asked)
    where
        L: Layer<mock::Mock<Asked, Answered>>,
        L::Service: Service<Asked, Response = Answered>,
        <L::Service as Service<Asked>>::Error: std::fmt::Display + std::fmt::Debug,
    {
        let (inner, mut handle) = mock::pair::<Asked, Answered>();
        let mut service = layer.layer(inner);
        handle.allow(1);
        assert_ready_ok!(poll_ready(&mut service));
        let mut answer = task::spawn(Box::pin(service.call(request)));
        assert_pending!(answer.poll());
        let Poll::Ready(Some((_, respond))) = task::spawn(()).enter(|_, _| handle.poll_request()) else {
            panic!("it was not called")
        };
        respond.send_error("broken");
        assert_eq!(assert_ready_err!(answer.poll()).to_string(), "broken");
        handle.send_error("closed");
        assert_eq!(assert_ready_err!(poll_ready(&mut service)).to_string(), "closed");
    }
    broken(gate(issuer()), good());
    broken(RequireLayer::new(scope("read")), verified("read"));
}

/// A refused request gives back what was reserved for it, although the handle that asked lives on.
async fn gives_back<L>(layer: L, refused: Asked, decide: impl AsyncFnOnce())
where
    L: Layer<OneSlot>,
    L::Service: Service<Asked, Response = Answered, Error = Infallible> + Clone,
    <L::Service as Service<Asked>>::Future: Send + 'static,
{
    let mut first = layer.layer(one_slot());
    let mut second = first.clone();
    let refused = tokio::spawn(soon(first.ready()).await.unwrap().call(refused));
    soon(decide()).await;
    let refused = soon(refused).await.unwrap().unwrap();
    assert_ne!(refused.status(), 200);
    // `first` lives on, idle, as a connection that is kept open would.
    soon(second.ready()).await.unwrap();
    drop(first);
}

type OneSlot = ConcurrencyLimit<tower::util::BoxCloneService<Asked, Answered, Infallible>>;

fn one_slot() -> OneSlot {
    let inner = service_fn(async |_: Asked| Ok::<_, Infallible>(Response::new("ok".to_owned())));
    ConcurrencyLimit::new(tower::util::BoxCloneService::new(inner), 1)
}

#[tokio::test]
async fn rs_175_an_early_refusal_gives_its_reservation_back() {
    for refused in [ask(None), ask(Some("Bearer")), with("opaque"), with(&token().expired().sign())] {
        gives_back(gate(issuer()), refused, async || {}).await;
    }
    gives_back(RequireLayer::new(scope("read")), verified("other"), async || {}).await;
    gives_back(RequireLayer::new(scope("read")), ask(None), async || {}).await;
}

#[tokio::test]
async fn rs_175_a_late_refusal_gives_its_reservation_back() {
    let told = told();
    let verdict = Arc::clone(&told.verdict);
    gives_back(BearerLayer::new(told), with("bad"), async || verdict.notify_one()).await;

    let (mut sink, late) = late_gate();
    gives_back(late, with(&token().header("kid", "unknown").sign()), async || {
        let miss = sink.missed().await.unwrap();
        sink.publish(keys());
        drop(miss);
    })
    .await;
}

#[tokio::test]
async fn rs_175_cancelling_drops_the_work_and_gives_the_reservation_back() {
    // While the inner service works.
    let flag = Flag::default();
    let working = flag.clone();
    let inner = service_fn(move |_: Asked| {
        let noted = working.on_drop();
        async move {
            let _noted = noted;
            std::future::pending::<()>().await;
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let service =
        gate(issuer()).layer(RequireLayer::new(scope("read")).layer(ConcurrencyLimit::new(inner, 1)));
    let (mut first, mut second) = (service.clone(), service);
    let request = with(&token().scope("read").sign());
    let mut answer = task::spawn(Box::pin(soon(first.ready()).await.unwrap().call(request)));
    assert_pending!(answer.poll());
    assert!(!flag.is_up());
    assert_pending!(poll_ready(&mut second), "the one slot is taken");
    drop(answer);
    assert!(flag.is_up());
    assert_ready_ok!(poll_ready(&mut second));

    // While the verifier decides.
    let told = told();
    let flag = told.dropped.clone();
    let mut first = BearerLayer::new(told).layer(one_slot());
    let mut second = first.clone();
    let mut answer = task::spawn(Box::pin(soon(first.ready()).await.unwrap().call(with("good"))));
    assert_pending!(answer.poll());
    assert_ready_ok!(poll_ready(&mut second), "nothing is reserved for who may be refused");
    drop(answer);
    assert!(flag.is_up());
}

/// Forged tokens of invented keys may wait as long as the issuer takes to answer.
#[tokio::test]
async fn who_waits_for_keys_takes_no_slot_of_the_inner_service() {
    let (mut sink, late) = late_gate();
    sink.publish(keys());
    let gate = late.layer(one_slot());
    let ask = async |request| soon(gate.clone().oneshot(request)).await.unwrap().status();
    let unknown = || with(&token().header("kid", "unknown").sign());
    let mut forged: Vec<_> = (0..3).map(|_| task::spawn(Box::pin(gate.clone().oneshot(unknown())))).collect();
    for answer in &mut forged {
        assert_pending!(answer.poll());
    }
    assert_eq!(ask(good()).await, 200, "the one slot is free");
    // Who turns out to be good waits for its slot like any other.
    let mut late = task::spawn(Box::pin(gate.clone().oneshot(with(&token_by(rs256()).sign()))));
    assert_pending!(late.poll());
    let mut other = gate.clone();
    assert_ready_ok!(poll_ready(&mut other));
    sink.publish(KeySet::from_jwks(&jwks(&[es256(), rs256()]).to_string()).unwrap());
    for _ in 0..4 {
        drop(soon(sink.missed()).await.unwrap());
    }
    assert_pending!(late.poll(), "the slot is taken");
    drop(other);
    assert_eq!(soon(late).await.unwrap().status(), 200);
}

#[tokio::test]
async fn rs_175_a_request_that_waits_for_keys_can_be_dropped() {
    let (mut sink, late) = late_gate();
    let mut first = late.layer(one_slot());
    let mut second = first.clone();
    let mut answer = task::spawn(Box::pin(soon(first.ready()).await.unwrap().call(good())));
    assert_pending!(answer.poll());
    drop(answer);
    assert_ready_ok!(poll_ready(&mut second));
    // The question is still there; answering nobody does no harm.
    drop(soon(sink.missed()).await.unwrap());
    sink.publish(keys());
    assert_eq!(soon(second.call(good())).await.unwrap().status(), 200);
}
