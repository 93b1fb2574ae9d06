//! Sign-out.

use super::{
    RouteState, Shared,
    answer::{add_cookies, empty, refused, see_other, unavailable, unsupported_scope},
    form::Form,
    is_for_a_page, jar,
};
use crate::{
    Access, SessionError, SessionErrorKind,
    endpoint::{SignOutRequest, SignOutScope},
};
use axum::{
    extract::{Request, State},
    http::{StatusCode, request::Parts},
    response::Response,
};
use tower_bearer::ReturnPath;

pub(super) async fn sign_out(State(shared): Shared, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let query = Form::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let scope = match query.one("scope") {
        Ok(None | Some("local")) => SignOutScope::Local,
        Ok(Some("others")) => SignOutScope::Others,
        Ok(Some("global")) => SignOutScope::Global,
        _ => return refused("invalid_scope"),
    };
    // What the issuer cannot do is not said to be done.
    let can_end_all = scope == SignOutScope::Local || shared.sign_in.ends_other_sessions();
    if scope == SignOutScope::Others && !can_end_all {
        return unsupported_scope();
    }
    let return_to = shared.return_to(query.one("return_to").unwrap_or_default());
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
    }
    response
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
        let url = was
            .filter(|_| at_the_issuer)
            .and_then(|access| self.sign_in.sign_out_url(&SignOutRequest::new(access.id_token())));
        see_other(url.as_deref().unwrap_or(return_to.as_str()))
    }
}
