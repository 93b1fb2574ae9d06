//! Refresh tokens of version 1.

use super::*;

#[tokio::test]
async fn refresh_tokens_of_version_1_have_parents() {
    const USED: &str = "refresh_token_already_used";
    let default = version_1(SupabaseOptions::default());
    let hosted = default.reuse_interval(Duration::from_secs(600));
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
