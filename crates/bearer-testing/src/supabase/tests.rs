//! The server as a client sees it.

mod answers;
mod faults;
mod keys;
mod logout;
mod pkce;
mod rotation;
mod server;
mod sign_in;
mod tokens;
mod version_1;

use serde_json::json;

use super::*;
use crate::{
    client::{self, Answer},
    verify_compact,
};

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse";
const NEW_SHAPE: (&str, &str) = ("X-Supabase-Api-Version", "2024-01-01");

async fn project(options: SupabaseOptions) -> TestSupabase {
    let supabase = TestSupabase::start_with(options).await;
    supabase.add_user(EMAIL, PASSWORD);
    supabase
}

async fn post(supabase: &TestSupabase, path: &str, body: Value) -> Answer {
    let url = format!("{}/{path}", supabase.issuer());
    client::request("POST", &url, &[NEW_SHAPE], &body.to_string()).await
}

async fn log_in(supabase: &TestSupabase) -> Value {
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    let answer = post(supabase, "token?grant_type=password", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn refresh(supabase: &TestSupabase, token: &str) -> Answer {
    post(supabase, "token?grant_type=refresh_token", json!({ "refresh_token": token })).await
}

async fn user(supabase: &TestSupabase, access_token: &str) -> Answer {
    let authorization = format!("Bearer {access_token}");
    let headers = [NEW_SHAPE, ("Authorization", &authorization)];
    client::request("GET", &format!("{}/user", supabase.issuer()), &headers, "").await
}

async fn log_out(supabase: &TestSupabase, access_token: &str, query: &str) -> Answer {
    let authorization = format!("bearer {access_token}");
    let headers = [NEW_SHAPE, ("Authorization", &authorization)];
    client::request("POST", &format!("{}/logout{query}", supabase.issuer()), &headers, "").await
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// Status and code, `200` and `""` for success.
fn outcome(answer: &Answer) -> (u16, String) {
    let code = if answer.status < 300 { String::new() } else { text(&answer.json(), "code").to_owned() };
    (answer.status, code)
}

fn claims(supabase: &TestSupabase, token: &str) -> Value {
    verify_compact(&supabase.signing_key(), token).expect("signed by the current key")
}

fn names(object: &Value) -> Vec<&str> {
    let mut names: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Presents the refresh tokens of one session by their generation, oldest 0, and tells how each fared:
/// `"new"` for a fresh refresh token, `"same"` for the current one again, otherwise the error code.
async fn play(options: SupabaseOptions, generations: &[usize]) -> Vec<String> {
    let supabase = project(options).await;
    let mut tokens = vec![text(&log_in(&supabase).await, "refresh_token").to_owned()];
    let mut outcomes = Vec::new();
    for &generation in generations {
        let answer = refresh(&supabase, &tokens[generation]).await;
        let (status, code) = outcome(&answer);
        outcomes.push(if status == 200 {
            let token = text(&answer.json(), "refresh_token").to_owned();
            if tokens.contains(&token) {
                assert_eq!(tokens.last(), Some(&token), "only the current one is given out again");
                "same".to_owned()
            } else {
                tokens.push(token);
                "new".to_owned()
            }
        } else {
            code
        });
    }
    assert_eq!(supabase.refreshes(), generations.len());
    outcomes
}

fn version_1(options: SupabaseOptions) -> SupabaseOptions {
    options.refresh_tokens(RefreshTokenVersion::V1)
}
