//! Beginning a session, whatever way the user signed in.

use super::{Keeping, Kind, removed::jar};
use crate::{
    CurrentSession, SessionError, SessionId, Sessions, TokenSet, endpoint::OnBehalf, layer::forbid_caching,
    record::Record, store::Key,
};
use http::{HeaderMap, HeaderValue, header::SET_COOKIE, request::Parts};
use std::time::{Duration, SystemTime};

/// How long a sign-in waits for the session before it to end.
const PATIENCE: Duration = Duration::from_secs(3);

impl Keeping {
    /// Signs in whoever made this request, with tokens that came in a way which the
    /// [routes](crate::session_routes) do not have: a one-time code, a magic link, a passkey, SAML.
    /// [`TokenSet::from_response`] reads them out of the issuer's answer.
    ///
    /// It begins a session under a name that nobody has known before, puts the `Set-Cookie` lines of it into
    /// the response, with `Cache-Control: private, no-store`, and ends the session that the browser had. The
    /// issuer is told of that end where the tokens say that it was another session, or another user's: where
    /// both are one to the issuer (single sign-on, a second factor), the new one would end with it. It does not
    /// matter whether a [`SessionLayer`](crate::SessionLayer) is in front of the handler.
    ///
    /// No other site may get here with tokens of its choice: it would sign the user in as somebody else. Put
    /// a route that takes a form or JSON behind the [`CsrfLayer`](crate::CsrfLayer); and see to
    /// it that what a link brings was asked for by this very browser.
    ///
    /// ```
    /// use axum::{
    ///     Router,
    ///     body::Body,
    ///     extract::State,
    ///     http::{Request, StatusCode, header::SET_COOKIE, request::Parts},
    ///     response::{IntoResponse as _, Redirect, Response},
    ///     routing::post,
    /// };
    /// # use bearer_session::{Secret, endpoint::{ExchangeError, SupabaseEndpoint}};
    /// use bearer_session::{
    ///     CsrfLayer, Keyring, Sessions, TokenSet,
    ///     endpoint::OnBehalf,
    ///     keeping::{Keeping, OpaqueCookie},
    ///     store::MemoryStore,
    /// };
    /// use tower::ServiceExt as _;
    ///
    /// #[derive(Clone)]
    /// struct Site {
    ///     sessions: Sessions,
    ///     keeping: Keeping,
    /// #     endpoint: SupabaseEndpoint,
    /// }
    ///
    /// /// However the issuer answers to such a code.
    /// async fn verified(site: &Site, code: &str) -> Option<TokenSet> {
    ///     // …
    /// #     site.endpoint.password("ada@example.com", &Secret::new(code), OnBehalf::default()).await.ok()
    /// }
    ///
    /// async fn one_time_code(
    ///     State(site): State<Site>,
    ///     request: Parts,
    ///     code: String,
    /// ) -> Result<Response, StatusCode> {
    ///     let tokens = verified(&site, &code).await.ok_or(StatusCode::BAD_REQUEST)?;
    ///     let mut response = Redirect::to("/").into_response();
    ///     site.keeping
    ///         .begin(&site.sessions, tokens, &request, OnBehalf::default(), response.headers_mut())
    ///         .await
    ///         .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    ///     Ok(response)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let supabase = bearer_testing::TestSupabase::start().await;
    /// # supabase.add_user("ada@example.com", "123456");
    /// # let endpoint = SupabaseEndpoint::new(supabase.project_url(), "sb_publishable_1")?;
    /// let store = MemoryStore::new(10_000);
    /// let sessions = Sessions::builder(endpoint.clone(), store, Keyring::random()).build();
    /// let site = Site {
    ///     sessions,
    ///     keeping: OpaqueCookie::new().into(),
    /// #     endpoint,
    /// };
    /// let app = Router::new()
    ///     .route("/code", post(one_time_code))
    ///     .layer(CsrfLayer::new())
    ///     .with_state(site);
    ///
    /// let code = |code: &'static str| Request::post("/code").body(Body::from(code));
    /// let answer = app.clone().oneshot(code("123456")?).await?;
    /// assert!(answer.headers()[SET_COOKIE].to_str()?.starts_with("__Host-session="));
    ///
    /// let refused = app.oneshot(code("a guess")?).await?;
    /// assert!(!refused.headers().contains_key(SET_COOKIE));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Unavailable`](crate::SessionErrorKind::Unavailable) when the store does not take the session: it is
    /// full, or cannot be reached. Then there is no cookie, and the issuer is told that the tokens are given
    /// up. The cookies of `@supabase/ssr` need a refresh token: without one it is
    /// [`SignedOut`](crate::SessionErrorKind::SignedOut).
    ///
    /// # Panics
    /// When the operating system has no randomness, and outside of a Tokio runtime.
    pub async fn begin(
        &self,
        sessions: &Sessions,
        tokens: TokenSet,
        request: &Parts,
        on_behalf: OnBehalf,
        response: &mut HeaderMap,
    ) -> Result<(), SessionError> {
        let before = self.key_of(sessions, request).await;
        let next = Record::signed_in(tokens.clone(), false);
        let (begun, lines) = self.stored(sessions, tokens, &jar(request), on_behalf).await?;
        for line in lines {
            response.append(SET_COOKIE, line);
        }
        forbid_caching(response);
        // A frontend that has signed in by itself may have brought the very tokens that are in its cookies.
        if let Some(before) = before.ok().filter(|before| *before != begun) {
            end(sessions, before, next, on_behalf).await;
        }
        Ok(())
    }

    /// The session of a request: as the layer found it, should that be in front, or else by the cookie.
    pub(crate) async fn key_of(&self, sessions: &Sessions, request: &Parts) -> Result<Key, SessionError> {
        match request.extensions.get::<CurrentSession>() {
            Some(session) => Ok(session.key()),
            None => self.key(sessions, &self.brought(&request.headers)).await,
        }
    }

    /// A new session, and its lines. Where it cannot be stored, the tokens are given up at the issuer too:
    /// nobody will ever present them.
    async fn stored(
        &self,
        sessions: &Sessions,
        tokens: TokenSet,
        request: &HeaderMap,
        on_behalf: OnBehalf,
    ) -> Result<(Key, Vec<HeaderValue>), SessionError> {
        let (access, refresh) = (tokens.access_token.clone(), tokens.refresh_token.clone());
        let (id, stored) = match &self.0 {
            Kind::Opaque(cookie) => {
                let id = SessionId::random();
                let stored = sessions.create_as(&id, tokens).await;
                let begun = stored.map(|()| (id.key(), vec![cookie.write(&id)]));
                (Some(id), begun)
            }
            Kind::SupabaseSsr { cookies, .. } => {
                let lines = cookies.write(request, &tokens, SystemTime::now());
                (None, sessions.adopt(tokens).await.map(|key| (key, lines)))
            }
        };
        if stored.is_err() {
            sessions.give_up(id.as_ref(), access, refresh, on_behalf);
        }
        stored
    }
}

/// Ends the session that a browser had before it signed in anew, as well as that goes. It does not hold the
/// new one up for long, and goes on when the request has gone away.
async fn end(sessions: &Sessions, before: Key, next: Record, on_behalf: OnBehalf) {
    let sessions = sessions.clone();
    let ending = tokio::spawn(async move { sessions.give_way(before, &next, on_behalf).await });
    let _ = tokio::time::timeout(PATIENCE, ending).await;
}
