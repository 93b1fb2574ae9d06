//! [`RequireLayer`]: a policy as a layer, on a route or a whole router.

use crate::{Refusal, Verified, policy::Policy, service::give_back, short_cut::ShortCut};
use http::{Request, Response};
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// Lets callers through whom a [`Policy`] permits; stands inside a [`BearerLayer`](crate::BearerLayer).
///
/// Refusals are built like the gate's own, under its scheme and realm, and rendered by it: 403 with the
/// scopes that were needed, 401 for an anonymous caller. Without a gate around it every request is answered
/// 500.
///
/// ```
/// use http::{Request, Response, StatusCode};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_bearer::{RegisteredClaims, RequireLayer, Scopes, Verified, policy::scope};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let service = RequireLayer::new(scope("orders:read")).layer(service_fn(async |_: Request<()>| {
///     Ok::<_, std::convert::Infallible>(Response::new(()))
/// }));
/// let as_caller_with = |scope| {
///     let mut claims = RegisteredClaims::default();
///     claims.scopes = Scopes::from_iter([scope]);
///     let mut request = Request::new(());
///     request.extensions_mut().insert(Verified::assertion(claims, ()));
///     request
/// };
/// let permitted = service.clone().oneshot(as_caller_with("orders:read")).await?;
/// assert_eq!(permitted.status(), StatusCode::OK);
///
/// let refused = service.oneshot(as_caller_with("profile")).await?;
/// assert_eq!(refused.status(), StatusCode::FORBIDDEN);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct RequireLayer<P> {
    policy: P,
}

/// The service of a [`RequireLayer`]; see there.
#[derive(Clone, Copy, Debug)]
pub struct Require<S, P> {
    inner: S,
    policy: P,
}

impl<P: Policy + Clone> RequireLayer<P> {
    /// Permits whom `policy` permits.
    pub fn new(policy: P) -> Self {
        Self { policy }
    }
}

impl<S, P: Clone> Layer<S> for RequireLayer<P> {
    type Service = Require<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Require { inner, policy: self.policy.clone() }
    }
}

impl<S, P, ReqBody, ResBody> Service<Request<ReqBody>> for Require<S, P>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    P: Policy,
    ResBody: Default,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = RequireFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        match Verified::of(request.extensions()).and_then(|verified| self.policy.check(verified)) {
            Ok(()) => RequireFuture { inner: ShortCut::Calling { calling: self.inner.call(request) } },
            Err(error) => {
                give_back(&mut self.inner);
                let refusal = Refusal::of(error, &request);
                RequireFuture { inner: ShortCut::answered(refusal.into_response()) }
            }
        }
    }
}

pin_project! {
    /// The response future of [`Require`].
    #[must_use = "futures do nothing unless polled"]
    pub struct RequireFuture<F, B> {
        #[pin]
        inner: ShortCut<F, B>,
    }
}

impl<F, B, E> Future for RequireFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx)
    }
}

impl<F, B> fmt::Debug for RequireFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequireFuture(..)")
    }
}
