//! Four processes and a thousand requests for one expired session: one exchange.

use super::worker::{Stop, Worker};
use crate::{
    issuer::{Issuer, Rules, tokens},
    server::{Server, keyring},
};
use bearer_session::Sessions;
use std::time::Duration;

const PROCESSES: usize = 4;
const REQUESTS: usize = 250;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_with_250_requests_each_make_one_exchange() {
    let Some(server) = Server::start(&[]) else { return };
    let takes = Duration::from_millis(200);
    let issuer = Issuer::start(Rules::Strict, None, takes).await;
    let sign_in = Sessions::builder(issuer.endpoint(), server.patient_store(), keyring()).build();
    let session = sign_in.create(tokens("0", Duration::ZERO)).await.unwrap();

    let start = || Worker::start(&server.url(), issuer.endpoint(), &session, REQUESTS, Stop::Never);
    let mut workers: Vec<_> = (0..PROCESSES).map(|_| start()).collect();
    for worker in &mut workers {
        assert_eq!(worker.says().await, "ready");
    }
    workers.iter_mut().for_each(Worker::go);

    let mut waits = Vec::new();
    for worker in &mut workers {
        for _ in 0..REQUESTS {
            let said = worker.says().await;
            let (wait, token) = said.split_once(' ').unwrap();
            assert_eq!(token, "a1", "all get the one new token");
            waits.push(Duration::from_micros(wait.parse().unwrap()));
        }
    }
    workers.into_iter().for_each(Worker::wait);
    assert_eq!(issuer.presented(), [0], "one exchange");
    assert!(!issuer.is_ended());

    waits.sort();
    let at = |share: usize| waits[waits.len() * share / 100 - 1];
    println!(
        "{} requests in {PROCESSES} processes: 1 exchange of {takes:?}; waits p50 {:?}, p99 {:?}, longest {:?}; \
         {} commands to Redis",
        waits.len(),
        at(50),
        at(99),
        at(100),
        server.calls("evalsha")
    );
    assert!(at(100) < Duration::from_secs(5), "nobody waits for a lease to lapse: {:?}", at(100));
}
