//! The six invariants of the crate, as a browser sees them.

use crate::{
    browser::{Answer, Browser},
    store::Switch,
    world::{ADA, World, options, site},
};
use axum::http::StatusCode;
use bearer_session::{
    Keyring, Sessions,
    keeping::OpaqueCookie,
    store::{MemoryStore, Store},
};
use bearer_testing::TokenFault;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

async fn all_at_once(browsers: impl IntoIterator<Item = Browser>, each: usize) -> Vec<Answer> {
    let mut requests = JoinSet::new();
    for browser in browsers {
        for _ in 0..each {
            let mut browser = browser.clone();
            requests.spawn(async move { browser.get("/me").await });
        }
    }
    requests.join_all().await
}

/// Another process of the same site.
fn another(world: &World, store: impl Store, browser: &Browser) -> Browser {
    let sessions = Sessions::builder(world.endpoint.clone(), store, Keyring::new(&[7; 32])).build();
    let app = site(&sessions, &world.endpoint, &world.verifier, OpaqueCookie::new(), options());
    Browser { app, ..browser.clone() }
}

#[tokio::test]
async fn a_refresh_token_is_sent_once_by_all_processes_together() {
    let store = Arc::new(MemoryStore::new(100));
    let world = World::with(Arc::clone(&store), |sessions| sessions).await;
    let browser = world.signed_in(Duration::ZERO).await;
    world.supabase.delay_refresh(Duration::from_millis(50));
    let others = (0..3).map(|_| another(&world, Arc::clone(&store), &browser));
    let browsers: Vec<_> = others.chain([browser.clone()]).collect();
    for answer in all_at_once(browsers, 100).await {
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ADA));
    }
    assert_eq!(world.supabase.presentations(), [1]);
}

#[tokio::test]
async fn a_process_with_an_older_copy_presents_no_older_token() {
    let store = Arc::new(MemoryStore::new(100));
    let world = World::with(Arc::clone(&store), |sessions| sessions).await;
    let mut here = world.signed_in(Duration::from_secs(3600)).await;
    let mut there = another(&world, store, &here);
    assert_eq!(there.get("/me").await.status, StatusCode::OK);
    for turn in 0..4 {
        let browser = if turn % 2 == 0 { &mut here } else { &mut there };
        assert_eq!(browser.get("/me").await.status, StatusCode::OK);
        let answer = browser.post("/auth/refresh").await;
        assert!(matches!(answer.status, StatusCode::OK | StatusCode::TOO_MANY_REQUESTS));
    }
    assert!(world.supabase.presentations().iter().all(|times| *times == 1));
    assert_eq!(world.supabase.sessions_alive(), 1);
}

#[tokio::test]
async fn no_answer_has_new_tokens_that_are_not_stored() {
    let store = Switch::new();
    let world = World::with(store.clone(), |sessions| sessions.wait(Duration::from_millis(600))).await;
    let browser = world.signed_in(Duration::ZERO).await;
    world.supabase.delay_refresh(Duration::from_millis(200));
    let mut asking = browser.clone();
    let answer = tokio::spawn(async move { asking.get("/me").await });
    while world.supabase.refreshes() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The claim is there, and the issuer has the token: now nothing can be stored.
    store.cut_off(true);
    assert_eq!(answer.await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
    store.cut_off(false);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut other = another(&world, store, &browser);
    assert_eq!(other.get("/me").await.status, StatusCode::OK);
    assert_eq!(world.supabase.presentations(), [1]);
}

#[tokio::test]
async fn a_failure_that_passes_signs_nobody_out() {
    for fault in [
        TokenFault::Conflict,
        TokenFault::TooManyRequests(Some(1)),
        TokenFault::Unavailable(Some(1)),
        TokenFault::ResetBeforeCommit,
        TokenFault::BadGateway,
        TokenFault::TimeoutAfterCommit,
        TokenFault::ResetAfterCommit,
        TokenFault::GarbageAfterCommit,
    ] {
        let world = World::start().await;
        let mut living = world.signed_in(Duration::from_secs(3)).await;
        let mut expired = world.signed_in(Duration::ZERO).await;
        world.supabase.script_refreshes([fault]);
        let mut status = expired.get("/me").await.status;
        for _ in 0..100 {
            assert!(matches!(status, StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE), "{fault:?} {status}");
            assert!(expired.session().is_some(), "{fault:?}");
            if status == StatusCode::OK {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            status = expired.get("/me").await.status;
        }
        assert_eq!(status, StatusCode::OK, "{fault:?}");
        assert_eq!(living.get("/me").await.status, StatusCode::OK, "{fault:?}");
        assert_eq!(world.supabase.sessions_alive(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn a_store_that_is_cut_off_stops_refreshing_and_nothing_else() {
    let store = Switch::new();
    let world = World::with(store.clone(), |sessions| sessions.local_for(Duration::ZERO)).await;
    let mut living = world.signed_in(Duration::from_secs(3600)).await;
    let mut expired = world.signed_in(Duration::ZERO).await;
    assert_eq!(living.get("/me").await.status, StatusCode::OK);
    store.cut_off(true);
    assert_eq!(living.get("/me").await.status, StatusCode::OK);
    let answer = expired.get("/me").await;
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert_eq!(expired.post("/auth/logout").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(expired.session().is_some());
    assert_eq!(world.supabase.refreshes(), 0);
    store.cut_off(false);
    assert_eq!(expired.get("/me").await.status, StatusCode::OK);
    assert_eq!(world.supabase.presentations(), [1]);
}
