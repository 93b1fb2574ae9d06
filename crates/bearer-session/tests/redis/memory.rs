//! Redis without memory: what evicts signs out and spends nothing twice; what does not evict keeps what was exchanged.

use crate::server::{HOUR, Server, key};
use bearer_session::store::{Claim, Commit, Fence, Key, Lookup, Store};

const SEALED: [u8; 4096] = [7; 4096];

/// A new session under the next name, until there is no room, or there were many.
async fn fill(store: &impl Store) -> Vec<Key> {
    let mut keys = Vec::new();
    for number in 0..4000 {
        let key = key(&format!("filler {number}"));
        if store.create(&key, &SEALED, HOUR).await.is_err() {
            break;
        }
        keys.push(key);
    }
    keys
}

async fn claimed(store: &impl Store, key: &Key) -> Fence {
    match store.claim(key, 0, HOUR).await.unwrap() {
        Claim::Granted { fence, .. } => fence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_was_evicted_took_its_claim_along_and_is_unknown() {
    let Some(server) = Server::start(&["--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru"]) else {
        return;
    };
    let store = server.patient_store();
    let mut sessions = Vec::new();
    for number in 0..20 {
        let key = key(&format!("claimed {number}"));
        store.create(&key, &SEALED, HOUR).await.unwrap();
        sessions.push((key, claimed(&store, &key).await));
    }
    assert_eq!(fill(&store).await.len(), 4000, "there is always room for one more");
    assert!(server.info("stats", "evicted_keys") > 1000);

    let mut evicted = 0;
    for (key, fence) in sessions {
        match store.load(&key).await.unwrap() {
            Lookup::Unknown => {
                evicted += 1;
                assert_eq!(store.claim(&key, 0, HOUR).await.unwrap(), Claim::Unknown);
                assert_eq!(store.commit(&key, fence, b"1", HOUR).await.unwrap(), Commit::Fenced);
            }
            Lookup::Live(row) => {
                assert!(row.sealed == SEALED && row.generation == 0);
                assert!(
                    matches!(store.claim(&key, 0, HOUR).await.unwrap(), Claim::Held(_)),
                    "row and claim, or neither"
                );
            }
            Lookup::Ended => panic!("nobody ended it"),
        }
    }
    assert!(evicted > 0);
}

#[tokio::test]
async fn a_full_redis_refuses_what_is_new_and_keeps_what_was_exchanged() {
    let Some(server) = Server::start(&["--maxmemory", "4mb", "--maxmemory-policy", "noeviction"]) else {
        return;
    };
    let store = server.patient_store();
    let (one, two) = (key("one"), key("two"));
    store.create(&one, &SEALED, HOUR).await.unwrap();
    store.create(&two, &SEALED, HOUR).await.unwrap();
    let fence = claimed(&store, &one).await;
    assert!(fill(&store).await.len() < 4000);
    // Beyond doubt: no other connection's buffer was the last straw.
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "1mb"]);

    store.create(&key("new"), &SEALED, HOUR).await.unwrap_err();
    store.claim(&two, 0, HOUR).await.unwrap_err();
    assert!(matches!(store.load(&two).await.unwrap(), Lookup::Live(_)), "what is there can be read");
    assert_eq!(
        store.commit(&one, fence, &SEALED, HOUR).await.unwrap(),
        Commit::Stored,
        "the token is spent already"
    );
    assert!(matches!(store.load(&one).await.unwrap(), Lookup::Live(row) if row.generation == 1));
    store.link(&key("name"), &one, HOUR).await.unwrap_err();
    assert!(store.end(&one, HOUR).await.unwrap(), "a sign-out works");
    assert_eq!(store.load(&one).await.unwrap(), Lookup::Ended);

    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "100mb"]);
    let Claim::Granted { interrupted, .. } = store.claim(&two, 0, HOUR).await.unwrap() else {
        panic!("granted")
    };
    assert!(!interrupted, "the refused claim left nothing");
}
