//! Which tool needs which scope. The answer to a call without it is HTTP's 403, on which a client asks its
//! user for more; an error within MCP would only be told to the model. So the call is looked at before MCP
//! gets it.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{StatusCode, header::CONTENT_LENGTH},
    middleware::Next,
    response::{IntoResponse, Response},
};
use axum_bearer::{
    AuthError, RequireLayer, Verified,
    policy::{Policy, scope},
};
use serde_json::{Map, Value};
use std::sync::Arc;
use tower::{Layer, ServiceExt};

pub(crate) const READ: &str = "notes:read";
pub(crate) const WRITE: &str = "notes:write";

/// The longest message, in bytes.
const LIMIT: usize = 64 * 1024;

/// A JSON-RPC message.
type Message = Map<String, Value>;

/// Passes on one message of a caller who may send it.
pub(crate) async fn require(request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LIMIT).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    if body.is_empty() {
        return next.run(Request::from_parts(head, Body::empty())).await;
    }
    let Ok(message) = serde_json::from_slice::<Message>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    // What was looked at is what is passed on: nobody reads another tool out of the same bytes.
    let body = Value::Object(message.clone()).to_string();
    head.headers.remove(CONTENT_LENGTH);
    let request = Request::from_parts(head, Body::from(body));
    let policy = move |verified: &Verified| check(&message, verified);
    match RequireLayer::new(Arc::new(policy)).layer(next).oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Any caller may ask what there is; a tool that nobody gave a scope is nobody's to call.
fn check(message: &Message, verified: &Verified) -> Result<(), AuthError> {
    if message.get("method").is_none_or(|method| method != "tools/call") {
        return Ok(());
    }
    match message.get("params").and_then(|params| params.get("name")).and_then(Value::as_str) {
        Some("list_notes") => scope(READ).check(verified),
        Some("add_note") => scope(WRITE).check(verified),
        _ => Err(AuthError::forbidden("no such tool")),
    }
}
