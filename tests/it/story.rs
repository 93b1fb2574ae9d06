//! The story this project exists for: parallel requests with an expired access token, behind a backend that only
//! verifies. The client, the one owner of its refresh token, refreshes once, and the session lives.

use crate::support::serve;
use axum::{Router, http::StatusCode, routing::get};
use axum_bearer::{AuthUser, BearerLayer, Connect, Issuer};
use bearer_testing::TestSupabase;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// What a frontend keeps: its tokens, and nobody else has them.
struct Client {
    http: reqwest::Client,
    auth: String,
    access_token: String,
    refresh_token: String,
}

impl Client {
    async fn sign_in(supabase: &TestSupabase) -> Self {
        let (http, auth) = (reqwest::Client::new(), format!("{}/auth/v1", supabase.project_url()));
        let credentials = json!({ "email": "ada@example.com", "password": "correct horse" });
        let session = token_request(&http, &auth, "password", &credentials).await;
        Self {
            http,
            auth,
            access_token: text(&session, "access_token"),
            refresh_token: text(&session, "refresh_token"),
        }
    }

    async fn refresh(&mut self) {
        let body = json!({ "refresh_token": self.refresh_token });
        let session = token_request(&self.http, &self.auth, "refresh_token", &body).await;
        (self.access_token, self.refresh_token) =
            (text(&session, "access_token"), text(&session, "refresh_token"));
    }

    /// Fifty calls at once, as a page with many widgets makes them.
    async fn fifty_calls(&self, url: &str) -> Vec<(StatusCode, String)> {
        let calls: JoinSet<_> = (0..50)
            .map(|_| {
                let call = self.http.get(url).bearer_auth(&self.access_token).send();
                async move {
                    let answer = call.await.unwrap();
                    let challenge = answer.headers().get("www-authenticate").cloned();
                    (
                        answer.status(),
                        challenge.map_or(String::new(), |value| value.to_str().unwrap().to_owned()),
                    )
                }
            })
            .collect();
        calls.join_all().await
    }
}

async fn token_request(http: &reqwest::Client, auth: &str, grant: &str, body: &Value) -> Value {
    let answer = http
        .post(format!("{auth}/token?grant_type={grant}"))
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200, "{grant}");
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

fn text(session: &Value, member: &str) -> String {
    session[member].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn fifty_parallel_calls_with_an_expired_token_cost_one_refresh_and_the_session_lives() {
    let supabase = TestSupabase::start().await;
    supabase.add_user("ada@example.com", "correct horse");
    let verifier = Issuer::supabase(supabase.project_url()).unwrap().connect().await.unwrap();
    let me = async |user: AuthUser| user.email.clone().unwrap_or_default();
    let app = Router::new().route("/me", get(me)).layer(BearerLayer::new(verifier));
    let url = format!("{}/me", serve(app).await);

    supabase.set_access_token_expires_in(-3600);
    let mut client = Client::sign_in(&supabase).await;
    supabase.set_access_token_expires_in(3600);
    let before = supabase.requests();

    for (status, challenge) in client.fifty_calls(&url).await {
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(
            challenge.contains(r#"error="invalid_token""#) && challenge.contains("the access token expired")
        );
    }
    assert_eq!(supabase.requests(), before, "the gate asked the issuer for nothing");
    assert_eq!(supabase.refreshes(), 0, "least of all for a refresh");

    client.refresh().await;
    for (status, _) in client.fifty_calls(&url).await {
        assert_eq!(status, StatusCode::OK);
    }
    assert_eq!((supabase.refreshes(), supabase.sessions_alive()), (1, 1));
}
