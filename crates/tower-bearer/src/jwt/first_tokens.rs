//! Word to whoever runs the service that no token fits: most often its set-up and its issuer say different things.

use crate::error::{AuthError, Reason};
use std::{
    error::Error,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

/// So many tokens are refused, and none accepted, before that is worth a warning.
const MANY: u32 = 10;

/// What became of the first tokens of a verifier.
#[derive(Default)]
pub(super) struct FirstTokens {
    was_one_accepted: AtomicBool,
    refused: AtomicU32,
}

impl FirstTokens {
    pub(super) fn accepted(&self) {
        // Written once: after that, all threads only read it.
        if !self.was_one_accepted.load(Ordering::Relaxed) {
            self.was_one_accepted.store(true, Ordering::Relaxed);
        }
    }

    /// Warns once, by what nobody can choose: the names are those of the set-up, and of the token there is nothing.
    pub(super) fn refused(&self, error: &AuthError, realm: &str) {
        if !can_be_a_mistake(error.reason()) || self.was_one_accepted.load(Ordering::Relaxed) {
            return;
        }
        if self.refused.fetch_add(1, Ordering::Relaxed) == MANY - 1 {
            let source = error.source().map(tracing::field::display);
            tracing::warn!(
                reason = error.reason().name(),
                issuer = error.issuer(),
                realm,
                source,
                "{MANY} tokens were refused and none accepted yet; this is why the last one was. \
                Do the issuer and the audience of the set-up match those of its tokens?"
            );
        }
    }
}

/// Whether tokens of the right issuer are refused for this if the set-up is wrong. They expire in any case.
fn can_be_a_mistake(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::UnknownIssuer
            | Reason::Audience
            | Reason::Client
            | Reason::Algorithm
            | Reason::TokenType
            | Reason::ClaimsType
            | Reason::UnknownKey
            | Reason::Signature
            | Reason::NotAnAccessToken
            | Reason::NotAUser
    )
}

/// A name that is almost one of the list. Names are compared exactly all the same (RFC 8725 §3.8).
#[derive(Debug)]
pub(super) struct AlmostKnown(pub(super) Arc<str>);

impl fmt::Display for AlmostKnown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its iss and the issuer {} differ in nothing but a slash at the end", self.0)
    }
}

impl Error for AlmostKnown {}
