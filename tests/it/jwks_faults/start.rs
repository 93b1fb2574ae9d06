//! Starting, with and without an endpoint that answers.

use super::{
    keys::{AUD, ISS, key, rsa, token},
    rig::{Rig, forgetful, millis, quick, quiet, request, soon, verify, verify_now},
};
use bearer_jwks::{Connect as _, ConnectError, Connector, FetchError, Status};
use bearer_testing::{Algorithm, ScriptedJwks, SigningKey, Step, Stop};
use tokio::time::Instant;
use tower_bearer::{Issuer, Reason};

fn issuer(jwks: &ScriptedJwks) -> Issuer {
    Issuer::new(ISS, AUD).jwks_uri(jwks.uri())
}

#[tokio::test]
async fn j01_a_cold_start_fetches_once_and_sends_nothing_of_a_caller() {
    let (es, ed) = (SigningKey::generate(Algorithm::ES256).kid("es"), key("ed"));
    let jwks = ScriptedJwks::start().await;
    jwks.always(Step::jwks([&es, rsa(), &ed]).header("Set-Cookie", "a=b"));
    let verifier = issuer(&jwks).connect().await.unwrap();
    for key in [&es, rsa(), &ed] {
        assert_eq!(request(&verifier, &token(key).sign()).await, 200, "{key:?}");
    }
    assert_eq!(jwks.count(), 1);
    // A second fetch has nothing of the first one's cookies.
    assert_eq!(request(&verifier, &token(&key("unknown")).sign()).await, 401);
    assert_eq!(jwks.count(), 2);
    for asked in jwks.requests() {
        assert!(asked.head.starts_with("GET /jwks.json HTTP/1.1\r\n"), "{}", asked.head);
        for header in ["authorization", "cookie", "proxy-authorization", "referer"] {
            assert_eq!(asked.header(header), None, "{}", asked.head);
        }
        assert!(!asked.head.contains("unknown"), "{}", asked.head);
    }
}

#[tokio::test]
async fn j02_a_500_at_the_start_ends_it_at_once_or_is_answered_503_until_there_are_keys() {
    let jwks = ScriptedJwks::start().await;
    jwks.always(Step::status(500));
    let error = soon(issuer(&jwks).connect()).await.unwrap_err();
    let ConnectError::Fetch { error: FetchError::Status { status: 500, .. }, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(jwks.count(), 1);

    let known = key("known");
    let mut rig = Rig::started(Step::status(500), quick()).await;
    rig.failures(2).await;
    assert_eq!(rig.request(&token(&known).sign()).await, 503);
    rig.jwks.always(Step::jwks([&known]));
    rig.until(Status::is_ready).await;
    assert_eq!(rig.request(&token(&known).sign()).await, 200);
    rig.assert_one_at_a_time();
}

#[tokio::test]
async fn j03_a_hang_at_the_start_is_cut_and_requests_are_answered_meanwhile() {
    let mut schedule = quick();
    schedule.deadline = millis(300);
    let mut rig = Rig::started(Step::hang(), schedule).await;
    soon(rig.jwks.arrived(1)).await;
    let asked = Instant::now();
    assert_eq!(rig.request(&token(&key("any")).sign()).await, 503);
    // The test's machine may be busy: far less than a second attempt would take.
    assert!(asked.elapsed() < rig.schedule.deadline * 5, "{:?}", asked.elapsed());
    let status = rig.failures(1).await;
    assert!(matches!(status.last_error, Some(FetchError::Timeout)), "{:?}", status.last_error);
    assert!(!status.is_ready());
}

#[tokio::test]
async fn j04_three_thousand_requests_cost_no_fetch() {
    let known = key("known");
    let rig = Rig::ready(Step::jwks([&known]), quiet()).await;
    let (good, verifier) = (token(&known).sign(), forgetful(&rig.verifier));
    for _ in 0..3000 {
        assert_eq!(verify_now(&verifier, &good), Ok(()));
    }
    assert_eq!(rig.jwks.count(), 1);
}

#[tokio::test]
async fn requests_that_come_before_the_first_keys_wait_for_them_and_not_for_a_fetch_each() {
    let known = key("known");
    let step = Step::jwks([&known]).delay(millis(100)).stop_at(usize::MAX, Stop::Close);
    let rig = Rig::started(step, quiet()).await;
    let good = token(&known).sign();
    let (one, two) = tokio::join!(rig.verify(&good), rig.verify(&good));
    assert_eq!((one, two, rig.jwks.count()), (Ok(()), Ok(()), 1));
    assert_eq!(rig.verify(&token(&key("other")).sign()).await, Err(Reason::UnknownKey));
}

#[tokio::test]
async fn an_issuer_that_signs_with_its_secret_is_ready_without_keys_and_may_publish_some_later() {
    let secret = SigningKey::hmac(Algorithm::HS256, &[7; 32]);
    let (forged, first) = (SigningKey::generate(Algorithm::ES256).kid("forged"), key("first"));
    let jwks = ScriptedJwks::start().await;
    jwks.always(Step::json(&serde_json::json!({ "keys": [] })));
    let connector = Connector::new();
    let issuer = issuer(&jwks).hmac_secret(tower_bearer::Algorithm::HS256, [7; 32]);
    let verifier = soon(connector.connect(issuer)).await.unwrap();
    let (_, mut status) = connector.statuses().remove(0);
    assert!(verifier.is_ready());
    assert_eq!(verify(&verifier, &token(&secret).sign()).await, Ok(()));
    assert_eq!(verify(&verifier, &token(&forged).sign()).await, Err(Reason::UnknownKey));
    assert_eq!(request(&verifier, &token(&forged).sign()).await, 401);
    {
        let status = status.borrow_and_update();
        assert!(status.is_ready() && status.last_error.is_none(), "{:?}", status.last_error);
        assert_eq!((status.failures, status.key_ids.len()), (0, 0));
    }
    jwks.always(Step::jwks([&first]));
    assert_eq!(verify(&verifier, &token(&first).sign()).await, Ok(()));
    assert_eq!(verify(&verifier, &token(&secret).sign()).await, Ok(()));
    assert_eq!(status.borrow_and_update().key_ids, ["first"]);
}
