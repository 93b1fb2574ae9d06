//! The provider's endpoints.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use super::provider::{Authorization, Consent, Provider};
use crate::{TokenFault, clock, pkce::Challenge, query::with_query};

const CLIENT: &str = "app";
const SECRET: &str = "its-secret";
const PUBLIC_CLIENT: &str = "public-app";

type Parameters = HashMap<String, String>;

pub(super) fn routes(provider: Arc<Provider>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(metadata))
        .route(
            "/.well-known/jwks.json",
            get(async |State(provider): State<Arc<Provider>>| provider.jwks.answer().await),
        )
        .route("/authorize", get(authorize))
        .route("/token", post(token))
        .route("/revoke", post(revoke))
        .route("/logout", get(logout))
        .with_state(provider)
}

async fn metadata(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let issuer = &provider.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "end_session_endpoint": format!("{issuer}/logout"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn authorize(State(provider): State<Arc<Provider>>, Query(parameters): Query<Parameters>) -> Response {
    let text = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
    let (client, back) = (text("client_id"), text("redirect_uri"));
    // Where to send an error is not known before these two are good (RFC 6749 §4.1.2.1).
    if ![CLIENT, PUBLIC_CLIENT].contains(&client) || !back.contains("://") {
        return refusal(StatusCode::BAD_REQUEST, "invalid_request");
    }
    let challenge = match Challenge::new(text("code_challenge_method"), text("code_challenge")) {
        Some(challenge @ Challenge::S256(_)) if text("response_type") == "code" => challenge,
        _ => return found(&with_query(back, &[("error", "invalid_request"), ("state", text("state"))])),
    };
    let code = provider.authorize(Authorization {
        redirect_uri: back.to_owned(),
        nonce: parameters.get("nonce").cloned(),
        challenge,
        consent: Consent {
            client: client.to_owned(),
            subject: parameters.get("login_hint").map_or("ada", String::as_str).to_owned(),
            scope: text("scope").to_owned(),
            // The preferred one stands first (OpenID Connect Core §3.1.2.1).
            acr: text("acr_values").split_whitespace().next().map(str::to_owned),
            auth_time: clock::now() - i64::from(age_of_sign_in(provider.options.signed_in_ago, &parameters)),
        },
    });
    found(&with_query(back, &[("code", &code), ("state", text("state")), ("iss", &provider.issuer)]))
}

/// How long ago the user signed in, in seconds: not at all, where the client wants it anew.
fn age_of_sign_in(signed_in_ago: u32, parameters: &Parameters) -> u32 {
    let text = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
    let is_too_old = text("max_age").parse().is_ok_and(|max_age: u32| signed_in_ago > max_age);
    let wants_it_anew = text("prompt").split(' ').any(|prompt| prompt == "login");
    if is_too_old || wants_it_anew { 0 } else { signed_in_ago }
}

async fn token(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    Form(form): Form<Parameters>,
) -> Response {
    let Some(client) = client(&headers, &form) else {
        return refusal(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    let text = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    match text("grant_type") {
        "authorization_code" => {
            answer(provider.redeem(client, text("code"), text("redirect_uri"), text("code_verifier")))
        }
        "refresh_token" => {
            let (token, fault) = (text("refresh_token"), provider.token_faults.next());
            provider.presentations.add(token);
            if fault == TokenFault::SessionKilled {
                provider.revoke(client, token);
            }
            let exchanged = async { answer(provider.exchange(client, token)) };
            fault.spoil(exchanged, |status| refusal(status, "temporarily_unavailable")).await
        }
        _ => refusal(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
    }
}

async fn revoke(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    Form(form): Form<Parameters>,
) -> Response {
    let Some(client) = client(&headers, &form) else {
        return refusal(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    // What is unknown is as good as revoked (RFC 7009 §2.2).
    provider.revoke(client, form.get("token").map(String::as_str).unwrap_or_default());
    StatusCode::OK.into_response()
}

async fn logout(Query(parameters): Query<Parameters>) -> Response {
    let text = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
    if text("post_logout_redirect_uri").is_empty() {
        return "signed out".into_response();
    }
    found(&with_query(text("post_logout_redirect_uri"), &[("state", text("state"))]))
}

/// Which client it is, if it proves that. One way at a time (RFC 6749 §2.3).
fn client(headers: &HeaderMap, form: &Parameters) -> Option<&'static str> {
    let text = |name: &str| form.get(name).map(String::as_str);
    let basic = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match (basic, text("client_id"), text("client_secret")) {
        // Form-encoding (RFC 6749 §2.3.1) changes neither this id nor this secret.
        (Some(basic), None, None) => {
            let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{CLIENT}:{SECRET}")));
            (basic == expected).then_some(CLIENT)
        }
        (None, Some(CLIENT), Some(SECRET)) => Some(CLIENT),
        (None, Some(PUBLIC_CLIENT), None) => Some(PUBLIC_CLIENT),
        _ => None,
    }
}

fn answer(tokens: Option<Value>) -> Response {
    match tokens {
        // RFC 6749 §5.1.
        Some(tokens) => {
            ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(tokens)).into_response()
        }
        None => refusal(StatusCode::BAD_REQUEST, "invalid_grant"),
    }
}

fn refusal(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

fn found(location: &str) -> Response {
    let mut response = Redirect::to(location).into_response();
    *response.status_mut() = StatusCode::FOUND;
    response
}
