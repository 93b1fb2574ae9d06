//! Sign-in with a password, who am I, refresh, and sign-out.

use crate::{
    browser::Browser,
    store::Switch,
    world::{ADA, BOB, PASSWORD, World, json, options, site},
};
use axum::http::{Request, StatusCode};
use bearer_session::{Keyring, Sessions, endpoint::RateBudget, keeping::OpaqueCookie, store::MemoryStore};
use bearer_testing::TokenFault;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn credentials(email: &str, password: &str) -> String {
    format!(r#"{{"email":"{email}","password":"{password}"}}"#)
}

#[tokio::test]
async fn a_password_begins_a_session_whose_cookie_is_out_of_reach() {
    let world = World::start().await;
    let mut browser = world.browser();
    let answer = browser.post_json("/auth/password", &credentials(ADA, PASSWORD)).await;
    let shown = json(&answer.body);
    assert_eq!((answer.status, &shown["signed_in"]), (StatusCode::OK, &true.into()));
    assert!(shown["sub"].is_string() && shown["session_id"].is_string() && shown["expires_in"] == 3600);
    let [line] = answer.set_cookies()[..] else { panic!("{:?}", answer.headers) };
    let id = browser.session().unwrap();
    assert_eq!(
        line,
        format!("__Host-session={id}; Max-Age=34560000; Path=/; HttpOnly; Secure; SameSite=Lax")
    );
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    assert_eq!(browser.get("/me").await.body, ADA);

    for (json, status) in [
        (credentials(ADA, "a guess"), StatusCode::BAD_REQUEST),
        ("{}".into(), StatusCode::BAD_REQUEST),
        (format!(r#"["{ADA}","{PASSWORD}",null]"#), StatusCode::BAD_REQUEST),
        ("x".repeat(17_000), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let answer = world.browser().post_json("/auth/password", &json).await;
        assert_eq!((answer.status, answer.set_cookies().len()), (status, 0));
    }
    assert_eq!(world.browser().post("/auth/password").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_form_goes_on_within_this_site_and_nowhere_else() {
    let world = World::start().await;
    for (return_to, expected) in [
        ("/orders%3Fpage=2", "/orders?page=2"),
        ("", "/"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/%5Cevil.example", "/"),
        ("/%09/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a&return_to=/b", ""),
    ] {
        let form = format!("email={ADA}&password={PASSWORD}&return_to={return_to}");
        let answer = world.browser().post_form("/auth/password", &form).await;
        if expected.is_empty() {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        } else {
            assert_eq!(answer.location(), expected, "{return_to}");
        }
        let return_to = format!("return_to={return_to}");
        for (query, body) in [(&*return_to, ""), ("", &*return_to), (&*return_to, &*return_to)] {
            let path = format!("/auth/logout?{query}");
            let out = world.signed_in(HOUR).await.post_form(&path, body).await;
            if expected.is_empty() {
                assert_eq!(out.status, StatusCode::BAD_REQUEST);
            } else {
                assert_eq!(out.location(), expected, "{query} {body}");
            }
        }
    }
}

#[tokio::test]
async fn each_failure_has_the_code_and_the_status_of_the_table() {
    let world = World::start().await;
    let form = "application/x-www-form-urlencoded";
    for (method, path, body, status, code) in [
        ("GET", "/sign-in", "", 400, "unknown_provider"),
        ("GET", "/sign-in?return_to=/a&return_to=/b", "", 400, "invalid_request"),
        ("GET", "/callback?state=a", "", 400, "invalid_request"),
        ("GET", "/callback?state=a&code=b", "", 400, "unknown_sign_in"),
        ("POST", "/password", "password=a", 400, "invalid_request"),
        ("POST", "/password", "email=nobody&password=a", 400, "invalid_credentials"),
        ("POST", "/refresh", "", 401, "signed_out"),
        ("POST", "/logout?scope=all", "", 400, "invalid_scope"),
        ("POST", "/logout?return_to=/a", "return_to=/b", 400, "invalid_request"),
    ] {
        let request = Request::builder().method(method).uri(format!("/auth{path}"));
        let answer = world.browser().send(request.header("content-type", form), body).await;
        let expected = format!(r#"{{"error":"{code}"}}"#);
        assert_eq!((answer.status.as_u16(), answer.body), (status, expected), "{path}");
    }
}

#[tokio::test]
async fn a_sign_in_never_takes_over_the_id_that_was_there() {
    let world = World::start().await;
    // Somebody has put their own session into the browser.
    let mut thief = world.browser();
    thief.post_json("/auth/password", &credentials(BOB, PASSWORD)).await;
    let planted = thief.session().unwrap().to_owned();
    let mut victim = world.browser();
    for planted in [planted.clone(), bearer_session::SessionId::random().to_text().expose().to_owned()] {
        victim.cookies.insert("__Host-session".into(), planted.clone());
        victim.post_json("/auth/password", &credentials(ADA, PASSWORD)).await;
        assert_ne!(victim.session(), Some(planted.as_str()));
        assert_eq!(victim.get("/me").await.body, ADA);
    }
    assert_eq!(thief.get("/me").await.status, StatusCode::UNAUTHORIZED);
    // The one that was planted is over at the issuer too, and so is the victim's first.
    assert_eq!(world.supabase.sessions_alive(), 2);
}

#[tokio::test]
async fn a_session_says_whose_it_is_and_no_more() {
    let world = World::start().await;
    let mut browser = world.signed_in(Duration::ZERO).await;
    let answer = browser.get("/auth/session").await;
    let shown = json(&answer.body);
    let mut names: Vec<_> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["expires_in", "session_id", "signed_in", "sub"]);
    assert!(shown["expires_in"].as_u64().unwrap() > 3500, "{shown}");
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    assert_eq!(world.browser().get("/auth/session").await.body, r#"{"signed_in":false}"#);
}

#[tokio::test]
async fn a_refresh_on_demand_comes_once_in_a_while() {
    let world = World::start().await;
    let app = site(
        &world.sessions,
        &world.endpoint,
        &world.verifier,
        OpaqueCookie::new(),
        options().refresh_every(Duration::from_millis(300)),
    );
    let mut browser = Browser { app, ..world.signed_in(HOUR).await };
    assert_eq!(browser.post("/auth/refresh").await.status, StatusCode::OK);
    for _ in 0..5 {
        let answer = browser.post("/auth/refresh").await;
        assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("1")));
    }
    assert_eq!(world.supabase.refreshes(), 1);
    tokio::time::sleep(Duration::from_millis(310)).await;
    assert_eq!(browser.post("/auth/refresh").await.status, StatusCode::OK);
    assert_eq!(world.supabase.refreshes(), 2);
    assert_eq!(world.browser().post("/auth/refresh").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn neither_guesses_nor_refreshes_on_demand_keep_an_expired_session_waiting() {
    let world = World::start().await;
    let budget = RateBudget::new(6, Duration::from_secs(20));
    let endpoint = world.endpoint.clone().rate_budget(budget);
    let sessions = Sessions::builder(endpoint.clone(), MemoryStore::new(100), Keyring::random()).build();
    let app = site(&sessions, &endpoint, &world.verifier, OpaqueCookie::new(), options());
    let with = async |left| {
        let id = sessions.create(world.tokens(left)).await.unwrap();
        let mut browser = Browser::new(app.clone());
        browser.cookies.insert("__Host-session".to_owned(), id.to_text().expose().to_owned());
        browser
    };
    let mut guesses = Vec::new();
    for _ in 0..4 {
        let answer =
            Browser::new(app.clone()).post_json("/auth/password", &credentials(ADA, "a guess")).await;
        guesses.push(answer.status.as_u16());
    }
    assert_eq!(guesses, [400, 400, 400, 503], "half of it");
    let forced = with(HOUR).await.post("/auth/refresh").await;
    assert_eq!((forced.status, world.supabase.refreshes()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    for _ in 0..3 {
        // However it is asked for.
        let mut expired = with(Duration::ZERO).await;
        assert_eq!(expired.post("/auth/refresh").await.status, StatusCode::OK);
    }
    assert_eq!(with(Duration::ZERO).await.get("/me").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.supabase.refreshes(), 3);
}

#[tokio::test]
async fn a_refresh_on_demand_comes_once_a_minute_unless_told_otherwise() {
    let world = World::start().await;
    let mut browser = world.signed_in(HOUR).await;
    assert_eq!(browser.post("/auth/refresh").await.status, StatusCode::OK);
    let answer = browser.post("/auth/refresh").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let retry_after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((55..=60).contains(&retry_after), "{retry_after}");
}

#[tokio::test]
async fn tokens_of_a_sign_in_that_cannot_be_stored_are_given_up_at_the_issuer_too() {
    for is_lost in [false, true] {
        let store = Switch::new();
        let world = World::with(store.clone(), |sessions| sessions).await;
        if is_lost {
            store.lose_creations();
        } else {
            store.cut_off(true);
        }
        let mut browser = world.browser();
        let answer = browser.post_json("/auth/password", &credentials(ADA, PASSWORD)).await;
        assert_eq!((answer.status, browser.session()), (StatusCode::SERVICE_UNAVAILABLE, None));
        assert_eq!(answer.header("retry-after"), Some("1"));
        let given_up = async {
            while world.supabase.sessions_alive() > 0 || store.holds_any().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let given_up = tokio::time::timeout(Duration::from_secs(3), given_up).await;
        assert!(given_up.is_ok(), "{is_lost}: {}", world.supabase.sessions_alive());
    }
}

#[tokio::test]
async fn a_refresh_on_demand_of_which_nothing_came_may_be_tried_again() {
    let world = World::start().await;
    let mut browser = world.signed_in(HOUR).await;
    world.supabase.script_refreshes([TokenFault::TooManyRequests(Some(1))]);
    let answer = browser.post("/auth/refresh").await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    assert_eq!(browser.post("/auth/refresh").await.status, StatusCode::OK);
    assert_eq!(browser.post("/auth/refresh").await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_sign_out_ends_what_its_scope_says() {
    for (scope, here, elsewhere, alive) in [
        ("", false, true, 1),
        ("?scope=local", false, true, 1),
        ("?scope=others", true, false, 1),
        ("?scope=global", false, false, 0),
    ] {
        let world = World::start().await;
        let (mut one, mut other) = (world.signed_in(HOUR).await, world.signed_in(HOUR).await);
        let answer = one.post(&format!("/auth/logout{scope}")).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{scope}");
        assert_eq!(one.session().is_some(), here, "{scope}");
        assert_eq!(answer.header("cache-control"), Some("private, no-store"));
        assert_eq!(world.supabase.sessions_alive(), alive, "{scope}");
        assert_eq!(one.get("/me").await.status == StatusCode::OK, here, "{scope}");
        // The tokens of the other live on until they are refreshed, as the issuer has it.
        let refreshed = other.post("/auth/refresh").await.status;
        assert_eq!(refreshed == StatusCode::OK, elsewhere, "{scope} {refreshed}");
    }
    let world = World::start().await;
    let mut browser = world.signed_in(HOUR).await;
    for bad in ["?scope=all", "?scope=", "?scope=local&scope=global"] {
        assert_eq!(
            browser.post(&format!("/auth/logout{bad}")).await.status,
            StatusCode::BAD_REQUEST,
            "{bad}"
        );
    }
    assert_eq!(browser.get("/me").await.status, StatusCode::OK);
    assert_eq!(world.browser().post("/auth/logout").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_sign_out_everywhere_that_the_issuer_does_not_hear_of_is_one_here_and_not_said_to_be_done() {
    let world = World::start().await;
    // The issuer takes no sign-out from an expired token, and gives no other.
    world.supabase.set_access_token_expires_in(-3600);
    world.supabase.fail_refresh_with(503);
    for (scope, status, is_over) in [
        ("local", StatusCode::NO_CONTENT, true),
        ("others", StatusCode::SERVICE_UNAVAILABLE, false),
        ("global", StatusCode::SERVICE_UNAVAILABLE, true),
    ] {
        let mut browser = world.signed_in(HOUR).await;
        let mut copy = browser.clone();
        let answer = browser.post(&format!("/auth/logout?scope={scope}")).await;
        assert_eq!((answer.status, browser.session().is_none()), (status, is_over), "{scope}");
        assert_eq!(answer.header("retry-after").is_some(), status != StatusCode::NO_CONTENT, "{scope}");
        assert_eq!(json(&copy.get("/auth/session").await.body)["signed_in"], !is_over, "{scope}");
    }
}

#[tokio::test]
async fn a_sign_out_reads_its_scope_wherever_it_stands_and_none_that_it_does_not_know() {
    const FORM: &str = "application/x-www-form-urlencoded";
    const JSON: &str = "application/json";
    let world = World::start().await;
    for (query, content_type, body, status, code, alive) in [
        ("", FORM, "scope=global", 204, "", 0),
        ("", JSON, r#"{"scope":"global"}"#, 204, "", 0),
        ("", "application/json; charset=utf-8", r#"{"scope":"global","return_to":"/"}"#, 204, "", 0),
        ("?scope=global", FORM, "scope=global", 204, "", 0),
        ("?scope=global", JSON, "{}", 204, "", 0),
        ("?scope=global", JSON, "", 204, "", 0),
        ("?scope=global", "text/plain", "", 204, "", 0),
        ("", JSON, r#"{"scope":null}"#, 204, "", 1),
        ("", FORM, "other=global", 204, "", 1),
        ("?scope=local", FORM, "scope=global", 400, "invalid_scope", 2),
        ("?scope=local", JSON, r#"{"scope":"global"}"#, 400, "invalid_scope", 2),
        ("", FORM, "scope=everywhere", 400, "invalid_scope", 2),
        ("", FORM, "scope=", 400, "invalid_scope", 2),
        ("", FORM, "scope=local&scope=global", 400, "invalid_scope", 2),
        ("", JSON, r#"{"scope":"everywhere"}"#, 400, "invalid_scope", 2),
        ("", JSON, r#"{"scope":"local","scope":"global"}"#, 400, "invalid_request", 2),
        ("", JSON, r#"{"scope":["global"]}"#, 400, "invalid_request", 2),
        ("", JSON, r#"["global",null]"#, 400, "invalid_request", 2),
        ("", JSON, "scope=global", 400, "invalid_request", 2),
        ("?return_to=/a", JSON, r#"{"return_to":"/b"}"#, 400, "invalid_request", 2),
        // As a script sends a `FormData`, or a text.
        ("", "multipart/form-data; boundary=b", "--b--", 415, "", 2),
        ("", "text/plain", "scope=global", 415, "", 2),
        ("", JSON, &"x".repeat(16 * 1024 + 1), 413, "", 2),
    ] {
        let (mut one, _other) = (world.signed_in(HOUR).await, world.signed_in(HOUR).await);
        let request = Request::post(format!("/auth/logout{query}")).header("content-type", content_type);
        let answer = one.send(request, body).await;
        let name = format!("{query} {content_type} {body:.60}");
        assert_eq!(answer.status.as_u16(), status, "{name}");
        if !code.is_empty() {
            assert_eq!(answer.body, format!(r#"{{"error":"{code}"}}"#), "{name}");
        }
        assert_eq!(world.supabase.sessions_alive(), alive, "{name}");
        assert_eq!(one.get("/me").await.status == StatusCode::OK, alive == 2, "{name}");
        world.signed_in(HOUR).await.post("/auth/logout?scope=global").await;
    }
}

#[tokio::test]
async fn a_sign_out_the_day_after_ends_the_session_at_the_issuer_too() {
    for scope in ["local", "global"] {
        let world = World::start().await;
        world.supabase.set_access_token_expires_in(-3600);
        let mut browser = world.signed_in(Duration::ZERO).await;
        world.supabase.set_access_token_expires_in(3600);
        let answer = browser.post(&format!("/auth/logout?scope={scope}")).await;
        assert_eq!((answer.status, browser.session()), (StatusCode::NO_CONTENT, None));
        let ended = async {
            while world.supabase.sessions_alive() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), ended).await.expect("it ends");
        assert_eq!(world.supabase.presentations(), [1]);
    }
}

#[tokio::test]
async fn behind_the_layer_the_routes_find_the_session_too() {
    let world = World::start().await;
    let routes = bearer_session::session_routes(
        world.sessions.clone(),
        world.endpoint.clone(),
        OpaqueCookie::new(),
        tower_http::csrf::CsrfLayer::new(),
        options(),
    );
    let layer = bearer_session::SessionLayer::new(
        world.sessions.clone(),
        OpaqueCookie::new(),
        tower_http::csrf::CsrfLayer::new(),
    );
    let app = axum::Router::new().nest("/auth", routes).layer(layer);
    let mut browser = Browser { app, ..world.signed_in(HOUR).await };
    assert_eq!(json(&browser.get("/auth/session").await.body)["signed_in"], true);
    // An old cookie is not cleared over the new one.
    browser.cookies.insert("__Host-session".into(), "a-guess".into());
    let answer = browser.post_json("/auth/password", &credentials(ADA, PASSWORD)).await;
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::OK, 1));
    assert_eq!(json(&browser.get("/auth/session").await.body)["signed_in"], true);
    assert_eq!(browser.post("/auth/logout").await.status, StatusCode::NO_CONTENT);
    assert_eq!(browser.session(), None);
}
