//! Every way that a token may come, through a real gate.

use crate::support::{
    answer::Answer,
    app::{REACHED, app, ask, bearer, reached, usual},
    client::{Http2, read_head},
    forge::b64,
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
    routing::get,
};
use axum_bearer::BearerLayer;
use http::{HeaderName, HeaderValue, StatusCode, header};
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tower_bearer::{
    AuthError, JwtVerifier, Presented, Reason, RelayedToken, RequireLayer, Source, StripRefreshTokensLayer,
    Unauthenticated, Verification, Verified, Verify, policy::aal,
};
use tower_http::csrf::CsrfLayer;

const ORIGIN: &str = "https://app.example";
const SESSION: &str = "sb-abc-auth-token";
const REFRESH: &str = "the-refresh-token";

/// One that trusts one origin.
fn csrf() -> CsrfLayer {
    CsrfLayer::new().add_trusted_origin(ORIGIN).unwrap()
}

fn cookie() -> Source {
    Source::cookie("access", csrf()).unwrap()
}

fn session() -> Source {
    Source::supabase_session("https://abc.supabase.co", csrf()).unwrap()
}

fn header() -> Source {
    Source::header(HeaderName::from_static("x-token")).unwrap()
}

fn query() -> Source {
    Source::query_parameter_that_leaks("access_token").unwrap()
}

fn from(source: Source) -> BearerLayer {
    gate(issuer()).also_from(source)
}

/// The value of a session's cookie.
fn session_of(token: &str) -> String {
    let session = json!({
        "access_token": token, "token_type": "bearer", "expires_in": 3600, "expires_at": 1,
        "refresh_token": REFRESH, "user": { "id": "u" },
    });
    format!("base64-{}", b64(session.to_string()))
}

/// A request with this method and target, a space between them.
fn head(line: &str, headers: &[(&str, &str)]) -> Request {
    let (method, target) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

/// One way: its source, and how a token goes into a request by it.
struct Way {
    name: &'static str,
    source: Source,
    put: fn(&str) -> Request,
}

fn ways() -> Vec<Way> {
    vec![
        Way {
            name: "cookie",
            source: cookie(),
            put: |t| head("GET /", &[("cookie", &format!("a=b; access={t}"))]),
        },
        Way {
            name: "session",
            source: session(),
            put: |t| head("GET /", &[("cookie", &format!("{SESSION}={}", session_of(t)))]),
        },
        Way { name: "header", source: header(), put: |t| head("GET /", &[("x-token", t)]) },
        Way {
            name: "header with prefix",
            source: Source::header_with_prefix(HeaderName::from_static("x-token"), "Token").unwrap(),
            put: |t| head("GET /", &[("x-token", &format!("token {t}"))]),
        },
        Way {
            name: "protocol",
            source: Source::websocket_protocol(),
            put: |t| {
                let protocols = format!("chat, bearer, {t}");
                head("GET /", &[("upgrade", "websocket"), ("sec-websocket-protocol", &protocols)])
            },
        },
        Way { name: "query", source: query(), put: |t| head(&format!("GET /?a=b&access_token={t}"), &[]) },
    ]
}

fn with_authorization(mut request: Request, token: &str) -> Request {
    request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    request
}

#[tokio::test]
async fn rs_010_and_012_every_way_is_shut_until_it_is_opened() {
    let good = token().sign();
    let shut = app(gate(issuer()));
    for Way { name, source, put } in ways() {
        ask(&shut, put(&good)).await.assert_missing(name);
        let open = app(from(source));
        ask(&open, put(&good)).await.assert_passed(name);
        ask(&open, put(&token().expired().sign())).await.assert_invalid(name, Reason::Expired);
        ask(&open, head("GET /", &[])).await.assert_missing(name);
        let basic = head("GET /", &[("authorization", "Basic eDp5")]);
        ask(&open, basic).await.assert_missing(name);
        let mut basic = put(&good);
        basic.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_static("Basic eDp5"));
        ask(&open, basic).await.assert_passed(name);
        ask(&open, with_authorization(head("GET /", &[]), &good)).await.assert_passed(name);
    }
}

#[tokio::test]
async fn rs_011_two_tokens_that_differ_are_refused_wherever_they_stand() {
    let (good, another) = (token().sign(), token().subject("another").sign());
    for Way { name, source, put } in ways() {
        let app = app(from(source));
        let differ = ask(&app, with_authorization(put(&another), &good)).await;
        differ.assert_malformed(name);
        assert_eq!(differ.reason, Some(Reason::SeveralCredentials), "{name}");
        let same = ask(&app, with_authorization(put(&good), &good)).await;
        // RFC 6750 §2.3: a token in the query stands nowhere else.
        if name == "query" {
            same.assert_malformed(name);
        } else {
            same.assert_passed(name);
        }
        let mut twice = put(&good);
        twice.headers_mut().append(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        twice.headers_mut().append(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        ask(&app, twice).await.assert_malformed(name);
    }
    let both = app(from(cookie()).also_from(session()));
    let jar = |one: &str, two: &str| {
        head(
            "GET /",
            &[("cookie", &format!("access={one}")), ("cookie", &format!("{SESSION}={}", session_of(two)))],
        )
    };
    ask(&both, jar(&good, &good)).await.assert_passed("two cookies");
    ask(&both, jar(&good, &another)).await.assert_malformed("two cookies");
    let scopes = format!("{SESSION}={}; {SESSION}={}", session_of(&good), session_of(&another));
    ask(&both, head("GET /", &[("cookie", &scopes)])).await.assert_malformed("two domain scopes");
}

#[tokio::test]
async fn the_malformed_is_refused_and_not_taken_for_nothing() {
    let good = token().sign();
    let upgrade = ("upgrade", "websocket");
    let encoded = format!("GET /?access_token={}", good.replace('.', "%2E"));
    let cases = [
        ("cookie", cookie(), head("GET /", &[("cookie", "access=a b")])),
        ("cookie", cookie(), head("GET /", &[("cookie", &format!("access={good}; access=,"))])),
        ("session", session(), head("GET /", &[("cookie", &format!("{SESSION}={}", session_of("a b")))])),
        ("session", session(), head("GET /", &[("cookie", &format!("{SESSION}={}", session_of("")))])),
        ("header", header(), head("GET /", &[("x-token", "")])),
        ("header", header(), head("GET /", &[("x-token", &good), ("x-token", "x y")])),
        (
            "protocol",
            Source::websocket_protocol(),
            head("GET /", &[upgrade, ("sec-websocket-protocol", "bearer")]),
        ),
        ("query", query(), head("GET /?access_token=", &[])),
        ("query", query(), head(&encoded, &[])),
    ];
    for (name, source, request) in cases {
        let clone = |request: &Request| {
            let mut clone = Request::new(Body::empty());
            *clone.uri_mut() = request.uri().clone();
            *clone.headers_mut() = request.headers().clone();
            clone
        };
        let optional = app(from(source.clone()).allow_anonymous());
        ask(&optional, clone(&request)).await.assert_malformed(name);
        let beside = with_authorization(clone(&request), &good);
        ask(&app(from(source)), beside).await.assert_malformed(name);
    }
}

#[tokio::test]
async fn the_limit_holds_for_every_way() {
    let good = token().sign();
    for Way { name, source, put } in ways() {
        let exact = app(from(source.clone()).limit(good.len()));
        ask(&exact, put(&good)).await.assert_passed(name);
        let short = ask(&app(from(source).limit(good.len() - 1)), put(&good)).await;
        assert_eq!((short.status, short.reason), (400, Some(Reason::CredentialTooLong)), "{name}");
    }
}

#[tokio::test]
async fn optional_authentication_is_anonymous_without_a_token_and_strict_with_one() {
    for Way { name, source, put } in ways() {
        let app = app(from(source).allow_anonymous());
        let anonymous = ask(&app, head("GET /", &[])).await;
        anonymous.assert_passed(name);
        assert!(anonymous.verified.is_none(), "{name}");
        ask(&app, put(&token().expired().sign())).await.assert_invalid(name, Reason::Expired);
        let known = ask(&app, put(&token().sign())).await;
        assert!(known.verified.is_some(), "{name}");
    }
    let app = app(from(session()).allow_anonymous());
    for nothing in ["", "base64-", "x", "%5B%22a%22%5D"] {
        let answer = ask(&app, head("GET /", &[("cookie", &format!("{SESSION}={nothing}"))])).await;
        answer.assert_passed(nothing);
        assert!(answer.verified.is_none(), "{nothing}");
    }
}

#[tokio::test]
async fn rs_012_another_site_cannot_use_the_cookie() {
    let good = token().sign();
    let app = app(from(cookie()).also_from(session()).also_from(Source::websocket_protocol()));
    let jars = [format!("access={good}"), format!("{SESSION}={}", session_of(&good))];
    let ask = async |line: &str, jar: &str, headers: &[(&str, &str)]| {
        let headers = [&[("cookie", jar), ("host", "api.example")], headers].concat();
        ask(&app, head(line, &headers)).await
    };
    let crossed = |name: &str, answer: &Answer| {
        assert_eq!((answer.status, answer.reason), (403, Some(Reason::CrossSite)), "{name}: {answer:?}");
        assert!(!answer.reached() && answer.code().is_none(), "{name}");
    };
    let site = |value| ("sec-fetch-site", value);
    let evil = [("origin", "https://evil.example"), site("cross-site")];
    let bearer = format!("Bearer {good}");
    let protocols = format!("bearer, {good}");
    let upgrade = ("upgrade", "websocket");
    for jar in &jars {
        for method in ["POST /", "PUT /", "PATCH /", "DELETE /", "PURGE /"] {
            crossed(method, &ask(method, jar, &evil).await);
            crossed(method, &ask(method, jar, &[("origin", "https://evil.example")]).await);
            crossed(method, &ask(method, jar, &[("origin", "null")]).await);
            ask(method, jar, &[site("same-origin")]).await.assert_passed(method);
            ask(method, jar, &[("origin", "https://api.example")]).await.assert_passed("an old browser");
            ask(method, jar, &[("origin", ORIGIN), site("cross-site")])
                .await
                .assert_passed("a trusted origin");
            ask(method, jar, &[]).await.assert_passed("no browser");
        }
        ask("GET /", jar, &evil).await.assert_passed("a safe method");
        // What it says is not safe, and no CORS stands before it.
        crossed("WebSocket", &ask("GET /", jar, &[upgrade, evil[0], evil[1]]).await);
        crossed("CONNECT", &ask("CONNECT x:1", jar, &evil).await);
        let ours = [upgrade, ("origin", ORIGIN), site("cross-site")];
        ask("GET /", jar, &ours).await.assert_passed("a WebSocket of a trusted origin");
        // Whoever knows the token needs no cookie.
        let known = [("authorization", &*bearer), evil[0], evil[1]];
        ask("POST /", jar, &known).await.assert_passed("the token as a header, too");
        let known = [upgrade, ("sec-websocket-protocol", &*protocols), evil[0], evil[1]];
        ask("GET /", jar, &known).await.assert_passed("the token as a protocol, too");
    }
    let bad = format!("access={}", token().expired().sign());
    crossed("a bad token", &ask("POST /", &bad, &evil).await);
    ask("POST /", "a=b", &evil).await.assert_missing("no credential, nothing to defend");
    ask("POST /", "a=b", &[("authorization", &*bearer), evil[0], evil[1]])
        .await
        .assert_passed("a header alone");
}

/// Answers with all that it was given.
async fn mirror(request: Request) -> Response {
    let mut text = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        text += &[name.as_str(), ": ", &String::from_utf8_lossy(value.as_bytes()), "\n"].concat();
    }
    text += if request.extensions().get::<Verified>().is_some() { "verified" } else { "nobody" };
    ([(REACHED, "yes")], text).into_response()
}

#[tokio::test]
async fn nothing_that_came_by_another_way_goes_further_in() {
    let good = token().sign();
    let gate = from(cookie()).also_from(session()).also_from(Source::websocket_protocol()).also_from(query());
    let app = Router::new().fallback(mirror).layer(gate.allow_anonymous());
    let jar = format!(
        "theme=\"dark\"; {SESSION}.0={}; lang = en;{SESSION}-code-verifier=v; refresh_token={REFRESH}; x=y",
        session_of(&good)
    );
    let answer = ask(&app, head("GET /", &[("cookie", &jar), ("x-refresh-token", REFRESH)])).await;
    answer.assert_passed("session");
    assert_eq!(
        answer.body,
        format!("GET /\ncookie: theme=\"dark\"; lang = en;{SESSION}-code-verifier=v; x=y\nverified")
    );
    // Neither from one who is not let in as anybody.
    let undecodable = format!("a=b; {SESSION}=x{}", session_of(&good));
    let answer = ask(&app, head("GET /", &[("cookie", &undecodable), ("refresh-token", REFRESH)])).await;
    assert_eq!(answer.body, "GET /\ncookie: a=b\nnobody");

    let protocols =
        [("sec-websocket-protocol", "v2"), ("sec-websocket-protocol", &*format!("bearer,{good}, v1"))];
    let answer = ask(&app, head("GET /", &[&[("upgrade", "websocket")], &protocols[..]].concat())).await;
    answer.assert_passed("protocol");
    assert!(answer.body.contains("sec-websocket-protocol: v2, bearer, v1\n"), "{}", answer.body);
    assert!(!answer.body.contains(&good));

    let answer = ask(&app, head(&format!("GET /a/b?x=1&access_token={good}&y=%202"), &[])).await;
    answer.assert_passed("query");
    assert_eq!(answer.body, "GET /a/b?x=1&y=%202\nverified");
}

/// A verifier that takes its time.
#[derive(Clone)]
struct Slow(JwtVerifier);

impl Verify for Slow {
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Verified, AuthError>> + Send>>;

    fn verify(&self, presented: &Presented<'_>) -> Verification<Self::Future> {
        let Verification::Done(result) = self.0.verify(presented) else { panic!("all keys are here") };
        Verification::Pending(Box::pin(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            result
        }))
    }
}

#[tokio::test]
async fn nor_when_the_verifier_took_its_time() {
    let good = token().sign();
    let gate =
        BearerLayer::new(Slow(JwtVerifier::new([issuer()]).unwrap())).also_from(session()).also_from(query());
    let app = Router::new().fallback(mirror).layer(gate);
    let jar = format!("a=b; {SESSION}={}", session_of(&good));
    assert_eq!(ask(&app, head("GET /", &[("cookie", &jar)])).await.body, "GET /\ncookie: a=b\nverified");
    let answer = ask(&app, head(&format!("GET /?access_token={good}"), &[])).await;
    assert_eq!(answer.body, "GET /\nverified");
    assert_eq!(answer.header("cache-control"), Some("private"));
}

#[tokio::test]
async fn what_no_shared_cache_knows_to_be_one_callers_says_so() {
    let good = token().sign();
    let gate = from(Source::header(HeaderName::from_static("x-token")).unwrap()).allow_anonymous();
    let (plain, by_header) = (app(gate), head("GET /", &[("x-token", &good)]));
    assert_eq!(ask(&plain, by_header).await.header("cache-control"), Some("private"));
    // With the token it would be another's.
    assert_eq!(ask(&plain, head("GET /", &[])).await.header("cache-control"), Some("private"));
    let as_usual = with_authorization(head("GET /", &[]), &good);
    assert_eq!(ask(&plain, as_usual).await.header("cache-control"), None);
    assert_eq!(bearer(&usual(), &good).await.header("cache-control"), None, "no other source is open");
}

#[tokio::test]
async fn rs_011_the_answer_to_a_token_in_the_query_is_private() {
    let good = token().sign();
    let in_query = || head(&format!("GET /?access_token={good}"), &[]);
    let plain = app(from(query()));
    assert_eq!(ask(&plain, in_query()).await.header("cache-control"), Some("private"));
    let by_header = with_authorization(head("GET /?a=b", &[]), &good);
    assert_eq!(ask(&plain, by_header).await.header("cache-control"), None);
    let own = async || ([(REACHED, "yes"), ("cache-control", "no-store")], StatusCode::OK);
    let own = Router::new().fallback(own).layer(from(query()));
    assert_eq!(ask(&own, in_query()).await.header("cache-control"), Some("no-store"));
    let public = async || ([(REACHED, "yes"), ("cache-control", "public, max-age=60")], StatusCode::OK);
    let public = Router::new().fallback(public).layer(from(query()));
    assert_eq!(ask(&public, in_query()).await.header("cache-control"), Some("private, max-age=60"));
}

/// What the inner service sees of a request: its target and headers.
async fn seen(request: Request) -> String {
    let line = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
    let mut lines: Vec<_> = request.headers().iter().map(line).collect();
    lines.sort();
    format!("{}\n{}", request.uri(), lines.join("\n"))
}

#[tokio::test]
async fn rs_116_a_stripped_credential_is_nowhere_in_what_is_let_in_whichever_way_it_came() {
    let good = token().sign();
    let by_header =
        Way { name: "Authorization", source: header(), put: |t| with_authorization(head("GET /", &[]), t) };
    for Way { name, source, put } in ways().into_iter().chain([by_header]) {
        let verifier = || JwtVerifier::new([issuer()]).unwrap();
        let gate = BearerLayer::new(verifier()).also_from(source.clone());
        let slow = BearerLayer::new(Slow(verifier())).also_from(source);
        for app in [
            Router::new().fallback(seen).layer(gate.clone().strip_credential()),
            Router::new().fallback(seen).layer(slow.strip_credential()),
        ] {
            for _ in 0..2 {
                let answer = ask(&app, put(&good)).await;
                assert_eq!(answer.status, 200, "{name}");
                assert!(
                    !answer.body.contains("access") && !answer.body.contains("x-token"),
                    "{name}: {answer:?}"
                );
                assert!(!answer.body.contains("authorization"), "{name}: {answer:?}");
                assert!(!answer.body.contains(&good), "{name}: {answer:?}");
            }
        }
        let relaying = Router::new().fallback(relayed).layer(gate.strip_credential().relay());
        assert_eq!(ask(&relaying, put(&good)).await.body, format!("Bearer {good}"), "{name}");
    }
    // A copy where none is looked for, since no WebSocket is opened.
    let app = Router::new().fallback(seen).layer(from(Source::websocket_protocol()).strip_credential());
    let copy = head("GET /", &[("sec-websocket-protocol", &format!("chat, bearer, {good}"))]);
    let answer = ask(&app, with_authorization(copy, &good)).await;
    assert_eq!(answer.body, "/\nsec-websocket-protocol: chat, bearer");
    // What is somebody else's stays.
    let app = Router::new().fallback(seen).layer(from(cookie()).strip_credential());
    let mut request =
        head("GET /", &[("cookie", &format!("a=b; access={good}; c=d")), ("authorization", "Basic eDp5")]);
    request.headers_mut().insert("x-token", "mine".parse().unwrap());
    let answer = ask(&app, request).await;
    assert_eq!(answer.body, "/\nauthorization: Basic eDp5\ncookie: a=b; c=d\nx-token: mine");
}

async fn relayed(request: Request) -> String {
    let token = request.extensions().get::<RelayedToken>();
    token.map(|token| token.authorization().to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn rs_012_a_token_in_the_query_does_not_come_back_in_the_address_of_the_sign_in_page() {
    fn pages<V>(verifier: V) -> Router
    where
        V: Verify<Future: Send> + Send + Sync + 'static,
    {
        let gate = BearerLayer::new(verifier).also_from(query());
        let gate = gate.sign_in_page("/in").unwrap().step_up_page("/up").unwrap();
        let step_up = RequireLayer::new(aal("aal2"));
        Router::new().route("/within", get(reached).layer(step_up)).fallback(reached).layer(gate)
    }
    let verifier = || JwtVerifier::new([issuer()]).unwrap();
    for app in [pages(verifier()), pages(Slow(verifier()))] {
        for (path, token, to, wanted, by) in [
            ("/orders", token().expired().sign(), "/in", "", Reason::Expired),
            ("/orders", token().tampered(), "/in", "", Reason::Signature),
            ("/within", token().sign(), "/up", "&acr_values=aal2", Reason::Authentication),
        ] {
            let page = head(&format!("GET {path}?page=2&access_token={token}"), &[("accept", "text/html")]);
            let answer = ask(&app, page).await;
            let location = format!("{to}?return_to={path}%3Fpage%3D2{wanted}");
            assert_eq!((answer.status, answer.header("location")), (303, Some(&*location)), "{by}");
            assert_eq!(answer.reason, Some(by));
        }
    }
}

#[tokio::test]
async fn a_gate_can_strip_without_reading_cookies_and_a_layer_without_a_gate() {
    async fn is_sensitive(request: Request) -> String {
        request.headers().get_all(header::COOKIE).iter().all(HeaderValue::is_sensitive).to_string()
    }
    let good = token().sign();
    let jar = format!("a=b; {SESSION}={}; mine.0=x", session_of(&good));
    let headers = [("cookie", &*jar), ("refresh-token", REFRESH)];
    let sent = || with_authorization(head("GET /", &headers), &good);

    let open = ask(&Router::new().fallback(mirror).layer(gate(issuer())), sent()).await;
    assert!(open.body.contains(&jar) && open.body.contains(REFRESH), "only where it is asked for");

    let stripping = gate(issuer()).strip_refresh_tokens();
    let gated = Router::new().fallback(mirror).layer(stripping.clone());
    let printing = Router::new().fallback(is_sensitive).layer(stripping);
    // Also when the token is remembered.
    for _ in 0..2 {
        let gated = ask(&gated, sent()).await.body;
        assert!(gated.contains("cookie: a=b; mine.0=x\n") && !gated.contains(REFRESH), "{gated}");
        assert_eq!(ask(&printing, sent()).await.body, "true", "what is left is not to be printed either");
    }

    let layer = StripRefreshTokensLayer::new().session_cookie("mine").unwrap();
    let alone = ask(&Router::new().fallback(mirror).layer(layer), head("GET /", &headers)).await;
    assert_eq!(alone.body, "GET /\ncookie: a=b\nnobody");
}

#[tokio::test]
async fn each_route_is_warned_about_once_and_nothing_is_told_of_the_value() {
    let (logs, _guard) = Logs::capture();
    let good = token().sign();
    let app = Router::new().fallback(mirror).layer(from(session()));
    let jar = format!("{SESSION}={}", session_of(&good));
    for line in ["GET /a", "GET /a?b", "POST /a", "GET /b", "GET /a"] {
        ask(&app, head(line, &[("cookie", &jar)])).await.assert_passed(line);
    }
    ask(&app, head("GET /c", &[("cookie", &format!("{SESSION}=x"))])).await.assert_missing("not let in");
    ask(&app, with_authorization(head("GET /d", &[("cookie", "a=b")]), &good))
        .await
        .assert_passed("no session");
    let text = logs.text();
    let warnings: Vec<_> = text.lines().filter(|line| line.contains("refresh token")).collect();
    assert_eq!(warnings.len(), 3, "{text}");
    assert!(warnings.iter().all(|line| line.contains("WARN")), "{text}");
    for secret in [REFRESH, &good, &session_of(&good)[7..40]] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn no_credential_of_any_way_is_printed() {
    async fn print(request: Request) -> Response {
        let printed = format!("{request:?}");
        ([(REACHED, "yes")], printed).into_response()
    }
    let good = token().sign();
    for Way { name, source, put } in ways() {
        assert!(!format!("{source:?}").contains(&good));
        let app = Router::new().fallback(print).layer(from(source));
        let once = put(&good);
        let mut twice = put(&good);
        for (name, value) in once.headers() {
            twice.headers_mut().append(name, value.clone());
        }
        for request in [once, twice] {
            let answer = ask(&app, request).await;
            answer.assert_passed(name);
            let signature = good.rsplit('.').next().unwrap();
            assert!(!answer.body.contains(signature), "{name}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn rs_163_and_164_a_preflight_passes_without_authority_where_that_is_asked_for() {
    async fn own_cors(request: Request) -> Response {
        assert!(
            request.extensions().get::<Verified>().is_none()
                || request.headers().contains_key("authorization")
        );
        let anonymous = request.extensions().get::<Unauthenticated>().is_some();
        ([(REACHED, "yes"), ("x-anonymous", if anonymous { "yes" } else { "no" })], StatusCode::OK)
            .into_response()
    }
    let app = Router::new().fallback(own_cors).layer(from(cookie()).pass_preflight());
    let (origin, method) = (("origin", ORIGIN), ("access-control-request-method", "POST"));
    let preflight = ask(&app, head("OPTIONS /", &[origin, method])).await;
    preflight.assert_passed("a preflight");
    assert_eq!(preflight.header("x-anonymous"), Some("yes"));
    for (line, headers) in [
        ("OPTIONS /", &[origin][..]),
        ("OPTIONS /", &[method]),
        ("OPTIONS /", &[]),
        ("GET /", &[origin, method]),
        ("POST /", &[origin, method]),
        ("OPTIONS /", &[origin, method, ("authorization", "Basic eDp5")]),
    ] {
        ask(&app, head(line, headers)).await.assert_missing(line);
    }
    let bad = [origin, method, ("authorization", "Bearer opaque")];
    ask(&app, head("OPTIONS /", &bad)).await.assert_invalid_token("a preflight has no credential");
    let bad = [origin, method, ("authorization", "Bearer")];
    ask(&app, head("OPTIONS /", &bad)).await.assert_malformed("a preflight has no credential");
    let good = with_authorization(head("OPTIONS /", &[origin, method]), &token().sign());
    let good = ask(&app, good).await;
    good.assert_passed("a token");
    assert_eq!(good.header("x-anonymous"), Some("no"));
    let shut = self::app(from(cookie()));
    ask(&shut, head("OPTIONS /", &[origin, method])).await.assert_missing("not asked for");
}

/// Selects the last protocol, as a service does that takes whatever is offered, and echoes what comes.
async fn select_last(mut request: Request) -> Response {
    let offered = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL).cloned();
    let last = offered.as_ref().and_then(|all| all.to_str().unwrap().split(", ").last()).unwrap_or_default();
    let selected = HeaderValue::from_str(last).unwrap();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        let mut heard = [0; 4];
        stream.read_exact(&mut heard).await.unwrap();
        stream.write_all(&heard).await.unwrap();
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, selected);
    response.headers_mut().insert(REACHED, HeaderValue::from_static("yes"));
    response
}

#[tokio::test]
async fn rs_172_a_websocket_opens_with_its_token_and_never_selects_it() {
    let gate = from(Source::websocket_protocol()).also_from(cookie());
    let server = Server::start(Router::new().fallback(select_last).layer(gate)).await;
    let open = async |headers: &str| {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        (read_head(&mut stream).await, stream)
    };
    let good = token().sign();
    open("").await.0.assert_missing("no token");
    open("Sec-WebSocket-Protocol: chat\r\n").await.0.assert_missing("no token");
    open("Sec-WebSocket-Protocol: bearer\r\n").await.0.assert_malformed("no token");
    let expired = token().expired().sign();
    open(&format!("Sec-WebSocket-Protocol: bearer, {expired}\r\n")).await.0.assert_invalid_token("expired");
    let evil = "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n";
    let (hijack, _) = open(&format!("Cookie: access={good}\r\n{evil}")).await;
    assert_eq!((hijack.status, hijack.reached()), (403, false));
    let (answer, mut stream) = open(&format!("{evil}Sec-WebSocket-Protocol: bearer, {good}\r\n")).await;
    assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, Some("bearer")));
    stream.write_all(b"ping").await.unwrap();
    let mut heard = [0; 4];
    soon(stream.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"ping");
}

#[tokio::test]
async fn rs_172_an_extended_connect_takes_the_same_ways() {
    let gate = from(Source::websocket_protocol()).also_from(cookie());
    let server = Server::start(Router::new().fallback(reached).layer(gate)).await;
    let mut client = Http2::connect(server.address).await;
    client.ask("GET", "/", &[]).await.assert_missing("a first request brings the server's settings");
    let good = token().sign();
    let connect = |client: &Http2, headers: &[(&'static str, &str)]| {
        let mut request = Request::connect(client.uri("/chat")).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        request
    };
    let request = connect(&client, &[("sec-websocket-protocol", &format!("chat, bearer, {good}"))]);
    client.send(request).await.assert_passed("a protocol");
    let jar = format!("access={good}");
    let request = connect(&client, &[("cookie", "a=b"), ("cookie", &jar), ("origin", ORIGIN)]);
    client.send(request).await.assert_passed("a cookie, one line each");
    let request = connect(&client, &[("cookie", &jar), ("origin", "https://evil.example")]);
    assert_eq!(client.send(request).await.status, 403);
}
