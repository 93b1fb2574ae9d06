//! How a project behaves.

use std::time::Duration;

use super::rotation::Rules;

/// How a [`TestSupabase`](super::TestSupabase) behaves.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use bearer_testing::{SupabaseOptions, TestSupabase};
/// use std::time::Duration;
///
/// let supabase = TestSupabase::start_with(SupabaseOptions {
///     access_token_expires_in: 60,
///     reuse_interval: Duration::from_secs(10),
///     ..SupabaseOptions::default()
/// })
/// .await;
/// supabase.add_user("ada@example.com", "correct horse");
/// assert_eq!(supabase.sign_in("ada@example.com")["expires_in"], 60);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupabaseOptions {
    /// Lifetime of the access tokens issued at login and refresh, in seconds: 3600 by default. With a
    /// negative one they have expired already.
    pub access_token_expires_in: i64,
    /// How long after an exchange a refresh token two or more generations old is forgiven: zero by default,
    /// as self-hosted; hosted projects have 10 seconds. Read by Tokio's clock, so a paused test can advance
    /// it.
    pub reuse_interval: Duration,
    /// Any reuse ends the session, even that of the token spent last and even within the reuse interval: off
    /// by default. Supabase does not do this; issuers with single-use refresh tokens, such as Auth0 or Ory, do.
    pub strict_single_use: bool,
    /// The rules and the form of refresh tokens: version 2 by default.
    pub refresh_tokens: RefreshTokenVersion,
    /// The limit of hosted projects on `/token`: 30 requests at once and one more every 2 seconds, for each
    /// address; then 429. Off by default. The address is that in `Sb-Forwarded-For`, if the `apikey` is a
    /// secret one (`sb_secret_…`), else that of the peer. Read by Tokio's clock.
    pub rate_limit: bool,
}

/// Which of Supabase's own versions of refresh tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefreshTokenVersion {
    /// 12 characters of `[a-z0-9]`, each with a parent. A spent token gets the active one again if it is its
    /// parent, at any later time; within the reuse interval of being spent it gets a new child; else all
    /// tokens of the session are revoked, while the session itself, and so its access tokens, live on.
    V1,
    /// Counted. See [`TestSupabase`](super::TestSupabase).
    #[default]
    V2,
}

impl SupabaseOptions {
    pub(super) fn rules(&self) -> Rules {
        Rules {
            version: self.refresh_tokens,
            reuse_interval: self.reuse_interval,
            strict_single_use: self.strict_single_use,
        }
    }
}

impl Default for SupabaseOptions {
    fn default() -> Self {
        Self {
            access_token_expires_in: 3600,
            reuse_interval: Duration::ZERO,
            strict_single_use: false,
            refresh_tokens: RefreshTokenVersion::V2,
            rate_limit: false,
        }
    }
}
