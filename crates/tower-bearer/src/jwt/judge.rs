//! From a token to a proof, or a reason why not: a function of the token, the issuers, their keys and the time.

use super::{
    Receipt, RegisteredClaims, TokenCache, TokenKind,
    compact::{self, Compact, Scratch},
    header::Header,
    issuer::Issuer,
    issuers::{Issuers, ListId, Listed},
    json::Members,
    payload::Payload,
    seen::SeenHeaders,
    waiting::Question,
};
use crate::{
    AuthError, Reason, Verified,
    claims_set::ClaimsSet,
    keys::{Key, KeyState, Meant, MissKind},
};
use std::{sync::Arc, time::SystemTime};

/// What a good token of its kind becomes, and the rules that make it one.
pub(super) trait Proof: Sized {
    const KIND: TokenKind;

    /// Everything that can be said about a token without its signature. Refusing early is safe; a pass means
    /// nothing yet.
    fn check(issuer: &Issuer, token: &Signed<'_>, now: SystemTime) -> Result<(), Reason>;

    /// The same as an earlier time.
    fn recall(_: &TokenCache, _: &[u8], _: ListId, _: SystemTime) -> Option<Self> {
        None
    }

    fn remember(_: &TokenCache, _: &str, _: &Self) {}

    /// The proof. Asked for only when everything, the signature too, was found good.
    fn prove(token: &Signed<'_>, by: Maker<'_>, now: SystemTime) -> Result<Self, AuthError>;
}

pub(super) enum Outcome<P> {
    Decided(Result<P, AuthError>),
    Waiting(Question),
}

pub(super) fn decide<P: Proof>(
    issuers: &Issuers,
    headers: &SeenHeaders,
    token: &str,
    now: SystemTime,
    may_wait: bool,
) -> Result<Outcome<P>, AuthError> {
    let compact = Compact::split(token)?;
    // Other kinds of tokens have other rules for their headers.
    let headers = (P::KIND == TokenKind::Access).then_some(headers);
    let place = headers.map(|headers| headers.look_up(compact.header));
    let seen = place.as_ref().and_then(|place| place.as_ref()?.header(compact.header));
    let is_new = seen.is_none();

    let mut scratch = Scratch::new();
    let rest = scratch.for_token(token.len());
    let (header, rest) = if is_new { compact::decode(compact.header, rest)? } else { (&[][..], rest) };
    let (json, rest) = compact::decode(compact.payload, rest)?;
    let (signature, _) = compact::decode(compact.signature, rest)?;

    let header = seen.map_or_else(|| Header::parse(header, P::KIND), Ok)?;
    let json = std::str::from_utf8(json).map_err(|_| Reason::MalformedClaims("not UTF-8"))?;
    let (mut payload, mut names) = (Payload::default(), Members::default());
    payload.read(json, &mut names)?;

    let listed = issuers.find(payload.iss.as_deref()).ok_or(Reason::UnknownIssuer)?;
    let by = Maker { listed, key: None };
    let message = compact.signing_input.as_bytes();
    let signed = Signed { header, payload: &payload, json, names: &names, message, signature };
    let outcome = judge(by, &signed, now, may_wait).map_err(|error| error.of_issuer(&listed.issuer.iss))?;
    if let (true, Some(headers), Outcome::Decided(Ok(_))) = (is_new, headers, &outcome) {
        headers.remember(compact.header, &signed.header);
    }
    Ok(outcome)
}

/// A token taken apart, and nothing of it believed.
pub(super) struct Signed<'a> {
    pub(super) header: Header<'a>,
    pub(super) payload: &'a Payload<'a>,
    pub(super) json: &'a str,
    names: &'a Members<'a>,
    message: &'a [u8],
    signature: &'a [u8],
}

/// Who made a token.
pub(super) struct Maker<'a> {
    pub(super) listed: &'a Listed,
    /// `None` for a shared secret.
    key: Option<Arc<Key>>,
}

/// By the rules and keys of the issuer that it names.
fn judge<P: Proof>(
    mut by: Maker<'_>,
    token: &Signed<'_>,
    now: SystemTime,
    may_wait: bool,
) -> Result<Outcome<P>, AuthError> {
    let issuer = &by.listed.issuer;
    P::check(issuer, token, now)?;
    let Signed { header, message, signature, .. } = token;
    if header.algorithm.is_symmetric() {
        if !issuer.secrets_for(header.algorithm).any(|secret| secret.verify(message, signature)) {
            return Err(Reason::Signature.into());
        }
    } else {
        match ask_keys(by.listed, header, message, signature, may_wait)? {
            Ok(key) => by.key = Some(key),
            Err(question) => return Ok(Outcome::Waiting(question)),
        }
    }
    P::prove(token, by, now).map(|proof| Outcome::Decided(Ok(proof)))
}

impl Proof for Verified {
    const KIND: TokenKind = TokenKind::Access;

    fn check(issuer: &Issuer, token: &Signed<'_>, now: SystemTime) -> Result<(), Reason> {
        issuer.check(&token.header, token.payload, now)
    }

    fn prove(
        Signed { payload, json, names, .. }: &Signed<'_>,
        by: Maker<'_>,
        now: SystemTime,
    ) -> Result<Self, AuthError> {
        let Maker { listed: Listed { issuer, standing }, key } = by;
        let receipt = Receipt::new(Arc::clone(standing), key, issuer.times.validity(payload.times()));
        let received = ClaimsSet::of_parsed(json, names);
        let claims = issuer
            .decode(json)
            .map_err(|mismatch| AuthError::new(Reason::ClaimsType).with_source(mismatch))?;
        Ok(Self::assertion_of_jwt(RegisteredClaims::of(payload, issuer), claims, received, receipt, now))
    }

    fn recall(cache: &TokenCache, token: &[u8], list: ListId, now: SystemTime) -> Option<Self> {
        cache.recall(token, list, now)
    }

    fn remember(cache: &TokenCache, token: &str, proof: &Self) {
        cache.remember(token, proof);
    }
}

/// The key that made the signature, under one snapshot of the issuer's keys; or, where these keys cannot
/// tell, the question to the refresher whether there are others.
fn ask_keys(
    Listed { issuer, standing }: &Listed,
    header: &Header<'_>,
    message: &[u8],
    signature: &[u8],
    may_wait: bool,
) -> Result<Result<Arc<Key>, Question>, Reason> {
    let keys = issuer.keys.as_ref().ok_or(Reason::UnknownKey)?;
    let kid = header.kid.as_deref();
    let (result, generation, state) = keys.with(|now| {
        let meant = Meant { iss: &issuer.iss, kid, algorithm: header.algorithm };
        let key = now.signer(meant, message, signature).cloned();
        (key, now.generation(), now.state())
    });
    let otherwise = match result {
        Ok(key) => {
            if state == KeyState::Lagging {
                standing.count_lagging_accept();
            }
            return Ok(Ok(key));
        }
        Err(otherwise) => otherwise,
    };
    let kind = match otherwise {
        Reason::UnknownKey | Reason::NoKeys => MissKind::UnknownKey,
        Reason::Signature if kid.is_some() => MissKind::BadSignature,
        // Stale keys are the refresher's business already; for the rest other keys would not help.
        _ => return Err(otherwise),
    };
    if !may_wait {
        return Err(otherwise);
    }
    let answer = keys.miss(kind, kid, generation).ok_or(otherwise)?;
    Ok(Err(Question { iss: Arc::clone(&issuer.iss), keys: keys.clone(), generation, otherwise, answer }))
}
