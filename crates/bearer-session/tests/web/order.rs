//! The layer and the gate, the one around the other.

use crate::{
    browser::Browser,
    log::Log,
    world::{ADA, PASSWORD, World, options},
};
use axum::{
    Router,
    http::{Extensions, HeaderMap, Request, StatusCode},
    routing::get,
};
use axum_bearer::{AuthUser, BearerLayer, supabase::SupabaseClaims};
use bearer_session::{SessionLayer, keeping::OpaqueCookie};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tower_http::csrf::CsrfLayer;

const HOUR: Duration = Duration::from_secs(3600);

fn handlers() -> Router {
    Router::new().route("/", get(who))
}

async fn who(user: Option<AuthUser<SupabaseClaims>>) -> String {
    user.and_then(|user| user.email.clone()).unwrap_or_default()
}

fn sessions(world: &World) -> SessionLayer {
    SessionLayer::new(world.sessions.clone(), OpaqueCookie::new(), CsrfLayer::new())
}

#[tokio::test]
async fn a_layer_inside_the_gate_says_so_once() {
    let world = World::start().await;
    let gate = || BearerLayer::new(world.verifier.clone());
    let own_token = format!("Bearer {}", world.tokens(HOUR).access_token.expose());
    let (log, _guard) = Log::start();
    for (name, app, own_token, answer) in [
        ("anonymous", handlers().layer(sessions(&world)).layer(gate().allow_anonymous()), None, ""),
        ("a token of its own", handlers().layer(sessions(&world)).layer(gate()), Some(&own_token), ADA),
    ] {
        let mut browser = Browser { app, ..world.signed_in(HOUR).await };
        for _ in 0..3 {
            let mut request = Request::get("/");
            if let Some(token) = own_token {
                request = request.header("authorization", token);
            }
            let answered = browser.send(request, "").await;
            assert_eq!((answered.status, answered.body.as_str()), (StatusCode::OK, answer), "{name}");
        }
        let warnings = log.take("WARN");
        assert!(
            matches!(&warnings[..], [line] if line.contains("after `.layer(BearerLayer…)`")),
            "{name}: {warnings:?}"
        );
    }
}

#[tokio::test]
async fn a_layer_between_two_gates_serves_the_inner_one_and_around_a_gate_has_nothing_to_say() {
    let world = World::start().await;
    let gate = || BearerLayer::new(world.verifier.clone());
    let around = handlers().layer(gate()).layer(sessions(&world));
    let between = around.clone().layer(gate().allow_anonymous());
    let (log, _guard) = Log::start();
    for (app, warnings) in [(around, 0), (between, 1)] {
        let mut browser = Browser { app, ..world.signed_in(HOUR).await };
        let answer = browser.get("/").await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ADA));
        assert_eq!(Browser::new(browser.app).get("/").await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(log.take("WARN").len(), warnings);
    }
}

#[tokio::test]
async fn the_routes_of_a_layer_begin_the_sessions_that_it_finds() {
    let world = World::start().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = |counter: &Arc<AtomicUsize>| {
        let counter = Arc::clone(counter);
        move |_: &HeaderMap, _: &Extensions| {
            counter.fetch_add(1, SeqCst);
            None
        }
    };
    let cookie = OpaqueCookie::named("__Host-of-our-own").unwrap();
    let csrf = CsrfLayer::new().add_trusted_origin("https://friend.example").unwrap();
    let layer = SessionLayer::new(world.sessions.clone(), cookie, csrf).client(count(&asked));
    let gate = BearerLayer::new(world.verifier.clone());
    let app = handlers().layer(gate).layer(layer.clone());
    let mut browser = Browser::new(app.nest("/auth", layer.routes(world.endpoint.clone(), options())));
    let form = format!("email={ADA}&password={PASSWORD}");
    for (origin, status) in
        [("https://evil.example", StatusCode::FORBIDDEN), ("https://friend.example", StatusCode::SEE_OTHER)]
    {
        let request = Request::post("/auth/password").header("origin", origin).header("host", "app.example");
        let request = request.header("sec-fetch-site", "cross-site");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(browser.send(request, &form).await.status, status, "{origin}");
    }
    assert!(browser.cookies.contains_key("__Host-of-our-own"), "{:?}", browser.cookies);
    assert!(asked.load(SeqCst) > 0, "whom the layer names to the issuer, the routes do too");
    assert_eq!(browser.get("/").await.body, ADA);

    // Unless they are told otherwise.
    let (before, own) = (asked.load(SeqCst), Arc::new(AtomicUsize::new(0)));
    let app = layer.routes(world.endpoint.clone(), options().client(count(&own)));
    Browser::new(app).post_form("/password", &form).await;
    assert_eq!((asked.load(SeqCst), own.load(SeqCst) > 0), (before, true));
}
