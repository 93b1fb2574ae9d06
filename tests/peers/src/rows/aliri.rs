//! aliri with `aliri_oauth2` and `aliri_tower`: a layer, and guards of scopes that are not used here.

use super::{Built, Row, said};
use crate::{
    contender::Served,
    world::{AUDIENCE, World},
};
use aliri::{jwa, jwt};
use aliri_oauth2::{Authority, HasScope, Scope};
use aliri_tower::Oauth2Authorizer;
use axum::{Extension, Router, body::Body, routing::get};
use bearer_testing::Algorithm;
use serde::Deserialize;
use std::time::Duration;

pub const ROW: Row = Row {
    name: "aliri_tower",
    package: Some("aliri_tower"),
    shape: "layer",
    ours: false,
    note: "no EdDSA; EC keys need OpenSSL, and `--features openssl` here; ring.",
    build: |world, algorithm| Box::pin(build(world, algorithm)),
};

/// What it checks, and what the other handlers read.
#[derive(Clone, Debug, Deserialize)]
#[allow(dead_code, reason = "what a handler would read")]
struct Claims {
    iss: jwt::Issuer,
    aud: jwt::Audiences,
    sub: jwt::Subject,
    exp: aliri_clock::UnixTime,
    #[serde(default)]
    scope: Scope,
    email: String,
    role: String,
    aal: String,
    session_id: String,
    is_anonymous: bool,
}

impl jwt::CoreClaims for Claims {
    fn nbf(&self) -> Option<aliri_clock::UnixTime> {
        None
    }

    fn exp(&self) -> Option<aliri_clock::UnixTime> {
        Some(self.exp)
    }

    fn aud(&self) -> &jwt::Audiences {
        &self.aud
    }

    fn iss(&self) -> Option<&jwt::IssuerRef> {
        Some(&self.iss)
    }

    fn sub(&self) -> Option<&jwt::SubjectRef> {
        Some(&self.sub)
    }
}

impl HasScope for Claims {
    fn scope(&self) -> &Scope {
        &self.scope
    }
}

async fn build(world: &World, algorithm: Algorithm) -> Built {
    let algorithm: jwa::Algorithm = match algorithm {
        Algorithm::RS256 => jwa::Algorithm::RS256,
        #[cfg(feature = "openssl")]
        Algorithm::ES256 => jwa::Algorithm::ES256,
        #[cfg(not(feature = "openssl"))]
        Algorithm::ES256 => return Err("EC keys need `--features openssl`".to_owned()),
        _ => return Err("no EdDSA".to_owned()),
    };
    let validator = jwt::CoreValidator::default()
        .with_leeway_secs(60)
        .add_approved_algorithm(algorithm)
        .add_allowed_audience(jwt::Audience::from_static(AUDIENCE))
        .require_issuer(jwt::Issuer::new(world.iss.clone()));
    let authority = Authority::new_from_url(world.jwks_uri.clone(), validator).await.map_err(said)?;
    authority.spawn_refresh(Duration::from_mins(10));
    let authorizer = Oauth2Authorizer::new().with_claims::<Claims>().with_terse_error_handler();
    let handler = get(async |_: Extension<Claims>| ());
    let router = Router::new().route("/me", handler).layer(authorizer.jwt_layer(authority)).with_state(());
    Ok(Served::<_, Body>::boxed(router))
}
