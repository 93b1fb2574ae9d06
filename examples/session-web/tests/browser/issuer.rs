//! The issuer of the tour, and what the script may ask and tell it.

use axum::{
    Json, Router,
    extract::{Path, State},
    response::Html,
    routing::{get, post},
};
use bearer_testing::{SupabaseOptions, TestSupabase};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const EMAIL: &str = "ada@example.com";
pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct Issuer {
    supabase: TestSupabase,
    control_url: String,
}

/// It ends a session whose refresh token comes twice.
pub(crate) async fn start() -> Issuer {
    let options = SupabaseOptions::new().strict_single_use();
    let supabase = TestSupabase::start_with(options).await;
    supabase.add_user(EMAIL, PASSWORD);
    let control = Router::new()
        // Another site, to a browser.
        .route("/", get(async || Html("<!doctype html><link rel=icon href=data:,>")))
        .route("/counts", get(counts))
        .route("/tokens", get(async |State(supabase): State<TestSupabase>| Json(supabase.issued_tokens())))
        .route("/lifetime/{seconds}", post(lifetime))
        .with_state(supabase.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, control).await });
    Issuer { supabase, control_url }
}

impl Issuer {
    pub(crate) fn project_url(&self) -> &str {
        self.supabase.project_url()
    }

    pub(crate) fn control_url(&self) -> &str {
        &self.control_url
    }

    pub(crate) fn presentations(&self) -> Vec<usize> {
        self.supabase.presentations()
    }
}

async fn counts(State(supabase): State<TestSupabase>) -> Json<Value> {
    Json(json!({ "refreshes": supabase.refreshes(), "sessions": supabase.sessions_alive() }))
}

async fn lifetime(State(supabase): State<TestSupabase>, Path(seconds): Path<i64>) {
    supabase.set_access_token_expires_in(seconds);
}
