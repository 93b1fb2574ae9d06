//! Runs the site beside a small Supabase Auth, and says where it is.

use bearer_testing::TestSupabase;
use std::error::Error;
use tokio::net::TcpListener;

const PARTNER: &str = "https://partner.example";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let supabase = TestSupabase::start().await;
    supabase.add_user("ada@example.com", "correct horse");
    let site = web_pages::site(supabase.project_url(), PARTNER).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;

    let url = format!("http://{}", listener.local_addr()?);
    println!("{url}\n\nada@example.com has the password: correct horse\n");
    println!("# what a script of {PARTNER} is answered without a token: 401, which it may read");
    println!("curl -i {url}/api/notes -H 'Origin: {PARTNER}'\n\nCtrl-C ends.");
    tokio::select! {
        ended = async { axum::serve(listener, site).await } => ended?,
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    Ok(())
}
