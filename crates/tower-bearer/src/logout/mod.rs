//! The receiver of logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.5–2.8).

mod answer;
mod effect;
mod future;

pub use future::LogoutFuture;

use crate::{
    AuthError, JwtVerifier, LogoutToken, VerifyLogoutToken,
    revocation::{DenyList, Table},
};
use answer::{Log, Refusal};
use effect::{Effect, Heeding};
use http::{HeaderMap, HeaderValue, Method, Request, Response, header::CONTENT_TYPE};
use http_body::Body;
use std::{
    convert::Infallible,
    error::Error,
    fmt,
    marker::PhantomData,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use tower_service::Service;

/// The longest request, in bytes.
const LIMIT: usize = 64 * 1024;

/// How many logout tokens are remembered, each for some ten minutes.
const REMEMBERED: usize = 64 * 1024;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The service at the `backchannel_logout_uri`: the issuer posts a logout token, and the access tokens of
/// that session or user are in the [`DenyList`].
///
/// | request | answer |
/// |---|---|
/// | a good logout token | 200 |
/// | not `POST` | 405 |
/// | more than 64 KiB, no form, no `logout_token` or two, a bad one, one that came before | 400 `invalid_request` |
/// | one that cannot be judged or carried out now, for want of keys or of room, or [by you](Self::on_logout) | 400 `temporarily_unavailable`, `Retry-After` |
///
/// That a logout that failed is 400, whatever the cause, is the rule of Back-Channel Logout §2.8.
///
/// A token with `sid` revokes what was issued for that session up to the second of its `iat`; one with `sub`
/// alone, what was issued to the user. Access tokens that name no session are not touched by a logout that
/// names one. What is issued later is good: a refresh token of `offline_access` outlives a logout (there,
/// §2.7), and brings more. Sessions that live on such tokens are to be ended by
/// [`on_logout`](Self::on_logout). Every answer has `Cache-Control: no-store`, and a refusal its
/// [`AuthError`](crate::AuthError) in the response extensions. Where a token in the name of one of the
/// issuers is refused, a warning says why, at most once a minute. Anybody may post: no gate belongs around
/// it. How long a request may take is the server's to bound.
///
/// ```
/// use http::{Request, StatusCode};
/// use tower::ServiceExt;
/// use tower_bearer::{Algorithm, Issuer, JwtVerifier, LogoutReceiver, revocation::DenyList};
/// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let verifier = JwtVerifier::new([Issuer::new("https://issuer.example", "https://api.example")
///     .hmac_secret(Algorithm::HS256, [7; 32])
///     .logout_client("web")])?;
/// let list = DenyList::new(100_000);
/// let receiver = LogoutReceiver::new(verifier, list.clone());
///
/// # let key = SigningKey::hmac(Alg::HS256, &[7; 32]);
/// # let logout = TokenBuilder::new(&key, "https://issuer.example", "web").logout().claim("sid", "s-1").sign();
/// let post = |body: String| {
///     Request::post("/logout").header("content-type", "application/x-www-form-urlencoded").body(body)
/// };
/// let response = receiver.clone().oneshot(post(format!("logout_token={logout}"))?).await?;
/// assert_eq!(response.status(), StatusCode::OK);
/// assert_eq!(list.len(), 1);
///
/// let again = receiver.oneshot(post(format!("logout_token={logout}"))?).await?;
/// assert_eq!(again.status(), StatusCode::BAD_REQUEST, "each is heeded once");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LogoutReceiver<ResBody = String> {
    verifier: JwtVerifier,
    effect: Effect,
    log: Arc<Log>,
    clock: fn() -> SystemTime,
    body: PhantomData<fn() -> ResBody>,
}

impl LogoutReceiver {
    /// Verifies with `verifier`, whose issuers have a [`logout_client`](crate::Issuer::logout_client), and
    /// revokes in `list`. Where none has one yet, every logout is refused, and the log says so now.
    pub fn new(verifier: JwtVerifier, list: DenyList) -> Self {
        if !verifier.has_logout_client() {
            tracing::warn!("no issuer has a `logout_client` yet: every logout is refused");
        }
        let effect = Effect { list, seen: Arc::new(Table::new(REMEMBERED)), lifetime: DAY, hook: None };
        Self { verifier, effect, log: Arc::new(Log::new()), clock: SystemTime::now, body: PhantomData }
    }
}

impl<ResBody> LogoutReceiver<ResBody> {
    /// The longest life of an access token of these issuers: so long a revocation is kept, and for what their
    /// clocks are granted. Default 24 hours. Shorter takes less room; too short, and a token comes to life
    /// again.
    #[must_use]
    pub fn access_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.effect.lifetime = lifetime;
        self
    }

    /// How many logout tokens are remembered as heeded, each for the ten minutes and leeway that it would be
    /// accepted. When there is no room for another, the logout fails. Default 65536. Clones made before
    /// remember by themselves.
    #[must_use]
    pub fn remembered(mut self, tokens: usize) -> Self {
        self.effect.seen = Arc::new(Table::new(tokens));
        self
    }

    /// What else is to happen at a logout, once the list knows of it: the end of a session of your own, say.
    /// The issuer's request waits for it. Where it fails, the logout has failed, and the issuer may repeat
    /// it, though few do. So it hears of one again that it has carried out in part, and, where several
    /// instances are told, of one that another has.
    ///
    /// ```
    /// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
    /// # use http::{Request, StatusCode};
    /// # use std::{io, sync::{Arc, atomic::{AtomicBool, Ordering::Relaxed}}};
    /// # use tower::ServiceExt;
    /// # use tower_bearer::{Algorithm, Issuer, JwtVerifier, LogoutReceiver, LogoutToken, revocation::DenyList};
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let verifier = JwtVerifier::new([Issuer::new("https://issuer.example", "https://api.example")
    /// #     .hmac_secret(Algorithm::HS256, [7; 32])
    /// #     .logout_client("web")])?;
    /// # let key = SigningKey::hmac(Alg::HS256, &[7; 32]);
    /// # let logout = TokenBuilder::new(&key, "https://issuer.example", "web").logout().claim("sid", "s-1").sign();
    /// # let post = || Request::post("/logout")
    /// #     .header("content-type", "application/x-www-form-urlencoded")
    /// #     .body(format!("logout_token={logout}"));
    /// let database_is_up = Arc::new(AtomicBool::new(false));
    /// let is_up = database_is_up.clone();
    /// let receiver = LogoutReceiver::new(verifier, DenyList::new(100_000)).on_logout(move |token: LogoutToken| {
    ///     let is_up = is_up.clone();
    ///     async move {
    ///         // DELETE FROM session WHERE issuer = $1 AND sid = $2
    ///         assert_eq!(token.sid.as_deref(), Some("s-1"));
    ///         if is_up.load(Relaxed) { Ok(()) } else { Err(io::Error::other("the database is down")) }
    ///     }
    /// });
    /// assert_eq!(receiver.clone().oneshot(post()?).await?.status(), StatusCode::BAD_REQUEST);
    ///
    /// database_is_up.store(true, Relaxed);
    /// assert_eq!(receiver.oneshot(post()?).await?.status(), StatusCode::OK);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn on_logout<F, Fut, E>(mut self, heed: F) -> Self
    where
        F: Fn(LogoutToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Error + Send + Sync + 'static,
    {
        self.effect.hook = Some(Arc::new(move |token| {
            let heeding = heed(token);
            Box::pin(async move {
                let failed =
                    |error| AuthError::unavailable("a logout could not be carried out").with_source(error);
                heeding.await.map_err(failed)
            })
        }));
        self
    }

    /// Where the time comes from by which logout tokens are judged, for tests. Default [`SystemTime::now`].
    /// Revocations go by the [clock of the list](DenyList::clock).
    #[must_use]
    pub fn clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.clock = clock;
        self
    }

    /// The type of the response bodies, such as that of the server around it. Default [`String`].
    #[must_use]
    pub fn response_body<B: From<&'static str>>(self) -> LogoutReceiver<B> {
        let Self { verifier, effect, log, clock, .. } = self;
        LogoutReceiver { verifier, effect, log, clock, body: PhantomData }
    }
}

impl<B, ResBody> Service<Request<B>> for LogoutReceiver<ResBody>
where
    B: Body,
    ResBody: From<&'static str>,
{
    type Response = Response<ResBody>;
    type Error = Infallible;
    type Future = LogoutFuture<B, ResBody>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        match check_head(&head.method, &head.headers) {
            Ok(()) => LogoutFuture::reading(body, self.clone()),
            Err(refusal) => LogoutFuture::refused(refusal, self),
        }
    }
}

impl<ResBody> LogoutReceiver<ResBody> {
    fn verify(&self, form: &[u8]) -> Result<VerifyLogoutToken, Refusal> {
        Ok(self.verifier.verify_logout_token(&logout_token(form)?, (self.clock)()))
    }

    fn heed(&self, token: LogoutToken) -> Result<Heeding, Refusal> {
        self.effect.of(token, (self.clock)())
    }
}

fn check_head(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    if method != Method::POST {
        return Err(Refusal::Method);
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (Some(one), None) if is_form(one) => Ok(()),
        _ => Err(Refusal::Form("the content type is not application/x-www-form-urlencoded")),
    }
}

fn is_form(content_type: &HeaderValue) -> bool {
    let essence = content_type.to_str().ok().and_then(|text| text.split(';').next());
    essence.is_some_and(|text| text.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// The one `logout_token`; other parameters are ignored (Back-Channel Logout §2.5).
fn logout_token(form: &[u8]) -> Result<String, Refusal> {
    let mut tokens = form_urlencoded::parse(form).filter(|(name, _)| name == "logout_token");
    match (tokens.next(), tokens.next()) {
        (Some((_, token)), None) => Ok(token.into_owned()),
        (None, _) => Err(Refusal::Form("no logout_token")),
        _ => Err(Refusal::Form("more than one logout_token")),
    }
}

// By hand: a derived `Clone` would demand it of the body.
impl<ResBody> Clone for LogoutReceiver<ResBody> {
    fn clone(&self) -> Self {
        let (verifier, effect, log) = (self.verifier.clone(), self.effect.clone(), Arc::clone(&self.log));
        Self { verifier, effect, log, clock: self.clock, body: PhantomData }
    }
}

impl<ResBody> fmt::Debug for LogoutReceiver<ResBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutReceiver")
            .field("verifier", &self.verifier)
            .field("list", &self.effect.list)
            .field("access_token_lifetime", &self.effect.lifetime)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests;
