//! RS-163 to RS-173: CORS, versions of HTTP, limits, hygiene.

use super::request::cases;
use crate::support::{
    answer::Answer,
    app::{REACHED, ask, guarded, reached, request, usual},
    client::{Http2, Version, exchange, read_head},
    frames::{END_STREAM, Frames, HEADERS},
    keys::{gate, issuer, token},
    logs::Logs,
    server::Server,
    soon,
};
use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use axum_bearer::{AuthUser, RegisteredClaims};
use http::{HeaderName, HeaderValue, Method, StatusCode, Version as HttpVersion, header};
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tower_bearer::policy::scope;
use tower_http::{
    cors::{Any, CorsLayer},
    trace::{DefaultMakeSpan, TraceLayer},
};

const ORIGIN: (&str, &str) = ("origin", "https://app.example");
const METHOD: (&str, &str) = ("access-control-request-method", "GET");
const HEADERS_ASKED: (&str, &str) = ("access-control-request-headers", "authorization");

/// As a service for browsers is put together: CORS around the gate.
fn with_cors(inner: Router) -> Router {
    let cors = CorsLayer::new()
        .allow_origin([HeaderValue::from_static("https://app.example")])
        .allow_methods([Method::GET])
        .allow_headers([header::AUTHORIZATION])
        .expose_headers([header::WWW_AUTHENTICATE]);
    inner.layer(cors)
}

async fn send(app: &Router, method: Method, headers: &[(&str, &str)]) -> Answer {
    let mut request = request([]);
    *request.method_mut() = method;
    for (name, value) in headers {
        request.headers_mut().insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    ask(app, request).await
}

#[tokio::test]
async fn rs_163_166_a_preflight_is_answered_without_a_token_and_lists_authorization_by_name() {
    let answer = send(&with_cors(usual()), Method::OPTIONS, &[ORIGIN, METHOD, HEADERS_ASKED]).await;
    assert!((200..300).contains(&answer.status), "{answer:?}");
    assert!(!answer.reached());
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization"));
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN.1));
    // `*` does not cover it: the browser would not send the token.
    let any = usual().layer(CorsLayer::new().allow_origin(Any).allow_headers(Any));
    let answer = send(&any, Method::OPTIONS, &[ORIGIN, METHOD, HEADERS_ASKED]).await;
    assert_eq!(answer.header("access-control-allow-headers"), Some("*"), "why Any is not enough");
}

#[tokio::test]
async fn rs_164_an_options_request_is_no_way_around_the_gate() {
    let (bare, cors) = (usual(), with_cors(usual()));
    for headers in [&[][..], &[ORIGIN], &[METHOD], &[ORIGIN, METHOD], &[ORIGIN, METHOD, HEADERS_ASKED]] {
        // The gate itself knows no preflight: whoever wants one answered puts CORS outside.
        send(&bare, Method::OPTIONS, headers).await.assert_missing("OPTIONS");
        // tower-http answers every OPTIONS itself; none of them gets to the service.
        assert!(!send(&cors, Method::OPTIONS, headers).await.reached(), "{headers:?}");
    }
    let good = format!("Bearer {}", token().sign());
    let authorized = [("authorization", &*good)];
    send(&bare, Method::OPTIONS, &authorized).await.assert_passed("OPTIONS with a token");
    for method in [Method::GET, Method::POST, Method::TRACE, Method::from_bytes(b"PURGE").unwrap()] {
        send(&cors, method, &[ORIGIN, METHOD, HEADERS_ASKED]).await.assert_missing("another method");
    }
}

#[tokio::test]
async fn rs_165_167_a_page_of_another_origin_can_read_the_refusal_and_its_challenge() {
    let app = with_cors(guarded(scope("write")));
    let good = format!("Bearer {}", token().sign());
    let expired = format!("Bearer {}", token().expired().sign());
    for (status, authorization) in [(401, "Basic x"), (401, &*expired), (400, "Bearer"), (403, &*good)] {
        let answer = send(&app, Method::GET, &[ORIGIN, ("authorization", authorization)]).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN.1), "{status}");
        assert_eq!(answer.header("access-control-expose-headers"), Some("www-authenticate"), "{status}");
        assert!(answer.challenge().is_some(), "{status}");
    }
}

#[tokio::test]
async fn rs_168_every_decision_about_a_head_is_the_same_under_every_version() {
    let server = Server::start(usual()).await;
    let mut http2 = Http2::connect(server.address).await;
    for case in cases() {
        let lines: Vec<_> = case.headers.iter().map(|(name, value)| (*name, &value[..])).collect();
        for version in Version::ALL {
            let answer = match version {
                Version::Http2 => http2.ask("GET", "/", &lines).await,
                _ => version.ask(server.address, "GET", "/", &lines).await,
            };
            case.assert(&answer);
        }
    }
}

#[tokio::test]
async fn rs_168_refusals_and_field_names_are_the_same_under_every_version() {
    let server = Server::start(guarded(scope("write"))).await;
    let bearer = |token: String| format!("Bearer {token}");
    let good = bearer(token().scope("write").sign());
    for version in Version::ALL {
        for name in ["Authorization", "authorization", "AUTHORIZATION", "aUtHoRiZaTiOn"] {
            let answer = version.ask(server.address, "GET", "/", &[(name, good.as_bytes())]).await;
            answer.assert_passed(&format!("{version:?} {name}"));
        }
        let expired = bearer(token().expired().sign());
        let answer = version.ask(server.address, "GET", "/", &[("Authorization", expired.as_bytes())]).await;
        answer.assert_invalid_token(&format!("{version:?}"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let unscoped = bearer(token().sign());
        let answer = version.ask(server.address, "GET", "/", &[("Authorization", unscoped.as_bytes())]).await;
        answer.assert_insufficient(&format!("{version:?}"));
        version.ask(server.address, "HEAD", "/", &[]).await.assert_missing(&format!("{version:?}"));
    }
}

const GIBIBYTE: usize = 1 << 30;

#[tokio::test]
async fn rs_169_a_refusal_does_not_wait_for_the_body() {
    let server = Server::start(usual()).await;
    for (name, version, expect) in [
        ("a body that is announced", "1.1", ""),
        ("a body that waits for leave", "1.1", "Expect: 100-continue\r\n"),
        ("HTTP/1.0", "1.0", ""),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("POST / HTTP/{version}\r\nHost: x\r\n{expect}Content-Length: {GIBIBYTE}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // The first head that comes is the final one.
        read_head(&mut stream).await.assert_missing(name);
    }
    let mut frames = Frames::connect(server.address).await;
    frames.post("/", &[]).await;
    let answer = frames.next().await;
    assert_eq!((answer.kind, answer.flags & END_STREAM), (HEADERS, END_STREAM), "HTTP/2");
}

#[tokio::test]
async fn rs_170_the_body_of_a_refused_request_is_not_taken_in() {
    const PIECE: &[u8] = &[0; 64 * 1024];
    let server = Server::start(usual()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {GIBIBYTE}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    read_head(&mut stream).await.assert_missing("a large body");
    // The connection is closed, so that nothing of the body can be taken for a request. How much fits into the
    // buffers of the system until then is not ours.
    let mut sent = 0;
    let failure = soon(async {
        loop {
            match stream.write_all(PIECE).await {
                Ok(()) => sent += PIECE.len(),
                Err(error) => break error,
            }
            assert!(sent < GIBIBYTE / 4, "it takes everything");
        }
    })
    .await;
    assert!(matches!(failure.kind(), std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset));
    let good = format!("Bearer {}", token().sign());
    let next = Version::Http11.ask(server.address, "GET", "/", &[("Authorization", good.as_bytes())]).await;
    next.assert_passed("the next connection");
}

#[tokio::test]
async fn rs_170_a_request_smuggled_in_a_refused_body_is_not_answered() {
    let server = Server::start(usual()).await;
    let smuggled = format!("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", token().sign());
    let message = format!(
        // The last request, and the only one that asks for the end of the connection.
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{smuggled}\
         GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        smuggled.len()
    );
    let answer = exchange(server.address, message.as_bytes()).await;
    answer.assert_missing("the request itself");
    assert!(!answer.body.contains("HTTP/1.1 200"), "{answer:?}");
    assert_eq!(answer.body.matches("HTTP/1.1 401").count(), 1, "the last request's, {answer:?}");
}

#[tokio::test]
async fn rs_171_a_token_that_is_too_large_is_answered_4xx_and_never_cut() {
    let server = Server::start(usual()).await;
    let padded = |bytes: usize| token().claim("x", "y".repeat(bytes * 3 / 4)).sign();
    let ask = async |version: Version, token: &str| {
        let value = format!("Bearer {token}");
        version.ask(server.address, "GET", "/", &[("authorization", value.as_bytes())]).await
    };
    let fits = padded(9 * 1024);
    assert!(fits.len() > 9 * 1024 && fits.len() < 10 * 1024);
    for version in Version::ALL {
        ask(version, &fits).await.assert_passed("9 KiB");
        let too_long = ask(version, &padded(20 * 1024)).await;
        match version {
            // h2 stops at 16 KiB of headers by itself.
            Version::Http2 => assert_eq!(too_long.status, 431),
            _ => too_long.assert_malformed("20 KiB"),
        }
        assert!(!too_long.reached());
    }
    for version in [Version::Http10, Version::Http11] {
        let huge = ask(version, &padded(500 * 1024)).await;
        assert!((400..500).contains(&huge.status) && huge.status != 401, "{huge:?}");
        assert!(!huge.reached());
    }
}

/// Switches to a protocol that echoes what it hears.
async fn echo(mut request: Request) -> Response {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        let mut heard = [0; 4];
        stream.read_exact(&mut heard).await.unwrap();
        stream.write_all(&heard).await.unwrap();
    });
    let status = if request.version() == HttpVersion::HTTP_2 {
        StatusCode::OK
    } else {
        StatusCode::SWITCHING_PROTOCOLS
    };
    (status, [(header::CONNECTION, "upgrade"), (header::UPGRADE, "echo")], [(REACHED, "yes")]).into_response()
}

#[tokio::test]
async fn rs_172_an_upgrade_passes_through_the_same_check() {
    let server = Server::start(Router::new().route("/", any(echo)).layer(gate(issuer()))).await;
    let ask = async |authorization: &str| {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n{authorization}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        (read_head(&mut stream).await, stream)
    };
    ask("").await.0.assert_missing("an upgrade");
    ask("Authorization: Bearer opaque\r\n").await.0.assert_invalid_token("an upgrade");
    let websocket = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    ask(&format!("{websocket}Sec-WebSocket-Protocol: bearer, {}\r\n", token().sign()))
        .await
        .0
        .assert_missing("a token among the protocols");
    let (answer, mut stream) = ask(&format!("Authorization: Bearer {}\r\n", token().sign())).await;
    assert_eq!((answer.status, answer.reached()), (101, true));
    stream.write_all(b"ping").await.unwrap();
    let mut heard = [0; 4];
    soon(stream.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"ping");
}

#[tokio::test]
async fn rs_172_an_extended_connect_passes_through_the_same_check() {
    let service = |request: Request| async move {
        assert_eq!(request.method(), Method::CONNECT);
        reached(request).await
    };
    let server = Server::start(Router::new().fallback(service).layer(gate(issuer()))).await;
    let mut client = Http2::connect(server.address).await;
    // The server's settings arrive with its first answer.
    client.ask("GET", "/", &[]).await.assert_missing("a first request");
    let connect = |client: &Http2, authorization: Option<String>| {
        let mut request = http::Request::connect(client.uri("/chat")).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        if let Some(value) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        request
    };
    let without = connect(&client, None);
    client.send(without).await.assert_missing("extended CONNECT");
    let with = connect(&client, Some(format!("Bearer {}", token().sign())));
    client.send(with).await.assert_passed("extended CONNECT");
}

/// Everything of a token that could be grepped for.
fn parts(token: &str) -> impl Iterator<Item = &str> {
    token.split('.').flat_map(|segment| [segment, &segment[..16], &segment[segment.len() - 16..]])
}

#[tokio::test]
async fn rs_173_the_token_is_in_no_log_no_debug_and_no_header_that_is_printed() {
    type Printed = Arc<Mutex<String>>;
    async fn print(
        axum::extract::State(printed): axum::extract::State<Printed>,
        request: Request,
    ) -> Response {
        let text = format!("{request:?} {:?} {:?}", request.headers(), request.extensions());
        printed.lock().unwrap().push_str(&text);
        reached(request).await
    }
    async fn me(user: AuthUser<RegisteredClaims>) -> String {
        format!("{user:?}")
    }

    let (logs, _guard) = Logs::capture();
    let printed = Printed::default();
    let span = DefaultMakeSpan::new().level(tracing::Level::TRACE).include_headers(true);
    let app = Router::new()
        .route("/me", get(me))
        .fallback(print)
        .with_state(Arc::clone(&printed))
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .layer(gate(issuer().claims::<RegisteredClaimsLike>()));
    let server = Server::start(app).await;
    let tokens = [
        token().claim("private", "s3cret-claim").sign(),
        token().expired().sign(),
        token().tampered(),
        token().header("kid", "unknown").sign(),
        token().issuer("https://evil.example").sign(),
        token().claim("typed", "s3cret-value").sign(),
    ];
    let mut statuses = Vec::new();
    for token in &tokens {
        let value = format!("Bearer {token}");
        let line = ("Authorization", value.as_bytes());
        for version in [Version::Http10, Version::Http11, Version::Http2] {
            let answer = version.ask(server.address, "GET", "/", &[line]).await;
            statuses.push(answer.status);
            for part in parts(token) {
                assert!(!format!("{:?}{}", answer.headers, answer.body).contains(part), "{part} came back");
            }
        }
        let malformed = format!("Bearer {token}, {token}");
        Version::Http11.ask(server.address, "GET", "/me", &[("Authorization", malformed.as_bytes())]).await;
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
    let (logs, printed) = (logs.text(), printed.lock().unwrap().clone());
    assert!(logs.matches("request refused").count() >= 15 + 6, "{logs}");
    assert!(logs.contains("Sensitive") && printed.contains("Sensitive"), "the headers were printed");
    for token in &tokens {
        for part in parts(token) {
            assert!(!logs.contains(part), "{part} is in the log");
            assert!(!printed.contains(part), "{part} is in Debug");
        }
    }
    for secret in ["s3cret", "evil.example", "unknown"] {
        assert!(!printed.contains(secret), "{secret} is in Debug");
    }
    assert!(!logs.contains("s3cret"), "a claim is in the log");
}

/// Claims of which one has a type that a token may miss.
#[derive(serde::Deserialize)]
struct RegisteredClaimsLike {
    #[serde(rename = "typed", default)]
    _typed: Option<u8>,
}

#[tokio::test]
async fn rs_173_configuration_and_errors_print_no_secret() {
    let secret = b"a-secret-of-32-bytes-for-an-hmac";
    let issuer = issuer().hmac_secret(axum_bearer::Algorithm::HS256, secret);
    let gate = gate(issuer.clone());
    let service = tower::Layer::layer(&gate, ());
    let text = format!("{issuer:?} {gate:?} {service:?}");
    assert!(text.contains("HmacKey(HS256)") && !text.contains("a-secret"), "{text}");
    let bytes = format!("{secret:?}");
    assert!(!text.contains(bytes.trim_matches(['[', ']'])), "{text}");
}

#[tokio::test]
async fn many_connections_at_once_are_decided_one_by_one() {
    static PASSED: AtomicUsize = AtomicUsize::new(0);
    let server = Server::start(usual()).await;
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..60 {
        let address = server.address;
        asking.spawn(async move {
            let subject = format!("user-{number}");
            let token = token().subject(&subject);
            let token = if number % 3 == 0 { token.tampered() } else { token.sign() };
            let value = format!("Bearer {token}");
            let version = Version::ALL[number % 2 + 1];
            let answer = version.ask(address, "GET", "/", &[("Authorization", value.as_bytes())]).await;
            if number % 3 == 0 {
                answer.assert_invalid_token(&subject);
            } else {
                answer.assert_passed(&subject);
                assert_eq!(answer.body, subject, "nobody is given another's identity");
                PASSED.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    soon(asking.join_all()).await;
    assert_eq!(PASSED.load(Ordering::SeqCst), 40);
}
