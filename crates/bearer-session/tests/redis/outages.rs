//! Redis down, slow, gone, forgetful: each step is bounded in time, and an error, and never a wrong answer.

use crate::{
    proxy::{Network, Proxy},
    server::{BOUND, HOUR, Server, key, name},
};
use bearer_session::store::{Claim, Commit, Fence, Key, Lookup, RedisStore, Store};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const APPEND_ONLY: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// Each step is an error, within its bound.
async fn refuses_everything(store: &impl Store, key: &Key) {
    let fence = Fence::new(1).unwrap();
    let bounded = async |step: &str, answer: bearer_session::BoxFuture<'_, bool>| {
        let started = Instant::now();
        assert!(answer.await, "{step} is an error");
        let took = started.elapsed();
        assert!(took < BOUND + Duration::from_millis(600), "{step} took {took:?}");
    };
    bounded("load", Box::pin(async { store.load(key).await.is_err() })).await;
    bounded("create", Box::pin(async { store.create(key, b"late", HOUR).await.is_err() })).await;
    bounded("claim", Box::pin(async { store.claim(key, 0, Duration::from_millis(50)).await.is_err() })).await;
    bounded("commit", Box::pin(async { store.commit(key, fence, b"late", HOUR).await.is_err() })).await;
    bounded("release", Box::pin(async { store.release(key, fence).await.is_err() })).await;
    bounded("link", Box::pin(async { store.link(key, key, HOUR).await.is_err() })).await;
    bounded("resolve", Box::pin(async { store.resolve(key).await.is_err() })).await;
}

/// The first answer that is none but an error, within two seconds.
async fn recovered(store: &impl Store, key: &Key) -> Lookup {
    let started = Instant::now();
    loop {
        match store.load(key).await {
            Ok(found) => return found,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(2), "{error:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn is_first_generation(found: &Lookup) -> bool {
    matches!(found, Lookup::Live(row) if row.generation == 0 && row.sealed == b"0")
}

async fn with_session(server: &Server) -> (RedisStore, Key) {
    let (store, key) = (server.store(), key("one"));
    assert_eq!(store.create(&key, b"0", HOUR).await.unwrap(), Lookup::Unknown);
    (store, key)
}

async fn granted(store: &impl Store, key: &Key, lease: Duration) -> (Fence, bool) {
    match store.claim(key, 0, lease).await.unwrap() {
        Claim::Granted { fence, interrupted, .. } => (fence, interrupted),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_redis_that_was_restarted_is_found_again_with_sessions_and_claims() {
    let Some(mut server) = Server::start(APPEND_ONLY) else { return };
    let (store, key) = with_session(&server).await;
    let (fence, _) = granted(&store, &key, HOUR).await;
    server.kill();
    refuses_everything(&store, &key).await;
    server.restart();
    assert!(is_first_generation(&recovered(&store, &key).await));
    assert!(
        matches!(store.claim(&key, 0, HOUR).await.unwrap(), Claim::Held(_)),
        "the claim outlived the restart"
    );
    assert_eq!(store.commit(&key, fence, b"1", HOUR).await.unwrap(), Commit::Stored);
}

#[tokio::test]
async fn a_redis_that_forgot_everything_takes_no_commit() {
    let Some(mut server) = Server::start(&[]) else { return };
    let (store, key) = with_session(&server).await;
    let (fence, _) = granted(&store, &key, HOUR).await;
    server.kill();
    server.restart();
    assert_eq!(recovered(&store, &key).await, Lookup::Unknown);
    assert_eq!(store.commit(&key, fence, b"1", HOUR).await.unwrap(), Commit::Fenced);
    // Another session under the same name is none of the old claim's business.
    store.create(&key, b"0", HOUR).await.unwrap();
    let (later, _) = granted(&store, &key, HOUR).await;
    assert!(later > fence);
    assert_eq!(store.commit(&key, fence, b"1", HOUR).await.unwrap(), Commit::Fenced);
}

#[tokio::test]
async fn a_frozen_redis_costs_no_more_than_the_bound() {
    let Some(server) = Server::start(&[]) else { return };
    let (store, key) = with_session(&server).await;
    server.freeze();
    refuses_everything(&store, &key).await;
    server.thaw();
    assert!(is_first_generation(&recovered(&store, &key).await));
}

/// What timed out was not lost: it waits in the socket of the server, and is done when the server wakes up.
#[tokio::test]
async fn a_claim_that_timed_out_is_neither_lost_nor_taken_for_an_interrupted_exchange() {
    let Some(server) = Server::start(&[]) else { return };
    let (store, key) = with_session(&server).await;
    store.load(&key).await.unwrap();
    let lease = Duration::from_millis(600);
    // The script is known, so that the claim is one message.
    let (fence, _) = granted(&store, &key, lease).await;
    store.release(&key, fence).await.unwrap();

    server.freeze();
    store.claim(&key, 0, lease).await.unwrap_err();
    server.thaw();
    let other = server.store();
    assert!(is_first_generation(&recovered(&other, &key).await));
    assert!(
        matches!(other.claim(&key, 0, lease).await.unwrap(), Claim::Held(_)),
        "it was granted, to nobody"
    );
    let (first, interrupted) = granted(&store, &key, lease).await;
    assert!(!interrupted && first > fence, "whoever claimed is given its claim");
    assert!(matches!(store.claim(&key, 0, lease).await.unwrap(), Claim::Held(_)), "once");

    // From here on it is a claim like any other.
    sleep(lease * 2).await;
    let (second, interrupted) = granted(&other, &key, lease).await;
    assert!(interrupted && second > first);
    assert_eq!(store.commit(&key, first, b"late", HOUR).await.unwrap(), Commit::Fenced);
}

#[tokio::test]
async fn a_claim_that_timed_out_is_given_back_also_after_its_lease() {
    let Some(server) = Server::start(&[]) else { return };
    let (store, key) = with_session(&server).await;
    let lease = Duration::from_millis(50);
    let (fence, _) = granted(&store, &key, lease).await;
    store.release(&key, fence).await.unwrap();
    server.freeze();
    store.claim(&key, 0, lease).await.unwrap_err();
    server.thaw();
    assert!(is_first_generation(&recovered(&store, &key).await));
    sleep(lease * 2).await;
    let (_, interrupted) = granted(&store, &key, lease).await;
    assert!(!interrupted, "nobody was told of the first grant, so nothing was spent under it");
}

#[tokio::test]
async fn a_request_that_is_given_up_leaves_its_claim_to_the_next() {
    let Some(server) = Server::start(&[]) else { return };
    let (store, key) = with_session(&server).await;
    let (fence, _) = granted(&store, &key, HOUR).await;
    store.release(&key, fence).await.unwrap();
    server.freeze();
    let given_up = tokio::time::timeout(Duration::from_millis(100), store.claim(&key, 0, HOUR)).await;
    assert!(given_up.is_err());
    server.thaw();
    assert!(is_first_generation(&recovered(&store, &key).await));
    let (_, interrupted) = granted(&store, &key, HOUR).await;
    assert!(!interrupted);
}

#[tokio::test]
async fn a_redis_that_pauses_its_clients_is_waited_for_within_the_bound() {
    let Some(server) = Server::start(&[]) else { return };
    let (store, key) = with_session(&server).await;
    let pause =
        |time: Duration| -> () { server.ask(&["CLIENT", "PAUSE", &time.as_millis().to_string(), "ALL"]) };
    pause(BOUND / 4);
    assert!(is_first_generation(&store.load(&key).await.unwrap()), "a short pause is no error");
    pause(BOUND * 20);
    refuses_everything(&store, &key).await;
}

#[tokio::test]
async fn a_redis_that_is_busy_is_waited_for_within_the_bound() {
    let Some(server) = Server::start(&["--enable-debug-command", "local"]) else { return };
    let (store, key) = with_session(&server).await;
    let url = server.url();
    let busy = std::thread::spawn(move || {
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        redis::cmd("DEBUG").arg("SLEEP").arg("5").exec(&mut connection).unwrap();
    });
    sleep(Duration::from_millis(100)).await;
    refuses_everything(&store, &key).await;
    tokio::task::spawn_blocking(|| busy.join().unwrap()).await.unwrap();
    assert!(is_first_generation(&recovered(&store, &key).await));
}

#[tokio::test]
async fn a_partition_costs_no_more_than_the_bound_and_is_over_when_it_is_over() {
    let Some(server) = Server::start(&[]) else { return };
    let proxy = Proxy::to(server.port()).await;
    let store = RedisStore::builder(&proxy.url()).timeout(BOUND).build().unwrap();
    let key = key("one");
    store.create(&key, b"0", HOUR).await.unwrap();
    for broken in [Network::Closed, Network::Silent] {
        proxy.set(broken);
        refuses_everything(&store, &key).await;
        assert!(is_first_generation(&server.store().load(&key).await.unwrap()), "nothing of it arrived");
        proxy.set(Network::Up);
        assert!(is_first_generation(&recovered(&store, &key).await), "{broken:?}");
    }
}

#[tokio::test]
async fn who_asked_by_a_connection_that_has_been_replaced_closes_no_other() {
    let Some(server) = Server::start(&[]) else { return };
    let proxy = Proxy::to(server.port()).await;
    let store = RedisStore::builder(&proxy.url()).timeout(BOUND).build().unwrap();
    let key = key("one");
    store.create(&key, b"0", HOUR).await.unwrap();
    // Those that steps go by; the listener has one of its own.
    let connections = || {
        let clients: String = server.ask(&["CLIENT", "LIST"]);
        let asking = clients.lines().filter(|client| client.contains("cmd=eval"));
        asking.filter_map(|client| client.split(' ').next().map(str::to_owned)).collect::<Vec<_>>()
    };
    proxy.set(Network::Silent);
    let first = async {
        store.load(&key).await.unwrap_err();
        proxy.set(Network::Up);
        assert!(is_first_generation(&store.load(&key).await.unwrap()));
        connections()
    };
    let second = async {
        sleep(BOUND / 2).await;
        store.load(&key).await.unwrap_err();
    };
    let (before, ()) = tokio::join!(first, second);
    assert!(is_first_generation(&store.load(&key).await.unwrap()));
    assert_eq!(
        (before.len(), connections()),
        (2, before),
        "the one that is silent, and the one in its place"
    );
}

/// The two sides of a partition: who cannot reach Redis does not refresh, and who can does, once.
#[tokio::test]
async fn who_was_cut_off_while_it_refreshed_is_fenced_when_it_is_back() {
    let Some(server) = Server::start(&[]) else { return };
    let proxy = Proxy::to(server.port()).await;
    let cut_off = RedisStore::builder(&proxy.url()).timeout(BOUND).build().unwrap();
    let (store, key) = with_session(&server).await;
    let lease = Duration::from_millis(500);
    let (old, _) = granted(&cut_off, &key, lease).await;
    proxy.set(Network::Silent);
    cut_off.commit(&key, old, b"lost", HOUR).await.unwrap_err();
    sleep(lease).await;
    let (new, interrupted) = granted(&store, &key, HOUR).await;
    assert!(interrupted, "the token may be spent");
    proxy.set(Network::Up);
    recovered(&cut_off, &key).await;
    assert_eq!(cut_off.commit(&key, old, b"late", HOUR).await.unwrap(), Commit::Fenced);
    assert_eq!(store.commit(&key, new, b"1", HOUR).await.unwrap(), Commit::Stored);
}

/// By Redis (`timeout`), by a balancer, or by hand.
#[tokio::test]
async fn a_connection_that_was_closed_while_it_lay_idle_costs_no_step() {
    let Some(server) = Server::start(&[]) else { return };
    let (store, one) = with_session(&server).await;
    let (two, name) = (key("two"), key("name"));
    let idle = async || {
        store.load(&one).await.unwrap();
        server.ask::<()>(&["CLIENT", "KILL", "TYPE", "normal"]);
    };
    idle().await;
    assert!(is_first_generation(&store.load(&one).await.unwrap()));
    idle().await;
    assert_eq!(store.create(&two, b"0", HOUR).await.unwrap(), Lookup::Unknown);
    idle().await;
    let (fence, interrupted) = granted(&store, &one, HOUR).await;
    assert!(!interrupted);
    idle().await;
    store.release(&one, fence).await.unwrap();
    idle().await;
    store.link(&name, &one, HOUR).await.unwrap();
    idle().await;
    assert_eq!(store.resolve(&name).await.unwrap(), Some(one));
}

#[tokio::test]
async fn a_step_that_was_taken_unheard_is_repeated_and_counts_once() {
    let Some(server) = Server::start(&[]) else { return };
    let proxy = Proxy::to(server.port()).await;
    let store = RedisStore::builder(&proxy.url()).timeout(BOUND).build().unwrap();
    let key = key("one");
    let unheard = async || {
        // A connection of its own, made before.
        server.ask::<()>(&["CLIENT", "KILL", "TYPE", "normal"]);
        proxy.set(Network::Up);
        store.load(&key).await.unwrap();
        proxy.set(Network::Unheard);
    };
    unheard().await;
    assert_eq!(store.create(&key, b"0", HOUR).await.unwrap(), Lookup::Unknown);
    assert!(is_first_generation(&store.create(&key, b"0", HOUR).await.unwrap()), "it lies there already");
    unheard().await;
    let (fence, interrupted) = granted(&store, &key, HOUR).await;
    assert!(!interrupted);
    // What says something else the second time is an error, and the caller looks.
    unheard().await;
    store.commit(&key, fence, b"1", HOUR).await.unwrap_err();
    let Lookup::Live(row) = store.load(&key).await.unwrap() else { panic!() };
    assert_eq!((row.generation, &row.sealed[..]), (1, &b"1"[..]));
    unheard().await;
    store.end(&key, HOUR).await.unwrap_err();
    assert_eq!(store.load(&key).await.unwrap(), Lookup::Ended);
}

#[tokio::test]
async fn scripts_that_were_flushed_are_told_again() {
    let Some(server) = Server::start(&[]) else { return };
    let (store, key) = with_session(&server).await;
    let (fence, _) = granted(&store, &key, HOUR).await;
    server.ask::<()>(&["SCRIPT", "FLUSH"]);
    assert!(is_first_generation(&store.load(&key).await.unwrap()));
    server.ask::<()>(&["SCRIPT", "FLUSH"]);
    assert_eq!(store.commit(&key, fence, b"1", HOUR).await.unwrap(), Commit::Stored);
}

#[tokio::test]
async fn what_is_not_understood_is_an_error_and_no_unknown_session() {
    let Some(server) = Server::start(&[]) else { return };
    let (store, one) = with_session(&server).await;
    let two = key("two");
    server.ask::<()>(&["SET", &name(&two), "of another program"]);
    refuses_everything_of_a_row(&store, &two).await;
    server.ask::<()>(&["HDEL", &name(&one), "sealed"]);
    store.load(&one).await.unwrap_err();
    store.claim(&one, 0, HOUR).await.unwrap_err();
}

async fn refuses_everything_of_a_row(store: &impl Store, key: &Key) {
    store.load(key).await.unwrap_err();
    store.create(key, b"0", HOUR).await.unwrap_err();
    store.claim(key, 0, HOUR).await.unwrap_err();
    store.commit(key, Fence::new(1).unwrap(), b"1", HOUR).await.unwrap_err();
    store.end(key, HOUR).await.unwrap_err();
}

#[tokio::test]
async fn a_redis_that_wants_a_password_is_an_error_that_does_not_show_ours() {
    let Some(server) = Server::start(&[]) else { return };
    server.ask::<()>(&["CONFIG", "SET", "requirepass", "right"]);
    let url = format!("redis://:hunter2@127.0.0.1:{}/", server.port());
    let store = RedisStore::builder(&url).timeout(BOUND).build().unwrap();
    let error = store.load(&key("one")).await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("hunter2"));
    let url = format!("redis://:right@127.0.0.1:{}/", server.port());
    let store = RedisStore::builder(&url).timeout(BOUND).build().unwrap();
    assert_eq!(store.load(&key("one")).await.unwrap(), Lookup::Unknown);
}

/// A replica that was promoted by mistake, or a primary that became a replica.
#[tokio::test]
async fn a_replica_refuses_to_write_and_that_is_an_error() {
    let Some(server) = Server::start(&[]) else { return };
    let (store, key) = with_session(&server).await;
    server.ask::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    store.claim(&key, 0, HOUR).await.unwrap_err();
    store.create(&crate::server::key("two"), b"0", HOUR).await.unwrap_err();
    server.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    let (_, interrupted) = granted(&store, &key, HOUR).await;
    assert!(!interrupted);
}

#[tokio::test]
async fn a_replica_that_took_over_is_found_with_sessions_and_claims() {
    let (Some(old), Some(new)) = (Server::start(&[]), Server::start(&[])) else { return };
    let proxy = Proxy::to(old.port()).await;
    let store = RedisStore::builder(&proxy.url()).timeout(BOUND).build().unwrap();
    let key = key("one");
    store.create(&key, b"0", HOUR).await.unwrap();
    let (fence, _) = granted(&store, &key, HOUR).await;
    new.ask::<()>(&["REPLICAOF", "127.0.0.1", &old.port().to_string()]);
    let started = Instant::now();
    while new.ask::<Vec<String>>(&["KEYS", "*"]).is_empty() {
        assert!(started.elapsed() < Duration::from_secs(20), "no replication");
        sleep(Duration::from_millis(20)).await;
    }

    new.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    old.ask::<()>(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]);
    proxy.lead_to(new.port());
    store.commit(&key, fence, b"1", HOUR).await.unwrap_err();
    assert_eq!(store.commit(&key, fence, b"1", HOUR).await.unwrap(), Commit::Stored);
    assert!(matches!(new.store().load(&key).await.unwrap(), Lookup::Live(row) if row.generation == 1));
}
