//! The layer and the gate, the one around the other.

use crate::{
    browser::Browser,
    log::Log,
    world::{ADA, World},
};
use axum::{
    Router,
    http::{Request, StatusCode},
    routing::get,
};
use axum_bearer::{AuthUser, BearerLayer, supabase::SupabaseClaims};
use bearer_session::{SessionLayer, keeping::OpaqueCookie};
use std::time::Duration;
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
