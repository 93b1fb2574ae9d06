//! A service on bare hyper behind the gate, with HTTP/1.1 and HTTP/2 on one port.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use std::{convert::Infallible, time::Duration};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};
use tower::ServiceBuilder;
use tower_bearer::{BearerLayer, JwtVerifier, RequireLayer, Verified, policy::scope};

/// Serves the orders of callers whose token has the scope `orders:read`. Dropping the future ends the server,
/// with every connection it has.
pub async fn serve(listener: TcpListener, verifier: JwtVerifier) {
    let service = ServiceBuilder::new()
        .layer(BearerLayer::new(verifier))
        .layer(RequireLayer::new(scope("orders:read")))
        .service_fn(orders);
    let service = TowerToHyperService::new(service);
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: others are closed soon.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let service = service.clone();
        connections.spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            // An error here is a client that went away.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Only reached by callers whom both layers let through.
async fn orders(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let caller = request.extensions().get::<Verified>().and_then(Verified::subject);
    Ok(Response::new(match caller {
        Some(caller) => format!("orders of {caller}").into(),
        None => "orders of no user in particular".into(),
    }))
}
