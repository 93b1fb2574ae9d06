//! Logouts at the issuer, as back-channel logout tells of them.

use super::*;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
use std::time::{SystemTime, UNIX_EPOCH};
use tower_bearer::{Algorithm, JwtVerifier, LogoutToken};

const ISS: &str = "https://issuer.example";
const SECRET: [u8; 32] = [7; 32];

fn heeding(issuer: &Issuer, store: &Faulty) -> Sessions {
    Sessions::builder(issuer.clone(), store.clone(), keyring()).heed_logouts().build()
}

fn jwt(payload: &str) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
}

/// Those of a sign-in, whose ID token says this.
fn signed_in(id_token: &str, expires_in: Duration) -> TokenSet {
    TokenSet { id_token: Some(Secret::new(jwt(id_token))), ..tokens(0, expires_in) }
}

fn session(iss: &str, sid: &str) -> TokenSet {
    signed_in(&format!(r#"{{"iss":"{iss}","sub":"ada","sid":"{sid}"}}"#), HOUR)
}

/// An owner, and a session of the issuer's session `s-1` that it has begun.
async fn begun() -> (Issuer, Faulty, Sessions, SessionId) {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let sessions = heeding(&issuer, &store);
    let id = sessions.create(session(ISS, "s-1")).await.unwrap();
    (issuer, store, sessions, id)
}

/// What the issuer says of a session or a user.
async fn logout_of(claim: &str, value: &str) -> LogoutToken {
    logout_at(claim, value, SystemTime::now()).await
}

/// What it said then.
async fn logout_at(claim: &str, value: &str, at: SystemTime) -> LogoutToken {
    let issuer =
        tower_bearer::Issuer::new(ISS, "api").hmac_secret(Algorithm::HS256, SECRET).logout_client("web");
    let iat = at.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let key = SigningKey::hmac(Alg::HS256, &SECRET);
    let token =
        TokenBuilder::new(&key, ISS, "web").logout().without("sub").claim("iat", iat).claim(claim, value);
    JwtVerifier::new([issuer]).unwrap().verify_logout_token(&token.sign(), at).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_signs_out_at_the_issuer_is_out_in_every_process_and_nobody_else_is() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let (here, elsewhere) = (heeding(&issuer, &store), heeding(&issuer, &store));
    let id = here.create(session(ISS, "s-1")).await.unwrap();
    let others = [session(ISS, "s-2"), session("https://other.example", "s-1"), tokens(0, HOUR)];
    let mut strangers = Vec::new();
    for tokens in others {
        strangers.push(here.create(tokens).await.unwrap());
    }
    assert_eq!(access(&elsewhere, &id).await, got("a0"));
    let mut events = elsewhere.events();

    here.heed_logout(logout_of("sid", "s-1").await).await.unwrap();
    sleep(secs(5)).await;
    for sessions in [&here, &elsewhere, &heeding(&issuer, &store)] {
        assert_eq!(access(sessions, &id).await, OUT);
        for stranger in &strangers {
            assert_eq!(access(sessions, stranger).await, got("a0"));
        }
    }
    assert!(matches!(events.next().await, Some(SessionEvent::SignedOut(who)) if who.key == id.key()));
    assert_eq!(store.load(&id.key()).await.unwrap(), Lookup::Ended, "also for who does not heed logouts");
    assert_eq!(issuer.0.lock().unwrap().signed_out, [], "it knows");
}

#[tokio::test(start_paused = true)]
async fn the_hook_is_told_once_though_no_process_had_the_session() {
    for processes in [1, 2] {
        let (issuer, store, _, id) = begun().await;
        heeding(&issuer, &store).heed_logout(logout_of("sid", "s-1").await).await.unwrap();
        let heard = Arc::new(Mutex::new(0));
        let mut requests = JoinSet::new();
        for _ in 0..processes {
            let (hears, id) = (Arc::clone(&heard), id.clone());
            let sessions = Sessions::builder(issuer.clone(), store.clone(), keyring()).heed_logouts();
            let sessions = sessions.on_sign_out(move |_| *hears.lock().unwrap() += 1).build();
            requests.spawn(async move { [access(&sessions, &id).await, access(&sessions, &id).await] });
        }
        assert!(requests.join_all().await.into_iter().all(|answers| answers == [OUT, OUT]));
        assert_eq!(*heard.lock().unwrap(), 1, "{processes}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_is_written_though_the_store_is_away_for_a_moment() {
    let (issuer, store, _, id) = begun().await;
    let sessions = heeding(&issuer, &store);
    sessions.heed_logout(logout_of("sid", "s-1").await).await.unwrap();
    let asking = {
        let (sessions, id) = (sessions.clone(), id.clone());
        tokio::spawn(async move { access(&sessions, &id).await })
    };
    // The session is found, and what was said of it is asked for.
    sleep(Duration::from_micros(1500)).await;
    store.set(|faults| faults.is_down = true);
    sleep(secs(1)).await;
    store.set(|faults| faults.is_down = false);
    assert_eq!(asking.await.unwrap(), OUT);
    assert_eq!(store.load(&id.key()).await.unwrap(), Lookup::Ended);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_takes_the_place_of_one_that_was_logged_out_is_not_ended_with_it() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let heard = Arc::new(Mutex::new(0));
    let hears = Arc::clone(&heard);
    let sessions = Sessions::builder(issuer.clone(), store.clone(), keyring())
        .heed_logouts()
        .on_sign_out(move |_| *hears.lock().unwrap() += 1)
        .build();
    let old = sessions.create(session(ISS, "s-1")).await.unwrap();
    sessions.heed_logout(logout_of("sid", "s-1").await).await.unwrap();
    // Who took their consent back comes again, with the session at the issuer that they had.
    let to = Record::signed_in(session(ISS, "s-1"), false);
    sessions.0.give_way(old.key(), &to, OnBehalf::default()).await.unwrap();
    assert_eq!((store.load(&old.key()).await.unwrap(), *heard.lock().unwrap()), (Lookup::Ended, 0));
    assert_eq!(issuer.0.lock().unwrap().signed_out, []);
}

#[tokio::test(start_paused = true)]
async fn a_session_in_use_ends_though_it_is_refreshed_before_anybody_looks() {
    let (issuer, store) = (Issuer::supabase().expires_in(secs(300)), Faulty::new());
    let sessions =
        Sessions::builder(issuer.clone(), store, keyring()).heed_logouts().local_for(secs(240)).build();
    let tokens = signed_in(&format!(r#"{{"iss":"{ISS}","sid":"s-1"}}"#), secs(300));
    let id = sessions.create(tokens).await.unwrap();
    sessions.heed_logout(logout_of("sid", "s-1").await).await.unwrap();
    for _ in 0..60 {
        sleep(secs(5)).await;
        let _ = access(&sessions, &id).await;
    }
    assert_eq!(issuer.presented(), ["r0"], "in the background, while the copy was good");
    assert_eq!(access(&sessions, &id).await, OUT);
}

#[tokio::test(start_paused = true)]
async fn a_session_in_use_ends_though_its_refresh_is_tried_again_and_again() {
    let failed = || (Duration::ZERO, Answer::Fails(ExchangeError::new(Outcome::NotSpent)));
    let (issuer, store) = (Issuer::supabase().answers((0..100).map(|_| failed())), Faulty::new());
    let sessions = Sessions::builder(issuer, store, keyring()).heed_logouts().local_for(secs(120)).build();
    let id = sessions.create(session(ISS, "s-1")).await.unwrap();
    advance(secs(3600 - 80)).await;
    assert_eq!(access(&sessions, &id).await, got("a0"));
    sleep(secs(1)).await;
    sessions.heed_logout(logout_of("sid", "s-1").await).await.unwrap();
    assert_eq!(access(&sessions, &id).await, OUT);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_come_after_a_logout_are_served_to_nobody_who_asks_for_them_later() {
    let (issuer, store) = (Issuer::supabase().answers([(secs(3), Answer::Tokens)]), Faulty::new());
    let sessions = heeding(&issuer, &store);
    let labels = format!(r#"{{"iss":"{ISS}","sid":"s-1"}}"#);
    let id = sessions.create(signed_in(&labels, Duration::ZERO)).await.unwrap();
    let waiting = {
        let (sessions, id) = (sessions.clone(), id.clone());
        tokio::spawn(async move { access(&sessions, &id).await })
    };
    sleep(secs(1)).await;
    sessions.heed_logout(logout_of("sid", "s-1").await).await.unwrap();
    assert_eq!(waiting.await.unwrap(), got("a1"), "it asked before");
    assert_eq!(access(&sessions, &id).await, OUT);
}

#[tokio::test(start_paused = true)]
async fn of_parallel_requests_none_is_served_before_the_logouts_are_known() {
    let (issuer, store, _, id) = begun().await;
    let sessions = heeding(&issuer, &store);
    sessions.heed_logout(logout_of("sid", "s-1").await).await.unwrap();
    let mut requests = JoinSet::new();
    for after in 0..20 {
        let (sessions, id) = (sessions.clone(), id.clone());
        requests.spawn(async move {
            sleep(Duration::from_micros(after * 250)).await;
            access(&sessions, &id).await
        });
    }
    assert!(requests.join_all().await.into_iter().all(|answer| answer == OUT));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_used_since_is_over_before_its_refresh_token_is_sent() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = heeding(&issuer, &store);
    let (day, month) = (24 * 3600, 30 * 24 * 3600);
    let tokens = signed_in(&format!(r#"{{"iss":"{ISS}","sid":"s-1"}}"#), secs(day));
    let id = sessions.create(tokens).await.unwrap();
    sessions.heed_logout(logout_of("sid", "s-1").await).await.unwrap();
    // So long it lies in the store.
    advance(secs(day + month - 1)).await;
    assert_eq!(access(&heeding(&issuer, &store), &id).await, OUT);
    assert_eq!(issuer.presented().len(), 0);
    assert_eq!(store.load(&id.key()).await.unwrap(), Lookup::Ended);
}

#[tokio::test(start_paused = true)]
async fn a_logout_of_a_user_ends_what_began_before_it_in_whatever_order_they_are_heard_of() {
    // How many seconds before the session they were.
    let cases: [(&[u64], _); 6] = [
        (&[1], got("a0")),
        (&[300, 1, 300], got("a0")),
        // In the same second: the session may have been there.
        (&[0], OUT),
        (&[60, 0], OUT),
        (&[0, 60], OUT),
        (&[300, 0, 60], OUT),
    ];
    for (logouts, expected) in cases {
        let (issuer, store, sessions, id) = begun().await;
        let began = sessions.peek(&id).await.unwrap().signed_in_at();
        for ago in logouts {
            let logout = logout_at("sub", "ada", began - secs(*ago)).await;
            sessions.heed_logout(logout).await.unwrap();
        }
        assert_eq!(access(&heeding(&issuer, &store), &id).await, expected, "{logouts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_began_when_its_first_token_was_issued_by_the_clock_of_the_issuer() {
    // Whatever the clock here says.
    let noon = SystemTime::now() - secs(7200);
    let iat = noon.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let labels = |more: &str| format!(r#"{{"iss":"{ISS}","sub":"ada","sid":"s-1"{more}}}"#);
    let dated = labels(&format!(r#","iat":{iat}"#));
    let of_access = TokenSet { access_token: AccessToken::new(jwt(&dated)), ..tokens(0, HOUR) };
    let of_id = signed_in(&dated, HOUR);
    let replaced_by = signed_in(&labels(&format!(r#","iat":{}"#, iat + 60)), HOUR);
    for tokens in [of_access, of_id] {
        for claim in ["sid", "sub"] {
            for (before, expected) in [(1, got("a0")), (0, OUT)] {
                let (issuer, store) = (Issuer::supabase(), Faulty::new());
                let sessions = heeding(&issuer, &store);
                let id = sessions.create(tokens.clone()).await.unwrap();
                let next = TokenSet { access_token: AccessToken::new("a0"), ..replaced_by.clone() };
                let replaced =
                    sessions.replace(&id, OnBehalf::default(), async |_| Ok::<_, StoreError>(next));
                assert!(replaced.await.is_ok());
                let value = if claim == "sid" { "s-1" } else { "ada" };
                let logout = logout_at(claim, value, noon - secs(before)).await;
                sessions.heed_logout(logout).await.unwrap();
                assert_eq!(access(&heeding(&issuer, &store), &id).await, expected, "{claim} {before}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_logout_of_a_user_is_known_for_as_long_as_the_first() {
    let (issuer, store, sessions, id) = begun().await;
    let began = sessions.peek(&id).await.unwrap().signed_in_at();
    sessions.heed_logout(logout_at("sub", "ada", began - secs(60)).await).await.unwrap();
    sessions.heed_logout(logout_at("sub", "ada", began).await).await.unwrap();
    advance(secs(30 * 24 * 3600)).await;
    assert_eq!(access(&heeding(&issuer, &store), &id).await, OUT);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_found_by_the_sid_that_it_had_though_later_id_tokens_have_none() {
    let (issuer, store, sessions, id) = begun().await;
    let next = signed_in(&format!(r#"{{"iss":"{ISS}","sub":"ada"}}"#), HOUR);
    let replaced = sessions.replace(&id, OnBehalf::default(), async |_| Ok::<_, StoreError>(next));
    assert!(replaced.await.is_ok());
    sessions.heed_logout(logout_of("sid", "s-1").await).await.unwrap();
    assert_eq!(access(&heeding(&issuer, &store), &id).await, OUT);
}

#[tokio::test(start_paused = true)]
async fn where_the_id_token_does_not_say_whose_it_is_the_access_token_does() {
    let labels = format!(r#"{{"iss":"{ISS}","sub":"ada","sid":"s-1"}}"#);
    let of_access = TokenSet { access_token: AccessToken::new(jwt(&labels)), ..tokens(0, HOUR) };
    let of_both = TokenSet {
        access_token: AccessToken::new(jwt(&format!(r#"{{"iss":"{ISS}","sub":"ada","sid":"other"}}"#))),
        ..signed_in(&labels, HOUR)
    };
    let of_supabase = format!(r#"{{"iss":"{ISS}","sub":"ada","session_id":"s-1"}}"#);
    let of_supabase = TokenSet { access_token: AccessToken::new(jwt(&of_supabase)), ..tokens(0, HOUR) };
    let two_names = format!(r#"{{"iss":"{ISS}","sub":"ada","session_id":"other","sid":"s-1"}}"#);
    let of_two = signed_in(&two_names, HOUR);
    let access_of_two = TokenSet { access_token: AccessToken::new(jwt(&two_names)), ..tokens(0, HOUR) };
    let of_another = TokenSet {
        access_token: AccessToken::new(jwt(r#"{"iss":"https://other.example","sub":"a pair"}"#)),
        ..signed_in(&labels, HOUR)
    };
    for (tokens, claim, value, expected) in [
        (&of_access, "sid", "s-1", true),
        (&of_access, "sub", "ada", true),
        (&of_access, "sid", "ada", false),
        (&of_access, "sub", "s-1", false),
        (&of_both, "sid", "s-1", true),
        (&of_both, "sid", "other", false),
        (&of_supabase, "sid", "s-1", true),
        (&of_two, "sid", "s-1", true),
        (&of_two, "sid", "other", false),
        (&access_of_two, "sid", "s-1", true),
        (&access_of_two, "sid", "other", false),
        (&of_another, "sid", "s-1", true),
        (&of_another, "sub", "ada", true),
        (&of_another, "sub", "a pair", false),
    ] {
        let (issuer, store) = (Issuer::supabase(), Faulty::new());
        let sessions = heeding(&issuer, &store);
        let id = sessions.create(tokens.clone()).await.unwrap();
        sessions.heed_logout(logout_of(claim, value).await).await.unwrap();
        let access = heeding(&issuer, &store).access(&id, OnBehalf::default()).await;
        assert_eq!(access.is_err(), expected, "{claim} {value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_that_the_store_did_not_take_has_failed_and_may_be_repeated() {
    let (issuer, store, sessions, id) = begun().await;
    // The first logout of this user, and one that takes the place of another.
    let began = sessions.peek(&id).await.unwrap().signed_in_at();
    for ago in [60, 0] {
        let logout = logout_at("sub", "ada", began - secs(ago)).await;
        store.set(|faults| faults.is_down = true);
        let failed = sessions.heed_logout(logout.clone()).await.unwrap_err();
        assert_eq!(failed.kind(), SessionErrorKind::Unavailable);
        store.set(|faults| faults.is_down = false);
        assert_eq!(access(&heeding(&issuer, &store), &id).await, got("a0"));
        sessions.heed_logout(logout).await.unwrap();
    }
    assert_eq!(access(&heeding(&issuer, &store), &id).await, OUT);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_moment_costs_no_logout() {
    let (issuer, store, sessions, id) = begun().await;
    store.set(|faults| faults.is_down = true);
    let heeding_it = tokio::spawn(sessions.heed_logout(logout_of("sid", "s-1").await));
    sleep(secs(1)).await;
    store.set(|faults| faults.is_down = false);
    heeding_it.await.unwrap().unwrap();
    assert_eq!(access(&heeding(&issuer, &store), &id).await, OUT);
}

#[tokio::test(start_paused = true)]
async fn while_the_store_does_not_say_whether_there_was_a_logout_nobody_is_let_in_who_was_not_before() {
    for expires_in in [HOUR, Duration::ZERO] {
        let (issuer, store) = (Issuer::supabase(), Faulty::new());
        let tokens = signed_in(&format!(r#"{{"iss":"{ISS}","sub":"ada","sid":"s-1"}}"#), expires_in);
        let id = heeding(&issuer, &store).create(tokens).await.unwrap();
        let sessions = heeding(&issuer, &store);
        // The session itself is found, and what was said of one of the two.
        for answers in [1, 2] {
            store.set(|faults| faults.answers = Some(answers));
            assert_eq!(access(&sessions, &id).await, LATER);
            assert_eq!(issuer.presented().len(), 0);
        }
        store.set(|faults| faults.answers = None);
        assert!(access(&sessions, &id).await.is_ok(), "and nobody is signed out");
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_not_told_to_heed_logouts_says_so_and_looks_for_none() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(session(ISS, "s-1")).await.unwrap();
    assert!(sessions.heed_logout(logout_of("sid", "s-1").await).await.is_err());
    sleep(secs(5)).await;
    assert_eq!(access(&sessions, &id).await, got("a0"));
    assert_eq!(store.read(|faults| faults.loads), 1);
}
