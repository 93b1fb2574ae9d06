//! Several processes share sessions through Redis: this binary runs itself as workers.

mod crashes;
mod together;
mod worker;

use crate::server::keyring;
use bearer_session::{Sessions, SessionsBuilder, endpoint::TokenEndpoint, store::Store};
use std::time::Duration;

/// An instance whose leases are short, so that a test sees what follows one.
fn impatient(endpoint: impl TokenEndpoint, store: impl Store) -> SessionsBuilder {
    Sessions::builder(endpoint, store, keyring())
        .request_timeout(Duration::from_millis(500))
        .store_timeout(Duration::from_millis(400))
        .lease(Duration::from_millis(1500))
}
