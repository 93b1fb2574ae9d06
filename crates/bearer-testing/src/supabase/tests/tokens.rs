//! What is in the tokens that are given out.

use super::*;

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
async fn claims_of_a_user_are_in_the_tokens_from_the_next_refresh_on() {
    let supabase = project(SupabaseOptions::default()).await;
    supabase.add_user("eve@example.com", PASSWORD);
    let first = log_in(&supabase).await;
    let metadata = json!({ "provider": "email", "roles": ["admin"] });
    supabase.set_claims("Ada@example.com", json!({ "aal": "aal2", "app_metadata": metadata }));
    let second = refresh(&supabase, text(&first, "refresh_token")).await.json();
    let shown = user(&supabase, text(&second, "access_token")).await.json();
    assert_eq!((&shown["app_metadata"], &second["user"]), (&metadata, &shown));

    let claims = |answer: &Value| claims(&supabase, text(answer, "access_token"));
    assert_eq!((text(&claims(&first), "aal"), text(&claims(&second), "aal")), ("aal1", "aal2"));
    assert_eq!(claims(&second)["app_metadata"], metadata);
    assert_eq!(names(&claims(&first)), names(&claims(&second)));
    assert_eq!(text(&claims(&supabase.sign_in("eve@example.com")), "aal"), "aal1");

    supabase.add_user(EMAIL, "another password");
    assert_eq!(text(&claims(&supabase.sign_in(EMAIL)), "aal"), "aal2", "the user is the same");
    supabase.set_claims(EMAIL, json!({}));
    assert_eq!(text(&claims(&supabase.sign_in(EMAIL)), "aal"), "aal1", "those before are forgotten");
}

#[tokio::test]
#[should_panic(expected = "claims are a JSON object, not [1]")]
async fn claims_of_a_user_are_an_object() {
    project(SupabaseOptions::default()).await.set_claims(EMAIL, json!([1]));
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
async fn lifetime_of_access_tokens_may_be_negative() {
    let supabase = project(SupabaseOptions::new().access_token_expires_in(-10)).await;
    let answer = log_in(&supabase).await;
    assert_eq!(answer["expires_in"], -10);
    let expired = user(&supabase, text(&answer, "access_token")).await;
    assert_eq!(outcome(&expired), (403, "bad_jwt".to_owned()));
    supabase.set_access_token_expires_in(60);
    let answer = refresh(&supabase, text(&answer, "refresh_token")).await.json();
    assert_eq!(user(&supabase, text(&answer, "access_token")).await.status, 200);
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
