//! The pages. None of them sees a token: what they show of the session, the gate has proved.

use crate::{auth, issuer::Refreshes, site::SIGN_IN};
use axum::{
    extract::{Query, State},
    response::Html,
};
use axum_bearer::{AuthUser, ReturnPath};
use serde::Deserialize;
use std::{fmt::Write as _, sync::Arc};

/// What the site says of itself.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// The user of the test issuer, to try it with; `None` for a real project.
    pub(crate) hint: Option<(&'static str, &'static str)>,
    /// Where to sign in without a password, such as `github`.
    pub(crate) providers: Arc<[String]>,
    pub(crate) refreshes: Refreshes,
}

/// Anybody can make a link to the sign-in page, with anything in it.
#[derive(Deserialize)]
pub(crate) struct Arrival {
    return_to: Option<String>,
    #[serde(default)]
    error: String,
    signed_out: Option<String>,
}

pub(crate) async fn dashboard(State(about): State<About>, user: AuthUser) -> Html<String> {
    let who = escaped(name_of(&user));
    let dots = "<li></li>".repeat(50);
    let counted_by = about.refreshes.counted_by();
    let sign_out = sign_out_forms();
    let body = format!(
        r#"<h1>A session whose tokens no page ever sees</h1>
<div class="cards">
<section class="card" aria-labelledby="session"><h2 id="session">Session</h2>
<dl><dt>Signed in as</dt><dd>{who}</dd>
<dt>Access token</dt><dd><span id="life-text">…</span></dd></dl>
<progress class="life" id="life" max="1" value="0" aria-label="What is left of the access token"></progress>
<div class="buttons"><button type="button" id="refresh">Refresh now</button></div>
<p class="quiet">The browser has a random name for the session, in a cookie that scripts cannot read. The tokens lie
encrypted on the server.</p></section>
<section class="card" aria-labelledby="sign-out"><h2 id="sign-out">Sign out</h2>{sign_out}
<p class="quiet">A sign-out here is one of all tabs: keep a second one open and watch it leave.</p></section>
<section class="card wide" aria-labelledby="calls"><h2 id="calls">50 calls at once</h2>
<p>Each needs a token that lives. When it has expired, naive code refreshes 50 times, spends one single-use refresh
token 50 times over, and the issuer ends the session. Here all wait for one refresh.</p>
<div class="buttons"><button type="button" class="first" id="call-expired">Wait until it has expired, then call</button>
<button type="button" id="call-now">Call now</button></div>
<dl class="result"><div><dt>answers</dt><dd id="answers">–</dd></div>
<div><dt>refreshes</dt><dd id="refreshes">–</dd></div><div><dt>time</dt><dd id="took">–</dd></div></dl>
<ol class="dots" id="dots" aria-hidden="true">{dots}</ol>
<p class="quiet" id="calls-text" role="status">Refreshes are counted by {counted_by}. A browser sends some six of them
at a time over HTTP/1.1; <code>session-web --demo</code> sends all 50.</p></section>
<section class="card wide" aria-labelledby="events"><h2 id="events">What happens to the session</h2>
<ol class="events" id="event-list" role="log"></ol></section>
</div>
<script type="module" src="/assets/dashboard.js"></script>"#
    );
    page("Dashboard", "/", Some(&user), &body)
}

/// Nothing but HTML: after an idle hour a click on a link is enough to be back.
pub(crate) async fn profile(user: AuthUser) -> Html<String> {
    let mut rows = String::new();
    let assurance = user.aal.as_deref().unwrap_or("unknown");
    let session = user.session_id.as_deref().unwrap_or("unknown");
    for (name, value) in [
        ("User", user.sub.as_str()),
        ("E-mail", name_of(&user)),
        ("Assurance", assurance),
        ("Session", session),
    ] {
        let _ = write!(rows, "<dt>{name}</dt><dd>{}</dd>", escaped(value));
    }
    let body = format!(
        r#"<h1>Profile</h1><section class="card" aria-label="Claims"><dl>{rows}</dl>
<p class="quiet">What the gate proved of the access token, which it got from the session and not from the browser.</p>
</section><script type="module" src="/assets/live.js"></script>"#
    );
    page("Profile", "/profile", Some(&user), &body)
}

pub(crate) async fn sign_in(State(about): State<About>, Query(arrival): Query<Arrival>) -> Html<String> {
    let back = arrival.return_to.as_deref().and_then(ReturnPath::parse);
    let back = back.as_ref().map_or("/", ReturnPath::as_str);
    let notice = match arrival.error.as_str() {
        "" if arrival.signed_out.is_some() => r#"<p class="notice" role="status">You are signed out.</p>"#,
        "" => "",
        code => auth::notice(code),
    };
    let (email, hint) = match about.hint {
        None => ("", String::new()),
        Some((email, password)) => (
            email,
            format!(
                r#"<p class="quiet">The test issuer knows <kbd>{email}</kbd> with the password <kbd>{password}</kbd>.</p>"#
            ),
        ),
    };
    let form = auth::password_form(&escaped(back), email);
    let providers = auth::provider_links(&about.providers, back);
    let body = format!(r#"<div class="card"><h1>Sign in</h1>{notice}{form}{hint}{providers}</div>"#);
    page("Sign in", SIGN_IN, None, &body)
}

/// [`SIGN_IN`] with a word that it is done, as a value in a query.
const SIGNED_OUT: &str = "/sign-in%3Fsigned_out";

fn sign_out_forms() -> String {
    let form = |scope, back, text| {
        format!(
            r#"<form method="post" action="/auth/logout?scope={scope}&amp;return_to={back}"><button>{text}</button></form>"#
        )
    };
    format!(
        r#"<div class="buttons">{}{}{}</div>"#,
        form("local", SIGNED_OUT, "Here, in all tabs"),
        form("others", "/", "On my other devices"),
        form("global", SIGNED_OUT, "Everywhere"),
    )
}

fn page(title: &str, here: &str, user: Option<&AuthUser>, body: &str) -> Html<String> {
    let link = |path: &str, text: &str| {
        let current = if path == here { r#" aria-current="page""# } else { "" };
        format!(r#"<a href="{path}"{current}>{text}</a>"#)
    };
    let (nav, who, main) = match user {
        None => (String::new(), String::new(), r#"<main class="narrow" id="main">"#),
        Some(user) => (
            format!(
                r#"<nav aria-label="Site">{}{}</nav>"#,
                link("/", "Dashboard"),
                link("/profile", "Profile")
            ),
            format!(r#"<span class="who">{}</span>"#, escaped(name_of(user))),
            r#"<main id="main">"#,
        ),
    };
    Html(format!(
        r##"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title} · session-web</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/assets/style.css"></head>
<body><a class="skip" href="#main">To the content</a>
<header class="bar"><strong>session-web</strong>{nav}{who}</header>
{main}{body}</main></body></html>"##
    ))
}

fn name_of(user: &AuthUser) -> &str {
    user.email.as_deref().unwrap_or(&user.sub)
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
