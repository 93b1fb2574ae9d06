//! axum-jwt: an extractor over a decoder in the state.

use super::{Built, Row, said};
use crate::{
    claims,
    contender::Served,
    world::{AUDIENCE, World},
};
use axum::{Router, body::Body, routing::get};
use axum_jwt::{
    Claims, Decoder,
    jsonwebtoken::{DecodingKey, Validation, jwk::Jwk},
};
use bearer_testing::Algorithm;

pub const ROW: Row = Row {
    name: "axum-jwt",
    package: Some("axum-jwt"),
    shape: "extractor",
    ours: false,
    note: "no key set: the key is in the configuration. ring.",
    build: |world, algorithm| Box::pin(async move { build(world, algorithm) }),
};

fn build(world: &World, algorithm: Algorithm) -> Built {
    let jwk: Jwk = serde_json::from_value(world.key(algorithm).public_jwk()).map_err(said)?;
    let key = DecodingKey::from_jwk(&jwk).map_err(said)?;
    let mut validation = Validation::new(algorithm.name().parse().map_err(said)?);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[&world.iss]);
    let router = Router::new()
        .route("/me", get(async |_: Claims<claims::Claims>| ()))
        .with_state(Decoder::new(key, validation));
    Ok(Served::<_, Body>::boxed(router))
}
