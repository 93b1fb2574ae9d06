//! Hooks: what the gate decided, for logs and metrics of the application's own.

use crate::{AuthError, Verified};
use http::{Method, Request, Uri};
use std::fmt;

/// Is told of every request that the gate accepted or refused. It never sees the token.
///
/// A policy or extractor behind the gate may refuse a request that the gate accepted: then both are told, in
/// that order. Implementations must be quick: they run within the request.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU32, Ordering::Relaxed}};
/// use tower_bearer::{Accepted, Observe, Refused};
/// # use tower::{Layer, ServiceExt, service_fn};
/// # use tower_bearer::{Algorithm, BearerLayer, Issuer, JwtVerifier};
/// # use http::{Request, Response};
///
/// #[derive(Default)]
/// struct Counts { accepted: AtomicU32, refused: AtomicU32 }
///
/// impl Observe for Counts {
///     fn accepted(&self, request: &Accepted<'_>) {
///         self.accepted.fetch_add(1, Relaxed);
///         println!("{} {}: {:?}", request.method(), request.path(), request.verified().subject());
///     }
///     fn refused(&self, request: &Refused<'_>) {
///         self.refused.fetch_add(1, Relaxed);
///         println!("{} {}: {}", request.method(), request.path(), request.error().reason().name());
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let secret = [7; 32];
/// # let verifier = JwtVerifier::new([Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, secret)])?;
/// let counts = Arc::new(Counts::default());
/// let layer = BearerLayer::new(verifier).observe(Arc::clone(&counts));
/// # let service = layer.layer(service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(Response::new(()))));
/// # let key = bearer_testing::SigningKey::hmac(bearer_testing::Algorithm::HS256, &secret);
/// # let token = bearer_testing::TokenBuilder::new(&key, "https://issuer.example", "api").sign();
/// # service.clone().oneshot(Request::get("/").header("authorization", format!("Bearer {token}")).body(())?).await?;
/// # service.oneshot(Request::new(())).await?;
/// // after one request with a good token and one without:
/// assert_eq!((counts.accepted.load(Relaxed), counts.refused.load(Relaxed)), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Observe: Send + Sync + 'static {
    /// The request had a good credential, and goes on to the inner service.
    fn accepted(&self, request: &Accepted<'_>) {
        let _ = request;
    }

    /// The request was refused: by the gate, or by a policy or extractor behind it.
    fn refused(&self, request: &Refused<'_>) {
        let _ = request;
    }
}

impl<O: Observe + ?Sized> Observe for std::sync::Arc<O> {
    fn accepted(&self, request: &Accepted<'_>) {
        (**self).accepted(request);
    }

    fn refused(&self, request: &Refused<'_>) {
        (**self).refused(request);
    }
}

/// An accepted request.
#[derive(Clone, Copy)]
pub struct Accepted<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) verified: &'a Verified,
}

/// A refused request.
#[derive(Clone, Copy)]
pub struct Refused<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) error: &'a AuthError,
    pub(crate) verified: Option<&'a Verified>,
}

impl<'a> Accepted<'a> {
    /// The method of the request.
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The path that was asked for, as it was written, without what a router outside of the gate took off it;
    /// never the query.
    pub fn path(&self) -> &'a str {
        self.uri.path()
    }

    /// What was proved: issuer, subject, client, whatever the application wants to note.
    pub fn verified(&self) -> &'a Verified {
        self.verified
    }
}

impl<'a> Refused<'a> {
    /// The method of the request.
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The path that was asked for, as it was written, without what a router outside of the gate took off it;
    /// never the query.
    pub fn path(&self) -> &'a str {
        self.uri.path()
    }

    /// Why. [`AuthError::issuer`] tells whose token it claimed to be, where that is one of ours.
    pub fn error(&self) -> &'a AuthError {
        self.error
    }

    /// The caller, when the token was good and a policy said no.
    pub fn verified(&self) -> Option<&'a Verified> {
        self.verified
    }
}

/// What is kept of a request for the hooks, while the inner service has it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) verified: Option<Verified>,
}

impl Seen {
    pub(crate) fn of<B>(request: &Request<B>, verified: Option<&Verified>) -> Self {
        Self { method: request.method().clone(), uri: request.uri().clone(), verified: verified.cloned() }
    }

    pub(crate) fn refused<'a>(&'a self, error: &'a AuthError) -> Refused<'a> {
        Refused { method: &self.method, uri: &self.uri, error, verified: self.verified.as_ref() }
    }
}

impl fmt::Debug for Accepted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted")
            .field("method", self.method)
            .field("verified", self.verified)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused")
            .field("method", self.method)
            .field("error", self.error)
            .finish_non_exhaustive()
    }
}
