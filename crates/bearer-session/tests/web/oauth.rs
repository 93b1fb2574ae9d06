//! The same site at a provider of OpenID Connect.

use crate::{
    browser::{Answer, Browser},
    log::Log,
    world::{CALLBACK, options},
};
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use axum_bearer::{
    BearerLayer, Connect as _, Issuer, LogoutReceiver, RequireLayer, Verified, Verify as _,
    policy::{Policy as _, acr_any, max_age},
    revocation::{DenyList, WhenUnsure},
};
use bearer_session::{
    CurrentSession, InvalidRoutes, Keyring, RouteOptions, Secret, SessionLayer, Sessions,
    endpoint::{OAuthClient, OAuthEndpoint},
    keeping::OpaqueCookie,
    revoke_in, session_routes,
    store::MemoryStore,
};
use bearer_testing::{OAuthOptions, ScriptedJwks, Step, TestOAuth, TokenBuilder};
use std::time::Duration;
use tower::ServiceExt as _;
use tower_http::csrf::CsrfLayer;
use url::Url;

/// A site whose users sign in at this provider.
async fn site(provider: &TestOAuth, options: RouteOptions) -> Router {
    site_for("test-api", provider, options).await
}

/// Such a site, whose gate takes access tokens for this audience.
async fn site_for(audience: &str, provider: &TestOAuth, options: RouteOptions) -> Router {
    site_with("its-secret", audience, provider, options).await
}

/// A site whose gate refuses what was signed out, here or at the provider.
async fn site_that_revokes(provider: &TestOAuth) -> Router {
    let list = DenyList::new(9);
    let endpoint = endpoint_of(provider).await;
    let sessions = Sessions::builder(endpoint.clone(), MemoryStore::new(100), Keyring::random());
    let sessions = sessions.on_sign_out(revoke_in(list.clone(), Duration::from_secs(3600))).build();
    site_with_a_receiver(provider, endpoint, sessions, list, |receiver| receiver).await
}

/// An instance of a site that shares its sessions with others by this store, and looks into it at every request.
async fn instance_that_heeds_logouts(provider: &TestOAuth, store: MemoryStore) -> Router {
    let endpoint = endpoint_of(provider).await;
    let sessions = Sessions::builder(endpoint.clone(), store, Keyring::new(&[7; 32]));
    let sessions = sessions.heed_logouts().local_for(Duration::ZERO).build();
    let heeding = sessions.clone();
    let receiver =
        |receiver: LogoutReceiver<Body>| receiver.on_logout(move |token| heeding.heed_logout(token));
    site_with_a_receiver(provider, endpoint, sessions, DenyList::new(9), receiver).await
}

async fn endpoint_of(provider: &TestOAuth) -> OAuthEndpoint {
    let client = OAuthClient::secret_basic("app", Secret::new("its-secret"));
    OAuthEndpoint::discover(provider.issuer(), client).await.unwrap().scope("openid")
}

/// A site that the provider tells of logouts.
async fn site_with_a_receiver(
    provider: &TestOAuth,
    endpoint: OAuthEndpoint,
    sessions: Sessions,
    list: DenyList,
    receiver: impl FnOnce(LogoutReceiver<Body>) -> LogoutReceiver<Body>,
) -> Router {
    let jwks = format!("{}/.well-known/jwks.json", provider.issuer());
    let issuer = Issuer::new(provider.issuer(), "test-api").jwks_uri(jwks).logout_client("app");
    let verifier = issuer.connect().await.unwrap();
    let receiver = receiver(LogoutReceiver::new(verifier.clone(), list.clone()).response_body());
    let layer = SessionLayer::new(sessions, OpaqueCookie::new(), CsrfLayer::new());
    let routes = layer.routes(endpoint, options());
    Router::new()
        .route("/me", get(async |request: axum::extract::Request| me(&request)))
        .layer(BearerLayer::new(verifier.revocable(list, WhenUnsure::Refuse)))
        .layer(layer)
        .route_service("/backchannel-logout", receiver)
        .nest("/auth", routes)
}

/// Such a site, which thinks that this is its secret.
async fn site_with(secret: &str, audience: &str, provider: &TestOAuth, options: RouteOptions) -> Router {
    let client = OAuthClient::secret_basic("app", Secret::new(secret));
    let endpoint = OAuthEndpoint::discover(provider.issuer(), client).await.unwrap();
    let endpoint = endpoint.scope("openid offline_access").authorization_parameter("ui_locales", "en");
    let sessions = Sessions::builder(endpoint.clone(), MemoryStore::new(100), Keyring::random()).build();
    let issuer = Issuer::new(provider.issuer(), audience);
    let jwks = format!("{}/.well-known/jwks.json", provider.issuer());
    let gate = BearerLayer::new(issuer.jwks_uri(jwks).connect().await.unwrap());
    let (keeping, csrf) = (OpaqueCookie::new(), CsrfLayer::new());
    let stronger = acr_any(["urn:mfa", "urn:hwk"]).and(max_age(Duration::from_secs(300)));
    Router::new()
        .route("/me", get(async |request: axum::extract::Request| me(&request)))
        .route("/profile", get(profile))
        .route("/payouts", get(async || "payouts").layer(RequireLayer::new(stronger)))
        .layer(gate.sign_in_page("/auth/sign-in").unwrap().step_up_page("/auth/sign-in").unwrap())
        .layer(SessionLayer::new(sessions.clone(), keeping.clone(), csrf.clone()))
        .nest("/auth", session_routes(sessions, endpoint, keeping, csrf, options))
}

fn me(request: &axum::extract::Request) -> String {
    Verified::of(request.extensions()).unwrap().subject().unwrap_or_default().to_owned()
}

/// What the ID token says.
async fn profile(session: CurrentSession) -> Result<String, String> {
    #[derive(serde::Deserialize)]
    struct User {
        aud: String,
        sub: String,
    }

    let user = session.id_token_claims::<User>().map_err(|error| error.to_string())?;
    Ok(user.map_or_else(String::new, |User { aud, sub }| format!("{sub} at {aud}")))
}

/// Leaves for the provider by a URL that `change` had its way with, and comes back.
async fn sign_in(browser: &mut Browser, change: impl FnOnce(&mut Url)) -> Answer {
    let leaving = browser.open("/auth/sign-in?return_to=/me").await;
    assert!(!format!("{:?}", leaving.headers).contains("nonce"), "{:?}", leaving.headers);
    let mut url = Url::parse(leaving.location()).unwrap();
    change(&mut url);
    come_back(browser, url.as_str()).await
}

/// Comes back from the provider, which asks nothing.
async fn come_back(browser: &mut Browser, leaving_for: &str) -> Answer {
    let back = sent_back(leaving_for).await;
    assert!(back.starts_with(CALLBACK), "{back}");
    browser.open(&back["https://app.example".len()..]).await
}

/// Leaves for the provider, and comes back with these words of its own.
async fn come_back_with(words: &str, browser: &mut Browser) -> Answer {
    let leaving = browser.open("/auth/sign-in").await;
    let url = Url::parse(leaving.location()).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    browser.open(&format!("/auth/callback?state={state}&{words}")).await
}

/// Where the provider sends a user.
async fn sent_back(leaving_for: &str) -> String {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let answer = client.build().unwrap().get(leaving_for).send().await.unwrap();
    answer.headers()["location"].to_str().unwrap().to_owned()
}

/// With `nonce` in place of the one that was asked for, or without any.
fn with_nonce(url: &mut Url, nonce: Option<&str>) {
    let others = url.query_pairs().into_owned().filter(|(name, _)| name != "nonce").collect::<Vec<_>>();
    assert_eq!(others.len() + 1, url.query_pairs().count(), "there was one");
    let mut pairs = url.query_pairs_mut();
    pairs.clear().extend_pairs(others);
    if let Some(nonce) = nonce {
        pairs.append_pair("nonce", nonce);
    }
}

#[tokio::test]
async fn the_code_of_a_refusal_is_that_of_the_book_whatever_stands_beside_it() {
    let provider = TestOAuth::start().await;
    let mut browser = Browser::new(site(&provider, options()).await);
    let answer = come_back_with("error=access_denied&error_code=of_its_own", &mut browser).await;
    assert_eq!(answer.body, r#"{"error":"access_denied"}"#);
}

#[tokio::test]
async fn a_user_of_a_provider_signs_in_goes_on_and_signs_out_there_too() {
    let provider = TestOAuth::start().await;
    let mut browser = Browser::new(site(&provider, options().sign_out_at_the_issuer()).await);
    assert_eq!(browser.open("/me").await.location(), "/auth/sign-in?return_to=/me");
    assert_eq!(sign_in(&mut browser, |_| ()).await.location(), "/me");
    assert_eq!(browser.get("/me").await.body, "ada");
    assert_eq!(browser.get("/profile").await.body, "ada at app");

    assert!(browser.post("/auth/refresh").await.status.is_success());
    assert_eq!((provider.presentations(), provider.grants_alive()), (vec![1], 1));
    assert_eq!(browser.get("/me").await.body, "ada");
    assert_eq!(browser.get("/profile").await.body, "ada at app");

    let answer = browser.post_form("/auth/logout?scope=local", "").await;
    let there = Url::parse(answer.location()).unwrap();
    assert_eq!(there.origin().ascii_serialization(), provider.issuer());
    let hint = there.query_pairs().find(|(name, _)| name == "id_token_hint").unwrap().1.into_owned();
    assert_eq!((there.path(), hint.split('.').count()), ("/logout", 3));
    assert_eq!((browser.session(), provider.grants_alive()), (None, 0));
}

/// So it is at Keycloak and Better Auth: the `sid` in their access tokens is that of the session there.
#[tokio::test]
async fn whoever_signs_out_here_alone_and_in_again_under_single_sign_on_is_let_in() {
    let provider = TestOAuth::start().await;
    provider.set_claims("ada", serde_json::json!({ "sid": "of the provider" }));
    let mut browser = Browser::new(site_that_revokes(&provider).await);
    assert_eq!(sign_in(&mut browser, |_| {}).await.location(), "/me");
    assert_eq!(browser.open("/me").await.body, "ada");
    assert_eq!(browser.post("/auth/logout").await.status, StatusCode::NO_CONTENT);
    // Dates in tokens are in whole seconds.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(sign_in(&mut browser, |_| {}).await.location(), "/me");
    assert_eq!(browser.open("/me").await.body, "ada");
}

#[tokio::test]
async fn whom_the_provider_signs_out_has_no_session_here_though_its_refresh_token_lives() {
    let provider = TestOAuth::start().await;
    provider.set_claims("ada", serde_json::json!({ "sid": "of the provider" }));
    let app = site_that_revokes(&provider).await;
    let mut browser = Browser::new(app.clone());
    assert_eq!(sign_in(&mut browser, |_| {}).await.location(), "/me");
    assert_eq!(browser.open("/me").await.body, "ada");

    assert_eq!(tells(&provider, app, "sid", "of the provider").await, StatusCode::OK);
    assert_eq!(provider.grants_alive(), 1);

    assert_eq!(browser.open("/me").await.status, StatusCode::UNAUTHORIZED);
    let told = async {
        while provider.grants_alive() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.expect("the provider is told");
    assert_eq!((browser.open("/me").await.status, browser.session()), (StatusCode::UNAUTHORIZED, None));
}

/// What the provider gets for a logout token with this claim.
async fn tells(provider: &TestOAuth, app: Router, claim: &str, value: &str) -> StatusCode {
    let logout = TokenBuilder::new(&provider.signing_key(), provider.issuer(), "app").logout().without("sub");
    let form = format!("logout_token={}", logout.claim(claim, value).sign());
    let request =
        Request::post("/backchannel-logout").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    app.oneshot(request.body(Body::from(form)).unwrap()).await.unwrap().status()
}

#[tokio::test]
async fn whom_the_provider_signs_out_is_out_at_instances_that_it_did_not_ask() {
    for (claim, value) in [("sid", "of the provider"), ("sub", "ada")] {
        let provider = TestOAuth::start().await;
        provider.set_claims("ada", serde_json::json!({ "sid": "of the provider" }));
        let store = MemoryStore::new(100);
        let [asked, other] =
            [store.clone(), store].map(|store| instance_that_heeds_logouts(&provider, store));
        let (asked, other) = (asked.await, other.await);
        let mut browser = Browser::new(other);
        assert_eq!(sign_in(&mut browser, |_| {}).await.location(), "/me");
        assert_eq!(browser.open("/me").await.body, "ada");

        assert_eq!(tells(&provider, asked, claim, value).await, StatusCode::OK);
        assert_eq!(browser.open("/me").await.status, StatusCode::UNAUTHORIZED, "{claim}");
        assert_eq!(browser.session(), None);
    }
}

#[tokio::test]
async fn of_an_issuer_that_cannot_be_told_of_sign_outs_the_log_says_so_when_it_is_discovered() {
    let (issuer, server) = (TestOAuth::start().await, ScriptedJwks::start().await);
    server.at(
        "/.well-known/openid-configuration",
        Step::json(&serde_json::json!({
            "issuer": server.url(""), "token_endpoint": server.url("/token"),
        })),
    );
    let (log, _guard) = Log::start();
    for (issuer, is_told) in [(issuer.issuer(), true), (&server.url(""), false)] {
        OAuthEndpoint::discover(issuer, OAuthClient::public("app")).await.unwrap();
        let lines = log.take("INFO");
        let said = lines.iter().filter(|line| line.contains("revocation_endpoint") && line.contains(issuer));
        assert_eq!(said.count(), usize::from(!is_told), "{lines:?}");
    }
}

#[tokio::test]
async fn a_client_whose_secret_is_wrong_is_warned_of_with_what_to_look_at() {
    let provider = TestOAuth::start().await;
    let mut browser = Browser::new(site_with("a-guess", "test-api", &provider, options()).await);
    let (log, _guard) = Log::start();
    let answer = sign_in(&mut browser, |_| {}).await;
    assert_eq!((answer.status, browser.session()), (StatusCode::SERVICE_UNAVAILABLE, None));
    let warnings = log.take("WARN");
    assert!(
        matches!(&warnings[..], [line] if line.contains("invalid_client") && line.contains("`secret_post`")),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn a_code_without_the_name_of_an_issuer_that_always_gives_it_is_none() {
    let provider = TestOAuth::start().await;
    let mut browser = Browser::new(site(&provider, options()).await);
    let leaving = browser.open("/auth/sign-in?return_to=/me").await;
    let back = sent_back(leaving.location()).await;
    let (nameless, name) = back.rsplit_once("&iss=").expect("it gives its name");
    assert!(!name.contains('&'), "{name}");
    let here = |url: &str| url["https://app.example".len()..].to_owned();

    let (log, _guard) = Log::start();
    let mut other = browser.clone();
    let answer = other.open(&here(nameless)).await;
    assert_eq!(
        (answer.status, answer.body.as_str(), other.session()),
        (StatusCode::BAD_REQUEST, r#"{"error":"unknown_issuer"}"#, None)
    );
    assert!(log.text().contains("authorization_response_iss_parameter_supported"), "{}", log.text());
    assert_eq!(browser.open(&here(&back)).await.location(), "/me");
}

/// Real ones do: Canaille leaves its name out there.
#[tokio::test]
async fn an_error_without_the_name_of_the_issuer_is_shown_as_the_error_that_it_is() {
    let provider = TestOAuth::start().await;
    let mut browser = Browser::new(site(&provider, options()).await);
    let answer = come_back_with("error=login_required", &mut browser).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::BAD_REQUEST, r#"{"error":"login_required"}"#)
    );
}

#[tokio::test]
async fn who_signs_out_at_the_issuer_comes_back_to_where_they_wanted_to_go() {
    const BACK: &str = "https://app.example/auth/signed-out";
    let provider = TestOAuth::start().await;
    let options = || options().post_logout_redirect_uri(BACK).unwrap();
    let app = site(&provider, options()).await;
    let mut states = Vec::new();
    for (return_to, expected) in
        [("/bye%3Fa=1%26b", "/bye?a=1&b"), ("", "/"), ("//evil.example", "/"), ("https://evil.example/", "/")]
    {
        let mut browser = Browser::new(app.clone());
        assert_eq!(sign_in(&mut browser, |_| ()).await.location(), "/me");
        let answer = browser.post_form("/auth/logout", &format!("return_to={return_to}")).await;
        let leaving = answer.location().to_owned();
        let there = Url::parse(&leaving).unwrap();
        // Whoever logs headers has neither the ID token nor the state.
        assert!(!format!("{:?}", answer.headers).contains("id_token_hint"), "{:?}", answer.headers);
        let of = |wanted: &str| {
            let mut values = there.query_pairs().filter(|(name, _)| name == wanted);
            let value = values.next().map(|(_, value)| value.into_owned());
            assert!(values.next().is_none(), "{wanted} stands there twice");
            value.unwrap_or_default()
        };
        assert_eq!((of("post_logout_redirect_uri").as_str(), of("client_id").as_str()), (BACK, "app"));
        assert!(!of("state").is_empty() && !of("id_token_hint").is_empty());
        assert!(!of("state").contains("bye"), "it is for nobody else");
        let back = sent_back(&leaving).await;
        assert!(back.starts_with(&format!("{BACK}?state=")), "{back}");
        let answer = browser.open(&back["https://app.example".len()..]).await;
        assert_eq!((answer.location(), answer.set_cookies().len()), (expected, 0));
        states.push(of("state"));
    }

    // What this site has not sealed leads home.
    let elsewhere = site(&provider, options()).await;
    let good = &states[0];
    for (app, query, expected) in [
        (&app, format!("?state={good}"), "/bye?a=1&b"),
        (&app, String::new(), "/"),
        (&app, "?state=".to_owned(), "/"),
        (&app, "?state=%2Fbye".to_owned(), "/"),
        (&app, "?state=Ly9ldmlsLmV4YW1wbGU".to_owned(), "/"),
        (&app, format!("?state={}", &good[..good.len() - 4]), "/"),
        (&app, format!("?state={good}&state={good}"), "/"),
        (&elsewhere, format!("?state={good}"), "/"),
    ] {
        let answer = Browser::new(app.clone()).open(&format!("/auth/signed-out{query}")).await;
        assert_eq!(answer.location(), expected, "{query}");
    }

    // Without a session there is nothing to end at the issuer, and a sign-out elsewhere ends none there.
    assert_eq!(Browser::new(app).post_form("/auth/logout", "return_to=/bye").await.location(), "/bye");
    for bad in ["", "/auth/signed-out", "app.example/bye", "ftp://app.example/", "https://app.example/#bye"] {
        let refused = crate::world::options().post_logout_redirect_uri(bad);
        assert_eq!(refused.err(), Some(InvalidRoutes::PostLogout(bad.into())));
    }
}

#[tokio::test]
async fn who_signed_in_too_weakly_is_asked_by_the_issuer_for_more() {
    let provider = TestOAuth::start_with(OAuthOptions::new().signed_in_ago(600)).await;
    let pages = |options| site(&provider, options);
    let mut browser = Browser::new(pages(options()).await);
    assert_eq!(sign_in(&mut browser, |_| ()).await.location(), "/me");
    let refused = browser.open("/payouts").await;
    let step_up = "/auth/sign-in?return_to=/payouts&acr_values=urn%3Amfa%20urn%3Ahwk&max_age=300";
    assert_eq!((refused.status, refused.location()), (StatusCode::SEE_OTHER, step_up));
    let asked = |answer: &Answer| {
        let url = Url::parse("https://app.example").unwrap().join(answer.location()).unwrap();
        let of = |wanted| url.query_pairs().find(|(name, _)| name == wanted).map(|(_, v)| v.into_owned());
        [of("acr_values"), of("max_age")]
    };
    let wanted = ["urn:mfa urn:hwk", "300"].map(|text| Some(text.to_owned()));
    let leaving = browser.open(step_up).await;
    assert!(leaving.location().starts_with(provider.issuer()));
    assert_eq!(asked(&leaving), wanted);
    let back = come_back(&mut browser, leaving.location()).await;
    assert_eq!(back.location(), "/payouts");
    assert_eq!(browser.open("/payouts").await.body, "payouts");
    assert_eq!(asked(&browser.open("/auth/sign-in?return_to=/me&acr_values=&max_age=").await), [None, None]);

    // A page where users choose hears of it too.
    let mut browser = Browser::new(pages(options().sign_in_page("/login").unwrap()).await);
    let choosing = browser.open(step_up).await;
    assert!(choosing.location().starts_with("/login?return_to=%2Fpayouts&"), "{}", choosing.location());
    assert_eq!(asked(&choosing), wanted);
    for bad in ["max_age=soon", "max_age=-1", "max_age=1&max_age=1", "acr_values=a&acr_values=b"] {
        let answer = browser.get(&format!("/auth/sign-in?return_to=/me&provider=x&{bad}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn an_id_token_of_another_sign_in_signs_nobody_in() {
    let provider = TestOAuth::start().await;
    let mut browser = Browser::new(site(&provider, options()).await);
    let (log, _guard) = Log::start();
    for nonce in [Some("of-another-sign-in"), Some(""), None] {
        let answer = sign_in(&mut browser, |url| with_nonce(url, nonce)).await;
        assert_eq!((answer.status, browser.session()), (StatusCode::BAD_REQUEST, None), "{nonce:?}");
        let warnings = log.take("WARN");
        assert!(
            matches!(&warnings[..], [line] if line.contains("the ID token is of another sign-in")),
            "{warnings:?}"
        );
        assert_eq!(browser.get("/me").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(sign_in(&mut browser, |_| ()).await.location(), "/me");
    assert_eq!(browser.get("/me").await.body, "ada");
}

#[tokio::test]
async fn what_the_issuer_cannot_end_is_not_said_to_be_over() {
    let provider = TestOAuth::start().await;
    let app = site(&provider, options()).await;
    let (mut one, mut other) = (Browser::new(app.clone()), Browser::new(app));
    for browser in [&mut one, &mut other] {
        assert_eq!(sign_in(browser, |_| ()).await.location(), "/me");
    }
    let unsupported = (StatusCode::NOT_IMPLEMENTED, r#"{"error":"unsupported_scope"}"#);
    let answer = one.post("/auth/logout?scope=others").await;
    assert_eq!((answer.status, answer.body.as_str()), unsupported);
    assert_eq!((answer.set_cookies().len(), provider.grants_alive()), (0, 2));
    for browser in [&mut one, &mut other] {
        assert_eq!(browser.get("/me").await.body, "ada");
    }
    let mut copy = one.clone();
    let answer = one.post("/auth/logout?scope=global").await;
    assert_eq!((answer.status, answer.body.as_str()), unsupported);
    assert_eq!((one.session(), provider.grants_alive()), (None, 1), "this one is over");
    assert_eq!(copy.get("/me").await.status, StatusCode::UNAUTHORIZED);
    assert!(other.post("/auth/refresh").await.status.is_success(), "and the other goes on");
    assert_eq!(one.post("/auth/logout?scope=global").await.status, StatusCode::NO_CONTENT, "none is left");
    assert_eq!(other.post("/auth/logout").await.status, StatusCode::NO_CONTENT);
}

/// Where a browser ends that goes wherever it is sent, and how often it was at the provider.
async fn follow(browser: &mut Browser, page: &str) -> (Answer, usize) {
    let (mut answer, mut rounds) = (browser.open(page).await, 0);
    while answer.status == StatusCode::SEE_OTHER && rounds < 20 {
        let next = answer.location().to_owned();
        if next.starts_with("/login") {
            break;
        }
        answer = if next.starts_with('/') {
            browser.open(&next).await
        } else {
            rounds += 1;
            come_back(browser, &next).await
        };
    }
    (answer, rounds)
}

#[tokio::test]
async fn a_user_whose_token_the_gate_refuses_does_not_go_round_for_ever() {
    let provider = TestOAuth::start_with(OAuthOptions::new().without_assurance()).await;
    // Tokens for another audience; and good ones without the `acr` that a step-up asks for.
    for (audience, page) in [("another-api", "/me"), ("test-api", "/payouts")] {
        let app = site_for(audience, &provider, options()).await;
        let mut browser = Browser::new(app.clone());
        let (log, _guard) = Log::start();
        let (answer, rounds) = follow(&mut browser, page).await;
        let stopped = (StatusCode::FORBIDDEN, r#"{"error":"sign_in_loop"}"#);
        assert_eq!((answer.status, answer.body.as_str(), rounds), (stopped.0, stopped.1, 3), "{page}");
        assert_eq!(browser.cookies["__Host-sign-ins"], "3");
        for _ in 0..2 {
            assert_eq!(browser.open("/auth/sign-in?acr_values=urn:mfa").await.status, stopped.0);
        }
        // The layer warns as well where the gate refuses the token.
        let mut warnings = log.take("WARN");
        warnings.retain(|line| line.contains("three times in a row"));
        let [line] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(["DEBUG", "audience", "auth_time"].iter().all(|word| line.contains(word)), "{line}");
        // Nobody else is held up.
        assert_eq!(sign_in(&mut Browser::new(app), |_| ()).await.location(), "/me");
        // Half a minute later the browser has forgotten it.
        browser.cookies.remove("__Host-sign-ins");
        assert_eq!(sign_in(&mut browser, |_| ()).await.location(), "/me");
    }

    // A page where users choose says so.
    let options = options().sign_in_page("/login").unwrap();
    let mut browser = Browser::new(site(&provider, options).await);
    browser.cookies.insert("__Host-sign-ins".into(), "3".into());
    let (answer, rounds) = follow(&mut browser, "/me").await;
    assert_eq!((answer.location(), rounds), ("/login?error=sign_in_loop&return_to=%2Fme", 0));
}

#[tokio::test]
async fn who_signs_out_and_in_again_by_hand_is_not_held_up() {
    let provider = TestOAuth::start().await;
    let mut browser = Browser::new(site(&provider, options()).await);
    for _ in 0..5 {
        let (answer, rounds) = follow(&mut browser, "/me").await;
        assert_eq!((answer.body.as_str(), rounds), ("ada", 1));
        assert_eq!(browser.cookies["__Host-sign-ins"], "1");
        assert_eq!(browser.post_form("/auth/logout", "").await.location(), "/");
        assert!(!browser.cookies.contains_key("__Host-sign-ins"), "{:?}", browser.cookies);
    }
    // Nothing that is not there is taken away.
    assert_eq!(browser.post("/auth/logout").await.set_cookies().len(), 1);
}

#[tokio::test]
async fn parameters_of_a_sign_in_are_passed_on_if_they_are_on_the_list() {
    let provider = TestOAuth::start().await;
    let listed = || options().pass_on(["login_hint", "prompt"]).unwrap().pass_on(["ui_locales"]).unwrap();
    let app = site(&provider, listed()).await;
    let closed = site(&provider, options()).await;
    let names = ["login_hint", "prompt", "ui_locales", "screen_hint", "scope"];
    let of = |url: &str| {
        let url = Url::parse("https://app.example").unwrap().join(url).unwrap();
        names.map(|wanted| {
            let all: Vec<_> = url.query_pairs().filter(|(name, _)| name == wanted).collect();
            all.iter().map(|(_, value)| value.as_ref()).collect::<Vec<_>>().join(" and ")
        })
    };
    let all = "login_hint=bob%26prompt%3Dnone&prompt=create&ui_locales=de&screen_hint=signup&scope=admin";
    let usual = "openid offline_access";
    for (app, query, expected) in [
        (&app, all, ["bob&prompt=none", "create", "de", "", usual]),
        (&app, "", ["", "", "en", "", usual]),
        (&app, "login_hint=&ui_locales=", ["", "", "en", "", usual]),
        (&closed, all, ["", "", "en", "", usual]),
        (&closed, "login_hint=a&login_hint=b", ["", "", "en", "", usual]),
    ] {
        let mut browser = Browser::new(app.clone());
        let answer = browser.open(&format!("/auth/sign-in?return_to=/me&{query}")).await;
        assert!(answer.location().starts_with(provider.issuer()));
        assert_eq!(of(answer.location()), expected, "{query}");
    }
    let longest = "x".repeat(512);
    for (query, is_good) in [
        (format!("login_hint={longest}"), true),
        (format!("login_hint={longest}x"), false),
        ("login_hint=a&login_hint=a".to_owned(), false),
    ] {
        let answer = Browser::new(app.clone()).get(&format!("/auth/sign-in?{query}")).await;
        assert_eq!(answer.status == StatusCode::SEE_OTHER, is_good, "{query}");
        assert!(is_good || answer.body == r#"{"error":"invalid_request"}"#, "{}", answer.body);
    }

    // By way of the page where users choose.
    let app = site(&provider, listed().sign_in_page("/login").unwrap()).await;
    let answer = Browser::new(app).open(&format!("/auth/sign-in?return_to=/me&{all}")).await;
    assert!(answer.location().starts_with("/login?return_to=%2Fme&"), "{}", answer.location());
    assert_eq!(of(answer.location()), ["bob&prompt=none", "create", "de", "", ""]);

    for bad in [
        "",
        "a b",
        "a&b",
        "ä",
        "client_id",
        "redirect_uri",
        "response_type",
        "response_mode",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "acr_values",
        "max_age",
        "request",
        "request_uri",
        "resource",
        "audience",
        "claims",
        "provider",
        "return_to",
        "error",
        "Redirect_URI",
    ] {
        let refused = options().pass_on(["login_hint", bad]);
        assert_eq!(refused.err(), Some(InvalidRoutes::Parameter(bad.into())));
    }
}
