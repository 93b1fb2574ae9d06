//! Bodies that the routes read: a form or JSON, of a bounded size.

use crate::token_response;
use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, header::CONTENT_TYPE},
};
use serde::de::DeserializeOwned;

/// The longest body, in bytes.
const LIMIT: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Form,
    Json,
}

impl Kind {
    /// `None` when it is neither, or nobody says what it is.
    pub(super) fn of(request: &HeaderMap) -> Option<Self> {
        let content_type = request.get(CONTENT_TYPE)?.to_str().ok()?;
        match content_type.split(';').next()?.trim().to_ascii_lowercase().as_str() {
            "application/x-www-form-urlencoded" => Some(Self::Form),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// The whole body. `None` when it is too long, or did not arrive.
pub(super) async fn read(body: Body) -> Option<Bytes> {
    to_bytes(body, LIMIT).await.ok()
}

/// What a JSON object says. `None` for what is none: of an array the first member would pass for the first
/// field.
pub(super) fn of_json<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_str(token_response::object(body)?).ok()
}
