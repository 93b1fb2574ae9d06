//! Closing: what an orderly shutdown waits for.

use super::{Owner, within::within};
use crate::{endpoint::OnBehalf, store::Key};
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
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
        let mut pause = Duration::from_millis(50);
        loop {
            let mut storing = JoinSet::new();
            for key in self.unsaved.keys() {
                storing.spawn(Arc::clone(self).store_one(key, until));
            }
            within(until, async { while storing.join_next().await.is_some() {} }).await;
            let left = self.unsaved.keys().len();
            if left == 0 {
                return;
            }
            if Instant::now() + pause >= until {
                warn!(sessions = left, "new tokens are lost: the store did not take them before the end");
                return;
            }
            sleep(pause).await;
            pause = (2 * pause).min(self.settings.store_timeout);
        }
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
