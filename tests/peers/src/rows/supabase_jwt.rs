//! supabase-jwt: a function over a cache of the keys.

use super::{Built, Row};
use crate::{contender::Called, world::World};
use http::header::AUTHORIZATION;
use supabase_jwt::{Claims, JwksCache};

pub const ROW: Row = Row {
    name: "supabase-jwt",
    package: Some("supabase-jwt"),
    shape: "call",
    ours: false,
    note: "ES256 only; checks neither issuer nor audience; ring.",
    build: |world, _| Box::pin(async move { build(world) }),
};

#[allow(clippy::unnecessary_wraps, reason = "as the others")]
fn build(world: &World) -> Built {
    let cache = JwksCache::new(&world.jwks_uri);
    Ok(Called::boxed(async move |request| {
        match request.headers().get(AUTHORIZATION).and_then(|header| header.to_str().ok()) {
            Some(header) => Claims::from_bearer_token(header, &cache).await.is_ok(),
            None => false,
        }
    }))
}
