//! What is compared: a file for each, with the crate set up as its documentation says and called as its users call it.
//!
//! Where a crate leaves the choice, aws-lc-rs verifies. Where it has an issuer and an audience to check, it checks them.

mod aliri;
pub mod axum_bearer;
mod axum_jwt;
mod axum_jwt_auth;
mod axum_keycloak_auth;
mod bare;
mod floor;
mod huskarl;
mod jsonwebtoken;
mod jwks_client;
mod jwt_authorizer;
mod oauth_resource_server;
mod supabase_jwt;
mod tower_jwt;
mod tower_oauth2;

use crate::{contender::Contender, world::World};
use bearer_testing::Algorithm;
use std::{fmt::Display, pin::Pin};

pub struct Row {
    pub name: &'static str,
    /// Whose version is shown.
    pub package: Option<&'static str>,
    /// How it is called.
    pub shape: &'static str,
    pub ours: bool,
    pub note: &'static str,
    /// Sets it up, keys fetched, or says why it cannot take the algorithm.
    pub build: for<'a> fn(&'a World, Algorithm) -> Building<'a>,
}

pub type Building<'a> = Pin<Box<dyn Future<Output = Built> + 'a>>;
pub type Built = Result<Box<dyn Contender>, String>;

/// The row that the others are multiples of: the first.
pub const FLOOR: &str = floor::ROW.name;

pub const ALL: [Row; 16] = [
    floor::ROW,
    bare::ROW,
    axum_bearer::ROW,
    axum_bearer::FORGETFUL,
    jsonwebtoken::ROW,
    jwt_authorizer::ROW,
    axum_jwt_auth::ROW,
    tower_oauth2::ROW,
    aliri::ROW,
    axum_keycloak_auth::ROW,
    oauth_resource_server::ROW,
    tower_jwt::ROW,
    axum_jwt::ROW,
    jwks_client::ROW,
    huskarl::ROW,
    supabase_jwt::ROW,
];

/// Cargo turns both backends of jsonwebtoken 10 on, since axum-jwt-auth asks for the slow one; the application has to
/// choose. Of jsonwebtoken 11 there is only aws-lc-rs.
pub fn install_crypto() {
    // Fails only if it was installed before.
    let _ = jsonwebtoken_10::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn said(error: impl Display) -> String {
    error.to_string()
}
