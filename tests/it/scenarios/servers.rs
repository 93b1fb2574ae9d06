//! One stack of layers under three frameworks, each behind a socket of its own.

use crate::support::app::REACHED;
use axum::Router;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use std::{
    convert::Infallible,
    future::{Ready, ready},
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{net::TcpListener, task::JoinSet};
use tonic::{
    server::NamedService,
    transport::{self, server::TcpIncoming},
};
use tower::{Service, ServiceBuilder, service_fn, util::option_layer};
use tower_bearer::{BearerLayer, Rejection, RequireLayer, Verify, policy::Policy};

/// Where everything is asked for: the one path that tonic serves too.
pub(super) const PATH: &str = "/test.Echo/Call";

/// What stands between the gate and the service; `None` lets everybody through whom the gate let through.
pub(super) type Guard = Option<Arc<dyn Policy + Send + Sync>>;

/// A policy that is chosen at run time.
#[expect(clippy::unnecessary_wraps, reason = "it is a guard")]
pub(super) fn by(policy: impl Policy + Send + Sync + 'static) -> Guard {
    Some(Arc::new(policy))
}

/// Servers until they are dropped.
#[derive(Debug, Default)]
pub(super) struct Servers {
    pub(super) all: Vec<(&'static str, SocketAddr)>,
    tasks: JoinSet<()>,
}

impl Servers {
    /// All three.
    pub(super) async fn start<V>(gate: BearerLayer<V>, guard: Guard) -> Self
    where
        V: Verify + Send + Sync + 'static,
        V::Future: Send,
    {
        let mut servers = Self::with_bodies(gate.clone(), guard.clone()).await;
        let listener = servers.listen("tonic").await;
        servers.tasks.spawn(async move { tonic(listener, gate, guard).await.unwrap() });
        servers
    }

    /// Those whose bodies can be made of text.
    pub(super) async fn with_bodies<V, R>(gate: BearerLayer<V, R>, guard: Guard) -> Self
    where
        V: Verify + Send + Sync + 'static,
        V::Future: Send,
        R: Rejection<axum::body::Body> + Rejection<Full<Bytes>> + Send + Sync + 'static,
    {
        let mut servers = Self::default();
        let listener = servers.listen("axum").await;
        servers.tasks.spawn(axum(listener, gate.clone(), guard.clone()));
        let listener = servers.listen("hyper").await;
        servers.tasks.spawn(hyper(listener, gate, guard));
        servers
    }

    async fn listen(&mut self, framework: &'static str) -> TcpListener {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.all.push((framework, listener.local_addr().unwrap()));
        listener
    }
}

async fn axum<V, R>(listener: TcpListener, gate: BearerLayer<V, R>, guard: Guard)
where
    V: Verify + Send + Sync + 'static,
    V::Future: Send,
    R: Rejection<axum::body::Body> + Send + Sync + 'static,
{
    let app = Router::new()
        .route_service(PATH, service_fn(echo::<_, axum::body::Body>))
        .layer(option_layer(guard.map(RequireLayer::new)))
        .layer(gate);
    axum::serve(listener, app).await.unwrap();
}

async fn hyper<V, R>(listener: TcpListener, gate: BearerLayer<V, R>, guard: Guard)
where
    V: Verify + Send + Sync + 'static,
    V::Future: Send,
    R: Rejection<Full<Bytes>> + Send + Sync + 'static,
{
    let service = ServiceBuilder::new()
        .layer(gate)
        .layer(option_layer(guard.map(RequireLayer::new)))
        .service_fn(echo::<Incoming, Full<Bytes>>);
    let service = TowerToHyperService::new(service);
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service.clone();
        connections.spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            // An error here is a client that went away.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn tonic<V>(listener: TcpListener, gate: BearerLayer<V>, guard: Guard) -> Result<(), transport::Error>
where
    V: Verify + Send + Sync + 'static,
    V::Future: Send,
{
    transport::Server::builder()
        .accept_http1(true)
        .layer(gate)
        .layer(option_layer(guard.map(RequireLayer::new)))
        .add_service(Echo)
        .serve_with_incoming(TcpIncoming::from(listener))
        .await
}

/// Says that the request came through, to whoever asks in the way of gRPC in that way.
async fn echo<B, R: Default>(request: Request<B>) -> Result<Response<R>, Infallible> {
    Ok(reached(&request))
}

fn reached<B, R: Default>(request: &Request<B>) -> Response<R> {
    let mut response = Response::new(R::default());
    let headers = response.headers_mut();
    headers.insert(REACHED, HeaderValue::from_static("yes"));
    if request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/grpc") {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static("0"));
    }
    response
}

/// The same as a service that tonic can find by its name.
#[derive(Clone, Copy, Debug)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl Service<Request<tonic::body::Body>> for Echo {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        ready(Ok(reached(&request)))
    }
}
