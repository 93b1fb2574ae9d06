//! Supabase Lite, an auth server that others wrote after the tests of Supabase Auth: its tokens at the gate, its
//! sessions in our hands.

use crate::{
    browser::Browser,
    node,
    support::app::{app, bearer},
};
use axum::{Router, routing::get};
use axum_bearer::{AuthUser, BearerLayer, Connect as _, Issuer, JwtVerifier, SupabaseClaims};
use bearer_session::{
    CsrfLayer, Keyring, RefreshToken, RouteOptions, Secret, SessionLayer, Sessions,
    endpoint::{ExchangeError, OnBehalf, Outcome, SupabaseEndpoint, TokenEndpoint as _},
    keeping::{Keeping, OpaqueCookie, ssr::SsrCookies},
    store::MemoryStore,
};
use http::StatusCode;
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    process::Child,
    task::{JoinSet, yield_now},
    time::timeout,
};
use tower_bearer::Reason;

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse";
const SITE: &str = "https://app.example";

/// The server, as long as it is needed, with Ada in it.
struct Lite {
    _process: Child,
    about: About,
}

#[derive(Deserialize)]
struct About {
    url: String,
    key: String,
    secret: String,
}

/// How many there have been, and are.
#[derive(Debug, Deserialize, PartialEq)]
struct Counts {
    refreshes: usize,
    sessions: usize,
}

impl Lite {
    async fn start() -> Option<Self> {
        let (process, about) = node::serve("lite.mjs").await?;
        let lite = Self { _process: process, about };
        lite.post("/auth/v1/signup", &credentials()).await;
        // Which signs her in as well.
        lite.wish(json!({ "sql": r#"delete from "auth.sessions""# })).await;
        Some(lite)
    }

    async fn post(&self, path: &str, body: &Value) -> String {
        let request = reqwest::Client::new().post(format!("{}{path}", self.about.url));
        let answer = request.header("apikey", &self.about.key).body(body.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path} {body}");
        answer.text().await.unwrap()
    }

    async fn wish(&self, wish: Value) -> Counts {
        serde_json::from_str(&self.post("/test", &wish).await).unwrap()
    }

    async fn count(&self) -> Counts {
        self.wish(json!({})).await
    }

    fn issuer(&self) -> Issuer {
        Issuer::supabase(&self.about.url).unwrap()
    }

    /// It signs with its secret, and does not name itself.
    async fn verifier(&self) -> JwtVerifier {
        self.issuer().legacy_jwt_secret(&self.about.secret).allow_missing_iss().connect().await.unwrap()
    }

    fn endpoint(&self) -> SupabaseEndpoint {
        SupabaseEndpoint::new(&self.about.url, &self.about.key).unwrap().provider("github")
    }

    async fn site(&self, keeping: impl Into<Keeping>) -> Router {
        let sessions = Sessions::builder(self.endpoint(), MemoryStore::new(100), Keyring::random()).build();
        let layer = SessionLayer::new(sessions, keeping, CsrfLayer::new());
        let options = RouteOptions::new(&format!("{SITE}/auth/callback")).unwrap();
        let routes = layer.routes(self.endpoint(), options);
        Router::new()
            .route("/me", get(async |user: AuthUser<SupabaseClaims>| user.email.clone().unwrap_or_default()))
            .layer(BearerLayer::new(self.verifier().await))
            .layer(layer)
            .nest("/auth", routes)
    }

    async fn browser(&self) -> Browser {
        Browser::new(self.site(OpaqueCookie::new()).await)
    }

    /// Signs Ada in with an access token that expires at once.
    async fn expired(&self, browser: &mut Browser) {
        self.wish(json!({ "set": { "jwt_expiry": 0 } })).await;
        sign_in(browser).await;
        self.wish(json!({ "set": {} })).await;
    }

    /// What supabase-js does there, with these cookies.
    async fn supabase_js(&self, act: &str, pairs: &[String]) -> Value {
        let About { url, key, .. } = &self.about;
        let input = json!({
            "url": url, "key": key, "email": ADA, "password": PASSWORD, "act": act, "pairs": pairs,
        });
        node::run_with("client.mjs", &input).await.unwrap()
    }
}

fn credentials() -> Value {
    json!({ "email": ADA, "password": PASSWORD })
}

async fn sign_in(browser: &mut Browser) {
    let answer = browser.post_json("/auth/password", &credentials().to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
}

#[tokio::test]
async fn its_tokens_pass_where_its_secret_is_known_and_its_silence_is_allowed() {
    let Some(lite) = Lite::start().await else { return };
    let tokens = lite.endpoint().password(ADA, &Secret::new(PASSWORD), OnBehalf::default()).await.unwrap();
    let access_token = tokens.access_token.expose();

    let gate = app(BearerLayer::new(lite.verifier().await));
    let answer = bearer(&gate, access_token).await;
    answer.assert_passed("the access token");
    let claims = answer.verified.unwrap().claims::<SupabaseClaims>().unwrap();
    assert_eq!((claims.email.as_deref(), claims.role.as_deref()), (Some(ADA), Some("authenticated")));
    assert!(claims.session_id.is_some());
    let refresh_token = tokens.refresh_token.unwrap();
    bearer(&gate, refresh_token.expose()).await.assert_invalid("the refresh token", Reason::NotAJwt);
    bearer(&gate, &lite.about.key).await.assert_invalid("the key", Reason::ApiKey);

    let strict = lite.issuer().legacy_jwt_secret(&lite.about.secret).connect().await.unwrap();
    let answer = bearer(&app(BearerLayer::new(strict)), access_token).await;
    answer.assert_invalid("nobody's", Reason::UnknownIssuer);
    let another = lite.issuer().legacy_jwt_secret(lite.about.secret.to_uppercase()).allow_missing_iss();
    let answer = bearer(&app(BearerLayer::new(another.connect().await.unwrap())), access_token).await;
    answer.assert_invalid("another secret", Reason::Signature);
    // It publishes an empty set, as every project does that signs with its secret alone.
    let error = lite.issuer().connect().await.unwrap_err().to_string();
    assert!(error.contains("HS256"), "{error}");
}

#[tokio::test]
async fn many_requests_with_one_expired_token_are_one_refresh_there() {
    let Some(lite) = Lite::start().await else { return };
    let mut browser = lite.browser().await;
    lite.expired(&mut browser).await;
    let mut requests = JoinSet::new();
    for _ in 0..100 {
        let mut browser = browser.clone();
        requests.spawn(async move { browser.get("/me").await });
    }
    for answer in requests.join_all().await {
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ADA));
    }
    assert_eq!(lite.count().await, Counts { refreshes: 1, sessions: 1 });
}

/// What [`AfterUnknown::PresentAgain`](bearer_session::endpoint::AfterUnknown) and the owner's care to present
/// nothing older rest on.
#[tokio::test]
async fn a_token_just_replaced_leads_to_the_newest_and_one_before_it_ends_the_session() {
    async fn next(endpoint: &SupabaseEndpoint, token: &RefreshToken) -> Result<RefreshToken, ExchangeError> {
        let tokens = endpoint.refresh(token, OnBehalf::default()).await?;
        Ok(tokens.refresh_token.unwrap())
    }
    let Some(lite) = Lite::start().await else { return };
    let endpoint = lite.endpoint();
    let first = endpoint.password(ADA, &Secret::new(PASSWORD), OnBehalf::default()).await.unwrap();
    let first = first.refresh_token.unwrap();
    let second = next(&endpoint, &first).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(next(&endpoint, &first).await.unwrap(), second);
    let third = next(&endpoint, &second).await.unwrap();
    for (name, token, code) in [
        ("before the last", &first, "refresh_token_already_used"),
        ("the newest, of a session that is over", &third, "refresh_token_already_used"),
        ("nobody's", &RefreshToken::new("00000000-0000-7000-8000-000000000000"), "refresh_token_not_found"),
        ("none at all", &RefreshToken::new("guess"), "validation_failed"),
    ] {
        let error = next(&endpoint, token).await.unwrap_err();
        assert_eq!((error.outcome(), error.code()), (Outcome::Final, Some(code)), "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_costs_nobody_the_session() {
    let Some(lite) = Lite::start().await else { return };
    let mut browser = lite.browser().await;
    lite.expired(&mut browser).await;
    lite.wish(json!({ "lose": 1 })).await;
    assert_eq!(browser.get("/me").await.body, ADA);
    assert_eq!(lite.count().await, Counts { refreshes: 2, sessions: 1 });
}

#[tokio::test]
async fn a_failure_there_signs_nobody_out_and_the_end_of_a_session_does() {
    let Some(lite) = Lite::start().await else { return };
    let mut browser = lite.browser().await;
    lite.expired(&mut browser).await;
    lite.wish(json!({ "sql": r#"alter table "auth.refresh_tokens" rename to "lost""# })).await;
    let answer = browser.get("/me").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.header("retry-after").is_some() && browser.session().is_some());

    lite.wish(json!({ "sql": r#"alter table "lost" rename to "auth.refresh_tokens""# })).await;
    for (name, end) in [
        ("it lasted too long", json!({ "set": { "sessions": { "timebox": "0s" } } })),
        ("nobody used it for too long", json!({ "set": { "sessions": { "inactivity_timeout": "0s" } } })),
        ("it was deleted", json!({ "sql": r#"delete from "auth.sessions""# })),
        // The last one, since Ada is needed above.
        ("its user was deleted", json!({ "sql": r#"delete from "auth.users""# })),
    ] {
        // At a site of its own, which does not spare the server for the failure above.
        let mut browser = lite.browser().await;
        lite.expired(&mut browser).await;
        lite.wish(end).await;
        let answer = browser.get("/me").await;
        assert_eq!((answer.status, browser.session()), (StatusCode::UNAUTHORIZED, None), "{name}");
    }
}

#[tokio::test]
async fn a_sign_out_ends_there_the_sessions_of_its_scope_though_the_access_token_has_expired() {
    let Some(lite) = Lite::start().await else { return };
    let app = lite.browser().await.app;
    for (scope, left) in [("local", 2), ("others", 1), ("global", 0)] {
        let [mut one, mut other, mut expired] = [(); 3].map(|()| Browser::new(app.clone()));
        sign_in(&mut one).await;
        sign_in(&mut other).await;
        lite.expired(&mut expired).await;
        let answer = expired.post(&format!("/auth/logout?scope={scope}")).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{scope}: {}", answer.body);
        // That of the session itself may take a moment longer: it takes new tokens to tell.
        let told = async {
            while lite.count().await.sessions != left {
                yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), told).await.unwrap_or_else(|_| panic!("{scope}"));
        lite.wish(json!({ "sql": r#"delete from "auth.sessions""# })).await;
    }
}

/// Where the browser is sent from there.
async fn sent_on(url: &str) -> String {
    let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 302, "{url}");
    answer.headers()["location"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_user_comes_back_from_github_signed_in_or_with_the_reason() {
    let Some(lite) = Lite::start().await else { return };
    let browser = lite.browser().await;
    for (settings, answer_of_the_user, shown) in [
        (json!({ "enable_signup": false }), "", Some("signup_disabled")),
        (json!({}), "&say_no", Some("access_denied")),
        (json!({}), "", None),
    ] {
        lite.wish(json!({ "set": settings })).await;
        let mut browser = browser.clone();
        let leaving = browser.open("/auth/sign-in?return_to=/me").await;
        let at_github = sent_on(leaving.location()).await;
        let at_the_server = sent_on(&format!("{at_github}{answer_of_the_user}")).await;
        let back = sent_on(&at_the_server).await;
        let back = back.strip_prefix(SITE).unwrap_or_else(|| panic!("sent to {back}"));
        // What stands behind it is for scripts, and no browser sends it.
        let answer = browser.open(back.split('#').next().unwrap()).await;
        if let Some(code) = shown {
            assert_eq!(answer.body, json!({ "error": code }).to_string());
        } else {
            assert_eq!(answer.location(), "/me");
            assert_eq!(browser.get("/me").await.body, "grace@example.com");
        }
    }
}

#[tokio::test]
async fn a_session_of_supabase_js_goes_on_with_us_and_back() {
    let Some(lite) = Lite::start().await else { return };
    let cookies = SsrCookies::of_project(&lite.about.url).unwrap();
    let mut browser = Browser::new(lite.site(Keeping::supabase_ssr(cookies, lite.verifier().await)).await);
    let theirs = lite.supabase_js("cookies", &[]).await;
    for pair in theirs["pairs"].as_array().unwrap() {
        let (name, value) = pair.as_str().unwrap().split_once('=').unwrap();
        browser.cookies.insert(name.to_owned(), value.to_owned());
    }
    let before = browser.line();
    assert_eq!(browser.get("/me").await.body, ADA);
    assert_eq!(browser.post("/auth/refresh").await.status, StatusCode::OK);
    let after = browser.line();
    assert_ne!(before, after);

    let pairs = |line: &str| line.split("; ").map(str::to_owned).collect::<Vec<_>>();
    // It asks the server who that is.
    let read = lite.supabase_js("read", &pairs(&after)).await;
    assert_eq!((&read["email"], &read["pairs"]), (&json!(ADA), &json!(pairs(&after))));
    assert_eq!(lite.count().await, Counts { refreshes: 1, sessions: 1 });

    assert_eq!(browser.post("/auth/logout").await.status, StatusCode::NO_CONTENT);
    assert_eq!((lite.count().await.sessions, browser.line().as_str()), (0, "theme=dark"));
}
