//! Sign-out.

use super::{
    RouteState, Shared,
    answer::{add_cookies, empty, refused, see_other, to_the_issuer, unavailable, unsupported_scope},
    body::{self, Kind},
    form::{Form, Repeated},
    is_for_a_page, jar,
};
use crate::{
    Access, Keyring, SessionError, SessionErrorKind,
    endpoint::{SignOutRequest, SignOutScope},
    store::Key,
};
use axum::{
    extract::{Request, State},
    http::{StatusCode, request::Parts},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use tower_bearer::ReturnPath;

/// What a sign-out is asked for, by the query or the body.
#[derive(Default, Deserialize)]
struct Wish {
    scope: Option<String>,
    return_to: Option<String>,
}

pub(super) async fn sign_out(State(shared): Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(body) = body::read(body).await else { return empty(StatusCode::PAYLOAD_TOO_LARGE) };
    let kind = match Kind::of(&parts.headers) {
        Some(kind) => kind,
        None if body.is_empty() => Kind::Form,
        // What is asked for in a form that nobody reads would pass for done.
        None => return empty(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    };
    let wish = match Wish::read(parts.uri.query().unwrap_or_default(), kind, &body) {
        Ok(wish) => wish,
        Err(code) => return refused(code),
    };
    let scope = match wish.scope.as_deref() {
        None | Some("local") => SignOutScope::Local,
        Some("others") => SignOutScope::Others,
        Some("global") => SignOutScope::Global,
        Some(_) => return refused("invalid_scope"),
    };
    // What the issuer cannot do is not said to be done.
    let can_end_all = scope == SignOutScope::Local || shared.sign_in.ends_other_sessions();
    if scope == SignOutScope::Others && !can_end_all {
        return unsupported_scope();
    }
    let return_to = shared.return_to(wish.return_to.as_deref());
    let key = match shared.key(&parts).await {
        Err(error) if error.kind() == SessionErrorKind::Unavailable => return unavailable(&error),
        key => key.ok(),
    };
    let was = match key {
        Some(key) => shared.sessions.peek(key).await.ok(),
        None => None,
    };
    let done = match key {
        Some(key) => shared.sessions.sign_out(key, scope, shared.on_behalf(&parts)).await,
        None => Ok(()),
    };
    let is_over = match (scope, key) {
        (SignOutScope::Others, _) => false,
        (_, None) => true,
        // The session may be over here although the issuer was not told of the others.
        (_, Some(key)) => done.is_ok() || is_over(shared.sessions.peek(key).await),
    };
    let mut response = match done {
        Ok(()) => shared.bye(&parts, scope, was.as_ref(), &return_to),
        // This session is over; others that the user has may go on.
        Err(_) if is_over && !can_end_all => unsupported_scope(),
        Err(error) => unavailable(&error),
    };
    if is_over {
        add_cookies(&mut response, shared.keeping.clear(&jar(&parts)));
        add_cookies(&mut response, shared.rounds().forget(&parts.headers));
    }
    response
}

impl Wish {
    /// Of the query and the body together.
    ///
    /// # Errors
    /// The code for what cannot be read, or is said twice and not the same.
    fn read(query: &str, kind: Kind, text: &[u8]) -> Result<Self, &'static str> {
        let query = Self::of_form(query.as_bytes())?;
        let body = match kind {
            // Of no body, some clients name the type all the same.
            Kind::Json if text.is_empty() => Self::default(),
            Kind::Json => body::of_json(text).ok_or("invalid_request")?,
            Kind::Form => Self::of_form(text)?,
        };
        Ok(Self {
            scope: one_of(query.scope, body.scope).map_err(|Repeated| "invalid_scope")?,
            return_to: one_of(query.return_to, body.return_to).map_err(|Repeated| "invalid_request")?,
        })
    }

    fn of_form(text: &[u8]) -> Result<Self, &'static str> {
        let form = Form::parse(text);
        let one = |name| form.one(name).map(|found| found.map(str::to_owned));
        Ok(Self {
            scope: one("scope").map_err(|Repeated| "invalid_scope")?,
            return_to: one("return_to").map_err(|Repeated| "invalid_request")?,
        })
    }
}

/// What the query says, or else the body, unless they disagree.
fn one_of(query: Option<String>, body: Option<String>) -> Result<Option<String>, Repeated> {
    match (query, body) {
        (Some(query), Some(body)) if query != body => Err(Repeated),
        (query, body) => Ok(query.or(body)),
    }
}

fn is_over(session: Result<Access, SessionError>) -> bool {
    session.is_err_and(|error| error.kind() == SessionErrorKind::SignedOut)
}

impl RouteState {
    /// A page goes on, perhaps by way of the issuer; a script is told that it is done.
    fn bye(
        &self,
        request: &Parts,
        scope: SignOutScope,
        was: Option<&Access>,
        return_to: &ReturnPath,
    ) -> Response {
        if !is_for_a_page(&request.headers) {
            return empty(StatusCode::NO_CONTENT);
        }
        let at_the_issuer = self.options.at_the_issuer && scope != SignOutScope::Others;
        let url = was.filter(|_| at_the_issuer).and_then(|access| self.at_the_issuer(access, return_to));
        url.map_or_else(|| see_other(return_to.as_str()), |url| to_the_issuer(&url))
    }

    fn at_the_issuer(&self, access: &Access, return_to: &ReturnPath) -> Option<String> {
        let request = SignOutRequest::new(access.id_token());
        let Some(back) = &self.options.post_logout_redirect_uri else {
            return self.sign_in.sign_out_url(&request);
        };
        let state = state(self.sessions.keyring(), return_to);
        self.sign_in.sign_out_url(&request.back_to(back, &state))
    }
}

/// The issuer has sent the user back.
pub(super) async fn come_back(State(shared): Shared, request: Request) -> Response {
    let query = Form::parse(request.uri().query().unwrap_or_default().as_bytes());
    let state = query.one("state").unwrap_or_default();
    let return_to = state.and_then(|state| opened(shared.sessions.keyring(), state));
    see_other(return_to.as_ref().unwrap_or(&shared.options.home).as_str())
}

/// A path to go on to, which is none of the issuer's business. Nothing is begun or ended by it, so it is not
/// bound to the browser: whoever gives somebody else a link with it could give them a link to the path.
fn state(keyring: &Keyring, return_to: &ReturnPath) -> String {
    URL_SAFE_NO_PAD.encode(keyring.seal(&purpose(), 0, return_to.as_str().as_bytes()))
}

fn opened(keyring: &Keyring, state: &str) -> Option<ReturnPath> {
    let plain = keyring.open(&purpose(), 0, &URL_SAFE_NO_PAD.decode(state).ok()?)?;
    ReturnPath::parse(str::from_utf8(&plain).ok()?)
}

/// Keeps what is sealed here apart from all else.
fn purpose() -> Key {
    Key::of("sign-out", "")
}
