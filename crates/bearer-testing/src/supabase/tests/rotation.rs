//! Refresh tokens rotate, and reuse is forgiven or ends the session.

use tokio::task;

use super::*;

#[tokio::test]
async fn refresh_tokens_rotate_and_reuse_is_detected() {
    const USED: &str = "refresh_token_already_used";
    const GONE: &str = "refresh_token_not_found";
    let default = SupabaseOptions::default();
    let hosted = default.reuse_interval(Duration::from_secs(600));
    let strict = hosted.strict_single_use();
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
    let supabase = project(SupabaseOptions::new().strict_single_use()).await;
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
