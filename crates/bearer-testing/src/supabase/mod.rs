//! A small Supabase Auth.

mod claims;
mod error;
mod flows;
mod limiter;
mod options;
mod project;
mod rotation;
mod routes;
mod store;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

pub use self::options::{RefreshTokenVersion, SupabaseOptions};
use self::{claims::api_key, project::Project};
use crate::{SigningKey, TokenBuilder, TokenFault, server::Server};

/// A small Supabase Auth in this process, on a free port of 127.0.0.1.
///
/// Clones share one project. The server runs on the Tokio runtime it was started on, and ends when the last
/// clone is dropped, with every connection it has; or with the runtime.
///
/// Below `/auth/v1` it answers:
/// - `POST /token?grant_type=password` with a body `{"email", "password"}`;
/// - `POST /token?grant_type=refresh_token` with a body `{"refresh_token"}`: refresh tokens rotate, and reuse
///   is detected, as below;
/// - `GET /authorize?provider=…&redirect_to=…&code_challenge=…&code_challenge_method=s256`: straight back to
///   `redirect_to` with a `code` in its query, of the user in `login_hint`, or of the first one added;
/// - `POST /token?grant_type=pkce` with a body `{"auth_code", "code_verifier"}`;
/// - `POST /logout?scope=global` (the default), `local` or `others`: 204, and the sessions are gone;
/// - `GET /user`, which knows of logouts;
/// - `GET /.well-known/jwks.json` with `Cache-Control: public, max-age=600`, and
///   `GET /.well-known/openid-configuration`.
///
/// Errors have the body `{"code", "message"}` if the request has `X-Supabase-Api-Version: 2024-01-01` or
/// later, and `{"code": <status>, "error_code", "msg"}` otherwise. The gateway's `apikey` is not asked for.
///
/// # Refresh tokens
///
/// They are random text, and rotate by the rules of version 2 of Supabase's own (for version 1 see
/// [`RefreshTokenVersion::V1`]):
/// - the current one is exchanged for a new one;
/// - its parent, the one spent last, gets the current one again, at any later time, with a new access token;
/// - an older one gets the same within [`reuse_interval`](SupabaseOptions::reuse_interval) of the last
///   exchange; after it, the session is deleted: 400 `refresh_token_already_used`, and from then on 400
///   `refresh_token_not_found` for every token of the session.
///
/// With [`strict_single_use`](SupabaseOptions::strict_single_use) every reuse deletes the session.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use bearer_testing::{TestSupabase, verify_compact};
///
/// let supabase = TestSupabase::start().await;
/// let id = supabase.add_user("ada@example.com", "correct horse");
/// let session = supabase.sign_in("ada@example.com");
///
/// let access_token = session["access_token"].as_str().unwrap();
/// let claims = verify_compact(&supabase.signing_key(), access_token).unwrap();
/// assert_eq!(claims["sub"], id);
/// assert_eq!(claims["aud"], "authenticated");
/// assert!(supabase.session_alive(claims["session_id"].as_str().unwrap()));
///
/// // Signed by the same key, and still no access tokens:
/// for token in [supabase.id_token().sign(), supabase.token().claim("role", "anon").sign()] {
///     let claims = verify_compact(&supabase.signing_key(), &token).unwrap();
///     assert_ne!(claims["role"], "authenticated");
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct TestSupabase {
    project: Arc<Project>,
    server: Arc<Server>,
}

impl TestSupabase {
    /// A project with the default options and one ES256 key, whose id is `key-1`.
    ///
    /// # Panics
    /// Outside a Tokio runtime with I/O enabled, or when no port is free.
    pub async fn start() -> Self {
        Self::start_with(SupabaseOptions::default()).await
    }

    /// A project with one ES256 key, whose id is `key-1`.
    ///
    /// # Panics
    /// Outside a Tokio runtime with I/O enabled, or when no port is free.
    pub async fn start_with(options: SupabaseOptions) -> Self {
        let mut project = None;
        let server = Server::start(|url| {
            let new = Arc::new(Project::new(format!("{url}/auth/v1"), &options));
            routes::routes(Arc::clone(project.insert(new)))
        })
        .await;
        Self { project: project.expect("a server asks for its routes"), server: Arc::new(server) }
    }

    /// `http://127.0.0.1:<port>`, without a trailing slash.
    pub fn project_url(&self) -> &str {
        self.server.url()
    }

    /// `<project_url>/auth/v1`: the `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.project.issuer
    }

    /// `<project_url>/auth/v1/.well-known/jwks.json`.
    pub fn jwks_uri(&self) -> String {
        format!("{}/.well-known/jwks.json", self.project.issuer)
    }

    /// Signs a user up. Returns the user's id, a UUID: the `sub` of the tokens.
    ///
    /// If there is a user of this email, in upper or lower case, the password is changed and the id stays.
    pub fn add_user(&self, email: &str, password: &str) -> String {
        self.project.store().add_user(email, password)
    }

    /// What the access tokens of this user say from now on, besides the usual claims or in their place: roles,
    /// a second factor, or what a custom access token hook would add. Those set before are forgotten. Tokens
    /// that were given out stay as they are; the next refresh of a session has the new claims.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use bearer_testing::{TestSupabase, verify_compact};
    /// use serde_json::json;
    ///
    /// let supabase = TestSupabase::start().await;
    /// supabase.add_user("ada@example.com", "correct horse");
    /// let claims = || {
    ///     let session = supabase.sign_in("ada@example.com");
    ///     verify_compact(&supabase.signing_key(), session["access_token"].as_str().unwrap()).unwrap()
    /// };
    /// assert_eq!(claims()["aal"], "aal1");
    ///
    /// supabase.set_claims("ada@example.com", json!({ "aal": "aal2", "app_metadata": { "roles": ["admin"] } }));
    /// assert_eq!((&claims()["aal"], &claims()["app_metadata"]["roles"][0]), (&json!("aal2"), &json!("admin")));
    /// # }
    /// ```
    ///
    /// # Panics
    /// When there is no user of this email, or `claims` is not a JSON object.
    pub fn set_claims(&self, email: &str, claims: Value) {
        assert!(claims.is_object(), "claims are a JSON object, not {claims}");
        let is_known = self.project.store().set_claims(email, claims);
        assert!(is_known, "no user has the email {email}: add one first");
    }

    /// Opens a session for the user, as a login would, without a request.
    ///
    /// Returns what the token endpoint answers: `access_token`, `token_type`, `expires_in` and `expires_at`
    /// (in seconds, and seconds since 1970), `refresh_token`, `user`.
    ///
    /// # Panics
    /// When there is no user of this email.
    pub fn sign_in(&self, email: &str) -> Value {
        let issued = self.project.sign_in(email);
        issued.unwrap_or_else(|| panic!("no user has the email {email}: add one first")).body
    }

    /// Ends the session: access tokens stay good until they expire, refresh tokens are not found.
    pub fn end_session(&self, session_id: &str) {
        self.project.store().end_session(session_id);
    }

    /// The key that signs now.
    pub fn signing_key(&self) -> SigningKey {
        self.project.signing_key()
    }

    /// A new key signs from now on, and is published beside the old one, which stays. Returns the new key,
    /// whose id is `key-2`, `key-3`, …
    ///
    /// # Panics
    /// When the system gives no randomness.
    pub fn rotate(&self) -> SigningKey {
        self.project.jwks.keyring.rotate()
    }

    /// The given key signs from now on, and is published beside the old one, which stays. HMAC secrets are
    /// not published.
    pub fn rotate_to(&self, key: SigningKey) {
        self.project.jwks.keyring.rotate_to(key);
    }

    /// Publishes the keys of this id no longer: they are revoked.
    ///
    /// Without any key the JWK Set is empty, as that of a project which has only the legacy secret.
    pub fn remove(&self, kid: &str) {
        self.project.jwks.keyring.remove(kid);
    }

    /// A good access token as Supabase Auth issues it after a login with a password, good for an hour.
    ///
    /// It is always of one user and one session, which this server does not know: `GET /user` answers 403.
    /// For a token with a session behind it see [`sign_in`](Self::sign_in).
    pub fn token(&self) -> TokenBuilder {
        self.project.access_token(&self.project.somebody)
    }

    /// An ID token as Supabase's OAuth server issues it: the same key and `typ` as an access token, but `aud`
    /// is the client's UUID, there is a `nonce`, and neither `role` nor `session_id`.
    pub fn id_token(&self) -> TokenBuilder {
        self.project.id_token()
    }

    /// The legacy `anon` API key: a JWT signed with HS256 by the [`legacy_secret`](Self::legacy_secret), with
    /// the claims `iss` (`"supabase"`), `ref`, `role`, `iat` and `exp`. It is public, and nobody's login.
    pub fn anon_key(&self) -> String {
        api_key(&self.project.legacy_key, "anon")
    }

    /// The legacy `service_role` API key, of the same form as the [`anon_key`](Self::anon_key).
    pub fn service_role_key(&self) -> String {
        api_key(&self.project.legacy_key, "service_role")
    }

    /// The secret of HS256, random per project: 43 characters, whose bytes are the key.
    pub fn legacy_secret(&self) -> &str {
        &self.project.legacy_secret
    }

    /// An access token like [`token`](Self::token), but signed with HS256 by the legacy secret. Its `kid` has
    /// characters of standard base64 (`+`, `/`), as hosted projects have them.
    pub fn legacy_token(&self) -> TokenBuilder {
        self.token().key(&self.project.legacy_key)
    }

    /// Lifetime of the access tokens issued at login and refresh from now on, in seconds; negative ones have
    /// expired already.
    pub fn set_access_token_expires_in(&self, seconds: i64) {
        self.project.set_access_token_expires_in(seconds);
    }

    /// How many requests for the JWK Set have arrived, answered or not.
    pub fn jwks_requests(&self) -> usize {
        self.project.jwks.requests()
    }

    /// How many requests have arrived, of any path.
    pub fn requests(&self) -> usize {
        self.server.requests()
    }

    /// How many requests to exchange a refresh token have arrived, granted or not.
    pub fn refreshes(&self) -> usize {
        self.presentations().iter().sum()
    }

    /// How often each refresh token was presented, granted or not, in the order of their first presentation.
    /// No token was presented twice if `presentations().iter().all(|times| *times == 1)`.
    pub fn presentations(&self) -> Vec<usize> {
        self.project.presentations.counts()
    }

    /// How often this refresh token was presented.
    pub fn presentations_of(&self, refresh_token: &str) -> usize {
        self.project.presentations.of(refresh_token)
    }

    /// Every access token and refresh token given out at login and refresh, the oldest first. A test can look
    /// for them in logs and in answers to a browser, where none of them may be.
    pub fn issued_tokens(&self) -> Vec<String> {
        self.project.issued()
    }

    /// How many sessions there are.
    pub fn sessions_alive(&self) -> usize {
        self.project.store().sessions_alive()
    }

    /// Whether there is this session: the `session_id` of an access token.
    pub fn session_alive(&self, session_id: &str) -> bool {
        self.project.store().session_alive(session_id)
    }

    /// Answers requests for the JWK Set with this HTTP status and no body, until [`recover`](Self::recover).
    ///
    /// # Panics
    /// When the status is not of three digits, or below 200.
    pub fn fail_with(&self, status: u16) {
        self.project.jwks.faults.fail_with(status);
    }

    /// Requests for the JWK Set hang until [`recover`](Self::recover).
    pub fn hold(&self) {
        self.project.jwks.faults.hold();
    }

    /// Answers refresh requests with this HTTP status and spends no token, until [`recover`](Self::recover).
    ///
    /// The body is that of the real failure: 409 `conflict`, 429 `over_request_rate_limit`, 504
    /// `request_timeout`, else `unexpected_failure`.
    ///
    /// # Panics
    /// When the status is not of three digits, or below 200.
    pub fn fail_refresh_with(&self, status: u16) {
        self.project.refresh_faults.fail_with(status);
    }

    /// Answers to refresh requests take this long, until [`recover`](Self::recover). The token is spent
    /// before: a client that gives up meanwhile has lost the answer.
    pub fn delay_refresh(&self, delay: Duration) {
        self.project.refresh_faults.delay(delay);
    }

    /// Refresh requests hang, with nothing spent yet, until [`recover`](Self::recover).
    pub fn hold_refresh(&self) {
        self.project.refresh_faults.hold();
    }

    /// What becomes of the next requests to exchange a refresh token, one each, in this order, after those
    /// scripted before. Then they are answered as usual.
    ///
    /// ```
    /// use bearer_testing::{TestSupabase, TokenFault};
    /// # use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
    /// #
    /// # async fn refresh(supabase: &TestSupabase, token: &str) -> std::io::Result<String> {
    /// #     let address = supabase.project_url().trim_start_matches("http://");
    /// #     let mut stream = TcpStream::connect(address).await?;
    /// #     let body = format!(r#"{{"refresh_token":"{token}"}}"#);
    /// #     let request = format!(
    /// #         "POST /auth/v1/token?grant_type=refresh_token HTTP/1.1\r\nHost: test\r\n\
    /// #          Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
    /// #         body.len(),
    /// #     );
    /// #     stream.write_all(request.as_bytes()).await?;
    /// #     let mut answer = String::new();
    /// #     stream.read_to_string(&mut answer).await?;
    /// #     Ok(answer)
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let supabase = TestSupabase::start().await;
    /// supabase.add_user("ada@example.com", "correct horse");
    /// let session = supabase.sign_in("ada@example.com");
    /// let token = session["refresh_token"].as_str().unwrap();
    ///
    /// // The first answer is lost, the second request comes too soon, the third gets what the first should
    /// // have got.
    /// supabase.script_refreshes([TokenFault::ResetAfterCommit, TokenFault::TooManyRequests(Some(1))]);
    /// assert!(refresh(&supabase, token).await.is_err());
    /// assert!(refresh(&supabase, token).await.unwrap().starts_with("HTTP/1.1 429 "));
    /// assert!(refresh(&supabase, token).await.unwrap().starts_with("HTTP/1.1 200 "));
    /// assert_eq!(supabase.presentations(), [3]);
    /// # }
    /// ```
    pub fn script_refreshes(&self, faults: impl IntoIterator<Item = TokenFault>) {
        self.project.token_faults.script(faults);
    }

    /// Ends all that [`fail_with`](Self::fail_with), [`hold`](Self::hold),
    /// [`fail_refresh_with`](Self::fail_refresh_with), [`delay_refresh`](Self::delay_refresh),
    /// [`hold_refresh`](Self::hold_refresh) and [`script_refreshes`](Self::script_refreshes) began; requests
    /// that wait are answered.
    pub fn recover(&self) {
        self.project.jwks.faults.recover();
        self.project.refresh_faults.recover();
        self.project.token_faults.recover();
    }
}

impl fmt::Debug for TestSupabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestSupabase").field("project_url", &self.project_url()).finish_non_exhaustive()
    }
}
