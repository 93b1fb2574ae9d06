//! The MCP server itself: two tools over notes that another service keeps.

use axum_bearer::Verified;
use reqwest::{Client, RequestBuilder};
use rmcp::{
    ErrorData, ServerHandler,
    handler::server::{common::Extension, wrapper::Parameters},
    schemars, tool, tool_handler, tool_router,
};
use serde::Deserialize;

/// The tools. Which scopes they need is said in `scopes.rs`.
#[derive(Clone, Debug)]
pub(crate) struct Notes {
    archive: String,
    client: Client,
}

/// What `add_note` takes.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
pub(crate) struct NewNote {
    /// The text of the note.
    text: String,
}

#[tool_router]
impl Notes {
    pub(crate) fn new(archive: &str) -> Self {
        Self { archive: archive.to_owned(), client: Client::new() }
    }

    /// The caller's notes.
    #[tool(description = "Lists the user's notes, one per line.")]
    async fn list_notes(
        &self,
        Extension(head): Extension<http::request::Parts>,
    ) -> Result<String, ErrorData> {
        send(self.client.get(self.url_for(&head)?)).await
    }

    /// One more.
    #[tool(description = "Adds a note.")]
    async fn add_note(
        &self,
        Parameters(note): Parameters<NewNote>,
        Extension(head): Extension<http::request::Parts>,
    ) -> Result<String, ErrorData> {
        send(self.client.post(self.url_for(&head)?).body(note.text)).await
    }

    /// The archive is told whose notes, and not by the caller's token: that is for this server, and passing
    /// it on would let the archive act as the caller here. Where the archive wants a token, this server gets
    /// one of its own.
    fn url_for(&self, head: &http::request::Parts) -> Result<reqwest::Url, ErrorData> {
        let caller = head.extensions.get::<Verified>().and_then(Verified::subject);
        let caller = caller.ok_or_else(|| ErrorData::invalid_request("the token is of no user", None))?;
        reqwest::Url::parse_with_params(&self.archive, [("user", caller)]).map_err(internal)
    }
}

#[tool_handler]
impl ServerHandler for Notes {}

async fn send(request: RequestBuilder) -> Result<String, ErrorData> {
    let answer = request.send().await.and_then(reqwest::Response::error_for_status).map_err(internal)?;
    answer.text().await.map_err(internal)
}

/// The reason stays here: it is none of the model's business.
fn internal<E>(_: E) -> ErrorData {
    ErrorData::internal_error("the archive does not answer", None)
}
