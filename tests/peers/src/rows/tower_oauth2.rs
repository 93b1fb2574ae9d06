//! tower-oauth2-resource-server: a layer.

use super::{Built, Row};
use crate::{
    claims::Claims,
    contender::Served,
    world::{AUDIENCE, World},
};
use axum::{Extension, Router, body::Body, routing::get};
use tower_oauth2_resource_server::{
    server::OAuth2ResourceServer, tenant::TenantConfiguration, validation::ClaimsValidationSpec,
};

pub const ROW: Row = Row {
    name: "tower-oauth2-resource-server",
    package: Some("tower-oauth2-resource-server"),
    shape: "layer",
    ours: false,
    note: "with its feature `jwt-aws-lc-rs` in place of the default; the checks written out, since with a `jwks_url` it \
           checks no issuer, and its recommended ones refuse a token without `nbf`.",
    build: |world, _| Box::pin(build(world)),
};

async fn build(world: &World) -> Built {
    let checks = ClaimsValidationSpec::new().exp(true).iss(&world.iss).aud(&vec![AUDIENCE.to_owned()]);
    let tenant = TenantConfiguration::builder(world.iss.clone())
        .jwks_url(world.jwks_uri.clone())
        .claims_validation(checks)
        .build()
        .await
        .map_err(|error| format!("{error:?}"))?;
    let server = OAuth2ResourceServer::<Claims>::builder()
        .add_tenant(tenant)
        .build()
        .await
        .map_err(|error| format!("{error:?}"))?;
    let handler = get(async |_: Extension<Claims>| ());
    let router = Router::new().route("/me", handler).layer(server.into_layer()).with_state(());
    Ok(Served::<_, Body>::boxed(router))
}
