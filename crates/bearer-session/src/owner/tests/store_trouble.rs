//! What a store may do: fall silent, fall behind, go back.

use super::*;

#[tokio::test(start_paused = true)]
async fn tokens_that_came_while_the_store_was_asked_are_no_sign_that_it_went_back() {
    let millis = Duration::from_millis;
    let issuer = Issuer::supabase().answers([(millis(20), Answer::Tokens)]);
    let store = Faulty::new();
    let (sessions, id) = expired(&issuer, &store).await;
    store.set(|faults| faults.answers_take = millis(50));
    let ask = || {
        let (sessions, id) = (sessions.clone(), id.clone());
        tokio::spawn(async move { access(&sessions, &id).await })
    };
    let first = ask();
    // The first has looked, and waits for the issuer. The answer to the second's look comes after the new
    // tokens.
    sleep(millis(60)).await;
    let second = ask();
    for asked in [first, second] {
        assert_eq!(asked.await.unwrap(), got("a1"));
    }
    sleep(secs(10)).await;
    assert_eq!(issuer.presented(), ["r0"], "the new ones are not exchanged in their turn");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_signed_out_while_the_store_cannot_say_whether_that_is_so() {
    let issuer = Issuer::strict().answers([(Duration::ZERO, Answer::CommittedAndLost(Outcome::Unknown))]);
    let store = Faulty::new();
    let (sessions, id) = aging(&issuer, &store).await;
    assert_eq!(access(&sessions, &id).await, got("a0"));
    sleep(secs(1)).await;
    store.set(|faults| faults.is_down = true);
    sleep(secs(90)).await;
    assert_eq!(access(&sessions, &id).await, LATER);
    store.set(|faults| faults.is_down = false);
    assert_eq!(access(&sessions, &id).await, OUT);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_stops_refreshing_and_nothing_else() {
    for hangs in [false, true] {
        let (issuer, store) = (Issuer::supabase(), Faulty::new());
        let (sessions, id) = aging(&issuer, &store).await;
        store.set(|faults| (faults.is_down, faults.hangs) = (!hangs, hangs));
        for _ in 0..18 {
            assert_eq!(access(&sessions, &id).await, got("a0"));
            sleep(secs(1)).await;
        }
        assert_eq!(issuer.presented().len(), 0);
        sleep(secs(60)).await;
        assert_eq!(access(&sessions, &id).await, LATER);
        assert_eq!(issuer.presented().len(), 0);
        store.set(|faults| (faults.is_down, faults.hangs) = (false, false));
        sleep(secs(31)).await;
        assert_eq!(access(&sessions, &id).await, got("a1"));
    }
}

#[tokio::test(start_paused = true)]
async fn new_tokens_are_stored_before_anyone_gets_them_however_often_that_takes() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (sessions, id) = expired(&issuer, &store).await;
    store.set(|faults| faults.commits_before = 3);
    assert_eq!(access(&sessions, &id).await, got("a1"));
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_went_through_unheard_counts() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (sessions, id) = expired(&issuer, &store).await;
    store.set(|faults| faults.commits_after = 1);
    assert_eq!(access(&sessions, &id).await, got("a1"));
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_granted_unheard_is_given_back_before_anybody_takes_it_for_interrupted() {
    for issuer in [Issuer::strict, Issuer::supabase] {
        for down_for in [Duration::ZERO, secs(10)] {
            let (issuer, store) = (issuer(), Faulty::new());
            let (sessions, id) = aging(&issuer, &store).await;
            store.set(|faults| faults.claims_after = 1);
            assert_eq!(access(&sessions, &id).await, got("a0"));
            sleep(Duration::from_millis(1)).await;
            store.set(|faults| faults.is_down = true);
            sleep(down_for).await;
            store.set(|faults| faults.is_down = false);
            sleep(secs(2)).await;
            // From now on all requests come to another process.
            let (other, before) = (owner(&issuer, &store.elsewhere()), Instant::now());
            let next = other.refresh(&id, OnBehalf::default()).await.unwrap();
            assert_eq!(next.token().expose(), "a1");
            assert!(before.elapsed() < secs(1), "{:?}", before.elapsed());
            assert_eq!(issuer.presented(), ["r0"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_given_back_is_not_the_one_that_a_later_exchange_needs() {
    let issuer = Issuer::strict().answers([(secs(8), Answer::Tokens)]);
    let store = Faulty::new();
    let (sessions, id) = expired(&issuer, &store).await;
    store.set(|faults| faults.claims_after = 2);
    while issuer.presented().is_empty() {
        let (sessions, id) = (sessions.clone(), id.clone());
        tokio::spawn(async move { access(&sessions, &id).await });
        sleep(Duration::from_millis(300)).await;
    }
    // While the issuer is at it, another process finds the session claimed.
    let other = owner(&issuer, &store.elsewhere());
    assert_eq!(access(&other, &id).await, got("a1"));
    assert_eq!(access(&sessions, &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_process_never_presents_what_others_have_exchanged() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens(0, secs(4))).await.unwrap();
    let other = owner(&issuer, &store);
    for _ in 0..5 {
        other.refresh(&id, OnBehalf::default()).await.unwrap();
    }
    // Its copy is trusted, and its token has little left.
    advance(secs(3)).await;
    assert_eq!(access(&sessions, &id).await, got("a0"));
    sleep(secs(1)).await;
    assert_eq!(access(&sessions, &id).await, got("a5"));
    assert_eq!(issuer.presented(), ["r0", "r1", "r2", "r3", "r4"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_went_back_is_brought_forward_and_its_old_tokens_are_not_presented() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    let Lookup::Live(old) = store.load(&id.key()).await.unwrap() else { panic!() };
    for _ in 0..3 {
        sessions.refresh(&id, OnBehalf::default()).await.unwrap();
    }
    assert_eq!(access(&sessions, &id).await, got("a3"));
    store.put_back(&id, &old).await;

    sleep(secs(6)).await;
    assert_eq!(access(&sessions, &id).await, got("a3"));
    sleep(secs(6)).await;
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a3"));
    // Whoever knows still newer ones has time to say so.
    assert!(sessions.refresh(&id, OnBehalf::default()).await.is_err());
    sleep(secs(10)).await;
    let next = sessions.refresh(&id, OnBehalf::default()).await.unwrap();
    assert_eq!((next.token().expose(), next.generation()), ("a4", 4));
    assert_eq!(issuer.most_presentations_of_one(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_went_back_to_before_a_refresh_is_noticed_at_the_claim_too() {
    let (issuer, store) = (Issuer::strict().expires_in(secs(3)), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    let Lookup::Live(old) = store.load(&id.key()).await.unwrap() else { panic!() };
    sessions.refresh(&id, OnBehalf::default()).await.unwrap();
    store.put_back(&id, &old).await;
    // Its copy is still trusted, and has little left: nobody looks before the claim.
    sleep(secs(2)).await;
    assert_eq!(access(&sessions, &id).await, got("a1"));
    while access(&sessions, &id).await != got("a2") {
        sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(issuer.presented(), ["r0", "r1"]);
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_is_lost_costs_those_who_wait_elsewhere_a_moment() {
    let issuer = Issuer::strict().answers([(Duration::from_millis(300), Answer::Tokens)]);
    let store = Faulty::new();
    let (sessions, id) = expired(&issuer, &store).await;
    store.set(|faults| faults.is_deaf = true);
    let first = {
        let (sessions, id) = (sessions.clone(), id.clone());
        tokio::spawn(async move { access(&sessions, &id).await })
    };
    sleep(Duration::from_millis(50)).await;
    let before = Instant::now();
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a1"));
    assert!(before.elapsed() < secs(1), "{:?}", before.elapsed());
    assert_eq!(first.await.unwrap(), got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_another_process_asks_the_store_now_and_then() {
    let issuer = Issuer::strict().answers([(secs(9), Answer::Tokens)]);
    let store = Faulty::new();
    let (sessions, id) = expired(&issuer, &store).await;
    store.set(|faults| faults.is_deaf = true);
    let asked = sessions.clone();
    let (first, other) = (asked.access(&id, OnBehalf::default()), owner(&issuer, &store));
    let (first, second) = tokio::join!(first, access(&other, &id));
    assert_eq!((first.unwrap().token().expose(), second), ("a1", got("a1")));
    assert!(store.read(|faults| faults.claims) <= 12, "{}", store.read(|faults| faults.claims));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_did_not_take_it_gets_when_it_is_back_though_nobody_asks() {
    // The strict one gives no second chance to whoever finds the session interrupted.
    for issuer in [Issuer::strict(), Issuer::supabase()] {
        let store = Faulty::new();
        let (sessions, id) = expired(&issuer, &store).await;
        store.set(|faults| faults.commits_before = usize::MAX);
        assert_eq!(access(&sessions, &id).await, LATER);
        store.set(|faults| faults.is_down = true);
        sleep(secs(600)).await;
        let asked = store.read(|faults| faults.loads);
        sleep(secs(600)).await;
        let asked = store.read(|faults| faults.loads) - asked;
        assert!((40..=70).contains(&asked), "{asked} questions in ten minutes");
        store.set(|faults| (faults.is_down, faults.commits_before) = (false, 0));
        sleep(secs(11)).await;
        assert_eq!(access(&owner(&issuer, &store), &id).await, got("a1"));
        assert_eq!(issuer.presented(), ["r0"]);
        // Then all is quiet.
        let asked = store.read(|faults| (faults.loads, faults.claims));
        sleep(secs(600)).await;
        assert_eq!(store.read(|faults| (faults.loads, faults.claims)), asked);
    }
}

#[tokio::test(start_paused = true)]
async fn one_session_that_cannot_be_saved_keeps_no_other_waiting() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(sessions.create(tokens(0, Duration::ZERO)).await.unwrap());
    }
    store.set(|faults| faults.commits_before = usize::MAX);
    for id in &ids {
        assert_eq!(access(&sessions, id).await, LATER);
    }
    store.set(|faults| (faults.is_down, faults.commits_before) = (true, 0));
    sleep(secs(60)).await;
    let claim = store.elsewhere().claim(&ids[0].key(), 0, HOUR).await.unwrap();
    assert!(matches!(claim, Claim::Granted { .. }), "{claim:?}");
    store.set(|faults| faults.is_down = false);
    sleep(secs(120)).await;
    for id in &ids[1..] {
        let Lookup::Live(row) = store.load(&id.key()).await.unwrap() else { panic!() };
        assert_eq!(row.generation, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_saved_keeps_no_owner_alive() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (sessions, id) = expired(&issuer, &store).await;
    store.set(|faults| faults.commits_before = usize::MAX);
    assert_eq!(access(&sessions, &id).await, LATER);
    let owner = Arc::downgrade(&sessions.0);
    drop(sessions);
    sleep(secs(60)).await;
    assert_eq!(owner.strong_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_store_did_not_know_for_a_moment_is_back_when_it_does() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (sessions, hears) = listening(&issuer, &store);
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    sleep(secs(6)).await;
    let full = std::mem::replace(&mut *store.store.lock().unwrap(), MemoryStore::new(1));
    assert_eq!(access(&sessions, &id).await, OUT);
    *store.store.lock().unwrap() = full;
    sleep(secs(5)).await;
    assert_eq!(access(&sessions, &id).await, got("a0"));
    assert_eq!(*hears.lock().unwrap(), 0, "nobody signed out");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_store_loses_during_a_refresh_is_signed_out_nowhere_else() {
    let (issuer, store) = (Issuer::supabase().answers([(secs(3), Answer::Tokens)]), Faulty::new());
    let (sessions, hears) = listening(&issuer, &store);
    let key = sessions.adopt(tokens(0, HOUR)).await.unwrap();
    let refreshing = {
        let sessions = sessions.clone();
        tokio::spawn(async move { sessions.refresh(key, OnBehalf::default()).await.map(|_| ()) })
    };
    sleep(secs(1)).await;
    *store.store.lock().unwrap() = MemoryStore::new(100);
    assert_eq!(refreshing.await.unwrap().unwrap_err().kind(), SessionErrorKind::SignedOut);
    assert_eq!(issuer.0.lock().unwrap().signed_out, []);
    assert_eq!(*hears.lock().unwrap(), 0);
    assert_eq!(brings(&sessions, tokens(0, HOUR)).await, Ok("a0".to_owned()));
}
