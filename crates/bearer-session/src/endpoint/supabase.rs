//! [`SupabaseEndpoint`]: Supabase Auth, hosted or self-hosted.

use super::{
    AfterUnknown, CodeExchange, ExchangeError, InvalidEndpoint, OnBehalf, Outcome, RateBudget, SignIn,
    SignInRequest, SignOutScope, TokenEndpoint,
    answer::{Answer, Dialect},
    budget::{Need, RateLimiter},
    http_client,
    location::{PlainHosts, check},
};
use crate::{AccessToken, BoxFuture, RefreshToken, Secret, TokenSet, token_response::UNLESS_TOLD};
use http::{
    HeaderName, HeaderValue,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use reqwest::{Client, ClientBuilder, RequestBuilder};
use serde_json::json;
use std::sync::Arc;
use url::Url;

const API_KEY: HeaderName = HeaderName::from_static("apikey");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("sb-forwarded-for");
const API_VERSION: (&str, &str) = ("x-supabase-api-version", "2024-01-01");

/// The token endpoint of a Supabase project. Clones share one.
///
/// When an answer is lost, the same refresh token is presented again: Supabase Auth gives the successor of a
/// token once more to whoever lost it ([`AfterUnknown::PresentAgain`]).
///
/// ```
/// use bearer_session::{
///     Secret,
///     endpoint::{OnBehalf, Outcome, SupabaseEndpoint, TokenEndpoint as _},
/// };
/// # use bearer_testing::TestSupabase;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let supabase = TestSupabase::start().await;
/// # supabase.add_user("ada@example.com", "correct horse");
/// # let project_url = supabase.project_url();
/// let endpoint = SupabaseEndpoint::new(project_url, "sb_publishable_…")?;
/// # let endpoint = SupabaseEndpoint::new(project_url, "sb_publishable_1")?;
/// let nobody = OnBehalf::default();
///
/// let first = endpoint.password("ada@example.com", &Secret::new("correct horse"), nobody).await?;
/// let token = first.refresh_token.expect("there is one");
/// let second = endpoint.refresh(&token, nobody).await?;
/// assert_ne!(second.refresh_token, Some(token));
///
/// let refused = endpoint.password("ada@example.com", &Secret::new("a guess"), nobody).await.unwrap_err();
/// assert_eq!((refused.outcome(), refused.code()), (Outcome::Final, Some("invalid_credentials")));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SupabaseEndpoint {
    client: Client,
    auth: Url,
    issuer: Box<str>,
    api_key: HeaderValue,
    bearer: HeaderValue,
    forwards: bool,
    provider: Option<Box<str>>,
    limiter: Option<Arc<RateLimiter>>,
}

impl SupabaseEndpoint {
    /// The project at this URL, such as `https://abc.supabase.co` or `http://127.0.0.1:54321`, as the owner
    /// of this key: the publishable one (or the legacy `anon` key), or a secret one.
    ///
    /// Supabase counts requests by address, and here those of all users come from one. With a secret key
    /// (`sb_secret_…`), the address of the user's client goes along as `Sb-Forwarded-For`, which the project
    /// must have been told to heed; without one set a [`rate_budget`](Self::rate_budget): otherwise a visitor
    /// who guesses passwords uses up what the sessions of all users are refreshed with.
    ///
    /// # Errors
    /// When the URL is no such URL, or the key is empty or such that no header can carry it.
    pub fn new(project_url: &str, key: &str) -> Result<Self, InvalidEndpoint> {
        Self::with_client(project_url, key, http_client::default_client())
    }

    /// As [`new`](Self::new), with a client as the application sets it up: its proxy, certificates and
    /// timeouts. That it follows no redirect, repeats nothing, and keeps no connection open is seen to here;
    /// otherwise a refresh token is sent elsewhere, or twice. In a client that is built already none of that
    /// can be changed: hence a builder, where the fetcher of keys (bearer-jwks) takes a client.
    ///
    /// # Errors
    /// As for [`new`](Self::new), or when the client cannot be made.
    pub fn with_client(project_url: &str, key: &str, client: ClientBuilder) -> Result<Self, InvalidEndpoint> {
        let base = project_url.trim_end_matches('/');
        let issuer = format!("{}/auth/v1", base.strip_suffix("/auth/v1").unwrap_or(base));
        // Of a variable that is not set, for one. Every request would be refused, and look like an outage.
        if key.trim().is_empty() {
            return Err(InvalidEndpoint::Key);
        }
        let auth = check(&issuer, PlainHosts::NONE)?;
        if auth.query().is_some() {
            return Err(InvalidEndpoint::NotAUrl(project_url.to_owned()));
        }
        Ok(Self {
            client: http_client::build(client)?,
            auth,
            issuer: issuer.into(),
            api_key: secret_value(key)?,
            bearer: secret_value(&format!("Bearer {key}"))?,
            forwards: key.starts_with("sb_secret_"),
            provider: None,
            limiter: None,
        })
    }

    /// Signs users in at this provider, such as `github`, when a [`SignInRequest`] names none.
    #[must_use]
    pub fn provider(mut self, provider: impl Into<Box<str>>) -> Self {
        self.provider = Some(provider.into());
        self
    }

    /// Asks no more often than this for requests that Supabase counts as those of this machine: beyond it the
    /// answer is [`Outcome::NotSpent`] at once, with the time to wait. Clones share the budget, other
    /// processes do not.
    ///
    /// Half of what may be asked at once is kept for refreshes: a sign-in, which any visitor can try, and a
    /// refresh that [can wait](OnBehalf::can_wait) get what is above it. A quarter is kept from sign-outs.
    ///
    /// Not limited by default, because a project may have raised its limits, or be one's own. For a hosted
    /// one that has not, that is [`RateBudget::HOSTED`].
    #[must_use]
    pub fn rate_budget(mut self, budget: RateBudget) -> Self {
        self.limiter = Some(Arc::new(RateLimiter::new(budget)));
        self
    }

    /// Signs a user in.
    ///
    /// # Errors
    /// As for a refresh: [`Outcome::Final`] says that the password is wrong, or may not be used.
    pub async fn password(
        &self,
        email: &str,
        password: &Secret,
        on_behalf: OnBehalf,
    ) -> Result<TokenSet, ExchangeError> {
        let body = json!({ "email": email, "password": password.expose() });
        self.token("password", &body, Need::CanWait, on_behalf).await
    }

    async fn token(
        &self,
        grant_type: &str,
        body: &serde_json::Value,
        need: Need,
        on_behalf: OnBehalf,
    ) -> Result<TokenSet, ExchangeError> {
        let mut url = self.at("token");
        url.query_pairs_mut().append_pair("grant_type", grant_type);
        let request = self.client.post(url).header(AUTHORIZATION, self.bearer.clone());
        let request = request.header(CONTENT_TYPE, "application/json;charset=UTF-8").body(body.to_string());
        let tokens = self.send(request, need, on_behalf).await?.tokens(Dialect::Supabase, UNLESS_TOLD);
        let counts_by_client = self.forwards && on_behalf.client.is_some();
        tokens.map_err(|error| if counts_by_client { error.of_one_client() } else { error })
    }

    /// Sends a request with what all of them have.
    async fn send(
        &self,
        request: RequestBuilder,
        need: Need,
        on_behalf: OnBehalf,
    ) -> Result<Answer, ExchangeError> {
        let mut request = request.header(API_KEY, self.api_key.clone()).header(API_VERSION.0, API_VERSION.1);
        match on_behalf.client {
            Some(client) if self.forwards => {
                request = request.header(FORWARDED_FOR, client.to_canonical().to_string());
            }
            _ => {
                if let Some(Err(wait)) = self.limiter.as_deref().map(|limiter| limiter.take(need)) {
                    return Err(ExchangeError::new(Outcome::NotSpent).with_retry_after(wait));
                }
            }
        }
        http_client::send(request).await
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.auth.clone();
        url.set_path(&format!("{}/{path}", self.auth.path()));
        url
    }
}

impl TokenEndpoint for SupabaseEndpoint {
    fn refresh<'a>(
        &'a self,
        token: &'a RefreshToken,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        Box::pin(async move {
            let body = json!({ "refresh_token": token.expose() });
            let need = if on_behalf.can_wait { Need::CanWait } else { Need::Refresh };
            let mut tokens = self.token("refresh_token", &body, need, on_behalf).await?;
            tokens.refresh_token.get_or_insert_with(|| token.clone());
            Ok(tokens)
        })
    }

    /// Needs an access token that has not expired: with one that has, Supabase ends nothing and says
    /// `bad_jwt`, which is passed on, as [`Outcome::NotSpent`]; the owner of the session then gets another. A
    /// session or user that is gone already is no error.
    fn sign_out<'a>(
        &'a self,
        access_token: &'a AccessToken,
        _: Option<&'a RefreshToken>,
        scope: SignOutScope,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<(), ExchangeError>> {
        Box::pin(async move {
            let mut url = self.at("logout");
            url.query_pairs_mut().append_pair(
                "scope",
                match scope {
                    SignOutScope::Local => "local",
                    SignOutScope::Others => "others",
                    SignOutScope::Global => "global",
                },
            );
            let not_sent = |error| ExchangeError::new(Outcome::NotSpent).with_source(error);
            let bearer = secret_value(&format!("Bearer {}", access_token.expose())).map_err(not_sent)?;
            let request = self.client.post(url).header(AUTHORIZATION, bearer);
            let answer = self.send(request, Need::SignOut, on_behalf).await?;
            let is_gone = || {
                let code = answer.code(Dialect::Supabase);
                matches!(code.as_deref(), Some("session_not_found" | "user_not_found" | "session_expired"))
            };
            if answer.status.is_success() || (answer.status.is_client_error() && is_gone()) {
                return Ok(());
            }
            Err(answer.error(Dialect::Supabase))
        })
    }

    fn after_unknown(&self) -> AfterUnknown {
        AfterUnknown::PresentAgain
    }
}

impl SignIn for SupabaseEndpoint {
    /// Supabase has a `state` of its own with the provider, and gives none back: ours travels in the query of
    /// `redirect_to`, and so comes back all the same. The project's list of redirect URLs must allow for that
    /// (`https://app.example/auth/callback?*`). There is no nonce. More
    /// [`parameters`](SignInRequest::parameters) are for the provider, to which Supabase hands them on.
    fn authorization_url(&self, request: &SignInRequest<'_>) -> Option<String> {
        let mut back = Url::parse(request.redirect_uri).ok()?;
        back.query_pairs_mut().append_pair("state", request.state);
        let mut url = self.at("authorize");
        url.query_pairs_mut()
            .append_pair("provider", request.provider.or(self.provider.as_deref())?)
            .append_pair("redirect_to", back.as_str())
            .append_pair("code_challenge", request.pkce_challenge)
            .append_pair("code_challenge_method", "s256");
        if let Some(scope) = request.scope {
            url.query_pairs_mut().append_pair("scopes", scope);
        }
        url.query_pairs_mut().extend_pairs(request.free_parameters());
        Some(url.into())
    }

    fn exchange_code<'a>(
        &'a self,
        exchange: CodeExchange<'a>,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        Box::pin(async move {
            let verifier = exchange.verifier.secret().expose();
            let body = json!({ "auth_code": exchange.code, "code_verifier": verifier });
            self.token("pkce", &body, Need::CanWait, on_behalf).await
        })
    }

    fn exchange_password<'a>(
        &'a self,
        user: &'a str,
        password: &'a Secret,
        on_behalf: OnBehalf,
    ) -> Option<BoxFuture<'a, Result<TokenSet, ExchangeError>>> {
        Some(Box::pin(self.password(user, password, on_behalf)))
    }

    fn issuer(&self) -> Option<&str> {
        Some(&self.issuer)
    }

    /// Supabase says `access_denied` also where the user agreed, and it was Supabase that refused: of
    /// `signup_disabled`, `user_banned` and `provider_email_needs_verification`. Before it had codes, it put
    /// the number of a status in their place.
    fn refusal<'a>(&self, error: &'a str, error_code: Option<&'a str>) -> &'a str {
        error_code.filter(|code| code.starts_with(|first: char| first.is_ascii_alphabetic())).unwrap_or(error)
    }
}

/// A header that is not printed, and not kept in the tables of HTTP/2.
fn secret_value(text: &str) -> Result<HeaderValue, InvalidEndpoint> {
    let mut value = HeaderValue::from_str(text).map_err(|_| InvalidEndpoint::Key)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
