//! Runs the server beside a test issuer, calls it, and prints what happens.

use bearer_jwks::Connect;
use bearer_testing::TestIssuer;
use std::{error::Error, fmt::Debug};
use tokio::net::TcpListener;
use tonic::{Status, transport::Endpoint};
use tonic_service::client::Client;
use tower_bearer::Issuer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = TestIssuer::start().await;
    let trusted = Issuer::new(issuer.issuer(), issuer.audience()).jwks_uri(issuer.jwks_uri());
    let verifier = trusted.connect().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let client = Client::new(Endpoint::from_shared(url)?.connect_lazy());
    tokio::select! {
        ended = tonic_service::serve(listener, verifier) => ended?,
        () = call(&issuer, &client) => {}
    }
    Ok(())
}

async fn call(issuer: &TestIssuer, client: &Client) {
    let token = || issuer.token().subject("ada");
    print("no token", client.clone().hello("Bob").await);
    print("a good token", client.token(token().sign()).hello("Bob").await);
    print("expired", client.token(token().expired().sign()).hello("Bob").await);
    print("tampered with", client.token(token().tampered()).hello("Bob").await);
    print("without the scope", client.token(token().sign()).list().await);
    print("with the scope", client.token(token().scope("orders:read").sign()).list().await);
    issuer.rotate();
    print("after a rotation", client.token(token().sign()).hello("Bob").await);
}

fn print(name: &str, result: Result<impl Debug, Status>) {
    match result {
        Ok(reply) => println!("{name:<20}{reply:?}"),
        Err(status) => println!("{name:<20}{:?}: {}", status.code(), status.message()),
    }
}
