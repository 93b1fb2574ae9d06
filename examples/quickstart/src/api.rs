//! The protected API: the part to copy.

use axum::{Router, routing::get};
use axum_bearer::{AuthUser, BearerLayer, Connect, Issuer, RequireLayer, policy::scope};
use std::error::Error;

/// Trusts the users of one Supabase project, such as `https://abc.supabase.co`.
pub(crate) async fn app(project_url: &str) -> Result<Router, Box<dyn Error>> {
    let verifier = Issuer::supabase(project_url)?.connect().await?;
    let app = Router::new()
        .route("/me", get(me))
        .route("/orders", get(orders).layer(RequireLayer::new(scope("orders:read"))))
        .layer(BearerLayer::new(verifier))
        .route("/", get(welcome)); // after the layer: open to everybody
    Ok(app)
}

async fn me(user: AuthUser) -> String {
    user.sub.clone()
}

async fn orders(user: AuthUser) -> String {
    format!("orders of {}", user.sub)
}

async fn welcome() -> &'static str {
    "welcome"
}
