//! When it fetches though no token asks.

use super::*;

#[tokio::test(start_paused = true)]
async fn without_traffic_the_keys_are_refreshed_at_four_fifths_of_their_lifetime() {
    let key = key("a");
    let source = Source::of(&[&key]);
    let (_verifier, _) = started(&source).await;
    advance(secs(4 * 600)).await;
    assert!((4..=6).contains(&source.fetches()), "{}", source.fetches());

    let max_age = Some(secs(3600));
    source.answer(Answer::Set(Fetched { max_age, ..Fetched::new(jwks(&[&key])) }));
    advance(secs(600)).await;
    let before = source.fetches();
    advance(secs(4 * 3600)).await;
    assert!((4..=6).contains(&(source.fetches() - before)), "{}", source.fetches() - before);

    source.answer(Answer::Set(Fetched { max_age: Some(Duration::ZERO), ..Fetched::new(jwks(&[&key])) }));
    advance(secs(3600)).await;
    let before = source.fetches();
    advance(secs(600)).await;
    assert!((9..=11).contains(&(source.fetches() - before)), "never sooner than the floor");
}

#[tokio::test(start_paused = true)]
async fn scheduled_fetches_are_conditional_and_those_for_a_miss_are_not() {
    let (old, new) = (key("old"), key("new"));
    let source = Source::default();
    let with_tag = |keys: &[&SigningKey]| Fetched { etag: Some("\"1\"".into()), ..Fetched::new(jwks(keys)) };
    source.answer(Answer::Set(with_tag(&[&old])));
    let (verifier, status) = started(&source).await;
    source.answer(Answer::Set(Fetched::default()));
    advance(secs(600)).await;
    assert_eq!(source.state().fetches.last().unwrap().1.as_deref(), Some("\"1\""));
    assert_eq!((status.borrow().failures, status.borrow().generation), (0, 1), "unchanged is a success");
    assert_eq!(verify_now(&verifier, &token(&old).sign()), Ok(()));

    source.answer(Answer::Set(with_tag(&[&new])));
    assert!(verify(&verifier, &token(&new).sign()).await.is_ok());
    assert_eq!(source.state().fetches.last().unwrap().1, None, "a stuck 304 must hide no rotation");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_asks_for_silence_gets_it() {
    let (known, new) = (key("known"), key("new"));
    let source = Source::of(&[&known]);
    let (verifier, _) = started(&source).await;
    source.answer(Answer::Error(FetchError::Status { status: 429, retry_after: Some(secs(120)) }));
    assert_eq!(verify(&verifier, &token(&new).sign()).await.map(drop), Err(Reason::UnknownKey));
    let before = source.fetches();
    source.publish(&[&new]);
    for _ in 0..11 {
        advance(secs(10)).await;
        assert_eq!(verify(&verifier, &token(&new).sign()).await.map(drop), Err(Reason::UnknownKey));
    }
    assert_eq!(source.fetches(), before);
    // A quarter more at most, so that not all instances come back together.
    advance(secs(40)).await;
    assert!(verify(&verifier, &token(&new).sign()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn while_a_source_is_left_alone_nobody_waits_for_what_it_would_say() {
    let (known, new, other) = (key("known"), key("new"), key("other"));
    let source = Source::of(&[&known]);
    let (verifier, _) = started(&source).await;
    source.answer(Answer::Error(FetchError::Status { status: 503, retry_after: Some(secs(60)) }));
    assert_eq!(verify(&verifier, &token(&new).sign()).await.map(drop), Err(Reason::UnknownKey));
    for _ in 0..5 {
        assert_eq!(verify_now(&verifier, &token(&new).sign()), Err(Reason::UnknownKey));
        assert_eq!(verify_now(&verifier, &token(&other).sign()), Err(Reason::UnknownKey));
        assert_eq!(verify_now(&verifier, &token(&known).tampered()), Err(Reason::Signature));
        advance(secs(10)).await;
    }
    assert_eq!(source.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_comes_in_the_moment_of_an_answer_that_asks_for_silence_causes_no_fetch() {
    // Which of the two the task looks at first is left to chance, so this is tried many times.
    for attempt in 0..24 {
        let (known, new) = (key("known"), key("new"));
        let source = Source::of(&[&known]);
        let (verifier, status) = started(&source).await;
        source.answer(Answer::Never);
        let due = status.borrow().next_fetch.unwrap();
        sleep_until(due + Duration::from_millis(100)).await;
        source.arrive(Err(FetchError::Status { status: 429, retry_after: Some(secs(60)) }));
        source.publish(&[&known, &new]);
        let result = verify(&verifier, &token(&new).sign()).await.map(drop);
        assert_eq!((result, source.fetches()), (Err(Reason::UnknownKey), 2), "attempt {attempt}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_silence_a_request_need_not_wait_for_the_end_of_the_back_off() {
    let (known, new) = (key("known"), key("new"));
    let source = Source::of(&[&known]);
    let (verifier, mut status) = started(&source).await;
    source.answer(Answer::Error(FetchError::Status { status: 503, retry_after: Some(secs(1)) }));
    // The pauses are of six seconds at least by now.
    status.wait_for(|status| status.failures == 8).await.unwrap();
    let before = source.fetches();
    source.publish(&[&known, &new]);
    advance(secs(2)).await;
    assert_eq!(source.fetches(), before);
    assert!(verify(&verifier, &token(&new).sign()).await.is_ok());
    assert_eq!(source.fetches(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn instances_that_are_told_the_same_time_do_not_come_back_together() {
    let source = Source::default();
    source.answer(Answer::Error(FetchError::Status { status: 503, retry_after: Some(secs(60)) }));
    let instances: Vec<_> = (0..100).map(|_| start(&source)).collect();
    advance(secs(1)).await;
    let (asked, told) = (source.fetches(), Instant::now() - secs(1));
    assert_eq!(asked, instances.len());
    advance(secs(80)).await;
    let mut back: Vec<_> = source.state().fetches[asked..].iter().map(|(at, _)| *at - told).collect();
    back.truncate(instances.len());
    back.sort();
    assert!(back[0] >= secs(60), "none before its time: {:?}", back[0]);
    let most = (60..75).map(|second| back.iter().filter(|at| at.as_secs() == second).count()).max();
    assert!(most.unwrap() < 30, "{most:?} of them in one second");
}

#[tokio::test(start_paused = true)]
async fn a_schedule_of_nothing_but_never_is_kept_to() {
    let (known, unknown) = (key("known"), key("unknown"));
    let source = Source::default();
    source.answer(Answer::Error(FetchError::Status { status: 503, retry_after: Some(Duration::MAX) }));
    let (refresher, keys) = Refresher::new(source.clone());
    let never = Duration::MAX;
    let mut refresher = refresher.schedule(Schedule {
        every: never,
        at_least: never,
        at_most: never,
        deadline: never,
        wait: never,
        burst: 3,
        refill: never,
        signature_refill: never,
        backoff: never,
        longest_backoff: never,
        max_stale: never,
    });
    assert!(refresher.refresh().await.is_err());
    source.publish(&[&known]);
    assert!(refresher.refresh().await.is_ok());
    let verifier = verifier(keys);
    let _running = refresher.first_fetch_in(never).spawn();
    assert_eq!(verify(&verifier, &token(&unknown).sign()).await.map(drop), Err(Reason::UnknownKey));
    assert_eq!(verify(&verifier, &token(&known).tampered()).await.map(drop), Err(Reason::Signature));
    assert_eq!(verify_now(&verifier, &token(&known).sign()), Ok(()));
    assert_eq!(source.fetches(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_night_of_sleep_costs_one_fetch() {
    let key = key("a");
    let source = Source::of(&[&key]);
    let (verifier, _) = started(&source).await;
    // As when the machine was suspended and the clock was not: no timer fired meanwhile.
    tokio::time::advance(secs(8 * 3600)).await;
    advance(secs(1)).await;
    assert_eq!(source.fetches(), 2);
    assert_eq!(verify_now(&verifier, &token(&key).sign()), Ok(()));
    drop(verifier);
}

#[tokio::test(start_paused = true)]
async fn a_first_fetch_that_is_put_off_comes_at_once_when_a_request_wants_it() {
    let key = key("a");
    let source = Source::of(&[&key]);
    let (refresher, keys) = Refresher::new(source.clone());
    tokio::spawn(refresher.first_fetch_in(secs(30)).run());
    let asked = verifier(keys);
    let (refresher, _idle) = Refresher::new(source.clone());
    tokio::spawn(refresher.first_fetch_in(secs(30)).run());
    advance(secs(29)).await;
    assert_eq!(source.fetches(), 0);
    assert!(verify(&asked, &token(&key).sign()).await.is_ok());
    assert_eq!(source.fetches(), 1);
    advance(secs(2)).await;
    assert_eq!(source.fetches(), 2, "the other one, in its time");
}
