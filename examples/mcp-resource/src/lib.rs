//! An MCP server that takes access tokens: it says where to get them, and checks what they may do.

pub mod archive;
mod notes;
mod scopes;

use axum::{Router, middleware::from_fn};
use axum_bearer::{BearerLayer, ConfigError, Connect, Issuer, ProtectedResource};
use notes::Notes;
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use std::{error::Error, sync::Arc};

/// The server at `url`, such as `https://notes.example/mcp`, for users of `issuer`. The notes are kept by
/// `archive`.
///
/// # Errors
/// When one of the URLs is none, or the issuer does not answer.
pub async fn app(url: &str, issuer: &str, archive: &str) -> Result<Router, Box<dyn Error>> {
    let resource = resource(url, issuer)?;
    // Tokens for anybody else are not for us: the audience is this very URL.
    let verifier = Issuer::new(issuer, resource.identifier()).connect().await?;

    let notes = Notes::new(archive);
    // One request, one answer: nothing to keep between them that would belong to one user.
    let config =
        StreamableHttpServerConfig::default().with_legacy_session_mode(false).with_json_response(true);
    let mcp = StreamableHttpService::new(
        move || Ok(notes.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let app = Router::new()
        .route_service("/mcp", mcp)
        .layer(from_fn(scopes::require))
        .layer(BearerLayer::new(verifier).resource_metadata(&resource).strip_credential())
        .layer(resource.layer()); // outermost: the metadata is for everybody
    Ok(app)
}

/// What the server says of itself. Reading is enough to begin with; a client asks for more when a tool needs
/// it.
fn resource(url: &str, issuer: &str) -> Result<ProtectedResource, ConfigError> {
    ProtectedResource::new(url, [issuer])?
        .scopes([scopes::READ, scopes::WRITE])?
        .challenge_scopes([scopes::READ])
        .map(|resource| resource.name("Notes"))
}
