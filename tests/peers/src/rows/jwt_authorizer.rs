//! jwt-authorizer: layer and extractor, for axum 0.7.

use super::{Built, Row, said};
use crate::{
    claims::Claims,
    contender::Served,
    world::{AUDIENCE, World},
};
use axum_07::{Router, body::Body, routing::get};
use jwt_authorizer::{Authorizer, IntoLayer, JwtAuthorizer, JwtClaims, Validation};

pub const ROW: Row = Row {
    name: "jwt-authorizer",
    package: Some("jwt-authorizer"),
    shape: "layer",
    ours: false,
    note: "axum 0.7; ring.",
    build: |world, _| Box::pin(build(world)),
};

async fn build(world: &World) -> Built {
    let authorizer: Authorizer<Claims> = JwtAuthorizer::from_jwks_url(&world.jwks_uri)
        .validation(Validation::new().iss(&[&world.iss]).aud(&[AUDIENCE]))
        .build()
        .await
        .map_err(said)?;
    let handler = get(|_: JwtClaims<Claims>| async {});
    let router = Router::new().route("/me", handler).layer(authorizer.into_layer()).with_state(());
    Ok(Served::<_, Body>::boxed(router))
}
