//! The server over a real socket, with tonic's own client.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use bearer_jwks::Connect;
use bearer_testing::TestIssuer;
use std::time::Duration;
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tonic::{
    Code, Status,
    codegen::tokio_stream,
    transport::{self, Endpoint},
};
use tonic_service::{client::Client, proto::HelloRequest};
use tower_bearer::{Issuer, JwtVerifier, keys};

const PATIENCE: Duration = Duration::from_secs(30);

type Server = JoinSet<Result<(), transport::Error>>;

/// The server on a free port, until the set is dropped.
async fn start(verifier: JwtVerifier) -> (Client, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(tonic_service::serve(listener, verifier));
    (Client::new(Endpoint::from_shared(url).unwrap().connect_lazy()), server)
}

async fn start_with(issuer: &TestIssuer) -> (Client, Server) {
    let trusted = Issuer::new(issuer.issuer(), issuer.audience()).jwks_uri(issuer.jwks_uri());
    start(trusted.connect().await.unwrap()).await
}

fn outcome<T>(result: Result<T, Status>) -> Result<T, (Code, String)> {
    result.map_err(|status| (status.code(), status.message().to_owned()))
}

fn names(names: [&str; 2]) -> impl tokio_stream::Stream<Item = HelloRequest> + Send + 'static {
    tokio_stream::iter(names.map(|name| HelloRequest { name: name.to_owned() }))
}

#[tokio::test]
async fn callers_are_greeted_under_the_name_that_their_token_proves() {
    let issuer = TestIssuer::start().await;
    let (client, _server) = start_with(&issuer).await;
    let mut client = client.token(issuer.token().subject("ada").scope("greet:many").sign());
    assert_eq!(client.hello("Bob").await.unwrap().text, "ada says hello to Bob");
    let all = client.hello_all(names(["Bob", "Eve"])).await.unwrap();
    assert_eq!(all.text, "ada says hello to Bob, Eve");
}

#[tokio::test]
async fn a_credential_that_proves_nothing_is_unauthenticated() {
    let issuer = TestIssuer::start().await;
    let (client, _server) = start_with(&issuer).await;
    let token = || issuer.token();
    let invalid = "the access token is invalid";
    for (name, mut client, message) in [
        ("no token", client.clone(), "an access token is required"),
        ("expired", client.token(token().expired().sign()), "the access token expired"),
        ("tampered", client.token(token().tampered()), invalid),
        ("unsigned", client.token(token().unsigned()), invalid),
        ("audience", client.token(token().audience("another-api").sign()), invalid),
        ("malformed", client.token("two words"), "the credential is malformed"),
    ] {
        let expected = (Code::Unauthenticated, message.to_owned());
        assert_eq!(outcome(client.hello("Bob").await).unwrap_err(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_refusal_carries_its_challenge_as_metadata() {
    let issuer = TestIssuer::start().await;
    let (client, _server) = start_with(&issuer).await;
    let mut client = client.token(issuer.token().sign());
    let by_the_layer = client.list().await.unwrap_err();
    let by_the_method = client.hello_all(names(["Bob", "Eve"])).await.unwrap_err();
    for (refused, scope) in [(by_the_layer, "orders:read"), (by_the_method, "greet:many")] {
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert_eq!(refused.message(), "the access token does not have the scope that is needed");
        let challenge = refused.metadata().get("www-authenticate").unwrap().to_str().unwrap();
        assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
        assert!(challenge.ends_with(&format!(r#"scope="{scope}""#)), "{challenge}");
    }
}

#[tokio::test]
async fn one_service_needs_a_scope_and_the_other_none() {
    let issuer = TestIssuer::start().await;
    let (client, _server) = start_with(&issuer).await;
    let mut without = client.token(issuer.token().subject("ada").sign());
    let mut with = client.token(issuer.token().subject("ada").scope("orders:read").sign());
    assert_eq!(outcome(without.list().await).unwrap_err().0, Code::PermissionDenied);
    assert_eq!(with.list().await.unwrap().orders, ["a book for ada"]);
    for mut client in [without, with] {
        assert!(client.hello("Bob").await.is_ok());
    }
    assert_eq!(outcome(client.clone().list().await).unwrap_err().0, Code::Unauthenticated);
}

#[tokio::test]
async fn without_keys_the_service_is_unavailable() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let issuer = TestIssuer::start().await;
    let trusted = || Issuer::new(issuer.issuer(), issuer.audience());
    let (_, nobody) = keys::channel();
    for (name, verifier) in [
        (
            "the issuer cannot be reached",
            trusted().jwks_uri(format!("http://{closed}/")).connect_lazy().unwrap(),
        ),
        ("nobody publishes keys", JwtVerifier::new([trusted().keys(nobody)]).unwrap()),
    ] {
        let (client, _server) = start(verifier).await;
        let mut good = client.token(issuer.token().sign());
        let expected = (Code::Unavailable, "the access token cannot be checked now".to_owned());
        let refused = timeout(PATIENCE, good.hello("Bob")).await.unwrap();
        assert_eq!(outcome(refused).unwrap_err(), expected, "{name}");

        let mut expired = client.token(issuer.token().expired().sign());
        let expected = (Code::Unauthenticated, "the access token expired".to_owned());
        assert_eq!(outcome(expired.hello("Bob").await).unwrap_err(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_streaming_call_is_refused_before_its_first_message() {
    let issuer = TestIssuer::start().await;
    let (client, _server) = start_with(&issuer).await;
    for (mut client, message) in [
        (client.clone(), "an access token is required"),
        (client.token(issuer.token().expired().sign()), "the access token expired"),
    ] {
        // Neither a message nor an end ever comes: whoever reads the request waits for ever.
        let refused = timeout(PATIENCE, client.hello_all(tokio_stream::pending())).await.unwrap();
        assert_eq!(outcome(refused).unwrap_err(), (Code::Unauthenticated, message.to_owned()));
    }
}

#[tokio::test]
async fn a_rotated_key_is_found_by_the_first_call() {
    let issuer = TestIssuer::start().await;
    let (client, _server) = start_with(&issuer).await;
    issuer.rotate();
    let fetches = issuer.jwks_requests();
    assert!(client.token(issuer.token().sign()).hello("Bob").await.is_ok());
    assert_eq!(issuer.jwks_requests(), fetches + 1);
}
