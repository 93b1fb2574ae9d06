//! What an [`Issuer`] asks of a token, before its signature is looked at.

use super::{
    algorithm::Algorithm,
    header::Header,
    issuer::{Binding, Issuer, Profile},
    payload::Payload,
    signature::HmacKey,
};
use crate::error::Reason;
use std::{sync::Arc, time::SystemTime};

impl Issuer {
    /// Everything that can be said about a token without its signature. Refusing early is safe; a pass means
    /// nothing yet.
    pub(super) fn check(
        &self,
        header: &Header<'_>,
        payload: &Payload<'_>,
        now: SystemTime,
    ) -> Result<(), Reason> {
        if !self.allows(header.algorithm) {
            return Err(Reason::Algorithm);
        }
        if self.profile == Profile::Rfc9068 {
            check_rfc9068(header, payload)?;
        }
        // All its bearers would be one subject.
        if payload.sub.as_deref() == Some("") {
            return Err(Reason::MalformedClaims("sub is empty"));
        }
        if payload.key_bound {
            return Err(Reason::KeyBound);
        }
        if payload.is_other_kind(self.scope_lists) {
            return Err(Reason::NotAnAccessToken);
        }
        self.times.check(payload.times(), now)?;
        self.check_binding(payload)?;
        self.guard.map_or(Ok(()), |guard| guard(payload))
    }

    pub(super) fn allows(&self, algorithm: Algorithm) -> bool {
        if algorithm.is_symmetric() {
            self.secrets_for(algorithm).next().is_some()
        } else {
            self.algorithms.contains(algorithm)
        }
    }

    /// The secrets that tokens of this algorithm may be made with.
    pub(super) fn secrets_for(&self, algorithm: Algorithm) -> impl Iterator<Item = &HmacKey> {
        self.secrets.iter().map(Arc::as_ref).filter(move |secret| secret.algorithm() == algorithm)
    }

    fn check_binding(&self, payload: &Payload<'_>) -> Result<(), Reason> {
        let is_for = |names: &[_]| payload.aud.iter().any(|aud| contains(names, aud));
        let is_ours = match &self.binding {
            Binding::Audience(names) => is_for(names),
            Binding::Client { names, whatever_audience } => {
                match payload.client_id.as_ref().or(payload.azp.as_ref()) {
                    Some(client) if contains(names, client) => {}
                    _ => return Err(Reason::Client),
                }
                *whatever_audience || payload.aud.is_empty() || is_for(names)
            }
            Binding::Keys(names) => payload.aud.is_empty() || is_for(names),
        };
        if is_ours { Ok(()) } else { Err(Reason::Audience) }
    }
}

/// RFC 9068 §2.2 and §4, as far as it goes beyond what is asked of every token.
fn check_rfc9068(header: &Header<'_>, payload: &Payload<'_>) -> Result<(), Reason> {
    if !header.is_at_jwt {
        return Err(Reason::TokenType);
    }
    let required = [
        (names_something(payload.sub.as_deref()), "sub is missing"),
        (names_something(payload.client_id.as_deref()), "client_id is missing"),
        (payload.iat.is_some(), "iat is missing"),
        (names_something(payload.jti.as_deref()), "jti is missing"),
    ];
    required
        .iter()
        .find(|(is_there, _)| !is_there)
        .map_or(Ok(()), |(_, what)| Err(Reason::MalformedClaims(what)))
}

fn names_something(claim: Option<&str>) -> bool {
    claim.is_some_and(|text| !text.is_empty())
}

pub(super) fn contains(names: &[Arc<str>], name: &str) -> bool {
    names.iter().any(|known| **known == *name)
}
