//! [`ResourceMetadataLayer`]: the document in front of a whole service.

use super::service::answer;
use crate::{service::give_back, short_cut::ShortCut};
use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// Answers requests for the metadata of a [`ProtectedResource`](crate::ProtectedResource) itself, and passes
/// on all others; see [`layer`](crate::ProtectedResource::layer). Only the exact path is the document's.
#[derive(Clone, Debug)]
#[must_use]
pub struct ResourceMetadataLayer {
    path: Arc<str>,
    document: Bytes,
}

/// The service of a [`ResourceMetadataLayer`]; see there.
#[derive(Clone, Debug)]
pub struct ResourceMetadata<S> {
    inner: S,
    path: Arc<str>,
    document: Bytes,
}

impl ResourceMetadataLayer {
    pub(super) fn new(path: String, document: Bytes) -> Self {
        Self { path: path.into(), document }
    }
}

impl<S> Layer<S> for ResourceMetadataLayer {
    type Service = ResourceMetadata<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ResourceMetadata { inner, path: Arc::clone(&self.path), document: self.document.clone() }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for ResourceMetadata<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: From<Bytes>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResourceMetadataFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        if *request.uri().path() != *self.path {
            return ResourceMetadataFuture { inner: ShortCut::Calling { calling: self.inner.call(request) } };
        }
        give_back(&mut self.inner);
        let response = answer(request.method(), &self.document);
        ResourceMetadataFuture { inner: ShortCut::answered(response) }
    }
}

pin_project! {
    /// The response future of [`ResourceMetadata`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ResourceMetadataFuture<F, B> {
        #[pin]
        inner: ShortCut<F, B>,
    }
}

impl<F, B, E> Future for ResourceMetadataFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx)
    }
}

impl<F, B> fmt::Debug for ResourceMetadataFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResourceMetadataFuture(..)")
    }
}

#[cfg(test)]
mod tests {
    use crate::ProtectedResource;
    use bytes::Bytes;
    use http::{Request, Response};
    use std::convert::Infallible;
    use tower::{Layer as _, ServiceExt as _, limit::ConcurrencyLimit, service_fn};

    async fn inner(_: Request<()>) -> Result<Response<Bytes>, Infallible> {
        Ok(Response::new(Bytes::from_static(b"inner")))
    }

    fn resource() -> ProtectedResource {
        ProtectedResource::new("https://h.example/mcp", ["https://issuer.example"]).expect("a resource")
    }

    #[tokio::test]
    async fn only_the_exact_path_is_answered_here() {
        let service = resource().layer().layer(service_fn(inner));
        for (target, is_document) in [
            ("/.well-known/oauth-protected-resource/mcp", true),
            ("/.well-known/oauth-protected-resource/mcp?x=1", true),
            ("https://h.example/.well-known/oauth-protected-resource/mcp", true),
            ("/.well-known/oauth-protected-resource/mcp/", false),
            ("/.well-known/oauth-protected-resource/mcp/x", false),
            ("/.well-known/oauth-protected-resource/MCP", false),
            ("/.well-known/oauth-protected-resource", false),
            ("/x/.well-known/oauth-protected-resource/mcp", false),
            ("//.well-known/oauth-protected-resource/mcp", false),
            ("/.well-known/oauth-protected-resource/%6dcp", false),
            ("/mcp", false),
        ] {
            let request = Request::get(target).body(()).expect("a request");
            let body = service.clone().oneshot(request).await.expect("infallible").into_body();
            assert_eq!(body != "inner", is_document, "{target}");
        }
    }

    #[tokio::test]
    async fn an_answer_of_its_own_gives_back_what_was_reserved() {
        let limited = ConcurrencyLimit::new(service_fn(inner), 1);
        let mut service = resource().layer().layer(limited);
        let document = || Request::get(resource().well_known_path()).body(()).expect("a request");
        let first = service.ready().await.expect("infallible");
        tower::Service::call(first, document()).await.expect("infallible");
        // `service` is kept: it must not sit on the one permit.
        let other = service.clone().oneshot(Request::new(()));
        let answer =
            tokio::time::timeout(std::time::Duration::from_secs(5), other).await.expect("the permit");
        assert_eq!(answer.expect("infallible").into_body(), "inner");
    }
}
