//! Keys that change.

use super::*;

#[tokio::test(start_paused = true)]
async fn after_a_rotation_all_first_requests_succeed_and_share_one_fetch() {
    let (old, new) = (key("old"), key("new"));
    let source = Source::of(&[&old]);
    let (verifier, _) = started(&source).await;
    source.publish(&[&old, &new]);
    source.state().delay = Duration::from_millis(300);
    let mut requests = JoinSet::new();
    for _ in 0..200 {
        let (verifier, token) = (verifier.clone(), token(&new).sign());
        requests.spawn(async move { verify(&verifier, &token).await });
    }
    assert!(requests.join_all().await.iter().all(Result::is_ok));
    assert_eq!(source.fetches(), 2, "the first, and one for all");
    assert_eq!(verify_now(&verifier, &token(&old).sign()), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn as_many_fetches_as_rotations() {
    let mut current = key("0");
    let source = Source::of(&[&current]);
    let (verifier, _) = started(&source).await;
    for rotation in 1..=10 {
        advance(secs(11)).await;
        current = key(&rotation.to_string());
        source.publish(&[&current]);
        let requests: JoinSet<_> = (0..200)
            .map(|_| {
                let (verifier, token) = (verifier.clone(), token(&current).sign());
                async move { verify(&verifier, &token).await.is_ok() }
            })
            .collect();
        assert!(requests.join_all().await.iter().all(|ok| *ok));
    }
    assert_eq!(source.fetches(), 1 + 10);
}

#[tokio::test(start_paused = true)]
async fn requests_that_arrive_during_the_first_fetch_succeed() {
    let key = key("a");
    let source = Source::of(&[&key]);
    source.state().delay = secs(1);
    let (verifier, _) = start(&source);
    let requests: JoinSet<_> = (0..50)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), token(&key).sign());
            async move { verify(&verifier, &token).await.is_ok() }
        })
        .collect();
    assert!(requests.join_all().await.iter().all(|ok| *ok));
    assert_eq!(source.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn new_key_material_under_an_old_name_is_found_and_forgeries_cost_a_fetch_a_minute() {
    let (old, new) = (key("same"), key("same"));
    let source = Source::of(&[&old]);
    let (verifier, _) = started(&source).await;
    source.publish(&[&new]);
    assert!(verify(&verifier, &token(&new).sign()).await.is_ok());
    assert_eq!(source.fetches(), 2);
    for _ in 0..590 {
        advance(Duration::from_millis(100)).await;
        let forged = token(&old).sign();
        assert_eq!(verify(&verifier, &forged).await.map(drop), Err(Reason::Signature));
    }
    assert_eq!(source.fetches(), 2);
    advance(secs(2)).await;
    assert_eq!(verify(&verifier, &token(&new).tampered()).await.map(drop), Err(Reason::Signature));
    assert_eq!(source.fetches(), 3);
    assert!(verify(&verifier, &token(&new).sign()).await.is_ok());
    let unknown = key("unknown");
    assert_eq!(verify(&verifier, &token(&unknown).sign()).await.map(drop), Err(Reason::UnknownKey));
    assert_eq!(source.fetches(), 4, "the buckets are apart");
}

#[tokio::test(start_paused = true)]
async fn a_new_set_takes_the_place_of_the_whole_old_one() {
    let (a, b) = (key("a"), key("b"));
    let source = Source::of(&[&a]);
    let (refresher, keys) = Refresher::new(source.clone());
    tokio::spawn(refresher.run());
    advance(secs(1)).await;
    let ids = |snapshot: &Snapshot| snapshot.keys().ids().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(keys.with(ids), ["a"]);
    source.publish(&[&b]);
    advance(secs(600)).await;
    assert_eq!(keys.with(ids), ["b"]);
}
