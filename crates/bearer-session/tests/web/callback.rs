//! Sign-in at the issuer, and the way back.

use crate::{
    browser::Browser,
    log::Log,
    world::{ADA, CALLBACK, World, options, site},
};
use axum::http::StatusCode;
use bearer_session::keeping::OpaqueCookie;
use std::time::Duration;
use url::Url;

/// Leaves for the issuer, and is sent back by it: the path and query of the callback.
async fn at_the_issuer(browser: &mut Browser, return_to: &str) -> String {
    let path = format!("/auth/sign-in?provider=github&return_to={return_to}");
    let leaving = browser.open(&path).await;
    assert_eq!(leaving.header("cache-control"), Some("private, no-store"));
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let answer = client.build().unwrap().get(leaving.location()).send().await.unwrap();
    let back = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(back.starts_with(CALLBACK), "{back}");
    back["https://app.example".len()..].to_owned()
}

#[tokio::test]
async fn a_user_comes_back_signed_in_where_they_wanted_to_go() {
    let world = World::start().await;
    let mut browser = world.browser();
    let back = at_the_issuer(&mut browser, "/me%3Fa=1").await;
    let kept: Vec<_> = browser.cookies.keys().filter(|name| name.contains("sign-in")).cloned().collect();
    assert!(matches!(&kept[..], [name] if name.starts_with("__Host-sign-in-")), "{kept:?}");
    let answer = browser.open(&back).await;
    assert_eq!(answer.location(), "/me?a=1");
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["__Host-session", "__Host-sign-ins", "theme"]);
    assert_eq!(browser.get("/me").await.body, ADA);
}

#[tokio::test]
async fn the_cookie_of_a_sign_in_is_short_lived_sealed_and_out_of_reach() {
    let world = World::start().await;
    let answer = world.browser().open("/auth/sign-in?provider=github").await;
    let [line] = answer.set_cookies()[..] else { panic!("{:?}", answer.headers) };
    assert!(line.ends_with("; Max-Age=600; Path=/; HttpOnly; Secure; SameSite=Lax"), "{line}");
    let url = Url::parse(answer.location()).unwrap();
    let query: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(query["code_challenge_method"], "s256");
    let back = Url::parse(&query["redirect_to"]).unwrap();
    let (_, state) = back.query_pairs().find(|(name, _)| name == "state").unwrap();
    assert_eq!(state.len(), 43);
    assert!(!line.contains(&state[8..]) && !line.contains(&query["code_challenge"]), "{line}");
}

#[tokio::test]
async fn nobody_is_signed_in_by_a_link() {
    let world = World::start().await;
    // Somebody else's code, whole, in another browser: it would sign that one in as them.
    let mut thief = world.browser();
    let back = at_the_issuer(&mut thief, "/").await;
    let mut victim = world.browser();
    let own = at_the_issuer(&mut victim, "/").await;
    let state = |back: &str| {
        Url::parse(&format!("https://a{back}"))
            .unwrap()
            .query_pairs()
            .find(|(name, _)| name == "state")
            .unwrap()
            .1
            .into_owned()
    };
    let stolen_code = back.replace(&state(&back), &state(&own));
    let same_start = back.replace(&state(&back), &format!("{}{}", &state(&own)[..8], &state(&back)[8..]));
    let code_only = format!("/auth/callback?code={}", "c0de");
    let swapped = |name: &str| own.replace(&state(&own), name);
    for bad in [
        back.clone(),
        same_start,
        code_only,
        swapped(""),
        swapped("x"),
        format!("{own}&state=x"),
        format!("{own}&code=x"),
        format!("{own}&error=access_denied"),
        format!("/auth/callback?state={}", state(&own)),
        "/auth/callback".to_owned(),
    ] {
        let answer = victim.open(&bad).await;
        assert_eq!((answer.status, victim.session()), (StatusCode::BAD_REQUEST, None), "{bad}");
        assert!(!answer.body.contains(&state(&own)));
    }
    // A code of another's sign-in is bound to its verifier.
    let answer = victim.clone().open(&stolen_code).await;
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::BAD_REQUEST, 1));
    assert_eq!(victim.open(&own).await.location(), "/");
}

#[tokio::test]
async fn a_callback_is_good_once() {
    let world = World::start().await;
    let mut browser = world.browser();
    let back = at_the_issuer(&mut browser, "/").await;
    let mut copy = browser.clone();
    assert_eq!(browser.open(&back).await.location(), "/");
    let session = browser.session().map(str::to_owned);
    assert_eq!(browser.open(&back).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.session().map(str::to_owned), session);
    // With the cookie of before: the issuer knows the code no more.
    assert_eq!(copy.open(&back).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(copy.session(), None);
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_none() {
    let world = World::start().await;
    let mut browser = world.browser();
    let back = at_the_issuer(&mut browser, "/").await;
    let mut other = browser.clone();
    let answer = other.open(&format!("{back}&iss=https://evil.example")).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::BAD_REQUEST, r#"{"error":"unknown_issuer"}"#)
    );
    let iss = world.supabase.issuer();
    assert_eq!(browser.open(&format!("{back}&iss={iss}")).await.location(), "/");
}

#[tokio::test]
async fn what_the_issuer_says_of_a_failure_is_shown_as_a_code_or_not_at_all() {
    let world = World::start().await;
    let (log, _guard) = Log::start();
    for (error, shown, warnings) in [
        ("access_denied", "access_denied", 0),
        ("access_denied&error_code=user_banned", "user_banned", 0),
        ("access_denied&error_code=422", "access_denied", 0),
        ("access_denied&error_code=", "access_denied", 0),
        ("access_denied&error_code=user_banned&error_code=a", "access_denied", 0),
        ("server_error&error_code=unexpected_failure", "unexpected_failure", 1),
        ("access_denied&error_code=a%3Cscript%3Ealert(1)%3C/script%3E", "sign_in_failed", 1),
        ("unauthorized_client", "unauthorized_client", 1),
        ("%3Cscript%3Ealert(1)%3C/script%3E", "sign_in_failed", 1),
        ("", "sign_in_failed", 1),
    ] {
        let mut browser = world.browser();
        let back = at_the_issuer(&mut browser, "/").await;
        let state = back.split('&').chain(back.split('?')).find(|part| part.starts_with("state=")).unwrap();
        let state = state.split('&').next().unwrap();
        let path = format!("/auth/callback?{state}&error={error}&error_description=%3Cb%3Ecall%20me%3C/b%3E");
        let answer = browser.open(&path).await;
        assert_eq!(answer.body, format!(r#"{{"error":"{shown}"}}"#));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let said = log.take("WARN");
        assert_eq!(said.len(), warnings, "{error}: {said:?}");
        assert!(said.iter().all(|line| !line.contains("alert") && !line.contains("call")), "{said:?}");
    }
}

#[tokio::test]
async fn a_page_of_its_own_takes_those_who_choose_and_those_who_failed() {
    let world = World::start().await;
    let options = options().sign_in_page("/login").unwrap();
    let app = site(&world.sessions, &world.endpoint, &world.verifier, OpaqueCookie::new(), options);
    let mut browser = Browser::new(app);
    let answer = browser.open("/auth/sign-in?return_to=/me%3Fa%26b").await;
    assert_eq!(answer.location(), "/login?return_to=%2Fme%3Fa%26b");
    let answer = browser.open("/auth/sign-in?return_to=//evil.example").await;
    assert_eq!(answer.location(), "/login?return_to=%2F");
    let form = format!("email={ADA}&password=a+guess&return_to=/me");
    let answer = browser.post_form("/auth/password", &form).await;
    assert_eq!(answer.location(), "/login?error=invalid_credentials&return_to=%2Fme");
    let answer = browser.post_form("/auth/password", "password=a+guess&return_to=/me").await;
    assert_eq!(answer.location(), "/login?error=invalid_request&return_to=%2Fme");
    let answer = browser.post_form("/auth/password", "email=a&email=b&password=a+guess").await;
    assert_eq!(answer.location(), "/login?error=invalid_request&return_to=%2F");
    let answer = browser.post_json("/auth/password", "{}").await;
    assert_eq!(answer.body, r#"{"error":"invalid_request"}"#);
}

#[tokio::test]
async fn tabs_beside_each_other_sign_in_and_many_do_not_pile_up() {
    let world = World::start().await;
    let mut browser = world.browser();
    let (one, other) = (at_the_issuer(&mut browser, "/1").await, at_the_issuer(&mut browser, "/2").await);
    assert_eq!(browser.open(&one).await.location(), "/1");
    assert_eq!(browser.open(&other).await.location(), "/2");
    for _ in 0..20 {
        at_the_issuer(&mut browser, "/").await;
        let kept = browser.cookies.keys().filter(|name| name.contains("sign-in-")).count();
        assert!(kept <= 3, "{kept}");
    }
    tokio::time::sleep(Duration::ZERO).await;
}
