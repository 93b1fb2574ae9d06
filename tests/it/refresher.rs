//! Keys over real sockets: connecting, rotation, outage, recovery. The schedule itself is proved on paused time, in
//! `bearer-jwks`.

use crate::support::{
    keys::{AUD, ISS, es256, jwks},
    serve,
};
use axum::{Router, routing::get};
use axum_bearer::{AuthUser, BearerLayer, Connect, Issuer, JwtVerifier, RegisteredClaims};
use bearer_jwks::{ConnectError, HttpFetch, Refresher, Status};
use bearer_testing::{Algorithm, SigningKey, TestIssuer, TokenBuilder};
use serde_json::json;
use std::time::{Duration, SystemTime};
use tower_bearer::{
    Reason, Verification,
    keys::{self, KeySet},
};

fn issuer(test: &TestIssuer) -> Issuer {
    Issuer::new(test.issuer(), test.audience()).jwks_uri(test.jwks_uri())
}

/// A protected API; answers the status of a request with this token.
struct Api(String);

impl Api {
    async fn behind(verifier: JwtVerifier) -> Self {
        let me = async |user: AuthUser<RegisteredClaims>| user.sub.clone().unwrap_or_default();
        Self(serve(Router::new().route("/", get(me)).layer(BearerLayer::new(verifier))).await)
    }

    async fn status(&self, token: impl AsRef<str>) -> u16 {
        self.answer(token).await.status().as_u16()
    }

    async fn answer(&self, token: impl AsRef<str>) -> reqwest::Response {
        reqwest::Client::new().get(&self.0).bearer_auth(token.as_ref()).send().await.unwrap()
    }
}

#[tokio::test]
async fn the_first_request_after_a_rotation_succeeds_and_a_removed_key_is_gone() {
    let test = TestIssuer::start().await;
    let api = Api::behind(issuer(&test).connect().await.unwrap()).await;
    let old = test.token().sign();
    assert_eq!((api.status(&old).await, test.jwks_requests()), (200, 1));

    test.rotate();
    let new = test.token().sign();
    assert_eq!((api.status(&new).await, api.status(&old).await, test.jwks_requests()), (200, 200, 2));

    test.remove("key-1");
    test.rotate();
    assert_eq!(api.status(test.token().sign()).await, 200, "the next fetch");
    assert_eq!((api.status(&old).await, api.status(&new).await), (401, 200));
}

#[tokio::test]
async fn connecting_means_having_keys() {
    let test = TestIssuer::start().await;
    test.fail_with(500);
    let error = issuer(&test).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Fetch { .. }), "{error}");
    assert!(error.to_string().contains("500") && error.to_string().contains(test.issuer()), "{error}");
    test.recover();
    test.publish(json!({ "keys": [] }));
    let error = issuer(&test).connect().await.unwrap_err();
    assert!(error.to_string().contains("HS256"), "{error}");
}

#[tokio::test]
async fn a_lazy_start_answers_503_until_the_first_keys_and_recovers_by_itself() {
    let test = TestIssuer::start().await;
    test.fail_with(503);
    let api = Api::behind(issuer(&test).connect_lazy().unwrap()).await;
    let good = test.token().sign();
    let answer = api.answer(&good).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers()["retry-after"].to_str().unwrap().parse::<u32>().is_ok());
    assert!(!answer.headers().contains_key("www-authenticate"), "a client must not throw the token away");
    assert_eq!(api.status(test.token().expired().sign()).await, 401, "no keys are needed to say that");

    test.recover();
    let recovered = async {
        while api.status(&good).await != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), recovered).await.expect("it recovers");
}

#[tokio::test]
async fn an_outage_is_not_noticed_by_good_tokens() {
    let test = TestIssuer::start().await;
    let api = Api::behind(issuer(&test).connect().await.unwrap()).await;
    let good = test.token().sign();
    test.fail_with(500);
    let stranger = TokenBuilder::new(
        &SigningKey::generate(bearer_testing::Algorithm::ES256),
        test.issuer(),
        test.audience(),
    );
    assert_eq!(api.status(stranger.sign()).await, 401, "a token cannot cause a 503 while we hold keys");
    assert_eq!(api.status(&good).await, 200);
}

#[tokio::test]
async fn several_issuers_are_connected_at_once_and_keep_their_keys_apart() {
    let (one, two) = (TestIssuer::start().await, TestIssuer::start().await);
    let api = Api::behind([issuer(&one), issuer(&two)].connect().await.unwrap()).await;
    assert_eq!((api.status(one.token().sign()).await, api.status(two.token().sign()).await), (200, 200));
    let crossed = one.token().issuer(two.issuer()).sign();
    assert_eq!(api.status(crossed).await, 401, "the same kid, key-1, at both");
}

#[tokio::test]
async fn redirects_oversize_and_garbage_bring_no_keys_and_harm_none() {
    let test = TestIssuer::start().await;
    let (mut refresher, keys) = Refresher::new(HttpFetch::new(&test.jwks_uri()).unwrap());
    refresher.refresh().await.unwrap();
    let verifier = JwtVerifier::new([Issuer::new(test.issuer(), test.audience()).keys(keys)]).unwrap();
    let api = Api::behind(verifier).await;
    let good = test.token().sign();
    let huge = json!({ "keys": [], "padding": "x".repeat(300 * 1024) }).to_string();
    for garbage in ["", "null", "[]", "{\"keys\":null}", "<html></html>", "\u{feff}{\"keys\":[]}", &huge] {
        test.publish_text(garbage);
        assert!(refresher.refresh().await.is_err(), "{garbage:.20}");
        assert_eq!(api.status(&good).await, 200, "{garbage:.20}");
    }
    for status in [204, 206, 301, 302, 304, 307, 401, 403, 404, 429, 500, 502, 503] {
        test.recover();
        test.fail_with(status);
        assert!(refresher.refresh().await.is_err(), "{status}");
        assert_eq!(api.status(&good).await, 200, "{status}");
    }
    test.recover();
    test.publish_keys();
    refresher.refresh().await.unwrap();
}

#[tokio::test]
async fn the_refresher_stops_when_its_handle_or_its_last_reader_is_dropped() {
    let test = TestIssuer::start().await;
    let (refresher, keys) = Refresher::new(HttpFetch::new(&test.jwks_uri()).unwrap());
    let mut status = refresher.status();
    let handle = refresher.spawn();
    status.wait_for(Status::is_ready).await.unwrap();
    let api =
        Api::behind(JwtVerifier::new([Issuer::new(test.issuer(), test.audience()).keys(keys)]).unwrap())
            .await;
    assert_eq!(api.status(test.token().sign()).await, 200);
    drop(handle);
    status.wait_for(|status| !status.is_ready()).await.expect("its last word");
    status.changed().await.expect_err("the task, and with it the sender, is gone");
    assert_eq!(api.status(test.token().sign()).await, 503, "keys that nobody keeps fresh are not trusted");

    let (refresher, keys) = Refresher::new(HttpFetch::new(&test.jwks_uri()).unwrap());
    let mut status = refresher.status();
    test.hold();
    let running = tokio::spawn(refresher.run());
    drop(keys);
    tokio::time::timeout(Duration::from_secs(5), running)
        .await
        .expect("it ends in the middle of a fetch")
        .unwrap();
    while status.changed().await.is_ok() {}
    assert!(status.borrow().unavailable);
}

#[tokio::test]
async fn who_waits_for_a_key_while_the_keys_get_too_old_is_told_of_an_outage() {
    let (old, new) = (es256(), SigningKey::generate(Algorithm::ES256).kid("new"));
    let (mut sink, source) = keys::channel();
    sink.publish(KeySet::from_jwks(&jwks(&[old]).to_string()).unwrap());
    let verifier = JwtVerifier::new([Issuer::new(ISS, AUD).keys(source)]).unwrap();
    let token = TokenBuilder::new(&new, ISS, AUD).sign();
    for (expires, reason) in [(false, Reason::UnknownKey), (true, Reason::StaleKeys)] {
        let Verification::Pending(waiting) = verifier.verify_token(&token, SystemTime::now()) else {
            panic!("it does not wait")
        };
        let miss = sink.missed().await.unwrap();
        if expires {
            sink.expire();
        }
        drop(miss);
        assert_eq!(waiting.await.map(drop).map_err(|error| error.reason()), Err(reason));
    }
}
