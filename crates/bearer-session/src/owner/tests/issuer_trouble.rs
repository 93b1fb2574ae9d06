//! What an issuer may do to a session: be slow, be silent, say no.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_issuer_that_takes_nine_seconds_is_waited_for() {
    let issuer = Issuer::strict().answers([(secs(9), Answer::Tokens)]);
    let (sessions, id) = expired(&issuer, &Faulty::new()).await;
    assert_eq!(access(&sessions, &id).await, got("a1"));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_never_answers_costs_a_bounded_time_and_signs_nobody_out() {
    let hangs = || (Duration::ZERO, Answer::Hangs);
    let issuer = Issuer::supabase().answers([hangs(), hangs(), hangs(), hangs()]);
    let (sessions, id) = expired(&issuer, &Faulty::new()).await;
    assert_eq!(access(&sessions, &id).await, LATER);
    sleep(secs(120)).await;
    while access(&sessions, &id).await == LATER {
        sleep(secs(10)).await;
    }
    assert_eq!(access(&sessions, &id).await, got("a1"));
}

#[tokio::test(start_paused = true)]
async fn after_an_answer_was_lost_the_token_is_presented_again_only_where_that_is_allowed() {
    for after in [secs(9), Duration::ZERO] {
        let lost = || [(after, Answer::CommittedAndLost(Outcome::Unknown))];
        let supabase = Issuer::supabase().answers(lost());
        let (sessions, id) = expired(&supabase, &Faulty::new()).await;
        assert_eq!(access(&sessions, &id).await, got("a1"));
        assert_eq!(supabase.presented(), ["r0", "r0"]);

        let strict = Issuer::strict().answers(lost());
        let (sessions, id) = expired(&strict, &Faulty::new()).await;
        assert_eq!(access(&sessions, &id).await, OUT);
        assert_eq!(strict.presented(), ["r0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_answer_a_strict_session_lives_as_long_as_its_access_token() {
    let issuer = Issuer::strict().answers([(Duration::ZERO, Answer::CommittedAndLost(Outcome::Unknown))]);
    let store = Faulty::new();
    let (sessions, id) = aging(&issuer, &store).await;
    let mut events = sessions.events();
    assert_eq!(access(&sessions, &id).await, got("a0"));
    sleep(secs(50)).await;
    assert_eq!(access(&sessions, &id).await, got("a0"));
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a0"));
    sleep(secs(15)).await;
    assert_eq!(access(&sessions, &id).await, OUT);
    assert_eq!(access(&owner(&issuer, &store), &id).await, OUT);
    assert_eq!(issuer.presented(), ["r0"]);
    assert!(matches!(events.next().await, Some(SessionEvent::SignedOut(_))));
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_answer_the_next_refresh_waits_until_the_lost_request_cannot_arrive_any_more() {
    let issuer = Issuer::supabase().answers([(Duration::ZERO, Answer::Hangs)]);
    let store = Faulty::new();
    let (sessions, id) = expired(&issuer, &store).await;
    assert_eq!(access(&sessions, &id).await, got("a1"));
    for sessions in [&sessions, &owner(&issuer, &store)] {
        assert!(sessions.refresh(&id, OnBehalf::default()).await.is_err());
        assert_eq!(access(sessions, &id).await, got("a1"));
    }
    sleep(secs(10)).await;
    assert!(sessions.refresh(&id, OnBehalf::default()).await.is_ok());
    assert_eq!(issuer.presented(), ["r0", "r0", "r1"]);
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_and_signs_nobody_out() {
    let failures = [
        ExchangeError::new(Outcome::NotSpent).with_status(http::StatusCode::CONFLICT),
        ExchangeError::new(Outcome::NotSpent).with_status(http::StatusCode::SERVICE_UNAVAILABLE),
    ];
    for (failure, issuer) in failures.into_iter().zip([Issuer::supabase(), Issuer::strict()]) {
        let issuer = issuer.fails(failure);
        let (sessions, id) = expired(&issuer, &Faulty::new()).await;
        assert_eq!(access(&sessions, &id).await, got("a1"));
        assert_eq!(issuer.presented(), ["r0", "r0"]);
    }
}

/// Real ones say no more than 400 of a token that is over (Glewlwyd), or `invalid_request` (`LemonLDAP::NG`).
#[tokio::test(start_paused = true)]
async fn whoever_is_refused_without_the_word_for_it_is_sent_to_sign_in_and_nothing_is_lost() {
    let refused = |code| {
        let error = ExchangeError::new(Outcome::NotSpent).with_status(http::StatusCode::BAD_REQUEST);
        (Duration::ZERO, Answer::Fails(ExchangeError::with_code(error, code)))
    };
    for code in ["", "invalid_request"] {
        let issuer = Issuer::strict().answers(std::iter::repeat_with(|| refused(code)).take(40));
        let (sessions, id) = expired(&issuer, &Faulty::new()).await;
        let began = Instant::now();
        while access(&sessions, &id).await == LATER {
            sleep(secs(1)).await;
        }
        let waited = Instant::now() - began;
        assert!((secs(30)..secs(90)).contains(&waited), "{waited:?}");
        let error = sessions.access(&id, OnBehalf::default()).await.unwrap_err();
        assert_eq!((error.kind(), error.keeps_cookie()), (SessionErrorKind::SignedOut, true));

        issuer.0.lock().unwrap().answers.clear();
        sleep(secs(30)).await;
        assert_eq!(access(&sessions, &id).await, got("a1"));
        assert_eq!(access(&sessions, &id).await, got("a1"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_befalls_all_sends_nobody_to_sign_in() {
    for (status, code) in [(400, "invalid_client"), (401, ""), (403, ""), (409, "")] {
        let status = http::StatusCode::from_u16(status).unwrap();
        let refused = || {
            let error = ExchangeError::new(Outcome::NotSpent).with_status(status).with_code(code);
            (Duration::ZERO, Answer::Fails(error))
        };
        let issuer = Issuer::strict().answers(std::iter::repeat_with(refused).take(4000));
        let (sessions, id) = expired(&issuer, &Faulty::new()).await;
        for _ in 0..60 {
            assert_eq!(access(&sessions, &id).await, LATER, "{status} {code}");
            sleep(secs(10)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn while_its_token_lives_nobody_is_sent_to_sign_in_for_a_refusal() {
    let refused = || {
        let error = ExchangeError::new(Outcome::NotSpent).with_status(http::StatusCode::BAD_REQUEST);
        (Duration::ZERO, Answer::Fails(error))
    };
    let issuer = Issuer::strict().answers(std::iter::repeat_with(refused).take(1000));
    let (sessions, id) = aging(&issuer, &Faulty::new()).await;
    for _ in 0..59 {
        assert_eq!(access(&sessions, &id).await, got("a0"));
        sleep(secs(1)).await;
    }
    let error = sessions.refresh(&id, OnBehalf::default()).await.unwrap_err();
    assert_eq!(error.kind(), SessionErrorKind::Unavailable);
    sleep(secs(30)).await;
    assert_eq!(access(&sessions, &id).await, OUT);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_asks_for_a_minute_gets_it_however_many_ask() {
    let busy = ExchangeError::new(Outcome::NotSpent).with_retry_after(secs(60));
    let issuer = Issuer::strict().fails(busy);
    let (sessions, id) = expired(&issuer, &Faulty::new()).await;
    for _ in 0..100 {
        let error = sessions.access(&id, OnBehalf::default()).await.unwrap_err();
        assert_eq!(error.kind(), SessionErrorKind::Unavailable);
        assert!(error.retry_after().unwrap() <= secs(60));
    }
    assert_eq!(issuer.presented(), ["r0"]);
    sleep(secs(61)).await;
    assert_eq!(access(&sessions, &id).await, got("a1"));
}

#[tokio::test(start_paused = true)]
async fn while_the_issuer_is_down_a_live_token_serves() {
    let down = || (Duration::ZERO, Answer::Fails(ExchangeError::new(Outcome::NotSpent)));
    let issuer = Issuer::strict().answers(std::iter::repeat_with(down).take(1000));
    let (sessions, id) = aging(&issuer, &Faulty::new()).await;
    for _ in 0..59 {
        assert_eq!(access(&sessions, &id).await, got("a0"));
        sleep(secs(1)).await;
    }
    assert!(issuer.presented().len() < 40, "{}", issuer.presented().len());
    sleep(secs(2)).await;
    assert_eq!(access(&sessions, &id).await, LATER);
}

#[tokio::test(start_paused = true)]
async fn an_outage_lasts_until_a_refresh_succeeds_and_a_session_that_was_ended_is_none() {
    let is_out = |sessions: &Sessions| format!("{:?}", sessions.0.outage).contains("is_said: true");
    let cases = [(Outcome::Final, 1, false), (Outcome::NotSpent, 4, true), (Outcome::Unknown, 4, true)];
    for (outcome, times, expected) in cases {
        let fails = || (Duration::ZERO, Answer::Fails(ExchangeError::new(outcome)));
        let issuer = Issuer::supabase().answers(std::iter::repeat_with(fails).take(3 * times));
        let sessions = owner(&issuer, &Faulty::new());
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(sessions.create(tokens(0, Duration::ZERO)).await.unwrap());
        }
        for id in &ids {
            assert!(!is_out(&sessions), "{outcome:?}: it takes several");
            assert!(access(&sessions, id).await.is_err(), "{outcome:?}");
            sleep(secs(1)).await;
        }
        assert_eq!(is_out(&sessions), expected, "{outcome:?}");
        sleep(secs(120)).await;
        let _ = access(&sessions, &ids[0]).await;
        assert!(!is_out(&sessions), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_issuer_ended_ends_here_once_and_in_all_processes() {
    let issuer = Issuer::supabase().fails(ExchangeError::new(Outcome::Final));
    let store = Faulty::new();
    let revoked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&revoked);
    let builder = Sessions::builder(issuer.clone(), store.clone(), keyring());
    let sessions = builder.on_sign_out(move |_| *count.lock().unwrap() += 1).build();
    let mut events = sessions.events();
    let id = sessions.create(tokens(0, Duration::ZERO)).await.unwrap();
    for _ in 0..10 {
        assert_eq!(access(&sessions, &id).await, OUT);
    }
    assert_eq!(access(&owner(&issuer, &store), &id).await, OUT);
    assert_eq!(issuer.presented(), ["r0"]);
    assert_eq!(*revoked.lock().unwrap(), 1);
    assert!(matches!(events.next().await, Some(SessionEvent::SignedIn(_))));
    assert!(matches!(events.next().await, Some(SessionEvent::SignedOut(_))));
    drop(sessions);
    assert_eq!(events.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_lives_shorter_than_the_margin_is_not_refreshed_all_the_time() {
    let issuer = Issuer::strict().expires_in(secs(60));
    let sessions = owner(&issuer, &Faulty::new());
    let id = sessions.create(tokens(0, secs(60))).await.unwrap();
    for _ in 0..600 {
        assert!(access(&sessions, &id).await.is_ok());
        sleep(secs(1)).await;
    }
    let exchanges = issuer.presented().len();
    assert!((10..=16).contains(&exchanges), "{exchanges}");
}

#[tokio::test(start_paused = true)]
async fn tokens_that_come_dead_are_not_asked_for_without_end() {
    let issuer = Issuer::strict().expires_in(Duration::ZERO);
    let (sessions, id) = expired(&issuer, &Faulty::new()).await;
    for _ in 0..100 {
        assert_eq!(access(&sessions, &id).await, LATER);
    }
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_was_asked_too_often_is_asked_once() {
    let refusals = || (Duration::ZERO, Answer::Fails(too_many()));
    for issuer in [Issuer::supabase(), Issuer::strict()] {
        let issuer = issuer.answers((0..4).map(|_| refusals()));
        let (sessions, id) = expired(&issuer, &Faulty::new()).await;
        assert_eq!(access(&sessions, &id).await, LATER);
        assert_eq!(issuer.presented(), ["r0"]);
        sleep(secs(60)).await;
        assert_eq!(issuer.presented(), ["r0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_was_asked_too_often_is_left_alone_by_all_sessions() {
    let issuer = Issuer::supabase().fails(too_many().with_retry_after(secs(10)));
    let (sessions, ids) = many(&issuer, Duration::ZERO).await;
    for id in &ids {
        let error = sessions.access(id, OnBehalf::default()).await.unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (SessionErrorKind::Unavailable, Some(secs(10))));
    }
    sleep(Duration::from_millis(9_900)).await;
    for id in &ids {
        assert_eq!(access(&sessions, id).await, LATER);
    }
    assert_eq!(issuer.presented().len(), 1);
    sleep(secs(1)).await;
    for id in &ids {
        assert_eq!(access(&sessions, id).await, got("a1"));
    }
    assert_eq!(issuer.presented().len(), 101);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_one_client_keeps_no_other_from_asking() {
    let issuer = Issuer::supabase().fails(too_many().of_one_client());
    let (sessions, ids) = many(&issuer, Duration::ZERO).await;
    assert_eq!(access(&sessions, &ids[0]).await, LATER);
    assert_eq!(access(&sessions, &ids[0]).await, LATER);
    assert_eq!(access(&sessions, &ids[1]).await, got("a1"));
    assert_eq!(issuer.presented().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_outage_at_a_strict_issuer_costs_one_session_and_not_all() {
    let issuer = Issuer::strict();
    let (sessions, ids) = many(&issuer, HOUR).await;
    advance(secs(3540)).await;
    let over = Instant::now() + secs(300);
    issuer.0.lock().unwrap().is_out_until = Some(over);
    // Past their margin, and soon past their time.
    while Instant::now() < over {
        for id in &ids {
            let _ = access(&sessions, id).await;
            sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(issuer.presented().len(), 1, "no second token is risked");
    let probes = issuer.0.lock().unwrap().probes;
    assert!((5..30).contains(&probes), "{probes}");

    sleep(secs(30)).await;
    let (mut lost, mut served) = (0, 0);
    for id in &ids {
        loop {
            match access(&sessions, id).await {
                Err(SessionErrorKind::Unavailable) => sleep(secs(1)).await,
                Err(SessionErrorKind::SignedOut) => break lost += 1,
                Ok(_) => break served += 1,
            }
        }
    }
    assert_eq!((lost, served), (1, 99));
    assert_eq!(issuer.presented().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_single_lost_answer_holds_up_the_others_for_a_moment() {
    let issuer = Issuer::strict().fails(ExchangeError::new(Outcome::Unknown));
    let (sessions, ids) = many(&issuer, Duration::ZERO).await;
    assert_eq!(access(&sessions, &ids[0]).await, OUT);
    let error = sessions.access(&ids[1], OnBehalf::default()).await.unwrap_err();
    assert!(error.retry_after().is_some_and(|time| time <= secs(1)), "{error:?}");
    sleep(secs(1)).await;
    assert_eq!(access(&sessions, &ids[1]).await, got("a1"));
    assert_eq!(access(&sessions, &ids[2]).await, got("a1"));
    assert_eq!(issuer.0.lock().unwrap().probes, 1);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_forgives_is_not_held_up_by_a_lost_answer() {
    let issuer = Issuer::supabase()
        .answers((0..4).map(|_| (Duration::ZERO, Answer::Fails(ExchangeError::new(Outcome::Unknown)))));
    let (sessions, ids) = many(&issuer, Duration::ZERO).await;
    assert_eq!(access(&sessions, &ids[0]).await, LATER);
    assert_eq!(access(&sessions, &ids[1]).await, got("a1"));
    assert_eq!(issuer.0.lock().unwrap().probes, 0);
}

#[tokio::test(start_paused = true)]
async fn tokens_of_another_user_are_handed_to_nobody() {
    for issuer in [Issuer::supabase(), Issuer::strict()] {
        let issuer = issuer.answers((0..4).map(|_| (Duration::ZERO, Answer::TokensOf("eve"))));
        let store = Faulty::new();
        let sessions = owner(&issuer, &store);
        let id = sessions.create(tokens_of("ada", 0, secs(60))).await.unwrap();
        let mut events = sessions.events();
        let _ = sessions.refresh(&id, OnBehalf::default()).await;
        for sessions in [&sessions, &owner(&issuer, &store)] {
            assert_eq!(sessions.access(&id, OnBehalf::default()).await.unwrap().subject(), Some("ada"));
        }
        assert!(timeout(secs(1), events.next()).await.is_err(), "nobody has new tokens");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_of_the_same_user_are() {
    let issuer = Issuer::strict().answers([(Duration::ZERO, Answer::TokensOf("ada"))]);
    let sessions = owner(&issuer, &Faulty::new());
    let id = sessions.create(tokens_of("ada", 0, Duration::ZERO)).await.unwrap();
    assert_eq!(sessions.access(&id, OnBehalf::default()).await.unwrap().generation(), 1);
}

fn too_many() -> ExchangeError {
    ExchangeError::new(Outcome::NotSpent).with_status(http::StatusCode::TOO_MANY_REQUESTS)
}

/// A hundred sessions whose access tokens live for so long.
async fn many(issuer: &Issuer, live: Duration) -> (Sessions, Vec<SessionId>) {
    let sessions = Sessions::builder(issuer.clone(), MemoryStore::new(100), keyring()).build();
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(sessions.create(tokens(0, live)).await.unwrap());
    }
    (sessions, ids)
}
