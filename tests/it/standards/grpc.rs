//! RS-154 to RS-162: gRPC.

use crate::support::{
    answer::Answer,
    app::{app, ask, reached, request},
    client::Http2,
    frames::{DATA, END_STREAM, Frame, Frames, HEADERS, RST_STREAM},
    grpc::{call, whoami},
    keys::{AUD, ISS, gate, issuer, token},
    server::Server,
    soon,
};
use axum::{
    Router,
    routing::{any, post},
};
use axum_bearer::{AuthUser, Issuer, RegisteredClaims, RequireLayer};
use http::{HeaderValue, Method, header::CONTENT_TYPE};
use tonic::Code;
use tower_bearer::{AuthError, Reason, keys::channel, policy::scope};

const UNARY: &str = "/test.Users/WhoAmI";
const SCOPED: &str = "/test.Orders/List";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// gRPC and plain HTTP on one port, all behind one gate but the health check.
fn service(issuer: Issuer) -> Router {
    Router::new()
        .route(UNARY, post(whoami))
        .route(SCOPED, post(whoami).layer(RequireLayer::new(scope("orders:read"))))
        .fallback(reached)
        .layer(gate(issuer))
        .route(HEALTH, post(whoami))
}

fn without_keys() -> Issuer {
    // The publisher is gone before it published: nothing can be decided, and nobody will.
    let (_, source) = channel();
    Issuer::new(ISS, AUD).keys(source)
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn rs_154_a_refusal_is_one_headers_frame_that_ends_the_stream() {
    let server = Server::start(service(issuer())).await;
    let expired = bearer(&token().expired().sign());
    for authorization in [None, Some("Bearer"), Some("Basic x"), Some(&*expired)] {
        let mut frames = Frames::connect(server.address).await;
        let mut headers = vec![("content-type", "application/grpc"), ("te", "trailers")];
        headers.extend(authorization.map(|value| ("authorization", value)));
        frames.post(UNARY, &headers).await;
        let Frame { kind, flags, .. } = frames.next().await;
        assert_eq!((kind, flags & END_STREAM), (HEADERS, END_STREAM), "{authorization:?}");
    }
    // What is in it.
    let mut client = Http2::connect(server.address).await;
    let grpc = ("content-type", &b"application/grpc"[..]);
    let answer = client.ask("POST", UNARY, &[grpc, ("te", b"trailers")]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc")));
    assert_eq!((answer.header("grpc-status"), &*answer.body), (Some("16"), ""));
}

#[tokio::test]
async fn rs_154_a_refusal_has_no_body_even_where_plain_http_has_one() {
    let gate = gate(issuer()).rejection(|error: &AuthError, answer: http::Response<()>| {
        answer.map(|()| format!("{{\"error\":\"{error}\"}}").into())
    });
    let server = Server::start(app(gate)).await;
    let mut frames = Frames::connect(server.address).await;
    frames.post(UNARY, &[("content-type", "application/grpc"), ("te", "trailers")]).await;
    let Frame { kind, flags, .. } = frames.next().await;
    assert_eq!((kind, flags & END_STREAM), (HEADERS, END_STREAM));
    let plain = Http2::connect(server.address).await.ask("POST", UNARY, &[]).await;
    assert_eq!(plain.body, r#"{"error":"no credential"}"#);
}

#[tokio::test]
async fn rs_155_161_a_grpc_client_sees_the_status_that_fits() {
    let server = Server::start(service(issuer())).await;
    let no_keys = Server::start(service(without_keys())).await;
    let (good, expired) = (bearer(&token().sign()), bearer(&token().expired().sign()));
    let joined = format!("{good}, {good}");
    let scoped = bearer(&token().scope("orders:read").sign());
    assert_eq!(soon(call(server.address, UNARY, &[&good])).await.unwrap(), "test-user");
    assert_eq!(soon(call(server.address, SCOPED, &[&scoped])).await.unwrap(), "test-user");
    for (name, server, path, authorization, code) in [
        ("missing", &server, UNARY, &[][..], Code::Unauthenticated),
        ("another scheme", &server, UNARY, &["Basic x"], Code::Unauthenticated),
        ("malformed", &server, UNARY, &["Bearer"], Code::Unauthenticated),
        ("expired", &server, UNARY, &[&*expired], Code::Unauthenticated),
        ("two entries", &server, UNARY, &[&*good, "Bearer x"], Code::Unauthenticated),
        ("two entries, both good", &server, UNARY, &[&*good, &*good], Code::Unauthenticated),
        ("joined by a comma", &server, UNARY, &[&*joined], Code::Unauthenticated),
        ("too little scope", &server, SCOPED, &[&*good], Code::PermissionDenied),
        ("nobody, before a policy", &server, SCOPED, &[], Code::Unauthenticated),
        ("no keys", &no_keys, UNARY, &[&*good], Code::Unavailable),
    ] {
        let status = soon(call(server.address, path, authorization)).await.expect_err(name);
        assert_eq!(status.code(), code, "{name}: {status:?}");
        assert!(!status.message().is_empty(), "{name}");
    }
}

/// Asks without a socket, as if it were a call of this content type.
async fn ask_as(app: &Router, content_type: &'static str, lines: &[&[u8]]) -> Answer {
    let mut request = request(lines.iter().copied());
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    ask(app, request).await
}

#[tokio::test]
async fn rs_155_a_policy_without_a_gate_is_internal() {
    let app = Router::new().fallback(reached).layer(RequireLayer::new(scope("a")));
    let answer = ask_as(&app, "application/grpc", &[]).await;
    assert_eq!((answer.status, answer.header("grpc-status"), answer.reached()), (200, Some("13"), false));
}

#[tokio::test]
async fn rs_156_no_grpc_answer_leaves_the_status_to_http() {
    let good = bearer(&token().sign());
    for (app, lines, reason) in [
        (service(issuer()), &[][..], Reason::NoCredential),
        (service(issuer()), &[&b"Bearer"[..]], Reason::MalformedCredential),
        (service(issuer()), &[b"Bearer opaque"], Reason::NotAJwt),
        (service(without_keys()), &[good.as_bytes()], Reason::NoKeys),
    ] {
        let grpc = ask_as(&app, "application/grpc+proto", lines).await;
        assert_eq!((grpc.status, grpc.reason), (200, Some(reason)));
        assert!(grpc.header("grpc-status").is_some_and(|status| status != "0"), "{grpc:?}");
    }
}

#[tokio::test]
async fn rs_157_the_kind_of_answer_follows_the_content_type_of_the_request() {
    let app = service(issuer());
    for grpc in
        ["application/grpc", "application/grpc+proto", "application/grpc+json", "application/grpc;x=y"]
    {
        let answer = ask_as(&app, grpc, &[]).await;
        assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("16")), "{grpc}");
    }
    for http in [
        "application/json",
        "application/grpc-web",
        "application/grpc-web-text+proto",
        "application/grpcx",
        "text/plain; a=application/grpc",
    ] {
        let answer = ask_as(&app, http, &[]).await;
        answer.assert_missing(http);
        assert_eq!(answer.header("grpc-status"), None, "{http}");
    }
}

#[tokio::test]
async fn rs_157_a_refusal_from_within_is_a_grpc_status_as_well() {
    let user = post(async |_: AuthUser<RegisteredClaims>| "in");
    let app = Router::new().route("/", user).layer(gate(issuer()).allow_anonymous());
    let answer = ask_as(&app, "application/grpc", &[]).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("16")), "nobody, for an extractor");
    let claims = post(async |_: AuthUser<String>| "in");
    let app = Router::new().route("/", claims).layer(gate(issuer()));
    let answer = ask_as(&app, "application/grpc", &[bearer(&token().sign()).as_bytes()]).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("13")), "claims of another type");
}

/// A proxy asks a service by GET whether to let a request through, and hands on the client's headers (nginx's
/// `auth_request`, forward auth elsewhere). It takes 200 for a yes.
#[tokio::test]
async fn rs_157_a_stranger_cannot_have_a_refusal_as_200_by_a_content_type() {
    let user = any(async |_: AuthUser<RegisteredClaims>| "in");
    let (by_gate, by_extractor) =
        (service(issuer()), Router::new().route("/", user).layer(gate(issuer()).allow_anonymous()));
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT] {
        for app in [&by_gate, &by_extractor] {
            let mut request = request([]);
            *request.method_mut() = method.clone();
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            ask(app, request).await.assert_missing(method.as_str());
        }
    }
}

/// `Percent-Encoded` back to text (gRPC over HTTP/2, Responses).
fn decoded(message: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = message;
    while let Some(byte) = rest.bytes().next() {
        if byte == b'%' {
            bytes.push(u8::from_str_radix(&rest[1..3], 16).unwrap());
            rest = &rest[3..];
        } else {
            assert!((b' '..=b'~').contains(&byte), "{byte:#x}");
            bytes.push(byte);
            rest = &rest[1..];
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn rs_158_the_message_is_printable_and_has_nothing_of_the_token() {
    let app = service(issuer());
    let hostile = "100% \"evil\"\r\n\u{e9}";
    for token in [
        token().expired().claim("jti", hostile).sign(),
        token().issuer(hostile).sign(),
        token().audience(hostile).sign(),
        token().header("kid", hostile).sign(),
        token().header("typ", hostile).sign(),
    ] {
        let answer = ask_as(&app, "application/grpc", &[bearer(&token).as_bytes()]).await;
        let message = decoded(answer.header("grpc-message").unwrap());
        assert!(message.starts_with("the access token"), "{message}");
        assert!(!message.contains("evil") && !message.contains('%'), "{message}");
    }
}

#[tokio::test]
async fn rs_159_the_challenge_goes_along_as_metadata() {
    let server = Server::start(service(issuer())).await;
    let expired = bearer(&token().expired().sign());
    let status = soon(call(server.address, UNARY, &[&expired])).await.unwrap_err();
    let challenge = status.metadata().get("www-authenticate").unwrap().to_str().unwrap();
    let challenge = crate::support::challenge::Challenge::parse(challenge);
    assert_eq!(challenge.param("error").as_deref(), Some("invalid_token"));
    let good = bearer(&token().sign());
    let status = soon(call(server.address, SCOPED, &[&good])).await.unwrap_err();
    let challenge = status.metadata().get("www-authenticate").unwrap().to_str().unwrap();
    assert!(challenge.contains(r#"scope="orders:read""#), "{challenge}");
}

#[tokio::test]
async fn rs_160_a_stream_is_refused_before_a_message_is_read() {
    const PIECE: usize = 16 * 1024;
    let server = Server::start(service(issuer())).await;
    let mut frames = Frames::connect(server.address).await;
    frames.post(UNARY, &[("content-type", "application/grpc"), ("te", "trailers")]).await;
    // Not one byte of the body was sent: whoever waits for it waits forever.
    let Frame { kind, flags, .. } = frames.next().await;
    assert_eq!((kind, flags & END_STREAM), (HEADERS, END_STREAM));
    // The client may go on sending; the server has asked it to stop, and not because of an error.
    frames.data(&[0; PIECE]).await.unwrap();
    let reset = frames.next().await;
    assert_ne!(reset.kind, DATA);
    assert_eq!((reset.kind, &reset.payload[..]), (RST_STREAM, &0_u32.to_be_bytes()[..]), "NO_ERROR");
}

#[tokio::test]
async fn rs_161_two_entries_are_refused_on_the_wire_too() {
    let server = Server::start(service(issuer())).await;
    let good = bearer(&token().sign());
    let (line, grpc) = (("authorization", good.as_bytes()), ("content-type", &b"application/grpc"[..]));
    let joined = format!("{good},{good}");
    for lines in [&[grpc, line, line][..], &[grpc, ("authorization", joined.as_bytes())]] {
        let answer = Http2::connect(server.address).await.ask("POST", UNARY, lines).await;
        assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("16")), "{answer:?}");
        assert_eq!(answer.code().as_deref(), Some("invalid_request"));
    }
}

#[tokio::test]
async fn rs_162_a_health_check_outside_the_gate_needs_no_token() {
    let server = Server::start(service(issuer())).await;
    assert_eq!(soon(call(server.address, HEALTH, &[])).await.unwrap(), "nobody");
    let status = soon(call(server.address, "/grpc.health.v1.Health/check", &[])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "the path is matched as it is written");
}
