//! What a refresher shows of itself.

use crate::{FetchError, Seed};
use std::sync::Arc;
use tokio::time::Instant;
use tower_bearer::keys::SkippedKey;

/// The state of a [`Refresher`](crate::Refresher), for health checks and operators. Holds no key material.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Status {
    /// How many sets were published.
    pub generation: u64,
    /// The `kid`s of the keys in use.
    pub key_ids: Vec<String>,
    /// The keys of the set that are not used, and why.
    pub skipped: Vec<SkippedKey>,
    /// When the keys were last fetched, or confirmed unchanged; those of a [`Seed`], when it says. `None`
    /// before the first keys, and for a seed from before the start of the machine where its clock cannot tell
    /// such a time.
    pub last_success: Option<Instant>,
    /// Why the last attempt failed; `None` after a success.
    pub last_error: Option<FetchError>,
    /// Where the last attempt asked: a URL without user, query and fragment, or a path. Where the issuer's
    /// metadata says where its keys are, that place, or that of the metadata if it is what failed.
    pub location: Option<String>,
    /// Failures since the last success.
    pub failures: u32,
    /// When the next scheduled fetch is due; `None` before the first attempt, and when the refresher has
    /// ended.
    pub next_fetch: Option<Instant>,
    /// The set in use, to start another process with.
    pub seed: Option<Arc<Seed>>,
    /// Whether requests are answered 503, because there are no keys, or they are too old, or nobody keeps
    /// them fresh any more.
    pub unavailable: bool,
    /// Whether the refresher ended because nobody reads its keys any more.
    pub(crate) unread: bool,
}

/// Before the first keys.
impl Default for Status {
    fn default() -> Self {
        Self {
            generation: 0,
            key_ids: Vec::new(),
            skipped: Vec::new(),
            last_success: None,
            last_error: None,
            location: None,
            failures: 0,
            next_fetch: None,
            seed: None,
            unavailable: true,
            unread: false,
        }
    }
}

impl Status {
    /// Whether tokens can be verified now.
    pub fn is_ready(&self) -> bool {
        self.generation > 0 && !self.unavailable
    }
}
