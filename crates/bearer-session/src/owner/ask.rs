//! Asking the store, which may not answer.

use super::{Owner, within::within};
use crate::{BoxFuture, store::StoreError};
use tokio::time::Instant;
use tracing::warn;

impl Owner {
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
