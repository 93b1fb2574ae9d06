//! What the tests share: a gate to ask, servers and clients around it, and readers of what comes back.

pub(crate) mod answer;
pub(crate) mod app;
pub(crate) mod challenge;
pub(crate) mod client;
pub(crate) mod forge;
pub(crate) mod frames;
pub(crate) mod grpc;
pub(crate) mod keys;
pub(crate) mod logs;
pub(crate) mod names;
pub(crate) mod server;

use axum::Router;
use std::time::Duration;

/// Ends a test that would wait forever.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it takes too long")
}

/// Serves until the test's runtime ends, and returns the URL without a path.
pub(crate) async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}
