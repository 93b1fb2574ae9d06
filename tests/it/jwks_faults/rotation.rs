//! New keys, and keys that are gone.

use super::{
    keys::{key, token},
    rig::{Rig, millis, quick, quiet, soon},
};
use bearer_testing::Step;
use tokio::time::Instant;
use tower_bearer::Reason;

#[tokio::test]
async fn j07_a_new_key_is_accepted_at_its_first_token_for_one_fetch_and_the_old_one_stays() {
    let (old, new) = (key("old"), key("new"));
    let rig = Rig::ready(Step::jwks([&old]), quiet()).await;
    rig.jwks.always(Step::jwks([&old, &new]));
    assert_eq!(rig.verify(&token(&new).sign()).await, Ok(()));
    assert_eq!(rig.verify_now(&token(&old).sign()), Ok(()));
    assert_eq!(rig.verify_now(&token(&new).sign()), Ok(()));
    assert_eq!(rig.jwks.count(), 2);
}

#[tokio::test]
async fn j08_a_key_that_is_gone_is_refused_after_the_next_refresh() {
    let (old, new) = (key("old"), key("new"));
    let mut rig = Rig::ready(Step::jwks([&old]), quick()).await;
    rig.jwks.always(Step::jwks([&new]));
    let dropped = Instant::now();
    rig.until(|status| status.generation > 1 && status.key_ids == ["new"]).await;
    let bound = rig.schedule.every + rig.schedule.deadline;
    assert!(dropped.elapsed() < bound * 3, "{:?}, on a machine that may be busy", dropped.elapsed());
    assert_eq!(rig.verify(&token(&old).sign()).await, Err(Reason::UnknownKey));
    assert_eq!(rig.verify_now(&token(&new).sign()), Ok(()));
}

#[tokio::test]
async fn j10_a_rotation_right_after_a_refresh_is_seen_at_once() {
    let (old, new) = (key("old"), key("new"));
    let mut schedule = quick();
    (schedule.burst, schedule.refill) = (1, std::time::Duration::from_secs(3600));
    (schedule.wait, schedule.deadline) = (schedule.refill, std::time::Duration::from_secs(10));
    let mut rig = Rig::ready(Step::jwks([&old]), schedule).await;
    // Several scheduled refreshes, which do not pay from the bucket.
    rig.until(|status| status.generation > 3).await;
    rig.jwks.always(Step::jwks([&new]));
    assert_eq!(rig.verify(&token(&new).sign()).await, Ok(()));
}

#[tokio::test]
async fn j12_a_flood_of_key_ids_keeps_no_new_key_out_for_long() {
    let (old, new) = (key("old"), key("new"));
    let mut schedule = quiet();
    schedule.refill = millis(500);
    let rig = Rig::ready(Step::jwks([&old, &key("other")]), schedule).await;
    let mut forged = (0_u32..).map(|n| token(&old).header("kid", n.to_string()).sign());
    // The bucket is empty now.
    for forged in forged.by_ref().take(200) {
        assert_eq!(rig.verify(&forged).await, Err(Reason::UnknownKey));
    }
    rig.jwks.always(Step::jwks([&old, &new]));
    let (rotated, new) = (Instant::now(), token(&new).sign());
    while rig.verify(&new).await.is_err() {
        assert_eq!(rig.verify(&forged.next().unwrap()).await, Err(Reason::UnknownKey));
        assert_eq!(rig.verify_now(&token(&old).sign()), Ok(()));
        assert!(rotated.elapsed() < rig.schedule.refill * 10, "{:?}", rotated.elapsed());
    }
    assert_eq!(rig.jwks.most_at_once(), 1);
}

#[tokio::test]
async fn j31_an_endpoint_of_two_minds_is_not_asked_more_often_for_it() {
    let (a, b) = (key("a"), key("b"));
    let rig = Rig::ready(Step::jwks([&a]), quiet()).await;
    rig.jwks.alternate([Step::jwks([&b]), Step::jwks([&a])]);
    let started = Instant::now();
    let (a, b) = (token(&a).sign(), token(&b).sign());
    let mut answers = [0, 0];
    while rig.jwks.count() < 6 {
        for token in [&a, &b] {
            let status = rig.request(token).await;
            assert!(matches!(status, 200 | 401), "{status}");
            answers[usize::from(status == 200)] += 1;
        }
        tokio::time::sleep(millis(5)).await;
    }
    let refills = started.elapsed().as_millis() / rig.schedule.refill.as_millis();
    assert!(rig.jwks.count() as u128 <= 1 + 3 + refills, "{} in {:?}", rig.jwks.count(), started.elapsed());
    assert!(answers.iter().all(|count| *count > 0), "{answers:?}");
    soon(rig.jwks.idle()).await;
    assert_eq!(rig.jwks.most_at_once(), 1);
}
