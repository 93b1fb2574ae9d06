//! Sessions that came with the cookies of another library, and who is told of their end.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_adopted_session_is_found_by_all_the_refresh_tokens_it_ever_had() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (sessions, other) = (owner(&issuer, &store), owner(&issuer, &store));
    let key = sessions.adopt(tokens(0, HOUR)).await.unwrap();
    for _ in 0..2 {
        sessions.refresh(key, OnBehalf::default()).await.unwrap();
    }
    for old in 0..3 {
        for sessions in [&sessions, &other] {
            assert_eq!(sessions.adopt(tokens(old, HOUR)).await.unwrap(), key);
        }
    }
    let newest = other.access(key, OnBehalf::default()).await.unwrap();
    assert_eq!(newest.token().expose(), "a2");
    assert_eq!(issuer.presented(), ["r0", "r1"]);

    sessions.sign_out(key, SignOutScope::Local, OnBehalf::default()).await.unwrap();
    assert_eq!(brings(&owner(&issuer, &store), tokens(0, HOUR)).await, Err(SessionErrorKind::SignedOut));
}

#[tokio::test(start_paused = true)]
async fn an_old_cookie_does_not_begin_a_session_anew_that_was_signed_out() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let day = 24 * HOUR;
    let key = sessions.adopt(tokens(0, day)).await.unwrap();
    assert_eq!(brings(&owner(&issuer, &store), tokens(0, day)).await, Ok("a0".to_owned()));
    sessions.sign_out(key, SignOutScope::Local, OnBehalf::default()).await.unwrap();
    // Long after the end of it was forgotten.
    sleep(4 * HOUR).await;
    for sessions in [sessions, owner(&issuer, &store)] {
        assert_eq!(brings(&sessions, tokens(0, day)).await, Err(SessionErrorKind::SignedOut));
    }
}

#[tokio::test(start_paused = true)]
async fn the_names_of_an_adopted_session_live_as_long_as_its_access_token_however_short_its_lifetime() {
    let (issuer, store, day) = (Issuer::strict(), Faulty::new(), 24 * HOUR);
    let owner = || Sessions::builder(issuer.clone(), store.clone(), keyring()).lifetime(secs(60)).build();
    let key = owner().adopt(tokens(0, day)).await.unwrap();
    owner().refresh(key, OnBehalf::default()).await.unwrap();
    sleep(secs(1800)).await;
    // Each by a process that has not seen it before.
    for old in 0..2 {
        assert_eq!(owner().adopt(tokens(old, day)).await.unwrap(), key, "{old}");
    }
    owner().sign_out(key, SignOutScope::Local, OnBehalf::default()).await.unwrap();
    sleep(4 * HOUR).await;
    assert_eq!(brings(&owner(), tokens(0, day)).await, Err(SessionErrorKind::SignedOut));
}

/// The sign-outs that a hook heard of: the scope, and how long the access token still lived.
type Heard = Arc<Mutex<Vec<(SignOutScope, u64)>>>;

fn heard(issuer: &Issuer) -> (Sessions, Heard) {
    let heard = Heard::default();
    let hears = Arc::clone(&heard);
    let builder = Sessions::builder(issuer.clone(), Faulty::new(), keyring());
    let hook = move |it: &SignedOut| hears.lock().unwrap().push((it.scope, it.access_token_lives.as_secs()));
    (builder.on_sign_out(hook).build(), heard)
}

#[tokio::test(start_paused = true)]
async fn an_adopted_session_goes_on_however_many_names_there_were() {
    let (issuer, store) = (Issuer::strict(), MemoryStore::new(1).aliases(2));
    let sessions = Sessions::builder(issuer.clone(), store.clone(), keyring()).build();
    let key = sessions.adopt(tokens(0, HOUR)).await.unwrap();
    for _ in 0..4 {
        sessions.refresh(key, OnBehalf::default()).await.unwrap();
        sleep(secs(1)).await;
    }
    let other = Sessions::builder(issuer.clone(), store, keyring()).build();
    assert_eq!(other.adopt(tokens(4, HOUR)).await.unwrap(), key);
    assert_eq!(issuer.presented(), ["r0", "r1", "r2", "r3"]);
}

#[tokio::test(start_paused = true)]
async fn who_brings_an_expired_access_token_signs_out_nobody_else() {
    use SignOutScope::{Global, Local};
    let refuses = || Issuer::supabase().fails(ExchangeError::new(Outcome::Final));
    let busy = || Issuer::supabase().fails(ExchangeError::new(Outcome::NotSpent).with_retry_after(secs(60)));
    for (name, issuer, scope) in [
        ("the issuer refuses", refuses(), None),
        ("a sign-out", Issuer::supabase(), Some(Local)),
        ("of all sessions, refused", refuses(), Some(Global)),
        ("of all sessions, while the issuer says nothing", busy(), Some(Global)),
    ] {
        let (sessions, heard) = heard(&issuer);
        let key = sessions.adopt(tokens(0, Duration::ZERO)).await.unwrap();
        match scope {
            None => assert!(sessions.access(key, OnBehalf::default()).await.is_err(), "{name}"),
            Some(scope) => {
                let _ = sessions.sign_out(key, scope, OnBehalf::default()).await;
            }
        }
        assert_eq!(sessions.peek(key).await.unwrap_err().kind(), SessionErrorKind::SignedOut, "{name}");
        assert_eq!(*heard.lock().unwrap(), [], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_adopted_session_is_announced_once_its_tokens_are_known_to_be_its_own() {
    for lives in [HOUR, Duration::ZERO] {
        let (sessions, heard) = heard(&Issuer::supabase());
        let key = sessions.adopt(tokens(0, lives)).await.unwrap();
        sessions.access(key, OnBehalf::default()).await.unwrap();
        sessions.sign_out(key, SignOutScope::Local, OnBehalf::default()).await.unwrap();
        assert_eq!(*heard.lock().unwrap(), [(SignOutScope::Local, 3599)], "{lives:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_sign_out_everywhere_the_hook_hears_when_the_issuer_has_answered_too() {
    for fails in [false, true] {
        let issuer = Issuer::supabase();
        issuer.0.lock().unwrap().sign_out_fails = fails;
        let (sessions, heard) = heard(&issuer);
        let id = sessions.create(tokens(0, HOUR)).await.unwrap();
        issuer.0.lock().unwrap().sign_out_takes = secs(3);
        let _ = sessions.sign_out(&id, SignOutScope::Global, OnBehalf::default()).await;
        // What was issued until then is revoked as well.
        assert_eq!(*heard.lock().unwrap(), [(SignOutScope::Global, 3600), (SignOutScope::Global, 3597)]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_store_has_lost_begins_anew_however_long_that_is_known() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let day = 24 * HOUR;
    for pause in [secs(0), secs(6), 2 * HOUR] {
        let key = sessions.adopt(tokens(0, day)).await.unwrap();
        *store.store.lock().unwrap() = MemoryStore::new(100);
        sleep(secs(6)).await;
        // Somebody looks who has nothing by which it could begin anew, such as a stream of events.
        assert!(sessions.look(key).await.is_err());
        sleep(pause).await;
        assert_eq!(sessions.find(&RefreshToken::new("r0")).await.unwrap(), None, "{pause:?}");
        assert_eq!(brings(&sessions, tokens(0, day)).await, Ok("a0".to_owned()), "{pause:?}");
    }
}
