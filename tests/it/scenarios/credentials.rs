//! Where the token stands, and in what form.

use super::{
    outcome::{FORBIDDEN, INVALID, MALFORMED, MISSING, Outcome, PASSES, PRIVATE, SEVERAL, refused},
    row::{authorization, bearer, get, row},
    servers::{Servers, by},
};
use crate::support::{
    forge::b64,
    keys::{gate, issuer, token},
};
use http::HeaderName;
use serde_json::json;
use tower_bearer::{
    Source,
    policy::{authenticated, scope},
};
use tower_http::csrf::CsrfLayer;

const TOO_LONG: Outcome = refused(
    400,
    &[
        r#"Bearer realm="https://api.example", error="invalid_request", error_description="the access token is too long""#,
    ],
    16,
);

fn csrf() -> CsrfLayer {
    CsrfLayer::new().add_trusted_origin("https://app.example").unwrap()
}

/// A session as `@supabase/ssr` keeps it.
fn session(token: &str) -> String {
    let session = json!({ "access_token": token, "refresh_token": "r", "user": { "id": "u" } });
    format!("sb-abc-auth-token=base64-{}", b64(session.to_string()))
}

#[tokio::test]
async fn rs_155_156_168_the_authorization_header_is_read_alike_everywhere() {
    let good = token().sign();
    let servers = Servers::start(gate(issuer()), by(authenticated())).await;
    servers
        .hold([
            row("a good token", bearer(&good), PASSES),
            row("the scheme in small letters", authorization(format!("bearer {good}")), PASSES),
            row("several spaces", authorization(format!("Bearer   {good}")), PASSES),
            row("spaces around", authorization(format!("  Bearer {good}  ")), PASSES),
            row("nothing", get(), MISSING),
            row("nothing, by POST", get().method("POST"), MISSING),
            row("nothing, by PUT", get().method("PUT"), MISSING),
            row("another scheme", authorization("Basic eDp5"), MISSING),
            row("the token under another scheme", authorization(format!("DPoP {good}")), MISSING),
            row("a longer scheme", authorization(format!("BearerX {good}")), MISSING),
            row("only the scheme", authorization("Bearer"), MALFORMED),
            row("an empty line", authorization(""), MALFORMED),
            row("two words", authorization("Bearer a b"), MALFORMED),
            row("a quoted token", authorization(format!("Bearer \"{good}\"")), MALFORMED),
            row("a tab", authorization(format!("Bearer\t{good}")), MALFORMED),
            row("a byte beyond ASCII", authorization(b"Bearer \xff"), MALFORMED),
            row("joined by a comma", authorization(format!("Bearer {good}, Bearer {good}")), MALFORMED),
            row("two lines", bearer(&good).with("authorization", "Bearer x"), SEVERAL),
            row(
                "the same line twice",
                bearer(&good).with("authorization", format!("Bearer {good}")),
                SEVERAL,
            ),
            row(
                "another scheme, then a token",
                authorization("Basic eDp5").with("authorization", format!("Bearer {good}")),
                SEVERAL,
            ),
        ])
        .await;
}

#[tokio::test]
async fn rs_010_012_163_168_what_was_not_opened_is_shut_everywhere() {
    let good = token().sign();
    let servers = Servers::start(gate(issuer()), by(authenticated())).await;
    servers
        .hold([
            row("query", get().query(format!("access_token={good}")), MISSING),
            row("cookie", get().with("cookie", format!("access_token={good}; {}", session(&good))), MISSING),
            row("another header", get().with("x-token", &good), MISSING),
            row("for the proxy", get().with("proxy-authorization", format!("Bearer {good}")), MISSING),
            row(
                "protocol",
                get().with("upgrade", "websocket").with("sec-websocket-protocol", format!("bearer, {good}")),
                MISSING,
            ),
            row(
                "preflight",
                get()
                    .method("OPTIONS")
                    .with("origin", "https://app.example")
                    .with("access-control-request-method", "GET"),
                MISSING,
            ),
        ])
        .await;
}

#[tokio::test]
async fn rs_057_171_168_a_long_token_is_refused_unread_everywhere() {
    let long = token().claim("long", "x".repeat(1000)).sign();
    let servers = Servers::start(gate(issuer()).limit(1000), by(authenticated())).await;
    servers
        .hold([
            row("short enough", bearer(token().sign()), PASSES),
            row("good, but too long", bearer(long), TOO_LONG),
            row("junk, and too long", bearer("x".repeat(1001)), TOO_LONG),
            row("junk that is short enough", bearer("x".repeat(1000)), INVALID),
        ])
        .await;
}

#[tokio::test]
async fn rs_155_168_a_gate_for_anonymous_callers_refuses_bad_tokens_everywhere() {
    let servers = Servers::start(gate(issuer()).allow_anonymous(), None).await;
    servers
        .hold([
            row("nothing", get(), PASSES),
            row("another scheme", authorization("Basic eDp5"), PASSES),
            row("a good token", bearer(token().sign()), PASSES),
            row("a bad token", bearer(token().tampered()), INVALID),
            row("a malformed one", authorization("Bearer"), MALFORMED),
        ])
        .await;
    let guarded = Servers::start(gate(issuer()).allow_anonymous(), by(authenticated())).await;
    guarded
        .hold([
            row("nothing, before a policy", get(), MISSING),
            row("a good token, before a policy", bearer(token().sign()), PASSES),
        ])
        .await;
}

#[tokio::test]
async fn rs_164_168_only_a_preflight_passes_and_only_where_asked_for() {
    let preflight = || {
        get()
            .method("OPTIONS")
            .with("origin", "https://app.example")
            .with("access-control-request-method", "POST")
    };
    let options = || get().method("OPTIONS");
    let servers = Servers::start(gate(issuer()).pass_preflight(), None).await;
    servers
        .hold([
            // A gRPC call is a POST, whatever stands in its headers.
            row("a preflight", preflight(), PASSES).but_grpc(MISSING),
            row("without a method", options().with("origin", "https://app.example"), MISSING),
            row("without an origin", options().with("access-control-request-method", "POST"), MISSING),
            row("by GET", preflight().method("GET"), MISSING),
            row("with a bad token", preflight().with("authorization", "Bearer x"), INVALID),
        ])
        .await;
    // Whom a policy asks for is not there.
    let guarded = Servers::start(gate(issuer()).pass_preflight(), by(scope("read"))).await;
    guarded.hold([row("before a policy", preflight(), MISSING)]).await;
}

#[tokio::test]
async fn rs_012_168_a_cookie_counts_where_another_site_cannot_have_sent_it() {
    let good = token().sign();
    let gate = gate(issuer())
        .also_from(Source::cookie("access", csrf()).unwrap())
        .also_from(Source::supabase_session("https://abc.supabase.co", csrf()).unwrap());
    let servers = Servers::start(gate, by(authenticated())).await;
    let cookie = format!("theme=dark; access={good}");
    let session = session(&good);
    let (evil, ours) = ("https://evil.example", "https://app.example");
    let rows = [&cookie, &session].into_iter().flat_map(|jar| {
        let with = || get().with("cookie", jar);
        let from = |origin| with().with("origin", origin).with("sec-fetch-site", "cross-site");
        [
            row("by itself", with(), PRIVATE),
            row("from another site, safely", from(evil), PRIVATE).but_grpc(FORBIDDEN),
            row("from another site, by POST", from(evil).method("POST"), FORBIDDEN),
            row("from a trusted site, by POST", from(ours).method("POST"), PRIVATE),
            row(
                "the same token in a header too",
                from(evil).method("POST").with("authorization", format!("Bearer {good}")),
                PASSES,
            ),
            row("another token in a header", with().with("authorization", "Bearer x"), SEVERAL),
        ]
    });
    servers.hold(rows).await;
    servers
        .hold([
            row("nothing", get().with("cookie", "theme=dark; access="), MISSING),
            row("a bad one", get().with("cookie", format!("access={}", token().tampered())), INVALID),
            row("no token", get().with("cookie", "access=a b"), MALFORMED),
            row("a session that is none", get().with("cookie", "sb-abc-auth-token=base64-!"), MISSING),
        ])
        .await;
}

#[tokio::test]
async fn rs_011_168_headers_protocols_and_queries_are_sources_where_opened() {
    let (good, another) = (token().sign(), token().subject("another").sign());
    let gate = gate(issuer())
        .also_from(Source::header(HeaderName::from_static("x-token")).unwrap())
        .also_from(Source::websocket_protocol())
        .also_from(Source::query_parameter_that_leaks("access_token").unwrap());
    let servers = Servers::start(gate, by(authenticated())).await;
    let websocket =
        |protocols: &str| get().with("upgrade", "websocket").with("sec-websocket-protocol", protocols);
    servers
        .hold([
            row("nothing", get(), MISSING),
            row("a header", get().with("x-token", &good), PRIVATE),
            row("an empty header", get().with("x-token", ""), MALFORMED),
            row("the same twice", bearer(&good).with("x-token", &good), PASSES),
            row("two that differ", bearer(&good).with("x-token", &another), SEVERAL),
            row("a query", get().query(format!("a=b&access_token={good}")), PRIVATE),
            row("an empty query", get().query("access_token="), MALFORMED),
            row("a bad token in a query", get().query("access_token=x"), INVALID),
            row("the query and a header", bearer(&good).query(format!("access_token={good}")), SEVERAL),
            row("a protocol", websocket(&format!("chat, bearer, {good}")), PRIVATE),
            row("a protocol without a token", websocket("bearer"), MALFORMED),
            row("no WebSocket", get().with("sec-websocket-protocol", format!("bearer, {good}")), MISSING),
        ])
        .await;
}
