//! A request that came without a credential through a gate that allows it.

use crate::challenge::Challenge;
use std::{fmt, sync::Arc};

/// Lies in the request extensions in the place of [`Verified`](crate::Verified) when the request had no
/// credential and the gate [allows that](crate::BearerLayer::allow_anonymous).
///
/// Neither of the two means that there is no gate: then whoever asks must refuse, and not with a 401, since
/// the caller could do nothing about it. [`Verified::of`](crate::Verified::of) tells the three apart.
#[derive(Clone)]
pub struct Unauthenticated(Arc<Challenge>);

impl Unauthenticated {
    pub(crate) fn new(challenge: Arc<Challenge>) -> Self {
        Self(challenge)
    }

    pub(crate) fn challenge(&self) -> &Arc<Challenge> {
        &self.0
    }
}

impl fmt::Debug for Unauthenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unauthenticated")
    }
}
