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
/// let hosted = SupabaseOptions::new().access_token_expires_in(60).reuse_interval(Duration::from_secs(10));
/// let supabase = TestSupabase::start_with(hosted).await;
/// supabase.add_user("ada@example.com", "correct horse");
/// assert_eq!(supabase.sign_in("ada@example.com")["expires_in"], 60);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct SupabaseOptions {
    pub(super) access_token_expires_in: i64,
    pub(super) rate_limit: bool,
    reuse_interval: Duration,
    strict_single_use: bool,
    refresh_tokens: RefreshTokenVersion,
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
    /// The defaults, which are those of a self-hosted project.
    pub const fn new() -> Self {
        Self {
            access_token_expires_in: 3600,
            rate_limit: false,
            reuse_interval: Duration::ZERO,
            strict_single_use: false,
            refresh_tokens: RefreshTokenVersion::V2,
        }
    }

    /// Lifetime of the access tokens issued at login and refresh, in seconds: 3600 by default. With a
    /// negative one they have expired already.
    pub const fn access_token_expires_in(mut self, seconds: i64) -> Self {
        self.access_token_expires_in = seconds;
        self
    }

    /// How long after an exchange a refresh token two or more generations old is forgiven: zero by default,
    /// as self-hosted; hosted projects have 10 seconds. Read by Tokio's clock, so a paused test can advance
    /// it.
    pub const fn reuse_interval(mut self, interval: Duration) -> Self {
        self.reuse_interval = interval;
        self
    }

    /// Any reuse ends the session, even that of the token spent last and even within the reuse interval: off
    /// by default. Supabase does not do this; issuers with single-use refresh tokens, such as Auth0 or Ory, do.
    pub const fn strict_single_use(mut self) -> Self {
        self.strict_single_use = true;
        self
    }

    /// The rules and the form of refresh tokens: version 2 by default.
    pub const fn refresh_tokens(mut self, version: RefreshTokenVersion) -> Self {
        self.refresh_tokens = version;
        self
    }

    /// The limit of hosted projects on `/token`: 30 requests at once and one more every 2 seconds, for each
    /// address; then 429. Off by default. The address is that in `Sb-Forwarded-For`, if the `apikey` is a
    /// secret one (`sb_secret_…`), else that of the peer. Read by Tokio's clock.
    pub const fn rate_limit(mut self) -> Self {
        self.rate_limit = true;
        self
    }

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
        Self::new()
    }
}
