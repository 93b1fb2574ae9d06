//! Sign-ins in ways that the routes do not have.

use crate::{
    browser::Browser,
    store::Switch,
    world::{ADA, BOB, PASSWORD, World, options, site},
};
use axum::{
    Router,
    extract::State,
    http::{Request, StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
    routing::post,
};
use bearer_session::{
    Secret, SessionLayer, Sessions,
    endpoint::{OnBehalf, SupabaseEndpoint},
    keeping::{Keeping, OpaqueCookie, ssr::SsrCookies},
};
use std::time::Duration;
use tower_http::csrf::CsrfLayer;

#[derive(Clone)]
struct Site {
    sessions: Sessions,
    keeping: Keeping,
    endpoint: SupabaseEndpoint,
}

/// Signs in by an e-mail address: as if a link in a mail had been opened.
async fn link(State(site): State<Site>, request: Parts, email: String) -> Result<Response, StatusCode> {
    let nobody = OnBehalf::default();
    let tokens = site.endpoint.password(&email, &Secret::new(PASSWORD), nobody).await;
    let tokens = tokens.map_err(|_| StatusCode::BAD_REQUEST)?;
    let mut response = "welcome".into_response();
    let begun = site.keeping.begin(&site.sessions, tokens, &request, nobody, response.headers_mut()).await;
    begun.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(response)
}

/// The whole site, with such a route behind the layer or beside it.
fn with_link(world: &World, keeping: Keeping, is_behind: bool) -> Router {
    let (sessions, endpoint) = (world.sessions.clone(), world.endpoint.clone());
    let layer = SessionLayer::new(sessions.clone(), keeping.clone(), CsrfLayer::new());
    let link = Router::new().route("/link", post(link)).with_state(Site {
        sessions,
        keeping: keeping.clone(),
        endpoint,
    });
    let link = if is_behind { link.layer(layer) } else { link };
    site(&world.sessions, &world.endpoint, &world.verifier, keeping, options()).merge(link)
}

#[tokio::test]
async fn a_sign_in_of_ones_own_is_as_good_as_one_by_the_routes() {
    for is_behind in [false, true] {
        let world = World::start().await;
        let ssr = SsrCookies::of_project(world.supabase.project_url()).unwrap();
        let ssr = Keeping::supabase_ssr(ssr, world.verifier.clone());
        for keeping in [OpaqueCookie::new().into(), ssr] {
            let mut browser = Browser::new(with_link(&world, keeping, is_behind));
            let before = world.supabase.sessions_alive();
            for email in [BOB, ADA] {
                let answer = browser.send(Request::post("/link"), email).await;
                assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "welcome"));
                assert_eq!(answer.header("cache-control"), Some("private, no-store"));
                assert_eq!(browser.get("/me").await.body, email);
                assert_eq!(world.supabase.sessions_alive(), before + 1, "the one before is over");
            }
            assert_eq!(browser.send(Request::post("/link"), "nobody").await.set_cookies().len(), 0);
            assert_eq!(browser.get("/me").await.body, ADA);
        }
    }
}

#[tokio::test]
async fn a_sign_in_of_ones_own_never_takes_over_the_id_that_was_there() {
    let world = World::start().await;
    let mut browser = Browser::new(with_link(&world, OpaqueCookie::new().into(), false));
    let planted = bearer_session::SessionId::random().to_text().expose().to_owned();
    browser.cookies.insert("__Host-session".into(), planted.clone());
    let answer = browser.send(Request::post("/link"), ADA).await;
    let [line] = answer.set_cookies()[..] else { panic!("{:?}", answer.headers) };
    assert!(line.ends_with("; Max-Age=34560000; Path=/; HttpOnly; Secure; SameSite=Lax"), "{line}");
    assert_ne!(browser.session(), Some(planted.as_str()));
}

#[tokio::test]
async fn a_sign_in_of_ones_own_that_cannot_be_stored_leaves_nothing() {
    let store = Switch::new();
    let world = World::with(store.clone(), |sessions| sessions).await;
    let ssr = SsrCookies::of_project(world.supabase.project_url()).unwrap();
    let ssr = Keeping::supabase_ssr(ssr, world.verifier.clone());
    for keeping in [OpaqueCookie::new().into(), ssr] {
        store.lose_creations();
        let mut browser = Browser::new(with_link(&world, keeping, false));
        let answer = browser.send(Request::post("/link"), ADA).await;
        assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
        let left = async {
            while world.supabase.sessions_alive() > 0 || store.holds_any().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(3), left).await.expect("given up");
    }
}

#[tokio::test]
async fn who_begins_with_the_very_tokens_that_the_browser_has_keeps_the_session() {
    let world = World::start().await;
    let ssr = SsrCookies::of_project(world.supabase.project_url()).unwrap();
    let keeping = Keeping::supabase_ssr(ssr, world.verifier.clone());
    let mut browser = Browser::new(with_link(&world, keeping.clone(), false));
    let tokens = world.tokens(Duration::from_secs(3600));
    for _ in 0..2 {
        let (request, ()) = Request::get("/").header("cookie", browser.line()).body(()).unwrap().into_parts();
        let (mut headers, nobody) = (axum::http::HeaderMap::new(), OnBehalf::default());
        keeping.begin(&world.sessions, tokens.clone(), &request, nobody, &mut headers).await.unwrap();
        browser.keep(&headers);
        assert_eq!(browser.get("/me").await.body, ADA);
    }
}
