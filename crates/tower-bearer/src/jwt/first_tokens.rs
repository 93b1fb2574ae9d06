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
    misfits: AtomicU32,
    /// Counted by themselves: what scanners send must not use up the word about the others.
    no_jwts: AtomicU32,
}

impl FirstTokens {
    pub(super) fn accepted(&self) {
        // Written once: after that, all threads only read it.
        if !self.was_one_accepted.load(Ordering::Relaxed) {
            self.was_one_accepted.store(true, Ordering::Relaxed);
        }
    }

    /// Whether this is the refusal to warn at: once in the life of a verifier for tokens that do not fit, and
    /// once for what is no JWT that it could read.
    pub(super) fn is_time_to_warn(&self, error: &AuthError) -> bool {
        let refused = match error.reason() {
            Reason::NotAJwt | Reason::Encrypted => &self.no_jwts,
            reason if can_be_a_mistake(reason) => &self.misfits,
            _ => return false,
        };
        !self.was_one_accepted.load(Ordering::Relaxed) && refused.fetch_add(1, Ordering::Relaxed) == MANY - 1
    }
}

/// Names are those of the set-up; of the token there is nothing. `almost` is an issuer of the set-up whose
/// name the token's `iss` would be, but for its letter case or a slash at the end: names are compared exactly
/// all the same (RFC 8725 §3.8).
pub(super) fn warn(error: &AuthError, realm: &str, almost: Option<&str>) {
    let source = error.source().map(tracing::field::display);
    let hint = hint(error.reason(), almost.is_some());
    tracing::warn!(
        reason = error.reason().name(),
        issuer = almost.or(error.issuer()),
        realm,
        source,
        hint,
        "{MANY} tokens were refused and none accepted yet; this is why the last one was"
    );
}

/// What to look at.
fn hint(reason: Reason, is_almost: bool) -> &'static str {
    match reason {
        Reason::UnknownIssuer if is_almost => {
            "the iss of the token differs from this issuer in nothing but letter case or a slash at the end"
        }
        Reason::UnknownIssuer => {
            "no issuer of the set-up has the iss of the token; an API key of Supabase is no user's token"
        }
        Reason::Audience | Reason::Client => {
            "the issuer makes its tokens out to another audience or client than that of the set-up"
        }
        Reason::Algorithm => {
            "the issuer signs by an algorithm that `algorithms` leaves out, or with a shared secret \
            (`hmac_secret`, `legacy_jwt_secret`)"
        }
        Reason::ClaimsType => "the type of `claims` asks for something that the tokens do not have",
        Reason::UnknownKey | Reason::Signature => {
            "the keys are not those of this issuer, or it has not published the one that signs"
        }
        Reason::NotYetValid | Reason::IssuedInTheFuture => "the clock of this machine may be behind",
        Reason::NotAJwt | Reason::Encrypted => {
            "if no strangers sent them, the issuer hands out opaque or encrypted tokens: ask it for a JWT, which \
            with some takes an `audience` or `resource` in the authorization request"
        }
        Reason::TokenType | Reason::NotAnAccessToken => "clients may be sending ID tokens",
        _ => "clients may be sending something else than a user's access token",
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
            | Reason::NotYetValid
            | Reason::IssuedInTheFuture
    )
}
