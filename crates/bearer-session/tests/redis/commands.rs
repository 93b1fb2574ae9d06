//! What a session costs Redis.

use crate::server::{HOUR, Server, key, name};
use bearer_session::store::{Claim, Commit, Key, Lookup, RedisStore, Store as _};
use std::time::Duration;
use tokio::task::JoinSet;

/// Commands as clients sent them, without those that scripts ran.
fn sent(server: &Server) -> u64 {
    ["evalsha", "eval", "get", "set", "script|load", "multi", "exec", "subscribe", "ping"]
        .iter()
        .map(|command| server.calls(command))
        .sum()
}

#[tokio::test]
async fn each_step_is_one_command_and_one_round_trip() {
    let Some(server) = Server::start(&[]) else { return };
    let store = server.patient_store();
    let (one, warm) = (key("one"), key("warm"));
    // The server learns the scripts, and the connections are made.
    warm_up(&server, &store, &warm).await;

    let before = sent(&server);
    let mut expected = before;
    let mut costs_one = |step: &str| {
        expected += 1;
        assert_eq!(sent(&server), expected, "{step}");
    };
    store.create(&one, b"0", HOUR).await.unwrap();
    costs_one("create");
    store.load(&one).await.unwrap();
    costs_one("load");
    let Claim::Granted { fence, .. } = store.claim(&one, 0, HOUR).await.unwrap() else { panic!("granted") };
    costs_one("claim");
    store.release(&one, fence).await.unwrap();
    costs_one("release");
    let Claim::Granted { fence, .. } = store.claim(&one, 0, HOUR).await.unwrap() else { panic!("granted") };
    costs_one("claim");
    assert_eq!(store.commit(&one, fence, b"1", HOUR).await.unwrap(), Commit::Stored);
    costs_one("commit");
    store.link(&warm, &one, HOUR).await.unwrap();
    costs_one("link");
    store.resolve(&warm).await.unwrap();
    costs_one("resolve");
    store.end(&one, HOUR).await.unwrap();
    costs_one("end");
    drop(store.changed(&one));
    assert_eq!(sent(&server), expected, "listening costs nothing");
    assert_eq!(server.calls("script|load"), 6, "the connection began with each script");
}

async fn warm_up(server: &Server, store: &RedisStore, key: &Key) {
    store.create(key, b"0", HOUR).await.unwrap();
    store.load(key).await.unwrap();
    let Claim::Granted { fence, .. } = store.claim(key, 0, HOUR).await.unwrap() else { panic!("granted") };
    store.release(key, fence).await.unwrap();
    store.commit(key, fence, b"1", HOUR).await.unwrap();
    store.end(key, HOUR).await.unwrap();
    // The subscription was made in the background.
    let subscribed = async {
        while server.subscribers() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), subscribed).await.unwrap();
}

#[tokio::test]
async fn a_thousand_requests_at_once_share_one_connection_and_are_all_answered() {
    let Some(server) = Server::start(&[]) else { return };
    let store = server.patient_store();
    store.create(&key("busy"), b"0", HOUR).await.unwrap();
    let connections = server.info("stats", "total_connections_received");
    let before = server.calls("evalsha");
    let mut loads = JoinSet::new();
    for _ in 0..1000 {
        let store = store.clone();
        loads.spawn(async move { store.load(&key("busy")).await });
    }
    for found in loads.join_all().await {
        assert!(matches!(found.unwrap(), Lookup::Live(_)));
    }
    let calls = server.calls("evalsha") - before;
    println!("{calls} commands for 1000 requests");
    assert_eq!(calls, 1000);
    // Ours to look at the numbers, and the subscription, which may be late.
    let opened = server.info("stats", "total_connections_received") - connections;
    assert!(opened <= 4, "{opened}");
}

#[tokio::test]
async fn a_session_is_one_key_and_shows_nothing_but_its_seal() {
    let Some(server) = Server::start(&[]) else { return };
    let store = server.patient_store();
    let one = key("one");
    store.create(&one, b"sealed", HOUR).await.unwrap();
    let Claim::Granted { .. } = store.claim(&one, 0, HOUR).await.unwrap() else { panic!("granted") };
    let keys: Vec<String> = server.ask(&["KEYS", "*"]);
    assert_eq!(keys, [name(&one)]);
    let expires: i64 = server.ask(&["PTTL", &name(&one)]);
    assert!(expires > 3_500_000, "{expires}");
    store.end(&one, HOUR).await.unwrap();
    let fields: Vec<String> = server.ask(&["HKEYS", &name(&one)]);
    assert_eq!(fields, ["ended"], "of an ended session nothing is left but that it ended");
}

#[tokio::test]
async fn a_user_needs_the_rights_that_are_documented_and_no_others() {
    const COMMANDS: [&str; 14] = [
        "evalsha",
        "script|load",
        "time",
        "hmget",
        "hset",
        "hdel",
        "hincrby",
        "pexpire",
        "del",
        "get",
        "set",
        "publish",
        "subscribe",
        "ping",
    ];
    let Some(server) = Server::start(&[]) else { return };
    for (database, more, is_enough) in [("0", None, true), ("1", None, false), ("1", Some("+select"), true)] {
        let commands = COMMANDS.map(|command| format!("+{command}"));
        let mut words = vec!["ACL", "SETUSER", "app", "reset", "on", ">pw", "~bearer:*", "&bearer:*"];
        words.extend(commands.iter().map(String::as_str).chain(more));
        let _: () = server.ask(&words);
        let url = format!("redis://app:pw@127.0.0.1:{}/{database}", server.port());
        let store = RedisStore::builder(&url).timeout(Duration::from_secs(10)).build().unwrap();
        let one = key("one");
        assert_eq!(store.load(&one).await.is_ok(), is_enough, "{database} {more:?}");
        if !is_enough {
            continue;
        }
        warm_up(&server, &store, &one).await;
        let _: () = server.ask(&["SCRIPT", "FLUSH"]);
        store.link(&one, &one, HOUR).await.unwrap();
        assert_eq!(store.resolve(&one).await.unwrap(), Some(one));
        store.create(&key("two"), b"0", HOUR).await.unwrap();
        let changed = store.changed(&key("two"));
        store.end(&key("two"), HOUR).await.unwrap();
        tokio::time::timeout(Duration::from_secs(5), changed).await.expect("a notice");
    }
}
