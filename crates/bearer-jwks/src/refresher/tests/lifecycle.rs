//! How it starts and ends, and what is seen of that.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_reader_even_in_the_middle_of_a_fetch() {
    let source = Source::default();
    let (refresher, keys) = Refresher::new(source);
    let running = tokio::spawn(refresher.run());
    advance(secs(1)).await;
    drop(verifier(keys));
    timeout(Duration::from_millis(250), running).await.expect("it runs on").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stopped_refresher_is_not_trusted_any_more() {
    let key = key("a");
    let source = Source::of(&[&key]);
    let (refresher, keys) = Refresher::new(source.clone());
    let mut status = refresher.status();
    let verifier = verifier(keys);
    let handle = refresher.spawn();
    status.wait_for(Status::is_ready).await.unwrap();
    drop(handle);
    advance(secs(1)).await;
    assert_eq!(verify_now(&verifier, &token(&key).sign()), Err(Reason::StaleKeys));
    let before = source.fetches();
    advance(secs(3600)).await;
    assert_eq!(source.fetches(), before, "nothing runs on");
}

#[tokio::test(start_paused = true)]
async fn the_status_says_that_there_are_no_keys_yet_and_that_nobody_keeps_them_fresh_any_more() {
    let source = Source::of(&[&key("a")]);
    let (refresher, keys) = Refresher::new(source.clone());
    let mut status = refresher.status();
    assert!(status.borrow().unavailable && !status.borrow().is_ready());
    let handle = refresher.spawn();
    status.wait_for(Status::is_ready).await.unwrap();
    assert!(status.borrow().next_fetch.is_some());
    drop(handle);
    let last = status.wait_for(|status| status.unavailable).await.unwrap().clone();
    assert_eq!((last.next_fetch, last.is_ready(), last.generation), (None, false, 1));
    assert!(status.changed().await.is_err());
    assert_eq!(keys.with(Snapshot::state), KeyState::Stale);

    let (refresher, keys) = Refresher::new(source);
    let mut status = refresher.status();
    tokio::spawn(refresher.run());
    status.wait_for(Status::is_ready).await.unwrap();
    drop(keys);
    let last = status.wait_for(|status| status.unavailable).await.unwrap().clone();
    assert_eq!((last.next_fetch, last.is_ready()), (None, false), "the last reader is gone");
}
