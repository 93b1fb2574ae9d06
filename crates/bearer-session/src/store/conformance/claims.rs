//! Claims: one at a time, for a time; and none who comes late writes.

use super::{HOUR, MANY, Suite};
use crate::store::{Claim, Commit, Fence};
use tokio::task::JoinSet;

pub(super) async fn hold(suite: &Suite<'_>) {
    of_many_who_claim_one_is_granted(suite).await;
    a_held_claim_says_how_long(suite).await;
    a_claim_that_lapsed_is_granted_as_interrupted(suite).await;
    a_claim_that_was_released_is_granted_as_if_it_never_was(suite).await;
    an_interruption_stays_until_the_next_commit(suite).await;
    a_late_commit_counts_while_nobody_claimed_since(suite).await;
    a_late_writer_is_fenced(suite).await;
    only_a_commit_moves_the_generation(suite).await;
    of_many_who_commit_one_claim_one_does(suite).await;
}

async fn of_many_who_claim_one_is_granted(suite: &Suite<'_>) {
    let (_, key) = suite.with_session("claimed by many").await;
    let mut claimants = JoinSet::new();
    let one = suite.store();
    // Half of them share a handle.
    for claimant in 0..MANY {
        let store = if claimant % 2 == 0 { one.clone() } else { suite.store() };
        claimants.spawn(async move { store.claim(&key, 0, HOUR).await });
    }
    let (mut granted, mut held) = (0, 0);
    for claim in claimants.join_all().await {
        match claim {
            Claim::Granted { row, interrupted, .. } => {
                assert_eq!((row.generation, &row.sealed[..], interrupted), (0, &b"0"[..], false));
                granted += 1;
            }
            Claim::Held(_) => held += 1,
            other => panic!("a claim is granted or held: {other:?}"),
        }
    }
    assert_eq!((granted, held), (1, MANY - 1), "of those who claim at once, one is granted");
}

async fn a_held_claim_says_how_long(suite: &Suite<'_>) {
    let (store, key) = suite.with_session("held").await;
    store.granted(&key, 0, suite.units(10)).await;
    let held = |claim| match claim {
        Claim::Held(left) => left,
        other => panic!("the claim must be held: {other:?}"),
    };
    let left = held(suite.store().claim(&key, 0, HOUR).await);
    assert!(left <= suite.units(10) && left > suite.units(8), "{left:?} of ten units");
    suite.pass_units(6).await;
    let left = held(suite.store().claim(&key, 0, HOUR).await);
    assert!(left <= suite.units(4) && left > suite.units(2), "{left:?}, six units later");
}

async fn a_claim_that_lapsed_is_granted_as_interrupted(suite: &Suite<'_>) {
    let (store, key) = suite.with_session("lapsed").await;
    let (first, _, interrupted) = store.granted(&key, 0, suite.units(2)).await;
    assert!(!interrupted, "nobody claimed before");
    suite.pass_units(3).await;
    let (second, row, interrupted) = suite.store().granted(&key, 0, HOUR).await;
    assert!(interrupted, "the first claim was neither committed nor released");
    assert!(second > first, "a later fence is greater");
    assert_eq!(row.generation, 0);
}

async fn a_claim_that_was_released_is_granted_as_if_it_never_was(suite: &Suite<'_>) {
    let (store, key) = suite.with_session("released").await;
    let (first, ..) = store.granted(&key, 0, HOUR).await;
    store.release(&key, first).await;
    let (second, _, interrupted) = suite.store().granted(&key, 0, HOUR).await;
    assert!(!interrupted, "a release says that nothing was spent");
    assert!(second > first, "a later fence is greater, also after a release");
    store.release(&key, first).await;
    assert!(
        matches!(store.claim(&key, 0, HOUR).await, Claim::Held(_)),
        "a release ends the claim of its fence only"
    );

    let (store, key) = suite.with_session("released late").await;
    let (late, ..) = store.granted(&key, 0, suite.units(2)).await;
    suite.pass_units(3).await;
    store.release(&key, late).await;
    let (_, _, interrupted) = store.granted(&key, 0, HOUR).await;
    assert!(!interrupted, "a release is believed as long as nobody claimed since");
}

async fn an_interruption_stays_until_the_next_commit(suite: &Suite<'_>) {
    let (store, key) = suite.with_session("interrupted").await;
    store.granted(&key, 0, suite.units(2)).await;
    suite.pass_units(3).await;
    let (second, ..) = store.granted(&key, 0, HOUR).await;
    store.release(&key, second).await;
    let (third, _, interrupted) = store.granted(&key, 0, HOUR).await;
    assert!(interrupted, "the second knows nothing of what became of the first");
    assert_eq!(store.commit(&key, third, b"1", HOUR).await, Commit::Stored);
    let (_, _, interrupted) = store.granted(&key, 1, HOUR).await;
    assert!(!interrupted, "the next generation is another token");
}

async fn a_late_commit_counts_while_nobody_claimed_since(suite: &Suite<'_>) {
    let (store, key) = suite.with_session("late commit").await;
    let (fence, ..) = store.granted(&key, 0, suite.units(2)).await;
    suite.pass_units(3).await;
    assert_eq!(
        store.commit(&key, fence, b"1", HOUR).await,
        Commit::Stored,
        "the pair is new, and nobody has another"
    );
    assert_eq!(suite.store().row(&key).await.sealed, b"1");
}

async fn a_late_writer_is_fenced(suite: &Suite<'_>) {
    let (store, key) = suite.with_session("late writer").await;
    let fenced = async |fence: Fence, when: &str| {
        let before = store.load(&key).await;
        assert_eq!(store.commit(&key, fence, b"late", HOUR).await, Commit::Fenced, "{when}");
        let after = store.load(&key).await;
        assert_eq!(format!("{before:?}").contains("Live"), format!("{after:?}").contains("Live"), "{when}");
    };
    let (released, ..) = store.granted(&key, 0, HOUR).await;
    store.release(&key, released).await;
    fenced(released, "the row is free").await;

    let (lapsed, ..) = store.granted(&key, 0, suite.units(2)).await;
    suite.pass_units(3).await;
    let (held, ..) = store.granted(&key, 0, HOUR).await;
    fenced(lapsed, "the claim is another's").await;
    fenced(released, "the claim is another's").await;

    assert_eq!(store.commit(&key, held, b"1", HOUR).await, Commit::Stored);
    for fence in [released, lapsed, held] {
        fenced(fence, "the row moved, and is free").await;
    }
    let (next, ..) = store.granted(&key, 1, HOUR).await;
    for fence in [released, lapsed, held] {
        fenced(fence, "the row moved, and is claimed").await;
    }
    let row = store.row(&key).await;
    assert_eq!((row.generation, &row.sealed[..]), (1, &b"1"[..]), "what was fenced left nothing");

    assert!(store.end(&key, HOUR).await);
    fenced(next, "the session ended").await;
}

async fn only_a_commit_moves_the_generation(suite: &Suite<'_>) {
    let (store, key) = suite.with_session("generations").await;
    for generation in 0..5 {
        let (fence, row, _) = store.granted(&key, generation, HOUR).await;
        assert_eq!(row.generation, generation);
        store.release(&key, fence).await;
        assert_eq!(store.row(&key).await.generation, generation, "neither claim nor release moves it");
        for wrong in [generation.wrapping_sub(1), generation + 1, u64::MAX] {
            let Claim::Moved(row) = store.claim(&key, wrong, HOUR).await else {
                panic!("generation {wrong} is not {generation}");
            };
            assert_eq!(row.generation, generation, "what moved is returned as it is");
        }
        let (fence, ..) = store.granted(&key, generation, HOUR).await;
        let sealed = (generation + 1).to_string();
        assert_eq!(store.commit(&key, fence, sealed.as_bytes(), HOUR).await, Commit::Stored);
        let row = suite.store().row(&key).await;
        assert_eq!(
            (row.generation, row.sealed),
            (generation + 1, sealed.into_bytes()),
            "a commit moves it by one"
        );
        let Claim::Moved(_) = store.claim(&key, generation, HOUR).await else {
            panic!("a commit ends the claim")
        };
    }
}

async fn of_many_who_commit_one_claim_one_does(suite: &Suite<'_>) {
    let (store, key) = suite.with_session("committed by many").await;
    let (fence, ..) = store.granted(&key, 0, HOUR).await;
    let mut committers = JoinSet::new();
    for _ in 0..MANY {
        let store = suite.store();
        committers.spawn(async move { store.commit(&key, fence, b"1", HOUR).await });
    }
    let stored = committers.join_all().await.into_iter().filter(|commit| *commit == Commit::Stored).count();
    assert_eq!(stored, 1, "a claim is committed once");
    assert_eq!(store.row(&key).await.generation, 1);
}
