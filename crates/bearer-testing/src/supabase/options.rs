use std::time::Duration;

use super::rotation::Rules;

/// How a [`TestSupabase`](super::TestSupabase) behaves.
///
/// ```
/// use bearer_testing::SupabaseOptions;
///
/// let as_hosted = SupabaseOptions {
///     reuse_interval: std::time::Duration::from_secs(10),
///     ..SupabaseOptions::default()
/// };
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
    /// by default. This is not Supabase but the issuers with single-use refresh tokens, such as Auth0 or Ory.
    pub strict_single_use: bool,
}

impl SupabaseOptions {
    pub(super) fn rules(&self) -> Rules {
        Rules { reuse_interval: self.reuse_interval, strict_single_use: self.strict_single_use }
    }
}

impl Default for SupabaseOptions {
    fn default() -> Self {
        Self { access_token_expires_in: 3600, reuse_interval: Duration::ZERO, strict_single_use: false }
    }
}
