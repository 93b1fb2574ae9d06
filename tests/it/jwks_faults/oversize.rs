//! Answers that are too much, and answers that are too little.

use super::{
    by_hand::ByHand,
    keys::{key, set, token},
    rig::{forgetful, verify_now},
};
use bearer_jwks::FetchError;
use bearer_testing::{Step, Stop};
use serde_json::json;
use std::time::Instant;
use tower_bearer::keys::KeySetError;

/// What the kernel may hold for a reader that is gone, in bytes.
const KERNEL: u64 = 8 * 1024 * 1024;

#[tokio::test]
async fn j23_no_more_of_an_answer_is_read_than_a_set_may_have() {
    let mut by_hand = ByHand::with_keys().await;
    // The header of a gzip member: a bomb begins like this, and nobody here would set it off.
    let bomb = b"\x1f\x8b\x08\0\0\0\0\0\0\x03".repeat(1000);
    for (name, step) in [
        ("huge, as it says", Step::answer(200, " ").content_length(1 << 40).endless()),
        ("chunked without end", Step::answer(200, " ").chunked().endless()),
        ("until close, which never comes", Step::answer(200, " ").close_delimited().endless()),
        ("keys without end", Step::answer(200, "{},").close_delimited().endless()),
        ("gzip without end", Step::answer(200, &bomb).header("Content-Encoding", "gzip").chunked().endless()),
        ("headers without end", Step::endless_headers()),
        ("one byte too long", Step::answer(200, " ".repeat(256 * 1024 + 1))),
    ] {
        let before = by_hand.jwks.bytes_sent();
        let error = by_hand.refused(name, step).await;
        let expected = match name {
            "headers without end" => matches!(error, FetchError::Transport(_)),
            "gzip without end" => matches!(error, FetchError::Encoded),
            _ => matches!(error, FetchError::TooLong),
        };
        assert!(expected, "{name}: {error}");
        super::rig::soon(by_hand.jwks.idle()).await;
        let sent = by_hand.jwks.bytes_sent() - before;
        assert!(sent <= 256 * 1024 + KERNEL, "{name}: {sent} bytes");
    }
    by_hand
        .taken("padded", |new| {
            let text = set(&[new.public_jwk()]).to_string();
            Step::answer(200, format!("{text}{}", " ".repeat(256 * 1024 - text.len())))
        })
        .await;
}

#[tokio::test]
async fn j24_an_answer_that_is_cut_replaces_no_keys() {
    let mut by_hand = ByHand::with_keys().await;
    let evil = Step::jwks([&key("evil")]);
    let text = set(&[key("evil").public_jwk()]).to_string();
    let length = text.len();
    for (name, step) in [
        ("cut json", Step::answer(200, &text[..length / 2])),
        ("cut json, well chunked", Step::answer(200, &text[..length / 2]).chunked()),
        ("json without its last brace", Step::answer(200, &text[..length - 1])),
        ("half of its length", evil.clone().stop_at(length / 2, Stop::Close)),
        ("all but one byte", evil.clone().stop_at(length - 1, Stop::Close)),
        ("one byte less than it says", Step::answer(200, &text).content_length(length as u64 + 1)),
        ("half, then reset", evil.clone().stop_at(length / 2, Stop::Reset)),
        ("no body", evil.clone().stop_at(0, Stop::Close)),
        ("cut in a chunk", evil.clone().chunked().stop_at(length / 2, Stop::Close)),
        ("no last chunk", evil.clone().chunked().stop_at(usize::MAX, Stop::Close)),
        ("cut before the end of the connection", evil.close_delimited().stop_at(length / 2, Stop::Close)),
    ] {
        let error = by_hand.refused(name, step).await;
        assert!(matches!(error, FetchError::Transport(_) | FetchError::Malformed(_)), "{name}: {error}");
    }
    by_hand.taken("new", |new| Step::jwks([new])).await;
}

#[tokio::test]
async fn j35_many_keys_are_taken_whole_or_refused_whole_and_looked_up_fast() {
    let mut by_hand = ByHand::with_keys().await;
    let keys = |count: usize| -> Vec<_> { (0..count).map(|n| key(&n.to_string()).public_jwk()).collect() };
    let error = by_hand.refused("101 keys", Step::json(&set(&keys(101)))).await;
    assert!(matches!(error, FetchError::Malformed(KeySetError::TooManyKeys)), "{error}");

    let five_thousand = json!({ "keys": vec![key("evil").public_jwk(); 5000] });
    let error = by_hand.refused("5,000 keys", Step::json(&five_thousand)).await;
    assert!(matches!(error, FetchError::TooLong | FetchError::Malformed(_)), "{error}");

    let mut hundred = keys(99);
    let last = key("last");
    hundred.push(last.public_jwk());
    by_hand.refresh(Step::json(&set(&hundred))).await.unwrap();
    assert_eq!(by_hand.refresher.status().borrow().key_ids.len(), 100);
    let (good, verifier) = (token(&last).sign(), forgetful(&by_hand.verifier));
    let (asked, times) = (Instant::now(), 200);
    for _ in 0..times {
        assert_eq!(verify_now(&verifier, &good), Ok(()));
    }
    assert!(asked.elapsed().as_millis() / times < 10, "{:?} for {times}", asked.elapsed());
}
