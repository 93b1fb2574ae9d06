//! [`Access`]: an access token, and what is known of its session.

use super::local::Held;
use crate::{AccessToken, RefreshToken, Secret, labels::Labels, store::Key};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;

/// An access token that lives, and what is known of its session. A clone is cheap.
#[derive(Clone, Debug)]
pub struct Access(pub(super) Arc<Held>);

impl Access {
    /// The token.
    pub fn token(&self) -> &AccessToken {
        &self.0.record.access_token
    }

    /// How long it still lives.
    pub fn expires_in(&self) -> Duration {
        self.0.left(Instant::now())
    }

    /// The name of the session in the store.
    pub fn key(&self) -> Key {
        self.0.key
    }

    /// How many times the session was refreshed: of two that differ, the greater is the newer.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// The `sub` of the token, which nobody has verified here.
    pub fn subject(&self) -> Option<&str> {
        self.0.record.labels.subject.as_deref()
    }

    /// The `session_id` or `sid` of the token, which nobody has verified here.
    pub fn session_id(&self) -> Option<&str> {
        self.0.record.labels.session.as_deref()
    }

    /// When the user signed in, by the clock of the process where that was.
    pub fn signed_in_at(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.0.record.signed_in)).unwrap_or(UNIX_EPOCH)
    }

    /// Whose it is, as the token says.
    pub(crate) fn labels(&self) -> &Labels {
        &self.0.record.labels
    }

    /// For the keepings that share it with other libraries.
    pub(crate) fn refresh_token(&self) -> Option<&RefreshToken> {
        self.0.record.refresh_token.as_ref()
    }

    /// The issuer's answer, for the keepings that share it with other libraries.
    pub(crate) fn document(&self) -> Option<&Secret> {
        self.0.record.document.as_ref()
    }

    /// The ID token, for signing out at an OpenID provider.
    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "read by the routes"))]
    pub(crate) fn id_token(&self) -> Option<&Secret> {
        self.0.record.id_token.as_ref()
    }
}
