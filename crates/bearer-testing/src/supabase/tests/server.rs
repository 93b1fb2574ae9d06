//! The server as a whole: its limit, its end, its `Debug`.

use tokio::{task, time};

use super::*;

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

#[tokio::test]
async fn too_many_requests_of_one_address_are_refused() {
    let supabase = project(SupabaseOptions::new().rate_limit()).await;
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
