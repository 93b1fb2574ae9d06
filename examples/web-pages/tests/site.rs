//! A browser's way through the site.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bearer_testing::TestSupabase;
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Client, Method, Response, redirect};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, handshake::client},
};

const PARTNER: &str = "https://partner.example";
const EVIL: &str = "https://evil.example";
const PASSWORD: &str = "correct horse";

/// The site and its issuer.
struct World {
    supabase: TestSupabase,
    host: String,
}

/// A browser that goes where it is sent only when told to, so that each step can be looked at.
struct Browser {
    client: Client,
    host: String,
    cookies: BTreeMap<String, String>,
}

impl World {
    async fn start() -> Self {
        let supabase = TestSupabase::start().await;
        supabase.add_user("ada@example.com", PASSWORD);
        let site = web_pages::site(supabase.project_url(), PARTNER).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, site).await });
        Self { supabase, host }
    }

    fn browser(&self) -> Browser {
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap();
        let cookies = BTreeMap::from([("theme".to_owned(), "dark".to_owned())]);
        Browser { client, host: self.host.clone(), cookies }
    }

    async fn member(&self, email: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser.sign_in("/sign-in", email, PASSWORD).await;
        assert_eq!(location(&answer), "/");
        browser
    }

    /// An access token of Ada's, as a script has it from its Supabase client.
    fn access_token(&self) -> String {
        self.supabase.sign_in("ada@example.com")["access_token"].as_str().unwrap().to_owned()
    }

    /// A request of a script on a page of this origin, which sends no cookies.
    async fn script(&self, method: Method, path: &str, origin: &str, headers: &[(&str, &str)]) -> Response {
        let client = Client::builder().no_proxy().build().unwrap();
        let mut request = client.request(method, format!("http://{}{path}", self.host));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.header("origin", origin).send().await.unwrap()
    }

    /// Opens the WebSocket as a page of this origin does; a browser adds the cookies that it has.
    async fn socket(
        &self,
        cookies: &str,
        origin: &str,
        protocols: &str,
    ) -> Result<(WebSocketStream<TcpStream>, client::Response), Error> {
        let mut request = format!("ws://{}/live", self.host).into_client_request().unwrap();
        for (name, value) in [("cookie", cookies), ("origin", origin), ("sec-websocket-protocol", protocols)]
        {
            if !value.is_empty() {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
        }
        client_async(request, TcpStream::connect(&self.host).await.unwrap()).await
    }
}

impl Browser {
    /// Types the path, or follows a link of the site.
    async fn open(&mut self, path: &str) -> Response {
        self.send(Method::GET, path, None, String::new()).await
    }

    /// Sends a form of the page at this origin; `None` is the site's own.
    async fn submit(&mut self, path: &str, origin: Option<&str>, form: &str) -> Response {
        self.send(Method::POST, path, origin, form.to_owned()).await
    }

    async fn sign_in(&mut self, path: &str, email: &str, password: &str) -> Response {
        self.submit(path, None, &form(&[("email", email), ("password", password)])).await
    }

    async fn send(&mut self, method: Method, path: &str, origin: Option<&str>, form: String) -> Response {
        let own = format!("http://{}", self.host);
        let site = if origin.is_none() { "same-origin" } else { "cross-site" };
        let mut request = self
            .client
            .request(method.clone(), format!("{own}{path}"))
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-site", site)
            .header("cookie", self.jar());
        if method == Method::POST {
            request = request
                .header("origin", origin.unwrap_or(&own))
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form);
        }
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            assert!(path.starts_with("/sign-in"), "only the frontend's part writes cookies, not {path}");
            self.keep(cookie.to_str().unwrap());
        }
        answer
    }

    fn keep(&mut self, cookie: &str) {
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        if attributes.contains("Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    fn jar(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let url = reqwest::Url::parse_with_params("http://x/", fields).unwrap();
    url.query().unwrap().to_owned()
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Where a 303 leads.
fn location(answer: &Response) -> &str {
    assert_eq!(answer.status(), 303);
    header(answer, "location")
}

async fn body(answer: Response) -> String {
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

#[tokio::test]
async fn a_page_without_a_session_leads_to_sign_in_and_back() {
    let world = World::start().await;
    let mut browser = world.browser();

    let sent = browser.open("/notes?sort=new").await;
    let sign_in = location(&sent).to_owned();
    assert_eq!(sign_in, "/sign-in?return_to=/notes%3Fsort%3Dnew");
    let page = body(browser.open(&sign_in).await).await;
    assert!(page.contains("<form method=\"post\">"), "{page}");

    let mistyped = browser.sign_in(&sign_in, "ada@example.com", "wrong").await;
    assert_eq!((mistyped.status().as_u16(), browser.cookies.len()), (400, 1));
    let back = browser.sign_in(&sign_in, "ada@example.com", PASSWORD).await;
    assert_eq!(location(&back), "/notes?sort=new");
    let page = browser.open("/notes?sort=new").await;
    assert_eq!(header(&page, "cache-control"), "private, no-store");
    let page = body(page).await;
    assert!(page.contains("Notes of ada@example.com"), "{page}");
}

#[tokio::test]
async fn a_link_to_sign_in_cannot_lead_off_the_site() {
    let world = World::start().await;
    for elsewhere in
        ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "javascript:x", ""]
    {
        let link = format!("/sign-in?{}", form(&[("return_to", elsewhere)]));
        let mut browser = world.browser();
        let page = body(browser.open(&link).await).await;
        assert!(!page.contains("evil"), "{page}");
        let back = browser.sign_in(&link, "ada@example.com", PASSWORD).await;
        assert_eq!(location(&back), "/", "{elsewhere:?}");
    }
}

#[tokio::test]
async fn the_home_page_is_for_everybody_and_greets_who_is_signed_in() {
    let world = World::start().await;
    let greeting = body(world.browser().open("/").await).await;
    assert!(greeting.contains("Hello, stranger!"), "{greeting}");
    let mut member = world.member("ada@example.com").await;
    let greeting = body(member.open("/").await).await;
    assert!(greeting.contains("Hello, ada@example.com!"), "{greeting}");
}

#[tokio::test]
async fn an_expired_session_leads_to_sign_in_and_is_never_refreshed_here() {
    let world = World::start().await;
    world.supabase.set_access_token_expires_in(-120);
    let mut browser = world.member("ada@example.com").await;
    let before = browser.jar();
    assert_eq!(location(&browser.open("/notes").await), "/sign-in?return_to=/notes");
    assert_eq!(location(&browser.open("/").await), "/sign-in?return_to=/", "expired is not absent");
    assert_eq!(browser.submit("/notes", None, "text=x").await.status(), 401, "a form is not sent elsewhere");
    assert_eq!((world.supabase.refreshes(), browser.jar()), (0, before));
}

#[tokio::test]
async fn a_form_of_another_site_is_refused() {
    let world = World::start().await;
    let mut browser = world.member("ada@example.com").await;

    for other in [EVIL, "null", "https://partner.example.evil.example"] {
        let refused = browser.submit("/notes", Some(other), "text=theirs").await;
        assert_eq!(refused.status(), 403, "{other}");
    }
    let own = browser.submit("/notes", None, &form(&[("text", "<b>ours</b>")])).await;
    assert_eq!(location(&own), "/notes");
    let trusted = browser.submit("/notes", Some(PARTNER), "text=the+partner%27s").await;
    assert_eq!(location(&trusted), "/notes");

    let page = body(browser.open("/notes").await).await;
    assert!(page.contains("<li>&lt;b&gt;ours&lt;/b&gt;</li><li>the partner's</li>"), "{page}");
    assert!(!page.contains("theirs"), "{page}");
}

#[tokio::test]
async fn another_site_cannot_sign_anybody_in() {
    let world = World::start().await;
    let credentials = form(&[("email", "ada@example.com"), ("password", PASSWORD)]);
    let mut browser = world.browser();
    assert_eq!(browser.submit("/sign-in", Some(EVIL), &credentials).await.status(), 403);
    assert_eq!(browser.jar(), "theme=dark");
}

#[tokio::test]
async fn no_handler_sees_the_session() {
    let world = World::start().await;
    // So long that its session needs several cookies.
    let long = format!("{}@example.com", "a".repeat(600));
    world.supabase.add_user(&long, PASSWORD);
    for (email, parts) in [
        ("ada@example.com", &["sb-127-auth-token"][..]),
        (&long, &["sb-127-auth-token.0", "sb-127-auth-token.1"]),
    ] {
        let mut browser = world.member(email).await;
        let names: Vec<_> = browser.cookies.keys().filter(|name| name.starts_with("sb-")).collect();
        assert_eq!(names, parts, "as @supabase/ssr has it");
        let page = body(browser.open("/notes").await).await;
        assert!(page.contains(email), "{page}");
        assert!(page.ends_with("<pre>theme=dark</pre></html>"), "{page}");
    }
}

#[tokio::test]
async fn a_shorter_session_after_a_longer_one_is_whole() {
    let world = World::start().await;
    let [longer, long] = [1000, 600].map(|length| format!("{}@example.com", "a".repeat(length)));
    world.supabase.add_user(&longer, PASSWORD);
    world.supabase.add_user(&long, PASSWORD);
    let mut browser = world.browser();
    for (email, parts) in [(&*longer, 3), (&long, 2), ("ada@example.com", 3), (&long, 2)] {
        browser.sign_in("/sign-in", email, PASSWORD).await;
        assert_eq!(browser.cookies.len(), 1 + parts, "{:?}", browser.cookies.keys());
        let page = body(browser.open("/notes").await).await;
        assert!(page.contains(&format!("Notes of {email}")), "{page}");
    }
}

#[tokio::test]
async fn a_page_that_is_nowhere_tells_a_stranger_nothing() {
    let world = World::start().await;
    assert_eq!(location(&world.browser().open("/nowhere").await), "/sign-in?return_to=/nowhere");
    assert_eq!(world.member("ada@example.com").await.open("/nowhere").await.status(), 404);
}

#[tokio::test]
async fn a_websocket_takes_the_token_as_a_subprotocol() {
    let world = World::start().await;
    let protocols = format!("bearer, {}", world.access_token());
    let (mut socket, opened) = world.socket("", "", &protocols).await.unwrap();
    assert_eq!(opened.headers()["sec-websocket-protocol"], "bearer", "and never the token");
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("ada@example.com: hello"));
}

#[tokio::test]
async fn a_websocket_without_the_token_is_refused_even_with_the_cookie() {
    let world = World::start().await;
    let browser = world.member("ada@example.com").await;
    let own = format!("http://{}", world.host);
    for (cookies, origin, protocols) in [
        ("", &*own, ""),
        (&*browser.jar(), &*own, ""),
        (&*browser.jar(), EVIL, ""),
        (&*browser.jar(), EVIL, "bearer, e30.e30.x"),
    ] {
        match world.socket(cookies, origin, protocols).await {
            Err(Error::Http(refused)) => assert_eq!(refused.status(), 401, "{origin} {protocols}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_websocket_ends_when_its_token_does() {
    let world = World::start().await;
    world.supabase.set_access_token_expires_in(1);
    let (mut socket, _) = world.socket("", "", &format!("bearer, {}", world.access_token())).await.unwrap();
    let last = timeout(Duration::from_secs(10), socket.next()).await.unwrap().unwrap().unwrap();
    let Message::Close(Some(frame)) = last else { panic!("{last:?}") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1008, "the access token expired"));
}

#[tokio::test]
async fn rs_163_and_166_a_preflight_needs_no_token_and_allows_one() {
    let world = World::start().await;
    let headers =
        [("access-control-request-method", "DELETE"), ("access-control-request-headers", "authorization")];
    let preflight = world.script(Method::OPTIONS, "/api/notes", PARTNER, &headers).await;
    assert!(preflight.status().is_success());
    assert_eq!(header(&preflight, "access-control-allow-origin"), PARTNER);
    assert_eq!(header(&preflight, "access-control-allow-headers"), "authorization");
    assert_eq!(header(&preflight, "access-control-allow-methods"), "GET,DELETE");

    let others = world.script(Method::OPTIONS, "/api/notes", EVIL, &headers).await;
    assert_eq!(header(&others, "access-control-allow-origin"), "");
}

#[tokio::test]
async fn rs_165_and_167_a_script_can_read_why_it_was_refused() {
    let world = World::start().await;
    let bearer = format!("Bearer {}", world.access_token());
    let member = ("authorization", &*bearer);
    for (method, path, headers, status, says) in [
        (Method::GET, "/api/notes", &[][..], 401, r#"Bearer realm="authenticated""#),
        (Method::GET, "/api/nowhere", &[], 401, r#"Bearer realm="authenticated""#),
        (Method::GET, "/api/notes", &[("authorization", "Bearer x")], 401, r#"error="invalid_token""#),
        (Method::DELETE, "/api/notes", &[member], 401, r#"acr_values="aal2""#),
        (Method::GET, "/api/notes", &[member], 200, ""),
        (Method::GET, "/api/nowhere", &[member], 404, ""),
        (Method::GET, "/api/health", &[], 200, ""),
    ] {
        let answer = world.script(method, path, PARTNER, headers).await;
        let challenge = header(&answer, "www-authenticate");
        assert!(challenge.contains(says) && says.is_empty() == challenge.is_empty(), "{path}: {challenge}");
        assert_eq!(
            (
                answer.status().as_u16(),
                header(&answer, "access-control-allow-origin"),
                header(&answer, "access-control-expose-headers")
            ),
            (status, PARTNER, "www-authenticate"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_api_takes_no_cookies_and_lets_no_other_origin_read() {
    let world = World::start().await;
    let jar = world.member("ada@example.com").await.jar();
    let refused = world.script(Method::GET, "/api/notes", PARTNER, &[("cookie", &jar)]).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(header(&refused, "access-control-allow-credentials"), "");
    let others = world.script(Method::GET, "/api/notes", EVIL, &[]).await;
    assert_eq!(header(&others, "access-control-allow-origin"), "");
}

#[tokio::test]
async fn the_pages_and_the_api_show_the_same_notes() {
    let world = World::start().await;
    world.member("ada@example.com").await.submit("/notes", None, "text=milk").await;
    let bearer = format!("Bearer {}", world.access_token());
    let listed = world.script(Method::GET, "/api/notes", PARTNER, &[("authorization", &bearer)]).await;
    assert_eq!(listed.json::<Value>().await.unwrap(), serde_json::json!(["milk"]));
}
