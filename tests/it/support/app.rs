//! A small service behind a gate, and the way to ask it without a socket.

use super::{
    answer::Answer,
    keys::{gate, issuer},
};
use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use tower::ServiceExt as _;
use tower_bearer::{BearerLayer, Rejection, RequireLayer, Verified, Verify, policy::Policy};

/// The header that says that a request came through.
pub(crate) const REACHED: &str = "x-reached";

/// Answers every request that comes through with its subject, and with [`REACHED`].
pub(crate) async fn reached(request: Request) -> Response {
    let verified = request.extensions().get::<Verified>().cloned();
    let subject = verified.as_ref().and_then(Verified::subject).unwrap_or("nobody").to_owned();
    let mut response = ([(REACHED, "yes")], subject).into_response();
    if let Some(verified) = verified {
        response.extensions_mut().insert(verified);
    }
    response
}

/// Whatever is asked for, behind this gate.
pub(crate) fn app<V, R>(gate: BearerLayer<V, R>) -> Router
where
    V: Verify + Send + Sync + 'static,
    V::Future: Send,
    R: Rejection<Body> + Send + Sync + 'static,
{
    Router::new().fallback(reached).layer(gate)
}

/// Whatever is asked for, behind a policy behind the usual gate.
pub(crate) fn guarded<P: Policy + Clone + Send + Sync + 'static>(policy: P) -> Router {
    Router::new().fallback(reached).layer(RequireLayer::new(policy)).layer(gate(issuer()))
}

/// The usual gate.
pub(crate) fn usual() -> Router {
    app(gate(issuer()))
}

/// A request with these `Authorization` lines.
pub(crate) fn request<'a>(authorization: impl IntoIterator<Item = &'a [u8]>) -> Request {
    let mut request = Request::new(Body::empty());
    *request.headers_mut() = authorization
        .into_iter()
        .map(|value| (AUTHORIZATION, HeaderValue::from_bytes(value).unwrap()))
        .collect::<HeaderMap>();
    request
}

/// Asks without a socket.
pub(crate) async fn ask(app: &Router, request: Request) -> Answer {
    Answer::of(app.clone().oneshot(request).await.unwrap()).await
}

/// Asks with one token.
pub(crate) async fn bearer(app: &Router, token: &str) -> Answer {
    ask(app, request([format!("Bearer {token}").as_bytes()])).await
}
