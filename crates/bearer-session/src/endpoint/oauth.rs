//! [`OAuthEndpoint`]: any issuer of OAuth 2 or OpenID Connect.

// Not through the `oauth2` crate (5.0), which is the field's own: of a failed exchange it tells neither the
// status nor `Retry-After`, on which hangs whether a token was spent; its parse errors hold the whole answer,
// tokens and all, and print it; it knows no ID token and no metadata. What it would save is a form of five
// fields and a SHA-256, for second versions of sha2, base64, rand and thiserror, and chrono.

use super::{
    AfterUnknown, CodeExchange, ExchangeError, InvalidEndpoint, OAuthClient, OnBehalf, Outcome, SignIn,
    SignInRequest, SignOutRequest, SignOutScope, TokenEndpoint,
    answer::{Answer, Dialect},
    discovery::{Metadata, NotRead, answered, locations, named},
    http_client,
    id_token::{self, OfSignIn, Parties},
    location::{PlainHosts, check},
};
use crate::{AccessToken, BoxFuture, RefreshToken, TokenSet, token_response::UNLESS_TOLD};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use reqwest::{Client, ClientBuilder, RequestBuilder};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::{info, warn};
use url::{Url, form_urlencoded::Serializer};

/// The endpoints of an issuer, and the client that it knows us as.
///
/// When an answer is lost, the refresh token is not presented again ([`AfterUnknown::FailClosed`]): most
/// issuers take a second time for theft and end the session.
///
/// ```
/// use bearer_session::{
///     Secret,
///     endpoint::{OAuthClient, OAuthEndpoint, PkceVerifier, SignIn as _, SignInRequest},
/// };
/// # use bearer_testing::TestOAuth;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let issuer = TestOAuth::start().await;
/// let app = OAuthClient::secret_basic("app", Secret::new("its-secret"));
/// let endpoint = OAuthEndpoint::discover(issuer.issuer(), app.clone()).await?.scope("openid offline_access");
///
/// let pkce = PkceVerifier::generate();
/// let request = SignInRequest::new("https://app.example/callback", "state", "challenge", "nonce");
/// assert!(endpoint.authorization_url(&request).is_some_and(|url| url.contains("code_challenge_method=S256")));
///
/// // To the letter: a slash more is another issuer.
/// assert!(OAuthEndpoint::discover(&format!("{}/", issuer.issuer()), app).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct OAuthEndpoint {
    http: Client,
    client: OAuthClient,
    metadata: Metadata,
    issuer: Option<Box<str>>,
    scope: Option<Box<str>>,
    extra: Vec<(Box<str>, Box<str>)>,
    lifetime: Duration,
    after_unknown: AfterUnknown,
}

impl OAuthEndpoint {
    /// Reads where the endpoints are from the issuer's metadata (OpenID Connect Discovery 1.0, RFC 8414),
    /// once: while the issuer is down, this fails. Whoever must start then too says what the metadata would
    /// have said, by [`new`](Self::new) and the methods below, and [`of_issuer`](Self::of_issuer).
    ///
    /// # Errors
    /// When `issuer` is no URL that may be asked, when its metadata cannot be read or is another issuer's, or
    /// when an endpoint in it is one that tokens must not be sent to.
    pub async fn discover(issuer: &str, client: OAuthClient) -> Result<Self, InvalidEndpoint> {
        Self::discover_with_client(issuer, client, http_client::default_client()).await
    }

    /// As [`discover`](Self::discover), with a client as the application sets it up: its proxy, certificates
    /// and timeouts. That it follows no redirect, repeats nothing, and keeps no connection open is seen to
    /// here; otherwise a refresh token is sent elsewhere, or twice. In a client that is built already none of
    /// that can be changed: hence a builder, where the fetcher of keys (bearer-jwks) takes a client.
    ///
    /// # Errors
    /// As for [`discover`](Self::discover), or when the client cannot be made.
    pub async fn discover_with_client(
        issuer: &str,
        client: OAuthClient,
        http: ClientBuilder,
    ) -> Result<Self, InvalidEndpoint> {
        let http = http_client::build(http)?;
        let metadata = read_metadata(&http, issuer, client.plain()).await?;
        if metadata.revocation.is_none() {
            info!(
                issuer,
                "the issuer names no `revocation_endpoint`: it is not told of sign-outs, and a refresh token lives there \
                until it expires"
            );
        }
        Ok(Self { issuer: Some(issuer.into()), ..Self::from_parts(http, client, metadata) })
    }

    /// An issuer without metadata: with this alone it exchanges refresh tokens.
    ///
    /// # Errors
    /// When tokens must not be sent there.
    pub fn new(token_endpoint: &str, client: OAuthClient) -> Result<Self, InvalidEndpoint> {
        Self::with_client(token_endpoint, client, http_client::default_client())
    }

    /// As [`new`](Self::new), with a client as the application sets it up, as for
    /// [`discover_with_client`](Self::discover_with_client).
    ///
    /// # Errors
    /// As for [`new`](Self::new), or when the client cannot be made.
    pub fn with_client(
        token_endpoint: &str,
        client: OAuthClient,
        http: ClientBuilder,
    ) -> Result<Self, InvalidEndpoint> {
        let token = check(token_endpoint, client.plain())?;
        let (authorization, revocation, end_session) = (None, None, None);
        let metadata = Metadata { token, authorization, revocation, end_session, names_itself: false };
        Ok(Self::from_parts(http_client::build(http)?, client, metadata))
    }

    fn from_parts(http: Client, client: OAuthClient, metadata: Metadata) -> Self {
        Self {
            http,
            client,
            metadata,
            issuer: None,
            scope: None,
            extra: Vec::new(),
            lifetime: UNLESS_TOLD,
            after_unknown: AfterUnknown::FailClosed,
        }
    }

    /// Holds answers to this issuer, to the letter: the `iss` beside a code (RFC 9207) and the `iss` of an ID
    /// token (OpenID Connect Core 1.0 §3.1.3.7). That is so by itself of one that was
    /// [discovered](Self::discover); of one whose locations are told, nobody knows its name else, and then
    /// neither is compared.
    #[must_use]
    pub fn of_issuer(mut self, issuer: impl Into<Box<str>>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Signs users in there.
    ///
    /// # Errors
    /// When that is not a location for it.
    pub fn authorization_endpoint(mut self, location: &str) -> Result<Self, InvalidEndpoint> {
        self.metadata.authorization = Some(check(location, self.client.plain())?);
        Ok(self)
    }

    /// Revokes tokens there (RFC 7009).
    ///
    /// At some issuers this ends more than the one session: at Auth0 all refresh tokens of the user and
    /// application where "Refresh Token Revocation Deletes Grant" is on; at Keycloak the client's part of the
    /// single sign-on session; at Better Auth, of a token that was spent or revoked before, all sessions of
    /// the user with this client.
    ///
    /// # Errors
    /// When tokens must not be sent there.
    pub fn revocation_endpoint(mut self, location: &str) -> Result<Self, InvalidEndpoint> {
        self.metadata.revocation = Some(check(location, self.client.plain())?);
        Ok(self)
    }

    /// Sends users there who signed out (OpenID Connect RP-Initiated Logout 1.0).
    ///
    /// # Errors
    /// When that is not a location for it.
    pub fn end_session_endpoint(mut self, location: &str) -> Result<Self, InvalidEndpoint> {
        self.metadata.end_session = Some(check(location, self.client.plain())?);
        Ok(self)
    }

    /// Asks for these scopes, separated by spaces. With `openid` a sign-in needs an ID token;
    /// `offline_access` is what many issuers want for a refresh token.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<Box<str>>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// One more parameter of the authorization URL, such as `audience`, `prompt` or `resource`. A request
    /// that says the same of its own, such as a stronger [`acr_values`](SignInRequest::step_up) or one of its
    /// [`parameters`](SignInRequest::parameters), has its way.
    #[must_use]
    pub fn authorization_parameter(mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        self.extra.push((name.into(), value.into()));
        self
    }

    /// How long an access token lives of which the issuer does not say (RFC 6749 §5.1). 5 minutes by default.
    #[must_use]
    pub const fn lifetime_unless_told(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Presents a refresh token again when its answer was lost. Only for an issuer that is known to forgive
    /// that, or that does not rotate: any other ends the session, if not all sessions of the user, and tells
    /// of a theft.
    #[must_use]
    pub const fn present_again_at_the_risk_of_the_session(mut self) -> Self {
        self.after_unknown = AfterUnknown::PresentAgain;
        self
    }

    /// One form to an endpoint.
    async fn post(&self, location: &Url, parameters: &[(&str, &str)]) -> Result<Answer, ExchangeError> {
        let request = self.form(location, parameters);
        let request = request.map_err(|error| ExchangeError::new(Outcome::NotSpent).with_source(error))?;
        http_client::send(request).await
    }

    /// A form, with the client's proof in it.
    fn form(&self, location: &Url, parameters: &[(&str, &str)]) -> Result<RequestBuilder, InvalidEndpoint> {
        let (mut headers, mut form) = (HeaderMap::new(), Serializer::new(String::new()));
        form.extend_pairs(parameters);
        self.client.prove(&mut headers, &mut form)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        // GitHub answers with a form unless it is asked not to.
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(self.http.post(location.clone()).headers(headers).body(form.finish()))
    }

    /// Revokes the refresh token, or else the access token, where there is an endpoint for it (RFC 7009).
    async fn revoke(
        &self,
        access_token: &AccessToken,
        refresh_token: Option<&RefreshToken>,
    ) -> Result<(), ExchangeError> {
        let Some(location) = &self.metadata.revocation else { return Ok(()) };
        let form = match refresh_token {
            Some(token) => [("token", token.expose()), ("token_type_hint", "refresh_token")],
            None => [("token", access_token.expose()), ("token_type_hint", "access_token")],
        };
        let answer = self.post(location, &form).await?;
        // A token that it does not know is revoked (RFC 7009 §2.2); one of a kind that it never revokes is no
        // failure of the sign-out (§2.2.1).
        let is_of_no_use = answer.status == StatusCode::BAD_REQUEST
            && answer.code(Dialect::OAuth).as_deref() == Some("unsupported_token_type");
        if answer.status.is_success() || is_of_no_use {
            return Ok(());
        }
        Err(answer.error(Dialect::OAuth))
    }

    fn wants_id_token(&self) -> bool {
        self.scope.as_deref().is_some_and(|scope| scope.split(' ').any(|scope| scope == "openid"))
    }

    /// That the ID token, if there is to be one, is that of this sign-in.
    fn check_id_token(&self, tokens: &TokenSet, nonce: &str) -> Result<(), ExchangeError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let expected = OfSignIn { nonce, now };
        match &tokens.id_token {
            None if self.wants_id_token() => {
                Err(ExchangeError::new(Outcome::Final).with_code("missing_id_token"))
            }
            None => Ok(()),
            Some(token) => {
                id_token::check_of_sign_in(token.expose(), self.parties(), expected).map_err(|why| {
                    ExchangeError::new(Outcome::Final).with_code("invalid_id_token").with_source(why)
                })
            }
        }
    }

    fn parties(&self) -> Parties<'_> {
        Parties { issuer: self.issuer.as_deref(), client: self.client.id() }
    }
}

impl TokenEndpoint for OAuthEndpoint {
    /// An answer without a refresh token leaves the old one in force (RFC 6749 §6). An ID token of another
    /// issuer or for another client is left out (OpenID Connect Core 1.0 §12.2), and a warning logged: the
    /// refresh token is spent, and nobody is signed out for what is for display.
    fn refresh<'a>(
        &'a self,
        token: &'a RefreshToken,
        _: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        Box::pin(async move {
            let form = [("grant_type", "refresh_token"), ("refresh_token", token.expose())];
            let answer = self.post(&self.metadata.token, &form).await?;
            let mut tokens = answer.tokens(Dialect::OAuth, self.lifetime)?;
            tokens.refresh_token.get_or_insert_with(|| token.clone());
            if let Some(id_token) = &tokens.id_token
                && let Err(why) = id_token::check_of_refresh(id_token.expose(), self.parties())
            {
                warn!(%why, issuer = self.issuer, "the ID token of a refresh is left out");
                tokens.id_token = None;
            }
            Ok(tokens)
        })
    }

    /// Revokes the refresh token, or the access token where there is none, at an issuer that has an endpoint
    /// for it. Others, such as Entra ID, are not told, and the session is over here alone; the log says so
    /// when the issuer is discovered.
    ///
    /// An issuer of OAuth ends no other sessions of the user: [`SignOutScope::Global`] does the same and
    /// [`SignOutScope::Others`] nothing, and both are an error with the code `unsupported_scope`. Those that
    /// are kept here, their owner ends one by one.
    fn sign_out<'a>(
        &'a self,
        access_token: &'a AccessToken,
        refresh_token: Option<&'a RefreshToken>,
        scope: SignOutScope,
        _: OnBehalf,
    ) -> BoxFuture<'a, Result<(), ExchangeError>> {
        Box::pin(async move {
            if scope != SignOutScope::Others {
                self.revoke(access_token, refresh_token).await?;
            }
            if scope == SignOutScope::Local {
                return Ok(());
            }
            Err(ExchangeError::new(Outcome::NotSpent).with_code("unsupported_scope"))
        })
    }

    fn after_unknown(&self) -> AfterUnknown {
        self.after_unknown
    }

    fn ends_other_sessions(&self) -> bool {
        false
    }
}

impl SignIn for OAuthEndpoint {
    /// `None` without an authorization endpoint. A provider is not what OAuth knows; see
    /// [`authorization_parameter`](OAuthEndpoint::authorization_parameter).
    fn authorization_url(&self, request: &SignInRequest<'_>) -> Option<String> {
        let mut url = self.metadata.authorization.clone()?;
        let max_age = request.max_age.map(|seconds| seconds.to_string());
        let parameters = [
            ("response_type", Some("code")),
            ("client_id", Some(self.client.id())),
            ("redirect_uri", Some(request.redirect_uri)),
            ("state", Some(request.state)),
            ("code_challenge", Some(request.pkce_challenge)),
            ("code_challenge_method", Some("S256")),
            ("nonce", Some(request.nonce)),
            ("scope", request.scope.or(self.scope.as_deref())),
            ("acr_values", request.acr_values),
            ("max_age", max_age.as_deref()),
        ];
        // None stands there twice (RFC 6749 §3.1): what is asked for now takes the place of what usually is,
        // and of nothing that belongs to the location.
        let mut more = request.free_parameters();
        more.retain(|(name, _)| url.query_pairs().all(|(known, _)| known != *name));
        let is_usual = |name: &str| {
            parameters.iter().all(|(asked, value)| *asked != name || value.is_none())
                && more.iter().all(|(asked, _)| *asked != name)
        };
        let extra = self.extra.iter().filter(|(name, _)| is_usual(name));
        let mut query = url.query_pairs_mut();
        query.extend_pairs(parameters.iter().filter_map(|(name, value)| Some((name, (*value)?))));
        query.extend_pairs(&more);
        query.extend_pairs(extra.map(|(name, value)| (name, value)));
        drop(query);
        Some(url.into())
    }

    /// The ID token, where there is one or `openid` was asked for, must be of this issuer, for this client,
    /// in time, and have the nonce (OpenID Connect Core 1.0 §3.1.3.7).
    fn exchange_code<'a>(
        &'a self,
        exchange: CodeExchange<'a>,
        _: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        Box::pin(async move {
            let form = [
                ("grant_type", "authorization_code"),
                ("code", exchange.code),
                ("redirect_uri", exchange.redirect_uri),
                ("code_verifier", exchange.verifier.secret().expose()),
            ];
            let answer = self.post(&self.metadata.token, &form).await?;
            let tokens = answer.tokens(Dialect::OAuth, self.lifetime)?;
            self.check_id_token(&tokens, exchange.nonce)?;
            Ok(tokens)
        })
    }

    fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// As its metadata says.
    fn names_itself(&self) -> bool {
        self.metadata.names_itself
    }

    fn sign_out_url(&self, request: &SignOutRequest<'_>) -> Option<String> {
        let mut url = self.metadata.end_session.clone()?;
        let mut query = url.query_pairs_mut();
        query.append_pair("client_id", self.client.id());
        let id_token = request.id_token.map(crate::Secret::expose);
        let parameters = [
            ("id_token_hint", id_token),
            ("post_logout_redirect_uri", request.redirect_uri),
            ("state", request.state),
        ];
        query.extend_pairs(parameters.into_iter().filter_map(|(name, value)| Some((name, value?))));
        drop(query);
        Some(url.into())
    }
}

/// Reads the metadata at the first place where there is any.
async fn read_metadata(http: &Client, issuer: &str, plain: &PlainHosts) -> Result<Metadata, InvalidEndpoint> {
    let mut told = None;
    let url = check(issuer, plain)?;
    for place in locations(&url) {
        let request = http.get(place).header(ACCEPT, "application/json");
        let answer = http_client::send(request)
            .await
            .map_err(|error| InvalidEndpoint::Unreachable(error.to_string()))?;
        match answered(answer.status, &answer.body, issuer, |location| named(location, &url, plain)) {
            Ok(metadata) => return Ok(metadata),
            Err(NotRead::Refused(error)) => return Err(error),
            Err(NotRead::Nothing(why)) => told = told.or(why),
        }
    }
    Err(told.unwrap_or_else(|| InvalidEndpoint::Unreachable("there is none where it should be".to_owned())))
}

#[cfg(test)]
mod tests;
