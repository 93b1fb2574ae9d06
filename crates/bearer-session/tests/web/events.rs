//! What a page is told.

use crate::{
    browser::Browser,
    world::{World, options, site},
};
use axum::{
    body::Body,
    http::{Request, StatusCode, header::COOKIE},
};
use bearer_session::{Keyring, Sessions, keeping::OpaqueCookie, store::MemoryStore};
use http_body_util::BodyExt as _;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use tower::ServiceExt as _;

const HOUR: Duration = Duration::from_secs(3600);

struct Tab(Body);

impl Tab {
    async fn open(browser: &Browser) -> Self {
        let request =
            Request::get("/auth/events").header(COOKIE, browser.line()).body(Body::empty()).unwrap();
        let answer = browser.app.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "private, no-store");
        Self(answer.into_body())
    }

    /// The next event, its name alone; `None` when the answer has ended.
    async fn hears(&mut self) -> Option<String> {
        let frame = timeout(Duration::from_secs(5), self.0.frame()).await.expect("something")?;
        let text = String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap();
        let name = text.strip_prefix("event: ").and_then(|text| text.split_once('\n')).map(|(name, _)| name);
        Some(name.unwrap_or(&text).to_owned())
    }
}

#[tokio::test]
async fn a_sign_out_in_one_tab_is_heard_in_the_other() {
    let world = World::start().await;
    let mut browser = world.signed_in(HOUR).await;
    let mut tabs = [Tab::open(&browser).await, Tab::open(&browser).await];
    let mut stranger = Tab::open(&world.signed_in(HOUR).await).await;
    for tab in tabs.iter_mut().chain([&mut stranger]) {
        assert_eq!(tab.hears().await.as_deref(), Some("INITIAL_SESSION"));
    }
    browser.post("/auth/refresh").await;
    for tab in &mut tabs {
        assert_eq!(tab.hears().await.as_deref(), Some("TOKEN_REFRESHED"));
    }
    browser.post("/auth/logout").await;
    for tab in &mut tabs {
        assert_eq!(tab.hears().await.as_deref(), Some("SIGNED_OUT"));
        assert_eq!(tab.hears().await, None);
    }
    assert!(timeout(Duration::from_millis(50), stranger.0.frame()).await.is_err());
    assert_eq!(browser.get("/auth/events").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn what_happens_in_another_process_is_heard_too() {
    let store = Arc::new(MemoryStore::new(100));
    let world = World::with(Arc::clone(&store), |sessions| sessions).await;
    let other = Sessions::builder(world.endpoint.clone(), store, Keyring::new(&[7; 32])).build();
    let app = site(&other, &world.endpoint, &world.verifier, OpaqueCookie::new(), options());
    let here = world.signed_in(HOUR).await;
    let mut there = Browser { app, ..here.clone() };
    let mut tab = Tab::open(&here).await;
    assert_eq!(tab.hears().await.as_deref(), Some("INITIAL_SESSION"));
    assert_eq!(there.post("/auth/refresh").await.status, StatusCode::OK);
    // The claim is a change as well.
    let mut heard = tab.hears().await;
    while heard.as_deref() == Some(":\n\n") {
        heard = tab.hears().await;
    }
    assert_eq!(heard.as_deref(), Some("TOKEN_REFRESHED"));
    there.post("/auth/logout").await;
    assert_eq!(tab.hears().await.as_deref(), Some("SIGNED_OUT"));
}

#[tokio::test]
async fn an_idle_tab_gets_a_pulse_and_refreshes_nothing() {
    let world = World::start().await;
    let browser = world.signed_in(Duration::from_secs(20)).await;
    let mut tab = Tab::open(&browser).await;
    assert_eq!(tab.hears().await.as_deref(), Some("INITIAL_SESSION"));
    tokio::time::pause();
    for _ in 0..8 {
        tokio::time::advance(Duration::from_secs(15)).await;
        assert_eq!(tab.hears().await.as_deref(), Some(":\n\n"));
    }
    assert_eq!(world.supabase.refreshes(), 0);
}

#[tokio::test]
async fn listeners_are_bounded() {
    let world = World::start().await;
    let app =
        site(&world.sessions, &world.endpoint, &world.verifier, OpaqueCookie::new(), options().streams(2));
    let mut browser = Browser { app, ..world.signed_in(HOUR).await };
    let tabs = [Tab::open(&browser).await, Tab::open(&browser).await];
    let answer = browser.get("/auth/events").await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("15")));
    drop(tabs);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    Tab::open(&browser).await;
}

#[tokio::test]
async fn a_page_that_listens_does_not_keep_the_process_from_ending() {
    let world = World::start().await;
    let browser = world.signed_in(HOUR).await;
    let mut tab = Tab::open(&browser).await;
    assert_eq!(tab.hears().await.as_deref(), Some("INITIAL_SESSION"));
    world.sessions.close().await;
    assert_eq!(tab.hears().await, None);
}
