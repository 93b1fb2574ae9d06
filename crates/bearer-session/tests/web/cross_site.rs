//! Requests of other sites.

use crate::world::{ADA, PASSWORD, World};
use axum::http::{Request, StatusCode};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn another_site_cannot_use_a_session() {
    let world = World::start().await;
    let mut browser = world.signed_in(HOUR).await;
    let session = browser.session().map(str::to_owned);
    let (evil, own) = ("https://evil.example", "https://app.example");
    for (method, path, origin, site, upgrade, expected) in [
        ("GET", "/me", evil, "cross-site", "", 200),
        ("GET", "/me", evil, "cross-site", "websocket", 403),
        ("GET", "/me", own, "same-origin", "websocket", 200),
        ("POST", "/me", own, "same-origin", "", 200),
        ("POST", "/me", evil, "cross-site", "", 403),
        ("POST", "/me", "https://sub.app.example", "same-site", "", 403),
        ("POST", "/auth/password", evil, "cross-site", "", 403),
        ("POST", "/auth/refresh", evil, "cross-site", "", 403),
        ("POST", "/auth/logout", evil, "cross-site", "", 403),
        ("POST", "/auth/logout?scope=global", evil, "cross-site", "", 403),
        ("POST", "/auth/logout?scope=others", "https://sub.app.example", "same-site", "", 403),
    ] {
        let mut request = Request::builder().method(method).uri(path).header("host", "app.example");
        request = request.header("origin", origin).header("sec-fetch-site", site);
        if !upgrade.is_empty() {
            request = request.header("upgrade", upgrade);
        }
        let answer = browser.send(request, "").await;
        assert_eq!(answer.status.as_u16(), expected, "{method} {path} from {origin} {upgrade}");
        assert_eq!(answer.set_cookies().len(), 0, "{method} {path}");
    }
    assert_eq!(browser.session().map(str::to_owned), session);
    assert_eq!((world.supabase.sessions_alive(), world.supabase.refreshes()), (1, 0));
    assert_eq!(browser.get("/me").await.status, StatusCode::OK);
}

#[tokio::test]
async fn another_site_cannot_sign_anybody_in() {
    let world = World::start().await;
    let mut browser = world.browser();
    let form = format!("email={ADA}&password={PASSWORD}");
    let request = Request::post("/auth/password")
        .header("host", "app.example")
        .header("origin", "https://evil.example")
        .header("content-type", "application/x-www-form-urlencoded");
    let answer = browser.send(request, &form).await;
    assert_eq!((answer.status, browser.session()), (StatusCode::FORBIDDEN, None));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
}

#[tokio::test]
async fn only_a_post_changes_anything() {
    let world = World::start().await;
    let mut browser = world.signed_in(HOUR).await;
    for path in ["/auth/logout", "/auth/refresh", "/auth/password"] {
        assert_eq!(browser.get(path).await.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    assert_eq!(browser.get("/me").await.status, StatusCode::OK);
}
