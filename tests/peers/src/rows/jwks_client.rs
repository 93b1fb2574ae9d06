//! `jwks_client_rs`: a client that verifies.

use super::{Built, Row};
use crate::{
    claims::Claims,
    contender::{Called, token},
    world::{AUDIENCE, World},
};
use jwks_client_rs::{JwksClient, source::WebSource};
use reqwest::Url;

pub const ROW: Row = Row {
    name: "jwks_client_rs",
    package: Some("jwks_client_rs"),
    shape: "call",
    ours: false,
    note: "has no issuer to check; fetches the key set for every token with an unknown key.",
    build: |world, _| Box::pin(async move { build(world) }),
};

fn build(world: &World) -> Built {
    let url = Url::parse(&world.jwks_uri).map_err(super::said)?;
    let source = WebSource::builder().build(url).map_err(super::said)?;
    let client = JwksClient::builder().build(source);
    Ok(Called::boxed(async move |request| match token(request) {
        Some(token) => client.decode::<Claims>(token, &[AUDIENCE]).await.is_ok(),
        None => false,
    }))
}
