//! A client that knows one URL, and finds out the rest.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bearer_testing::TestIssuer;
use mcp_resource::{app, archive::Archive};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The server, its issuer and its archive.
struct World {
    issuer: TestIssuer,
    archive: Archive,
    host: String,
}

impl World {
    async fn start() -> Self {
        let (issuer, archive) = (TestIssuer::start().await, Archive::default());
        let (upstream, listener) = (listen().await, listen().await);
        let host = url(&listener);
        let app = app(&format!("{host}/mcp"), issuer.issuer(), &url(&upstream)).await.unwrap();
        let archive_app = archive.app();
        tokio::spawn(async move { axum::serve(upstream, archive_app).await });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { issuer, archive, host }
    }

    /// The one thing that a client knows.
    fn url(&self) -> String {
        format!("{}/mcp", self.host)
    }

    /// What the issuer's token endpoint would give for this resource and scope.
    fn token(&self, resource: &str, scope: &str) -> String {
        self.issuer.token().audience(resource).subject("ada").scope(scope).sign()
    }

    async fn post(&self, token: Option<&str>, message: &Value) -> Response {
        let request = Client::new().post(self.url()).header("accept", "application/json, text/event-stream");
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.json(message).send().await.unwrap()
    }

    async fn call(&self, token: &str, tool: &str, arguments: Value) -> Response {
        let params = json!({ "name": tool, "arguments": arguments });
        self.post(Some(token), &message("tools/call", &params)).await
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn url(listener: &TcpListener) -> String {
    format!("http://{}", listener.local_addr().unwrap())
}

fn message(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

fn initialize() -> Value {
    let client = json!({ "name": "test", "version": "1" });
    message(
        "initialize",
        &json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client }),
    )
}

async fn fetch(url: &str) -> Value {
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    answer.json().await.unwrap()
}

/// The value of a parameter of the challenge; none of ours has an escape in it.
fn challenged(answer: &Response, parameter: &str) -> Option<String> {
    let challenge = answer.headers().get("www-authenticate")?.to_str().unwrap();
    let (_, value) = challenge.split_once(&format!(" {parameter}=\""))?;
    Some(value.split_once('"').unwrap().0.to_owned())
}

/// What the tool answered.
async fn text(answer: Response) -> String {
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn a_client_finds_its_way_from_the_url_to_a_tool() {
    let world = World::start().await;

    let refused = world.post(None, &initialize()).await;
    assert_eq!((refused.status().as_u16(), challenged(&refused, "error")), (401, None));
    let scope = challenged(&refused, "scope").unwrap();
    assert_eq!(scope, "notes:read", "what is needed to begin with, not all there is");

    let metadata_url = challenged(&refused, "resource_metadata").unwrap();
    assert_eq!(metadata_url, format!("{}/.well-known/oauth-protected-resource/mcp", world.host));
    let metadata = fetch(&metadata_url).await;
    assert_eq!(metadata["resource"], world.url(), "the URL that was asked (RFC 9728 §3.3)");
    assert_eq!(metadata["scopes_supported"], json!(["notes:read", "notes:write"]));
    assert_eq!(metadata["bearer_methods_supported"], json!(["header"]));

    let issuer = metadata["authorization_servers"][0].as_str().unwrap();
    let server = fetch(&format!("{issuer}/.well-known/oauth-authorization-server")).await;
    assert_eq!(server["issuer"], issuer, "RFC 8414 §3.3");
    assert!(server["token_endpoint"].is_string());
    let keys = fetch(server["jwks_uri"].as_str().unwrap()).await;
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);

    let token = world.token(metadata["resource"].as_str().unwrap(), &scope);
    let initialized: Value = world.post(Some(&token), &initialize()).await.json().await.unwrap();
    assert!(initialized["result"]["serverInfo"].is_object(), "{initialized}");
    let tools: Value =
        world.post(Some(&token), &message("tools/list", &json!({}))).await.json().await.unwrap();
    let names: Vec<_> =
        tools["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["add_note", "list_notes"]);
    assert_eq!(text(world.call(&token, "list_notes", json!({})).await).await, "");
}

#[tokio::test]
async fn a_tool_that_needs_more_names_the_scope_and_takes_it() {
    let world = World::start().await;
    let reader = world.token(&world.url(), "notes:read");
    let note = json!({ "text": "milk" });

    let refused = world.call(&reader, "add_note", note.clone()).await;
    assert_eq!(refused.status(), 403);
    assert_eq!(challenged(&refused, "error").as_deref(), Some("insufficient_scope"));
    assert_eq!(challenged(&refused, "scope").as_deref(), Some("notes:write"));
    assert!(challenged(&refused, "resource_metadata").is_some());

    let writer = world.token(&world.url(), "notes:read notes:write");
    assert_eq!(text(world.call(&writer, "add_note", note).await).await, "added");
    assert_eq!(text(world.call(&reader, "list_notes", json!({})).await).await, "milk");
}

#[tokio::test]
async fn no_call_goes_past_the_scopes() {
    let world = World::start().await;
    let reader = world.token(&world.url(), "notes:read");
    let call = |name: &str| message("tools/call", &json!({ "name": name, "arguments": { "text": "x" } }));
    let two_methods = |first, last| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{first}","method":"{last}","params":{{"name":"add_note"}}}}"#
        )
    };
    for (status, body) in [
        (403, call("drop_notes").to_string()),
        (403, call("Add_note").to_string()),
        (403, message("tools/call", &json!({})).to_string()),
        (400, json!([call("add_note")]).to_string()),
        (400, "{".to_owned()),
        // The last of two counts, for whoever reads it.
        (403, two_methods("tools/list", "tools/call")),
        (200, two_methods("tools/call", "tools/list")),
        (413, "x".repeat(65 * 1024)),
    ] {
        let request = Client::new().post(world.url()).bearer_auth(&reader);
        let request = request.header("accept", "application/json, text/event-stream");
        let answer =
            request.header("content-type", "application/json").body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), status, "{}", &body[..body.len().min(200)]);
    }
    assert!(world.archive.last_headers().is_empty(), "nothing got there");
}

#[tokio::test]
async fn a_token_for_somebody_else_is_refused() {
    let world = World::start().await;
    for other in [world.host.clone(), format!("{}/", world.url()), "https://other.example/mcp".to_owned()] {
        let refused = world.call(&world.token(&other, "notes:read"), "list_notes", json!({})).await;
        assert_eq!(refused.status(), 401, "{other}");
        assert_eq!(challenged(&refused, "error").as_deref(), Some("invalid_token"), "{other}");
    }
}

#[tokio::test]
async fn the_token_is_not_passed_on() {
    let world = World::start().await;
    let token = world.token(&world.url(), "notes:read");
    text(world.call(&token, "list_notes", json!({})).await).await;
    let seen = world.archive.last_headers();
    assert!(seen.contains_key("host"), "the archive was asked");
    assert!(!format!("{seen:?}").contains("authorization"), "{seen:?}");
    assert!(seen.values().all(|value| !value.to_str().unwrap().contains(&token)));
}
