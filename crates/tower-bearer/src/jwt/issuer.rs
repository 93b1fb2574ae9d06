//! Whom we trust, and for what: one [`Issuer`] with its rules.

use super::{
    algorithm::{Algorithm, AlgorithmSet},
    application::{ClaimsMismatch, ClaimsType, Read},
    payload::Payload,
    public_key::is_public,
    signature::{self, HmacKey, Rejected},
    times::TimeRules,
};
use crate::{
    claims::Claims,
    config::ConfigError,
    error::Reason,
    keys::{KeySource, Snapshot},
};
use serde::de::DeserializeOwned;
use std::{fmt, sync::Arc, time::Duration};

/// One trusted issuer: its name, the audience its tokens must be meant for, its keys, and the rules.
///
/// Closed by default: issuer and audience are arguments, `exp` is required, the leeway is 60 seconds, and
/// every opt-out has a name that reads as one. Mistakes are reported by
/// [`JwtVerifier::new`](crate::JwtVerifier::new).
///
/// ```
/// use tower_bearer::{Algorithm, Issuer, JwtVerifier, keys::{KeySet, KeySource}};
///
/// let keys = KeySet::from_jwks(r#"{"keys":[
///     {"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
/// ]}"#)?;
/// let issuer = Issuer::new("https://issuer.example", "https://api.example")
///     .algorithms([Algorithm::EdDSA])
///     .keys(KeySource::fixed(keys));
/// assert!(JwtVerifier::new([issuer]).is_ok());
///
/// let nameless = Issuer::new("", "https://api.example");
/// assert!(JwtVerifier::new([nameless]).is_err(), "empty never means any");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Issuer {
    pub(super) iss: Arc<str>,
    pub(super) missing_iss_allowed: bool,
    pub(super) scope_lists: bool,
    pub(super) binding: Binding,
    /// Whom its logout tokens are meant for. Empty: it sends none.
    pub(super) logout_clients: Vec<Arc<str>>,
    pub(super) algorithms: AlgorithmSet,
    pub(super) times: TimeRules,
    pub(super) profile: Profile,
    pub(super) guard: Option<Guard>,
    /// `None` for the registered claims.
    claims: Option<ClaimsType>,
    /// In the order of their being told; each verifies its own algorithm alone.
    pub(super) secrets: Vec<Arc<HmacKey>>,
    pub(super) keys: Option<KeySource>,
    jwks_uri: Option<String>,
    fault: Option<ConfigError>,
}

/// A rule of a preset that looks at more than the registered claims.
pub(crate) type Guard = fn(&Payload<'_>) -> Result<(), Reason>;

/// Clocks that differ by more need mending: to accept what expired long ago is to have no expiry (RFC 7519
/// §4.1.4).
pub(crate) const LONGEST_LEEWAY: Duration = Duration::from_secs(10 * 60);

/// One that signs, and one that did or will: each more is one more that may have got out.
const MOST_SECRETS: usize = 2;

/// Which claims a token must have beside those that every token must.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Profile {
    Any,
    /// RFC 9068 §2.2, §4.
    Rfc9068,
}

/// What ties a token to us.
#[derive(Clone, Debug)]
pub(super) enum Binding {
    Audience(Vec<Arc<str>>),
    Client {
        names: Vec<Arc<str>>,
        whatever_audience: bool,
    },
    /// The keys sign for nobody else. The names are those of tokens that have an audience all the same.
    Keys(Vec<Arc<str>>),
}

impl Binding {
    fn names(&self) -> &[Arc<str>] {
        let (Self::Audience(names) | Self::Client { names, .. } | Self::Keys(names)) = self;
        names
    }

    fn add(&mut self, name: Arc<str>) {
        let (Self::Audience(names) | Self::Client { names, .. } | Self::Keys(names)) = self;
        names.push(name);
    }
}

impl Issuer {
    /// Trusts tokens whose `iss` is exactly `iss` and whose `aud` contains `audience`, signed with any
    /// asymmetric [`Algorithm`] that fits the key.
    pub fn new(iss: impl Into<String>, audience: impl Into<String>) -> Self {
        Self::bound(iss.into(), Binding::Audience(vec![audience.into().into()]))
    }

    /// For issuers that send no `aud`: trusts tokens whose `client_id` (or, where there is none, `azp`) is
    /// exactly `client`. A token that has an `aud` all the same must name the client there (RFC 7519 §4.1.3):
    /// it is meant for another API otherwise.
    pub fn without_audience(iss: impl Into<String>, client: impl Into<String>) -> Self {
        let names = vec![client.into().into()];
        Self::bound(iss.into(), Binding::Client { names, whatever_audience: false })
    }

    /// As [`without_audience`](Self::without_audience), and the `aud` of a token is not looked at: for
    /// issuers that put there what cannot be changed, such as Keycloak's `account`. **Any other API that this
    /// client calls can then use its tokens here.** An audience of one's own is better (in Keycloak: an
    /// audience mapper).
    pub fn whatever_audience(iss: impl Into<String>, client: impl Into<String>) -> Self {
        let names = vec![client.into().into()];
        Self::bound(iss.into(), Binding::Client { names, whatever_audience: true })
    }

    /// For issuers whose tokens name neither audience nor client, and whose keys sign for one application
    /// alone: WorkOS has a JWK Set for each client. **Any token that these keys sign is taken**, so say by
    /// [`jwks_uri`](Self::jwks_uri) or [`keys`](Self::keys) which they are. A token that has an `aud` all the
    /// same is meant for another API, unless that is named by [`also_for`](Self::also_for).
    ///
    /// ```
    /// use tower_bearer::{Algorithm, Issuer, JwtVerifier};
    /// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
    /// # use std::time::SystemTime;
    /// # let token = |aud: Option<&str>| {
    /// #     let token = TokenBuilder::new(&SigningKey::hmac(Alg::HS256, &[7; 32]), "https://issuer.example", "");
    /// #     aud.map_or(token.clone().without("aud"), |aud| token.audience(aud)).sign()
    /// # };
    ///
    /// let issuer = Issuer::without_audience_or_client("https://issuer.example")
    ///     .hmac_secret(Algorithm::HS256, [7; 32]);
    /// # tokio_test::block_on(async {
    /// let verifier = JwtVerifier::new([issuer])?;
    /// let takes = async |token: &str| verifier.verify_token(token, SystemTime::now()).await.is_ok();
    /// assert!(takes(&token(None)).await);
    /// assert!(!takes(&token(Some("https://payments.example"))).await);
    /// # Ok::<(), tower_bearer::ConfigError>(())
    /// # })?;
    /// # Ok::<(), tower_bearer::ConfigError>(())
    /// ```
    pub fn without_audience_or_client(iss: impl Into<String>) -> Self {
        Self::bound(iss.into(), Binding::Keys(Vec::new()))
    }

    fn bound(iss: String, binding: Binding) -> Self {
        Self {
            iss: iss.into(),
            missing_iss_allowed: false,
            scope_lists: false,
            binding,
            logout_clients: Vec::new(),
            algorithms: Algorithm::ASYMMETRIC.iter().collect(),
            times: TimeRules { leeway: Duration::from_secs(60), max_age: None },
            profile: Profile::Any,
            guard: None,
            claims: None,
            secrets: Vec::new(),
            keys: None,
            jwks_uri: None,
            fault: None,
        }
    }

    /// Accepts one more audience, or client id for an issuer [without audience](Self::without_audience).
    /// May be said of several.
    #[must_use]
    pub fn also_for(mut self, another: impl Into<String>) -> Self {
        self.binding.add(another.into().into());
        self
    }

    /// The algorithms that this issuer signs with, instead of all asymmetric ones.
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let algorithms: Vec<_> = algorithms.into_iter().collect();
        if let Some(symmetric) = algorithms.iter().find(|algorithm| algorithm.is_symmetric()) {
            self.fault(ConfigError::SymmetricAlgorithm(*symmetric));
        }
        if let Some(unknown) = algorithms.iter().find(|algorithm| !signature::is_known(**algorithm)) {
            self.fault(ConfigError::UnsupportedByBackend(*unknown));
        }
        self.algorithms = algorithms.iter().collect();
        self
    }

    /// How far clocks may differ, for `exp`, `nbf` and `iat` alike. Default 60 seconds, at most 10 minutes; 0
    /// is allowed.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.times.leeway = leeway;
        self
    }

    /// Refuses tokens that were issued longer ago, whatever their `exp`, and those without `iat`: 401
    /// `invalid_token`, which a refreshed token cures. How long ago the user signed in, the `max_age` of OpenID
    /// Connect, is asked by [`policy::max_age`](crate::policy::max_age).
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use tower_bearer::{Algorithm, Issuer, JwtVerifier};
    /// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
    ///
    /// # tokio_test::block_on(async {
    /// # let key = SigningKey::hmac(Alg::HS256, &[7; 32]);
    /// # let token = TokenBuilder::new(&key, "https://issuer.example", "api").sign();
    /// let verifier = JwtVerifier::new([Issuer::new("https://issuer.example", "api")
    ///     .hmac_secret(Algorithm::HS256, [7; 32])
    ///     .max_token_age(Duration::from_secs(300))])?;
    /// let now = SystemTime::now();
    /// assert!(verifier.verify_token(&token, now).await.is_ok()); // it was issued this moment, for an hour
    /// assert!(verifier.verify_token(&token, now + Duration::from_secs(600)).await.is_err());
    /// # Ok::<(), tower_bearer::ConfigError>(())
    /// # })?;
    /// # Ok::<(), tower_bearer::ConfigError>(())
    /// ```
    #[must_use]
    pub fn max_token_age(mut self, age: Duration) -> Self {
        self.times.max_age = Some(age);
        self
    }

    /// Accepts only tokens that follow the JWT profile for access tokens (RFC 9068): `typ` is `at+jwt`, and
    /// `sub`, `client_id`, `iat` and `jti` are there. For issuers that follow it, since then no other kind of
    /// token can pass for an access token. It cannot be had together with the opt-outs from `iss` and `aud`.
    /// Without it, ID tokens are told by their claims; some issuers make them with hardly any, so never name
    /// the client id of a frontend as an audience: it is what its ID tokens are meant for.
    #[must_use]
    pub fn rfc9068(mut self) -> Self {
        self.profile = Profile::Rfc9068;
        self
    }

    /// Takes a `scope` that is an array of strings as it takes `scp`: for issuers that write it so, such as Spring
    /// Authorization Server and Duende `IdentityServer`. Without this such a claim grants nothing, since RFC 8693 §4.2
    /// knows a string alone.
    ///
    /// ```
    /// use tower_bearer::{Algorithm, Issuer, JwtVerifier, policy::{Policy, scope}};
    /// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
    /// # use std::time::SystemTime;
    ///
    /// # let secret = [7; 32];
    /// # let issuer = || Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, secret);
    /// # let token = TokenBuilder::new(&SigningKey::hmac(Alg::HS256, &secret), "https://issuer.example", "api")
    /// #     .claim("scope", ["orders:read", "orders:write"]).sign();
    /// # tokio_test::block_on(async {
    /// let may_read = async |issuer| {
    ///     let verifier = JwtVerifier::new([issuer]).expect("an issuer");
    ///     // "scope": ["orders:read", "orders:write"]
    ///     let verified = verifier.verify_token(&token, SystemTime::now()).await.expect("a good token");
    ///     scope("orders:read").check(&verified).is_ok()
    /// };
    /// assert!(may_read(issuer().scope_as_list()).await);
    /// assert!(!may_read(issuer()).await);
    /// # });
    /// ```
    #[must_use]
    pub fn scope_as_list(mut self) -> Self {
        self.scope_lists = true;
        self
    }

    /// Opts out of the `iss` check for tokens that have none, such as those of a self-hosted Supabase without
    /// `GOTRUE_JWT_ISSUER`. A token with another `iss` is refused all the same.
    #[must_use]
    pub fn allow_missing_iss(mut self) -> Self {
        self.missing_iss_allowed = true;
        self
    }

    /// Trusts logout tokens for this client (OpenID Connect Back-Channel Logout §2.4): their `aud` is the
    /// `client_id` that the issuer knows the application by, not the audience of its access tokens. May be
    /// said of several; without it, every logout token of this issuer is refused.
    ///
    /// See [`JwtVerifier::verify_logout_token`](crate::JwtVerifier::verify_logout_token).
    #[must_use]
    pub fn logout_client(mut self, client_id: impl Into<String>) -> Self {
        self.logout_clients.push(client_id.into().into());
        self
    }

    /// The application's claims: read with [`Verified::claims`](crate::Verified::claims), or axum-bearer's
    /// `AuthUser<C>`. A token whose claims do not fit is refused.
    ///
    /// [`RegisteredClaims`](crate::RegisteredClaims) are there with and without this. A handler that asks for
    /// the claims of any third type answers 500: issuers of one verifier that serve the same handlers have one
    /// type, an enum perhaps.
    #[must_use]
    pub fn claims<C: DeserializeOwned + Send + Sync + 'static>(mut self) -> Self {
        self.claims = Some(ClaimsType::of::<C>());
        self
    }

    /// As [`claims`](Self::claims), for claims that every token fits which the guard lets through: they are
    /// read when somebody asks for them.
    pub(crate) fn fitting_claims<C>(mut self, read: Read) -> Self {
        self.claims = Some(ClaimsType::fitting::<C>(read));
        self
    }

    /// Trusts HMAC tokens made with a shared secret, beside those of the issuer's keys. Whoever has the
    /// secret can make tokens; it must have at least as many bytes as the hash (RFC 7518 §3.2).
    ///
    /// May be said twice, so that a secret can be exchanged for another: each is for its own algorithm alone.
    /// Take the old one out when its last token is over, by
    /// [`JwtVerifier::replace`](crate::JwtVerifier::replace) or at the next start.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tower_bearer::{Algorithm, ConfigError, Issuer, JwtVerifier};
    /// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
    ///
    /// # tokio_test::block_on(async {
    /// # let by = |secret: [u8; 32]| {
    /// #     TokenBuilder::new(&SigningKey::hmac(Alg::HS256, &secret), "https://issuer.example", "api").sign()
    /// # };
    /// let (new, old) = ([8; 32], [7; 32]);
    /// let issuer = Issuer::new("https://issuer.example", "api")
    ///     .hmac_secret(Algorithm::HS256, new)
    ///     .hmac_secret(Algorithm::HS256, old);
    /// let verifier = JwtVerifier::new([issuer.clone()])?;
    /// assert!(verifier.verify_token(&by(new), SystemTime::now()).await.is_ok());
    /// assert!(verifier.verify_token(&by(old), SystemTime::now()).await.is_ok());
    /// assert!(verifier.verify_token(&by([9; 32]), SystemTime::now()).await.is_err());
    ///
    /// let third = issuer.hmac_secret(Algorithm::HS256, [9; 32]);
    /// let refused = third.validate().unwrap_err();
    /// assert_eq!(refused.fault(), &ConfigError::TooManySecrets);
    /// assert_eq!(refused.to_string(), "the issuer https://issuer.example: it has more than two shared secrets");
    /// # Ok::<(), ConfigError>(())
    /// # })?;
    /// # Ok::<(), ConfigError>(())
    /// ```
    #[must_use]
    pub fn hmac_secret(mut self, algorithm: Algorithm, secret: impl AsRef<[u8]>) -> Self {
        if is_public(secret.as_ref()) {
            self.fault(ConfigError::KeyAsSecret);
            return self;
        }
        match (HmacKey::least_len(algorithm), HmacKey::new(algorithm, secret.as_ref())) {
            (None, _) => self.fault(ConfigError::AsymmetricSecret(algorithm)),
            (_, Ok(_)) if self.secrets.len() == MOST_SECRETS => self.fault(ConfigError::TooManySecrets),
            (_, Ok(key)) => self.secrets.push(Arc::new(key)),
            (Some(least), Err(Rejected::Invalid)) => {
                self.fault(ConfigError::ShortSecret { algorithm, least });
            }
            (_, Err(Rejected::Unsupported)) => self.fault(ConfigError::UnsupportedByBackend(algorithm)),
        }
        self
    }

    /// Where the keys come from. Never shared between issuers.
    #[must_use]
    pub fn keys(mut self, keys: KeySource) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Where the issuer publishes its JWK Set, for a refresher such as `bearer-jwks`. The verifier never
    /// looks at it.
    #[must_use]
    pub fn jwks_uri(mut self, uri: impl Into<String>) -> Self {
        self.jwks_uri = Some(uri.into());
        self
    }

    pub(crate) fn guard(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// The name of the issuer, as in `iss`.
    pub fn iss(&self) -> &str {
        &self.iss
    }

    /// Where the issuer publishes its JWK Set, if that was said.
    pub fn key_location(&self) -> Option<&str> {
        self.jwks_uri.as_deref()
    }

    /// Whether [`keys`](Self::keys) were given.
    pub fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Whether a shared secret was given.
    pub fn has_secret(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// Whether a token could ever be verified: there is a secret, or a source of keys that is not empty for
    /// good.
    pub(super) fn can_verify(&self) -> bool {
        let has_source = |keys: &KeySource| !keys.is_fixed() || keys.with(|now| !now.keys().is_empty());
        self.has_secret() || self.keys.as_ref().is_some_and(has_source)
    }

    /// Whether tokens can be verified now.
    pub(super) fn is_ready(&self) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.with(Snapshot::is_ready))
    }

    /// The first mistake of the set-up, if there is one.
    ///
    /// # Errors
    /// [`ConfigError::EmptyIssuer`], or [`ConfigError::Issuer`] with the first mistake: a symmetric algorithm
    /// without a secret, a leeway that is too long, and so on.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.consistent().map_err(|fault| match &*self.iss {
            "" => ConfigError::EmptyIssuer,
            iss => ConfigError::Issuer { iss: iss.to_owned(), fault: Box::new(fault) },
        })
    }

    fn consistent(&self) -> Result<(), ConfigError> {
        let is_rfc9068 = self.profile == Profile::Rfc9068;
        if let Some(fault) = &self.fault {
            Err(fault.clone())
        } else if self.iss.is_empty() {
            Err(ConfigError::EmptyIssuer)
        } else if self.binding.names().iter().chain(&self.logout_clients).any(|name| name.is_empty()) {
            Err(ConfigError::EmptyAudience)
        } else if self.missing_iss_allowed && !self.logout_clients.is_empty() {
            Err(ConfigError::LogoutWithoutIss)
        } else if is_rfc9068 && (self.missing_iss_allowed || !matches!(self.binding, Binding::Audience(_))) {
            Err(ConfigError::ProfileOptedOut)
        } else if self.times.leeway > LONGEST_LEEWAY {
            Err(ConfigError::LongLeeway)
        } else if self.algorithms.is_empty() {
            Err(ConfigError::NoAlgorithm)
        } else if !self.can_use_a_key() && !self.has_secret() {
            // Without the features of a backend none is known.
            Err(ConfigError::NoBackend)
        } else {
            Ok(())
        }
    }

    fn can_use_a_key(&self) -> bool {
        Algorithm::ASYMMETRIC.iter().any(|name| self.algorithms.contains(*name) && signature::is_known(*name))
    }

    /// What a challenge calls the protected space: the audience, where there is one.
    pub(super) fn realm(&self) -> &str {
        match &self.binding {
            Binding::Audience(names) => names.first().map_or(&self.iss, |name| name),
            Binding::Client { .. } | Binding::Keys(_) => &self.iss,
        }
    }

    /// The name itself where it is one that we go by, else a copy.
    pub(super) fn shared_audience(&self, aud: &str) -> Arc<str> {
        self.binding.names().iter().find(|name| ***name == *aud).map_or_else(|| aud.into(), Arc::clone)
    }

    /// The application's claims of a verified payload.
    pub(super) fn decode(&self, json: &str) -> Result<Claims, ClaimsMismatch> {
        self.claims.map_or_else(|| Ok(Claims::Registered), |claims| claims.decode(json))
    }

    fn fault(&mut self, fault: ConfigError) {
        self.fault.get_or_insert(fault);
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("iss", &self.iss)
            .field("binding", &self.binding)
            .field("algorithms", &self.algorithms)
            .field("secrets", &self.secrets)
            .field("keys", &self.keys)
            .field("claims", &self.claims.map(ClaimsType::name))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(issuer: &Issuer) -> Option<ConfigError> {
        issuer.validate().err().map(|error| error.fault().clone())
    }

    #[test]
    #[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
    fn no_secret_is_dropped_in_silence_and_each_has_its_algorithm() {
        let issuer = Issuer::new("https://issuer.example", "api");
        assert!(!issuer.has_secret() && !issuer.allows(Algorithm::HS256));
        let one = issuer.hmac_secret(Algorithm::HS256, [1; 64]);
        assert!(one.allows(Algorithm::HS256) && !one.allows(Algorithm::HS512));
        let two = one.clone().hmac_secret(Algorithm::HS512, [2; 64]);
        let count = |algorithm| two.secrets_for(algorithm).count();
        assert_eq!((count(Algorithm::HS256), count(Algorithm::HS384), count(Algorithm::HS512)), (1, 0, 1));
        assert_eq!(two.validate(), Ok(()));
        let three = two.hmac_secret(Algorithm::HS256, [3; 64]);
        assert_eq!(fault(&three), Some(ConfigError::TooManySecrets));
        let supabase = Issuer::supabase("https://abc.supabase.co").expect("a URL");
        let secret = |issuer: Issuer, byte| issuer.legacy_jwt_secret([byte; 32]);
        let three = secret(secret(secret(supabase, 1), 2), 3);
        assert_eq!(fault(&three), Some(ConfigError::TooManySecrets));
    }

    #[test]
    fn what_this_build_cannot_verify_is_a_mistake_of_the_set_up() {
        let has_backend = cfg!(any(feature = "aws-lc-rs", feature = "rust-crypto"));
        let issuer = || Issuer::new("https://issuer.example", "api");
        assert_eq!(fault(&issuer()), (!has_backend).then_some(ConfigError::NoBackend));
        for algorithm in Algorithm::ASYMMETRIC {
            let is_known = has_backend && (cfg!(feature = "aws-lc-rs") || *algorithm != Algorithm::ES512);
            let expected = (!is_known).then_some(ConfigError::UnsupportedByBackend(*algorithm));
            assert_eq!(fault(&issuer().algorithms([*algorithm])), expected, "{algorithm}");
        }
    }
}
