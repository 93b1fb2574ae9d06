//! Refreshes that fail, hang or lose their answer.

use tokio::task;

use super::*;

#[tokio::test]
async fn failing_refresh_spends_nothing() {
    let supabase = project(SupabaseOptions::new().strict_single_use()).await;
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
    let supabase = project(SupabaseOptions::new().strict_single_use()).await;
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
async fn each_fault_of_the_script_befalls_one_refresh() {
    let supabase = project(SupabaseOptions::new().strict_single_use()).await;
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
