//! What the layer makes of a request.

use crate::{
    browser::Browser,
    store::Switch,
    world::{ADA, World, json, options, site},
};
use axum::{
    body::Body,
    http::{Request, Response, StatusCode, header::COOKIE},
};
use bearer_session::{
    CurrentSession, Keyring, SessionLayer, Sessions,
    endpoint::{OnBehalf, SignOutScope},
    keeping::OpaqueCookie,
};
use bearer_testing::TokenFault;
use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::{Layer as _, Service, ServiceExt as _, limit::ConcurrencyLimit, service_fn};
use tower_bearer::{AuthError, Reason};
use tower_http::csrf::CsrfLayer;

const HOUR: Duration = Duration::from_secs(3600);
const CLEARED: &str = "__Host-session=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax";

#[tokio::test]
async fn a_request_without_a_session_passes_as_it_is() {
    let world = World::start().await;
    let mut browser = world.browser();
    let answer = browser.get("/echo").await;
    assert!(answer.body.contains("cookie: theme=dark\nsession: None"), "{}", answer.body);
    assert_eq!((answer.header("set-cookie"), answer.header("cache-control")), (None, None));
    assert_eq!(browser.get("/me").await.status, StatusCode::UNAUTHORIZED);
    let evil = Request::post("/echo").header("host", "app.example").header("origin", "https://evil.example");
    assert_eq!(browser.send(evil, "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_becomes_a_credential_and_its_cookie_goes_no_further() {
    let world = World::start().await;
    let id = world.signed_in(HOUR).await.session().unwrap().to_owned();
    for (sent, seen) in [
        (vec![format!("a=\"1\";b = 2; __Host-session={id}; c")], Some("cookie: a=\"1\";b = 2; c\n")),
        (vec![format!("__Host-session={id}"), "a=1;; b".to_owned()], Some("cookie: a=1;; b\n")),
        (vec![format!("__Host-session={id}")], None),
    ] {
        let mut request = Request::get("/echo");
        for line in sent {
            request = request.header(COOKIE, line);
        }
        let answer = world.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let body = crate::browser::Answer::of(answer).await.body;
        match seen {
            Some(seen) => assert!(body.contains(seen), "{body}"),
            None => assert!(!body.contains("cookie:"), "{body}"),
        }
        assert!(body.contains("authorization: Bearer eyJ") && body.contains(" (sensitive)\n"), "{body}");
        assert!(body.contains("session: Some((true, Key("), "{body}");
        assert!(!body.contains(&id), "{body}");
    }
    let mut browser = world.signed_in(HOUR).await;
    let answer = browser.get("/me").await;
    assert_eq!((answer.status, answer.body.as_str(), answer.set_cookies().len()), (StatusCode::OK, ADA, 0));
}

#[tokio::test]
async fn a_handler_learns_whose_the_session_is_and_how_long_its_token_lives() {
    let world = World::start().await;
    let browser = world.signed_in(HOUR).await;
    let inner = service_fn(async |request: Request<Body>| {
        let session = request.extensions().get::<CurrentSession>().expect("there is one").clone();
        Ok::<_, Infallible>(Response::builder().extension(session).body(Body::empty()).unwrap())
    });
    let layer = SessionLayer::new(world.sessions.clone(), OpaqueCookie::new(), CsrfLayer::new());
    let site = layer.layer(inner);
    let cookie = format!("__Host-session={}", browser.session().unwrap());
    for generation in 0..3 {
        let request = Request::get("/").header(COOKIE, &cookie).body(Body::empty()).unwrap();
        let response = site.clone().oneshot(request).await.unwrap();
        let session = response.extensions().get::<CurrentSession>().expect("it was passed on");
        let access = world.sessions.peek(session.key()).await.unwrap();
        assert_eq!((session.generation(), access.generation()), (generation, generation));
        assert!(session.subject().is_some() && session.session_id().is_some());
        assert_eq!((session.subject(), session.session_id()), (access.subject(), access.session_id()));
        let left = session.expires_in();
        assert!(left <= HOUR && left > HOUR / 2, "{left:?}");
        assert!(session.signed_in_at() <= SystemTime::now());
        assert!(session.signed_in_at().elapsed().unwrap() < HOUR / 60);
        world.sessions.refresh(&session.key(), OnBehalf::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_credential_of_its_own_stands_and_the_session_is_left_alone() {
    let world = World::start().await;
    let mut browser = world.signed_in(Duration::ZERO).await;
    let own = || Request::get("/echo").header("authorization", "Bearer mine");
    let answer = browser.send(own(), "").await;
    assert!(answer.body.contains("authorization: Bearer mine"), "{}", answer.body);
    assert!(answer.body.contains("cookie: theme=dark\n") && answer.body.contains("session: None"));
    assert_eq!((world.supabase.refreshes(), answer.set_cookies().len()), (0, 0));
    browser.cookies.insert("__Host-session".into(), "a-guess".into());
    assert_eq!(browser.send(own(), "").await.set_cookies().len(), 0);
}

#[tokio::test]
async fn a_session_that_is_over_is_taken_away_once_and_nobody_gets_in() {
    let world = World::start().await;
    let good = world.signed_in(HOUR).await;
    let over = good.clone();
    let key = bearer_session::SessionId::parse(over.session().unwrap()).unwrap().key();
    world.sessions.sign_out(key, SignOutScope::Local, OnBehalf::default()).await.unwrap();
    let with = |value: String| {
        let mut browser = world.browser();
        browser.cookies.insert("__Host-session".into(), value);
        browser
    };
    let another = world.signed_in(HOUR).await.session().unwrap().to_owned();
    for mut browser in
        [over, with("a-guess".into()), with(String::new()), with(format!("{another}; __Host-session=x"))]
    {
        let mut script = browser.clone();
        let answer = browser.get("/me").await;
        assert_eq!((answer.status, answer.set_cookies()), (StatusCode::UNAUTHORIZED, vec![CLEARED]));
        // As the gate has it.
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(browser.get("/me").await.set_cookies().len(), 0);
        // Its answer may come after that of a sign-in.
        let fetch = Request::get("/me").header("sec-fetch-mode", "cors");
        let answer = script.send(fetch, "").await;
        assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::UNAUTHORIZED, 0));
        let answer = script.open("/me").await;
        assert_eq!((answer.location(), answer.set_cookies()), ("/auth/sign-in?return_to=/me", vec![CLEARED]));
    }
}

#[tokio::test]
async fn an_answer_with_a_cookie_of_ours_is_not_cached_and_a_stricter_word_stands() {
    let world = World::start().await;
    for (path, expected) in [("/cached", "private, no-store"), ("/strict", "no-store, must-revalidate")] {
        let mut browser = world.browser();
        browser.cookies.insert("__Host-session".into(), "a-guess".into());
        let answer = browser.get(path).await;
        assert_eq!((answer.set_cookies(), answer.header("cache-control")), (vec![CLEARED], Some(expected)));
    }
    let mut browser = world.signed_in(HOUR).await;
    for (path, expected) in [
        ("/cached", "public, max-age=600"),
        ("/strict", "no-store, must-revalidate"),
        // A cache in front does not see that it is for one user.
        ("/echo", "private"),
    ] {
        let answer = browser.get(path).await;
        assert_eq!((answer.set_cookies().len(), answer.header("cache-control")), (0, Some(expected)));
    }
}

#[tokio::test]
async fn a_thousand_requests_on_one_expired_session_are_one_exchange() {
    let world = World::start().await;
    let browser = world.signed_in(Duration::ZERO).await;
    world.supabase.delay_refresh(Duration::from_millis(100));
    let mut requests = JoinSet::new();
    for _ in 0..1000 {
        let mut browser = browser.clone();
        requests.spawn(async move { browser.get("/me").await });
    }
    for answer in requests.join_all().await {
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ADA));
    }
    assert_eq!(world.supabase.refreshes(), 1);
}

#[tokio::test]
async fn a_request_that_goes_away_takes_no_exchange_with_it() {
    let world = World::start().await;
    let browser = world.signed_in(Duration::ZERO).await;
    world.supabase.hold_refresh();
    let ask = |mut browser: Browser| tokio::spawn(async move { browser.get("/me").await });
    let gone: Vec<_> = (0..10).map(|_| ask(browser.clone())).collect();
    while world.supabase.refreshes() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let stays = ask(browser.clone());
    for request in gone {
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
    }
    world.supabase.recover();
    assert_eq!(stays.await.unwrap().status, StatusCode::OK);
    assert_eq!(world.supabase.presentations(), [1]);
}

#[tokio::test]
async fn what_only_time_can_tell_is_503_and_signs_nobody_out() {
    let world = World::start().await;
    let mut browser = world.signed_in(Duration::ZERO).await;
    world.supabase.script_refreshes([TokenFault::TooManyRequests(Some(30))]);
    for _ in 0..3 {
        for answer in [browser.get("/me").await, browser.open("/me").await] {
            assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
            assert_eq!(answer.header("cache-control"), Some("private, no-store"));
            let retry_after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((25..=30).contains(&retry_after), "{retry_after}");
        }
    }
    assert_eq!(world.supabase.refreshes(), 1);
    assert!(browser.session().is_some());
    assert_eq!(world.supabase.sessions_alive(), 1);
}

#[tokio::test]
async fn an_issuer_that_ends_the_session_ends_it_here_once() {
    let world = World::start().await;
    let browser = world.signed_in(Duration::ZERO).await;
    world.supabase.script_refreshes([TokenFault::SessionKilled]);
    let (mut one, mut other) = (browser.clone(), browser);
    let (one, other) = tokio::join!(one.get("/me"), other.get("/auth/session"));
    assert_eq!((one.status, one.set_cookies()), (StatusCode::UNAUTHORIZED, vec![CLEARED]));
    assert_eq!(json(&other.body)["signed_in"], false);
    assert_eq!(world.supabase.refreshes(), 1);
}

#[tokio::test]
async fn who_waits_for_the_issuer_takes_no_slot_of_the_inner_service() {
    let world = World::start().await;
    let (expired, alive) = (world.signed_in(Duration::ZERO).await, world.signed_in(HOUR).await);
    let inner = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let layer = SessionLayer::new(world.sessions.clone(), OpaqueCookie::new(), CsrfLayer::new());
    let site = layer.layer(ConcurrencyLimit::new(inner, 1));
    let ask = |browser: &Browser| {
        let cookie = format!("__Host-session={}", browser.session().unwrap());
        let request = Request::get("/").header(COOKIE, cookie).body(Body::empty()).unwrap();
        site.clone().oneshot(request)
    };
    world.supabase.hold_refresh();
    let waiting = tokio::spawn(ask(&expired));
    while world.supabase.refreshes() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let served = timeout(Duration::from_secs(5), ask(&alive)).await.expect("the one slot is free").unwrap();
    assert_eq!(served.status(), StatusCode::OK);
    world.supabase.recover();
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::OK);
}

/// Counts how often it was asked whether it is ready.
#[derive(Clone, Default)]
struct Asked(Arc<AtomicUsize>);

impl Service<Request<Body>> for Asked {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

#[tokio::test]
async fn the_inner_service_is_asked_again_only_after_a_wait() {
    let world = World::start().await;
    for (left, asked) in [(HOUR, 1), (Duration::ZERO, 2)] {
        let (browser, inner) = (world.signed_in(left).await, Asked::default());
        let layer = SessionLayer::new(world.sessions.clone(), OpaqueCookie::new(), CsrfLayer::new());
        let cookie = format!("__Host-session={}", browser.session().unwrap());
        let request = Request::get("/").header(COOKIE, cookie).body(Body::empty()).unwrap();
        let answer = layer.layer(inner.clone()).oneshot(request).await.unwrap();
        assert_eq!((answer.status(), inner.0.load(Ordering::Relaxed)), (StatusCode::OK, asked), "{left:?}");
    }
}

#[tokio::test]
async fn a_process_with_the_wrong_key_takes_no_cookie_away() {
    let store = Switch::new();
    let world = World::with(store.clone(), |sessions| sessions).await;
    let mut here = world.signed_in(HOUR).await;
    // Longer ago than a key takes to spread: nobody is to wait for it any more.
    store.age(Duration::from_secs(601));
    let stranger = Sessions::builder(world.endpoint.clone(), store, Keyring::new(&[8; 32])).build();
    let app = site(&stranger, &world.endpoint, &world.verifier, OpaqueCookie::new(), options());
    let mut there = Browser { app, ..here.clone() };
    for answer in [there.get("/me").await, there.post("/auth/refresh").await] {
        assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::UNAUTHORIZED, 0));
    }
    assert_eq!(here.get("/me").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_store_that_knows_a_session_no_more_takes_its_cookie_away_unless_it_finds_it_again() {
    let store = Switch::new();
    let world = World::with(store.clone(), |sessions| sessions.local_for(Duration::ZERO)).await;
    for (expired, path) in [(false, "/me"), (true, "/me"), (false, "/auth/refresh")] {
        let left = if expired { Duration::ZERO } else { HOUR };
        let mut browser = world.signed_in(left).await;
        let ask = async |browser: &mut Browser| match path {
            "/me" => browser.get(path).await,
            _ => browser.post(path).await,
        };
        store.flush();
        for cookies in [0, 1] {
            let answer = ask(&mut browser).await;
            let case = format!("{path} {expired} {cookies}");
            assert_eq!(
                (answer.status, answer.set_cookies().len()),
                (StatusCode::UNAUTHORIZED, cookies),
                "{case}"
            );
            after_a_minute().await;
        }
    }
}

#[tokio::test]
async fn a_key_that_the_issuer_withdraws_signs_nobody_out() {
    let world = World::start().await;
    let mut browser = world.signed_in(HOUR).await;
    assert_eq!(browser.get("/me").await.status, StatusCode::OK);
    let old = world.supabase.signing_key();
    world.supabase.rotate();
    world.supabase.remove(old.id().unwrap());
    after_a_minute().await;
    // A token of the new key, for which the gate asks the issuer.
    assert_eq!(world.signed_in(HOUR).await.get("/me").await.status, StatusCode::OK);

    let refused = browser.open("/me").await;
    assert_eq!((refused.status, refused.set_cookies().len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert_eq!(refused.header("retry-after"), Some("1"));
    let answer = browser.open("/me").await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ADA));
    assert_eq!(world.supabase.refreshes(), 1);
}

#[tokio::test]
async fn what_would_be_refused_of_the_next_token_too_calls_for_none() {
    const STANDS: StatusCode = StatusCode::OK;
    const ANOTHER: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
    let world = World::start().await;
    let mut refreshes = 0;
    for (reason, status) in [
        (Reason::Scope, STANDS),
        (Reason::Audience, STANDS),
        (Reason::StaleKeys, STANDS),
        (Reason::NoCredential, STANDS),
        (Reason::NotYetValid, STANDS),
        (Reason::Algorithm, ANOTHER),
        (Reason::Expired, ANOTHER),
        (Reason::KeyAlgorithm, ANOTHER),
        (Reason::Signature, ANOTHER),
        (Reason::TooOld, ANOTHER),
        (Reason::UnknownKey, ANOTHER),
    ] {
        let browser = world.signed_in(HOUR).await;
        after_a_minute().await;
        let cookie = format!("__Host-session={}", browser.session().unwrap());
        let answer = ask_gate_that_refuses(&world, reason, &cookie).await;
        assert_eq!(answer.status(), status, "{reason}");
        // Whoever asks now waits for a refresh that was begun.
        let key = bearer_session::SessionId::parse(browser.session().unwrap()).unwrap().key();
        world.sessions.access(key, OnBehalf::default()).await.unwrap();
        refreshes += usize::from(status == ANOTHER);
        assert_eq!(world.supabase.refreshes(), refreshes, "{reason}");
    }
}

/// A request with this cookie, whose token a gate behind refuses for this reason.
async fn ask_gate_that_refuses(world: &World, reason: Reason, cookie: &str) -> Response<Body> {
    let inner = service_fn(move |_: Request<Body>| {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(AuthError::from(reason));
        ready(Ok::<_, Infallible>(response))
    });
    let layer = SessionLayer::new(world.sessions.clone(), OpaqueCookie::new(), CsrfLayer::new());
    let request = Request::get("/").header(COOKIE, cookie).body(Body::empty()).unwrap();
    layer.layer(inner).oneshot(request).await.unwrap()
}

#[tokio::test]
async fn whose_token_was_revoked_is_given_no_other_and_the_issuer_hears_of_it_once() {
    let world = Arc::new(World::start().await);
    let mut other = world.signed_in(HOUR).await;
    let mut browser = world.signed_in(HOUR).await;
    let cookie = format!("__Host-session={}", browser.session().unwrap());
    assert_eq!(world.supabase.sessions_alive(), 2);
    let asked = world.supabase.requests();
    let mut requests = JoinSet::new();
    for _ in 0..20 {
        let (world, cookie) = (Arc::clone(&world), cookie.clone());
        requests.spawn(async move { ask_gate_that_refuses(&world, Reason::Revoked, &cookie).await });
    }
    for answer in requests.join_all().await {
        assert_eq!(answer.status(), StatusCode::OK, "what the gate answers stands");
    }
    let told = async {
        while world.supabase.sessions_alive() > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), told).await.expect("the issuer is told");
    let answer = browser.get("/me").await;
    assert_eq!((answer.status, browser.session()), (StatusCode::UNAUTHORIZED, None));
    assert_eq!(ask_gate_that_refuses(&world, Reason::Revoked, &cookie).await.status(), StatusCode::OK);
    assert_eq!(other.get("/me").await.status, StatusCode::OK);
    assert_eq!((world.supabase.requests() - asked, world.supabase.refreshes()), (1, 0));
}

/// Sessions that are older than a minute: younger tokens are not replaced.
async fn after_a_minute() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
}
