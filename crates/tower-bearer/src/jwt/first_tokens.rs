//! Word to whoever runs the service that no token fits: most often its set-up and its issuer say different
//! things.

use crate::error::{AuthError, Reason};
use std::{
    error::Error,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
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

    /// Whether this is the refusal to warn at: once in the life of a verifier.
    pub(super) fn is_time_to_warn(&self, error: &AuthError) -> bool {
        can_be_a_mistake(error.reason())
            && !self.was_one_accepted.load(Ordering::Relaxed)
            && self.refused.fetch_add(1, Ordering::Relaxed) == MANY - 1
    }
}

/// Names are those of the set-up; of the token there is nothing. `almost` is an issuer of the set-up whose
/// name the token's `iss` would be, but for a slash at the end: names are compared exactly all the same (RFC
/// 8725 §3.8).
pub(super) fn warn(error: &AuthError, realm: &str, almost: Option<&str>) {
    let source = error.source().map(tracing::field::display);
    let hint = almost.map(|_| "its iss differs from this issuer in nothing but a slash at the end");
    tracing::warn!(
        reason = error.reason().name(),
        issuer = almost.or(error.issuer()),
        realm,
        source,
        hint,
        "{MANY} tokens were refused and none accepted yet; this is why the last one was. \
        Do the issuer and the audience of the set-up match those of its tokens?"
    );
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
