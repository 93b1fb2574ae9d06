//! Whoever waits is told, also where the subscription was lost in between.

use crate::{
    proxy::{Network, Proxy},
    server::{BOUND, HOUR, Server, key},
};
use bearer_session::store::{Claim, RedisStore, Store};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

async fn subscribed(server: &Server, subscribers: usize) {
    let there = async {
        while server.subscribers() != subscribers {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(5), there).await.unwrap();
}

async fn commit(store: &impl Store, generation: u64) {
    let Claim::Granted { fence, .. } = store.claim(&key("one"), generation, HOUR).await.unwrap() else {
        panic!("granted")
    };
    store.commit(&key("one"), fence, b"next", HOUR).await.unwrap();
}

#[tokio::test]
async fn a_notice_takes_a_round_trip_and_wakes_nobody_else() {
    let Some(server) = Server::start(&[]) else { return };
    let (writer, listener) = (server.store(), server.store());
    writer.create(&key("one"), b"0", HOUR).await.unwrap();
    subscribed(&server, 2).await;
    sleep(Duration::from_millis(100)).await;
    let mut others = listener.changed(&key("two"));
    let changed = listener.changed(&key("one"));
    let started = Instant::now();
    commit(&writer, 0).await;
    timeout(Duration::from_secs(1), changed).await.unwrap();
    println!("told after {:?}", started.elapsed());
    assert!(
        timeout(Duration::from_millis(100), &mut others).await.is_err(),
        "another session did not change"
    );
}

#[tokio::test]
async fn what_happened_without_a_subscription_is_told_when_there_is_one_again() {
    let Some(server) = Server::start(&[]) else { return };
    let proxy = Proxy::to(server.port()).await;
    let listener = RedisStore::builder(&proxy.url()).timeout(BOUND).build().unwrap();
    subscribed(&server, 1).await;
    let writer = server.store();
    subscribed(&server, 2).await;
    writer.create(&key("one"), b"0", HOUR).await.unwrap();

    proxy.set(Network::Closed);
    subscribed(&server, 1).await;
    let mut changed = listener.changed(&key("one"));
    commit(&writer, 0).await;
    assert!(timeout(Duration::from_millis(200), &mut changed).await.is_err(), "it cannot know");
    proxy.set(Network::Up);
    timeout(Duration::from_secs(3), changed).await.unwrap();
}

#[tokio::test]
async fn a_subscription_that_is_dead_without_a_word_is_found_out() {
    let Some(server) = Server::start(&[]) else { return };
    let proxy = Proxy::to(server.port()).await;
    let listener = RedisStore::builder(&proxy.url()).timeout(BOUND).build().unwrap();
    subscribed(&server, 1).await;
    let writer = server.store();
    writer.create(&key("one"), b"0", HOUR).await.unwrap();
    let changed = listener.changed(&key("one"));
    proxy.set(Network::Silent);
    sleep(Duration::from_millis(50)).await;
    commit(&writer, 0).await;
    // Only the old connection is dead.
    proxy.set(Network::Up);
    let started = Instant::now();
    timeout(Duration::from_secs(8), changed).await.unwrap();
    println!("found out after {:?}", started.elapsed());
}

#[tokio::test]
async fn a_store_that_is_gone_listens_no_more() {
    let Some(server) = Server::start(&[]) else { return };
    let store = server.store();
    subscribed(&server, 1).await;
    let clone = store.clone();
    drop(store);
    sleep(Duration::from_millis(50)).await;
    assert_eq!(server.subscribers(), 1, "a clone is the same store");
    drop(clone);
    subscribed(&server, 0).await;
}
