//! What never gets out.

use crate::{
    browser::{Answer, Browser},
    log::Log,
};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{
        HeaderMap,
        header::{COOKIE, SET_COOKIE},
    },
    routing::any,
};
use bearer_session::{
    AccessToken, BoxFuture, CurrentSession, Keyring, RefreshToken, RouteOptions, Secret, SessionLayer,
    Sessions, TokenSet,
    endpoint::{
        AfterUnknown, CodeExchange, ExchangeError, OnBehalf, Outcome, SignIn, SignInRequest, SignOutScope,
        TokenEndpoint,
    },
    keeping::OpaqueCookie,
    session_routes,
    store::MemoryStore,
};
use http_body_util::BodyExt as _;
use std::{
    fmt::Write as _,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};
use tokio::time::timeout;
use tower::ServiceExt as _;
use tower_http::csrf::CsrfLayer;

/// In every refresh token of the issuer.
const REFRESH: &str = "canary-refresh";
const ACCESS: &str = "canary-access";

#[derive(Debug, Default)]
struct Issuer(AtomicUsize);

impl Issuer {
    fn tokens(&self) -> TokenSet {
        let number = self.0.fetch_add(1, SeqCst);
        let mut tokens =
            TokenSet::new(AccessToken::new(format!("{ACCESS}-{number}")), Duration::from_millis(5))
                .refresh_token(RefreshToken::new(format!("{REFRESH}-{number}")));
        tokens.id_token = Some(Secret::new("canary-id"));
        tokens.document = Some(Secret::new(format!(r#"{{"refresh_token":"{REFRESH}"}}"#)));
        tokens
    }
}

impl TokenEndpoint for Issuer {
    fn refresh<'a>(
        &'a self,
        token: &'a RefreshToken,
        _: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        assert!(token.expose().starts_with(REFRESH));
        let answer = match self.0.load(SeqCst) {
            3 => {
                self.0.store(4, SeqCst);
                Err(ExchangeError::new(Outcome::NotSpent))
            }
            7.. => Err(ExchangeError::new(Outcome::Final).with_code("invalid_grant")),
            _ => Ok(self.tokens()),
        };
        Box::pin(async { answer })
    }

    fn sign_out<'a>(
        &'a self,
        _: &'a AccessToken,
        _: Option<&'a RefreshToken>,
        _: SignOutScope,
        _: OnBehalf,
    ) -> BoxFuture<'a, Result<(), ExchangeError>> {
        Box::pin(async { Err(ExchangeError::new(Outcome::Unknown)) })
    }

    fn after_unknown(&self) -> AfterUnknown {
        AfterUnknown::PresentAgain
    }
}

impl SignIn for Issuer {
    fn authorization_url(&self, request: &SignInRequest<'_>) -> Option<String> {
        Some(format!("https://issuer.example/authorize?state={}", request.state))
    }

    fn exchange_code<'a>(
        &'a self,
        _: CodeExchange<'a>,
        _: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        Box::pin(async { Ok(self.tokens()) })
    }
}

/// All that a handler can print, but for the access token, which is for it.
async fn handler(request: Request) -> String {
    let mut seen = format!("{request:?} {:?}", request.extensions().get::<CurrentSession>());
    for (name, value) in request.headers() {
        if name != "authorization" {
            write!(seen, "{name}: {}", String::from_utf8_lossy(value.as_bytes())).unwrap();
        }
    }
    seen
}

/// What the stream of events begins with: it does not end by itself.
async fn first_event(browser: &Browser) -> Answer {
    let request = Request::get("/auth/events").header(COOKIE, browser.line()).body(Body::empty()).unwrap();
    let (parts, mut body) = browser.app.clone().oneshot(request).await.unwrap().into_parts();
    let frame = timeout(Duration::from_secs(5), body.frame()).await.expect("something");
    let bytes = frame.map(|frame| frame.unwrap().into_data().unwrap()).unwrap_or_default();
    let body = String::from_utf8(bytes.to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}

fn printed(headers: &HeaderMap, but_for: &str) -> String {
    let mut text = String::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        writeln!(text, "{name}: {}", if name == SET_COOKIE { value.replace(but_for, "") } else { value })
            .unwrap();
    }
    text
}

#[tokio::test]
async fn neither_tokens_nor_ids_get_out_in_a_whole_life() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE);
    // For all threads: what others have found uninteresting first would stay so for this one.
    tracing::subscriber::set_global_default(subscriber.with_writer(log.clone()).finish()).unwrap();
    let sessions = Sessions::builder(Issuer::default(), MemoryStore::new(100), Keyring::random()).build();
    let options =
        RouteOptions::new("https://app.example/auth/callback").unwrap().refresh_every(Duration::ZERO);
    let (cookie, csrf) = (OpaqueCookie::new(), CsrfLayer::new());
    let layer = SessionLayer::new(sessions.clone(), cookie.clone(), csrf.clone());
    let routes = session_routes(sessions.clone(), Issuer::default(), cookie, csrf, options);
    let app = Router::new().route("/", any(handler)).layer(layer.clone()).nest("/auth", routes);
    let mut browser = Browser::new(app);

    let (mut ids, mut streams) = (Vec::new(), 0);
    let mut check = |browser: &Browser, answer: &Answer| {
        ids.extend(browser.session().map(str::to_owned));
        let id = ids.last().map_or("", String::as_str);
        let printed = format!("{}{}", printed(&answer.headers, id), answer.body);
        for secret in ["canary", id] {
            assert!(secret.is_empty() || !printed.contains(secret), "{secret} in {printed}");
        }
    };
    for _ in 0..2 {
        let leaving = browser.open("/auth/sign-in").await;
        let state = leaving.location().split('=').next_back().unwrap().to_owned();
        let back = browser.open(&format!("/auth/callback?code=c&state={state}")).await;
        assert_eq!(back.location(), "/");
        check(&browser, &back);
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(6)).await;
            for path in ["/", "/auth/session"] {
                let answer = browser.get(path).await;
                check(&browser, &answer);
            }
            let answer = first_event(&browser).await;
            streams += usize::from(answer.body.starts_with("event: INITIAL_SESSION\ndata: {"));
            check(&browser, &answer);
            let answer = browser.post("/auth/refresh").await;
            check(&browser, &answer);
        }
    }
    let answer = browser.post("/auth/logout?scope=global").await;
    check(&browser, &answer);
    assert!(streams > 0, "a page heard something");
    let log = log.text();
    assert!(!log.is_empty(), "something was logged");
    let printed = format!("{log} {sessions:?} {layer:?} {:?}", browser.app);
    assert!(!printed.contains("canary"), "{printed}");
    assert!(!ids.is_empty() && ids.iter().all(|id| !printed.contains(id.as_str())), "{printed}");
}
