//! Closing: what an orderly shutdown waits for.

use super::{Owner, within::within};
use crate::{endpoint::OnBehalf, store::Key};
use std::sync::Arc;
use tokio::{task::JoinSet, time::Instant};
use tracing::warn;

impl Owner {
    pub(super) async fn close(self: &Arc<Self>) {
        // No claim of this process lasts longer.
        let until = Instant::now() + self.settings.lease;
        for flight in self.flights.close() {
            flight.until(until).await;
        }
        for release in self.releases.running() {
            release.until(until).await;
        }
        self.store_unsaved(until).await;
    }

    async fn store_unsaved(self: &Arc<Self>, until: Instant) {
        if self.retry_until(until, || self.store_all(until)).await.is_none() {
            let left = self.unsaved.keys().len();
            warn!(sessions = left, "new tokens are lost: the store did not take them before the end");
        }
    }

    /// `None` while some are left.
    async fn store_all(self: &Arc<Self>, until: Instant) -> Option<()> {
        let mut storing = JoinSet::new();
        for key in self.unsaved.keys() {
            storing.spawn(Arc::clone(self).store_one(key, until));
        }
        within(until, async { while storing.join_next().await.is_some() {} }).await;
        self.unsaved.keys().is_empty().then_some(())
    }

    async fn store_one(self: Arc<Self>, key: Key, until: Instant) {
        let Ok(held) = self.look_or_trust(key, until).await else { return };
        if self.unsaved.follow(&held, self.endpoint.after_unknown()) {
            // Closed as it is, this presents nothing.
            self.flight(held, OnBehalf::default()).await;
        } else {
            self.unsaved.forget(&key);
        }
    }
}
