//! The provider's state: codes, grants and tokens, without HTTP.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use super::OAuthOptions;
use crate::{
    Algorithm, SigningKey, TokenBuilder, endpoint::JwksEndpoint, issuer::AUDIENCE, keyring::Keyring,
    pkce::Challenge, presentations::Presentations, random, token_fault::TokenFaults,
};

/// What the handle and the routes of one provider share.
pub(super) struct Provider {
    pub(super) issuer: String,
    pub(super) jwks: JwksEndpoint,
    pub(super) token_faults: TokenFaults,
    pub(super) presentations: Presentations,
    pub(super) options: OAuthOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    codes: HashMap<String, Authorization>,
    grants: Vec<Grant>,
    /// What the tokens of a user say besides: objects, by `sub`.
    claims: HashMap<String, Value>,
}

/// What a user agreed to, until its code is exchanged.
pub(super) struct Authorization {
    pub(super) redirect_uri: String,
    pub(super) nonce: Option<String>,
    pub(super) challenge: Challenge,
    pub(super) consent: Consent,
}

/// Who signed in for whom, and how: what tokens are made from.
#[derive(Clone)]
pub(super) struct Consent {
    pub(super) client: String,
    pub(super) subject: String,
    pub(super) scope: String,
    pub(super) acr: Option<String>,
    /// Seconds since 1970.
    pub(super) auth_time: i64,
}

struct Grant {
    consent: Consent,
    /// All refresh tokens the grant ever had, the newest last.
    refresh_tokens: Vec<String>,
    is_alive: bool,
}

impl Provider {
    pub(super) fn new(issuer: String, options: OAuthOptions) -> Self {
        Self {
            issuer,
            jwks: JwksEndpoint::new(Keyring::new([SigningKey::generate(Algorithm::ES256).kid("key-1")])),
            token_faults: TokenFaults::default(),
            presentations: Presentations::default(),
            options,
            state: Mutex::default(),
        }
    }

    pub(super) fn signing_key(&self) -> SigningKey {
        self.jwks.keyring.current().expect("a provider starts with a key")
    }

    /// Returns the code.
    pub(super) fn authorize(&self, authorization: Authorization) -> String {
        let code = random::text::<24>();
        self.state().codes.insert(code.clone(), authorization);
        code
    }

    /// `None` when the code is not good: unknown, used, of another client or place, or without its verifier.
    pub(super) fn redeem(
        &self,
        client: &str,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Option<Value> {
        let found = self.state().codes.remove(code)?;
        let is_good = found.consent.client == client
            && found.redirect_uri == redirect_uri
            && found.challenge.is_met_by(verifier);
        is_good.then(|| self.grant(found.consent, found.nonce.as_deref()))
    }

    pub(super) fn grant(&self, consent: Consent, nonce: Option<&str>) -> Value {
        let refresh_token = random::text::<32>();
        let answer = self.answer(&consent, nonce, Some(&refresh_token));
        let refresh_tokens = vec![refresh_token];
        self.state().grants.push(Grant { consent, refresh_tokens, is_alive: true });
        answer
    }

    /// `None` when the token is not good. One that was good once ends the grant.
    pub(super) fn exchange(&self, client: &str, token: &str) -> Option<Value> {
        let mut state = self.state();
        let grant = state.of(token).filter(|grant| grant.consent.client == client && grant.is_alive)?;
        if grant.refresh_tokens.last().is_none_or(|newest| newest != token) {
            grant.is_alive = false;
            return None;
        }
        let new = self.options.rotates.then(random::text::<32>);
        grant.refresh_tokens.extend(new.clone());
        let consent = grant.consent.clone();
        drop(state);
        Some(self.answer(&consent, None, new.as_deref()))
    }

    pub(super) fn revoke(&self, client: &str, token: &str) {
        if let Some(grant) = self.state().of(token).filter(|grant| grant.consent.client == client) {
            grant.is_alive = false;
        }
    }

    pub(super) fn end_grants(&self) {
        self.state().grants.iter_mut().for_each(|grant| grant.is_alive = false);
    }

    pub(super) fn grants_alive(&self) -> usize {
        self.state().grants.iter().filter(|grant| grant.is_alive).count()
    }

    pub(super) fn set_claims(&self, subject: &str, claims: Value) {
        self.state().claims.insert(subject.to_owned(), claims);
    }

    fn answer(&self, consent: &Consent, nonce: Option<&str>, refresh: Option<&str>) -> Value {
        let expires_in = self.options.access_token_expires_in;
        // So that two tokens of the same second differ.
        let mut access_token = self.token(AUDIENCE, consent).claim("jti", random::uuid());
        if !self.options.tells_assurance {
            access_token = access_token.without("acr").without("auth_time");
        }
        let mut answer = json!({
            "access_token": self.with_claims_of(&consent.subject, access_token).sign(),
            "token_type": "Bearer",
            "expires_in": expires_in,
        });
        if let Some(refresh) = refresh {
            answer["refresh_token"] = json!(refresh);
        }
        if consent.scope.split(' ').any(|scope| scope == "openid") {
            let mut id_token = self.with_claims_of(&consent.subject, self.token(&consent.client, consent));
            if let Some(nonce) = nonce {
                id_token = id_token.claim("nonce", nonce);
            }
            answer["id_token"] = json!(id_token.sign());
        }
        answer
    }

    fn token(&self, audience: &str, consent: &Consent) -> TokenBuilder {
        let token = TokenBuilder::new(&self.signing_key(), &self.issuer, audience)
            .subject(&consent.subject)
            .expires_in(self.options.access_token_expires_in)
            .claim("auth_time", consent.auth_time);
        match &consent.acr {
            Some(acr) => token.claim("acr", acr.as_str()),
            None => token,
        }
    }

    fn with_claims_of(&self, subject: &str, token: TokenBuilder) -> TokenBuilder {
        match self.state().claims.get(subject) {
            Some(claims) => token.claims(claims.clone()),
            None => token,
        }
    }

    /// Nothing is left half done under the lock, so a panic elsewhere does not spoil what it guards.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The grant of a refresh token, however old.
    fn of(&mut self, token: &str) -> Option<&mut Grant> {
        self.grants.iter_mut().find(|grant| grant.refresh_tokens.iter().any(|known| known == token))
    }
}
