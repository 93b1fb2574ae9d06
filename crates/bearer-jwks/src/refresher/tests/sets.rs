//! What an answer holds, and what becomes of it.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_failed_fetch_keeps_the_keys_and_a_successful_one_replaces_them() {
    let (old, new) = (key("old"), key("new"));
    let source = Source::of(&[&old]);
    let (verifier, status) = started(&source).await;
    for bad in [
        Answer::Error(FetchError::Status { status: 404, retry_after: None }),
        Answer::Error(FetchError::TooLong),
        Answer::Set(Fetched::new("<html>")),
        Answer::Set(Fetched::new("[]")),
        Answer::Set(Fetched::new(r#"{"keys":[]}"#)),
        Answer::Set(Fetched::new(r#"{"keys":[{"kty":"AKP","kid":"pq","alg":"ML-DSA-44"}]}"#)),
        Answer::Never,
    ] {
        source.answer(bad);
        let before = source.fetches();
        advance(secs(700)).await;
        assert!(source.fetches() > before && status.borrow().failures > 0);
        assert_eq!(verify_now(&verifier, &token(&old).sign()), Ok(()));
    }
    source.publish(&[&new]);
    advance(secs(70)).await;
    assert_eq!(status.borrow().failures, 0);
    assert_eq!(verify_now(&verifier, &token(&new).sign()), Ok(()));
    assert_eq!(verify(&verifier, &token(&old).sign()).await.map(drop), Err(Reason::UnknownKey));
}

#[tokio::test(start_paused = true)]
async fn an_empty_set_says_what_it_may_mean() {
    let source = Source::default();
    source.answer(Answer::Set(Fetched::new(r#"{"keys":[]}"#)));
    let (mut refresher, _keys) = Refresher::new(source);
    let error = refresher.refresh().await.unwrap_err();
    assert!(error.to_string().contains("HS256"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn one_odd_key_spoils_no_set_and_is_visible() {
    let good = key("good");
    let mut set: serde_json::Value = serde_json::from_str(&jwks(&[&good])).unwrap();
    let keys = set["keys"].as_array_mut().unwrap();
    keys.extend([
        serde_json::json!({"kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AA"}),
        serde_json::json!({"kty": "RSA", "kid": 7}),
        serde_json::json!(null),
        SigningKey::hmac(Algorithm::HS256, &[7; 32]).kid("shared").public_jwk(),
    ]);
    let source = Source::default();
    source.answer(Answer::Set(Fetched::new(set.to_string())));
    let (verifier, status) = started(&source).await;
    assert_eq!(verify_now(&verifier, &token(&good).sign()), Ok(()));
    let status = status.borrow();
    assert_eq!(status.key_ids, ["good"]);
    let reasons: Vec<_> = status.skipped.iter().map(|key| (key.kid(), key.reason())).collect();
    let malformed = SkipReason::Malformed("not a JWK, or a member of a wrong type");
    assert_eq!(
        reasons,
        [
            (Some("pq"), SkipReason::UnknownKeyType),
            (None, malformed),
            (None, malformed),
            (Some("shared"), SkipReason::Symmetric)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn where_keys_may_be_absent_an_empty_set_is_an_answer_until_there_were_keys() {
    let key = key("a");
    let source = Source::default();
    let empty = Answer::Set(Fetched::new(r#"{"keys":[]}"#));
    source.answer(empty.clone());
    let (refresher, keys) = Refresher::new(source.clone());
    let mut refresher = refresher.keys_may_be_absent();
    let status = refresher.status();
    for generation in [1, 2] {
        assert!(refresher.refresh().await.is_ok());
        let status = status.borrow();
        assert_eq!((status.generation, status.failures, status.is_ready()), (generation, 0, true));
        assert!(status.seed.is_none(), "nothing to serve from");
        assert!(status.next_fetch.unwrap() - Instant::now() > secs(400), "as after a success");
    }
    source.answer(Answer::Set(Fetched::new("[]")));
    assert!(matches!(refresher.refresh().await, Err(FetchError::Malformed(_))), "and what is no set is none");
    source.publish(&[&key]);
    assert!(refresher.refresh().await.is_ok());
    source.answer(empty);
    assert!(matches!(refresher.refresh().await, Err(FetchError::NoUsableKey(_))));
    assert_eq!(status.borrow().key_ids, ["a"]);
    assert_eq!(verify_now(&verifier(keys), &token(&key).sign()), Ok(()));
}
