//! Rows that no key of this process opens.

use super::*;

fn stranger(issuer: &Issuer, store: &Faulty) -> Sessions {
    Sessions::builder(issuer.clone(), store.clone(), Keyring::new(&[8; 32])).build()
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_key_is_lost_ends_cleanly_after_the_time_that_a_key_takes_to_spread() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (_gone, id) = expired(&issuer, &store).await;
    let stranger = stranger(&issuer, &store);
    sleep(secs(590)).await;
    assert_eq!(access(&stranger, &id).await, LATER);
    sleep(secs(10)).await;
    assert_eq!(access(&stranger, &id).await, OUT);
    let error = stranger.peek(&id).await.unwrap_err();
    assert_eq!((error.kind(), error.keeps_cookie()), (SessionErrorKind::SignedOut, true));
    let nobody = stranger.peek(&SessionId::random()).await.unwrap_err();
    assert_eq!((nobody.kind(), nobody.keeps_cookie()), (SessionErrorKind::SignedOut, false));
    // It is over here. Whoever has the key goes on.
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_another_process_writes_is_never_over_for_one_that_knew_it() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    let newer =
        Sessions::builder(issuer.clone(), store.clone(), Keyring::new(&[8; 32]).also(&[7; 32])).build();
    newer.refresh(&id, OnBehalf::default()).await.unwrap();
    sleep(secs(3000)).await;
    assert_eq!(access(&sessions, &id).await, got("a0"));
    sleep(HOUR).await;
    assert_eq!(access(&sessions, &id).await, LATER);
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn who_signs_out_is_out_everywhere_though_nobody_here_can_read_the_session() {
    for wait in [Duration::ZERO, HOUR] {
        let (issuer, store) = (Issuer::strict(), Faulty::new());
        let sessions = owner(&issuer, &store);
        let id = sessions.create(tokens(0, 3 * HOUR)).await.unwrap();
        sleep(wait).await;
        stranger(&issuer, &store).sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.unwrap();
        sleep(secs(6)).await;
        assert_eq!(access(&sessions, &id).await, OUT);
    }
    // Of the other sessions of the user nobody was told.
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (_sessions, id) = expired(&issuer, &store).await;
    let told = stranger(&issuer, &store).sign_out(&id, SignOutScope::Global, OnBehalf::default()).await;
    assert_eq!(told.unwrap_err().kind(), SessionErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn an_adopted_session_whose_key_is_lost_ends_too() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    owner(&issuer, &store).adopt(tokens(0, HOUR)).await.unwrap();
    let adopted = |sessions: Sessions| async move { brings(&sessions, tokens(0, HOUR)).await };
    assert_eq!(adopted(stranger(&issuer, &store)).await, Err(SessionErrorKind::Unavailable));
    sleep(secs(600)).await;
    assert_eq!(adopted(stranger(&issuer, &store)).await, Err(SessionErrorKind::SignedOut));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_open_here_is_neither_served_nor_ended() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (sessions, id) = expired(&issuer, &store).await;
    let stranger = Sessions::builder(issuer.clone(), store.clone(), Keyring::new(&[8; 32])).build();
    assert_eq!(access(&stranger, &id).await, LATER);
    let rotated = Sessions::builder(issuer.clone(), store.clone(), Keyring::new(&[8; 32]).also(&[7; 32]));
    assert_eq!(access(&rotated.build(), &id).await, got("a1"));
    assert_eq!(access(&stranger, &id).await, got("a1"));
    // What was written with a key that it does not know.
    assert_eq!(access(&sessions, &id).await, LATER);
}

#[tokio::test(start_paused = true)]
async fn whoever_cannot_read_an_interrupted_session_does_not_hide_that_it_was_interrupted() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (_crashed, id) = expired(&issuer, &store).await;
    assert!(matches!(store.claim(&id.key(), 0, secs(1)).await.unwrap(), Claim::Granted { .. }));
    sleep(secs(2)).await;

    let stranger = Sessions::builder(issuer.clone(), store.clone(), Keyring::new(&[8; 32])).build();
    let there = owner(&issuer, &store).peek(&id).await.unwrap();
    let landing = Arc::clone(&stranger.0).flight(there.0, OnBehalf::default()).await;
    assert!(matches!(landing, Landing::Later(_)));

    sleep(secs(60)).await;
    assert_eq!(access(&owner(&issuer, &store), &id).await, OUT);
    assert_eq!(issuer.presented().len(), 0);
}
