//! Serves the API until Ctrl-C, and says how to call it.

use crate::api;
use bearer_testing::TestSupabase;
use std::{
    error::Error,
    io::{self, ErrorKind},
    net::Ipv4Addr,
    thread,
};
use tokio::{net::TcpListener, signal, sync::mpsc};

const PORT: u16 = 3000;

/// The API beside a small Supabase Auth, whose keys rotate on Enter.
pub(crate) async fn with_test_issuer(port: Option<u16>) -> Result<(), Box<dyn Error>> {
    let supabase = TestSupabase::start().await;
    let app = api::app(supabase.project_url()).await?;
    let (listener, url) = listen(port).await?;

    println!("test issuer    {}", supabase.issuer());
    println!("protected API  {url}\n");
    print_calls(&supabase, &url);
    println!("Enter rotates the keys of the issuer, Ctrl-C ends.");
    Ok(axum::serve(listener, app).with_graceful_shutdown(rotate_on_enter(supabase, url)).await?)
}

/// The API for the users of a real project.
pub(crate) async fn with_project(project_url: &str, port: Option<u16>) -> Result<(), Box<dyn Error>> {
    let app = api::app(project_url).await?;
    let (listener, url) = listen(port).await?;

    println!("issuer         {project_url}");
    println!("protected API  {url}\n");
    println!("# with the access_token of a signed-in user (supabase.auth.getSession()) as TOKEN: 200");
    println!("curl -i {url}/me -H \"Authorization: Bearer $TOKEN\"\n");
    println!("# 403, unless an access token hook of the project adds the claim \"scope\": \"orders:read\"");
    println!("curl -i {url}/orders -H \"Authorization: Bearer $TOKEN\"\n");
    println!("Ctrl-C ends.");
    Ok(axum::serve(listener, app).with_graceful_shutdown(interrupted()).await?)
}

/// The port that was asked for, or a free one in place of the usual.
async fn listen(asked: Option<u16>) -> Result<(TcpListener, String), Box<dyn Error>> {
    let port = asked.unwrap_or(PORT);
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Err(error) if asked.is_none() && error.kind() == ErrorKind::AddrInUse => {
            eprintln!("note: port {PORT} is taken, using a free one\n");
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?
        }
        result => result.map_err(|error| format!("127.0.0.1:{port}: {error}"))?,
    };
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

fn print_calls(supabase: &TestSupabase, url: &str) {
    let token = || supabase.token();
    for (note, path, token) in [
        ("a good token: 200", "/me", token().sign()),
        ("expired: 401, and the challenge says so", "/me", token().expired().sign()),
        ("for another audience: 401", "/me", token().audience("another-api").sign()),
        ("good, but without the scope orders:read: 403", "/orders", token().sign()),
        ("with the scope: 200", "/orders", token().scope("orders:read").sign()),
    ] {
        print_call(note, url, path, &token);
    }
}

fn print_call(note: &str, url: &str, path: &str, token: &str) {
    println!("# {note}\ncurl -i {url}{path} -H 'Authorization: Bearer {token}'\n");
}

/// Resolves at the end of the input, or at Ctrl-C.
async fn rotate_on_enter(supabase: TestSupabase, url: String) {
    let mut lines = lines_of_stdin();
    let rotate = async {
        while let Some(()) = lines.recv().await {
            let key = supabase.rotate();
            let note = format!("signed by {}, which the API has not seen: 200", key.id().unwrap_or("a key"));
            print_call(&note, &url, "/me", &supabase.token().sign());
        }
    };
    tokio::select! {
        () = rotate => {}
        () = interrupted() => {}
    }
}

async fn interrupted() {
    // Where Ctrl-C cannot be heard, it ends the process by itself.
    if signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// On a thread of its own, because a runtime waits at its end for a read of its own.
fn lines_of_stdin() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    thread::spawn(move || {
        for line in io::stdin().lines() {
            if line.is_err() || sender.blocking_send(()).is_err() {
                break;
            }
        }
    });
    receiver
}
