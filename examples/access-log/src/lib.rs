//! A service that notes every decision of its gate.

pub mod observer;

use axum::{Router, routing::get};
use axum_bearer::{AuthUser, BearerLayer, GuardedRouter, JwtVerifier, RegisteredClaims, policy::scope};
use metrics_exporter_prometheus::PrometheusHandle;
use observer::AccessLog;

/// `/orders` for callers with the scope, `/metrics` for everybody.
pub fn service(verifier: JwtVerifier, metrics: PrometheusHandle) -> Router {
    GuardedRouter::new()
        .route("/orders", scope("orders:read"), get(orders))
        .public("/metrics", get(async move || metrics.render()))
        .behind(BearerLayer::new(verifier).observe(AccessLog))
}

async fn orders(user: AuthUser<RegisteredClaims>) -> String {
    format!("orders of {}", user.sub.as_deref().unwrap_or("nobody"))
}
