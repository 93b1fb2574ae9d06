//! Saving: tokens that the store did not take are stored when it can be reached again, whether or not anybody
//! asks for them. Until then only this process knows them, and another takes the session for interrupted.

use super::{Owner, SOON, claimed::Purpose, flight::Landing, local::Held, look::Looked, unsaved::Successor};
use crate::store::Key;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The longest pause between two questions whether the store can be reached.
const PATIENCE: Duration = Duration::from_secs(10);

impl Owner {
    pub(super) fn save_later(self: &Arc<Self>, key: Key, successor: Successor) -> Landing {
        if self.unsaved.put(key, successor) {
            tokio::spawn(tend(Arc::downgrade(self)));
        }
        self.soon(key)
    }

    /// Stores what waits of this session. Says whether the store answers.
    pub(super) async fn save(self: Arc<Self>, key: Key, until: Instant) -> bool {
        match self.look_until(key, until).await {
            Looked::Live(held) if self.unsaved.follow(&held, self.endpoint.after_unknown()) => {
                let (owner, flights) = (Arc::clone(&self), &self.flights);
                let saving = async move { owner.commit_unsaved(held).await };
                if flights.is_closed() {
                    saving.await;
                } else {
                    flights.run(key, || saving).until(until).await;
                }
            }
            Looked::Live(held) => self.unsaved.forget_before(&held),
            Looked::Over => drop(self.unsaved.forget(&key)),
            Looked::Unreadable | Looked::Unreachable => return false,
        }
        true
    }

    /// Stores the successor of these tokens, if there is one still. Presents nothing.
    async fn commit_unsaved(self: &Arc<Self>, known: Arc<Held>) -> Landing {
        match self.claim(known, Purpose::Refresh).await {
            Ok((claim, _)) => {
                self.release(claim).await;
                Landing::Later(SOON)
            }
            Err(landing) => landing,
        }
    }
}

/// Until none is left, or their owner is closed, or gone.
async fn tend(owner: Weak<Owner>) {
    let mut pause = SOON;
    loop {
        sleep(pause).await;
        let Some(owner) = owner.upgrade().filter(|owner| !owner.flights.is_closed()) else { return };
        if owner.unsaved.are_done() {
            return;
        }
        pause = (2 * pause).min(PATIENCE);
        let mut keys = owner.unsaved.keys();
        // Where one question is in vain, the others are not asked; and it is not always the same that is.
        fastrand::shuffle(&mut keys);
        for key in keys {
            if !Arc::clone(&owner).save(key, Instant::now() + owner.settings.lease).await {
                break;
            }
            if !owner.unsaved.has(&key) {
                pause = SOON;
            }
        }
    }
}
