//! Errors in the words of Supabase Auth.

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

const API_VERSION: HeaderName = HeaderName::from_static("x-supabase-api-version");
const ERROR_CODE: HeaderName = HeaderName::from_static("x-sb-error-code");
const TOKEN_ROTATED: HeaderName = HeaderName::from_static("sb-auth-refresh-token-rotated");

/// The first version with `code` and `message`. Versions are dates, so they compare as text.
const CODES_SINCE: &str = "2024-01-01";

/// A refusal as Supabase Auth words it.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    pub(super) code: &'static str,
    message: String,
    session_destroyed: bool,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), session_destroyed: false }
    }

    pub(super) fn bad_json() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_json", "Could not parse request body as JSON")
    }

    pub(super) fn unsupported_grant_type() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_credentials", "unsupported_grant_type")
    }

    pub(super) fn invalid_credentials() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_credentials", "Invalid login credentials")
    }

    pub(super) fn malformed_refresh_token() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "validation_failed", "Refresh token is not valid")
    }

    pub(super) fn refresh_token_not_found() -> Self {
        let message = "Invalid Refresh Token: Refresh Token Not Found";
        Self::new(StatusCode::BAD_REQUEST, "refresh_token_not_found", message)
    }

    pub(super) fn refresh_token_already_used() -> Self {
        let message = "Invalid Refresh Token: Already Used";
        let error = Self::new(StatusCode::BAD_REQUEST, "refresh_token_already_used", message);
        Self { session_destroyed: true, ..error }
    }

    /// Of version 1, where the session itself lives on.
    pub(super) fn refresh_token_revoked() -> Self {
        Self { session_destroyed: false, ..Self::refresh_token_already_used() }
    }

    pub(super) fn flow_state_not_found() -> Self {
        let message = "invalid flow state, no valid flow state found";
        Self::new(StatusCode::NOT_FOUND, "flow_state_not_found", message)
    }

    pub(super) fn bad_code_verifier() -> Self {
        let message = "code challenge does not match previously saved code verifier";
        Self::new(StatusCode::BAD_REQUEST, "bad_code_verifier", message)
    }

    pub(super) fn unsupported_authorization(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "validation_failed", message)
    }

    pub(super) fn unsupported_scope(scope: &str) -> Self {
        let message = format!("Unsupported logout scope {scope:?}");
        Self::new(StatusCode::BAD_REQUEST, "validation_failed", message)
    }

    pub(super) fn no_authorization() -> Self {
        let message = "This endpoint requires a valid Bearer token";
        Self::new(StatusCode::UNAUTHORIZED, "no_authorization", message)
    }

    pub(super) fn bad_jwt() -> Self {
        let message = "invalid JWT: unable to parse or verify signature";
        Self::new(StatusCode::FORBIDDEN, "bad_jwt", message)
    }

    pub(super) fn user_not_found() -> Self {
        let message = "User from sub claim in JWT does not exist";
        Self::new(StatusCode::FORBIDDEN, "user_not_found", message)
    }

    pub(super) fn session_not_found() -> Self {
        let message = "Session from session_id claim in JWT does not exist";
        Self::new(StatusCode::FORBIDDEN, "session_not_found", message)
    }

    pub(super) fn rate_limit() -> Self {
        Self::injected(StatusCode::TOO_MANY_REQUESTS)
    }

    /// A failure that was asked for, worded as the real one of that status.
    pub(super) fn injected(status: StatusCode) -> Self {
        let (code, message) = match status {
            StatusCode::CONFLICT => (
                "conflict",
                "Too many concurrent token refresh requests on the same session or refresh token",
            ),
            StatusCode::TOO_MANY_REQUESTS => ("over_request_rate_limit", "Request rate limit reached"),
            StatusCode::GATEWAY_TIMEOUT => {
                ("request_timeout", "Processing this request timed out, please retry after a moment.")
            }
            _ => ("unexpected_failure", "Unexpected failure, please check server logs for more information"),
        };
        Self::new(status, code, message)
    }

    /// The body has the shape of the API version that the request asks for.
    pub(super) fn answer(self, request: &HeaderMap) -> Response {
        let Self { status, code, message, session_destroyed } = self;
        let versioned = request
            .get(API_VERSION)
            .and_then(|version| version.to_str().ok())
            .is_some_and(|version| version >= CODES_SINCE);
        let body = if versioned {
            json!({ "code": code, "message": message })
        } else {
            json!({ "code": status.as_u16(), "error_code": code, "msg": message })
        };
        let mut response = (status, [(ERROR_CODE, code)], Json(body)).into_response();
        let headers = response.headers_mut();
        if versioned {
            headers.insert(API_VERSION, HeaderValue::from_static(CODES_SINCE));
        }
        if session_destroyed {
            headers.insert(TOKEN_ROTATED, HeaderValue::from_static("true"));
        }
        response
    }
}
