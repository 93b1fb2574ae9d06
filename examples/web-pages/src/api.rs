//! The API, for scripts on the pages of another origin, which send the token in `Authorization`.

use crate::notes::Notes;
use axum::{
    Json, Router,
    extract::State,
    http::{
        HeaderValue, Method,
        header::{AUTHORIZATION, InvalidHeaderValue, WWW_AUTHENTICATE},
    },
    routing::{delete, get},
};
use axum_bearer::{
    AuthUser, BearerLayer, GuardedRouter,
    policy::{aal, authenticated},
};
use std::time::Duration;
use tower_http::cors::CorsLayer;

/// Every route has its policy. Around the gate, CORS for one origin.
pub(crate) fn router(notes: Notes, gate: BearerLayer, origin: &str) -> Result<Router, InvalidHeaderValue> {
    let api = GuardedRouter::new()
        .public("/health", get(async || "ok"))
        .route("/notes", authenticated(), get(list))
        .route("/notes", aal("aal2"), delete(clear))
        .with_state(notes);
    Ok(api.behind(gate).layer(cors(origin)?))
}

/// Stands outside of the gate: preflights have no token, and a script may read an answer only where CORS says
/// so, a refusal no less. Its challenge says what to do, so that is exposed too. No `allow_credentials`:
/// cookies are not for the API.
fn cors(origin: &str) -> Result<CorsLayer, InvalidHeaderValue> {
    Ok(CorsLayer::new()
        .allow_origin([HeaderValue::from_str(origin)?])
        .allow_methods([Method::GET, Method::DELETE])
        .allow_headers([AUTHORIZATION]) // by name: `*` does not mean this one
        .expose_headers([WWW_AUTHENTICATE])
        .max_age(Duration::from_secs(600)))
}

async fn list(State(notes): State<Notes>, user: AuthUser) -> Json<Vec<String>> {
    Json(notes.of(&user))
}

/// Not without a second factor.
async fn clear(State(notes): State<Notes>, user: AuthUser) {
    notes.clear(&user);
}
