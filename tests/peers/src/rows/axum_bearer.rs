//! This project, as the front page shows it.

use super::{Built, Row, said};
use crate::{
    contender::Served,
    world::{PROJECT, World},
};
use axum::{Router, body::Body, routing::get};
use axum_bearer::{AuthUser, BearerLayer, Connect, Issuer, JwtVerifier, SupabaseClaims, TokenCache};
use bearer_testing::Algorithm;

pub const ROW: Row = Row {
    name: "axum-bearer",
    package: Some("axum-bearer"),
    shape: "layer",
    ours: true,
    note: "this project, with the Supabase preset and its claims, metadata included.",
    build: |world, algorithm| Box::pin(build(world, algorithm)),
};

pub const FORGETFUL: Row = Row {
    name: "axum-bearer, no cache",
    note: "the same with `TokenCache::new(0)`: it verifies every token, as all others do.",
    build: |world, _| Box::pin(build_forgetful(world)),
    ..ROW
};

async fn build(world: &World, _: Algorithm) -> Built {
    Ok(Served::<_, Body>::boxed(router(verifier(&world.jwks_uri).await?)))
}

async fn build_forgetful(world: &World) -> Built {
    let verifier = verifier(&world.jwks_uri).await?;
    Ok(Served::<_, Body>::boxed(router(verifier.cache(&TokenCache::new(0)))))
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
