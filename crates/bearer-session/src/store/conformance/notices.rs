//! Notices: whoever listens, looks and waits misses nothing.

use super::{HOUR, Handle, MANY, Suite};
use crate::store::{Commit, Key, Lookup};
use std::time::Duration;
use tokio::{task::JoinSet, time::timeout};

/// How long a notice may take. It is a bound, no expectation.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn hold(suite: &Suite<'_>) {
    who_listens_is_told_of_a_commit_a_release_and_an_end(suite).await;
    who_looks_between_listening_and_waiting_misses_nothing(suite).await;
    many_who_wait_are_all_told(suite).await;
    who_gave_up_waiting_leaves_the_others_alone(suite).await;
}

async fn who_listens_is_told_of_a_commit_a_release_and_an_end(suite: &Suite<'_>) {
    let (writer, key) = suite.with_session("told").await;
    for listener in [writer.clone(), suite.store()] {
        let generation = writer.row(&key).await.generation;
        let (fence, ..) = writer.granted(&key, generation, HOUR).await;

        let release = listener.0.changed(&key);
        writer.release(&key, fence).await;
        told(release, "a release").await;

        let (fence, ..) = writer.granted(&key, generation, HOUR).await;
        let commit = listener.0.changed(&key);
        assert_eq!(writer.commit(&key, fence, b"next", HOUR).await, Commit::Stored);
        told(commit, "a commit").await;
    }
    let listener = suite.store();
    let end = listener.0.changed(&key);
    assert!(writer.end(&key, HOUR).await);
    told(end, "an end").await;
}

async fn who_looks_between_listening_and_waiting_misses_nothing(suite: &Suite<'_>) {
    let (writer, key) = suite.with_session("raced").await;
    let listener = suite.store();
    for generation in 0..50 {
        let write = async {
            let (fence, ..) = writer.granted(&key, generation, HOUR).await;
            for _ in 0..generation % 8 {
                tokio::task::yield_now().await;
            }
            assert_eq!(writer.commit(&key, fence, b"next", HOUR).await, Commit::Stored);
        };
        tokio::join!(write, seen(&listener, &key, generation + 1));
    }
}

async fn many_who_wait_are_all_told(suite: &Suite<'_>) {
    let (writer, key) = suite.with_session("awaited by many").await;
    let mut waiting = JoinSet::new();
    for _ in 0..MANY {
        let listener = suite.store();
        waiting.spawn(async move { seen(&listener, &key, 1).await });
    }
    let (fence, ..) = writer.granted(&key, 0, HOUR).await;
    assert_eq!(writer.commit(&key, fence, b"1", HOUR).await, Commit::Stored);
    waiting.join_all().await;
}

async fn who_gave_up_waiting_leaves_the_others_alone(suite: &Suite<'_>) {
    let (writer, key) = suite.with_session("given up").await;
    let listener = suite.store();
    let waits = listener.0.changed(&key);
    for _ in 0..1000 {
        drop(listener.0.changed(&key));
    }
    let (fence, ..) = writer.granted(&key, 0, HOUR).await;
    writer.release(&key, fence).await;
    told(waits, "a release, after others gave up").await;
}

async fn told(notice: crate::BoxFuture<'static, ()>, of: &str) {
    assert!(timeout(PATIENCE, notice).await.is_ok(), "whoever listens is told of {of}");
}

/// Listens, looks, waits, as the owner of a session does, until the generation is there.
async fn seen(listener: &Handle, key: &Key, generation: u64) {
    loop {
        let changed = listener.0.changed(key);
        match listener.load(key).await {
            Lookup::Live(row) if row.generation >= generation => return,
            Lookup::Live(_) => told(changed, "a commit while it looks").await,
            other => panic!("the session must live: {other:?}"),
        }
    }
}
