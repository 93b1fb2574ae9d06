//! Tokens that the keys do not do for: which of them ask, and how often.

use super::{
    by_hand::ByHand,
    keys::{key, rsa, token},
    rig::{Rig, millis, quiet, soon, verify},
};
use bearer_testing::{Algorithm, SigningKey, Step, TokenBuilder};
use std::time::{Duration, SystemTime};
use tokio::{task::JoinSet, time::Instant};
use tower_bearer::{Reason, Verification};

fn unknown(key: &SigningKey, n: u32) -> TokenBuilder {
    token(key).header("kid", n.to_string())
}

#[tokio::test]
async fn j09_bad_signatures_under_a_known_kid_cost_a_fetch_a_while() {
    let (known, stranger) = (key("known"), key("known"));
    let mut schedule = quiet();
    schedule.signature_refill = Duration::from_secs(3600);
    let rig = Rig::ready(Step::jwks([&known]), schedule).await;
    for _ in 0..200 {
        assert_eq!(rig.request(&token(&stranger).sign()).await, 401);
        assert_eq!(rig.request(&token(&known).tampered()).await, 401);
    }
    assert_eq!(rig.jwks.count(), 2);
    assert_eq!(rig.verify_now(&token(&known).sign()), Ok(()));
}

#[tokio::test]
async fn new_key_material_under_an_old_kid_is_found() {
    let (old, new) = (key("same"), key("same"));
    let rig = Rig::ready(Step::jwks([&old]), quiet()).await;
    rig.jwks.always(Step::jwks([&new]));
    assert_eq!(rig.verify(&token(&new).sign()).await, Ok(()));
    assert_eq!((rig.verify(&token(&old).sign()).await, rig.jwks.count()), (Err(Reason::Signature), 2));
}

#[tokio::test]
async fn j11_a_flood_of_unknown_kids_costs_what_the_bucket_allows_and_then_nothing() {
    let known = key("known");
    let rig = Rig::ready(Step::jwks([&known]).delay(millis(5)), quiet()).await;
    let (started, good) = (Instant::now(), token(&known).sign());
    let mut forged = (0..2000).map(|n| unknown(&known, n).sign());
    for _ in 0..40 {
        let flood: JoinSet<_> = forged
            .by_ref()
            .take(50)
            .map(|forged| {
                let verifier = rig.verifier.clone();
                async move { verify(&verifier, &forged).await }
            })
            .collect();
        assert_eq!(rig.verify_now(&good), Ok(()));
        assert!(flood.join_all().await.iter().all(|answer| *answer == Err(Reason::UnknownKey)));
    }
    let refills = started.elapsed().as_millis() / rig.schedule.refill.as_millis();
    let count = rig.jwks.count();
    assert!((2..=1 + 3 + refills).contains(&(count as u128)), "{count} in {:?}", started.elapsed());
    assert_eq!(rig.jwks.most_at_once(), 1);
    // Nobody asks any more: neither does the refresher.
    tokio::time::sleep(rig.schedule.refill * 2).await;
    assert_eq!(rig.jwks.count(), count);
}

#[tokio::test]
async fn j13_an_endpoint_that_is_down_is_spared_by_a_flood() {
    let known = key("known");
    let mut schedule = quiet();
    (schedule.backoff, schedule.longest_backoff) = (Duration::from_secs(3600), Duration::from_secs(3600));
    let rig = Rig::ready(Step::jwks([&known]), schedule).await;
    rig.jwks.always(Step::status(500));
    let (started, good) = (Instant::now(), token(&known).sign());
    for n in 0..1000 {
        assert_eq!(rig.verify(&unknown(&known, n).sign()).await, Err(Reason::UnknownKey));
        assert_eq!(rig.verify_now(&good), Ok(()));
    }
    let refills = started.elapsed().as_millis() / rig.schedule.refill.as_millis();
    let count = rig.jwks.count();
    assert!((4..=1 + 3 + refills).contains(&(count as u128)), "{count} in {:?}", started.elapsed());
    assert_eq!(rig.jwks.most_at_once(), 1);
}

#[tokio::test]
async fn j14_four_hundred_requests_with_one_new_kid_share_one_slow_fetch() {
    let (old, new) = (key("old"), key("new"));
    let rig = Rig::ready(Step::jwks([&old]), quiet()).await;
    rig.jwks.always(Step::jwks([&old, &new]).delay(millis(100)));
    let requests: JoinSet<_> = (0..400)
        .map(|_| {
            let (verifier, token) = (rig.verifier.clone(), token(&new).sign());
            async move { verify(&verifier, &token).await }
        })
        .collect();
    assert!(requests.join_all().await.iter().all(Result::is_ok));
    assert_eq!((rig.jwks.count(), rig.jwks.most_at_once()), (2, 1));
}

#[tokio::test]
async fn j14_who_asked_before_the_keys_came_costs_no_fetch_afterwards() {
    let mut by_hand = ByHand::with_schedule(quiet()).await;
    let (old, new) = (by_hand.old.clone(), key("new"));
    let good = token(&new).sign();
    let waiting: Vec<_> = (0..400)
        .map(|_| match by_hand.verifier.verify_token(&good, SystemTime::now()) {
            Verification::Pending(waiting) => waiting,
            Verification::Done(result) => panic!("{result:?}"),
        })
        .collect();
    by_hand.refresh(Step::jwks([&old, &new])).await.unwrap();
    let _handle = by_hand.refresher.spawn();
    for waiting in waiting {
        assert!(soon(waiting).await.is_ok());
    }
    assert_eq!(by_hand.jwks.count(), 2);
}

#[tokio::test]
async fn j15_a_token_without_kid_asks_for_nothing() {
    let (known, other) = (key("known"), key("other"));
    let rig = Rig::ready(Step::jwks([&known]), quiet()).await;
    for _ in 0..50 {
        assert_eq!(
            rig.verify_now(&token(&known).without_header("kid").sign()),
            Ok(()),
            "the one key is meant"
        );
        assert_eq!(rig.verify_now(&token(&other).without_header("kid").sign()), Err(Reason::Signature));
    }
    assert_eq!(rig.jwks.count(), 1);
}

#[tokio::test]
async fn j16_a_token_of_a_wrong_algorithm_asks_for_nothing() {
    let known = SigningKey::generate(Algorithm::ES256).kid("known");
    let rig = Rig::ready(Step::jwks([&known, rsa()]), quiet()).await;
    let confused = |key: &SigningKey, secret: &[u8]| {
        let secret = SigningKey::hmac(Algorithm::HS256, secret).kid(key.id().unwrap());
        token(&secret).sign()
    };
    let unsigned = token(&known).sign().rsplit_once('.').unwrap().0.to_owned() + ".";
    for bad in [
        token(&known).header("alg", "RS256").sign(),
        token(&known).header("alg", "EdDSA").sign(),
        token(rsa()).header("alg", "PS256").sign(),
        token(rsa()).header("alg", "none").sign(),
        token(&known).header("alg", "HS256").sign(),
        token(&known).header("alg", "HS256").header("kid", "unknown").sign(),
        token(&known).unsigned(),
        unsigned,
        confused(rsa(), rsa().public_pem().as_bytes()),
        confused(rsa(), &rsa().public_der()),
        confused(&known, known.public_pem().as_bytes()),
    ] {
        assert!(rig.verify_now(&bad).is_err(), "{bad}");
        assert_eq!(rig.request(&bad).await, 401, "{bad}");
    }
    assert_eq!(rig.jwks.count(), 1);
    soon(rig.jwks.idle()).await;
}
