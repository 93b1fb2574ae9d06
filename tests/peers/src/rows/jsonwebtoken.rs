//! What most of the others are built on, by itself.

use super::{Built, Row, said};
use crate::{
    claims::Claims,
    contender::{Called, token},
    world::{AUDIENCE, World},
};
use bearer_testing::Algorithm;
use jsonwebtoken::{DecodingKey, Validation, decode, jwk::Jwk};

pub const ROW: Row = Row {
    name: "jsonwebtoken",
    package: Some("jsonwebtoken"),
    shape: "call",
    ours: false,
    note: "the key and the `Validation` made once, no key set.",
    build: |world, algorithm| Box::pin(async move { build(world, algorithm) }),
};

fn build(world: &World, algorithm: Algorithm) -> Built {
    let jwk: Jwk = serde_json::from_value(world.key(algorithm).public_jwk()).map_err(said)?;
    let key = DecodingKey::from_jwk(&jwk).map_err(said)?;
    let mut validation = Validation::new(algorithm.name().parse().map_err(said)?);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[&world.iss]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    Ok(Called::boxed(async move |request| {
        token(request).is_some_and(|token| decode::<Claims>(token, &key, &validation).is_ok())
    }))
}
