//! huskarl-resource-server: a validator of requests; its layer for axum is not published.

use super::{Built, Row, said};
use crate::{
    claims::Profile,
    contender::Called,
    world::{AUDIENCE, World},
};
use huskarl_reqwest::ReqwestClient;
use huskarl_resource_server::validator::custom::CustomValidator;

pub const ROW: Row = Row {
    name: "huskarl-resource-server",
    package: Some("huskarl-resource-server"),
    shape: "call",
    ours: false,
    note: "its validator for tokens that are not of RFC 9068, without the `jti` that Supabase does not issue; RustCrypto.",
    build: |world, _| Box::pin(build(world)),
};

async fn build(world: &World) -> Built {
    let client = ReqwestClient::builder().build().await.map_err(said)?;
    let validator = CustomValidator::builder()
        .with_claims::<Profile>()
        .authorization_server(world.iss.clone())
        .iss(world.iss.clone())
        .aud(AUDIENCE)
        .require_jti(false)
        .jwks_uri(world.jwks_uri.parse().map_err(said)?)
        .jwks_source(client)
        .build()
        .await
        .map_err(said)?;
    Ok(Called::boxed(async move |request| {
        let seen = validator.validate_request(request.headers(), request.method(), request.uri(), None).await;
        matches!(seen.outcome, Ok(Some(_)))
    }))
}
