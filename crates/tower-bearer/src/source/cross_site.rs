//! Whether a request that came with a cookie may use it, by the rules of tower-http's `CsrfLayer`.

use super::websocket::is_handshake;
use http::{
    HeaderName, Method, Request, Response,
    header::{HOST, ORIGIN},
};
use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};
use tower_http::csrf::CsrfLayer;
use tower_layer::Layer as _;
use tower_service::Service;

/// What the layer reads, beside method and target.
const READ: [HeaderName; 3] = [ORIGIN, HOST, HeaderName::from_static("sec-fetch-site")];

/// Whether a request may use the cookie that it came with as its credential: what the gate asks for its own
/// cookies, for whoever has others.
///
/// The rules are those of [`CsrfLayer`], and a WebSocket counts as unsafe: it is opened by a GET, or a
/// CONNECT, but what then goes through it is not safe, and no CORS stands before it.
///
/// ```
/// use http::Request;
/// use tower_bearer::{CsrfLayer, may_use_cookie};
///
/// let post = |origin| {
///     Request::post("/").header("host", "app.example").header("origin", origin).body(()).expect("a request")
/// };
/// assert!(may_use_cookie(&CsrfLayer::new(), &post("https://app.example")));
/// assert!(!may_use_cookie(&CsrfLayer::new(), &post("https://evil.example")));
/// ```
pub fn may_use_cookie<B>(layer: &CsrfLayer, request: &Request<B>) -> bool {
    let mut copy = Request::new(());
    *copy.method_mut() = if is_handshake(request) { Method::POST } else { request.method().clone() };
    *copy.uri_mut() = request.uri().clone();
    for name in READ {
        for value in request.headers().get_all(&name) {
            copy.headers_mut().append(&name, value.clone());
        }
    }
    // Lets it stand before a service that does nothing, and looks who answers.
    let answer = pin!(layer.layer(Probe).call(copy));
    // Both the layer and the probe answer at once. If that ever changes, refusing is right.
    match answer.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => *response.body() == Reached(true),
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => false,
    }
}

/// A service that only says that it was reached.
struct Probe;

#[derive(Default, Eq, PartialEq)]
struct Reached(bool);

impl Service<Request<()>> for Probe {
    type Response = Response<Reached>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(Reached(true))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Method, headers, and whether they pass.
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], bool);

    fn ask(layer: &CsrfLayer, method: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        may_use_cookie(layer, &request.body("a body").expect("a request"))
    }

    #[test]
    fn the_layer_decides_and_a_websocket_counts_as_unsafe() {
        let (host, origin) = (("host", "api.example"), ("origin", "https://api.example"));
        let evil = ("origin", "https://evil.example");
        let partner = ("origin", "https://partner.example");
        let site = |value| ("sec-fetch-site", value);
        let upgrade = ("upgrade", "websocket");
        let layer = CsrfLayer::new().add_trusted_origin(partner.1).expect("an origin");
        let table: &[Row<'_>] = &[
            ("GET", &[host, evil, site("cross-site")], true),
            ("HEAD", &[host, evil, site("cross-site")], true),
            ("POST", &[host], true),
            ("POST", &[host, origin, site("same-origin")], true),
            ("POST", &[host, origin], true),
            ("POST", &[host, evil], false),
            ("POST", &[host, evil, site("cross-site")], false),
            ("POST", &[host, site("same-site")], false),
            ("POST", &[host, partner, site("cross-site")], true),
            ("DELETE", &[host, evil], false),
            ("CONNECT", &[host, evil], false),
            ("CONNECT", &[host, origin], true),
            ("GET", &[host, evil, upgrade], false),
            ("GET", &[host, site("cross-site"), upgrade], false),
            ("GET", &[host, origin, upgrade], true),
            ("GET", &[host, evil, ("upgrade", "h2c")], true),
        ];
        for (method, headers, permitted) in table {
            assert_eq!(ask(&layer, method, headers), *permitted, "{method} {headers:?}");
        }
    }

    #[test]
    fn the_layer_is_shown_the_target_which_under_http_2_has_the_host() {
        let ask = |layer: &CsrfLayer, uri: &str| {
            let request = Request::post(uri).header("origin", "https://a.example").body(());
            may_use_cookie(layer, &request.expect("a request"))
        };
        let layer = CsrfLayer::new();
        assert!(ask(&layer, "https://a.example/"));
        assert!(!ask(&layer, "https://b.example/"));
        let layer = layer.with_insecure_bypass(|_, target| target.path() == "/hook");
        assert!(ask(&layer, "/hook"));
        assert!(!ask(&layer, "/"));
    }
}
