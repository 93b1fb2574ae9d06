//! Runs the service beside a test issuer, and says how to call it.

use bearer_jwks::Connect;
use bearer_testing::TestIssuer;
use std::error::Error;
use tokio::net::TcpListener;
use tower_bearer::Issuer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = TestIssuer::start().await;
    let trusted = Issuer::new(issuer.issuer(), issuer.audience()).jwks_uri(issuer.jwks_uri());
    let verifier = trusted.connect().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;

    let url = format!("http://{}/", listener.local_addr()?);
    for (note, option, token) in [
        ("with the scope: 200", "-i", issuer.token().scope("orders:read").sign()),
        ("the same over HTTP/2", "-i --http2-prior-knowledge", issuer.token().scope("orders:read").sign()),
        ("without the scope: 403", "-i", issuer.token().sign()),
        ("expired: 401", "-i", issuer.token().expired().sign()),
    ] {
        println!("# {note}\ncurl {option} {url} -H 'Authorization: Bearer {token}'\n");
    }
    println!("Ctrl-C ends.");
    tokio::select! {
        () = hyper_service::serve(listener, verifier) => {}
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    Ok(())
}
