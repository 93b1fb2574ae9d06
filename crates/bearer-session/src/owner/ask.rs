//! Asking the store, which may not answer.

use super::{Owner, within::within};
use crate::{BoxFuture, store::StoreError};
use std::{error::Error, fmt, time::Duration};
use tokio::time::{Instant, sleep};

/// The store does not answer in time.
#[derive(Debug)]
struct Silent;

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
            Some(Ok(answer)) => {
                self.store_outage.is_over();
                Some(answer)
            }
            Some(Err(error)) => {
                self.store_outage.goes_on(&error);
                None
            }
            None => {
                self.store_outage.goes_on(&Silent);
                None
            }
        }
    }
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the session store does not answer in time")
    }
}

impl Error for Silent {}
