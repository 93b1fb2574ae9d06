//! This project, as the front page shows it.

use super::{Built, Row, said};
use crate::{
    contender::Served,
    world::{PROJECT, World},
};
use axum::{Router, body::Body, routing::get};
use axum_bearer::{AuthUser, BearerLayer, Connect, Issuer, JwtVerifier, SupabaseClaims};
use bearer_testing::Algorithm;

pub const ROW: Row = Row {
    name: "axum-bearer",
    package: Some("axum-bearer"),
    shape: "layer",
    ours: true,
    note: "this project, with the Supabase preset and its claims, metadata included.",
    build: |world, algorithm| Box::pin(build(world, algorithm)),
};

async fn build(world: &World, _: Algorithm) -> Built {
    Ok(Served::<_, Body>::boxed(router(verifier(&world.jwks_uri).await?)))
}

pub async fn verifier(jwks_uri: &str) -> Result<JwtVerifier, String> {
    Issuer::supabase(PROJECT).map_err(said)?.jwks_uri(jwks_uri).connect().await.map_err(said)
}

pub fn router(verifier: JwtVerifier) -> Router {
    Router::new()
        .route("/me", get(async |_: AuthUser<SupabaseClaims>| ()))
        .layer(BearerLayer::new(verifier))
        .with_state(())
}
