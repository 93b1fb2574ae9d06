//! What refusals look like, and who is told of them.

use crate::support::{
    answer::Answer,
    app::{app, ask, bearer, reached, request},
    challenge::Challenge,
    client::Version,
    keys::{AUD, ISS, gate, issuer, token},
    logs::Logs,
    server::Server,
};
use axum::{Router, body::Body, extract::Request, routing::get};
use axum_bearer::{AuthUser, RegisteredClaims};
use http::{
    Response,
    header::{CONTENT_LENGTH, SET_COOKIE, WWW_AUTHENTICATE},
};
use std::sync::{Arc, Mutex};
use tower::{Layer as _, util::MapResponseLayer};
use tower_bearer::{
    Accepted, AuthError, Observe, ProblemDetails, Reason, Refused, RelayedToken, RequireLayer, Verified,
    policy::scope,
};

/// A gate with a policy and an extractor behind it.
fn service<V, R>(gate: tower_bearer::BearerLayer<V, R>) -> Router
where
    V: tower_bearer::Verify + Send + Sync + 'static,
    V::Future: Send,
    R: tower_bearer::Rejection<axum::body::Body> + Send + Sync + 'static,
{
    Router::new()
        .route("/policy", get(reached).layer(RequireLayer::new(scope("write"))))
        .route("/user", get(async |_: AuthUser<RegisteredClaims>| "in"))
        .route("/claims", get(async |_: AuthUser<String>| "in"))
        .route(
            "/own",
            get(async || {
                tower_bearer::Refusal::new(AuthError::forbidden("mine"), &http::Extensions::new())
                    .into_response::<axum::body::Body>()
            }),
        )
        .fallback(reached)
        .layer(gate)
}

async fn at(app: &Router, path: &str, token: Option<&str>) -> Answer {
    let line = token.map(|token| format!("Bearer {token}"));
    let mut request = request(line.iter().map(String::as_bytes));
    *request.uri_mut() = path.parse().unwrap();
    ask(app, request).await
}

#[tokio::test]
async fn one_renderer_speaks_for_the_gate_and_for_all_behind_it() {
    let app = service(gate(issuer()).allow_anonymous().rejection(ProblemDetails::new()));
    let good = token().sign();
    for (path, token, status, error) in [
        ("/", Some("opaque"), 401, Some("invalid_token")),
        ("/policy", None, 401, None),
        ("/policy", Some(&*good), 403, Some("insufficient_scope")),
        ("/user", None, 401, None),
        ("/claims", Some(&*good), 500, None),
        ("/own", Some(&*good), 403, None),
    ] {
        let answer = at(&app, path, token).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/problem+json")),
            "{path}"
        );
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(
            (&problem["status"], problem["error"].as_str()),
            (&status.into(), error),
            "{path}: {problem}"
        );
        assert!(!problem["detail"].as_str().unwrap().is_empty() && problem["title"].is_string(), "{path}");
        if status == 403 && path == "/policy" {
            assert_eq!(problem["scope"], "write");
        }
    }
    at(&app, "/", Some(&good)).await.assert_passed("good");
}

/// A router that is a service of its own says how long what it sends is, and the renderer sends something else.
#[tokio::test]
async fn a_rendered_refusal_from_within_is_as_long_as_it_says() {
    let inner = || Router::new().route("/policy", get(reached).layer(RequireLayer::new(scope("write"))));
    let render = |_: &AuthError, answer: Response<()>| answer.map(|()| Body::from("rendered"));
    let gate = gate(issuer()).rejection(render);
    let nested = Router::new().nest_service("/in", inner()).layer(gate.clone());
    let good = token().sign();
    for (app, path) in [
        (Router::new().fallback_service(gate.layer(inner())), "/policy"),
        (nested, "/in/policy"),
        (inner().layer(gate), "/policy"),
    ] {
        let server = Server::start(app).await;
        let line = format!("Bearer {good}");
        for version in Version::ALL {
            let answer =
                version.ask(server.address, "GET", path, &[("authorization", line.as_bytes())]).await;
            assert_eq!((answer.status, &*answer.body), (403, "rendered"), "{path}");
            let length = answer.headers.get(CONTENT_LENGTH).map(|length| length.to_str().unwrap().to_owned());
            assert!(length.is_none_or(|length| length == "8"), "{path}");
        }
    }
}

#[tokio::test]
async fn of_two_gates_the_nearer_one_renders_a_refusal_and_the_other_leaves_it_alone() {
    let app = Router::new()
        .fallback(reached)
        .layer(RequireLayer::new(scope("write")))
        .layer(gate(issuer()).rejection(ProblemDetails::new()))
        .layer(gate(issuer()));
    let answer = bearer(&app, &token().sign()).await;
    answer.assert_insufficient("the scope");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(answer.body.contains("insufficient_scope"), "{answer:?}");
}

#[tokio::test]
async fn rs_031_each_scheme_has_a_challenge_on_a_line_of_its_own() {
    let gate = gate(issuer()).also_challenge("DPoP", &[("algs", "ES256 \"x\"")]).unwrap();
    let app = service(gate.also_challenge("Basic", &[("realm", "a, b"), ("charset", "UTF-8")]).unwrap());
    for token in [None, Some("opaque")] {
        let answer = at(&app, "/", token).await;
        let lines: Vec<_> =
            answer.headers.get_all(WWW_AUTHENTICATE).iter().map(|line| line.to_str().unwrap()).collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(Challenge::parse(lines[0]).param("realm").as_deref(), Some(AUD));
        assert_eq!(lines[1..], [r#"DPoP algs="ES256 \"x\"""#, r#"Basic realm="a, b", charset="UTF-8""#]);
    }
    // Another scheme would not bring the scope.
    assert_eq!(
        at(&app, "/policy", Some(&token().sign())).await.header("www-authenticate").map(|_| ()),
        Some(())
    );
    for (scheme, params) in
        [("", &[("a", "b")][..]), ("D oP", &[("a", "b")]), ("DPoP", &[]), ("DPoP", &[("a", "\n")])]
    {
        assert!(
            crate::support::keys::gate(issuer()).also_challenge(scheme, params).is_err(),
            "{scheme:?} {params:?}"
        );
    }
}

#[tokio::test]
async fn details_are_told_only_where_asked_for() {
    let expired = token().tampered();
    let description = |answer: Answer| answer.challenge().unwrap().param("error_description").unwrap();
    assert_eq!(description(bearer(&app(gate(issuer())), &expired).await), "the access token is invalid");
    let detailed = app(gate(issuer()).detailed_errors().rejection(ProblemDetails::new()));
    let answer = bearer(&detailed, &expired).await;
    assert!(answer.body.contains("the signature does not verify"), "{}", answer.body);
    assert_eq!(description(answer), "the signature does not verify");
}

/// Notes what it is told.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Observe for Notes {
    fn accepted(&self, request: &Accepted<'_>) {
        let subject = request.verified().subject().unwrap_or_default();
        self.0.lock().unwrap().push(format!("{} {} accepted {subject}", request.method(), request.path()));
    }

    fn refused(&self, request: &Refused<'_>) {
        let caller = request.verified().and_then(Verified::subject).unwrap_or("-");
        let reason = request.error().reason().name();
        self.0.lock().unwrap().push(format!(
            "{} {} refused {reason} {caller}",
            request.method(),
            request.path()
        ));
    }
}

#[tokio::test]
async fn an_observer_is_told_of_every_decision_and_never_sees_the_token() {
    let notes = Notes::default();
    let app = service(gate(issuer()).observe(notes.clone()).allow_anonymous());
    let good = token().subject("ada").sign();
    for (path, token) in [
        ("/?secret=1", Some(&*good)),
        ("/policy", Some(&*good)),
        ("/user", None),
        ("/", Some("opaque.token")),
        ("/claims", Some(&*good)),
    ] {
        at(&app, path, token).await;
    }
    assert_eq!(
        *notes.0.lock().unwrap(),
        [
            "GET / accepted ada",
            "GET /policy accepted ada",
            "GET /policy refused scope ada",
            "GET /user refused no_credential -",
            "GET / refused not_a_jwt -",
            "GET /claims accepted ada",
            "GET /claims refused other_claims ada",
        ]
    );
}

#[tokio::test]
async fn an_observer_is_told_the_issuer_of_a_refused_token_only_if_it_is_one_of_ours() {
    #[derive(Clone, Default)]
    struct Issuers(Arc<Mutex<Vec<Option<String>>>>);
    impl Observe for Issuers {
        fn refused(&self, request: &Refused<'_>) {
            self.0.lock().unwrap().push(request.error().issuer().map(ToOwned::to_owned));
        }
    }
    let issuers = Issuers::default();
    let app = app(gate(issuer()).observe(issuers.clone()));
    bearer(&app, &token().expired().sign()).await;
    bearer(&app, &token().tampered()).await;
    bearer(&app, &token().issuer("https://evil.example").sign()).await;
    bearer(&app, "opaque").await;
    let ours = Some(ISS.to_owned());
    assert_eq!(*issuers.0.lock().unwrap(), [ours.clone(), ours, None, None]);
}

fn page(path: &str, token: Option<&str>) -> Request {
    let line = token.map(|token| format!("Bearer {token}"));
    let mut request = request(line.iter().map(String::as_bytes));
    *request.uri_mut() = path.parse().unwrap();
    request.headers_mut().insert("accept", "text/html".parse().unwrap());
    request.headers_mut().insert("sec-fetch-mode", "navigate".parse().unwrap());
    request
}

#[tokio::test]
async fn a_browser_that_opens_a_page_is_sent_to_sign_in_and_everybody_else_gets_the_401() {
    let app = service(gate(issuer()).sign_in_page("/sign-in").unwrap().allow_anonymous());
    let expired = token().expired().sign();
    let good = token().sign();
    for (path, token, location) in [
        ("/orders?page=2", Some(&*expired), Some("/sign-in?return_to=/orders%3Fpage%3D2")),
        ("/policy", None, Some("/sign-in?return_to=/policy")),
        ("/user", None, Some("/sign-in?return_to=/user")),
        ("/policy", Some(&*good), None),
    ] {
        let answer = ask(&app, page(path, token)).await;
        assert_eq!(answer.header("location"), location, "{path}: {answer:?}");
        assert_eq!(answer.status, if location.is_some() { 303 } else { 403 }, "{path}");
        assert!(answer.reason.is_some() && answer.body.is_empty(), "{path}");
    }
    // A script asks for the same.
    at(&app, "/orders", Some(&expired)).await.assert_invalid("a script", Reason::Expired);
    ask(&app, page("/", Some(&good))).await.assert_passed("signed in");
}

#[tokio::test]
async fn who_is_sent_to_sign_in_gets_the_cookies_that_a_layer_further_in_has_set() {
    let counted = |mut response: Response<Body>| {
        for line in ["visits=7", "theme=dark"] {
            response.headers_mut().append(SET_COOKIE, line.parse().unwrap());
        }
        response
    };
    let handler = get(async |_: AuthUser<RegisteredClaims>| "in");
    let gate = gate(issuer()).sign_in_page("/sign-in").unwrap().allow_anonymous();
    let app = Router::new().route("/user", handler).layer(MapResponseLayer::new(counted)).layer(gate);
    let answer = ask(&app, page("/user", None)).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/sign-in?return_to=/user")));
    let cookies: Vec<_> = answer.headers.get_all(SET_COOKIE).iter().collect();
    assert_eq!(cookies, ["visits=7", "theme=dark"]);
}

#[tokio::test]
async fn the_token_goes_further_only_where_that_was_asked_for() {
    async fn relayed(request: Request) -> String {
        let token = request.extensions().get::<RelayedToken>();
        let value = token.map(RelayedToken::authorization);
        assert!(value.as_ref().is_none_or(http::HeaderValue::is_sensitive));
        value.map_or_else(|| "nothing".to_owned(), |value| value.to_str().unwrap().to_owned())
    }
    let (logs, _guard) = Logs::capture();
    let usual = Router::new().fallback(relayed).layer(gate(issuer()));
    let relaying = Router::new().fallback(relayed).layer(gate(issuer()).relay().allow_anonymous());
    let good = token().sign();
    assert_eq!(bearer(&usual, &good).await.body, "nothing");
    // Also when the token is remembered.
    for _ in 0..2 {
        assert_eq!(bearer(&relaying, &good).await.body, format!("Bearer {good}"));
    }
    assert_eq!(ask(&relaying, request([])).await.body, "nothing");
    assert!(!logs.text().contains(&good));
}

#[tokio::test]
async fn of_two_gates_the_nearer_one_says_who_is_there() {
    async fn seen(request: Request) -> String {
        let verified = Verified::of(request.extensions()).map(|_| ()).map_err(|error| error.reason());
        format!("{verified:?} {}", request.extensions().get::<RelayedToken>().is_some())
    }
    let header = http::HeaderName::from_static("x-token");
    let outer = gate(issuer()).relay();
    let inner = gate(issuer()).allow_anonymous().also_from(tower_bearer::Source::header(header).unwrap());
    // The nearer gate is asked without what the outer one took.
    let forget = tower::util::MapRequestLayer::new(|mut request: Request| {
        request.headers_mut().remove("authorization");
        request
    });
    let app = Router::new().fallback(seen).layer(inner).layer(forget).layer(outer);
    assert_eq!(bearer(&app, &token().sign()).await.body, "Err(NoCredential) false");
}

#[tokio::test]
async fn of_two_gates_the_nearer_one_says_whose_token_goes_further() {
    async fn seen(request: Request) -> String {
        let who = Verified::of(request.extensions()).unwrap().subject().unwrap().to_owned();
        let token = request.extensions().get::<RelayedToken>().map(RelayedToken::authorization);
        format!("{who} {}", token.map_or_else(String::new, |token| token.to_str().unwrap().to_owned()))
    }
    let inner = || {
        let header = http::HeaderName::from_static("x-token");
        gate(issuer()).also_from(tower_bearer::Source::header(header).unwrap())
    };
    let outer = gate(issuer()).relay().strip_credential();
    let (gateway, user) = (token().subject("gateway").sign(), token().subject("user").sign());
    for (inner, expected) in [(inner(), "user ".to_owned()), (inner().relay(), format!("user Bearer {user}"))]
    {
        let app = Router::new().fallback(seen).layer(inner).layer(outer.clone());
        let mut request = request([format!("Bearer {gateway}").as_bytes()]);
        request.headers_mut().insert("x-token", user.parse().unwrap());
        assert_eq!(ask(&app, request).await.body, expected);
    }
}
