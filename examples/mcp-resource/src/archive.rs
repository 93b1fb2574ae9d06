//! The service that keeps the notes: the upstream of the MCP server, and no part to copy.

use axum::{
    Router,
    extract::{Query, State},
    http::HeaderMap,
    routing::get,
};
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Notes by user, and the headers of the last request, for a test to look at. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    notes: Arc<Mutex<HashMap<String, Vec<String>>>>,
    last: Arc<Mutex<HeaderMap>>,
}

#[derive(Deserialize)]
struct Owner {
    user: String,
}

impl Archive {
    /// `GET` lists the notes of `?user=`, `POST` adds one.
    pub fn app(&self) -> Router {
        Router::new().route("/", get(list).post(add)).with_state(self.clone())
    }

    /// The headers of the last request.
    pub fn last_headers(&self) -> HeaderMap {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, headers: HeaderMap) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = headers;
    }
}

async fn list(State(archive): State<Archive>, Query(owner): Query<Owner>, headers: HeaderMap) -> String {
    archive.note(headers);
    let notes = archive.notes.lock().unwrap_or_else(PoisonError::into_inner);
    notes.get(&owner.user).map(|notes| notes.join("\n")).unwrap_or_default()
}

async fn add(
    State(archive): State<Archive>,
    Query(owner): Query<Owner>,
    headers: HeaderMap,
    text: String,
) -> &'static str {
    archive.note(headers);
    archive.notes.lock().unwrap_or_else(PoisonError::into_inner).entry(owner.user).or_default().push(text);
    "added"
}
