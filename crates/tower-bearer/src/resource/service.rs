//! [`ResourceMetadataService`]: the document, for everybody who asks.

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE,
    },
};
use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    marker::PhantomData,
    task::{Context, Poll},
};
use tower_service::Service;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// Answers with the metadata of a [`ProtectedResource`](crate::ProtectedResource), whatever the path; see
/// [`service`](crate::ProtectedResource::service).
///
/// No token is asked for, and scripts of any origin may read the answer: clients in browsers begin here.
pub struct ResourceMetadataService<B> {
    document: Bytes,
    body: PhantomData<fn() -> B>,
}

impl<B> ResourceMetadataService<B> {
    pub(super) fn new(document: Bytes) -> Self {
        Self { document, body: PhantomData }
    }
}

impl<B: From<Bytes>, ReqBody> Service<Request<ReqBody>> for ResourceMetadataService<B> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        ready(Ok(answer(request.method(), &self.document)))
    }
}

impl<B> Clone for ResourceMetadataService<B> {
    fn clone(&self) -> Self {
        Self::new(self.document.clone())
    }
}

impl<B> fmt::Debug for ResourceMetadataService<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceMetadataService").field("document", &self.document).finish()
    }
}

/// RFC 9728 §3.2, and what the CORS protocol asks for: a client may add a header such as
/// `MCP-Protocol-Version`, and then its browser asks first.
pub(super) fn answer<B: From<Bytes>>(method: &Method, document: &Bytes) -> Response<B> {
    let body = if *method == Method::GET { document.clone() } else { Bytes::new() };
    let mut response = Response::new(B::from(body));
    let any = HeaderValue::from_static("*");
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, any.clone());
    match *method {
        Method::GET | Method::HEAD => {
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(document.len()));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        }
        Method::OPTIONS => {
            *response.status_mut() = StatusCode::NO_CONTENT;
            let headers = response.headers_mut();
            headers.insert(ALLOW, METHODS);
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, any);
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
        }
        _ => {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(ALLOW, METHODS);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &Method) -> Response<Bytes> {
        answer(method, &Bytes::from_static(b"{}"))
    }

    #[test]
    fn rs_110_the_document_is_json_for_everybody() {
        for (method, body) in [(Method::GET, "{}"), (Method::HEAD, "")] {
            let response = asked(&method);
            assert_eq!((response.status(), &response.body()[..]), (StatusCode::OK, body.as_bytes()));
            for (name, value) in [
                ("content-type", "application/json"),
                ("content-length", "2"),
                ("cache-control", "public, max-age=3600"),
                ("access-control-allow-origin", "*"),
            ] {
                assert_eq!(response.headers()[name], value);
            }
        }
    }

    #[test]
    fn a_browser_that_asks_first_is_told_yes() {
        let response = asked(&Method::OPTIONS);
        assert_eq!((response.status(), response.body().len()), (StatusCode::NO_CONTENT, 0));
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
            ("access-control-allow-headers", "*"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
        assert!(!response.headers().contains_key("content-length"), "a 204 has none (RFC 9110 §8.6)");
    }

    #[test]
    fn other_methods_are_not_allowed() {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE] {
            let response = asked(&method);
            assert_eq!((response.status(), response.body().len()), (StatusCode::METHOD_NOT_ALLOWED, 0));
            assert_eq!(response.headers()["allow"], "GET, HEAD, OPTIONS");
        }
    }
}
