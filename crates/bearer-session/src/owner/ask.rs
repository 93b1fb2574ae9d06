//! Asking the store, which may not answer.

use super::{Owner, within::within};
use crate::{BoxFuture, store::StoreError};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tracing::warn;

impl Owner {
    /// Asks the store again and again until it answers, or the time is up.
    pub(super) async fn retry_until<T, F>(&self, until: Instant, mut ask: impl FnMut() -> F) -> Option<T>
    where
        F: Future<Output = Option<T>>,
    {
        let mut pause = Duration::from_millis(50);
        loop {
            if let Some(answer) = ask().await {
                return Some(answer);
            }
            if Instant::now() + pause >= until {
                return None;
            }
            sleep(pause).await;
            pause = (2 * pause).min(self.settings.store_timeout);
        }
    }

    /// What the store says, if it says anything in time.
    pub(super) async fn ask<T>(&self, question: BoxFuture<'_, Result<T, StoreError>>) -> Option<T> {
        match within(Instant::now() + self.settings.store_timeout, question).await {
            Some(Ok(answer)) => Some(answer),
            Some(Err(error)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                warn!(error = %error, cause, "the session store fails");
                None
            }
            None => {
                warn!("the session store does not answer in time");
                None
            }
        }
    }
}
