//! An issuer that does not answer, for a while or for long.

use super::*;

#[tokio::test(start_paused = true)]
async fn without_keys_requests_wait_two_seconds_and_recover_by_themselves() {
    let key = key("a");
    let source = Source::default();
    let (verifier, _) = start(&source);
    let asked = Instant::now();
    assert_eq!(verify(&verifier, &token(&key).sign()).await.map(drop), Err(Reason::NoKeys));
    assert_eq!(asked.elapsed(), secs(2));
    source.publish(&[&key]);
    advance(secs(70)).await;
    assert_eq!(verify_now(&verifier, &token(&key).sign()), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn keys_outlive_an_outage_of_less_than_six_hours_and_no_longer() {
    let key = key("a");
    let source = Source::of(&[&key]);
    let (verifier, status) = started(&source).await;
    let good = token(&key).expires_in(24 * 3600).sign();
    source.fail();
    advance(secs(6 * 3600 - 60)).await;
    assert_eq!(verify_now(&verifier, &good), Ok(()));
    assert!(status.borrow().is_ready());
    advance(secs(120)).await;
    assert_eq!(verify_now(&verifier, &good), Err(Reason::StaleKeys));
    assert_eq!(
        verify_now(&verifier, &token(&key).expired().sign()),
        Err(Reason::Expired),
        "whatever the keys"
    );
    assert!(!status.borrow().is_ready());
    source.publish(&[&key]);
    advance(secs(60)).await;
    assert_eq!(verify_now(&verifier, &good), Ok(()));
    assert!(status.borrow().is_ready());
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_lets_keys_live_for_a_day_does_not_shorten_what_an_outage_is_survived() {
    let key = key("a");
    let source = Source::default();
    let max_age = Some(secs(24 * 3600));
    source.answer(Answer::Set(Fetched { max_age, ..Fetched::new(jwks(&[&key])) }));
    let (verifier, _) = started(&source).await;
    let good = token(&key).expires_in(24 * 3600).sign();
    advance(secs(4 * 3600 + 42 * 60)).await;
    source.fail();
    advance(secs(4 * 3600 + 50 * 60)).await;
    assert_eq!(verify_now(&verifier, &good), Ok(()), "not much less than six hours");
    advance(secs(90 * 60)).await;
    assert_eq!(verify_now(&verifier, &good), Err(Reason::StaleKeys));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_fetch_is_cut_and_tried_again() {
    let key = key("a");
    let source = Source::default();
    let (verifier, status) = start(&source);
    advance(Duration::from_millis(5001)).await;
    assert!(matches!(status.borrow().last_error, Some(FetchError::Timeout)));
    source.publish(&[&key]);
    advance(secs(2)).await;
    assert_eq!(verify_now(&verifier, &token(&key).sign()), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_is_asked_less_and_less_often() {
    let source = Source::default();
    source.fail();
    let (_verifier, _) = start(&source);
    advance(secs(600)).await;
    // 1 + 2 + 4 … seconds at most, then 60 s at most and 6 s at least.
    assert!((10..=106).contains(&source.fetches()), "{}", source.fetches());
    let before = source.fetches();
    advance(secs(60)).await;
    assert!((1..=10).contains(&(source.fetches() - before)));
}

#[tokio::test(start_paused = true)]
async fn a_seed_serves_a_start_while_the_issuer_is_down_until_it_is_too_old() {
    let key = key("a");
    let first = Source::of(&[&key]);
    let (_verifier, status) = started(&first).await;
    let exported = Seed::clone(status.borrow().seed.as_ref().unwrap());

    let hours_ago = |hours: u64| Seed::new(exported.jwks.clone(), SystemTime::now() - secs(hours * 3600));
    let down = Source::default();
    down.fail();
    let (refresher, keys) = Refresher::new(down.clone());
    let read = keys.clone();
    let seeded = verifier(keys);
    let status = refresher.status();
    let running = refresher.seed(&hours_ago(5)).spawn();
    let good = token(&key).expires_in(24 * 3600).sign();
    assert_eq!(verify_now(&seeded, &good), Ok(()));
    assert_eq!(read.with(Snapshot::state), KeyState::Lagging, "no fetch has confirmed them yet");
    let age = status.borrow().last_success.unwrap().elapsed();
    assert!((5 * 3600..5 * 3600 + 5).contains(&age.as_secs()), "{age:?}");
    advance(secs(3600 - 60)).await;
    assert_eq!(verify_now(&seeded, &good), Ok(()));
    advance(secs(120)).await;
    assert_eq!(verify_now(&seeded, &good), Err(Reason::StaleKeys), "stale from its own time");
    down.publish(&[&key]);
    advance(secs(61)).await;
    assert_eq!(verify_now(&seeded, &good), Ok(()));
    assert_eq!(read.with(Snapshot::state), KeyState::Ready);
    drop(running);

    for useless in
        [hours_ago(7), Seed::new("{\"keys\":[]}", SystemTime::now()), Seed::new("", SystemTime::now())]
    {
        let (refresher, keys) = Refresher::new(Source::default());
        let refresher = refresher.seed(&useless);
        assert!(!refresher.status().borrow().is_ready());
        assert_eq!(keys.with(Snapshot::state), KeyState::Waiting);
    }
}
