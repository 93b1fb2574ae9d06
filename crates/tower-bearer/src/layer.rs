//! [`BearerLayer`]: configuration, given to every service it makes.

use crate::{
    Bearer, EmptyRejection, JwtVerifier, Observe, ProtectedResource, Verify,
    challenge::Challenge,
    config::ConfigError,
    gate::{Absent, Gate, Preflight},
    pages::Pages,
    source::{Source, Sources},
};
use std::{sync::Arc, time::SystemTime};
use tower_layer::Layer;

/// The longest token by default, in bytes. HTTP/2 servers stop at 16 KiB of headers anyway.
const LIMIT: usize = 16 * 1024;

/// Lets requests with a good access token through, with [`Verified`](crate::Verified) in their extensions,
/// and answers all others itself.
///
/// | request | answer |
/// |---|---|
/// | no credential of our scheme | 401, a challenge without an error code |
/// | a credential that is none, or two | 400 `invalid_request` |
/// | a token longer than 16 KiB | 400 `invalid_request`, since a 401 would make clients refresh |
/// | a token that proves nothing, or was [revoked](crate::revocation) | 401 `invalid_token` |
/// | a cookie as the credential of a request from another site | 403 |
/// | a token that cannot be judged now, for want of keys or of word about its revocation | 503, `Retry-After` |
/// | one of a browser that opens a page, instead of a 401, with a [`sign_in_page`](Self::sign_in_page) | 303 |
///
/// What is refused by a [policy](crate::policy) behind it is answered in its name:
///
/// | verified caller | answer |
/// |---|---|
/// | without the scopes | 403 `insufficient_scope`, which names them |
/// | whose sign-in is too weak or too long ago (RFC 9470) | 401 `insufficient_user_authentication`, which says what is wanted; 303 for a page, with a [`step_up_page`](Self::step_up_page) |
/// | whom another policy refuses | 403 |
/// | held to claims that the verifier was not set up for | 500 |
///
/// gRPC calls (a POST of the content type `application/grpc`) get the same as a gRPC status. Every answer has
/// its [`AuthError`](crate::AuthError) in the response extensions.
///
/// ```
/// use http::{Request, Response, StatusCode, header::AUTHORIZATION};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_bearer::{Algorithm, BearerLayer, Issuer, JwtVerifier, Verified};
/// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let secret = [7; 32];
/// let verifier = JwtVerifier::new([
///     Issuer::new("https://issuer.example", "https://api.example").hmac_secret(Algorithm::HS256, secret),
/// ])?;
/// let service = BearerLayer::new(verifier).layer(service_fn(async |request: Request<String>| {
///     let who = request.extensions().get::<Verified>().and_then(Verified::subject);
///     Ok::<_, std::convert::Infallible>(Response::new(who.unwrap_or("nobody").to_owned()))
/// }));
///
/// # let key = SigningKey::hmac(Alg::HS256, &secret);
/// # let token = TokenBuilder::new(&key, "https://issuer.example", "https://api.example").subject("alice").sign();
/// let request = Request::builder().header(AUTHORIZATION, format!("Bearer {token}")).body(String::new())?;
/// assert_eq!(service.clone().oneshot(request).await?.into_body(), "alice");
///
/// let refused = service.oneshot(Request::new(String::new())).await?;
/// assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Beside other layers
///
/// A refusal has a body of the type that the service answers with, and makes it by [`Default`]: so the
/// response body of what stands inside must be `Default`. Those that tower-http's `TraceLayer`,
/// `CompressionLayer` and the like make are not, so these layers stand outside of the gate, where they see the
/// refusals too. In a `ServiceBuilder` the first is the outermost, in axum's `Router::layer` the last.
///
/// ```
/// use http::{Request, Response, StatusCode};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_bearer::{Algorithm, BearerLayer, Issuer, JwtVerifier};
/// use tower_http::trace::TraceLayer;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, [7; 32]);
/// # let verifier = JwtVerifier::new([issuer])?;
/// let layers = ServiceBuilder::new().layer(TraceLayer::new_for_http()).layer(BearerLayer::new(verifier));
/// let service = layers.service(service_fn(async |_: Request<String>| {
///     Ok::<_, std::convert::Infallible>(Response::new(String::new()))
/// }));
/// assert_eq!(service.oneshot(Request::new(String::new())).await?.status(), StatusCode::UNAUTHORIZED);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The other way round does not compile:
///
/// ```compile_fail,E0277
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_bearer::{Algorithm, BearerLayer, Issuer, JwtVerifier};
/// use tower_http::trace::TraceLayer;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, [7; 32]);
/// # let verifier = JwtVerifier::new([issuer])?;
/// let layers = ServiceBuilder::new().layer(BearerLayer::new(verifier)).layer(TraceLayer::new_for_http());
/// let service = layers.service(service_fn(async |_: Request<String>| {
///     Ok::<_, std::convert::Infallible>(Response::new(String::new()))
/// }));
/// service.oneshot(Request::new(String::new())).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct BearerLayer<V = JwtVerifier, R = EmptyRejection> {
    pub(crate) rejection: R,
    pub(crate) gate: Arc<Gate<V>>,
}

impl<V: Verify> BearerLayer<V> {
    /// A gate that asks `verifier`.
    pub fn new(verifier: V) -> Self {
        let challenge = Challenge::lenient(V::SCHEME, verifier.realm().unwrap_or_default());
        let gate = Gate {
            verifier,
            challenge: Arc::new(challenge),
            sources: Sources::authorization(),
            limit: LIMIT,
            absent: Absent::Refused,
            preflight: Preflight::AsAnyOther,
            clock: SystemTime::now,
            relays: false,
            strips_credential: false,
            pages: None,
            observer: None,
        };
        Self { rejection: EmptyRejection, gate: Arc::new(gate) }
    }
}

impl<V: Clone, R> BearerLayer<V, R> {
    /// The `realm` of the challenges, instead of the verifier's (for JWTs: the audience).
    ///
    /// # Errors
    /// [`ConfigError::InvalidRealm`] when it is empty, or has other characters than visible ASCII, spaces and
    /// tabs.
    pub fn realm(mut self, realm: &str) -> Result<Self, ConfigError> {
        let challenge = self.gate.challenge.with_realm(realm)?;
        self.gate_mut().challenge = Arc::new(challenge);
        Ok(self)
    }

    /// Names the metadata of `resource` in every challenge (RFC 9728 §5.1), and in a 401 the scopes that a
    /// client needs to begin with. The document itself is served by [`ProtectedResource::layer`]. A client in
    /// a browser sees the challenge only where CORS exposes `WWW-Authenticate`.
    pub fn resource_metadata(mut self, resource: &ProtectedResource) -> Self {
        self.challenge_mut().resource = Some(resource.pointer());
        self
    }

    /// Also takes tokens that come this way; may be called again for another one. See [`Source`].
    pub fn also_from(mut self, source: Source) -> Self {
        self.gate_mut().sources = self.gate.sources.clone().with(source);
        self
    }

    /// Takes refresh tokens out of what is let in, so that nothing further in can spend one. On by itself
    /// where a cookie is a [`Source`]; without a gate, there is
    /// [`StripRefreshTokensLayer`](crate::StripRefreshTokensLayer).
    ///
    /// These are cookies and headers by the names that are usual: `sb-<project>-auth-token` and its chunks,
    /// `sb-refresh-token`, `supabase-auth-token`, `refresh_token`, `refreshToken`, `refresh-token` (all of
    /// them also behind `__Host-` and `__Secure-`), and headers such as `Refresh-Token` and
    /// `X-Refresh-Token`. All other cookies stay as they are. Each path is warned about once, without the
    /// value.
    pub fn strip_refresh_tokens(mut self) -> Self {
        self.gate_mut().sources = self.gate.sources.clone().without_refresh_tokens();
        self
    }

    /// Lets CORS preflights without a credential through as anonymous, for services that answer them further
    /// in: OPTIONS with `Origin` and `Access-Control-Request-Method`. No other OPTIONS.
    ///
    /// Not needed where a CORS layer stands outside of this gate, which is also the way for pages to read
    /// refusals.
    pub fn pass_preflight(mut self) -> Self {
        self.gate_mut().preflight = Preflight::Anonymous;
        self
    }

    /// The longest token, in bytes. Default 16 KiB.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.gate_mut().limit = bytes;
        self
    }

    /// Lets requests **without** a credential through as anonymous. One with a bad credential is refused all
    /// the same: a broken client must learn it. Policies and `AuthUser` further in still refuse who is
    /// anonymous.
    pub fn allow_anonymous(mut self) -> Self {
        self.gate_mut().absent = Absent::Anonymous;
        self
    }

    /// Where the time comes from, for tests. Default [`SystemTime::now`].
    pub fn clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.gate_mut().clock = clock;
        self
    }

    /// Renders the refusals of this gate and of the policies and extractors behind it. Default: no body.
    pub fn rejection<R2>(self, rejection: R2) -> BearerLayer<V, R2> {
        BearerLayer { rejection, gate: self.gate }
    }

    /// Tells clients the reason of a refusal in full, rather than in one of a few fixed texts. For
    /// development: an attacker learns from it which of a token's faults counted.
    pub fn detailed_errors(mut self) -> Self {
        self.challenge_mut().detailed = true;
        self
    }

    /// Adds a challenge of another scheme, which a layer outside takes, to the 401s of this gate, on a line
    /// of its own (RFC 9110 §11.6.1): `also_challenge("DPoP", &[("algs", "ES256")])`. Not where a policy asks
    /// for another sign-in: another scheme would not bring that.
    ///
    /// # Errors
    /// [`ConfigError::InvalidChallenge`] when the scheme or a name is no token, a value has other characters
    /// than visible ASCII, spaces and tabs, or there is no parameter.
    pub fn also_challenge(mut self, scheme: &str, params: &[(&str, &str)]) -> Result<Self, ConfigError> {
        self.challenge_mut().add_other(scheme, params)?;
        Ok(self)
    }

    /// For pages rather than APIs: a browser that opens a page and would get a 401 is sent to `path` instead
    /// (303), with `return_to=<path and query>` added, so that the person can sign in and come back.
    /// Everything else keeps its 401: scripts, forms, gRPC, and whatever does not ask for HTML; and so does what
    /// no sign-in of this user would mend: a token of another kind, or whose claims do not fit, and one that is
    /// too weak ([`step_up_page`](Self::step_up_page)).
    ///
    /// The sign-in page must hold `return_to` to [`ReturnPath`](crate::ReturnPath), since anybody can make a
    /// link to it.
    ///
    /// It stands outside of this gate. One that signs in without asking anybody, because the user is signed in at
    /// the issuer, has to notice who comes back at once: a token that this gate never takes, for its audience
    /// say, would lead round for ever. The routes of `bearer-session` notice.
    ///
    /// The path is the one that this gate sees. What takes a prefix off before, as axum's `Router::nest`
    /// does, has the browser come back without it: such a gate stands outside of that.
    ///
    /// # Errors
    /// [`ConfigError::InvalidSignInPath`] when `path` is not the path of a page of this site.
    pub fn sign_in_page(self, path: &str) -> Result<Self, ConfigError> {
        self.set_pages(|pages| pages.with_sign_in(path))
    }

    /// As [`sign_in_page`](Self::sign_in_page), for who is signed in, but too weakly or too long ago for a
    /// page: `path` is where to enter a second factor, say. Beside `return_to` it is told what the policy
    /// wants, in `acr_values` (as [`aal`](crate::policy::aal) has it: `aal2`) and `max_age` in seconds (RFC
    /// 9470 §4). Without this such a page answers 401: to sign in once more as before would lead back there.
    ///
    /// ```
    /// use http::{Request, Response, StatusCode, header::{ACCEPT, AUTHORIZATION, LOCATION}};
    /// use tower::{Layer, ServiceExt, service_fn};
    /// use tower_bearer::{Algorithm, BearerLayer, Issuer, JwtVerifier, RequireLayer, policy::aal};
    /// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
    ///
    /// # let secret = [7; 32];
    /// # let token = TokenBuilder::new(&SigningKey::hmac(Alg::HS256, &secret), "https://issuer.example", "api")
    /// #     .claim("aal", "aal1").sign();
    /// # let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, secret);
    /// # tokio_test::block_on(async {
    /// let handler = service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(Response::new(())));
    /// let gate = BearerLayer::new(JwtVerifier::new([issuer])?).step_up_page("/mfa")?;
    /// let service = gate.layer(RequireLayer::new(aal("aal2")).layer(handler));
    ///
    /// let request = |accept: &str| Request::get("/payouts").header(ACCEPT, accept)
    ///     .header(AUTHORIZATION, format!("Bearer {token}")).body(());
    /// let page = service.clone().oneshot(request("text/html")?).await?;
    /// assert_eq!(page.status(), StatusCode::SEE_OTHER);
    /// assert_eq!(page.headers()[LOCATION], "/mfa?return_to=/payouts&acr_values=aal2");
    ///
    /// let script = service.oneshot(request("application/json")?).await?;
    /// assert_eq!(script.status(), StatusCode::UNAUTHORIZED);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`sign_in_page`](Self::sign_in_page).
    pub fn step_up_page(self, path: &str) -> Result<Self, ConfigError> {
        self.set_pages(|pages| pages.with_step_up(path))
    }

    fn set_pages(
        mut self,
        set: impl FnOnce(&Pages) -> Result<Pages, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let pages = set(self.gate_mut().pages.as_deref().unwrap_or(&Pages::default()))?;
        self.gate_mut().pages = Some(Arc::new(pages));
        Ok(self)
    }

    /// Takes the credential out of what is let in, wherever it stood, so that nothing further in can hand it
    /// on: a reverse proxy behind this gate sends upstream what it finds in the request. Without this,
    /// `Authorization`, headers and cookies stay as they came. A token must not go to a service that it is
    /// not meant for (RFC 9700 §2.3; required of MCP servers).
    ///
    /// A second gate further in would find no token: tell the innermost one alone.
    ///
    /// ```
    /// use http::{HeaderMap, Request, Response, StatusCode, header::AUTHORIZATION};
    /// use tower::{Layer, ServiceExt, service_fn};
    /// use tower_bearer::{Algorithm, BearerLayer, Issuer, JwtVerifier};
    /// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let secret = [7; 32];
    /// # let issuer = Issuer::new("https://issuer.example", "https://api.example").hmac_secret(Algorithm::HS256, secret);
    /// # let verifier = JwtVerifier::new([issuer])?;
    /// let service = BearerLayer::new(verifier).strip_credential().layer(service_fn(async |request: Request<()>| {
    ///     Ok::<_, std::convert::Infallible>(Response::new(request.headers().clone()))
    /// }));
    ///
    /// # let key = SigningKey::hmac(Alg::HS256, &secret);
    /// # let token = TokenBuilder::new(&key, "https://issuer.example", "https://api.example").sign();
    /// let request = Request::get("/").header("accept", "*/*").header(AUTHORIZATION, format!("Bearer {token}")).body(())?;
    /// let upstream = service.clone().oneshot(request).await?.into_body();
    /// assert!(upstream.contains_key("accept") && !upstream.contains_key(AUTHORIZATION));
    ///
    /// let refused = service.oneshot(Request::new(())).await?;
    /// assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn strip_credential(mut self) -> Self {
        self.gate_mut().strips_credential = true;
        self
    }

    /// Takes the verified token along in the request extensions as [`RelayedToken`](crate::RelayedToken), for
    /// calls to a service that the token is also meant for. Without this it is there all the same where it
    /// came, in the request's headers, unless it is [stripped](Self::strip_credential).
    pub fn relay(mut self) -> Self {
        self.gate_mut().relays = true;
        self
    }

    /// Tells `observer` of every request that is accepted or refused. A second one takes the place of the
    /// first.
    pub fn observe(mut self, observer: impl Observe) -> Self {
        self.gate_mut().observer = Some(Arc::new(observer));
        self
    }

    /// Settings are made before the layer is cloned: this copies nothing.
    fn gate_mut(&mut self) -> &mut Gate<V> {
        Arc::make_mut(&mut self.gate)
    }

    fn challenge_mut(&mut self) -> &mut Challenge {
        Arc::make_mut(&mut self.gate_mut().challenge).about_to_change()
    }
}

impl<S, V, R: Clone> Layer<S> for BearerLayer<V, R> {
    type Service = Bearer<S, V, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Bearer { inner, rejection: self.rejection.clone(), gate: Arc::clone(&self.gate) }
    }
}
