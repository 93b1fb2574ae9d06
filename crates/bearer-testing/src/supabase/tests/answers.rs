//! The form of errors, and the headers of answers.

use super::*;

#[tokio::test]
async fn malformed_and_invented_refresh_tokens_are_told_apart() {
    let supabase = project(SupabaseOptions::default()).await;
    for (token, code) in [
        ("", "validation_failed"),
        ("short", "validation_failed"),
        ("long-enough-but-never-issued", "refresh_token_not_found"),
    ] {
        assert_eq!(outcome(&refresh(&supabase, token).await), (400, code.to_owned()), "{token:?}");
    }
}

#[tokio::test]
async fn errors_have_the_shape_the_request_asks_for() {
    let supabase = project(SupabaseOptions::default()).await;
    let url = format!("{}/token?grant_type=refresh_token", supabase.issuer());
    let body = r#"{"refresh_token":"long-enough-but-never-issued"}"#;
    let message = "Invalid Refresh Token: Refresh Token Not Found";
    let new = json!({ "code": "refresh_token_not_found", "message": message });
    let old = json!({ "code": 400, "error_code": "refresh_token_not_found", "msg": message });
    for (version, expected) in
        [(None, &old), (Some("2023-12-31"), &old), (Some("2024-01-01"), &new), (Some("2025-06-01"), &new)]
    {
        let headers: Vec<_> =
            version.map(|version| ("X-Supabase-Api-Version", version)).into_iter().collect();
        let answer = client::request("POST", &url, &headers, body).await;
        assert_eq!(&answer.json(), expected, "{version:?}");
        assert_eq!(answer.headers["x-sb-error-code"], "refresh_token_not_found");
        assert_eq!(answer.headers.contains_key("x-supabase-api-version"), expected == &new, "{version:?}");
    }
}

#[tokio::test]
async fn answers_tell_of_the_session_in_headers() {
    let supabase = project(SupabaseOptions::default()).await;
    let login = log_in(&supabase).await;
    let token = text(&login, "refresh_token");
    let session = claims(&supabase, text(&login, "access_token"))["session_id"].clone();
    let rotated = refresh(&supabase, token).await;
    assert_eq!(rotated.headers["sb-auth-session-id"], session);
    assert_eq!(rotated.headers["sb-auth-user-id"], login["user"]["id"]);
    assert_eq!(rotated.headers["sb-auth-refresh-token-counter"], "1");
    assert_eq!(rotated.headers["sb-auth-refresh-token-reuse"], "false");
    let again = refresh(&supabase, token).await;
    assert_eq!(again.headers["sb-auth-refresh-token-counter"], "1");
    assert_eq!(again.headers["sb-auth-refresh-token-reuse-cause"], "fail-to-save");

    let supabase = project(version_1(SupabaseOptions::default())).await;
    let rotated = refresh(&supabase, text(&log_in(&supabase).await, "refresh_token")).await;
    let prefix = &rotated.headers["sb-auth-refresh-token-prefix"];
    assert!(text(&rotated.json(), "refresh_token").starts_with(&**prefix));
}
