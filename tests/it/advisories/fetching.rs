//! Advisories about fetching keys elsewhere, each as a test of the refresher and the gate together.

use crate::support::{
    app::{app, bearer},
    keys::{AUD, ISS, es256, gate_of, jwks, rs256},
    server::Server,
    soon,
};
use axum::{
    Json, Router,
    body::Body,
    response::{Redirect, Response},
    routing::get,
};
use axum_bearer::{BearerLayer, Connect, Issuer, JwtVerifier};
use bearer_jwks::{ConnectError, FetchError, HttpFetch, Refresher};
use bearer_testing::{Algorithm, SigningKey, TestIssuer};
use bytes::Bytes;
use http_body::Frame;
use serde_json::json;
use std::{
    convert::Infallible,
    io::ErrorKind,
    net::TcpListener,
    pin::Pin,
    task::{Context, Poll},
};
use tower_bearer::Reason::{self, Signature, UnknownKey};

/// A refresher that is driven by hand, and an app behind its keys.
fn by_hand(test: &TestIssuer) -> (Refresher<HttpFetch>, Router) {
    let (refresher, keys) = Refresher::new(HttpFetch::new(&test.jwks_uri()).unwrap());
    (refresher, app(gate_of([Issuer::new(test.issuer(), test.audience()).keys(keys)])))
}

/// Nobody has connected to this listener.
fn assert_untouched(canary: &TcpListener, name: &str) {
    assert_eq!(canary.accept().map(|_| ()).unwrap_err().kind(), ErrorKind::WouldBlock, "{name}");
}

fn canary() -> (TcpListener, String) {
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let url = format!("http://{}/jwks.json", canary.local_addr().unwrap());
    (canary, url)
}

#[tokio::test]
async fn cve_2025_64527_cve_2026_48524_a_failed_fetch_neither_crashes_nor_costs_a_key() {
    let test = TestIssuer::start().await;
    let (mut refresher, app) = by_hand(&test);
    refresher.refresh().await.unwrap();
    let good = test.token().sign();
    bearer(&app, &good).await.assert_passed("fetched");
    for status in [204, 301, 400, 404, 429, 500, 502, 503] {
        test.fail_with(status);
        assert!(refresher.refresh().await.is_err(), "{status}");
        bearer(&app, &good).await.assert_passed(&format!("after {status}"));
    }
    test.recover();
    for body in ["", "null", "[]", "{}", "{\"keys\":[]}", "{\"keys\":[7]}", "<html>", "\0"] {
        test.publish_text(body);
        assert!(refresher.refresh().await.is_err(), "{body}");
        bearer(&app, &good).await.assert_passed(&format!("after {body:?}"));
    }
    drop(test);
    assert!(soon(refresher.refresh()).await.is_err());
    assert_eq!(bearer(&app, &good).await.status, 200, "after the issuer went away");
}

#[tokio::test]
async fn cve_2026_48524_a_storm_of_unknown_kids_is_a_handful_of_fetches_and_keeps_the_keys() {
    let test = TestIssuer::start().await;
    let verifier =
        Issuer::new(test.issuer(), test.audience()).jwks_uri(test.jwks_uri()).connect().await.unwrap();
    let app = app(BearerLayer::new(verifier));
    let mut storm = tokio::task::JoinSet::new();
    for number in 0..300 {
        let (app, token) = (app.clone(), test.token().header("kid", format!("unknown-{number}")).sign());
        storm.spawn(async move { bearer(&app, &token).await });
    }
    for answer in soon(storm.join_all()).await {
        answer.assert_invalid("unknown", UnknownKey);
    }
    assert!(test.jwks_requests() <= 5, "{} fetches", test.jwks_requests());
    bearer(&app, &test.token().sign()).await.assert_passed("the key that was there all along");
}

#[tokio::test]
async fn cve_2025_22149_a_key_that_is_fetched_no_more_verifies_no_more() {
    let test = TestIssuer::start().await;
    let (mut refresher, app) = by_hand(&test);
    refresher.refresh().await.unwrap();
    let old = test.token().sign();
    test.rotate();
    test.remove("key-1");
    refresher.refresh().await.unwrap();
    bearer(&app, &test.token().sign()).await.assert_passed("the new key");
    let status = refresher.status();
    assert_eq!(status.borrow().key_ids, ["key-2"]);
    let running = tokio::spawn(refresher.run());
    soon(bearer(&app, &old)).await.assert_invalid("removed", UnknownKey);
    running.abort();
}

#[tokio::test]
async fn cve_2026_31837_without_a_fetch_there_is_no_key_and_no_fallback() {
    let test = TestIssuer::start().await;
    test.fail_with(500);
    let connected = Issuer::new(test.issuer(), test.audience()).jwks_uri(test.jwks_uri()).connect().await;
    assert!(matches!(connected, Err(ConnectError::Fetch { .. })), "no verifier without keys");
    let (mut refresher, app) = by_hand(&test);
    assert!(refresher.refresh().await.is_err());
    drop(refresher);
    for key in [test.signing_key(), es256().clone(), rs256().clone()] {
        let answer = bearer(&app, &test.token().key(&key).sign()).await;
        assert_eq!((answer.status, answer.reason), (503, Some(Reason::NoKeys)));
    }
}

/// White space, which JSON may begin with, and no end of it.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 1024])))))
    }
}

#[tokio::test]
async fn cve_2026_26998_a_body_without_end_is_cut_off() {
    let endless = get(async || Response::new(Body::new(Endless)));
    let (enough, short) = (jwks(&[es256()]).to_string(), " ".repeat(200 * 1024));
    let padded = get(async move || short + &enough);
    let server = Server::start(Router::new().route("/endless", endless).route("/padded", padded)).await;
    let (mut refresher, _keys) = Refresher::new(HttpFetch::new(&server.url("/endless")).unwrap());
    let error = soon(refresher.refresh()).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLong), "{error}");
    let (mut refresher, _keys) = Refresher::new(HttpFetch::new(&server.url("/padded")).unwrap());
    soon(refresher.refresh()).await.unwrap();
}

#[tokio::test]
async fn cve_2026_41413_cve_2026_32301_cve_2026_49478_keys_are_fetched_from_where_it_was_said_and_nowhere_else()
 {
    // Where nothing is fetched from, whoever wrote it into the configuration.
    for location in [
        "http://issuer.example/jwks",
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/",
        "https://[fe80::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[fd00:ec2::254]/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "/jwks",
        "",
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example/",
    ] {
        assert!(HttpFetch::new(location).is_err(), "{location}");
        let connected = Issuer::new(ISS, AUD).jwks_uri(location).connect_lazy();
        assert!(matches!(connected, Err(ConnectError::Location(_))), "{location}");
    }
    // A redirect to another origin is not followed; one within the origin is.
    let (listener, elsewhere) = canary();
    let set = jwks(&[es256()]);
    let router = Router::new()
        .route("/elsewhere", get(async move || Redirect::temporary(&elsewhere)))
        .route("/metadata", get(async || Redirect::temporary("http://169.254.169.254/")))
        .route("/moved", get(async || Redirect::permanent("/keys")))
        .route("/loop", get(async || Redirect::temporary("/loop")))
        .route("/keys", get(async move || Json(set)));
    let server = Server::start(router).await;
    for path in ["/elsewhere", "/metadata", "/loop"] {
        let (mut refresher, _keys) = Refresher::new(HttpFetch::new(&server.url(path)).unwrap());
        assert!(soon(refresher.refresh()).await.is_err(), "{path}");
    }
    assert_untouched(&listener, "a redirect was followed");
    let (mut refresher, _keys) = Refresher::new(HttpFetch::new(&server.url("/moved")).unwrap());
    soon(refresher.refresh()).await.unwrap();
}

#[tokio::test]
async fn cve_2026_32301_nothing_of_a_token_is_in_what_is_fetched() {
    let (listener, url) = canary();
    let test = TestIssuer::start().await;
    let verifier =
        Issuer::new(test.issuer(), test.audience()).jwks_uri(test.jwks_uri()).connect().await.unwrap();
    let app = app(BearerLayer::new(verifier));
    let before = test.requests();
    for (name, token) in [
        ("iss", test.token().issuer(&url)),
        ("jku", test.token().header("jku", &*url).header("kid", "../../x?y=z")),
        ("x5u", test.token().header("x5u", &*url).header("kid", &*url)),
    ] {
        soon(bearer(&app, &token.sign())).await.assert_invalid_token(name);
    }
    assert_untouched(&listener, "a URL of the token was asked");
    // Whoever asks for an unknown key causes a fetch of the one document, and of nothing beside it.
    assert_eq!(test.requests(), test.jwks_requests());
    assert!(test.requests() <= before + 2, "{}", test.requests());
}

#[tokio::test]
async fn cve_2026_22748_metadata_of_another_issuer_brings_no_keys_and_iss_is_checked_all_the_same() {
    // Metadata that speaks of somebody else.
    let (listener, jwks_uri) = canary();
    let metadata = json!({ "issuer": "https://evil.example", "jwks_uri": jwks_uri });
    let server = Server::start(Router::new().fallback(async move || Json(metadata))).await;
    let iss = server.url("");
    let error = soon(Issuer::new(&iss, AUD).connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Fetch { error: FetchError::Metadata(_), .. }), "{error}");
    assert_untouched(&listener, "its keys were asked for");
    // Metadata that is right does not replace the check of the token.
    let test = TestIssuer::start().await;
    let verifier = soon(Issuer::new(test.issuer(), test.audience()).connect()).await.unwrap();
    let app = app(BearerLayer::new(verifier));
    bearer(&app, &test.token().sign()).await.assert_passed("discovered");
    for iss in ["https://evil.example", &format!("{}/", test.issuer()), ""] {
        bearer(&app, &test.token().issuer(iss).sign()).await.assert_invalid(iss, Reason::UnknownIssuer);
    }
    bearer(&app, &test.token().without("iss").sign()).await.assert_invalid("absent", Reason::UnknownIssuer);
}

#[tokio::test]
async fn cve_2026_49998_issuers_that_are_fetched_keep_keys_of_one_kid_apart() {
    let (one, two) = (TestIssuer::start().await, TestIssuer::start().await);
    let issuer = |test: &TestIssuer| Issuer::new(test.issuer(), test.audience()).jwks_uri(test.jwks_uri());
    let app = app(BearerLayer::new([issuer(&one), issuer(&two)].connect().await.unwrap()));
    assert_eq!((one.signing_key().id(), two.signing_key().id()), (Some("key-1"), Some("key-1")));
    bearer(&app, &one.token().sign()).await.assert_passed("one");
    bearer(&app, &two.token().sign()).await.assert_passed("two");
    soon(bearer(&app, &one.token().issuer(two.issuer()).sign())).await.assert_invalid("crossed", Signature);
    soon(bearer(&app, &two.token().issuer(one.issuer()).sign())).await.assert_invalid("crossed", Signature);
}

#[tokio::test]
async fn cve_2026_42576_cve_2026_33322_a_fetched_set_of_odd_and_secret_keys_is_read_and_only_the_good_ones_are_used()
 {
    let test = TestIssuer::start().await;
    let secret = SigningKey::generate(Algorithm::HS256).kid("secret");
    let good = test.signing_key();
    test.publish(json!({ "keys": [
        null, { "kty": "EC" }, { "kty": "oct" }, secret.public_jwk(), { "kty": "AKP", "kid": "pq" }, good.public_jwk(),
    ] }));
    let (mut refresher, app) = by_hand(&test);
    refresher.refresh().await.unwrap();
    assert_eq!(refresher.status().borrow().skipped.len(), 5);
    bearer(&app, &test.token().sign()).await.assert_passed("the good one");
    bearer(&app, &test.token().key(&secret).sign()).await.assert_invalid("the secret", Reason::Algorithm);
    let forger = SigningKey::hmac(Algorithm::HS256, good.public_pem().as_bytes()).kid("key-1");
    bearer(&app, &test.token().key(&forger).sign())
        .await
        .assert_invalid("its PEM as a secret", Reason::Algorithm);
}

#[tokio::test]
async fn ghsa_8wpc_h4q6_8fxv_connecting_to_an_issuer_without_a_usable_key_gives_no_verifier() {
    let test = TestIssuer::start().await;
    for set in [json!({ "keys": [] }), json!({ "keys": [{ "kty": "oct", "k": "AA" }] })] {
        test.publish(set.clone());
        let connected = Issuer::new(test.issuer(), test.audience()).jwks_uri(test.jwks_uri()).connect().await;
        assert!(connected.is_err(), "{set}");
    }
    let nowhere: Result<JwtVerifier, _> = Vec::<Issuer>::new().connect().await;
    assert!(nowhere.is_err(), "nobody to trust");
}
