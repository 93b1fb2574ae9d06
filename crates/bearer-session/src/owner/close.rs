//! Closing: what an orderly shutdown waits for.

use super::{Owner, within::within};
use std::sync::Arc;
use tokio::{task::JoinSet, time::Instant};
use tracing::warn;

impl Owner {
    pub(super) async fn close(self: &Arc<Self>) {
        // No claim of this process lasts longer.
        let until = Instant::now() + self.settings.lease;
        self.closed.send_replace(true);
        for flight in self.flights.close() {
            flight.until(until).await;
        }
        for release in self.releases.running() {
            release.until(until).await;
        }
        self.save_all(until).await;
    }

    async fn save_all(self: &Arc<Self>, until: Instant) {
        if self.retry_until(until, || self.try_to_save_all(until)).await.is_none() {
            let left = self.unsaved.keys().len();
            warn!(sessions = left, "new tokens are lost: the store did not take them before the end");
        }
    }

    /// `None` while some are left.
    async fn try_to_save_all(self: &Arc<Self>, until: Instant) -> Option<()> {
        let mut saving = JoinSet::new();
        for key in self.unsaved.keys() {
            saving.spawn(Arc::clone(self).save(key, until));
        }
        within(until, async { while saving.join_next().await.is_some() {} }).await;
        self.unsaved.keys().is_empty().then_some(())
    }
}
