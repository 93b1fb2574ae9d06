//! A provider of OAuth 2 and OpenID Connect whose codes and refresh tokens are good once.

mod provider;
mod routes;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use serde_json::Value;

use self::provider::{Consent, Provider};
use crate::{SigningKey, TokenFault, clock, issuer::AUDIENCE, server::Server};

/// How a [`TestOAuth`] behaves.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use bearer_testing::{OAuthOptions, TestOAuth};
///
/// let provider = TestOAuth::start_with(OAuthOptions::new().access_token_expires_in(60)).await;
/// assert_eq!(provider.grant("ada")["expires_in"], 60);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct OAuthOptions {
    access_token_expires_in: i64,
    rotates: bool,
    signed_in_ago: u32,
    tells_assurance: bool,
}

impl OAuthOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self { access_token_expires_in: 3600, rotates: true, signed_in_ago: 0, tells_assurance: true }
    }

    /// Lifetime of the access tokens, in seconds: 3600 by default.
    pub const fn access_token_expires_in(mut self, seconds: i64) -> Self {
        self.access_token_expires_in = seconds;
        self
    }

    /// One refresh token serves as long as the grant lives, and no answer to an exchange has it. By default
    /// each exchange gives a new refresh token and spends the old one, whose reuse ends the grant.
    pub const fn without_rotation(mut self) -> Self {
        self.rotates = false;
        self
    }

    /// Users have signed in so many seconds ago, for another client (single sign-on): `auth_time` says so,
    /// unless the request wants a newer sign-in, by a smaller `max_age` or by `prompt=login`. Zero by default:
    /// users sign in each time.
    pub const fn signed_in_ago(mut self, seconds: u32) -> Self {
        self.signed_in_ago = seconds;
        self
    }

    /// Access tokens have neither `acr` nor `auth_time`, as at many issuers; ID tokens have them still.
    pub const fn without_assurance(mut self) -> Self {
        self.tells_assurance = false;
        self
    }
}

impl Default for OAuthOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// A small provider of OAuth 2 and OpenID Connect in this process, on a free port of 127.0.0.1, as strict as
/// they come: every code and every refresh token is good once, and a second time ends the grant.
///
/// Clones share one provider. The server runs on the Tokio runtime it was started on, and ends when the last
/// clone is dropped; or with the runtime.
///
/// It knows two clients: `app`, whose secret is `its-secret`, sent in either way ([RFC 6749 §2.3.1]), and
/// `public-app` without a secret. It answers:
/// - `/.well-known/openid-configuration` and `/.well-known/jwks.json`;
/// - `GET /authorize`: straight back to `redirect_uri` with `code`, `state` and `iss`, of the user in
///   `login_hint`, whoever that is, or `ada`; PKCE with S256 is required;
/// - `POST /token` with `authorization_code` or `refresh_token`; with the scope `openid` there is an ID
///   token;
/// - `POST /revoke` ([RFC 7009]): the grant of the refresh token ends;
/// - `GET /logout`: straight back to `post_logout_redirect_uri` with `state`.
///
/// Access tokens and ID tokens say how the user signed in: `auth_time` is when, and `acr` is the first of the
/// `acr_values` that were asked for, if any. So a step-up always comes to a good end, unless the
/// [options](OAuthOptions::without_assurance) say otherwise. Roles and more are set by
/// [`set_claims`](Self::set_claims).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use bearer_testing::{TestOAuth, verify_compact};
///
/// let provider = TestOAuth::start().await;
/// let tokens = provider.grant("ada");
/// let claims = verify_compact(&provider.signing_key(), tokens["access_token"].as_str().unwrap()).unwrap();
/// assert_eq!(claims["sub"], "ada");
/// assert_eq!(provider.grants_alive(), 1);
/// # }
/// ```
///
/// [RFC 6749 §2.3.1]: https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
/// [RFC 7009]: https://www.rfc-editor.org/rfc/rfc7009
#[derive(Clone)]
pub struct TestOAuth {
    provider: Arc<Provider>,
    server: Arc<Server>,
}

impl TestOAuth {
    /// A provider with the default options and one ES256 key, whose id is `key-1`.
    ///
    /// # Panics
    /// Outside a Tokio runtime with I/O enabled, or when no port is free.
    pub async fn start() -> Self {
        Self::start_with(OAuthOptions::default()).await
    }

    /// A provider with one ES256 key, whose id is `key-1`.
    ///
    /// # Panics
    /// Outside a Tokio runtime with I/O enabled, or when no port is free.
    pub async fn start_with(options: OAuthOptions) -> Self {
        let mut provider = None;
        let server = Server::start(|url| {
            let new = Arc::new(Provider::new(url.to_owned(), options));
            routes::routes(Arc::clone(provider.insert(new)))
        })
        .await;
        Self { provider: provider.expect("a server asks for its routes"), server: Arc::new(server) }
    }

    /// `http://127.0.0.1:<port>`, without a trailing slash: the `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        self.server.url()
    }

    /// `<issuer>/token`.
    pub fn token_endpoint(&self) -> String {
        format!("{}/token", self.issuer())
    }

    /// `test-api`: the `aud` of its access tokens.
    pub fn audience(&self) -> &str {
        AUDIENCE
    }

    /// The key that signs.
    pub fn signing_key(&self) -> SigningKey {
        self.provider.signing_key()
    }

    /// Grants the client `app` tokens of this user, as a sign-in would, without a request. Returns what the
    /// token endpoint answers.
    pub fn grant(&self, subject: &str) -> Value {
        let (client, subject) = ("app".to_owned(), subject.to_owned());
        let auth_time = clock::now() - i64::from(self.provider.options.signed_in_ago);
        self.provider.grant(Consent { client, subject, scope: String::new(), acr: None, auth_time }, None)
    }

    /// What the access tokens and ID tokens of this user, the `sub`, say from now on, besides the usual claims
    /// or in their place. Those set before are forgotten; tokens that were given out stay as they are.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use bearer_testing::{TestOAuth, verify_compact};
    /// use serde_json::json;
    ///
    /// let provider = TestOAuth::start().await;
    /// provider.set_claims("ada", json!({ "scope": "orders:read", "realm_access": { "roles": ["admin"] } }));
    /// let claims = |subject| {
    ///     let tokens = provider.grant(subject);
    ///     verify_compact(&provider.signing_key(), tokens["access_token"].as_str().unwrap()).unwrap()
    /// };
    /// assert_eq!(claims("ada")["realm_access"]["roles"], json!(["admin"]));
    /// assert!(claims("eve").get("realm_access").is_none());
    /// # }
    /// ```
    ///
    /// # Panics
    /// When `claims` is not a JSON object.
    pub fn set_claims(&self, subject: &str, claims: Value) {
        assert!(claims.is_object(), "claims are a JSON object, not {claims}");
        self.provider.set_claims(subject, claims);
    }

    /// Ends all grants: their refresh tokens are good no more.
    pub fn end_grants(&self) {
        self.provider.end_grants();
    }

    /// How many grants there are.
    pub fn grants_alive(&self) -> usize {
        self.provider.grants_alive()
    }

    /// How many requests have arrived, of any path.
    pub fn requests(&self) -> usize {
        self.server.requests()
    }

    /// How often each refresh token was presented, granted or not, in the order of their first presentation.
    pub fn presentations(&self) -> Vec<usize> {
        self.provider.presentations.counts()
    }

    /// How often this refresh token was presented.
    pub fn presentations_of(&self, refresh_token: &str) -> usize {
        self.provider.presentations.of(refresh_token)
    }

    /// What becomes of the next requests to exchange a refresh token, one each, in this order, after those
    /// scripted before. Then they are answered as usual.
    pub fn script_refreshes(&self, faults: impl IntoIterator<Item = TokenFault>) {
        self.provider.token_faults.script(faults);
    }

    /// Ends what [`script_refreshes`](Self::script_refreshes) began.
    pub fn recover(&self) {
        self.provider.token_faults.recover();
    }
}

impl fmt::Debug for TestOAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestOAuth").field("issuer", &self.issuer()).finish_non_exhaustive()
    }
}
