//! From a token to a proof, or a reason why not.

use super::{
    Receipt, RegisteredClaims, TokenCache, TokenKind,
    compact::{self, Compact, Scratch},
    config::ConfigError,
    first_tokens::{self, FirstTokens},
    header::Header,
    issuer::Issuer,
    issuers::{Issuers, ListId, Listed, Trusted},
    json::Members,
    payload::Payload,
    seen::SeenHeaders,
};
use crate::{
    AuthError, Presented, Reason, Verification, Verified, Verify,
    claims_set::ClaimsSet,
    keys::{Answer, Key, KeySource, KeyState, Meant, MissKind},
};
use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Instant, SystemTime},
};

/// Verifies access tokens that are JWTs, of one or several [`Issuer`]s. Cheap to clone.
///
/// The issuer is chosen by the token's `iss` from this list before anything else, and only its own keys and
/// rules are used. Whatever can be refused without the signature is refused before it.
#[derive(Clone)]
pub struct JwtVerifier(Arc<Shared>);

struct Shared {
    issuers: Arc<Trusted>,
    realm: Arc<str>,
    cache: TokenCache,
    headers: SeenHeaders,
    first_tokens: Arc<FirstTokens>,
}

/// The future of a [`JwtVerifier`] for a token whose key is not known yet: the refresher is asked once, and
/// answers within its own bounds.
#[must_use = "futures do nothing unless polled"]
pub struct WaitForKeys(Box<Waiting<Verified>>);

/// A token of either kind whose key is not known yet.
pub(super) struct Waiting<P> {
    question: Question,
    verifier: JwtVerifier,
    token: Box<str>,
    now: SystemTime,
    since: Instant,
    proof: PhantomData<fn() -> P>,
}

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

/// What the publisher of an issuer's keys was asked, and what the answer is if it brings nothing new.
pub(super) struct Question {
    iss: Arc<str>,
    keys: KeySource,
    generation: u64,
    otherwise: Reason,
    answer: Answer,
}

impl JwtVerifier {
    /// Trusts these issuers, and nobody else. The realm of the challenges is the audience of the first.
    ///
    /// # Errors
    /// When the set-up of one of them is wrong, one has neither keys nor a secret, or two cannot be told
    /// apart.
    pub fn new(issuers: impl IntoIterator<Item = Issuer>) -> Result<Self, ConfigError> {
        let mut issuers = issuers.into_iter().peekable();
        let realm = issuers.peek().ok_or(ConfigError::NoIssuer)?.realm().into();
        let (issuers, cache) = (Arc::new(Trusted::new(issuers)?), TokenCache::default());
        let (headers, first_tokens) = (SeenHeaders::default(), Arc::default());
        Ok(Self(Arc::new(Shared { issuers, realm, cache, headers, first_tokens })))
    }

    /// Remembers accepted tokens there, instead of in a cache of 8 MiB of its own. Clones that were made
    /// before keep theirs. `TokenCache::new(0)` verifies every token anew.
    #[must_use]
    pub fn cache(self, cache: &TokenCache) -> Self {
        let Shared { issuers, realm, first_tokens, .. } = &*self.0;
        Self(Arc::new(Shared {
            issuers: Arc::clone(issuers),
            realm: Arc::clone(realm),
            cache: cache.clone(),
            headers: SeenHeaders::default(),
            first_tokens: Arc::clone(first_tokens),
        }))
    }

    /// Trusts one more issuer, from the next request on, in all clones.
    ///
    /// Makes a new list; to start with many, give them to [`new`](Self::new) together.
    ///
    /// # Errors
    /// As for [`new`](Self::new). The list is unchanged then.
    pub fn insert(&self, issuer: Issuer) -> Result<(), ConfigError> {
        self.0.issuers.insert(issuer)
    }

    /// Trusts this issuer no more, from the next request on, in all clones. Says whether it was trusted.
    pub fn remove(&self, iss: &str) -> bool {
        self.0.issuers.remove(iss)
    }

    /// Whether the tokens of all issuers can be verified now: a readiness check.
    ///
    /// ```
    /// # use tower_bearer::{Issuer, JwtVerifier, keys};
    /// let (mut sink, source) = keys::channel();
    /// let verifier = JwtVerifier::new([Issuer::new("https://issuer.example", "api").keys(source)])?;
    /// assert!(!verifier.is_ready(), "no keys have come yet");
    ///
    /// sink.publish(keys::KeySet::from_jwks(r#"{"keys":[
    ///     {"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    /// ]}"#)?);
    /// assert!(verifier.is_ready());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_ready(&self) -> bool {
        self.0.issuers.load().iter().all(Issuer::is_ready)
    }

    /// The issuers whose tokens cannot be verified now, by their `iss`. With many issuers one that is down
    /// should not take the service from the users of all others, in all its instances at once: such a check
    /// asks for one's own few.
    ///
    /// ```
    /// # use tower_bearer::{Algorithm, Issuer, JwtVerifier, keys};
    /// let (_sink, source) = keys::channel();
    /// let verifier = JwtVerifier::new([
    ///     Issuer::new("https://up.example", "api").hmac_secret(Algorithm::HS256, [7; 32]),
    ///     Issuer::new("https://down.example", "api").keys(source),
    /// ])?;
    /// assert!(!verifier.is_ready());
    /// assert_eq!(verifier.unready(), ["https://down.example"]);
    /// # Ok::<(), tower_bearer::ConfigError>(())
    /// ```
    pub fn unready(&self) -> Vec<String> {
        let issuers = self.0.issuers.load();
        issuers.iter().filter(|issuer| !issuer.is_ready()).map(|issuer| issuer.iss().to_owned()).collect()
    }

    /// The `iss` that a token claims, **unverified**: for choosing who is to verify it, and nothing else.
    /// `None` for what is no JWT, or claims no issuer.
    pub fn claimed_issuer(token: &str) -> Option<String> {
        let compact = Compact::split(token).ok()?;
        let mut scratch = Scratch::new();
        let (json, _) = compact::decode(compact.payload, scratch.for_token(token.len())).ok()?;
        let json = std::str::from_utf8(json).ok()?;
        Payload::parse(json).ok()?.iss.map(Into::into)
    }

    /// Verifies a token that came by another way than a request, such as the first message of a WebSocket.
    /// The caller bounds its length.
    pub fn verify_token(&self, token: &str, now: SystemTime) -> Verification<WaitForKeys> {
        match self.decide(token, now, true) {
            Outcome::Decided(result) => Verification::Done(result),
            Outcome::Waiting(question) => {
                Verification::Pending(WaitForKeys(Box::new(self.wait(question, token, now))))
            }
        }
    }

    pub(super) fn wait<P: Proof>(&self, question: Question, token: &str, now: SystemTime) -> Waiting<P> {
        let (verifier, token, since) = (self.clone(), token.into(), Instant::now());
        Waiting { question, verifier, token, now, since, proof: PhantomData }
    }

    pub(super) fn decide<P: Proof>(&self, token: &str, now: SystemTime, may_wait: bool) -> Outcome<P> {
        if let Some(proof) = P::recall(&self.0.cache, token.as_bytes(), self.0.issuers.id(), now) {
            return Outcome::Decided(Ok(proof));
        }
        let outcome = decide(&self.0.issuers.load(), &self.0.headers, token, now, may_wait);
        match &outcome {
            Ok(Outcome::Decided(Ok(proof))) => {
                P::remember(&self.0.cache, token, proof);
                self.0.first_tokens.accepted();
            }
            Ok(Outcome::Waiting(_)) => {}
            Ok(Outcome::Decided(Err(error))) | Err(error) => {
                if self.0.first_tokens.is_time_to_warn(error) {
                    let (iss, issuers) = (Self::claimed_issuer(token), self.0.issuers.load());
                    let almost = iss.as_deref().and_then(|iss| issuers.almost(iss));
                    first_tokens::warn(error, &self.0.realm, almost);
                }
            }
        }
        outcome.unwrap_or_else(|error| Outcome::Decided(Err(error)))
    }
}

fn decide<P: Proof>(
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
    let mut names = Members::default();
    let payload = Payload::parse_noting(json, &mut names)?;

    let listed = issuers.find(payload.iss.as_deref()).ok_or(Reason::UnknownIssuer)?;
    let by = Maker { listed, key: None };
    let signed =
        Signed { header, payload, json, names: &names, message: compact.signing_input.as_bytes(), signature };
    let outcome = judge(by, &signed, now, may_wait).map_err(|error| error.of_issuer(&listed.issuer.iss))?;
    if let (true, Some(headers), Outcome::Decided(Ok(_))) = (is_new, headers, &outcome) {
        headers.remember(compact.header, &signed.header);
    }
    Ok(outcome)
}

/// A token taken apart, and nothing of it believed.
pub(super) struct Signed<'a> {
    pub(super) header: Header<'a>,
    pub(super) payload: Payload<'a>,
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
        let secret = issuer.secret.as_ref().ok_or(Reason::Algorithm)?;
        if !secret.verify(message, signature) {
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
        issuer.check(&token.header, &token.payload, now)
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

impl Verify for JwtVerifier {
    type Future = WaitForKeys;

    fn verify(&self, presented: &Presented<'_>) -> Verification<WaitForKeys> {
        self.verify_token(presented.credential.token(), presented.now)
    }

    fn recall(&self, token: &[u8], now: SystemTime) -> Option<Verified> {
        self.0.cache.recall(token, self.0.issuers.id(), now)
    }

    fn realm(&self) -> Option<&str> {
        Some(&self.0.realm)
    }
}

impl Future for WaitForKeys {
    type Output = Result<Verified, AuthError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<P: Proof> Future for Waiting<P> {
    type Output = Result<P, AuthError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(Pin::new(&mut self.question.answer).poll(cx));
        let Question { iss, keys, generation, otherwise, .. } = &self.question;
        let (now, state) = keys.with(|now| (now.generation(), now.state()));
        if now == *generation {
            // The same keys would say the same, at the cost of another signature, unless they are too old by
            // now.
            let reason = if state == KeyState::Stale { Reason::StaleKeys } else { *otherwise };
            return Poll::Ready(Err(AuthError::new(reason).of_issuer(iss)));
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
        f.debug_struct("JwtVerifier").field("issuers", &self.0.issuers.load()).finish_non_exhaustive()
    }
}

impl fmt::Debug for WaitForKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitForKeys(..)")
    }
}
