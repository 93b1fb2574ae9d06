//! [`JwtVerifier`]: the issuers that are trusted, and what is remembered of their tokens.

use super::{
    TokenCache,
    compact::{self, Compact, Scratch},
    first_tokens::{self, FirstTokens},
    issuer::Issuer,
    issuers::Trusted,
    judge::{Outcome, Proof, decide},
    payload::Payload,
    seen::SeenHeaders,
    waiting::{Question, WaitForKeys, Waiting},
};
use crate::{Presented, Verification, Verified, Verify, config::ConfigError};
use std::{
    fmt,
    marker::PhantomData,
    sync::Arc,
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

impl JwtVerifier {
    /// Trusts these issuers, and nobody else. The realm of the challenges is the audience of the first.
    ///
    /// With several, a `sub`, a client id, a role or a scope is each issuer's own: it means nothing without
    /// the `iss`. Handlers look users up by both, and what only one issuer may grant asks for
    /// [`policy::issuer`](crate::policy::issuer).
    ///
    /// # Errors
    /// When there is none, the set-up of one of them is wrong, one has neither keys nor a secret, or two cannot
    /// be told apart.
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

    /// Trusts one more issuer, from the next request on, in all clones. Its subjects, roles and scopes are its
    /// own, and pass every policy that does not ask for an [`issuer`](crate::policy::issuer).
    ///
    /// Makes a new list; to start with many, give them to [`new`](Self::new) together.
    ///
    /// # Errors
    /// As for [`new`](Self::new). The list is unchanged then.
    pub fn insert(&self, issuer: Issuer) -> Result<(), ConfigError> {
        self.0.issuers.insert(issuer)
    }

    /// Trusts this issuer in place of the one of its name, from the next request on, in all clones: with other
    /// keys, audiences or rules. Says whether there was one; if not, it is [inserted](Self::insert).
    ///
    /// At no moment is the issuer unknown, as it would be between [`remove`](Self::remove) and `insert`. When
    /// this returns, the old rules let no token through, remembered ones included.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tower_bearer::{Algorithm, Issuer, JwtVerifier};
    /// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
    ///
    /// # tokio_test::block_on(async {
    /// # let key = SigningKey::hmac(Alg::HS256, &[7; 32]);
    /// # let token = |aud: &str| TokenBuilder::new(&key, "https://issuer.example", aud).sign();
    /// # let (for_api, for_admin) = (token("api"), token("admin"));
    /// let issuer = |audience: &str| {
    ///     Issuer::new("https://issuer.example", audience).hmac_secret(Algorithm::HS256, [7; 32])
    /// };
    /// let verifier = JwtVerifier::new([issuer("api")])?;
    /// assert!(verifier.verify_token(&for_api, SystemTime::now()).await.is_ok());
    ///
    /// assert!(verifier.replace(issuer("admin"))?);
    /// assert!(verifier.verify_token(&for_admin, SystemTime::now()).await.is_ok());
    /// assert!(verifier.verify_token(&for_api, SystemTime::now()).await.is_err());
    /// # Ok::<(), tower_bearer::ConfigError>(())
    /// # })?;
    /// # Ok::<(), tower_bearer::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// As for [`new`](Self::new). The list is unchanged then.
    pub fn replace(&self, issuer: Issuer) -> Result<bool, ConfigError> {
        self.0.issuers.replace(issuer)
    }

    /// Trusts this issuer no more, from the next request on, in all clones. Says whether it was trusted. Once
    /// the last one is removed every token is refused, until one is [inserted](Self::insert).
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

    #[cfg(feature = "logout")]
    pub(crate) fn has_logout_client(&self) -> bool {
        self.0.issuers.load().iter().any(|issuer| !issuer.logout_clients.is_empty())
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
    /// The caller bounds its length. **No [`Revocation`](crate::revocation::Revocation) is asked**: where one
    /// is, call [`Verify::verify_token`] of the verifier around this one.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tower_bearer::{Algorithm, Issuer, JwtVerifier};
    /// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
    ///
    /// # tokio_test::block_on(async {
    /// # let key = SigningKey::hmac(Alg::HS256, &[7; 32]);
    /// # let token = |aud: &str| TokenBuilder::new(&key, "https://issuer.example", aud).subject("ada").sign();
    /// let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, [7; 32]);
    /// let verifier = JwtVerifier::new([issuer])?;
    ///
    /// let caller = verifier.verify_token(&token("api"), SystemTime::now()).await?;
    /// assert_eq!(caller.subject(), Some("ada"));
    /// assert!(verifier.verify_token(&token("other"), SystemTime::now()).await.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        Waiting { question, verifier, token, now, since, patience: None, proof: PhantomData }
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

impl fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtVerifier").field("issuers", &self.0.issuers.load()).finish_non_exhaustive()
    }
}
