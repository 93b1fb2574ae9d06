//! Word of refreshes that fail to whoever runs the service: when that begins and when it is over, not of
//! each.

use crate::endpoint::ExchangeError;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::{info, warn};

/// Whether the last refresh of this process, of whichever session, failed for no fault of the session.
#[derive(Debug, Default)]
pub(super) struct Outage(AtomicBool);

impl Outage {
    pub(super) fn goes_on(&self, error: &ExchangeError) {
        if self.begins() {
            warn!(%error, "sessions cannot be refreshed; nobody is signed out, and access tokens serve while they live");
        }
    }

    pub(super) fn is_over(&self) {
        if self.ends() {
            info!("sessions are refreshed again");
        }
    }

    fn begins(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }

    fn ends(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_begins_and_ends_once_however_many_refreshes_fail() {
        let outage = Outage::default();
        assert!(!outage.ends(), "it has not begun");
        for _ in 0..2 {
            assert_eq!([outage.begins(), outage.begins(), outage.begins()], [true, false, false]);
            assert_eq!([outage.ends(), outage.ends()], [true, false]);
        }
    }
}
