//! A project: signing in, refreshing and logging out, without HTTP.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use axum::http::HeaderMap;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    RefreshTokenVersion, SupabaseOptions, claims,
    error::ApiError,
    flows::Flows,
    limiter::{self, Limiter},
    rotation::Rules,
    store::{Grant, Identity, Scope, Store},
};
use crate::{
    Algorithm, SigningKey, TokenBuilder, clock, endpoint::JwksEndpoint, fault::Faults, keyring::Keyring,
    pkce::Challenge, presentations::Presentations, random, token_fault::TokenFaults, verify_compact,
};

/// Hosted projects have key ids in standard base64, with characters that base64url lacks.
const LEGACY_KID: &str = "IBZFPqpu/0oC+hnZ";

/// What the handle and the routes of one Supabase project share.
pub(super) struct Project {
    pub(super) issuer: String,
    pub(super) jwks: JwksEndpoint,
    pub(super) refresh_faults: Faults,
    pub(super) token_faults: TokenFaults,
    pub(super) presentations: Presentations,
    pub(super) legacy_secret: String,
    pub(super) legacy_key: SigningKey,
    /// The user of tokens that are made without a login.
    pub(super) somebody: Identity,
    access_token_expires_in: AtomicI64,
    rules: Rules,
    store: Mutex<Store>,
    flows: Mutex<Flows>,
    limiter: Option<Limiter>,
    issued: Mutex<Vec<String>>,
}

/// An answer of the token endpoint.
pub(super) struct Issued {
    pub(super) body: Value,
    /// What `GoTrue` tells in headers.
    pub(super) headers: Vec<(&'static str, String)>,
}

/// Who calls, by a good access token.
pub(super) struct Caller {
    user: String,
    email: String,
    claims: Value,
    session: Option<String>,
}

impl Project {
    pub(super) fn new(issuer: String, options: &SupabaseOptions) -> Self {
        let jwks = JwksEndpoint::new(Keyring::new([SigningKey::generate(Algorithm::ES256).kid("key-1")]));
        jwks.cache_control("public, max-age=600");
        let legacy_secret = random::text::<32>();
        Self {
            issuer,
            jwks,
            refresh_faults: Faults::none(),
            token_faults: TokenFaults::default(),
            presentations: Presentations::default(),
            legacy_key: SigningKey::hmac(Algorithm::HS256, legacy_secret.as_bytes()).kid(LEGACY_KID),
            legacy_secret,
            somebody: Identity {
                user: random::uuid(),
                email: "test-user@example.com".to_owned(),
                session: random::uuid(),
                signed_in_at: clock::now(),
                claims: json!({}),
            },
            access_token_expires_in: AtomicI64::new(options.access_token_expires_in),
            rules: options.rules(),
            store: Mutex::default(),
            flows: Mutex::default(),
            limiter: options.rate_limit.then(Limiter::default),
            issued: Mutex::default(),
        }
    }

    pub(super) fn signing_key(&self) -> SigningKey {
        self.jwks.keyring.current().expect("a project starts with a key")
    }

    pub(super) fn access_token(&self, identity: &Identity) -> TokenBuilder {
        claims::access_token(&self.signing_key(), &self.issuer, identity)
    }

    pub(super) fn id_token(&self) -> TokenBuilder {
        claims::id_token(&self.signing_key(), &self.issuer, &self.somebody)
    }

    pub(super) fn set_access_token_expires_in(&self, seconds: i64) {
        self.access_token_expires_in.store(seconds, Ordering::SeqCst);
    }

    pub(super) fn sign_in(&self, email: &str) -> Option<Issued> {
        let grant = self.store().sign_in(email, self.rules, Instant::now())?;
        Some(self.answer(grant))
    }

    pub(super) fn password_grant(&self, email: &str, password: &str) -> Result<Issued, ApiError> {
        self.store().check_password(email, password)?;
        self.sign_in(email).ok_or_else(ApiError::invalid_credentials)
    }

    /// Signs a user in at a provider, without asking anybody: the one of this email, or the first there is.
    /// Returns the code, or `None` when there is no such user.
    pub(super) fn begin_flow(&self, email: Option<&str>, challenge: Challenge) -> Option<String> {
        let email = email.map_or_else(|| self.store().first_email(), |email| Some(email.to_lowercase()))?;
        let is_known = self.store().has_email(&email);
        is_known.then(|| self.flows().begin(email, challenge))
    }

    pub(super) fn pkce_grant(&self, code: &str, verifier: &str) -> Result<Issued, ApiError> {
        let email = self.flows().end(code, verifier)?;
        self.sign_in(&email).ok_or_else(ApiError::user_not_found)
    }

    pub(super) fn limit(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let admits = |limiter: &Limiter| limiter.admits(limiter::address(headers), Instant::now());
        if self.limiter.as_ref().is_none_or(admits) { Ok(()) } else { Err(ApiError::rate_limit()) }
    }

    pub(super) async fn refresh_grant(&self, refresh_token: &str) -> Result<Issued, ApiError> {
        let admitted = self.refresh_faults.admit().await.map_err(ApiError::injected);
        let result = admitted.and_then(|()| self.store().exchange(refresh_token, self.rules, Instant::now()));
        // After the exchange: a client that gives up meanwhile has lost an answer, not a request.
        self.refresh_faults.linger().await;
        result.map(|grant| self.answer(grant))
    }

    fn answer(&self, Grant { identity, refresh_token, counter, reuse }: Grant) -> Issued {
        let expires_in = self.access_token_expires_in.load(Ordering::SeqCst);
        let access_token = self.access_token(&identity).expires_in(expires_in).sign();
        self.issued_now().extend([access_token.clone(), refresh_token.clone()]);
        let body = json!({
            "access_token": access_token,
            "token_type": "bearer",
            "expires_in": expires_in,
            "expires_at": clock::now() + expires_in,
            "refresh_token": refresh_token,
            "user": claims::user(&identity.user, &identity.email, &identity.claims),
        });
        let which = match self.rules.version {
            RefreshTokenVersion::V1 => ("sb-auth-refresh-token-prefix", refresh_token[..5].to_owned()),
            RefreshTokenVersion::V2 => ("sb-auth-refresh-token-counter", counter.to_string()),
        };
        let reuse = match reuse {
            None => ("sb-auth-refresh-token-reuse", "false".to_owned()),
            Some(cause) => ("sb-auth-refresh-token-reuse-cause", cause.to_owned()),
        };
        let (user, session) = (identity.user, identity.session);
        let headers = vec![("sb-auth-user-id", user), ("sb-auth-session-id", session), which, reuse];
        Issued { body, headers }
    }

    /// Checks the access token as `GET /user` does: signature, `exp`, user, session.
    pub(super) fn authenticate(&self, access_token: &str) -> Result<Caller, ApiError> {
        let mut keys = self.jwks.keyring.published();
        keys.push(self.legacy_key.clone());
        let claims =
            keys.iter().find_map(|key| verify_compact(key, access_token)).ok_or_else(ApiError::bad_jwt)?;
        let text = |name| claims.get(name).and_then(Value::as_str);
        if claims["exp"].as_i64().is_none_or(|exp| exp <= clock::now()) {
            return Err(ApiError::bad_jwt());
        }
        let user = text("sub").ok_or_else(ApiError::bad_jwt)?;
        let session = text("session_id");
        let store = self.store();
        let (email, claims) = store.of_user(user).ok_or_else(ApiError::user_not_found)?;
        if session.is_some_and(|session| !store.session_alive(session)) {
            return Err(ApiError::session_not_found());
        }
        Ok(Caller {
            user: user.to_owned(),
            email: email.to_owned(),
            claims: claims.clone(),
            session: session.map(str::to_owned),
        })
    }

    pub(super) fn log_out(&self, caller: &Caller, scope: Scope) {
        self.store().log_out(&caller.user, caller.session.as_deref(), scope);
    }

    /// Each access token and refresh token that was ever given out.
    pub(super) fn issued(&self) -> Vec<String> {
        self.issued_now().clone()
    }

    fn issued_now(&self) -> MutexGuard<'_, Vec<String>> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flows(&self) -> MutexGuard<'_, Flows> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is left half done under the lock, so a panic elsewhere does not spoil what it guards.
    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Caller {
    /// The user object of `GET /user`.
    pub(super) fn shown(&self) -> Value {
        claims::user(&self.user, &self.email, &self.claims)
    }
}
