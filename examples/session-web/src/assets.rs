//! What the pages load, and the headers of everything that this site answers.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    routing::get,
};
use tower_http::set_header::SetResponseHeaderLayer;

/// Nothing of other sites, nothing within the page, and no script may make HTML out of text. Nobody frames
/// the site.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

pub(crate) fn router() -> Router {
    let file = |kind: &'static str, text: &'static str| {
        get(async move || ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text))
    };
    Router::new()
        .route("/assets/style.css", file("text/css; charset=utf-8", include_str!("../assets/style.css")))
        .route("/assets/live.js", file("text/javascript; charset=utf-8", include_str!("../assets/live.js")))
        .route(
            "/assets/dashboard.js",
            file("text/javascript; charset=utf-8", include_str!("../assets/dashboard.js")),
        )
        .route("/favicon.ico", file("image/svg+xml", include_str!("../assets/icon.svg")))
}

/// The headers that every answer has.
pub(crate) fn guarded(site: Router) -> Router {
    let set = |name: HeaderName, value| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    site.layer(set(header::CONTENT_SECURITY_POLICY, POLICY))
        .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(set(header::REFERRER_POLICY, "same-origin"))
        .layer(set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .layer(set(header::CACHE_CONTROL, "private, no-store"))
}
