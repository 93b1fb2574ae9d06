use serde_json::json;
use tokio::{task, time};

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

#[tokio::test]
async fn password_login_opens_a_session() {
    let supabase = project(SupabaseOptions::default()).await;
    let id = supabase.add_user(EMAIL, PASSWORD);
    assert_eq!(supabase.sessions_alive(), 0);
    let answer = log_in(&supabase).await;
    assert_eq!(
        names(&answer),
        ["access_token", "expires_at", "expires_in", "refresh_token", "token_type", "user"]
    );
    assert_eq!((text(&answer, "token_type"), &answer["expires_in"]), ("bearer", &json!(3600)));
    assert_eq!((&answer["user"]["id"], &answer["user"]["email"]), (&json!(id), &json!(EMAIL)));
    let claims = claims(&supabase, text(&answer, "access_token"));
    assert_eq!(claims["sub"], id);
    assert_eq!(claims["exp"], answer["expires_at"]);
    assert!(supabase.session_alive(text(&claims, "session_id")));
    assert_eq!(supabase.sessions_alive(), 1);
}

#[tokio::test]
async fn refused_logins() {
    let supabase = project(SupabaseOptions::default()).await;
    for (name, query, body, code) in [
        ("wrong password", "password", json!({ "email": EMAIL, "password": "" }), "invalid_credentials"),
        (
            "nobody",
            "password",
            json!({ "email": "eve@example.com", "password": PASSWORD }),
            "invalid_credentials",
        ),
        ("nothing", "password", json!({}), "invalid_credentials"),
        ("other grant", "web3", json!({}), "invalid_credentials"),
    ] {
        let answer = post(&supabase, &format!("token?grant_type={query}"), body).await;
        assert_eq!(outcome(&answer), (400, code.to_owned()), "{name}");
    }
    let url = format!("{}/token?grant_type=password", supabase.issuer());
    let answer = client::request("POST", &url, &[NEW_SHAPE], "{").await;
    assert_eq!(outcome(&answer), (400, "bad_json".to_owned()));
    assert_eq!((supabase.sessions_alive(), supabase.refreshes()), (0, 0));
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

#[tokio::test]
async fn refresh_tokens_rotate_and_reuse_is_detected() {
    const USED: &str = "refresh_token_already_used";
    const GONE: &str = "refresh_token_not_found";
    let default = SupabaseOptions::default();
    let hosted = SupabaseOptions { reuse_interval: Duration::from_secs(600), ..default };
    let strict = SupabaseOptions { strict_single_use: true, ..hosted };
    for (name, options, generations, expected) in [
        ("one after the other", default, &[0, 1, 2][..], &["new", "new", "new"][..]),
        ("the parent again and again", default, &[0, 0, 0, 1, 1], &["new", "same", "same", "new", "same"]),
        ("a grandparent", default, &[0, 1, 0, 2, 0], &["new", "new", USED, GONE, GONE]),
        ("a grandparent in time", hosted, &[0, 1, 0, 2, 0], &["new", "new", "same", "new", "same"]),
        ("strict, in order", strict, &[0, 1, 2], &["new", "new", "new"]),
        ("strict, any reuse", strict, &[0, 0, 1], &["new", USED, GONE]),
    ] {
        assert_eq!(play(options, generations).await, expected, "{name}");
    }
}

#[tokio::test]
async fn forgiven_reuse_gets_a_new_access_token_of_the_same_session() {
    let supabase = project(SupabaseOptions::default()).await;
    let login = log_in(&supabase).await;
    let first = refresh(&supabase, text(&login, "refresh_token")).await.json();
    let again = refresh(&supabase, text(&login, "refresh_token")).await.json();
    assert_eq!(first["refresh_token"], again["refresh_token"]);
    assert_ne!(first["access_token"], again["access_token"]);
    let session = |answer: &Value| claims(&supabase, text(answer, "access_token"))["session_id"].clone();
    assert_eq!(session(&login), session(&again));
}

#[tokio::test]
async fn reuse_kills_the_session_for_access_tokens_too() {
    let supabase = project(SupabaseOptions { strict_single_use: true, ..SupabaseOptions::default() }).await;
    let login = log_in(&supabase).await;
    let second = refresh(&supabase, text(&login, "refresh_token")).await.json();
    assert_eq!(user(&supabase, text(&second, "access_token")).await.status, 200);

    let spent = refresh(&supabase, text(&login, "refresh_token")).await;
    assert_eq!(outcome(&spent), (400, "refresh_token_already_used".to_owned()));
    assert_eq!(spent.headers["sb-auth-refresh-token-rotated"], "true");
    assert_eq!(supabase.sessions_alive(), 0);
    let refused = user(&supabase, text(&second, "access_token")).await;
    assert_eq!(outcome(&refused), (403, "session_not_found".to_owned()));
}

#[tokio::test]
async fn parallel_exchanges_of_one_token_end_in_one_new_token() {
    let supabase = project(SupabaseOptions::default()).await;
    let token = text(&log_in(&supabase).await, "refresh_token").to_owned();
    supabase.hold_refresh();
    let requests: Vec<_> = (0..5)
        .map(|_| {
            let (supabase, token) = (supabase.clone(), token.clone());
            task::spawn(async move { refresh(&supabase, &token).await.json() })
        })
        .collect();
    while supabase.refreshes() < 5 {
        task::yield_now().await;
    }
    supabase.recover();
    let mut tokens = Vec::new();
    for request in requests {
        tokens.push(text(&request.await.unwrap(), "refresh_token").to_owned());
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert_ne!(tokens[0], token);
}

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
async fn failing_refresh_spends_nothing() {
    let supabase = project(SupabaseOptions { strict_single_use: true, ..SupabaseOptions::default() }).await;
    let token = text(&log_in(&supabase).await, "refresh_token").to_owned();
    for (status, code) in [
        (409, "conflict"),
        (429, "over_request_rate_limit"),
        (500, "unexpected_failure"),
        (504, "request_timeout"),
    ] {
        supabase.fail_refresh_with(status);
        assert_eq!(outcome(&refresh(&supabase, &token).await), (status, code.to_owned()));
    }
    supabase.recover();
    assert_eq!(refresh(&supabase, &token).await.status, 200);
}

#[tokio::test]
async fn client_that_gives_up_a_delayed_refresh_has_spent_its_token() {
    let supabase = project(SupabaseOptions { strict_single_use: true, ..SupabaseOptions::default() }).await;
    let token = text(&log_in(&supabase).await, "refresh_token").to_owned();
    supabase.delay_refresh(Duration::from_secs(3600));
    let lost = task::spawn({
        let (supabase, token) = (supabase.clone(), token.clone());
        async move { refresh(&supabase, &token).await }
    });
    while supabase.refreshes() == 0 {
        task::yield_now().await;
    }
    lost.abort();
    supabase.recover();
    assert_eq!(outcome(&refresh(&supabase, &token).await), (400, "refresh_token_already_used".to_owned()));
}

#[tokio::test]
async fn logout_ends_sessions_and_leaves_access_tokens() {
    let supabase = project(SupabaseOptions::default()).await;
    let (this, other) = (log_in(&supabase).await, log_in(&supabase).await);
    let token = text(&this, "access_token");

    assert_eq!(
        outcome(&log_out(&supabase, token, "?scope=all").await),
        (400, "validation_failed".to_owned())
    );
    assert_eq!(log_out(&supabase, token, "?scope=others").await.status, 204);
    let gone = refresh(&supabase, text(&other, "refresh_token")).await;
    assert_eq!(outcome(&gone), (400, "refresh_token_not_found".to_owned()));
    assert_eq!(user(&supabase, token).await.status, 200);

    assert_eq!(log_out(&supabase, token, "").await.status, 204);
    assert_eq!(supabase.sessions_alive(), 0);
    assert!(verify_compact(&supabase.signing_key(), token).is_some());
    assert_eq!(outcome(&log_out(&supabase, token, "").await), (403, "session_not_found".to_owned()));
}

#[tokio::test]
async fn user_is_shown_to_a_good_access_token_only() {
    let supabase = project(SupabaseOptions::default()).await;
    let id = supabase.add_user(EMAIL, PASSWORD);
    let session = supabase.sign_in(EMAIL);
    let claims = claims(&supabase, text(&session, "access_token"));
    assert_eq!(user(&supabase, text(&session, "access_token")).await.json()["id"], id);
    let legacy = supabase.legacy_token().claims(claims.clone()).sign();
    assert_eq!(user(&supabase, &legacy).await.json()["email"], EMAIL);

    let good = || supabase.token().claims(claims.clone());
    for (name, token, expected) in [
        ("expired", good().expired().sign(), (403, "bad_jwt")),
        ("no exp", good().without("exp").sign(), (403, "bad_jwt")),
        ("no sub", good().without("sub").sign(), (403, "bad_jwt")),
        ("tampered", good().tampered(), (403, "bad_jwt")),
        ("unsigned", good().unsigned(), (403, "bad_jwt")),
        ("anon key", supabase.anon_key(), (403, "bad_jwt")),
        ("no such user", supabase.token().sign(), (403, "user_not_found")),
        ("no such session", good().claim("session_id", "x").sign(), (403, "session_not_found")),
        ("no token", String::new(), (401, "no_authorization")),
    ] {
        let answer = user(&supabase, &token).await;
        assert_eq!(outcome(&answer), (expected.0, expected.1.to_owned()), "{name}");
    }
    supabase.rotate();
    assert_eq!(user(&supabase, text(&session, "access_token")).await.status, 200, "the old key is published");
    supabase.remove("key-1");
    let revoked = user(&supabase, text(&session, "access_token")).await;
    assert_eq!(outcome(&revoked), (403, "bad_jwt".to_owned()));
}

#[tokio::test]
async fn ended_session_cannot_be_refreshed() {
    let supabase = project(SupabaseOptions::default()).await;
    let session = supabase.sign_in(EMAIL);
    supabase.end_session(text(&claims(&supabase, text(&session, "access_token")), "session_id"));
    let answer = refresh(&supabase, text(&session, "refresh_token")).await;
    assert_eq!(outcome(&answer), (400, "refresh_token_not_found".to_owned()));
}

#[tokio::test]
async fn keys_are_served_cacheable_and_rotate() {
    let supabase = TestSupabase::start().await;
    let first = supabase.signing_key();
    let second = supabase.rotate();
    let answer = client::get(&supabase.jwks_uri()).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "public, max-age=600");
    assert_eq!(answer.json(), json!({ "keys": [first.public_jwk(), second.public_jwk()] }));
    supabase.remove("key-1");
    supabase.remove("key-2");
    assert_eq!(client::get(&supabase.jwks_uri()).await.json(), json!({ "keys": [] }));
    supabase.fail_with(500);
    assert_eq!(client::get(&supabase.jwks_uri()).await.status, 500);
    assert_eq!((supabase.jwks_requests(), supabase.requests()), (3, 3));
}

#[tokio::test]
async fn discovery_names_issuer_and_keys() {
    let supabase = TestSupabase::start().await;
    assert_eq!(supabase.issuer(), format!("{}/auth/v1", supabase.project_url()));
    let url = format!("{}/.well-known/openid-configuration", supabase.issuer());
    let answer = client::get(&url).await;
    assert_eq!(answer.headers["cache-control"], "public, max-age=600");
    assert_eq!(answer.json()["issuer"], supabase.issuer());
    assert_eq!(answer.json()["jwks_uri"], supabase.jwks_uri());
}

#[tokio::test]
async fn access_token_has_the_claims_of_gotrue() {
    let supabase = TestSupabase::start().await;
    let mut claims = claims(&supabase, &supabase.token().sign());
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    let signed_in_at = claims["amr"][0]["timestamp"].as_i64().unwrap();
    let (sub, session) = (text(&claims, "sub").to_owned(), text(&claims, "session_id").to_owned());
    claims.as_object_mut().unwrap().retain(|name, _| name != "iat" && name != "exp");
    let expected = json!({
        "iss": supabase.issuer(),
        "sub": sub,
        "aud": "authenticated",
        "email": "test-user@example.com",
        "phone": "",
        "app_metadata": { "provider": "email", "providers": ["email"] },
        "user_metadata": {
            "sub": sub, "email": "test-user@example.com", "email_verified": true, "phone_verified": false,
        },
        "role": "authenticated",
        "aal": "aal1",
        "amr": [{ "method": "password", "timestamp": signed_in_at }],
        "session_id": session,
        "is_anonymous": false,
    });
    assert_eq!(claims, expected);
}

#[tokio::test]
async fn id_token_differs_from_an_access_token_by_its_claims_only() {
    let supabase = TestSupabase::start().await;
    let (id_token, access_token) = (supabase.id_token(), supabase.token());
    assert_eq!(id_token.header_json(), access_token.header_json());
    let claims = claims(&supabase, &id_token.sign());
    assert_eq!(
        names(&claims),
        ["aud", "auth_time", "email", "email_verified", "exp", "iat", "iss", "nonce", "sub"]
    );
    assert_eq!(text(&claims, "aud").len(), 36);
}

#[tokio::test]
async fn legacy_keys_are_nobodys() {
    let supabase = TestSupabase::start().await;
    assert!(supabase.legacy_secret().len() >= 32);
    let secret = SigningKey::hmac(crate::Algorithm::HS256, supabase.legacy_secret().as_bytes());
    for (key, role) in [(supabase.anon_key(), "anon"), (supabase.service_role_key(), "service_role")] {
        let claims = verify_compact(&secret, &key).unwrap();
        assert_eq!(names(&claims), ["exp", "iat", "iss", "ref", "role"]);
        assert_eq!((text(&claims, "iss"), text(&claims, "role")), ("supabase", role));
    }
}

#[tokio::test]
async fn legacy_token_is_signed_by_the_secret_under_a_standard_base64_kid() {
    let supabase = TestSupabase::start().await;
    let token = supabase.legacy_token();
    let secret = SigningKey::hmac(crate::Algorithm::HS256, supabase.legacy_secret().as_bytes());
    assert_eq!(verify_compact(&secret, &token.sign()).unwrap()["role"], "authenticated");
    let header: Value = serde_json::from_str(&token.header_json()).unwrap();
    assert_eq!(text(&header, "alg"), "HS256");
    assert!(text(&header, "kid").contains('+') && text(&header, "kid").contains('/'));
}

#[tokio::test]
async fn lifetime_of_access_tokens_may_be_negative() {
    let supabase =
        project(SupabaseOptions { access_token_expires_in: -10, ..SupabaseOptions::default() }).await;
    let answer = log_in(&supabase).await;
    assert_eq!(answer["expires_in"], -10);
    let expired = user(&supabase, text(&answer, "access_token")).await;
    assert_eq!(outcome(&expired), (403, "bad_jwt".to_owned()));
    supabase.set_access_token_expires_in(60);
    let answer = refresh(&supabase, text(&answer, "refresh_token")).await.json();
    assert_eq!(user(&supabase, text(&answer, "access_token")).await.status, 200);
}

#[tokio::test]
async fn server_ends_with_the_last_clone() {
    let supabase = TestSupabase::start().await;
    let address = client::address(supabase.project_url()).to_owned();
    drop(supabase.clone());
    client::get(&supabase.jwks_uri()).await;
    drop(supabase);
    let refused = async {
        while tokio::net::TcpStream::connect(&address).await.is_ok() {
            task::yield_now().await;
        }
    };
    time::timeout(Duration::from_secs(5), refused).await.unwrap();
}

#[tokio::test]
async fn debug_shows_the_url_and_no_secret() {
    let supabase = project(SupabaseOptions::default()).await;
    let debug = format!("{supabase:?}");
    assert_eq!(debug, format!("TestSupabase {{ project_url: {:?}, .. }}", supabase.project_url()));
}

fn version_1(options: SupabaseOptions) -> SupabaseOptions {
    SupabaseOptions { refresh_tokens: RefreshTokenVersion::V1, ..options }
}

#[tokio::test]
async fn refresh_tokens_of_version_1_have_parents() {
    const USED: &str = "refresh_token_already_used";
    let default = version_1(SupabaseOptions::default());
    let hosted = SupabaseOptions { reuse_interval: Duration::from_secs(600), ..default };
    for (name, options, generations, expected) in [
        ("one after the other", default, &[0, 1, 2][..], &["new", "new", "new"][..]),
        ("the parent again and again", default, &[0, 0, 0, 1, 1], &["new", "same", "same", "new", "same"]),
        (
            "a grandparent: the family is revoked",
            default,
            &[0, 1, 0, 2, 0],
            &["new", "new", USED, USED, USED],
        ),
        ("a grandparent in time has a child", hosted, &[0, 1, 0, 3], &["new", "new", "new", "new"]),
    ] {
        assert_eq!(play(options, generations).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_revoked_family_of_version_1_leaves_the_session() {
    let supabase = project(version_1(SupabaseOptions::default())).await;
    let login = log_in(&supabase).await;
    let first = text(&login, "refresh_token");
    assert!(
        first.len() == 12 && first.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    );
    let second = refresh(&supabase, first).await.json();
    let _third = refresh(&supabase, text(&second, "refresh_token")).await.json();
    let spent = refresh(&supabase, first).await;
    assert_eq!(outcome(&spent), (400, "refresh_token_already_used".to_owned()));
    assert!(!spent.headers.contains_key("sb-auth-refresh-token-rotated"));
    assert_eq!(supabase.sessions_alive(), 1);
    assert_eq!(user(&supabase, text(&login, "access_token")).await.status, 200);
    assert_eq!(
        outcome(&refresh(&supabase, "ABCDEFGHIJKL").await),
        (400, "validation_failed".to_owned()),
        "not of its form"
    );
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

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Where a sign-in at a provider leads.
async fn authorize(supabase: &TestSupabase, parameters: &[(&str, &str)]) -> Answer {
    let url = crate::query::with_query(&format!("{}/authorize", supabase.issuer()), parameters);
    client::request("GET", &url, &[NEW_SHAPE], "").await
}

#[tokio::test]
async fn a_sign_in_with_pkce_comes_back_with_a_code_that_is_good_once() {
    let supabase = project(SupabaseOptions::default()).await;
    let back = ("redirect_to", "http://localhost/back?state=s");
    let challenge = [("code_challenge", CHALLENGE), ("code_challenge_method", "s256")];
    let parameters = [&[("provider", "github"), back][..], &challenge].concat();
    let code = async || {
        let answer = authorize(&supabase, &parameters).await;
        assert_eq!(answer.status, 302);
        let location = &answer.headers["location"];
        location.strip_prefix("http://localhost/back?state=s&code=").expect("back again").to_owned()
    };
    let exchange = async |code: &str, verifier: &str| {
        let body = json!({ "auth_code": code, "code_verifier": verifier });
        post(&supabase, "token?grant_type=pkce", body).await
    };
    let good = code().await;
    let session = exchange(&good, VERIFIER).await.json();
    assert_eq!(session["user"]["email"], EMAIL);
    assert_eq!(outcome(&exchange(&good, VERIFIER).await), (404, "flow_state_not_found".to_owned()));
    let stolen = code().await;
    assert_eq!(outcome(&exchange(&stolen, CHALLENGE).await), (400, "bad_code_verifier".to_owned()));
    assert_eq!(supabase.sessions_alive(), 1);

    for without in [0, 1, 2] {
        let mut parameters = parameters.clone();
        parameters.remove(without);
        let answer = authorize(&supabase, &parameters).await;
        assert_eq!(outcome(&answer), (400, "validation_failed".to_owned()), "{without}");
    }
    let nobody = [&parameters[..], &[("login_hint", "eve@example.com")]].concat();
    let answer = authorize(&supabase, &nobody).await;
    assert!(answer.headers["location"].contains("&error=access_denied&"), "{answer:?}");
}

#[tokio::test]
async fn each_fault_of_the_script_befalls_one_refresh() {
    let supabase = project(SupabaseOptions { strict_single_use: true, ..SupabaseOptions::default() }).await;
    let mut token = text(&log_in(&supabase).await, "refresh_token").to_owned();
    for (fault, status) in [
        (TokenFault::Conflict, 409),
        (TokenFault::TooManyRequests(Some(7)), 429),
        (TokenFault::Unavailable(Some(7)), 503),
        (TokenFault::Unavailable(None), 503),
        (TokenFault::BadGateway, 502),
    ] {
        supabase.script_refreshes([fault]);
        let answer = refresh(&supabase, &token).await;
        assert_eq!(answer.status, status);
        let waits = matches!(fault, TokenFault::TooManyRequests(_) | TokenFault::Unavailable(Some(_)));
        assert_eq!(answer.headers.get("retry-after").map(String::as_str), waits.then_some("7"), "{fault:?}");
        // Nothing was spent, and nothing befalls the next one.
        token = text(&refresh(&supabase, &token).await.json(), "refresh_token").to_owned();
    }
    supabase.script_refreshes([TokenFault::None, TokenFault::GarbageAfterCommit]);
    let next = text(&refresh(&supabase, &token).await.json(), "refresh_token").to_owned();
    assert_eq!(refresh(&supabase, &next).await.body, r#"{"access_token":"eyJ"#);
    assert_eq!(outcome(&refresh(&supabase, &next).await), (400, "refresh_token_already_used".to_owned()));

    for fault in [TokenFault::TimeoutAfterCommit, TokenFault::Slow(Duration::from_millis(1))] {
        let token = text(&log_in(&supabase).await, "refresh_token").to_owned();
        supabase.script_refreshes([fault]);
        refresh(&supabase, &token).await;
        assert_eq!(
            outcome(&refresh(&supabase, &token).await),
            (400, "refresh_token_already_used".to_owned()),
            "{fault:?}"
        );
    }
    let token = text(&log_in(&supabase).await, "refresh_token").to_owned();
    supabase.script_refreshes([TokenFault::SessionKilled]);
    assert_eq!(outcome(&refresh(&supabase, &token).await), (400, "refresh_token_not_found".to_owned()));
    assert_eq!(supabase.presentations_of(&token), 1);
    supabase.script_refreshes([TokenFault::Conflict]);
    supabase.recover();
    assert_eq!(refresh(&supabase, "long-enough-but-never-issued").await.status, 400, "not 409");
}

#[tokio::test]
async fn presentations_are_counted_for_each_token() {
    let supabase = project(SupabaseOptions::default()).await;
    let first = text(&log_in(&supabase).await, "refresh_token").to_owned();
    let second = text(&refresh(&supabase, &first).await.json(), "refresh_token").to_owned();
    for token in [&second, &first, "x"] {
        refresh(&supabase, token).await;
    }
    assert_eq!(supabase.presentations(), [2, 1, 1]);
    assert_eq!(supabase.presentations_of(&first), 2);
    assert_eq!(supabase.presentations_of("never"), 0);
}

#[tokio::test]
async fn too_many_requests_of_one_address_are_refused() {
    let supabase = project(SupabaseOptions { rate_limit: true, ..SupabaseOptions::default() }).await;
    let from = async |key: &str| {
        let url = format!("{}/token?grant_type=refresh_token", supabase.issuer());
        let headers = [NEW_SHAPE, ("apikey", key), ("Sb-Forwarded-For", "192.0.2.1")];
        client::request("POST", &url, &headers, r#"{"refresh_token":"x"}"#).await.status
    };
    for _ in 0..30 {
        assert_eq!(from("sb_publishable_1").await, 400);
    }
    assert_eq!(from("sb_publishable_1").await, 429);
    assert_eq!(from("sb_secret_1").await, 400, "another address");
}

#[tokio::test]
async fn every_token_that_was_given_out_is_told() {
    let supabase = project(SupabaseOptions::default()).await;
    let first = log_in(&supabase).await;
    let second = refresh(&supabase, text(&first, "refresh_token")).await.json();
    let third = supabase.sign_in(EMAIL);
    assert_eq!(refresh(&supabase, "unknown").await.status, 400);
    let given =
        [&first, &second, &third].map(|answer| [text(answer, "access_token"), text(answer, "refresh_token")]);
    assert_eq!(supabase.issued_tokens(), given.as_flattened());
}
