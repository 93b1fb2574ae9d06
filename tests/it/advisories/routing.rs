//! Ways around the gate by path, host, query and headers.

use crate::support::{
    answer::Answer,
    app::{ask, reached, request, usual},
    client::{Version, exchange},
    keys::{gate, issuer, token},
    server::Server,
};
use axum::{Router, body::Body, routing::get};

/// As a service is put together that has an open route beside those behind the gate.
fn with_open_route() -> Router {
    Router::new()
        .route("/me", get(reached))
        .route("/me/{*rest}", get(reached))
        .fallback(reached)
        .layer(gate(issuer()))
        .route("/health", get(async || "healthy"))
}

#[tokio::test]
async fn cve_2025_54576_cve_2026_40575_cve_2026_41059_cve_2026_34457_only_the_matched_route_decides_what_is_open()
 {
    let app = with_open_route();
    let at = async |path: &str, headers: &[(&'static str, &str)]| -> Answer {
        let mut request = request([]);
        *request.uri_mut() = path.parse().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        ask(&app, request).await
    };
    assert_eq!(at("/health", &[]).await.body, "healthy");
    for path in [
        "/me?/health",
        "/me?path=/health",
        "/me;/health",
        "/me%2f..%2fhealth",
        "/me/../health",
        "//health",
        "/health/",
        "/health/../me",
        "/Health",
        "/health%00",
        "/./health",
        "/me%3f/health",
        "/me%23/health",
        "http://x@evil.example/me",
    ] {
        at(path, &[]).await.assert_missing(path);
    }
    for (name, value) in [
        ("x-forwarded-uri", "/health"),
        ("x-original-url", "/health"),
        ("x-rewrite-url", "/health"),
        ("x-original-uri", "/health"),
        ("user-agent", "kube-probe/1.30"),
        ("user-agent", "GoogleHC/1.0"),
        ("x-forwarded-method", "OPTIONS"),
        ("x-http-method-override", "OPTIONS"),
    ] {
        at("/me", &[(name, value)]).await.assert_missing(&format!("{name}: {value}"));
    }
    let server = Server::start(with_open_route()).await;
    let fragment = b"GET /me#/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = exchange(server.address, fragment).await;
    assert!(!answer.reached() && matches!(answer.status, 400 | 401), "{answer:?}");
}

#[tokio::test]
async fn cve_2026_50149_auth0_1_9_1_no_host_is_a_way_around_the_gate() {
    let server = Server::start(usual()).await;
    for host in [
        "x",
        "",
        "localhost",
        "other.example:443",
        "[::1]",
        "a b",
        "a,b",
        "a@b",
        "%00",
        "evil\u{e9}",
        "http://x",
    ] {
        for version in ["1.0", "1.1"] {
            let head = format!("GET / HTTP/{version}\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let answer = exchange(server.address, head.as_bytes()).await;
            assert!(!answer.reached() && matches!(answer.status, 400 | 401), "{host:?}: {answer:?}");
        }
    }
    for head in
        ["GET / HTTP/1.0\r\n\r\n", "GET http://other/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]
    {
        exchange(server.address, head.as_bytes()).await.assert_missing(head);
    }
    for version in Version::ALL {
        version
            .ask(server.address, "GET", "/", &[("X-Forwarded-Host", b"x")])
            .await
            .assert_missing("forwarded");
    }
}

#[tokio::test]
async fn cve_2026_44883_a_token_in_the_query_is_not_read() {
    let app = usual();
    for name in ["access_token", "token", "jwt", "authorization", "Authorization"] {
        let uri = format!("/?{name}={}&{name}=Bearer%20x", token().sign());
        ask(&app, http::Request::get(uri).body(Body::empty()).unwrap()).await.assert_missing(name);
    }
}
