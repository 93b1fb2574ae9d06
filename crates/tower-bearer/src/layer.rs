//! [`BearerLayer`]: configuration, given to every service it makes.

use crate::{
    Bearer, Verify,
    challenge::{Challenge, EmptyRejection},
    jwt::ConfigError,
};
use std::{sync::Arc, time::SystemTime};
use tower_layer::Layer;

/// The longest token by default, in bytes. HTTP/2 servers stop at 16 KiB of headers anyway.
const LIMIT: usize = 16 * 1024;

/// Lets requests with a good access token through, with [`Verified`](crate::Verified) in their extensions, and
/// answers all others itself.
///
/// | request | answer |
/// |---|---|
/// | no credential of our scheme | 401, a challenge without an error code |
/// | a credential that is none, or two | 400 `invalid_request` |
/// | a token longer than 16 KiB | 400 `invalid_request`, since a 401 would make clients refresh |
/// | a token that proves nothing | 401 `invalid_token` |
/// | a token that cannot be judged now, for want of keys | 503, `Retry-After` |
///
/// gRPC calls (told by their content type) get the same as a gRPC status. Every answer has its
/// [`AuthError`](crate::AuthError) in the response extensions.
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
#[derive(Clone, Debug)]
#[must_use]
pub struct BearerLayer<V, R = EmptyRejection> {
    pub(crate) verifier: V,
    pub(crate) rejection: R,
    pub(crate) gate: Gate,
}

/// What does not depend on the types around it.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    pub(crate) challenge: Arc<Challenge>,
    pub(crate) limit: usize,
    pub(crate) absent: Absent,
    pub(crate) clock: fn() -> SystemTime,
}

/// What becomes of a request without a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Absent {
    Refused,
    Anonymous,
}

impl<V: Verify> BearerLayer<V> {
    /// A gate that asks `verifier`.
    pub fn new(verifier: V) -> Self {
        let challenge = Challenge::lenient(V::SCHEME, verifier.realm().unwrap_or_default());
        let gate = Gate {
            challenge: Arc::new(challenge),
            limit: LIMIT,
            absent: Absent::Refused,
            clock: SystemTime::now,
        };
        Self { verifier, rejection: EmptyRejection, gate }
    }
}

impl<V, R> BearerLayer<V, R> {
    /// The `realm` of the challenges, instead of the verifier's (for JWTs: the audience).
    ///
    /// # Errors
    /// [`ConfigError::InvalidRealm`] when it is empty, or has other characters than visible ASCII, spaces and tabs.
    pub fn realm(mut self, realm: &str) -> Result<Self, ConfigError> {
        self.gate.challenge = Arc::new(Challenge::new(self.gate.challenge.scheme(), realm)?);
        Ok(self)
    }

    /// The longest token, in bytes. Default 16 KiB.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.gate.limit = bytes;
        self
    }

    /// Lets requests **without** a credential through as anonymous. One with a bad credential is refused all the
    /// same: a broken client must learn it. Policies and `AuthUser` further in still refuse who is anonymous.
    pub fn allow_anonymous(mut self) -> Self {
        self.gate.absent = Absent::Anonymous;
        self
    }

    /// Where the time comes from, for tests. Default [`SystemTime::now`].
    pub fn clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.gate.clock = clock;
        self
    }

    /// Builds the bodies of refusals. Default: empty.
    pub fn rejection<R2>(self, rejection: R2) -> BearerLayer<V, R2> {
        BearerLayer { verifier: self.verifier, rejection, gate: self.gate }
    }
}

impl<S, V: Clone, R: Clone> Layer<S> for BearerLayer<V, R> {
    type Service = Bearer<S, V, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Bearer {
            inner,
            verifier: self.verifier.clone(),
            rejection: self.rejection.clone(),
            gate: self.gate.clone(),
        }
    }
}
