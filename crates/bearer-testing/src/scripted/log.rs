//! What the endpoint was asked and has sent.

use tokio::sync::watch;

use super::Recorded;

/// What has happened, to look at and to wait for.
#[derive(Debug)]
pub(super) struct Log(watch::Sender<Entries>);

#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) requests: Vec<Recorded>,
    pub(super) connections: usize,
    pub(super) in_flight: usize,
    pub(super) most_at_once: usize,
    pub(super) bytes_sent: u64,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub(super) struct InFlight<'l>(&'l Log);

impl Log {
    pub(super) fn connected(&self) {
        self.0.send_modify(|entries| entries.connections += 1);
    }

    pub(super) fn arrived(&self, request: Recorded) -> InFlight<'_> {
        self.0.send_modify(|entries| {
            entries.requests.push(request);
            entries.in_flight += 1;
            entries.most_at_once = entries.most_at_once.max(entries.in_flight);
        });
        InFlight(self)
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.0.send_modify(|entries| entries.bytes_sent += bytes as u64);
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Entries) -> T) -> T {
        read(&self.0.borrow())
    }

    pub(super) async fn until(&self, condition: impl FnMut(&Entries) -> bool) {
        // The sender is borrowed here, so it outlives the wait.
        let _ = self.0.subscribe().wait_for(condition).await;
    }
}

impl Default for Log {
    fn default() -> Self {
        Self(watch::Sender::new(Entries::default()))
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|entries| entries.in_flight -= 1);
    }
}
