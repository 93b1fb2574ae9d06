//! axum-keycloak-auth: a layer, for tokens as Keycloak makes them.

use super::{Built, Row, said};
use crate::{
    claims::Profile,
    contender::Served,
    world::{AUDIENCE, World},
};
use axum::{Extension, Router, body::Body, routing::get};
use axum_keycloak_auth::{
    Url,
    decode::KeycloakToken,
    instance::{KeycloakAuthInstance, KeycloakConfig},
    layer::KeycloakAuthLayer,
};
use std::time::Duration;

pub const ROW: Row = Row {
    name: "axum-keycloak-auth",
    package: Some("axum-keycloak-auth"),
    shape: "layer",
    ours: false,
    note: "insists on the claims `jti`, `typ` and `azp`, which Supabase does not issue.",
    build: |world, _| Box::pin(build(world)),
};

async fn build(world: &World) -> Built {
    let server = Url::parse(&world.keycloak).map_err(said)?;
    let config = KeycloakConfig::builder().server(server).realm("main".to_owned()).build();
    let instance = KeycloakAuthInstance::new(config);
    while !instance.is_operational().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let layer = KeycloakAuthLayer::<String, Profile>::builder()
        .instance(instance)
        .expected_audiences(vec![AUDIENCE.to_owned()])
        .build();
    let handler = get(async |_: Extension<KeycloakToken<String, Profile>>| ());
    let router = Router::new().route("/me", handler).layer(layer).with_state(());
    Ok(Served::<_, Body>::boxed(router))
}
