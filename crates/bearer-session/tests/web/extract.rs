//! What a handler gets that asks for the session.

use crate::{browser::Browser, log::Log, world::World};
use axum::{
    Router,
    http::{Request, StatusCode},
    routing::get,
};
use axum_bearer::BearerLayer;
use bearer_session::{CurrentSession, SessionLayer, keeping::OpaqueCookie};
use std::time::Duration;
use tower_http::csrf::CsrfLayer;

const HOUR: Duration = Duration::from_secs(3600);

fn handlers(world: &World) -> Router {
    Router::new()
        .route("/needed", get(async |session: CurrentSession| session.generation().to_string()))
        .route(
            "/welcome",
            get(async |session: Option<CurrentSession>| {
                session.map_or("none".to_owned(), |session| session.generation().to_string())
            }),
        )
        .layer(BearerLayer::new(world.verifier.clone()).allow_anonymous())
}

#[tokio::test]
async fn who_has_no_session_is_refused_as_by_the_gate_where_one_is_needed() {
    let world = World::start().await;
    let layer = SessionLayer::new(world.sessions.clone(), OpaqueCookie::new(), CsrfLayer::new());
    let app = handlers(&world).layer(layer);
    let own_token = format!("Bearer {}", world.tokens(HOUR).access_token.expose());
    let with_session = Browser { app: app.clone(), ..world.signed_in(HOUR).await };
    for (name, browser, own_token, session) in [
        ("a session", &with_session, None, Some("0")),
        ("a token of its own", &Browser::new(app.clone()), Some(&own_token), None),
        ("both: the token counts", &with_session, Some(&own_token), None),
        ("a stranger", &Browser::new(app), None, None),
    ] {
        let request = |path: &str| match own_token {
            Some(token) => Request::get(path).header("authorization", token),
            None => Request::get(path),
        };
        let welcome = browser.clone().send(request("/welcome"), "").await;
        assert_eq!((welcome.status, &*welcome.body), (StatusCode::OK, session.unwrap_or("none")), "{name}");
        let needed = browser.clone().send(request("/needed"), "").await;
        let Some(session) = session else {
            let challenge = needed.header("www-authenticate");
            let of_the_gate = Some("Bearer realm=\"authenticated\"");
            assert_eq!((needed.status, challenge), (StatusCode::UNAUTHORIZED, of_the_gate), "{name}");
            continue;
        };
        assert_eq!((needed.status, &*needed.body), (StatusCode::OK, session), "{name}");
    }
}

#[tokio::test]
async fn without_the_layer_the_server_is_to_blame_and_the_log_says_for_what() {
    let world = World::start().await;
    let (log, _guard) = Log::start();
    for path in ["/needed", "/welcome"] {
        let answer = Browser::new(handlers(&world)).get(path).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert!(!answer.body.contains("SessionLayer"), "{}", answer.body);
    }
    let text = log.text();
    assert_eq!(text.matches("CurrentSession without a SessionLayer around the handler").count(), 2, "{text}");
}
