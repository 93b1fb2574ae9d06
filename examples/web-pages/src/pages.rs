//! The pages. None of them sees a session: the gate has taken it out of the cookies.

use crate::notes::Notes;
use axum::{
    Form,
    extract::State,
    http::{
        HeaderMap,
        header::{CACHE_CONTROL, COOKIE},
    },
    response::{Html, IntoResponse, Redirect},
};
use axum_bearer::AuthUser;
use serde::Deserialize;

/// A form that was sent.
#[derive(Deserialize)]
pub(crate) struct NewNote {
    text: String,
}

/// For everybody, and a little more for those who are signed in.
pub(crate) async fn home(user: Option<AuthUser>) -> impl IntoResponse {
    let greeting = match &user {
        Some(user) => format!("Hello, {}!", escaped(name_of(user))),
        None => "Hello, stranger!".to_owned(),
    };
    page(&format!(r#"<h1>{greeting}</h1><p><a href="/notes">Notes</a></p>"#))
}

/// Only for those who are signed in.
pub(crate) async fn notes(
    State(notes): State<Notes>,
    user: AuthUser,
    headers: HeaderMap,
) -> impl IntoResponse {
    let items: Vec<_> = notes.of(&user).iter().map(|note| format!("<li>{}</li>", escaped(note))).collect();
    let cookies: Vec<_> = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok()).collect();
    page(&format!(
        r#"<h1>Notes of {}</h1><ul>{}</ul>
<form method="post"><label>Note <input name="text" required autofocus></label> <button>Add</button></form>
<h2>Live</h2><pre id="live"></pre><script src="/live.js"></script>
<h2>Cookies that this page was sent</h2><pre>{}</pre>"#,
        escaped(name_of(&user)),
        items.concat(),
        escaped(&cookies.join("; ")),
    ))
}

/// A form of another site never gets here.
pub(crate) async fn add(State(notes): State<Notes>, user: AuthUser, Form(new): Form<NewNote>) -> Redirect {
    notes.add(&user, new.text);
    Redirect::to("/notes")
}

/// What is shown to one user is nobody else's: unlike `Authorization`, a cookie does not keep shared caches
/// from storing the answer (RFC 9111 §3.5).
pub(crate) fn page(body: &str) -> impl IntoResponse + use<> {
    // The icon is none: a browser would ask for one, and have the gate's refusal in its console.
    let document = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Notes</title><link rel=icon href=data:,>\
         <meta name=viewport content=\"width=device-width\">{body}</html>"
    );
    ([(CACHE_CONTROL, "private, no-store")], Html(document))
}

pub(crate) fn name_of(user: &AuthUser) -> &str {
    user.email.as_deref().unwrap_or(&user.sub)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
