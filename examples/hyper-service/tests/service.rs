//! The service over a real socket.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use bearer_jwks::Connect;
use bearer_testing::TestIssuer;
use reqwest::{Client, Version, header};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tower_bearer::Issuer;

const PATIENCE: Duration = Duration::from_secs(30);

/// The service on a free port, until the set is dropped.
async fn start(issuer: &TestIssuer) -> (String, JoinSet<()>) {
    let trusted = Issuer::new(issuer.issuer(), issuer.audience()).jwks_uri(issuer.jwks_uri());
    let verifier = trusted.connect().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(hyper_service::serve(listener, verifier));
    (url, server)
}

fn clients() -> [(Version, Client); 2] {
    let client = || Client::builder().no_proxy();
    let http2 = client().http2_prior_knowledge().build().unwrap();
    [(Version::HTTP_11, client().build().unwrap()), (Version::HTTP_2, http2)]
}

#[tokio::test]
async fn both_versions_of_http_give_the_same_answers() {
    let issuer = TestIssuer::start().await;
    let (url, _server) = start(&issuer).await;
    let token = || issuer.token().subject("ada").scope("orders:read");
    let nobodys = "orders of no user in particular";
    let table = [
        ("good", token().sign(), 200, "orders of ada", None),
        ("without sub", token().without("sub").sign(), 200, nobodys, None),
        ("none", String::new(), 401, "", Some(r#"realm="test-api""#)),
        ("expired", token().expired().sign(), 401, "", Some("the access token expired")),
        ("tampered", token().tampered(), 401, "", Some("the access token is invalid")),
        ("without scope", token().without("scope").sign(), 403, "", Some(r#"scope="orders:read""#)),
    ];
    for (version, client) in clients() {
        for (name, token, status, body, challenge) in &table {
            let mut request = client.get(&url);
            if !token.is_empty() {
                request = request.bearer_auth(token);
            }
            let response = request.send().await.unwrap();
            assert_eq!((response.version(), response.status().as_u16()), (version, *status), "{name}");
            let found = response.headers().get(header::WWW_AUTHENTICATE).map(|value| value.to_str().unwrap());
            assert_eq!(found.is_some(), challenge.is_some(), "{name}");
            assert!(found.unwrap_or_default().contains(challenge.unwrap_or_default()), "{name}: {found:?}");
            assert_eq!(response.text().await.unwrap(), *body, "{name}");
        }
    }
}

#[tokio::test]
async fn a_rotated_key_is_found_by_the_first_request() {
    let issuer = TestIssuer::start().await;
    let (url, _server) = start(&issuer).await;
    for (_, client) in clients() {
        issuer.rotate();
        let fetches = issuer.jwks_requests();
        let request = client.get(&url).bearer_auth(issuer.token().scope("orders:read").sign());
        assert_eq!(request.send().await.unwrap().status(), 200);
        assert_eq!(issuer.jwks_requests(), fetches + 1);
    }
}

#[tokio::test]
async fn a_refused_upload_is_answered_before_its_body_was_read() {
    let issuer = TestIssuer::start().await;
    let (url, _server) = start(&issuer).await;
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The body is announced, and never comes.
    let head = format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: 1000000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}
