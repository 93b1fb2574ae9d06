//! Shutting down in order.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_exchange_under_way_is_finished_and_its_session_lives() {
    let issuer = Issuer::strict().answers([(secs(3), Answer::Tokens)]);
    let store = Faulty::new();
    let (sessions, id) = expired(&issuer, &store).await;
    let waiting = {
        let (sessions, id) = (sessions.clone(), id.clone());
        tokio::spawn(async move { access(&sessions, &id).await })
    };
    sleep(secs(1)).await;
    sessions.close().await;
    // What is not in the store now would be gone with the process.
    let Lookup::Live(row) = store.load(&id.key()).await.unwrap() else { panic!() };
    assert_eq!(row.generation, 1);
    assert_eq!(waiting.await.unwrap(), got("a1"));
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn after_it_nothing_is_refreshed_and_live_tokens_serve() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (sessions, id) = aging(&issuer, &store).await;
    let before = Instant::now();
    sessions.close().await;
    assert_eq!(Instant::now(), before, "there is nothing to wait for");
    assert_eq!(access(&sessions, &id).await, got("a0"));
    assert!(sessions.clone().refresh(&id, OnBehalf::default()).await.is_err());
    sleep(secs(61)).await;
    assert_eq!(access(&sessions, &id).await, LATER);
    assert_eq!((issuer.presented().len(), store.read(|faults| faults.claims)), (0, 0));
    sessions.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_waits_to_be_tried_again_is_given_to_others() {
    let refused = || (Duration::ZERO, Answer::Fails(ExchangeError::new(Outcome::NotSpent)));
    let issuer = Issuer::strict().answers([refused()]);
    let store = Faulty::new();
    let (sessions, id) = expired(&issuer, &store).await;
    drop(timeout(Duration::from_millis(50), sessions.access(&id, OnBehalf::default())).await);
    let before = Instant::now();
    sessions.close().await;
    assert_eq!(issuer.presented(), ["r0"]);
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a1"));
    assert!(before.elapsed() < secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_still_to_be_given_back_is_waited_for() {
    let refused = || (Duration::ZERO, Answer::Fails(ExchangeError::new(Outcome::NotSpent)));
    let issuer = Issuer::strict().answers((0..4).map(|_| refused()));
    let store = Faulty::new();
    let (sessions, id) = expired(&issuer, &store).await;
    store.set(|faults| faults.releases = 3);
    assert_eq!(access(&sessions, &id).await, LATER);
    sessions.close().await;
    assert_eq!(store.read(|faults| faults.releases), 0);
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a1"));
}

#[tokio::test(start_paused = true)]
async fn tokens_that_the_store_had_not_taken_are_stored() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (sessions, id) = expired(&issuer, &store).await;
    store.set(|faults| faults.commits_before = usize::MAX);
    assert_eq!(access(&sessions, &id).await, LATER);
    sleep(secs(40)).await;
    // The first three times it fails again.
    store.set(|faults| faults.commits_before = 3);
    sessions.close().await;
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn it_takes_no_longer_than_a_claim_lasts() {
    for is_down in [false, true] {
        let issuer = Issuer::supabase().answers((0..4).map(|_| (Duration::ZERO, Answer::Hangs)));
        let store = Faulty::new();
        let (sessions, id) = expired(&issuer, &store).await;
        if is_down {
            issuer.0.lock().unwrap().answers.clear();
            store.set(|faults| faults.commits_before = usize::MAX);
        }
        drop(timeout(secs(1), sessions.access(&id, OnBehalf::default())).await);
        store.set(|faults| faults.is_down = is_down);
        let before = Instant::now();
        sessions.close().await;
        assert!(before.elapsed() <= secs(31), "{:?}", before.elapsed());
    }
}
