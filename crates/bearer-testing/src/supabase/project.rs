use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    SupabaseOptions, claims,
    error::ApiError,
    rotation::Rules,
    store::{Grant, Identity, Scope, Store},
};
use crate::{
    Algorithm, SigningKey, TokenBuilder, clock, endpoint::JwksEndpoint, fault::Faults, keyring::Keyring,
    random, verify_compact,
};

/// Hosted projects have key ids in standard base64, with characters that base64url lacks.
const LEGACY_KID: &str = "IBZFPqpu/0oC+hnZ";

/// What the handle and the routes of one Supabase project share.
pub(super) struct Project {
    pub(super) issuer: String,
    pub(super) jwks: JwksEndpoint,
    pub(super) refresh_faults: Faults,
    pub(super) legacy_secret: String,
    pub(super) legacy_key: SigningKey,
    /// Whose the tokens are that are minted without a login.
    pub(super) somebody: Identity,
    access_token_expires_in: AtomicI64,
    rules: Rules,
    store: Mutex<Store>,
    refreshes: AtomicUsize,
}

/// Who calls, by a good access token.
pub(super) struct Caller {
    pub(super) user: String,
    pub(super) email: String,
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
            legacy_key: SigningKey::hmac(Algorithm::HS256, legacy_secret.as_bytes()).kid(LEGACY_KID),
            legacy_secret,
            somebody: Identity {
                user: random::uuid(),
                email: "test-user@example.com".to_owned(),
                session: random::uuid(),
                signed_in_at: clock::now(),
            },
            access_token_expires_in: AtomicI64::new(options.access_token_expires_in),
            rules: options.rules(),
            store: Mutex::default(),
            refreshes: AtomicUsize::new(0),
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

    pub(super) fn sign_in(&self, email: &str) -> Option<Value> {
        let grant = self.store().sign_in(email, Instant::now())?;
        Some(self.answer(grant))
    }

    pub(super) fn password_grant(&self, email: &str, password: &str) -> Result<Value, ApiError> {
        self.store().check_password(email, password)?;
        self.sign_in(email).ok_or_else(ApiError::invalid_credentials)
    }

    pub(super) async fn refresh_grant(&self, refresh_token: &str) -> Result<Value, ApiError> {
        self.refreshes.fetch_add(1, Ordering::SeqCst);
        let admitted = self.refresh_faults.admit().await.map_err(ApiError::injected);
        let result = admitted.and_then(|()| self.store().exchange(refresh_token, self.rules, Instant::now()));
        // After the exchange: a client that gives up meanwhile has lost an answer, not a request.
        self.refresh_faults.linger().await;
        result.map(|grant| self.answer(grant))
    }

    fn answer(&self, Grant { identity, refresh_token }: Grant) -> Value {
        let expires_in = self.access_token_expires_in.load(Ordering::SeqCst);
        json!({
            "access_token": self.access_token(&identity).expires_in(expires_in).sign(),
            "token_type": "bearer",
            "expires_in": expires_in,
            "expires_at": clock::now() + expires_in,
            "refresh_token": refresh_token,
            "user": claims::user(&identity.user, &identity.email),
        })
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
        let email = store.email(user).ok_or_else(ApiError::user_not_found)?;
        if session.is_some_and(|session| !store.session_alive(session)) {
            return Err(ApiError::session_not_found());
        }
        Ok(Caller { user: user.to_owned(), email: email.to_owned(), session: session.map(str::to_owned) })
    }

    pub(super) fn log_out(&self, caller: &Caller, scope: Scope) {
        self.store().log_out(&caller.user, caller.session.as_deref(), scope);
    }

    pub(super) fn refreshes(&self) -> usize {
        self.refreshes.load(Ordering::SeqCst)
    }

    /// Nothing is left half done under the lock, so a panic elsewhere does not spoil what it guards.
    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
