//! What comes late: requests, answers, and tokens that the store did not take in time.

use super::*;
use std::time::SystemTime;

/// At an issuer whose first exchange is lost in this way, nothing is presented that could be two behind when
/// the lost request arrives after all: not before this long after the time-out.
async fn settles(issuer: &Issuer, store: &Faulty, id: &SessionId, sessions: &Sessions) {
    assert_eq!(access(sessions, id).await, got("a1"));
    let presented = issuer.presented().len();
    for sessions in [sessions, &owner(issuer, store)] {
        assert_eq!(
            sessions.refresh(id, OnBehalf::default()).await.unwrap_err().kind(),
            SessionErrorKind::Unavailable
        );
        assert_eq!(access(sessions, id).await, got("a1"));
    }
    sleep(secs(8)).await;
    assert!(owner(issuer, store).refresh(id, OnBehalf::default()).await.is_err());
    assert_eq!(issuer.presented().len(), presented);
    sleep(secs(2)).await;
    assert!(sessions.refresh(id, OnBehalf::default()).await.is_ok());
    assert_eq!(issuer.presented().last().map(String::as_str), Some("r1"));
}

#[tokio::test(start_paused = true)]
async fn the_tokens_after_a_lost_answer_settle_before_they_are_refreshed() {
    let lost = || (Duration::ZERO, Answer::CommittedAndLost(Outcome::Unknown));
    for lost in [lost(), (Duration::ZERO, Answer::Hangs)] {
        let (issuer, store) = (Issuer::supabase().answers([lost]), Faulty::new());
        let (sessions, id) = expired(&issuer, &store).await;
        settles(&issuer, &store, &id, &sessions).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_tokens_after_a_crash_settle_before_they_are_refreshed() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let (sessions, id) = expired(&issuer, &store).await;
    assert!(matches!(store.claim(&id.key(), 0, secs(1)).await.unwrap(), Claim::Granted { .. }));
    sleep(secs(2)).await;
    settles(&issuer, &store, &id, &sessions).await;
}

#[tokio::test(start_paused = true)]
async fn the_tokens_after_a_request_that_was_given_up_settle_whoever_gets_them() {
    let hangs = || (Duration::ZERO, Answer::Hangs);
    let (issuer, store) = (Issuer::supabase().answers([hangs(), hangs()]), Faulty::new());
    let (gave_up, id) = expired(&issuer, &store).await;
    assert_eq!(access(&gave_up, &id).await, LATER);
    sleep(secs(20)).await;
    settles(&issuer, &store, &id, &owner(&issuer, &store)).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_with_an_answer_gives_the_claim_back_at_once() {
    for status in [http::StatusCode::INTERNAL_SERVER_ERROR, http::StatusCode::BAD_GATEWAY] {
        let (issuer, store) = (answers_only(status), Faulty::new());
        let (sessions, id) = expired(&issuer, &store).await;
        assert_eq!(access(&sessions, &id).await, LATER);
        let before = Instant::now();
        assert_eq!(access(&owner(&issuer, &store), &id).await, got("a1"));
        assert!(before.elapsed() < secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_somebody_gave_up_waiting_gives_no_claim_back() {
    for status in [http::StatusCode::REQUEST_TIMEOUT, http::StatusCode::GATEWAY_TIMEOUT] {
        let (issuer, store) = (answers_only(status), Faulty::new());
        let (sessions, id) = expired(&issuer, &store).await;
        let began = Instant::now();
        assert_eq!(access(&sessions, &id).await, LATER);
        let presented = issuer.presented().len();
        // The issuer may be at it still. Whoever has the next turn must know, and comes when the claim has
        // lapsed.
        let other = owner(&issuer, &store);
        while access(&other, &id).await == LATER {
            assert_eq!(issuer.presented().len(), presented, "{status}");
            sleep(secs(1)).await;
        }
        assert!(began.elapsed() >= secs(30), "{status}");
        settles(&issuer, &store, &id, &other).await;
    }
}

/// So says an issuer as often as it is asked under one claim.
fn answers_only(status: http::StatusCode) -> Issuer {
    let failed = || ExchangeError::new(Outcome::Unknown).with_status(status);
    Issuer::supabase().answers((0..4).map(|_| (Duration::ZERO, Answer::Fails(failed()))))
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_the_store_did_not_take_back_at_once_is_given_back_later() {
    let refused = || (Duration::ZERO, Answer::Fails(ExchangeError::new(Outcome::NotSpent)));
    let issuer = Issuer::strict().answers((0..4).map(|_| refused()));
    let store = Faulty::new();
    let (sessions, id) = expired(&issuer, &store).await;
    store.set(|faults| faults.releases = 5);
    let before = Instant::now();
    assert_eq!(access(&sessions, &id).await, LATER);
    assert!(before.elapsed() < secs(2), "nobody waits for it");
    assert!(store.read(|faults| faults.releases) > 0, "nor has it been given back");
    sleep(secs(5)).await;
    assert_eq!(store.read(|faults| faults.releases), 0);
    // Nothing was spent, and nothing says so.
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a1"));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expired_while_the_machine_slept_is_not_served() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    // Its clock stood still, and that of the store did not.
    store.set(|faults| faults.slept = HOUR / 2);
    advance(secs(6)).await;
    let found = sessions.access(&id, OnBehalf::default()).await.unwrap();
    assert_eq!((found.token().expose(), found.expires_in().as_secs()), ("a0", 1793));
    // A store that is behind lengthens no life.
    store.set(|faults| faults.slept = Duration::ZERO);
    advance(secs(6)).await;
    let found = sessions.access(&id, OnBehalf::default()).await.unwrap();
    assert_eq!((found.token().expose(), found.expires_in().as_secs()), ("a0", 1787));
    store.set(|faults| faults.slept = HOUR);
    advance(secs(6)).await;
    assert_eq!(access(&sessions, &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expired_while_the_machine_slept_is_not_served_from_memory_either() {
    let issuer = Issuer::strict();
    let wall = Arc::new(Mutex::new(SystemTime::UNIX_EPOCH + 1000 * HOUR));
    let clock = Arc::clone(&wall);
    let store = MemoryStore::new(1).with_wall_clock(move || *clock.lock().unwrap());
    let sessions = Sessions::builder(issuer.clone(), store, keyring()).build();
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    *wall.lock().unwrap() += HOUR;
    sleep(secs(5)).await;
    assert_eq!(access(&sessions, &id).await, got("a1"));
    *wall.lock().unwrap() -= 2 * HOUR;
    sleep(secs(5)).await;
    assert_eq!(access(&sessions, &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_were_not_stored_are_seen_by_nobody() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let (sessions, id) = aging(&issuer, &store).await;
    store.set(|faults| faults.commits_before = usize::MAX);
    let mut events = sessions.events();
    for _ in 0..55 {
        assert_eq!(access(&sessions, &id).await, got("a0"));
        assert_eq!(sessions.peek(&id).await.unwrap().generation(), 0);
        sleep(secs(1)).await;
    }
    assert_eq!(issuer.presented(), ["r0"]);
    assert_eq!(timeout(secs(1), events.next()).await.ok(), None);
    sleep(secs(10)).await;
    assert_eq!(access(&sessions, &id).await, LATER);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_were_not_stored_do_not_take_the_place_of_later_ones() {
    let (issuer, store) = (Issuer::supabase(), Faulty::new());
    let (sessions, id) = expired(&issuer, &store).await;
    store.set(|faults| faults.commits_before = usize::MAX);
    assert_eq!(access(&sessions, &id).await, LATER);
    store.set(|faults| (faults.is_down, faults.commits_before) = (true, 0));
    sleep(secs(40)).await;
    // Another process gets the same successor, and others after it.
    let other = owner(&issuer, &store.elsewhere());
    assert_eq!(access(&other, &id).await, got("a1"));
    sleep(secs(20)).await;
    assert!(other.refresh(&id, OnBehalf::default()).await.is_ok());

    store.set(|faults| faults.is_down = false);
    let next = sessions.refresh(&id, OnBehalf::default()).await.unwrap();
    assert_eq!((next.token().expose(), next.generation()), ("a3", 3));
    let next = sessions.refresh(&id, OnBehalf::default()).await.unwrap();
    assert_eq!((next.token().expose(), next.generation()), ("a4", 4));
    assert_eq!(issuer.presented(), ["r0", "r0", "r1", "r2", "r3"]);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_were_not_stored_keep_their_number_when_the_store_goes_back() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens(0, HOUR)).await.unwrap();
    let Lookup::Live(old) = store.load(&id.key()).await.unwrap() else { panic!() };
    for _ in 0..3 {
        sessions.refresh(&id, OnBehalf::default()).await.unwrap();
    }
    store.set(|faults| faults.commits_before = usize::MAX);
    assert!(sessions.refresh(&id, OnBehalf::default()).await.is_err());
    sleep(secs(40)).await;
    store.put_back(&id, &old).await;
    store.set(|faults| faults.commits_before = 0);

    // First what it had stored takes the place of the backup, then what it had not. It may be trying just then.
    for _ in 0..3 {
        let _ = sessions.refresh(&id, OnBehalf::default()).await;
        sleep(secs(2)).await;
    }
    let there = owner(&issuer, &store).peek(&id).await.unwrap();
    assert_eq!((there.token().expose(), there.generation()), ("a4", 4));
    let Lookup::Live(row) = store.load(&id.key()).await.unwrap() else { panic!() };
    assert_eq!(row.generation, 2);
    assert_eq!(issuer.presented(), ["r0", "r1", "r2", "r3"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_may_be_spent_is_not_over_until_the_store_says_so() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let (sessions, id) = expired(&issuer, &store).await;
    store.set(|faults| faults.commits_before = usize::MAX);
    assert_eq!(access(&sessions, &id).await, LATER);
    store.set(|faults| (faults.is_down, faults.commits_before) = (true, 0));
    sleep(secs(40)).await;

    // Another finds the claim lapsed, and cannot say so: the one that has the tokens may yet store them.
    let elsewhere = store.elsewhere();
    let other = owner(&issuer, &elsewhere);
    let seen = other.peek(&id).await.unwrap();
    let claim = elsewhere.claim(&id.key(), 0, secs(1)).await.unwrap();
    let Claim::Granted { fence, interrupted: true, .. } = claim else { panic!("{claim:?}") };
    let claim =
        claimed::Claimed { key: id.key(), fence, row: 0, interrupted: true, until: Instant::now() + secs(1) };
    elsewhere.set(|faults| faults.is_down = true);
    assert!(matches!(other.0.burn(claim, &seen.0).await, Landing::Later(_)));

    sleep(secs(2)).await;
    for store in [store, elsewhere] {
        store.set(|faults| faults.is_down = false);
    }
    assert_eq!(access(&sessions, &id).await, got("a1"));
    assert_eq!(access(&other, &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_could_not_be_stored_in_time_are_stored_later_and_not_exchanged_again() {
    for issuer in [Issuer::supabase(), Issuer::strict()] {
        let store = Faulty::new();
        let (sessions, id) = expired(&issuer, &store).await;
        store.set(|faults| faults.commits_before = usize::MAX);
        for _ in 0..6 {
            assert_eq!(access(&sessions, &id).await, LATER);
            sleep(secs(10)).await;
        }
        store.set(|faults| faults.commits_before = 0);
        assert_eq!(access(&sessions, &id).await, got("a1"));
        assert_eq!(issuer.presented(), ["r0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_stopped_for_most_of_its_lease_presents_nothing_late() {
    let issuer = Issuer::strict().fails(ExchangeError::new(Outcome::NotSpent));
    let store = Faulty::new();
    let (sessions, id) = expired(&issuer, &store).await;
    drop(timeout(Duration::from_millis(50), sessions.access(&id, OnBehalf::default())).await);
    // It waits to try again. No timer fires while it is stopped.
    advance(secs(25)).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(issuer.presented(), ["r0"]);
    sleep(secs(1)).await;
    assert_eq!(access(&owner(&issuer, &store), &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0", "r0"]);
}

/// Two processes, of which the first is cut off from the store when it has exchanged `r0`, for longer than
/// its claim lasts; and the second has burnt the token meanwhile.
async fn burnt_by_another(issuer: &Issuer) -> (Sessions, Sessions, SessionId, Faulty) {
    let store = Faulty::new();
    let cut_off = store.elsewhere();
    let (sessions, other) = (owner(issuer, &cut_off), owner(issuer, &store));
    let id = sessions.create(tokens(0, secs(600))).await.unwrap();
    cut_off.set(|faults| faults.commits_before = usize::MAX);
    assert!(sessions.refresh(&id, OnBehalf::default()).await.is_err());
    cut_off.set(|faults| faults.is_down = true);
    sleep(secs(40)).await;
    let burnt = other.refresh(&id, OnBehalf::default()).await.unwrap();
    assert_eq!((burnt.token().expose(), burnt.generation()), ("a0", 1));
    cut_off.set(|faults| (faults.is_down, faults.commits_before) = (false, 0));
    (sessions, other, id, cut_off)
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_burnt_lives_on_when_its_unspent_successor_comes_back() {
    let issuer = Issuer::strict();
    let (sessions, other, id, _) = burnt_by_another(&issuer).await;
    // Whoever asks gets what lies there; the successor is stored meanwhile.
    assert_eq!(access(&sessions, &id).await, got("a0"));
    sleep(secs(10)).await;
    for sessions in [&sessions, &other] {
        let newest = sessions.access(&id, OnBehalf::default()).await.unwrap();
        assert_eq!((newest.token().expose(), newest.generation()), ("a1", 2));
    }
    assert_eq!(other.refresh(&id, OnBehalf::default()).await.unwrap().token().expose(), "a2");
    assert_eq!(issuer.presented(), ["r0", "r1"]);
}

#[tokio::test(start_paused = true)]
async fn a_burnt_session_is_not_ended_by_who_has_its_successor() {
    let issuer = Issuer::strict();
    let (sessions, other, id, _) = burnt_by_another(&issuer).await;
    // Nobody asked while the burnt access token lived.
    sleep(secs(600)).await;
    assert_eq!(access(&sessions, &id).await, got("a1"));
    assert_eq!(access(&other, &id).await, got("a1"));
    assert_eq!(issuer.presented(), ["r0"]);
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_finds_its_claim_taken_and_the_token_burnt_is_stored_over_it() {
    let (issuer, store) = (Issuer::strict(), Faulty::new());
    let sessions = owner(&issuer, &store);
    let id = sessions.create(tokens(0, secs(600))).await.unwrap();
    let Claim::Granted { fence, .. } = store.claim(&id.key(), 0, secs(1)).await.unwrap() else { panic!() };
    let record = Record::signed_in(tokens(1, HOUR), false);
    let successor = unsaved::Successor { of: 0, record, expires: Instant::now() + HOUR };
    sleep(secs(2)).await;
    let other = owner(&issuer, &store);
    assert_eq!(other.refresh(&id, OnBehalf::default()).await.unwrap().generation(), 1);

    let until = Instant::now() + secs(1);
    let claim = claimed::Claimed { key: id.key(), fence, row: 0, interrupted: false, until };
    assert!(matches!(sessions.0.store(claim, successor).await, Landing::Arrived(_)));
    assert_eq!(other.refresh(&id, OnBehalf::default()).await.unwrap().token().expose(), "a2");
    assert_eq!(issuer.presented(), ["r1"]);
}
