//! From a token to a proof, or a reason why not.

use super::{
    RegisteredClaims,
    compact::{self, Compact},
    header::Header,
    issuer::{ConfigError, Issuer},
    payload::Payload,
};
use crate::{
    AuthError, Presented, Reason, Verification, Verified, Verify,
    keys::{Answer, KeySource, MissKind, Snapshot},
};
use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Instant, SystemTime},
};

/// Verifies access tokens that are JWTs, of one or several [`Issuer`]s. Cheap to clone.
///
/// The issuer is chosen by the token's `iss` from this list before anything else, and only its own keys and rules
/// are used. Whatever can be refused without the signature is refused before it.
#[derive(Clone)]
pub struct JwtVerifier(Arc<Issuers>);

struct Issuers {
    by_name: HashMap<Box<str>, Issuer>,
    /// The one that allows tokens without `iss`.
    nameless: Option<Box<str>>,
    realm: Box<str>,
}

/// The future of a [`JwtVerifier`] for a token whose key is not known yet: the refresher is asked once, and
/// answers within its own bounds.
pub struct WaitForKeys {
    question: Question,
    verifier: JwtVerifier,
    token: Box<str>,
    now: SystemTime,
    since: Instant,
}

enum Outcome {
    Decided(Result<Verified, AuthError>),
    Waiting(Question),
}

/// What the publisher of an issuer's keys was asked, and what the answer is if it brings nothing new.
struct Question {
    keys: KeySource,
    generation: u64,
    otherwise: Reason,
    answer: Answer,
}

impl JwtVerifier {
    /// Trusts these issuers, and nobody else.
    ///
    /// # Errors
    /// When the set-up of one of them is wrong, one has neither keys nor a secret, or two cannot be told apart.
    pub fn new(issuers: impl IntoIterator<Item = Issuer>) -> Result<Self, ConfigError> {
        let mut by_name = HashMap::new();
        let mut nameless = None;
        let mut realm = None;
        for issuer in issuers {
            issuer.validate()?;
            let empty = issuer
                .keys
                .as_ref()
                .is_none_or(|keys| keys.is_fixed() && keys.with(|now| now.keys().is_empty()));
            if empty && issuer.secret.is_none() {
                return Err(ConfigError::NoKeys(issuer.iss.into()));
            }
            if issuer.missing_iss_allowed && nameless.replace(issuer.iss.clone()).is_some() {
                return Err(ConfigError::SeveralWithoutIss);
            }
            realm.get_or_insert_with(|| issuer.realm().into());
            match by_name.entry(issuer.iss.clone()) {
                Entry::Vacant(place) => place.insert(issuer),
                Entry::Occupied(_) => return Err(ConfigError::DuplicateIssuer(issuer.iss.into())),
            };
        }
        let realm = realm.ok_or(ConfigError::NoIssuer)?;
        Ok(Self(Arc::new(Issuers { by_name, nameless, realm })))
    }

    fn decide(&self, token: &str, now: SystemTime, may_wait: bool) -> Outcome {
        self.0.decide(token, now, may_wait).unwrap_or_else(|error| Outcome::Decided(Err(error)))
    }
}

impl Issuers {
    fn decide(&self, token: &str, now: SystemTime, may_wait: bool) -> Result<Outcome, AuthError> {
        let compact = Compact::split(token)?;
        // The three segments decoded, in one allocation: decoding makes them shorter.
        let mut buffer = Vec::with_capacity(token.len());
        let header_len = compact::decode(compact.header, &mut buffer)?.len();
        let json_len = compact::decode(compact.payload, &mut buffer)?.len();
        compact::decode(compact.signature, &mut buffer)?;
        let (header, rest) = buffer.split_at(header_len);
        let (json, signature) = rest.split_at(json_len);

        let header = Header::parse(header)?;
        let json = std::str::from_utf8(json).map_err(|_| Reason::MalformedClaims("not UTF-8"))?;
        let payload = Payload::parse(json)?;

        let issuer = self.issuer(payload.iss.as_deref()).ok_or(Reason::UnknownIssuer)?;
        issuer.check(header.algorithm, &payload, now)?;

        let message = compact.signing_input.as_bytes();
        if header.algorithm.is_symmetric() {
            let secret = issuer.secret.as_ref().ok_or(Reason::Algorithm)?;
            if !secret.verify(message, signature) {
                return Err(Reason::Signature.into());
            }
        } else if let Some(question) = Self::ask_keys(issuer, &header, message, signature, may_wait)? {
            return Ok(Outcome::Waiting(question));
        }

        let registered = Arc::new(RegisteredClaims::from(payload));
        let (claims, name) = issuer
            .decode(json, &registered)
            .map_err(|mismatch| AuthError::new(Reason::ClaimsType).with_source(mismatch))?;
        Ok(Outcome::Decided(Ok(Verified::assertion_of(registered, claims, name))))
    }

    /// The issuer that may have made a token of this `iss`: an exact name of the list.
    fn issuer(&self, iss: Option<&str>) -> Option<&Issuer> {
        let name = iss.or(self.nameless.as_deref())?;
        self.by_name.get(name)
    }

    /// Verifies under one snapshot of the issuer's keys. `Some` means that these keys cannot tell, and that the
    /// refresher was asked whether there are others.
    fn ask_keys(
        issuer: &Issuer,
        header: &Header<'_>,
        message: &[u8],
        signature: &[u8],
        may_wait: bool,
    ) -> Result<Option<Question>, Reason> {
        let keys = issuer.keys.as_ref().ok_or(Reason::UnknownKey)?;
        let kid = header.kid.as_deref();
        let (result, generation) =
            keys.with(|now| (now.verify(kid, header.algorithm, message, signature), now.generation()));
        let Err(otherwise) = result else { return Ok(None) };
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
        Ok(Some(Question { keys: keys.clone(), generation, otherwise, answer }))
    }
}

impl Verify for JwtVerifier {
    type Future = WaitForKeys;

    fn verify(&self, presented: &Presented<'_>) -> Verification<WaitForKeys> {
        let (token, now) = (presented.credential.token(), presented.now);
        match self.decide(token, now, true) {
            Outcome::Decided(result) => Verification::Done(result),
            Outcome::Waiting(question) => Verification::Pending(WaitForKeys {
                question,
                verifier: self.clone(),
                token: token.into(),
                now,
                since: Instant::now(),
            }),
        }
    }

    fn realm(&self) -> Option<&str> {
        Some(&self.0.realm)
    }
}

impl Future for WaitForKeys {
    type Output = Result<Verified, AuthError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(Pin::new(&mut self.question.answer).poll(cx));
        let Question { keys, generation, otherwise, .. } = &self.question;
        if keys.with(Snapshot::generation) == *generation {
            // The same keys would say the same, at the cost of another signature.
            return Poll::Ready(Err((*otherwise).into()));
        }
        let now = self.now + self.since.elapsed();
        Poll::Ready(match self.verifier.decide(&self.token, now, false) {
            Outcome::Decided(result) => result,
            // It was not asked to wait again; if it ever did, the key is still unknown.
            Outcome::Waiting(_) => Err(Reason::UnknownKey.into()),
        })
    }
}

impl fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtVerifier").field("issuers", &self.0.by_name).finish_non_exhaustive()
    }
}

impl fmt::Debug for WaitForKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitForKeys(..)")
    }
}
