//! Redis keeps every promise of a store.

use crate::server::Server;
use bearer_session::store::{RedisStore, conformance::Suite};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keeps_every_promise_of_a_store() {
    let Some(server) = Server::start(&[]) else { return };
    let instances: [RedisStore; 4] = std::array::from_fn(|_| server.patient_store());
    let next = AtomicUsize::new(0);
    let another = || instances[next.fetch_add(1, Ordering::Relaxed) % instances.len()].clone();
    Suite::new(another).unit(Duration::from_millis(200)).run().await;
}
