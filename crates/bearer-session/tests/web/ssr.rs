//! The cookies of `@supabase/ssr`, of which this side is the owner.

use crate::{
    browser::Browser,
    store::Switch,
    world::{ADA, BOB, PASSWORD, World, json, options, site},
};
use axum::http::{HeaderMap, Request, StatusCode};
use axum_bearer::{Issuer, JwtVerifier, revocation::DenyList};
use bearer_session::{
    AccessToken, Keyring, RefreshToken, SessionLayer, Sessions, TokenSet,
    endpoint::{OnBehalf, Outcome, TokenEndpoint as _},
    keeping::{Keeping, ssr::SsrCookies},
    revoke_in, session_routes,
    store::MemoryStore,
};
use bearer_testing::{SigningKey, TokenFault};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::Notify;
use tower::ServiceExt as _;
use tower_http::csrf::CsrfLayer;

const NAME: &str = "sb-127-auth-token";

fn cookies(world: &World) -> SsrCookies {
    SsrCookies::of_project(world.supabase.project_url()).unwrap()
}

fn app(world: &World) -> axum::Router {
    let keeping = Keeping::supabase_ssr(cookies(world), world.verifier.clone());
    site(&world.sessions, &world.endpoint, &world.verifier, keeping, options())
}

/// A browser in which supabase-js has signed Ada in, some time ago.
fn frontend(world: &World, expires_in: i64) -> Browser {
    world.supabase.set_access_token_expires_in(expires_in);
    let answer = world.supabase.sign_in(ADA);
    world.supabase.set_access_token_expires_in(3600);
    with_pair(
        world,
        answer["access_token"].as_str().unwrap(),
        answer["refresh_token"].as_str().unwrap(),
        expires_in,
    )
}

fn with_pair(world: &World, access: &str, refresh: &str, expires_in: i64) -> Browser {
    let left = Duration::from_secs(u64::try_from(expires_in).unwrap_or_default());
    let tokens = TokenSet::new(AccessToken::new(access), left).refresh_token(RefreshToken::new(refresh));
    let mut browser = Browser::new(app(world));
    let mut headers = HeaderMap::new();
    SsrCookies::set(&mut headers, cookies(world).write(&HeaderMap::new(), &tokens, SystemTime::now()));
    browser.keep(&headers);
    browser
}

fn has_session(browser: &Browser) -> bool {
    browser.cookies.keys().any(|name| name.starts_with(NAME))
}

#[tokio::test]
async fn a_session_of_the_frontend_is_taken_over_and_given_back_renewed() {
    let world = World::start().await;
    let mut live = frontend(&world, 3600);
    for _ in 0..2 {
        let answer = live.get("/me").await;
        assert_eq!(
            (answer.status, answer.body.as_str(), answer.set_cookies().len()),
            (StatusCode::OK, ADA, 0)
        );
    }
    let mut expired = frontend(&world, -3600);
    let before = expired.line();
    let echo = expired.get("/echo").await;
    assert!(
        echo.body.contains("cookie: theme=dark\n") && echo.body.contains("authorization: Bearer "),
        "{}",
        echo.body
    );
    assert_ne!(expired.line(), before);
    assert_eq!(echo.header("cache-control"), Some("private, no-store"));
    let answer = expired.get("/me").await;
    assert_eq!((answer.status, answer.body.as_str(), answer.set_cookies().len()), (StatusCode::OK, ADA, 0));
    assert_eq!(world.supabase.presentations(), [1]);
}

#[tokio::test]
async fn a_store_that_lost_everything_gets_back_what_the_browsers_have() {
    let store = Switch::new();
    let world = World::with(store.clone(), |sessions| sessions.local_for(Duration::ZERO)).await;
    let (mut live, mut expired) = (frontend(&world, 3600), frontend(&world, -3600));
    assert_eq!(live.get("/me").await.status, StatusCode::OK);
    assert_eq!(expired.get("/me").await.status, StatusCode::OK);
    assert_eq!(expired.post("/auth/refresh").await.status, StatusCode::OK);
    for _ in 0..2 {
        store.flush();
        for browser in [&mut live, &mut expired] {
            for (path, says) in [("/auth/session", "\"signed_in\":true"), ("/me", ADA)] {
                let answer = browser.open(path).await;
                assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 0), "{path}");
                assert!(answer.body.contains(says), "{}", answer.body);
            }
        }
    }
    // What was ended, and not lost, does not come back.
    let mut old = live.clone();
    assert_eq!(live.post("/auth/logout").await.status, StatusCode::NO_CONTENT);
    assert_eq!(old.get("/me").await.status, StatusCode::UNAUTHORIZED);
    assert!(!has_session(&old) && !has_session(&live));
    assert_eq!(world.supabase.presentations(), [1, 1]);
}

#[tokio::test]
async fn tabs_that_lag_behind_are_led_to_the_newest_pair() {
    let world = World::start().await;
    let first = frontend(&world, -3600);
    let mut tab = first.clone();
    assert_eq!(tab.get("/me").await.status, StatusCode::OK);
    let second = tab.clone();
    for _ in 0..2 {
        tab.cookies.insert("theme".into(), "light".into());
        let id = tab.get("/auth/session").await;
        assert_eq!(json(&id.body)["signed_in"], true);
    }
    assert_eq!(tab.post("/auth/refresh").await.status, StatusCode::OK);
    let newest = tab.cookies.get(NAME).cloned();
    for mut lagging in [first.clone(), second, first] {
        let answer = lagging.get("/me").await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ADA));
        assert_eq!(lagging.cookies.get(NAME).cloned(), newest);
    }
    assert_eq!(world.supabase.presentations(), [1, 1]);
    assert_eq!(world.supabase.sessions_alive(), 1);
}

#[tokio::test]
async fn a_thousand_requests_with_one_expired_pair_are_one_exchange() {
    let world = World::start().await;
    let browser = frontend(&world, -3600);
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let mut browser = browser.clone();
        requests.spawn(async move {
            let answer = browser.get("/me").await;
            (answer.status, browser.line())
        });
    }
    let answers = requests.join_all().await;
    assert!(answers.iter().all(|answer| answer.0 == StatusCode::OK && *answer == answers[0]));
    assert_eq!(world.supabase.presentations(), [1]);
}

#[tokio::test]
async fn what_was_not_signed_by_the_issuer_is_not_taken_over() {
    let world = World::start().await;
    let refresh = world.supabase.sign_in(ADA)["refresh_token"].as_str().unwrap().to_owned();
    let stranger = SigningKey::generate(world.supabase.signing_key().algorithm()).kid("key-1");
    for (name, access) in [
        ("forged", world.supabase.token().key(&stranger).sign()),
        ("forged and expired", world.supabase.token().expires_in(-3600).key(&stranger).sign()),
        ("unsigned", world.supabase.token().unsigned()),
        ("another issuer's", world.supabase.token().claim("iss", "https://evil.example").sign()),
        ("not yet good", world.supabase.token().claim("nbf", 4_000_000_000_u64).sign()),
        ("for another audience", world.supabase.token().claim("aud", "other").sign()),
        ("no token", "a.b.c".to_owned()),
    ] {
        let mut browser = with_pair(&world, &access, &refresh, 3600);
        let answer = browser.get("/me").await;
        assert_eq!((answer.status, has_session(&browser)), (StatusCode::UNAUTHORIZED, false), "{name}");
    }
    assert_eq!(world.supabase.refreshes(), 0);
}

#[tokio::test]
async fn a_verifier_without_keys_decides_nothing() {
    let world = World::start().await;
    let (_sink, keys) = tower_bearer::keys::channel();
    let issuer = Issuer::supabase(world.supabase.project_url()).unwrap().keys(keys);
    let verifier = JwtVerifier::new([issuer]).unwrap();
    let keeping = Keeping::supabase_ssr(cookies(&world), verifier);
    let app = site(&world.sessions, &world.endpoint, &world.verifier, keeping, options());
    let mut browser = Browser { app, ..frontend(&world, 3600) };
    tokio::time::pause();
    let answer = browser.get("/me").await;
    assert_eq!((answer.status, has_session(&browser)), (StatusCode::SERVICE_UNAVAILABLE, true));
}

#[tokio::test]
async fn an_expired_access_token_of_another_revokes_nothing() {
    let list = DenyList::new(9);
    let hook = revoke_in(list.clone(), Duration::from_secs(3600));
    let world = World::with(MemoryStore::new(100), |sessions| sessions.on_sign_out(hook)).await;
    for path in ["/me", "/auth/logout", "/auth/logout?scope=global"] {
        world.supabase.set_access_token_expires_in(-3600);
        let answer = world.supabase.sign_in(ADA);
        let mut thief = with_pair(&world, answer["access_token"].as_str().unwrap(), path, 0);
        thief.post(path).await;
        assert!(!has_session(&thief), "{path}: it is over");
        assert!(list.is_empty(), "{path}");
    }
    let mut own = frontend(&world, -3600);
    own.get("/me").await;
    own.post("/auth/logout").await;
    assert!(!list.is_empty(), "whoever has the session signs it out");
}

/// A pair of cookies of this user, and its refresh token.
fn pair(world: &World, email: &str, expires_in: i64) -> (String, RefreshToken) {
    world.supabase.set_access_token_expires_in(expires_in);
    let answer = world.supabase.sign_in(email);
    world.supabase.set_access_token_expires_in(3600);
    let (access, refresh) =
        (answer["access_token"].as_str().unwrap(), answer["refresh_token"].as_str().unwrap());
    let browser = with_pair(world, access, refresh, expires_in);
    (format!("{NAME}={}", browser.cookies[NAME]), RefreshToken::new(refresh))
}

#[tokio::test]
async fn of_two_pairs_the_newer_counts_whichever_comes_first() {
    let world = World::start().await;
    let ((stale, _), (newer, _)) = (pair(&world, BOB, -7200), pair(&world, ADA, -3600));
    let with = |request: axum::http::request::Builder, (first, second): (&str, &str)| {
        let request = request.header("cookie", format!("{first}; theme=dark; {second}"));
        let (app, request) = (app(&world), request.body(axum::body::Body::empty()).unwrap());
        async move { crate::browser::Answer::of(app.oneshot(request).await.unwrap()).await }
    };
    for pairs in [(&*stale, &*newer), (&newer, &stale)] {
        let answer = with(Request::get("/me"), pairs).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ADA));
        let answer = with(Request::get("/auth/session"), pairs).await;
        assert_eq!(json(&answer.body)["signed_in"], true);
    }
    assert_eq!(world.supabase.presentations(), [1]);

    let ((stale, bobs), (newer, adas)) = (pair(&world, BOB, 1800), pair(&world, ADA, 3600));
    let answer = with(Request::post("/auth/logout"), (&stale, &newer)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let refresh = async |token| world.endpoint.refresh(token, OnBehalf::default()).await;
    assert_eq!(refresh(&adas).await.unwrap_err().outcome(), Outcome::Final);
    assert!(refresh(&bobs).await.is_ok());
}

#[tokio::test]
async fn a_slow_answer_does_not_bring_back_a_session_that_another_process_ended() {
    let store = Arc::new(MemoryStore::new(100));
    let world = World::with(Arc::clone(&store), |sessions| sessions).await;
    let keeping = || Keeping::supabase_ssr(cookies(&world), world.verifier.clone());
    for ends in [false, true] {
        let other =
            Sessions::builder(world.endpoint.clone(), Arc::clone(&store), Keyring::new(&[7; 32])).build();
        let app = site(&other, &world.endpoint, &world.verifier, keeping(), options());
        let mut there = Browser { app, ..frontend(&world, -3600) };

        let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (asked, go) = (Arc::clone(&asked), Arc::clone(&go));
            async move || {
                asked.notify_one();
                go.notified().await;
            }
        };
        let layer = SessionLayer::new(world.sessions.clone(), keeping(), CsrfLayer::new());
        let app = axum::Router::new().route("/slow", axum::routing::get(slow)).layer(layer);
        let mut here = Browser { app, ..there.clone() };
        let answer = tokio::spawn(async move { here.get("/slow").await });
        asked.notified().await;
        if ends {
            assert_eq!(there.post("/auth/logout").await.status, StatusCode::NO_CONTENT);
        }
        go.notify_one();
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, answer.set_cookies().is_empty()), (StatusCode::OK, ends));
    }
}

/// One line of cookies, each with this access token and a refresh token that somebody made up.
fn made_up(access: &str, tokens: std::ops::Range<usize>) -> String {
    let pair = |number| {
        format!(r#"{NAME}={{"access_token":"{access}","refresh_token":"made-up-{number}","expires_at":1}}"#)
    };
    tokens.map(pair).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn a_request_full_of_made_up_pairs_costs_one_exchange() {
    let world = World::start().await;
    world.supabase.set_access_token_expires_in(-3600);
    let own = world.supabase.sign_in(ADA);
    let line = made_up(own["access_token"].as_str().unwrap(), 0..8);
    for path in ["/me", "/auth/session"] {
        let before = world.supabase.refreshes();
        let request = Request::get(path).header("cookie", &line).body(axum::body::Body::empty()).unwrap();
        app(&world).oneshot(request).await.unwrap();
        assert!(world.supabase.refreshes() <= before + 1, "{path}: {}", world.supabase.refreshes());
    }
    assert!(world.supabase.refreshes() > 0, "the first is tried");
}

#[tokio::test]
async fn behind_a_pair_that_is_dead_another_is_found_by_the_next_request() {
    let world = World::start().await;
    let ((older, _), (newest, _)) = (pair(&world, ADA, -7200), pair(&world, BOB, -3600));
    world.supabase.script_refreshes([TokenFault::SessionKilled]);
    let send = async || {
        let line = format!("{older}; {newest}");
        let request = Request::get("/me").header("cookie", line).body(axum::body::Body::empty()).unwrap();
        crate::browser::Answer::of(app(&world).oneshot(request).await.unwrap()).await
    };
    let answer = send().await;
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert_eq!((answer.header("retry-after"), world.supabase.refreshes()), (Some("1"), 1));
    let answer = send().await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ADA));
}

#[tokio::test]
async fn what_the_cookie_says_of_its_time_counts_for_nothing() {
    let world = World::start().await;
    let answer = world.supabase.sign_in(ADA);
    let (access, refresh) =
        (answer["access_token"].as_str().unwrap(), answer["refresh_token"].as_str().unwrap());
    let mut browser = with_pair(&world, access, refresh, 0);
    assert_eq!(browser.get("/me").await.body, ADA);
    assert_eq!(world.supabase.refreshes(), 0);
}

#[tokio::test]
async fn behind_the_layer_the_routes_know_which_cookies_there_are() {
    let world = World::start().await;
    let keeping = Keeping::supabase_ssr(cookies(&world), world.verifier.clone());
    let (sessions, csrf) = (&world.sessions, CsrfLayer::new());
    let routes =
        session_routes(sessions.clone(), world.endpoint.clone(), keeping.clone(), csrf.clone(), options());
    let layer = SessionLayer::new(sessions.clone(), keeping, csrf);
    let mut browser = Browser::new(axum::Router::new().nest("/auth", routes).layer(layer));
    let names = |browser: &Browser| browser.cookies.keys().cloned().collect::<Vec<_>>();
    let credentials = format!(r#"{{"email":"{ADA}","password":"{PASSWORD}"}}"#);
    // Of a longer session; also where the layer has nothing to do with it.
    for credential in [None, Some("Bearer mine")] {
        for chunk in 0..3 {
            browser.cookies.insert(format!("{NAME}.{chunk}"), "base64-eyJ".into());
        }
        let mut request = Request::post("/auth/password").header("content-type", "application/json");
        if let Some(credential) = credential {
            request = request.header("authorization", credential);
        }
        assert_eq!(browser.send(request, &credentials).await.status, StatusCode::OK);
        assert_eq!(names(&browser), [NAME, "theme"]);
    }
    let answer = browser.get("/auth/session").await;
    assert_eq!(json(&answer.body)["signed_in"], true);
    let answer = browser.post("/auth/refresh").await;
    assert_eq!((answer.status, names(&browser)), (StatusCode::OK, vec![NAME.to_owned(), "theme".to_owned()]));
    let answer = browser.post("/auth/logout").await;
    assert_eq!((answer.status, names(&browser)), (StatusCode::NO_CONTENT, vec!["theme".to_owned()]));
}

#[tokio::test]
async fn signing_in_and_out_writes_the_cookies_of_the_frontend() {
    let world = World::start().await;
    let mut browser = Browser::new(app(&world));
    let form = format!("email={ADA}&password={PASSWORD}&return_to=/me");
    assert_eq!(browser.post_form("/auth/password", &form).await.location(), "/me");
    let headers = HeaderMap::from_iter([(axum::http::header::COOKIE, browser.line().parse().unwrap())]);
    let [session] = &cookies(&world).read(&headers)[..] else { panic!("{}", browser.line()) };
    assert!(session.document.expose().contains("\"user\""));
    assert_eq!(browser.get("/me").await.body, ADA);
    let own = browser.clone();
    let answer = browser.post("/auth/logout").await;
    assert_eq!((answer.status, has_session(&browser)), (StatusCode::NO_CONTENT, false));
    assert_eq!(world.supabase.sessions_alive(), 0);
    let mut copy = own;
    assert_eq!(copy.get("/me").await.status, StatusCode::UNAUTHORIZED);
    assert!(!has_session(&copy));
}

#[tokio::test]
async fn another_site_cannot_use_it_either() {
    let world = World::start().await;
    let mut browser = frontend(&world, -3600);
    let evil = Request::post("/me").header("host", "app.example").header("origin", "https://evil.example");
    let answer = browser.send(evil, "").await;
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::FORBIDDEN, 0));
    assert_eq!(world.supabase.refreshes(), 0);
}
