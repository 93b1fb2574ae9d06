//! The verified token, for a call to somebody else on behalf of the caller.

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use std::fmt;

/// The access token of the request, to take along to an upstream service such as `PostgREST`. Lies in the
/// request extensions only behind a gate that was told to [relay](crate::BearerLayer::relay) it, and never
/// for a request that was refused; of several gates around a service, the innermost one decides whether and
/// which.
///
/// Send it only to services that the token is meant for: whoever gets it can act as the caller wherever it is
/// accepted. `Debug` never prints it, and its header is marked sensitive.
///
/// ```
/// use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_bearer::{RelayedToken, Algorithm, BearerLayer, Issuer, JwtVerifier};
/// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let secret = [7; 32];
/// # let issuer = Issuer::new("https://issuer.example", "https://api.example").hmac_secret(Algorithm::HS256, secret);
/// # let verifier = JwtVerifier::new([issuer])?;
/// async fn proxy(request: Request<()>) -> Result<Response<HeaderMap>, std::convert::Infallible> {
///     let mut upstream = HeaderMap::new();
///     if let Some(token) = request.extensions().get::<RelayedToken>() {
///         token.authorize(&mut upstream);
///     }
///     Ok(Response::new(upstream))
/// }
///
/// # let key = SigningKey::hmac(Alg::HS256, &secret);
/// # let token = TokenBuilder::new(&key, "https://issuer.example", "https://api.example").sign();
/// let request = || Request::get("/").header("authorization", format!("Bearer {token}")).body(());
/// let relaying = BearerLayer::new(verifier.clone()).relay().layer(service_fn(proxy));
/// let upstream = relaying.oneshot(request()?).await?.into_body();
/// assert_eq!(upstream[AUTHORIZATION], format!("Bearer {token}"));
/// assert!(upstream[AUTHORIZATION].is_sensitive());
///
/// let usual = BearerLayer::new(verifier).layer(service_fn(proxy));
/// assert!(usual.oneshot(request()?).await?.into_body().is_empty(), "not unless asked for");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RelayedToken(HeaderValue);

impl RelayedToken {
    /// `None` is never reached: a credential is made of characters that a header can carry.
    pub(crate) fn new(scheme: &str, token: &str) -> Option<Self> {
        let mut value = HeaderValue::try_from(format!("{scheme} {token}")).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// Sets `Authorization`, in place of what was there.
    pub fn authorize(&self, headers: &mut HeaderMap) {
        headers.insert(AUTHORIZATION, self.0.clone());
    }

    /// The value for `Authorization`, marked sensitive.
    pub fn authorization(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for RelayedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayedToken(..)")
    }
}
