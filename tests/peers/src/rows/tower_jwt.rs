//! tower-jwt: a layer that leaves it to the handler to refuse.

use super::{Built, Row, said};
use crate::{
    claims::Claims,
    contender::Served,
    world::{AUDIENCE, World},
};
use axum::{Extension, Router, body::Body, http::StatusCode, routing::get};
use bearer_testing::Algorithm;
use jsonwebtoken_9::jwk::Jwk;
use tower_jwt::{DecodingKey, JwtLayer, RequestClaim, Validation};

pub const ROW: Row = Row {
    name: "tower-jwt",
    package: Some("tower-jwt"),
    shape: "layer",
    ours: false,
    note: "no key set: the key is in the configuration. The layer lets requests without a token pass; the handler \
           refuses them, as its documentation shows. ring.",
    build: |world, algorithm| Box::pin(async move { build(world, algorithm) }),
};

fn build(world: &World, algorithm: Algorithm) -> Built {
    let jwk: Jwk = serde_json::from_value(world.key(algorithm).public_jwk()).map_err(said)?;
    let key = DecodingKey::from_jwk(&jwk).map_err(said)?;
    let mut validation = Validation::new(algorithm.name().parse().map_err(said)?);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[&world.iss]);
    let handler = get(async |claims: Option<Extension<RequestClaim<Claims>>>| match claims {
        Some(_) => StatusCode::OK,
        None => StatusCode::UNAUTHORIZED,
    });
    let layer = JwtLayer::<Claims, _>::new(validation, key);
    let router = Router::new().route("/me", handler).layer(layer).with_state(());
    Ok(Served::<_, Body>::boxed(router))
}
