//! axum-jwt-auth: an extractor over a decoder in the state.

use super::{Built, Row, said};
use crate::{
    claims,
    contender::Served,
    world::{AUDIENCE, World},
};
use axum::{Router, body::Body, extract::FromRef, routing::get};
use axum_jwt_auth::{Claims, Decoder, RemoteJwksDecoder};
use bearer_testing::Algorithm;
use jsonwebtoken_10::Validation;
use std::sync::Arc;

pub const ROW: Row = Row {
    name: "axum-jwt-auth",
    package: Some("axum-jwt-auth"),
    shape: "extractor",
    ours: false,
    note: "with aws-lc-rs installed as jsonwebtoken's provider by the application; it brings RustCrypto, which is \
           several times slower.",
    build: |world, algorithm| Box::pin(build(world, algorithm)),
};

#[derive(Clone)]
struct App {
    decoder: Decoder<claims::Claims>,
}

impl FromRef<App> for Decoder<claims::Claims> {
    fn from_ref(app: &App) -> Self {
        Arc::clone(&app.decoder)
    }
}

async fn build(world: &World, algorithm: Algorithm) -> Built {
    let mut validation = Validation::new(algorithm.name().parse().map_err(said)?);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[&world.iss]);
    let decoder = RemoteJwksDecoder::builder()
        .jwks_url(world.jwks_uri.clone())
        .validation(validation)
        .build()
        .map_err(said)?;
    // The token stops the refresher only when it is told to.
    let _ = decoder.initialize().await.map_err(said)?;
    let router = Router::new()
        .route("/me", get(async |_: Claims<claims::Claims>| ()))
        .with_state(App { decoder: Arc::new(decoder) });
    Ok(Served::<_, Body>::boxed(router))
}
