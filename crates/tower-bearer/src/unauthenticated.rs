//! A request that came without a credential through a gate that allows it.

use crate::{
    challenge::{Challenge, Dialect, EmptyRejection},
    error::Reason,
    service::refusal,
};
use http::Response;
use std::{fmt, sync::Arc};

/// Lies in the request extensions in the place of [`Verified`](crate::Verified) when the request had no
/// credential and the gate [allows that](crate::BearerLayer::allow_anonymous).
///
/// Neither of the two means that there is no gate: then whoever asks must refuse, and not with a 401, since the
/// caller could do nothing about it.
#[derive(Clone)]
pub struct Unauthenticated {
    challenge: Arc<Challenge>,
    dialect: Dialect,
}

impl Unauthenticated {
    pub(crate) fn new(challenge: Arc<Challenge>, dialect: Dialect) -> Self {
        Self { challenge, dialect }
    }

    /// The gate's own answer to a request without a credential: 401 and a challenge without an error code.
    pub fn refuse<B: Default>(&self) -> Response<B> {
        refusal(&self.challenge, self.dialect, &EmptyRejection, Reason::NoCredential.into())
    }

    pub(crate) fn challenge(&self) -> &Arc<Challenge> {
        &self.challenge
    }
}

impl fmt::Debug for Unauthenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unauthenticated")
    }
}
