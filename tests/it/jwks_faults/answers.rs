//! Answers that are no good news: other statuses, bodies that are no JWK Set, sets of nothing.

use super::{
    by_hand::ByHand,
    keys::{key, set, token},
    rig::{Rig, millis, quick, quiet},
};
use bearer_jwks::FetchError;
use bearer_testing::{SigningKey, Step};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;
use tower_bearer::{
    Reason,
    keys::{KeySetError, SkipReason},
};

/// The text of the set of a key that must not be taken.
fn text(key: &SigningKey) -> String {
    set(&[key.public_jwk()]).to_string()
}

fn is_no_set(error: &FetchError) -> bool {
    matches!(error, FetchError::Malformed(KeySetError::NotAJwkSet))
}

#[tokio::test]
async fn j17_no_status_but_200_replaces_keys_whatever_its_body() {
    let mut by_hand = ByHand::with_keys().await;
    let body = text(&key("evil"));
    let all =
        [201, 202, 203, 204, 205, 206, 300, 304, 400, 401, 403, 404, 410, 418, 429, 500, 502, 503, 504, 599];
    for status in all {
        let error = by_hand.refused(&status.to_string(), Step::answer(status, &body)).await;
        let FetchError::Status { status: found, .. } = error else { panic!("{status}: {error}") };
        assert_eq!(found, status);
    }
    by_hand.taken("new", |new| Step::jwks([new])).await;
}

#[tokio::test]
async fn j17_a_running_refresher_goes_through_all_of_them_with_its_keys() {
    let (old, new) = (key("old"), key("new"));
    let mut schedule = quick();
    schedule.longest_backoff = schedule.backoff;
    let mut rig = Rig::ready(Step::jwks([&old]), schedule).await;
    let (good, statuses) = (token(&old).sign(), [500, 502, 503, 404, 403, 401, 204, 206]);
    rig.jwks.script(statuses.map(|status| Step::jwks([&new]).with_status(status))).always(Step::jwks([&new]));
    let (mut seen, mut generation) = (Vec::new(), 1);
    while generation == 1 {
        rig.status.changed().await.unwrap();
        let status = rig.status.borrow_and_update().clone();
        generation = status.generation;
        if let Some(FetchError::Status { status, .. }) = status.last_error {
            assert_eq!(rig.verify_now(&good), Ok(()), "{status}");
            seen.push(status);
        }
    }
    assert_eq!(seen, statuses);
    assert_eq!(rig.verify_now(&token(&new).sign()), Ok(()));
    rig.assert_apart(rig.shortest_retry());
}

#[tokio::test]
async fn j18_retry_after_is_heard_within_bounds_and_by_unknown_kids_too() {
    let known = key("known");
    for status in [429, 503] {
        let rig = Rig::ready(Step::jwks([&known]), quiet()).await;
        rig.jwks.always(Step::status(status).retry_after(60));
        assert_eq!(rig.verify(&token(&key("first")).sign()).await, Err(Reason::UnknownKey));
        for _ in 0..20 {
            assert_eq!(rig.verify(&token(&key("other")).sign()).await, Err(Reason::UnknownKey));
        }
        assert_eq!(rig.jwks.count(), 2, "silence");
        assert_eq!(rig.verify_now(&token(&known).sign()), Ok(()));
    }
}

#[tokio::test]
async fn j18_a_silly_retry_after_neither_stops_nor_hurries_the_refresher() {
    let mut schedule = quick();
    schedule.deadline = Duration::from_secs(10);
    schedule.every = Duration::from_secs(600);
    schedule.backoff = Duration::from_millis(200);
    let (backoff, every) = (schedule.backoff, schedule.every);
    // Up to a quarter more than was asked for, so that instances do not come back together.
    let spread = |asked: Duration| asked * 5 / 4;
    let mut by_hand = ByHand::with_schedule(schedule).await;
    // What the pause is, at least and at most; garbage is left to the backoff.
    for (value, least, most) in [
        ("0", backoff, spread(backoff)),
        ("30", Duration::from_secs(30), spread(Duration::from_secs(30))),
        ("999999999999", every, spread(every)),
        ("Fri, 31 Dec 2100 23:59:59 GMT", every, spread(every)),
        ("Fri, 31 Dec 1999 23:59:59 GMT", backoff, spread(backoff)),
        ("-1", backoff / 10, backoff),
        ("soon", backoff / 10, backoff),
    ] {
        by_hand.refresh(Step::jwks([&by_hand.old.clone()])).await.unwrap();
        let before = Instant::now();
        by_hand.refused(value, Step::status(503).header("Retry-After", value)).await;
        let next = by_hand.refresher.status().borrow().next_fetch.unwrap();
        assert!(next >= before + least && next <= Instant::now() + most, "{value}: {:?}", next - before);
    }
    by_hand.refresh(Step::jwks([&by_hand.old.clone()])).await.unwrap();
    let before = Instant::now();
    by_hand.refused("500", Step::status(500).retry_after(30)).await;
    let next = by_hand.refresher.status().borrow().next_fetch.unwrap();
    assert!(next - before < Duration::from_secs(30), "only 429 and 503 say when to come again");
}

#[tokio::test]
async fn j25_a_page_is_no_jwk_set_and_a_set_of_another_type_is_one() {
    let mut by_hand = ByHand::with_keys().await;
    let page = "<!doctype html><title>Sign in</title>";
    for step in [
        Step::answer(200, page).header("Content-Type", "text/html"),
        Step::answer(200, page).header("Content-Type", "application/json"),
    ] {
        let error = by_hand.refused("a page", step).await;
        assert!(is_no_set(&error), "{error}");
    }
    for (name, content_type) in [
        ("html", "text/html"),
        ("jwk-set", "application/jwk-set+json"),
        ("octets", "application/octet-stream"),
    ] {
        by_hand.taken(name, |new| Step::answer(200, text(new)).header("Content-Type", content_type)).await;
    }
    by_hand.taken("none", |new| Step::answer(200, text(new))).await;
}

#[tokio::test]
async fn j26_what_is_json_and_no_jwk_set_replaces_no_keys() {
    let mut by_hand = ByHand::with_keys().await;
    let evil = key("evil").public_jwk();
    let deep = |bytes: usize| format!("{}{}", "[".repeat(bytes), "]".repeat(bytes));
    for (name, body) in [
        ("an array of keys", json!([evil]).to_string()),
        ("an array of arrays", json!([[evil]]).to_string()),
        ("a set in an array", json!([{ "keys": [evil] }]).to_string()),
        ("a key", evil.to_string()),
        ("null", "null".to_owned()),
        ("a string", json!(set(std::slice::from_ref(&evil)).to_string()).to_string()),
        ("a number", "7".to_owned()),
        ("no members", "{}".to_owned()),
        ("null keys", json!({ "keys": null }).to_string()),
        ("an object of keys", json!({ "keys": { "0": evil } }).to_string()),
        ("keys as text", json!({ "keys": json!([evil]).to_string() }).to_string()),
        ("another member", json!({ "Keys": [evil] }).to_string()),
        ("two members", format!(r#"{{"keys":[{evil}],"keys":[{evil}]}}"#)),
        ("something after it", format!(r#"{{"keys":[{evil}]}}{{}}"#)),
        ("100,000 deep", deep(100_000)),
        ("100,000 deep and never closed", format!(r#"{{"keys":{}"#, "[".repeat(100_000))),
        ("keys 100,000 deep", format!(r#"{{"keys":{}}}"#, deep(100_000))),
        ("nothing", String::new()),
        ("spaces", " ".repeat(1000)),
    ] {
        let error = by_hand.refused(name, Step::answer(200, &body)).await;
        let expected =
            is_no_set(&error) || matches!(error, FetchError::NoUsableKey(_)) && name.starts_with("keys 100");
        assert!(expected, "{name}: {error}");
    }
    by_hand.taken("new", |new| Step::json(&json!({ "x": [1], "keys": [new.public_jwk()], "y": null }))).await;
}

#[tokio::test]
async fn j27_an_empty_set_replaces_no_keys_and_says_what_it_may_mean() {
    let mut by_hand = ByHand::with_keys().await;
    let error = by_hand.refused("empty", Step::json(&set(&[]))).await;
    let FetchError::NoUsableKey(skipped) = &error else { panic!("{error}") };
    assert!(skipped.is_empty() && error.to_string().contains("HS256"), "{error}");
    let status = by_hand.refresher.status().borrow().clone();
    assert!(status.is_ready() && status.failures == 1);
    assert!(matches!(status.last_error, Some(FetchError::NoUsableKey(_))), "it is visible");
}

#[tokio::test]
async fn j28_a_set_of_unknown_keys_replaces_no_keys_and_names_them() {
    let mut by_hand = ByHand::with_keys().await;
    let unknown = set(&[
        json!({ "kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AA" }),
        json!({ "kty": "oct", "kid": "shared", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0" }),
    ]);
    let error = by_hand.refused("unknown", Step::json(&unknown)).await;
    let FetchError::NoUsableKey(skipped) = &error else { panic!("{error}") };
    let reasons: Vec<_> = skipped.iter().map(|key| (key.kid().unwrap(), key.reason())).collect();
    assert_eq!(reasons, [("pq", SkipReason::UnknownKeyType), ("shared", SkipReason::Symmetric)]);
    assert!(error.to_string().contains("pq") && !error.to_string().contains("c2VjcmV0"), "{error}");
}

#[tokio::test]
async fn j36_what_is_not_plain_utf_8_replaces_no_keys() {
    let mut by_hand = ByHand::with_keys().await;
    let text = text(&key("evil"));
    let utf_16 = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    let invalid = text.replace("evil", "\u{1}").into_bytes();
    let invalid: Vec<u8> = invalid.into_iter().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
    let bom = format!("\u{feff}{text}").into_bytes();
    for (name, body) in [
        ("utf-16, little-endian", utf_16(u16::to_le_bytes)),
        ("utf-16, big-endian", [b"\xfe\xff".to_vec(), utf_16(u16::to_be_bytes)].concat()),
        ("invalid utf-8", invalid),
        ("a byte order mark", bom),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x4c\x4a\x06\0".to_vec()),
    ] {
        let error = by_hand.refused(name, Step::answer(200, &body)).await;
        assert!(is_no_set(&error), "{name}: {error}");
    }
    assert!(by_hand.jwks.requests().iter().all(|asked| asked.header("accept-encoding").is_none()));
}

#[tokio::test]
async fn j36_a_body_that_claims_to_be_compressed_replaces_no_keys() {
    let mut by_hand = ByHand::with_keys().await;
    for coding in ["gzip", "br", "deflate", "gzip, gzip", "x-unknown"] {
        by_hand.refused(coding, Step::jwks([&key("evil")]).header("Content-Encoding", coding)).await;
    }
    by_hand.taken("identity", |new| Step::jwks([new]).header("Content-Encoding", "identity")).await;
}

#[tokio::test]
async fn j37_a_set_is_taken_however_it_is_framed() {
    let mut by_hand = ByHand::with_keys().await;
    by_hand.taken("chunked", |new| Step::jwks([new]).chunked()).await;
    by_hand.taken("close", |new| Step::jwks([new]).close_delimited()).await;
    by_hand.taken("slow", |new| Step::jwks([new]).delay(millis(20)).delay_body(millis(20))).await;
    by_hand.taken("dripping", |new| Step::jwks([new]).chunked().drip_body(millis(1))).await;
    // A private key in a published set is an alarm, not a key.
    let private = key("private").public_jwk();
    let mut private = private.as_object().unwrap().clone();
    private.insert("d".into(), "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A".into());
    by_hand.taken("beside", |new| Step::json(&set(&[private.into(), new.public_jwk()]))).await;
    let status = by_hand.refresher.status().borrow().clone();
    assert_eq!(status.skipped[0].reason(), SkipReason::Private);
}
