//! Tokens that come by another way than a refresh.

use super::*;

/// What a second factor brings: two generations further on.
fn verified() -> TokenSet {
    tokens(2, HOUR)
}

async fn replace(sessions: &Sessions, id: &SessionId, takes: Duration) -> Result<String, String> {
    let replaced = sessions.replace(id, OnBehalf::default(), async move |before| {
        sleep(takes).await;
        if before.token().expose() == "a0" { Ok(verified()) } else { Err(before.token().expose().to_owned()) }
    });
    match replaced.await {
        Ok(access) => Ok(access.token().expose().to_owned()),
        Err(ReplaceError::Tokens(why)) => Err(why),
        Err(ReplaceError::Session(error)) => Err(format!("{:?}", error.kind())),
    }
}

/// A session with a live token, and another process that knows it.
async fn live(issuer: &Issuer) -> (Sessions, Sessions, SessionId, Faulty) {
    let store = Faulty::new();
    let (sessions, other) = (owner(issuer, &store), owner(issuer, &store));
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    assert_eq!(access(&other, &id).await, got("a0"));
    (sessions, other, id, store)
}

#[tokio::test(start_paused = true)]
async fn the_new_pair_is_that_of_the_session_in_all_processes() {
    let issuer = Issuer::strict();
    let (sessions, other, id, _) = live(&issuer).await;
    let mut events = sessions.events();
    assert_eq!(replace(&sessions, &id, secs(1)).await, Ok("a2".into()));
    assert_eq!(access(&sessions, &id).await, got("a2"));
    assert!(matches!(events.next().await, Some(SessionEvent::TokenRefreshed(_))));
    let next = other.refresh(&id, OnBehalf::default()).await.unwrap();
    assert_eq!((next.token().expose(), next.generation()), ("a3", 2));
    assert_eq!(issuer.presented(), ["r2"], "what was before is never presented");
}

#[tokio::test(start_paused = true)]
async fn whoever_refreshes_meanwhile_waits_for_the_new_pair() {
    let issuer = Issuer::strict();
    let (sessions, other, id, _) = live(&issuer).await;
    let replaced = replace(&sessions, &id, secs(5));
    let here = async {
        sleep(secs(1)).await;
        sessions.refresh(&id, OnBehalf::default()).await.unwrap().token().expose().to_owned()
    };
    let there = async {
        sleep(secs(1)).await;
        other.refresh(&id, OnBehalf::default()).await.unwrap().token().expose().to_owned()
    };
    let (replaced, here, there) = tokio::join!(replaced, here, there);
    assert_eq!((replaced, here.as_str(), there.as_str()), (Ok("a2".into()), "a2", "a2"));
    assert_eq!(issuer.presented().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_replaced_is_the_newest() {
    let issuer = Issuer::strict().answers([(secs(3), Answer::Tokens)]);
    let (sessions, other, id, store) = live(&issuer).await;
    // Here, and in another process.
    for refreshing in [sessions.clone(), other] {
        let task = {
            let id = id.clone();
            tokio::spawn(async move { refreshing.refresh(&id, OnBehalf::default()).await })
        };
        sleep(secs(1)).await;
        let newest = issuer.presented().len();
        assert_eq!(replace(&sessions, &id, secs(1)).await, Err(format!("a{newest}")));
        assert!(task.await.unwrap().is_ok());
    }
    // One that has expired is refreshed first.
    let (issuer, store) = (Issuer::strict(), store.clone());
    let (sessions, id) = expired(&issuer, &store).await;
    assert_eq!(replace(&sessions, &id, secs(1)).await, Err("a1".into()));
}

#[tokio::test(start_paused = true)]
async fn where_none_come_the_session_is_as_it_was_and_free_for_others() {
    let issuer = Issuer::strict();
    let (sessions, other, id, _) = live(&issuer).await;
    let failed = sessions.replace(&id, OnBehalf::default(), async |_| Err::<TokenSet, _>("a wrong code"));
    assert!(matches!(failed.await, Err(ReplaceError::Tokens("a wrong code"))));
    assert_eq!(access(&sessions, &id).await, got("a0"));
    let before = Instant::now();
    assert!(other.refresh(&id, OnBehalf::default()).await.is_ok());
    assert!(before.elapsed() < secs(1));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_came_when_the_caller_had_gone_are_stored() {
    let issuer = Issuer::strict();
    let (sessions, other, id, _) = live(&issuer).await;
    assert!(timeout(secs(1), replace(&sessions, &id, secs(3))).await.is_err());
    sleep(secs(8)).await;
    for sessions in [&sessions, &other] {
        assert_eq!(access(sessions, &id).await, got("a2"));
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_that_the_store_did_not_take_are_stored_later_and_the_old_ones_not_presented() {
    let issuer = Issuer::strict();
    let (sessions, other, id, store) = live(&issuer).await;
    store.set(|faults| faults.commits_before = usize::MAX);
    assert_eq!(replace(&sessions, &id, secs(1)).await, Err("Unavailable".into()));
    store.set(|faults| faults.commits_before = 0);
    sleep(secs(2)).await;
    assert_eq!(access(&sessions, &id).await, got("a2"));
    assert_eq!(other.refresh(&id, OnBehalf::default()).await.unwrap().token().expose(), "a3");
    assert_eq!(issuer.presented(), ["r2"]);
}

#[tokio::test(start_paused = true)]
async fn what_never_comes_is_not_waited_for_longer_than_a_claim_lasts() {
    let issuer = Issuer::supabase();
    let (sessions, other, id, _) = live(&issuer).await;
    let before = Instant::now();
    assert_eq!(replace(&sessions, &id, HOUR).await, Err("Unavailable".into()));
    assert!(before.elapsed() <= secs(30), "{:?}", before.elapsed());
    // And one that breaks down leaves nobody waiting for it.
    let broken = sessions
        .replace(&id, OnBehalf::default(), async |_| -> Result<TokenSet, ()> { panic!("on purpose") });
    assert!(matches!(broken.await, Err(ReplaceError::Session(_))));
    sleep(secs(61)).await;
    assert!(other.refresh(&id, OnBehalf::default()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn tokens_of_another_user_are_no_replacement() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens_of("ada", 0, HOUR)).await.unwrap();
    for (user, expected) in [("eve", false), ("ada", true)] {
        let replaced =
            sessions.replace(&id, OnBehalf::default(), async move |_| Ok::<_, ()>(tokens_of(user, 2, HOUR)));
        assert_eq!(replaced.await.is_ok(), expected, "{user}");
        assert_eq!(sessions.access(&id, OnBehalf::default()).await.unwrap().subject(), Some("ada"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_over_or_closed_gets_no_tokens() {
    let issuer = Issuer::strict();
    let (sessions, other, id, _) = live(&issuer).await;
    sessions.close().await;
    assert_eq!(replace(&sessions, &id, secs(1)).await, Err("Unavailable".into()));
    other.sign_out(&id, SignOutScope::Local, OnBehalf::default()).await.unwrap();
    assert_eq!(replace(&other, &id, secs(1)).await, Err("SignedOut".into()));
}
