//! Runs the server beside a test issuer and its archive, and prints `curl` lines that walk a client's way.

use bearer_testing::TestIssuer;
use mcp_resource::{app, archive::Archive};
use std::error::Error;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = TestIssuer::start().await;
    let (archive, listener) =
        (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    let host = format!("http://{}", listener.local_addr()?);
    let url = format!("{host}/mcp");
    let app = app(&url, issuer.issuer(), &format!("http://{}", archive.local_addr()?)).await?;

    let token = |scope| issuer.token().audience(&*url).subject("ada").scope(scope).sign();
    print_tour(&host, issuer.issuer(), &token("notes:read"), &token("notes:read notes:write"));
    tokio::select! {
        ended = async { axum::serve(archive, Archive::default().app()).await } => ended?,
        ended = async { axum::serve(listener, app).await } => ended?,
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    Ok(())
}

fn print_tour(host: &str, issuer: &str, reader: &str, writer: &str) {
    let call = |tool: &str, arguments: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
        )
    };
    let post = |token: &str, message: &str| {
        let accept = "-H 'Accept: application/json, text/event-stream'";
        let token =
            if token.is_empty() { String::new() } else { format!(" -H 'Authorization: Bearer {token}'") };
        format!("curl -i {host}/mcp {accept} -H 'Content-Type: application/json'{token} -d '{message}'")
    };
    let tools = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    for (note, line) in [
        ("no token: 401, which names the metadata", post("", tools)),
        (
            "the metadata, which names the issuer",
            format!("curl {host}/.well-known/oauth-protected-resource/mcp"),
        ),
        (
            "the issuer, which names its endpoints",
            format!("curl {issuer}/.well-known/oauth-authorization-server"),
        ),
        ("with a token: the tools", post(reader, tools)),
        ("a tool", post(reader, &call("list_notes", "{}"))),
        (
            "one that needs more: 403, which names the scope",
            post(reader, &call("add_note", r#"{"text":"hello"}"#)),
        ),
        ("the same with more", post(writer, &call("add_note", r#"{"text":"hello"}"#))),
    ] {
        println!("# {note}\n{line}\n");
    }
    println!("Ctrl-C ends.");
}
