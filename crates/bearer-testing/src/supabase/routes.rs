//! The project's endpoints.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{
    error::ApiError,
    project::{Caller, Issued, Project},
    store::Scope,
};
use crate::{TokenFault, pkce::Challenge, query::with_query};

type Parameters = Query<HashMap<String, String>>;

pub(super) fn routes(project: Arc<Project>) -> Router {
    let auth = Router::new()
        .route("/authorize", get(authorize))
        .route("/token", post(token))
        .route("/logout", post(logout))
        .route("/user", get(user))
        .route(
            "/.well-known/jwks.json",
            get(async |State(project): State<Arc<Project>>| project.jwks.answer().await),
        )
        .route("/.well-known/openid-configuration", get(openid_configuration));
    Router::new().nest("/auth/v1", auth).with_state(project)
}

async fn token(
    State(project): State<Arc<Project>>,
    Query(parameters): Parameters,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let grant_type = parameters.get("grant_type").map(String::as_str);
    let body = project
        .limit(&headers)
        .and_then(|()| serde_json::from_slice::<Value>(&body).map_err(|_| ApiError::bad_json()));
    let body = match body {
        Ok(body) => body,
        Err(error) => return error.answer(&headers),
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    match grant_type {
        Some("password") => respond(project.password_grant(text("email"), text("password")), &headers),
        Some("pkce") => respond(project.pkce_grant(text("auth_code"), text("code_verifier")), &headers),
        Some("refresh_token") => refresh(&project, text("refresh_token"), &headers).await,
        _ => ApiError::unsupported_grant_type().answer(&headers),
    }
}

async fn refresh(project: &Project, token: &str, headers: &HeaderMap) -> Response {
    let fault = project.token_faults.next();
    project.presentations.add(token);
    if fault == TokenFault::SessionKilled {
        project.store().end_session_of(token);
    }
    let answer = async { respond(project.refresh_grant(token).await, headers) };
    fault.spoil(answer, |status| ApiError::injected(status).answer(headers)).await
}

/// Sends the user straight back with a code, as after a sign-in at the provider.
async fn authorize(
    State(project): State<Arc<Project>>,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Response {
    let text = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
    let refuse = |message| ApiError::unsupported_authorization(message).answer(&headers);
    if text("provider").is_empty() {
        return refuse("Unsupported provider: Provider  could not be found");
    }
    let Some(challenge) = Challenge::new(text("code_challenge_method"), text("code_challenge")) else {
        return refuse("PKCE flow requires code_challenge_method and code_challenge");
    };
    let back = text("redirect_to");
    if !back.contains("://") {
        return refuse("there is no Site URL here: give a redirect_to");
    }
    let back = match project.begin_flow(parameters.get("login_hint").map(String::as_str), challenge) {
        Some(code) => with_query(back, &[("code", &code)]),
        None => with_query(
            back,
            &[
                ("error", "access_denied"),
                ("error_code", "user_not_found"),
                ("error_description", "no such user"),
            ],
        ),
    };
    // Supabase answers 302.
    let mut response = Redirect::to(&back).into_response();
    *response.status_mut() = StatusCode::FOUND;
    response
}

async fn logout(
    State(project): State<Arc<Project>>,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Response {
    let answer = || {
        let caller = caller(&project, &headers)?;
        let scope = match parameters.get("scope").map(String::as_str) {
            None | Some("" | "global") => Scope::Global,
            Some("local") => Scope::Local,
            Some("others") => Scope::Others,
            Some(other) => return Err(ApiError::unsupported_scope(other)),
        };
        project.log_out(&caller, scope);
        Ok(StatusCode::NO_CONTENT)
    };
    respond(answer(), &headers)
}

async fn user(State(project): State<Arc<Project>>, headers: HeaderMap) -> Response {
    respond(caller(&project, &headers).map(|caller| Json(caller.shown())), &headers)
}

async fn openid_configuration(State(project): State<Arc<Project>>) -> Response {
    let issuer = &project.issuer;
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/oauth/authorize"),
        "token_endpoint": format!("{issuer}/oauth/token"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "userinfo_endpoint": format!("{issuer}/oauth/userinfo"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        // Supabase lists these, whatever the project signs with.
        "id_token_signing_alg_values_supported": ["RS256", "HS256", "ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256", "plain"],
        "scopes_supported": ["openid", "profile", "email", "phone", "offline_access"],
    });
    ([(header::CACHE_CONTROL, "public, max-age=600")], Json(document)).into_response()
}

fn caller(project: &Project, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.to_str().ok()?));
    project.authenticate(token.ok_or_else(ApiError::no_authorization)?)
}

/// `GoTrue`'s own grammar: `(?i)^bearer (\S+$)`.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let well_formed = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty();
    (well_formed && !token.contains(char::is_whitespace)).then_some(token)
}

fn respond(answer: Result<impl IntoResponse, ApiError>, request: &HeaderMap) -> Response {
    match answer {
        Ok(answer) => answer.into_response(),
        Err(error) => error.answer(request),
    }
}

impl IntoResponse for Issued {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        let headers = self.headers.into_iter().map(|(name, value)| {
            let value = HeaderValue::try_from(value).expect("ids, counters and words are visible ASCII");
            (HeaderName::from_static(name), value)
        });
        response.headers_mut().extend(headers);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_grammar() {
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bEARER a.b.c", Some("a.b.c")),
            ("Bearer  abc", None),
            ("Bearer abc ", None),
            ("Bearer ", None),
            ("Bearer", None),
            ("Basic abc", None),
        ] {
            assert_eq!(bearer(value), expected, "{value:?}");
        }
    }
}
