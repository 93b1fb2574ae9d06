//! The provider's state: codes, grants and tokens, without HTTP.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use super::OAuthOptions;
use crate::{
    Algorithm, SigningKey, TokenBuilder, endpoint::JwksEndpoint, keyring::Keyring, pkce::Challenge,
    presentations::Presentations, random, token_fault::TokenFaults,
};

/// What the handle and the routes of one provider share.
pub(super) struct Provider {
    pub(super) issuer: String,
    pub(super) jwks: JwksEndpoint,
    pub(super) token_faults: TokenFaults,
    pub(super) presentations: Presentations,
    options: OAuthOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    codes: HashMap<String, Authorization>,
    grants: Vec<Grant>,
}

/// What a user agreed to, until its code is exchanged.
pub(super) struct Authorization {
    pub(super) client: String,
    pub(super) redirect_uri: String,
    pub(super) subject: String,
    pub(super) scope: String,
    pub(super) nonce: Option<String>,
    pub(super) challenge: Challenge,
}

struct Grant {
    client: String,
    subject: String,
    scope: String,
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
        let is_good = found.client == client
            && found.redirect_uri == redirect_uri
            && found.challenge.is_met_by(verifier);
        is_good.then(|| self.grant(client, &found.subject, &found.scope, found.nonce.as_deref()))
    }

    pub(super) fn grant(&self, client: &str, subject: &str, scope: &str, nonce: Option<&str>) -> Value {
        let refresh_token = random::text::<32>();
        self.state().grants.push(Grant {
            client: client.to_owned(),
            subject: subject.to_owned(),
            scope: scope.to_owned(),
            refresh_tokens: vec![refresh_token.clone()],
            is_alive: true,
        });
        self.answer(client, subject, scope, nonce, Some(&refresh_token))
    }

    /// `None` when the token is not good. One that was good once ends the grant.
    pub(super) fn exchange(&self, client: &str, token: &str) -> Option<Value> {
        let mut state = self.state();
        let grant = state.of(token).filter(|grant| grant.client == client && grant.is_alive)?;
        if grant.refresh_tokens.last().is_none_or(|newest| newest != token) {
            grant.is_alive = false;
            return None;
        }
        let new = self.options.rotates.then(random::text::<32>);
        grant.refresh_tokens.extend(new.clone());
        let (subject, scope) = (grant.subject.clone(), grant.scope.clone());
        drop(state);
        Some(self.answer(client, &subject, &scope, None, new.as_deref()))
    }

    pub(super) fn revoke(&self, client: &str, token: &str) {
        if let Some(grant) = self.state().of(token).filter(|grant| grant.client == client) {
            grant.is_alive = false;
        }
    }

    pub(super) fn end_grants(&self) {
        self.state().grants.iter_mut().for_each(|grant| grant.is_alive = false);
    }

    pub(super) fn grants_alive(&self) -> usize {
        self.state().grants.iter().filter(|grant| grant.is_alive).count()
    }

    fn answer(
        &self,
        client: &str,
        subject: &str,
        scope: &str,
        nonce: Option<&str>,
        refresh: Option<&str>,
    ) -> Value {
        let expires_in = self.options.access_token_expires_in;
        let token = |audience| {
            TokenBuilder::new(&self.signing_key(), &self.issuer, audience)
                .subject(subject)
                .expires_in(expires_in)
        };
        let mut answer = json!({
            // So that two tokens of the same second differ.
            "access_token": token("test-api").claim("jti", random::uuid()).sign(),
            "token_type": "Bearer",
            "expires_in": expires_in,
        });
        if let Some(refresh) = refresh {
            answer["refresh_token"] = json!(refresh);
        }
        if scope.split(' ').any(|scope| scope == "openid") {
            let id_token = token(client);
            let id_token = match nonce {
                Some(nonce) => id_token.claim("nonce", nonce),
                None => id_token,
            };
            answer["id_token"] = json!(id_token.sign());
        }
        answer
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
