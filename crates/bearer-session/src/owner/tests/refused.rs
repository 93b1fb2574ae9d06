//! Tokens that somebody has refused before their time.

use super::*;

/// A session whose token is this old, and which was refused with it.
async fn refused(issuer: &Issuer, store: &Faulty, age: Duration) -> (Sessions, SessionId) {
    let sessions = owner(issuer, store);
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    sleep(age).await;
    assert_eq!(refuse(&sessions, &id).await, age >= secs(60));
    (sessions, id)
}

/// Returns whether another token is to be had.
async fn refuse(sessions: &Sessions, id: &SessionId) -> bool {
    let access = sessions.access(id, OnBehalf::default()).await.unwrap();
    sessions.refused(&access, OnBehalf::default())
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_refused_is_not_handed_out_again() {
    let (issuer, store) = (Issuer::strict().answers([(secs(3), Answer::Tokens)]), Faulty::new());
    let (sessions, id) = refused(&issuer, &store, secs(60)).await;
    assert_eq!(access(&sessions, &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
    // Nor does a process take it out of the store that knows of the refusal.
    let (issuer, store) = (Issuer::supabase().fails(ExchangeError::new(Outcome::NotSpent)), Faulty::new());
    let (sessions, id) = refused(&issuer, &store, secs(60)).await;
    issuer.0.lock().unwrap().is_out_until = Some(Instant::now() + secs(300));
    for _ in 0..3 {
        assert_eq!(access(&sessions, &id).await, LATER);
        sleep(secs(40)).await;
    }
    sleep(secs(300)).await;
    assert_eq!(access(&sessions, &id).await, got("a1"));
}

#[tokio::test(start_paused = true)]
async fn many_refusals_of_one_token_are_one_exchange() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    sleep(secs(60)).await;
    let access = sessions.access(&id, OnBehalf::default()).await.unwrap();
    for _ in 0..100 {
        assert!(sessions.refused(&access, OnBehalf::default()));
        sleep(secs(1)).await;
    }
    assert_eq!(issuer.presented(), ["r0"]);
    assert_eq!(self::access(&sessions, &id).await, got("a1"));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_came_a_moment_ago_is_not_replaced_however_often_it_is_refused() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (sessions, id) = refused(&issuer, &store, secs(59)).await;
    assert_eq!(access(&sessions, &id).await, got("a0"));
    let mut others = 0;
    for _ in 0..600 {
        others += usize::from(refuse(&sessions, &id).await);
        sleep(secs(1)).await;
    }
    assert!((9..=10).contains(&others), "once a minute: {others}");
    assert_eq!(issuer.presented().len(), others);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_no_other_token_keeps_the_one_it_has() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(TokenSet::new(AccessToken::new("a0"), HOUR)).await.unwrap();
    sleep(secs(60)).await;
    assert!(!refuse(&sessions, &id).await);
    assert_eq!(access(&sessions, &id).await, got("a0"));
    assert!(issuer.presented().is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_process_that_had_refreshed_meanwhile_is_believed() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (first, second) = (owner(&issuer, &store), owner(&issuer, &store));
    let id = first.create(tokens(0, HOUR)).await.unwrap();
    sleep(secs(60)).await;
    let old = first.access(&id, OnBehalf::default()).await.unwrap();
    second.refresh(&id, OnBehalf::default()).await.unwrap();
    assert!(first.refused(&old, OnBehalf::default()));
    assert_eq!(access(&first, &id).await, got("a1"));
    // The same again, which is old news.
    assert!(first.refused(&old, OnBehalf::default()));
    assert_eq!(access(&first, &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_over_does_not_come_back_by_a_refusal() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    sleep(secs(60)).await;
    let old = sessions.access(&id, OnBehalf::default()).await.unwrap();
    sessions.sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.unwrap();
    assert!(!sessions.refused(&old, OnBehalf::default()));
    assert_eq!(access(&sessions, &id).await, OUT);
    assert!(issuer.presented().is_empty());
}
