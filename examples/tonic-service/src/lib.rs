//! A tonic server behind the gate: a greeter for every caller, and orders for those with the scope.
//!
//! Refusals are gRPC statuses: `UNAUTHENTICATED`, `PERMISSION_DENIED`, `UNAVAILABLE`. They are given before
//! the first message of a call is read.

pub mod client;
mod greeter;
mod orders;
pub mod proto;

pub use greeter::Greeter;
pub use orders::Orders;

use tokio::net::TcpListener;
use tonic::{
    service::LayerExt,
    transport::{self, Server, server::TcpIncoming},
};
use tower_bearer::{BearerLayer, JwtVerifier, RequireLayer, policy::scope};

/// Serves both services. Dropping the future ends the server.
///
/// # Errors
/// When the server cannot go on.
pub async fn serve(listener: TcpListener, verifier: JwtVerifier) -> Result<(), transport::Error> {
    Server::builder()
        .layer(BearerLayer::new(verifier))
        .add_service(Greeter)
        .add_service(RequireLayer::new(scope("orders:read")).named_layer(Orders))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await
}
