//! Signing out.

use super::*;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

#[tokio::test(start_paused = true)]
async fn whoever_signs_out_is_out_at_once_here_and_soon_elsewhere() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let (here, elsewhere) = (owner(&issuer, &store), owner(&issuer, &store));
    let id = here.create(tokens(0, HOUR)).await.unwrap();
    assert_eq!(access(&elsewhere, &id).await, got("a0"));
    let mut events = elsewhere.events();
    here.sign_out(&id, SignOutScope::Global, OnBehalf::default()).await.unwrap();
    assert_eq!(access(&here, &id).await, OUT);
    sleep(secs(5)).await;
    assert_eq!(access(&elsewhere, &id).await, OUT);
    assert!(matches!(events.next().await, Some(SessionEvent::SignedOut(_))));
    here.sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.unwrap();
    assert_eq!(issuer.0.lock().unwrap().signed_out, [("a0".to_owned(), SignOutScope::Global)]);
}

#[tokio::test(start_paused = true)]
async fn the_issuer_is_told_of_others_with_a_token_that_lives_and_this_session_goes_on() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let (sessions, id) = expired(&issuer, &store).await;
    sessions.sign_out(&id, SignOutScope::Others, OnBehalf::default()).await.unwrap();
    assert_eq!(issuer.0.lock().unwrap().signed_out, [("a1".to_owned(), SignOutScope::Others)]);
    assert_eq!(access(&sessions, &id).await, got("a1"));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_cannot_be_told_keeps_nobody_signed_in_here() {
    for (scope, expected) in
        [(SignOutScope::Local, None), (SignOutScope::Global, Some(SessionErrorKind::Unavailable))]
    {
        let issuer = Issuer::supabase();
        issuer.0.lock().unwrap().sign_out_fails = true;
        let sessions = owner(&issuer, &Faulty::new());
        let id = sessions.create(tokens(0, HOUR)).await.unwrap();
        let told = sessions.sign_out(&id, scope, OnBehalf::default()).await;
        assert_eq!(told.err().map(|error| error.kind()), expected);
        assert_eq!(access(&sessions, &id).await, OUT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_that_the_store_did_not_take_is_none_and_can_be_tried_again() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    store.set(|faults| faults.is_down = true);
    let failed = sessions.sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.unwrap_err();
    assert_eq!(failed.kind(), SessionErrorKind::Unavailable);
    assert_eq!(issuer.0.lock().unwrap().signed_out.len(), 0);
    assert_eq!(access(&sessions, &id).await, got("a0"));

    store.set(|faults| faults.is_down = false);
    sessions.sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.unwrap();
    assert_eq!(issuer.0.lock().unwrap().signed_out.len(), 1);
    assert_eq!(access(&owner(&issuer, &store), &id).await, OUT);
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_wins_over_a_refresh_under_way_and_the_issuer_hears_of_both() {
    let issuer = Issuer::supabase().answers([(secs(3), Answer::Tokens)]);
    let (sessions, id) = expired(&issuer, &Faulty::new()).await;
    let waiting = {
        let (sessions, id) = (sessions.clone(), id.clone());
        tokio::spawn(async move { access(&sessions, &id).await })
    };
    sleep(secs(1)).await;
    sessions.sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.unwrap();
    assert_eq!(waiting.await.unwrap(), OUT);
    let told = issuer.0.lock().unwrap().signed_out.clone();
    assert_eq!(told, [("a0".to_owned(), SignOutScope::Local), ("a1".to_owned(), SignOutScope::Local)]);
}

#[tokio::test(start_paused = true)]
async fn the_issuer_hears_of_the_tokens_too_that_the_store_had_not_taken_before_a_sign_out() {
    for is_here in [true, false] {
        let (issuer, store) = (Issuer::strict(), Faulty::new());
        let (sessions, id) = aging(&issuer, &store).await;
        store.set(|faults| faults.commits_before = usize::MAX);
        assert_eq!(access(&sessions, &id).await, got("a0"));
        sleep(secs(35)).await;
        let other = Sessions::builder(issuer.clone(), store.elsewhere(), keyring()).build();
        let signs_out = if is_here { &sessions } else { &other };
        signs_out.sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.unwrap();
        sleep(HOUR).await;
        let mut told = issuer.0.lock().unwrap().signed_out.clone();
        told.sort_by(|one, other| one.0.cmp(&other.0));
        let local = |token: &str| (token.to_owned(), SignOutScope::Local);
        assert_eq!(told, [local("a0"), local("a1")], "{is_here}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_that_the_issuer_did_not_hear_of_is_told_again_and_not_said_to_be_done_before() {
    for takes in [Duration::ZERO, HOUR] {
        let issuer = Issuer::supabase();
        let tells = |fails: bool, takes| {
            let mut told = issuer.0.lock().unwrap();
            (told.sign_out_fails, told.sign_out_takes) = (fails, takes);
        };
        tells(true, takes);
        let sessions = owner(&issuer, &Faulty::new());
        let id = sessions.create(tokens(0, HOUR)).await.unwrap();
        let everywhere = || sessions.sign_out(&id, SignOutScope::Global, OnBehalf::default());
        assert!(everywhere().await.is_err());
        assert_eq!(access(&sessions, &id).await, OUT);
        assert!(everywhere().await.is_err(), "it has still not heard of it");
        assert!(sessions.sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.is_ok());
        tells(false, Duration::ZERO);
        assert!(timeout(secs(60), async { while everywhere().await.is_err() {} }).await.is_ok());
        let told = || issuer.0.lock().unwrap().signed_out.len();
        let so_far = told();
        sleep(HOUR).await;
        assert_eq!(told(), so_far, "and then no more");
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_takes_no_expired_token_hears_of_the_sign_out_from_a_new_one() {
    let out_of_order = || ExchangeError::new(Outcome::NotSpent);
    for trouble in [0, 3] {
        let issuer = (0..trouble).fold(Issuer::supabase(), |issuer, _| issuer.fails(out_of_order()));
        issuer.0.lock().unwrap().signs_out_by = Some("a1");
        let (sessions, id) = expired(&issuer, &Faulty::new()).await;
        sessions.sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.unwrap();
        assert_eq!(access(&sessions, &id).await, OUT);
        sleep(HOUR).await;
        let told = issuer.0.lock().unwrap().signed_out.clone();
        assert_eq!(told.len(), 2 + trouble, "{told:?}");
        assert_eq!(told.last(), Some(&("a1".to_owned(), SignOutScope::Local)));
        assert_eq!(issuer.presented(), vec!["r0"; 1 + trouble]);
        assert_eq!(access(&sessions, &id).await, OUT, "the new tokens are nobody's");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_never_good_enough_for_a_sign_out_is_renewed_once() {
    let ended = || ExchangeError::new(Outcome::Final);
    for (scope, issuer, is_done) in [
        (SignOutScope::Local, Issuer::supabase(), true),
        (SignOutScope::Global, Issuer::supabase(), false),
        (SignOutScope::Local, Issuer::supabase().fails(ended()), true),
        (SignOutScope::Global, Issuer::supabase().fails(ended()), false),
    ] {
        issuer.0.lock().unwrap().signs_out_by = Some("none");
        let sessions = owner(&issuer, &Faulty::new());
        let id = sessions.create(tokens(0, HOUR)).await.unwrap();
        let told = sessions.sign_out(&id, scope, OnBehalf::default()).await;
        assert_eq!(told.is_ok(), is_done, "{scope:?}");
        sleep(HOUR).await;
        assert_eq!(issuer.presented(), ["r0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_never_hears_of_a_sign_out_is_left_alone_in_the_end() {
    let issuer = Issuer::supabase();
    issuer.0.lock().unwrap().sign_out_fails = true;
    let sessions = owner(&issuer, &Faulty::new());
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    assert!(sessions.sign_out(&id, SignOutScope::Global, OnBehalf::default()).await.is_err());
    sleep(HOUR).await;
    let times = issuer.0.lock().unwrap().signed_out.len();
    assert!((8..20).contains(&times), "{times}");
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_goes_on_when_whoever_asked_for_it_has_gone_away() {
    let issuer = Issuer::supabase();
    issuer.0.lock().unwrap().sign_out_takes = secs(2);
    let sessions = owner(&issuer, &Faulty::new());
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    let asked = sessions.sign_out(&id, SignOutScope::Global, OnBehalf::default());
    assert!(timeout(Duration::from_nanos(1), asked).await.is_err());
    sleep(secs(3)).await;
    assert_eq!(issuer.0.lock().unwrap().signed_out, [("a0".to_owned(), SignOutScope::Global)]);
    assert_eq!(access(&sessions, &id).await, OUT);
}

#[tokio::test(start_paused = true)]
async fn a_session_gives_way_without_a_word_to_the_issuer_where_both_may_be_one_to_it() {
    let of = |claims: &str| {
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        TokenSet::new(AccessToken::new(token), HOUR).refresh_token(RefreshToken::new("r"))
    };
    let cases = [
        (of(r#"{"sub":"u","sid":"sso"}"#), of(r#"{"sub":"u","sid":"sso"}"#), false),
        (of(r#"{"sub":"u"}"#), of(r#"{"sub":"u","sid":"sso"}"#), false),
        (tokens(0, HOUR), tokens(1, HOUR), false),
        (of(r#"{"sub":"u","session_id":"1"}"#), of(r#"{"sub":"u","session_id":"2"}"#), true),
        (of(r#"{"sub":"u"}"#), of(r#"{"sub":"v"}"#), true),
    ];
    let lost = cases.clone().map(|case| (case, true));
    for ((before, next, is_told), is_lost) in cases.map(|case| (case, false)).into_iter().chain(lost) {
        let (issuer, store) = (Issuer::strict(), Faulty::new());
        let (sessions, hears) = listening(&issuer, &store);
        let case = format!("{before:?} {next:?} {is_lost}");
        let id = sessions.create(before).await.unwrap();
        if is_lost {
            *store.store.lock().unwrap() = MemoryStore::new(1);
        }
        let next = Record::signed_in(next, false);
        sessions.give_way(id.key(), &next, OnBehalf::default()).await.unwrap();
        assert_eq!(access(&sessions, &id).await, OUT, "{case}");
        assert_eq!(access(&owner(&issuer, &store), &id).await, OUT, "{case}");
        assert_eq!(!issuer.0.lock().unwrap().signed_out.is_empty(), is_told, "{case}");
        assert_eq!(*hears.lock().unwrap() > 0, is_told, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_presents_nothing_twice_to_an_issuer_that_forgives_nothing() {
    for (answer, is_under_way) in
        [(Answer::Tokens, true), (Answer::CommittedAndLost(Outcome::Unknown), false)]
    {
        let issuer = Issuer::strict().answers([(secs(3), answer)]);
        issuer.0.lock().unwrap().signs_out_by = Some("none");
        let (sessions, id) = expired(&issuer, &Faulty::new()).await;
        if is_under_way {
            let (sessions, id) = (sessions.clone(), id.clone());
            tokio::spawn(async move { access(&sessions, &id).await });
            sleep(secs(1)).await;
        }
        sessions.sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.unwrap();
        sleep(HOUR).await;
        assert!(issuer.most_presentations_of_one() <= 1, "{:?}", issuer.presented());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_under_way_does_not_end_what_the_session_gave_way_to() {
    for is_here in [true, false] {
        let issuer = Issuer::strict().answers([(secs(3), Answer::Tokens)]);
        let store = Faulty::new();
        let (sessions, id) = aging(&issuer, &store).await;
        let other = owner(&issuer, &store);
        assert_eq!(access(&sessions, &id).await, got("a0"));
        sleep(secs(1)).await;
        // To the issuer it is the same one.
        let next = Record::signed_in(tokens(5, HOUR), false);
        let signed_in_at = if is_here { &sessions } else { &other };
        signed_in_at.give_way(id.key(), &next, OnBehalf::default()).await.unwrap();
        sleep(secs(10)).await;
        assert_eq!(issuer.presented(), ["r0"]);
        assert_eq!(issuer.0.lock().unwrap().signed_out, []);
        for sessions in [&sessions, &other] {
            assert_eq!(access(sessions, &id).await, OUT);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_signs_out_while_the_store_has_lost_the_session_is_out_when_it_is_found_again() {
    for is_known_to_be_lost in [false, true] {
        let (issuer, store) = (Issuer::supabase(), Faulty::new());
        let (sessions, hears) = listening(&issuer, &store);
        let id = sessions.create(tokens(0, HOUR)).await.unwrap();
        let full = std::mem::replace(&mut *store.store.lock().unwrap(), MemoryStore::new(1));
        sleep(secs(6)).await;
        if is_known_to_be_lost {
            assert_eq!(access(&sessions, &id).await, OUT);
        }
        sessions.sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.unwrap();
        *store.store.lock().unwrap() = full;
        sleep(secs(6)).await;
        assert_eq!(access(&sessions, &id).await, OUT, "{is_known_to_be_lost}");
        let told = issuer.0.lock().unwrap().signed_out.len();
        assert_eq!((told, *hears.lock().unwrap()), (1, 1), "{is_known_to_be_lost}");
    }
}
