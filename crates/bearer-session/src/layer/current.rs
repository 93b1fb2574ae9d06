//! [`CurrentSession`]: what handlers may know of the session.

use crate::{Access, InvalidIdTokenClaims, Secret, id_claims, store::Key};
use serde::de::DeserializeOwned;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// The session that a request came with, in the request's extensions. It gives no token away.
///
/// Ask the gate who the user is; nothing here was verified: what this says of the user is what the issuer said
/// when it gave the tokens.
///
/// With the feature `axum` it is an argument of handlers. Who comes with a token of their own has no session:
/// a handler that serves them too takes an `Option`.
///
/// | in the handler's signature | a session | no session, and perhaps a token of one's own |
/// |---|---|---|
/// | `CurrentSession` | there it is | 401, as [the gate](tower_bearer::Refusal) refuses |
/// | `Option<CurrentSession>` | `Some` | `None` |
///
/// Without a [`SessionLayer`](crate::SessionLayer) around the handler, the answer is 500.
#[derive(Clone, Debug)]
pub struct CurrentSession {
    key: Key,
    generation: u64,
    expires: Instant,
    signed_in_at: SystemTime,
    subject: Option<Arc<str>>,
    session_id: Option<Arc<str>>,
    id_token: Option<Arc<Secret>>,
}

/// Lies in the extensions of each request that came through the layer, with a session or without.
#[cfg(feature = "axum")]
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed;

impl CurrentSession {
    pub(crate) fn of(access: &Access) -> Self {
        let labels = access.labels();
        Self {
            key: access.key(),
            generation: access.generation(),
            expires: Instant::now() + access.expires_in(),
            signed_in_at: access.signed_in_at(),
            subject: labels.subject.clone(),
            session_id: labels.session.clone(),
            id_token: access.shared_id_token(),
        }
    }

    /// The name of the session in the store, for [`Sessions`](crate::Sessions): to sign it out, or to refresh
    /// it.
    pub fn key(&self) -> Key {
        self.key
    }

    /// How many times the session was refreshed.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How long the access token of this request still lives.
    pub fn expires_in(&self) -> Duration {
        self.expires.saturating_duration_since(Instant::now())
    }

    /// When the user signed in, by the clock of the process where that was.
    pub fn signed_in_at(&self) -> SystemTime {
        self.signed_in_at
    }

    /// The `sub` of the access token.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The `session_id` or `sid` of the access token.
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// What the ID token says of the user, in a type of the application. For display, not for authorization:
    /// [`Access::id_token_claims`] says what was checked of it, and when. It is read when this is called.
    ///
    /// ```
    /// use bearer_session::{CurrentSession, InvalidIdTokenClaims};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct User {
    ///     name: String,
    /// }
    ///
    /// fn greeting(session: &CurrentSession) -> Result<String, InvalidIdTokenClaims> {
    ///     let user = session.id_token_claims::<User>()?;
    ///     Ok(user.map_or_else(|| "Hello".to_owned(), |user| format!("Hello, {}", user.name)))
    /// }
    /// ```
    ///
    /// # Errors
    /// As [there](Access::id_token_claims).
    pub fn id_token_claims<C: DeserializeOwned>(&self) -> Result<Option<C>, InvalidIdTokenClaims> {
        id_claims::read(self.id_token.as_deref())
    }
}
