//! What must hold still for a token that was accepted once, and whether it does.

use super::{issuer::Issuer, issuers::ListId, times::Validity};
use crate::keys::{Key, KeySource, KeyState};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::SystemTime,
};

/// What remembered tokens depend on of their issuer. It holds a mere reader of the keys, so that a cache of
/// tokens keeps no refresher alive for an issuer that is trusted no more.
#[derive(Debug)]
pub(super) struct Standing {
    list: ListId,
    is_listed: AtomicBool,
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "the label of a metric"))]
    iss: Arc<str>,
    /// `None` for an issuer that has only a secret.
    keys: Option<KeySource>,
}

/// Kept with the proof of an accepted token.
pub(crate) struct Receipt {
    issuer: Arc<Standing>,
    /// `None` for a shared secret: those of an issuer cannot change.
    key: Option<Arc<Key>>,
    validity: Validity,
    /// The state of the issuer's keys in which `key` was last found good: then it is, until they change.
    good_in: AtomicU64,
}

/// Whether a token is as good as it was.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Holds {
    Yes,
    NotNow,
    NoMore,
}

/// A state of the keys that is never reached: the key has not been looked for yet.
const NEVER: u64 = u64::MAX;

impl Standing {
    pub(super) fn new(issuer: &Issuer, list: ListId) -> Self {
        Self {
            list,
            is_listed: AtomicBool::new(true),
            iss: Arc::clone(&issuer.iss),
            keys: issuer.keys.as_ref().map(KeySource::reader),
        }
    }

    /// The issuer is trusted no more.
    pub(super) fn end(&self) {
        self.is_listed.store(false, Ordering::Release);
    }

    fn is_in(&self, list: ListId) -> bool {
        self.list == list && self.is_listed.load(Ordering::Acquire)
    }

    /// A token was accepted while the issuer's keys could not be refreshed: right, and worth knowing.
    #[cfg_attr(not(feature = "metrics"), allow(clippy::unused_self, reason = "the label of a metric"))]
    pub(super) fn count_lagging_accept(&self) {
        #[cfg(feature = "metrics")]
        metrics::counter!("bearer_lagging_accepts_total", "issuer" => self.iss.to_string()).increment(1);
    }
}

impl Receipt {
    pub(super) fn new(issuer: Arc<Standing>, key: Option<Arc<Key>>, validity: Validity) -> Self {
        Self { issuer, key, validity, good_in: AtomicU64::new(NEVER) }
    }

    /// Whether who trusts the issuers of this list would accept the token now.
    pub(super) fn holds(&self, list: ListId, now: SystemTime) -> Holds {
        if !self.issuer.is_in(list) {
            // Not for good: the cache may be another verifier's too, and that one's issuer trusted still.
            return Holds::NotNow;
        }
        if !self.validity.contains(now) {
            return Holds::NoMore;
        }
        match (&self.key, &self.issuer.keys) {
            (None, _) => Holds::Yes,
            (Some(key), Some(keys)) => self.key_holds(key, keys),
            (Some(_), None) => Holds::NoMore,
        }
    }

    fn key_holds(&self, key: &Arc<Key>, keys: &KeySource) -> Holds {
        // Before the keys are looked at: a change after this is seen next time.
        let state = keys.changes();
        if self.good_in.load(Ordering::Relaxed) == state {
            return Holds::Yes;
        }
        keys.with(|now| match now.state() {
            _ if !now.keys().has(key) => Holds::NoMore,
            KeyState::Ready => {
                self.good_in.store(state, Ordering::Relaxed);
                Holds::Yes
            }
            KeyState::Lagging => {
                self.issuer.count_lagging_accept();
                Holds::Yes
            }
            // They may be confirmed again.
            KeyState::Waiting | KeyState::Stale => Holds::NotNow,
        })
    }
}

impl Clone for Receipt {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.issuer), self.key.clone(), self.validity)
    }
}
