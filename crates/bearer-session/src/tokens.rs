//! What an issuer hands out: [`TokenSet`], of an [`AccessToken`] and a [`RefreshToken`].

use crate::Secret;
use std::time::Duration;

/// A token for APIs (RFC 6749 §1.4). Whoever holds it may use it until it expires.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessToken(Secret);

/// A token for the token endpoint alone (RFC 6749 §1.5). It is spent once.
///
/// Its text can be read by what sends it to the issuer or seals it for the store, and it has no `Debug` that
/// shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefreshToken(Secret);

/// A successful answer of a token endpoint (RFC 6749 §5.1).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TokenSet {
    /// For the API.
    pub access_token: AccessToken,
    /// For the next refresh. `None` when there will be none: then the session ends with its access token.
    pub refresh_token: Option<RefreshToken>,
    /// How long the access token lives from the time of the answer. Relative, so that no two clocks need to
    /// agree.
    pub expires_in: Duration,
    /// The ID token of an OpenID provider.
    pub id_token: Option<Secret>,
    /// The answer as the issuer wrote it, a JSON object, with all members and their order. What shares its
    /// session with other libraries through cookies needs it (`user` of Supabase Auth).
    pub document: Option<Secret>,
}

impl AccessToken {
    /// Takes the token's text.
    pub fn new(token: impl Into<Box<str>>) -> Self {
        Self(Secret::new(token))
    }

    /// The token's text.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl RefreshToken {
    /// Takes the token's text, which is opaque.
    pub fn new(token: impl Into<Box<str>>) -> Self {
        Self(Secret::new(token))
    }

    /// The token's text, for the one request that spends it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl TokenSet {
    /// An access token that lives so long, and nothing else.
    pub fn new(access_token: AccessToken, expires_in: Duration) -> Self {
        Self { access_token, refresh_token: None, expires_in, id_token: None, document: None }
    }

    /// With the token for the next refresh.
    #[must_use]
    pub fn refresh_token(mut self, token: RefreshToken) -> Self {
        self.refresh_token = Some(token);
        self
    }
}
