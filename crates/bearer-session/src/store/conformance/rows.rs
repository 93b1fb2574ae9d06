//! Rows: who writes first, what comes back, how long it stays, how it ends.

use super::{HOUR, MANY, Suite};
use crate::store::{Claim, Commit, Lookup};
use std::time::Duration;
use tokio::task::JoinSet;

pub(super) async fn hold(suite: &Suite<'_>) {
    the_first_writer_wins(suite).await;
    what_is_sealed_comes_back_as_it_was(suite).await;
    nothing_is_known_of_other_keys(suite).await;
    age_counts_from_the_commit(suite).await;
    a_row_is_forgotten_when_its_time_is_over(suite).await;
    a_commit_renews_the_time_of_a_row_and_nothing_else_does(suite).await;
    a_session_ends_once_and_that_is_remembered(suite).await;
    of_many_who_end_a_session_one_did(suite).await;
}

async fn the_first_writer_wins(suite: &Suite<'_>) {
    let key = suite.key("first writer");
    let mut writers = JoinSet::new();
    for writer in 0..MANY {
        let store = suite.store();
        writers.spawn(async move {
            let sealed = writer.to_string().into_bytes();
            (store.create(&key, &sealed, HOUR).await, sealed)
        });
    }
    let answers = writers.join_all().await;
    let winners: Vec<_> = answers.iter().filter(|(there, _)| *there == Lookup::Unknown).collect();
    let [(_, written)] = winners[..] else {
        panic!("of those who create a session at once, one does: {}", winners.len());
    };
    for (there, _) in answers.iter().filter(|(there, _)| *there != Lookup::Unknown) {
        let Lookup::Live(row) = there else { panic!("create returns what lies there: {there:?}") };
        assert_eq!((row.generation, &row.sealed), (0, written), "create returns what lies there");
    }
    assert_eq!(suite.store().row(&key).await.sealed, *written, "create leaves alone what lies there");
}

async fn what_is_sealed_comes_back_as_it_was(suite: &Suite<'_>) {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let long = every_byte.repeat(256);
    for (name, sealed) in [("nothing", &[][..]), ("every byte", &every_byte), ("64 KiB", &long)] {
        let (store, key) = (suite.store(), suite.key(name));
        store.create(&key, sealed, HOUR).await;
        assert!(store.row(&key).await.sealed == sealed, "{name}: load returns what create stored");
        let (fence, row, _) = store.granted(&key, 0, HOUR).await;
        assert!(row.sealed == sealed, "{name}: claim returns what create stored");
        let reversed: Vec<u8> = sealed.iter().rev().copied().collect();
        assert_eq!(store.commit(&key, fence, &reversed, HOUR).await, Commit::Stored);
        assert!(suite.store().row(&key).await.sealed == reversed, "{name}: load returns what commit stored");
    }
}

async fn nothing_is_known_of_other_keys(suite: &Suite<'_>) {
    let (store, key) = suite.with_session("a key").await;
    let (fence, ..) = store.granted(&key, 0, HOUR).await;

    let unknown = suite.key("an unknown key");
    assert_eq!(store.load(&unknown).await, Lookup::Unknown);
    assert_eq!(store.claim(&unknown, 0, HOUR).await, Claim::Unknown);
    assert_eq!(
        store.commit(&unknown, fence, b"1", HOUR).await,
        Commit::Fenced,
        "there is nothing to commit to"
    );
    store.release(&unknown, fence).await;
    assert!(!store.end(&unknown, Duration::ZERO).await, "an unknown session does not end");
    assert_eq!(store.resolve(&key).await, None, "a session is no alias");

    let (other, other_key) = suite.with_session("another key").await;
    let (other_fence, ..) = other.granted(&other_key, 0, HOUR).await;
    assert_eq!(other.commit(&other_key, other_fence, b"1", HOUR).await, Commit::Stored);
    assert!(other.end(&other_key, HOUR).await);
    assert_eq!(store.row(&key).await.generation, 0, "a commit changes one row");
    assert!(matches!(store.claim(&key, 0, HOUR).await, Claim::Held(_)), "a commit ends one claim");
    assert_eq!(store.commit(&key, fence, b"1", HOUR).await, Commit::Stored);
}

async fn age_counts_from_the_commit(suite: &Suite<'_>) {
    let (store, key) = suite.with_session("age").await;
    assert!(store.row(&key).await.age < suite.units(2), "a new row is young");
    suite.pass_units(4).await;
    let (fence, row, _) = store.granted(&key, 0, HOUR).await;
    assert!(row.age > suite.units(3), "a claim returns the age: {:?}", row.age);
    assert!(suite.store().row(&key).await.age > suite.units(3), "a claim leaves the age alone");
    let Claim::Held(_) = store.claim(&key, 0, HOUR).await else { panic!("the claim is held") };
    store.release(&key, fence).await;
    assert!(store.row(&key).await.age > suite.units(3), "a release leaves the age alone");
    let (fence, ..) = store.granted(&key, 0, HOUR).await;
    assert_eq!(store.commit(&key, fence, b"1", HOUR).await, Commit::Stored);
    assert!(store.row(&key).await.age < suite.units(2), "age begins again with a commit");
    let Claim::Moved(row) = store.claim(&key, 0, HOUR).await else { panic!("the generation moved") };
    assert!(row.age < suite.units(2), "what it moved to is young");
}

async fn a_row_is_forgotten_when_its_time_is_over(suite: &Suite<'_>) {
    let (store, key) = (suite.store(), suite.key("expires"));
    store.create(&key, b"0", suite.units(3)).await;
    let (fence, ..) = store.granted(&key, 0, HOUR).await;
    suite.pass_units(4).await;
    assert_eq!(store.load(&key).await, Lookup::Unknown, "a row is gone after its time, claimed or not");
    assert_eq!(store.claim(&key, 0, HOUR).await, Claim::Unknown);
    assert_eq!(store.commit(&key, fence, b"1", HOUR).await, Commit::Fenced, "a row that is gone stays gone");
    assert_eq!(store.load(&key).await, Lookup::Unknown);

    assert_eq!(store.create(&key, b"again", HOUR).await, Lookup::Unknown, "its key is free");
    assert_eq!(
        store.commit(&key, fence, b"1", HOUR).await,
        Commit::Fenced,
        "the old claim went with the old row"
    );
    let (later, _, interrupted) = store.granted(&key, 0, HOUR).await;
    assert!(!interrupted, "the new row was never claimed");
    assert!(later > fence, "no fence comes back with a key");
    assert_eq!(store.commit(&key, fence, b"1", HOUR).await, Commit::Fenced);
    assert_eq!(store.commit(&key, later, b"1", HOUR).await, Commit::Stored);
}

async fn a_commit_renews_the_time_of_a_row_and_nothing_else_does(suite: &Suite<'_>) {
    let (store, key) = (suite.store(), suite.key("renewed"));
    store.create(&key, b"0", suite.units(4)).await;
    let (fence, ..) = store.granted(&key, 0, HOUR).await;
    suite.pass_units(2).await;
    assert_eq!(store.commit(&key, fence, b"1", suite.units(6)).await, Commit::Stored);
    suite.pass_units(4).await;
    let row = store.row(&key).await;
    assert_eq!((row.generation, &row.sealed[..]), (1, &b"1"[..]), "a commit renews the time");
    let (fence, ..) = store.granted(&key, 1, HOUR).await;
    store.release(&key, fence).await;
    store.create(&key, b"0", HOUR).await;
    suite.pass_units(3).await;
    assert_eq!(
        store.load(&key).await,
        Lookup::Unknown,
        "neither claim nor release nor create renews the time"
    );
}

async fn a_session_ends_once_and_that_is_remembered(suite: &Suite<'_>) {
    let (store, key) = suite.with_session("ends").await;
    let (fence, ..) = store.granted(&key, 0, HOUR).await;
    assert!(suite.store().end(&key, suite.units(4)).await, "it lived until now");
    assert!(!store.end(&key, suite.units(4)).await, "it ends once");
    assert_eq!(store.load(&key).await, Lookup::Ended);
    assert_eq!(
        store.create(&key, b"again", HOUR).await,
        Lookup::Ended,
        "create leaves an ended session alone"
    );
    assert_eq!(store.claim(&key, 0, HOUR).await, Claim::Ended);
    assert_eq!(
        store.commit(&key, fence, b"1", HOUR).await,
        Commit::Fenced,
        "a commit brings no session back"
    );
    store.release(&key, fence).await;
    assert_eq!(store.load(&key).await, Lookup::Ended);
    suite.pass_units(5).await;
    assert_eq!(store.load(&key).await, Lookup::Unknown, "it is remembered for the time that was said");
    assert_eq!(store.commit(&key, fence, b"1", HOUR).await, Commit::Fenced);
}

async fn of_many_who_end_a_session_one_did(suite: &Suite<'_>) {
    let (_, key) = suite.with_session("ended by many").await;
    let mut enders = JoinSet::new();
    for _ in 0..MANY {
        let store = suite.store();
        enders.spawn(async move { store.end(&key, HOUR).await });
    }
    let ended = enders.join_all().await.into_iter().filter(|ended| *ended).count();
    assert_eq!(ended, 1, "of those who end a session at once, one did");
}
