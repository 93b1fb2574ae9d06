//! Failures of an endpoint that can be switched on and off.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::{sync::watch, time};

/// What goes wrong at one endpoint, to be switched while requests are under way.
#[derive(Debug)]
pub(crate) struct Faults(watch::Sender<Fault>);

#[derive(Clone, Copy, Debug, Default)]
struct Fault {
    status: Option<StatusCode>,
    delay: Duration,
    held: bool,
}

impl Faults {
    pub(crate) fn none() -> Self {
        Self(watch::Sender::new(Fault::default()))
    }

    pub(crate) fn fail_with(&self, status: u16) {
        assert!((200..1000).contains(&status), "{status} is not the status of a final HTTP answer");
        let status = StatusCode::from_u16(status).expect("every number of three digits is a status");
        self.0.send_modify(|fault| fault.status = Some(status));
    }

    pub(crate) fn delay(&self, delay: Duration) {
        self.0.send_modify(|fault| fault.delay = delay);
    }

    pub(crate) fn hold(&self) {
        self.0.send_modify(|fault| fault.held = true);
    }

    pub(crate) fn recover(&self) {
        self.0.send_replace(Fault::default());
    }

    /// Waits while requests are held, then tells the status to fail with, if any.
    pub(crate) async fn admit(&self) -> Result<(), StatusCode> {
        self.until(|fault| !fault.held).await;
        self.0.borrow().status.map_or(Ok(()), Err)
    }

    /// Takes as long as answers shall take, or until that changes.
    pub(crate) async fn linger(&self) {
        let delay = self.0.borrow().delay;
        if !delay.is_zero() {
            // It makes no difference whether the time is up or the delay was changed.
            let _ = time::timeout(delay, self.until(|fault| fault.delay != delay)).await;
        }
    }

    async fn until(&self, condition: impl FnMut(&Fault) -> bool) {
        // The sender is borrowed here, so it outlives the wait.
        let _ = self.0.subscribe().wait_for(condition).await;
    }
}
