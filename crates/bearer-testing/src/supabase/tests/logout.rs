//! The ends of sessions.

use super::*;

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
async fn ended_session_cannot_be_refreshed() {
    let supabase = project(SupabaseOptions::default()).await;
    let session = supabase.sign_in(EMAIL);
    supabase.end_session(text(&claims(&supabase, text(&session, "access_token")), "session_id"));
    let answer = refresh(&supabase, text(&session, "refresh_token")).await;
    assert_eq!(outcome(&answer), (400, "refresh_token_not_found".to_owned()));
}
