//! The real supabase-js as a client of the small Supabase Auth, and of sessions that it shares with us.

use crate::node;
use bearer_session::{
    endpoint::{OnBehalf, SupabaseEndpoint, TokenEndpoint as _},
    keeping::ssr::SsrCookies,
};
use bearer_testing::{RefreshTokenVersion, SupabaseOptions, TestSupabase, TokenFault};
use http::{HeaderMap, HeaderValue, header::COOKIE};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::SystemTime;

const EMAIL: &str = "ada@example.com";
const KEY: &str = "sb_publishable_interop";

async fn start(refresh_tokens: RefreshTokenVersion) -> TestSupabase {
    let supabase = TestSupabase::start_with(SupabaseOptions::new().refresh_tokens(refresh_tokens)).await;
    supabase.add_user(EMAIL, "correct horse");
    supabase
}

async fn act(supabase: &TestSupabase, act: &str, pairs: &[String]) -> Option<Value> {
    let input = json!({
        "url": supabase.project_url(), "key": KEY, "email": EMAIL, "password": "correct horse", "act": act,
        "pairs": pairs,
    });
    node::run_with("client.mjs", &input).await
}

#[tokio::test]
async fn it_signs_in_refreshes_and_signs_out() {
    for version in [RefreshTokenVersion::V1, RefreshTokenVersion::V2] {
        let supabase = start(version).await;
        let Some(result) = act(&supabase, "session", &[]).await else { return };
        assert_eq!(result["email"], EMAIL);
        assert_eq!(result["subject"], supabase.add_user(EMAIL, "correct horse"));
        // What it makes of `session_not_found`.
        assert_eq!(result["gone"], "AuthSessionMissingError");
        assert_eq!(result["left"], Value::Null);
        assert_ne!(result["first"], result["second"]);
        assert_eq!(supabase.presentations(), [1], "{version:?}");
        assert_eq!(supabase.sessions_alive(), 0);
    }
}

#[tokio::test]
async fn it_signs_in_through_a_provider() {
    let supabase = start(RefreshTokenVersion::V2).await;
    let Some(result) = act(&supabase, "pkce", &[]).await else { return };
    assert_eq!(result, json!({ "status": 302, "next": "/home", "email": EMAIL }));
    assert_eq!(supabase.sessions_alive(), 1);
    let refused = act(&supabase, "wrongPassword", &[]).await.unwrap();
    assert_eq!(refused, json!({ "status": 400, "code": "invalid_credentials" }));
}

#[tokio::test]
async fn it_takes_faults_as_those_of_the_real_server() {
    let supabase = start(RefreshTokenVersion::V2).await;
    for (fault, presented, code) in [
        (TokenFault::Unavailable(None), 2, None),
        (TokenFault::BadGateway, 2, None),
        (TokenFault::ResetAfterCommit, 2, None),
        (TokenFault::TimeoutAfterCommit, 2, None),
        (TokenFault::Conflict, 1, Some("conflict")),
        (TokenFault::TooManyRequests(Some(1)), 1, Some("over_request_rate_limit")),
        (TokenFault::SessionKilled, 1, Some("refresh_token_not_found")),
    ] {
        supabase.script_refreshes([fault]);
        let Some(result) = act(&supabase, "refresh", &[]).await else { return };
        assert_eq!(result["code"].as_str(), code, "{fault:?}");
        assert_eq!(result["second"].is_null(), code.is_some(), "{fault:?}");
        assert_eq!(supabase.presentations_of(result["first"].as_str().unwrap()), presented, "{fault:?}");
    }
}

#[tokio::test]
async fn five_servers_at_once_get_one_new_token() {
    for version in [RefreshTokenVersion::V1, RefreshTokenVersion::V2] {
        let supabase = start(version).await;
        let Some(result) = act(&supabase, "parallel", &[]).await else { return };
        assert_eq!(result["distinct"], 1, "{version:?}");
        assert_eq!(supabase.presentations(), [5]);
    }
}

#[tokio::test]
async fn a_session_goes_back_and_forth() {
    #[derive(Deserialize)]
    struct Jar {
        pairs: Vec<String>,
    }
    let supabase = start(RefreshTokenVersion::V2).await;
    let Some(result) = act(&supabase, "cookies", &[]).await else { return };
    let Jar { pairs } = serde_json::from_value(result).unwrap();

    // They signed in; we find the session, refresh it, and write it back.
    let cookies = SsrCookies::of_project(supabase.project_url()).unwrap();
    let request: HeaderMap =
        [(COOKIE, HeaderValue::from_str(&pairs.join("; ")).unwrap())].into_iter().collect();
    let session = cookies.read(&request).remove(0);
    let endpoint = SupabaseEndpoint::new(supabase.project_url(), KEY).unwrap();
    let old = session.refresh_token.unwrap();
    let new = endpoint.refresh(&old, OnBehalf::default()).await.unwrap();
    let lines = cookies.write(&request, &new, SystemTime::now());
    let pairs: Vec<_> =
        lines.iter().map(|line| line.to_str().unwrap().split(';').next().unwrap().to_owned()).collect();

    // They go on with what we wrote, and find nothing to change.
    let result = act(&supabase, "read", &pairs).await.unwrap();
    assert_eq!(result["email"], EMAIL);
    assert_eq!(result["refresh_token"], new.refresh_token.unwrap().expose());
    assert_eq!(serde_json::from_value::<Jar>(result).unwrap().pairs, pairs);
    assert_eq!(supabase.presentations(), [1]);
}
