//! Tokens whose key is not there, good ones and forged.

use super::*;
use crate::refresher::misses::MOST_WAITERS;

#[tokio::test(start_paused = true)]
async fn a_known_key_never_waits_and_an_unknown_one_two_seconds_at_most() {
    let (known, unknown) = (key("known"), key("unknown"));
    let source = Source::of(&[&known]);
    let (verifier, _) = started(&source).await;
    source.answer(Answer::Never);
    let asked = Instant::now();
    let waiting = tokio::spawn({
        let (verifier, token) = (verifier.clone(), token(&unknown).sign());
        async move { verify(&verifier, &token).await.map(drop) }
    });
    advance(secs(1)).await;
    assert_eq!(source.fetches(), 2, "the fetch hangs");
    assert_eq!(verify_now(&verifier, &token(&known).sign()), Ok(()));
    assert_eq!(waiting.await.unwrap(), Err(Reason::UnknownKey), "we hold keys: the token is to blame");
    assert_eq!(asked.elapsed(), secs(2));
}

#[tokio::test(start_paused = true)]
async fn so_many_wait_for_one_fetch_and_the_others_hear_at_once_that_the_key_is_unknown() {
    let (known, unknown) = (key("known"), key("unknown"));
    let source = Source::of(&[&known]);
    let (verifier, _) = started(&source).await;
    source.answer(Answer::Never);
    let token = token(&unknown).sign();
    let mut asking = JoinSet::new();
    for number in 0..MOST_WAITERS + 100 {
        let (verifier, token) = (verifier.clone(), token.clone());
        asking.spawn(async move { verify(&verifier, &token).await.map(drop) });
        // Not more at once than can be on their way to the refresher.
        if number % 500 == 0 {
            advance(Duration::from_millis(1)).await;
        }
    }
    advance(secs(1)).await;
    let mut answered = 0;
    while let Some(answer) = asking.try_join_next() {
        assert_eq!(answer.unwrap(), Err(Reason::UnknownKey));
        answered += 1;
    }
    assert_eq!((answered, asking.len()), (100, MOST_WAITERS));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_keys_costs_the_bucket_and_keeps_no_new_key_out() {
    let (known, new) = (key("known"), key("new"));
    let source = Source::of(&[&known]);
    let (verifier, _) = started(&source).await;
    let flood = tokio::spawn({
        let verifier = verifier.clone();
        async move {
            for n in 0..10_000_u32 {
                let forged = token(&known).header("kid", n.to_string()).sign();
                assert_eq!(verify(&verifier, &forged).await.map(drop), Err(Reason::UnknownKey));
                sleep(Duration::from_millis(10)).await;
            }
            known
        }
    });
    advance(secs(30)).await;
    source.publish(&[&new]);
    let rotated = Instant::now();
    let accepted_after = loop {
        if verify(&verifier, &token(&new).sign()).await.is_ok() {
            break rotated.elapsed();
        }
        sleep(Duration::from_millis(100)).await;
    };
    assert!(accepted_after <= secs(10), "{accepted_after:?}");
    let known = flood.await.unwrap();
    // 100 s of flood: the first fetch, the burst, one more every 10 s; the schedule's own is not due.
    assert!(source.fetches() <= 1 + 3 + 10, "{}", source.fetches());
    assert_eq!(verify(&verifier, &token(&known).sign()).await.map(drop), Err(Reason::UnknownKey), "removed");
}

#[tokio::test(start_paused = true)]
async fn a_kid_that_was_just_proved_unknown_is_not_asked_for_again() {
    let (known, late) = (key("known"), key("late"));
    let source = Source::of(&[&known]);
    let (verifier, _) = started(&source).await;
    for _ in 0..100 {
        assert_eq!(verify(&verifier, &token(&late).sign()).await.map(drop), Err(Reason::UnknownKey));
    }
    assert_eq!(source.fetches(), 2);
    source.publish(&[&known, &late]);
    advance(secs(10)).await;
    assert!(verify(&verifier, &token(&late).sign()).await.is_ok(), "but it is not forgotten for long");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_no_fetch_would_help_does_not_wait_to_hear_it() {
    let (known, stranger) = (key("known"), key("stranger"));
    let source = Source::of(&[&known]);
    let (verifier, _) = started(&source).await;
    let at_once = |token: &str| match verifier.verify_token(token, SystemTime::now()) {
        Verification::Done(result) => Some(result.map(drop).map_err(|error| error.reason())),
        Verification::Pending(_) => None,
    };
    let of = |kid: &str| token(&stranger).header("kid", kid).sign();
    assert_eq!(at_once(&of("0")), None);
    assert!(verify(&verifier, &of("0")).await.is_err());
    assert_eq!(at_once(&of("0")), Some(Err(Reason::UnknownKey)), "it was just looked for");
    for kid in ["1", "2"] {
        assert!(verify(&verifier, &of(kid)).await.is_err());
    }
    assert!(verify(&verifier, &of("3")).await.is_err());
    assert_eq!(at_once(&of("4")), Some(Err(Reason::UnknownKey)), "there were too many");
    assert_eq!(at_once(&token(&known).tampered()), None, "which is no word about signatures");
    assert_eq!(source.fetches(), 1 + 3);
    advance(secs(10)).await;
    assert_eq!(at_once(&of("4")), None, "one more fetch is allowed");
}

#[tokio::test(start_paused = true)]
async fn only_a_good_looking_token_with_an_unknown_kid_or_a_bad_signature_asks() {
    let (known, other) = (key("known"), key("other"));
    let source = Source::of(&[&known]);
    let (verifier, _) = started(&source).await;
    let cases = [
        (token(&other).expired().sign(), Reason::Expired),
        (token(&other).audience("elsewhere").sign(), Reason::Audience),
        (token(&other).issuer("https://elsewhere.example").sign(), Reason::UnknownIssuer),
        (token(&other).without_header("kid").sign(), Reason::Signature),
        (token(&known).unsigned(), Reason::NotAJwt),
        (token(&known).header("alg", "ES256").sign(), Reason::KeyAlgorithm),
        (token(&other).header("alg", "HS256").sign(), Reason::Algorithm),
    ];
    for (token, reason) in cases {
        assert_eq!(verify_now(&verifier, &token), Err(reason));
    }
    assert_eq!(source.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_comes_for_a_new_key_during_a_scheduled_fetch_is_not_put_off_with_a_304() {
    let (old, new) = (key("old"), key("new"));
    let source = Source::default();
    let with_tag = |keys: &[&SigningKey]| Fetched { etag: Some("\"1\"".into()), ..Fetched::new(jwks(keys)) };
    source.answer(Answer::Set(with_tag(&[&old])));
    let (verifier, status) = started(&source).await;
    source.answer(Answer::Stuck(with_tag(&[&old, &new])));
    source.state().delay = Duration::from_millis(500);
    let due = status.borrow().next_fetch.unwrap();
    sleep_until(due + Duration::from_millis(100)).await;
    assert_eq!(source.state().fetches.last().unwrap().1.as_deref(), Some("\"1\""), "it is on its way");
    assert!(verify(&verifier, &token(&new).sign()).await.is_ok());
    assert_eq!(source.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_comes_for_a_new_key_during_a_fetch_that_began_before_it_gets_one_more() {
    let (old, new, forged) = (key("old"), key("new"), key("forged"));
    let source = Source::of(&[&old]);
    let (verifier, status) = started(&source).await;
    source.state().delay = Duration::from_millis(500);
    let due = status.borrow().next_fetch.unwrap();
    sleep_until(due + Duration::from_millis(100)).await;
    let mut waiting = JoinSet::new();
    for key in [&new, &forged] {
        let (verifier, token) = (verifier.clone(), token(key).sign());
        waiting.spawn(async move { verify(&verifier, &token).await.map(drop) });
    }
    sleep_until(due + Duration::from_millis(600)).await;
    assert_eq!(source.fetches(), 3, "the set was the old one, and the next is under way");
    source.publish(&[&old, &new]);
    let mut answers = waiting.join_all().await;
    answers.sort_by_key(Result::is_err);
    assert_eq!(answers, [Ok(()), Err(Reason::UnknownKey)]);
    assert_eq!(due.elapsed().as_millis(), 1000, "with the second of these fetches");
    assert_eq!(source.fetches(), 3, "for a key that a fetch was made for there is not yet another");
}

#[tokio::test(start_paused = true)]
async fn who_comes_for_a_new_key_in_the_moment_of_an_answer_that_is_older_gets_one_more_fetch() {
    // Which of the two the task looks at first is left to chance, so this is tried many times.
    for attempt in 0..24 {
        let (old, new) = (key("old"), key("new"));
        let source = Source::of(&[&old]);
        let (verifier, status) = started(&source).await;
        source.answer(Answer::Never);
        let due = status.borrow().next_fetch.unwrap();
        sleep_until(due + Duration::from_millis(100)).await;
        source.arrive(Ok(Fetched::new(jwks(&[&old]))));
        source.publish(&[&old, &new]);
        assert!(verify(&verifier, &token(&new).sign()).await.is_ok(), "attempt {attempt}");
        assert_eq!(source.fetches(), 3);
        let stranger = key("stranger");
        assert_eq!(verify(&verifier, &token(&stranger).sign()).await.map(drop), Err(Reason::UnknownKey));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_cancelled_does_not_cancel_the_fetch_of_the_others() {
    let (old, new) = (key("old"), key("new"));
    let source = Source::of(&[&old]);
    let (verifier, _) = started(&source).await;
    source.publish(&[&new]);
    source.state().delay = secs(1);
    let impatient = tokio::spawn({
        let (verifier, token) = (verifier.clone(), token(&new).sign());
        async move { verify(&verifier, &token).await.is_ok() }
    });
    advance(Duration::from_millis(100)).await;
    impatient.abort();
    assert!(verify(&verifier, &token(&new).sign()).await.is_ok());
    assert_eq!(source.fetches(), 2);
}
