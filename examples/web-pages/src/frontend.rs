//! **The frontend's part.** In real life this is `@supabase/ssr`, in the browser or in the server that
//! renders your frontend: it signs in, keeps the session in its cookies, and it alone spends the refresh
//! token. The rest of this site reads the access token out of those cookies, and never writes one.
//!
//! To copy from here: what becomes of `return_to`.

use crate::pages::page;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::{
        StatusCode,
        header::{CONTENT_TYPE, SET_COOKIE},
    },
    response::{AppendHeaders, IntoResponse, Redirect, Response},
    routing::get,
};
use axum_bearer::ReturnPath;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The path of the sign-in page.
pub const SIGN_IN: &str = "/sign-in";

/// The longest cookie value of `@supabase/ssr`, in characters; the rest goes into the next one.
const CHUNK: usize = 3180;

/// As `@supabase/ssr` sets them: 400 days, and readable by scripts, which need the access token for the API.
const ATTRIBUTES: &str = "Path=/; SameSite=Lax; Max-Age=34560000";
const GONE: &str = "Path=/; SameSite=Lax; Max-Age=0";

#[derive(Clone)]
struct Frontend {
    client: Client,
    project_url: Arc<str>,
}

/// Where to go afterwards: anybody can make a link to the sign-in page, with anything in it.
#[derive(Deserialize)]
struct Wish {
    return_to: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Credentials {
    email: String,
    password: String,
}

/// The sign-in page, and the script of the pages.
pub(crate) fn router(project_url: &str) -> Router {
    // The test issuer is on this machine, whatever proxy leads out of it.
    let client = Client::builder().no_proxy().build().unwrap_or_default();
    Router::new()
        .route(SIGN_IN, get(show).post(sign_in))
        .route("/live.js", get(async || ([(CONTENT_TYPE, "text/javascript")], include_str!("live.js"))))
        .with_state(Frontend { client, project_url: project_url.into() })
}

async fn show() -> impl IntoResponse {
    form("")
}

/// A session that has only expired comes here too; `@supabase/ssr` would refresh it now, and go on.
async fn sign_in(
    State(frontend): State<Frontend>,
    Query(wish): Query<Wish>,
    Form(credentials): Form<Credentials>,
) -> Response {
    let Some(session) = frontend.sign_in(&credentials).await else {
        return (StatusCode::BAD_REQUEST, form("<p>That is not the password.</p>")).into_response();
    };
    let back = wish.return_to.as_deref().and_then(ReturnPath::parse);
    let back = Redirect::to(back.as_ref().map_or("/", ReturnPath::as_str));
    let cookies = cookies(&frontend.cookie_name(), &session);
    (AppendHeaders(cookies.into_iter().map(|cookie| (SET_COOKIE, cookie))), back).into_response()
}

/// Without an `action` it is sent to where it came from, `return_to` and all, of which nothing gets into the
/// page.
fn form(note: &str) -> impl IntoResponse + use<> {
    page(&format!(
        r#"<h1>Sign in</h1>{note}<form method="post">
<label>E-mail <input name="email" type="email" autocomplete="username" required value="ada@example.com"></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Sign in</button></form>"#
    ))
}

impl Frontend {
    /// `supabase.auth.signInWithPassword(…)`: the session as JSON, or `None`.
    async fn sign_in(&self, credentials: &Credentials) -> Option<String> {
        let url = format!("{}/auth/v1/token?grant_type=password", self.project_url);
        let answer = self.client.post(url).json(credentials).send().await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    }

    /// `sb-abc-auth-token` for `https://abc.supabase.co`.
    fn cookie_name(&self) -> String {
        let url = Url::parse(&self.project_url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        format!("sb-{}-auth-token", host.split('.').next().unwrap_or_default())
    }
}

/// The session in as many cookies as it needs, as `@supabase/ssr` writes it. What an older and longer one
/// left behind must go, or it would be read as a part of this.
fn cookies(name: &str, session: &str) -> Vec<String> {
    let value = format!("base64-{}", BASE64_URL_SAFE_NO_PAD.encode(session));
    if value.len() <= CHUNK {
        return vec![format!("{name}={value}; {ATTRIBUTES}")];
    }
    let mut cookies = vec![format!("{name}=; {GONE}")];
    let mut rest = value.as_str();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(CHUNK.min(rest.len()));
        cookies.push(format!("{name}.{}={chunk}; {ATTRIBUTES}", cookies.len() - 1));
        rest = after;
    }
    cookies.push(format!("{name}.{}=; {GONE}", cookies.len() - 1));
    cookies
}
