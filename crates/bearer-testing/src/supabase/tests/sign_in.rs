//! Signing in with a password, and who is shown at `/user`.

use super::*;

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
