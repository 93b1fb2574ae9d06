//! oauth-resource-server: a layer and an extractor.

use super::{Built, Row, said};
use crate::{
    contender::Served,
    world::{AUDIENCE, World},
};
use axum::{Router, body::Body, routing::get};
use bearer_testing::Algorithm;
use oauth_resource_server::{
    Credential, KeyNaming, OAuthConfig, OAuthValidator, axum::AuthLayer, static_token_policy,
};
use std::sync::Arc;

pub const ROW: Row = Row {
    name: "oauth-resource-server",
    package: Some("oauth-resource-server"),
    shape: "layer",
    ours: false,
    note: "tokens without scopes allowed, since Supabase issues no others; ring.",
    build: |world, algorithm| Box::pin(async move { build(world, algorithm) }),
};

fn build(world: &World, algorithm: Algorithm) -> Built {
    let config = OAuthConfig {
        enabled: true,
        issuer: world.iss.clone(),
        jwks_uri: Some(world.jwks_uri.clone()),
        audience: AUDIENCE.to_owned(),
        resource: "https://api.example.com".to_owned(),
        algorithms: vec![algorithm.name().to_owned()],
        allow_unscoped_tokens: true,
        ..OAuthConfig::default()
    };
    let resolved = config.resolve(KeyNaming::Dotted("oauth")).map_err(said)?.ok_or("it is not enabled")?;
    let validator = Arc::new(OAuthValidator::new(&resolved).map_err(said)?);
    validator.spawn_background_refresh();
    let decision = static_token_policy(None, Some(&resolved), false).map_err(said)?;
    let layer = AuthLayer::from_decision(decision, Some(validator)).map_err(said)?;
    let handler = get(async |_: Credential| ());
    let router = Router::new().route("/me", handler).route_layer(layer).with_state(());
    Ok(Served::<_, Body>::boxed(router))
}
