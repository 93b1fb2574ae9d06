//! Signing out.

use super::*;

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
