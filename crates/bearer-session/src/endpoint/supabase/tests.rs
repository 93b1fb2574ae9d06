//! The endpoint against a small Supabase Auth.

use super::*;
use crate::endpoint::{PkceVerifier, SignOutScope};
use bearer_testing::{ScriptedJwks, Step, Stop, SupabaseOptions, TestSupabase, TokenFault};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio::net::TcpListener;

const EMAIL: &str = "ada@example.com";
const NOBODY: OnBehalf = OnBehalf::client(None);

async fn start(options: SupabaseOptions) -> (TestSupabase, SupabaseEndpoint) {
    let supabase = TestSupabase::start_with(options).await;
    supabase.add_user(EMAIL, "correct horse");
    let endpoint = SupabaseEndpoint::new(supabase.project_url(), "sb_publishable_1").expect("a project");
    (supabase, endpoint)
}

/// A new session: its refresh token and its access token.
fn session(supabase: &TestSupabase) -> (RefreshToken, AccessToken) {
    let session = supabase.sign_in(EMAIL);
    let text = |name: &str| session[name].as_str().expect("text").to_owned();
    (RefreshToken::new(text("refresh_token")), AccessToken::new(text("access_token")))
}

#[tokio::test]
async fn a_refresh_gives_the_next_pair_and_the_whole_answer() {
    let (supabase, endpoint) = start(SupabaseOptions::default()).await;
    let (first, _) = session(&supabase);
    let tokens = endpoint.refresh(&first, NOBODY).await.expect("tokens");
    assert_eq!(tokens.expires_in, Duration::from_secs(3600));
    assert_ne!(tokens.refresh_token, Some(first));
    let document = tokens.document.expect("a document");
    let document: serde_json::Value = serde_json::from_str(document.expose()).expect("JSON");
    assert_eq!(document["user"]["email"], EMAIL);
    assert_eq!(document["access_token"], tokens.access_token.expose());
}

#[tokio::test]
async fn every_fault_has_its_outcome() {
    use Outcome::{Final, NotSpent, Unknown};
    let (supabase, endpoint) = start(SupabaseOptions::default()).await;
    for (fault, outcome, code, retry_after) in [
        (TokenFault::Conflict, NotSpent, Some("conflict"), None),
        (TokenFault::TooManyRequests(Some(7)), NotSpent, Some("over_request_rate_limit"), Some(7)),
        (TokenFault::TooManyRequests(None), NotSpent, Some("over_request_rate_limit"), None),
        (TokenFault::Unavailable(Some(3)), NotSpent, Some("unexpected_failure"), Some(3)),
        (TokenFault::Unavailable(None), Unknown, Some("unexpected_failure"), None),
        (TokenFault::BadGateway, Unknown, None, None),
        (TokenFault::TimeoutAfterCommit, Unknown, Some("request_timeout"), None),
        (TokenFault::ResetAfterCommit, Unknown, None, None),
        (TokenFault::ResetBeforeCommit, Unknown, None, None),
        (TokenFault::GarbageAfterCommit, Unknown, None, None),
        (TokenFault::SessionKilled, Final, Some("refresh_token_not_found"), None),
    ] {
        let (token, _) = session(&supabase);
        supabase.script_refreshes([fault]);
        let error = endpoint.refresh(&token, NOBODY).await.expect_err("a fault");
        assert_eq!(error.outcome(), outcome, "{fault:?}");
        assert_eq!(error.code(), code, "{fault:?}");
        assert_eq!(error.retry_after().map(|time| time.as_secs()), retry_after, "{fault:?}");
        assert_eq!(supabase.presentations_of(token.expose()), 1, "{fault:?}: nothing is sent twice");
        let printed = format!("{error} {error:?}");
        assert!(!printed.contains(token.expose()) && !printed.contains("eyJ"), "{printed}");
        if outcome != Final {
            let tokens = endpoint.refresh(&token, NOBODY).await.expect("it may be presented again");
            assert_ne!(tokens.refresh_token, Some(token), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_lost() {
    let supabase = TestSupabase::start().await;
    supabase.add_user(EMAIL, "correct horse");
    let hasty = Client::builder().timeout(Duration::from_millis(50));
    let endpoint = SupabaseEndpoint::with_client(supabase.project_url(), "k", hasty).expect("a project");
    let (token, _) = session(&supabase);
    supabase.script_refreshes([TokenFault::Slow(Duration::from_secs(60))]);
    let error = endpoint.refresh(&token, NOBODY).await.expect_err("too late");
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn where_nobody_listens_nothing_is_spent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let endpoint = SupabaseEndpoint::new(&url, "k").expect("a project");
    let error = endpoint.refresh(&RefreshToken::new("a-refresh-token"), NOBODY).await.expect_err("nobody");
    assert_eq!(error.outcome(), Outcome::NotSpent);
}

#[tokio::test]
async fn no_redirect_carries_a_token_elsewhere() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (supabase, _) = start(SupabaseOptions::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let elsewhere = format!("{}/token?grant_type=refresh_token", supabase.issuer());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a request");
        let _ = stream.read(&mut [0; 4096]).await;
        let answer = format!("HTTP/1.1 307 Go\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.expect("an answer");
    });
    // Even with a client that was set up to follow.
    let follows = Client::builder().redirect(reqwest::redirect::Policy::limited(10));
    let endpoint = SupabaseEndpoint::with_client(&url, "k", follows).expect("a project");
    let error = endpoint.refresh(&session(&supabase).0, NOBODY).await.expect_err("elsewhere");
    assert_eq!(
        (error.outcome(), error.status()),
        (Outcome::NotSpent, Some(http::StatusCode::TEMPORARY_REDIRECT))
    );
    assert_eq!(supabase.refreshes(), 0);
}

#[tokio::test]
async fn passwords_good_and_bad() {
    let (_supabase, endpoint) = start(SupabaseOptions::default()).await;
    let (good, bad) = (Secret::new("correct horse"), Secret::new("a guess"));
    assert!(endpoint.password(EMAIL, &good, NOBODY).await.expect("tokens").refresh_token.is_some());
    let error = endpoint.password(EMAIL, &bad, NOBODY).await.expect_err("a guess");
    assert_eq!((error.outcome(), error.code()), (Outcome::Final, Some("invalid_credentials")));
}

/// Follows the authorization URL; returns the query of where it leads.
async fn sent_back(url: &str) -> Vec<(String, String)> {
    let client = http_client::build(Client::builder()).expect("a client");
    let answer = client.get(url).send().await.expect("an answer");
    let location = answer.headers()["location"].to_str().expect("text");
    assert!(location.starts_with("http://localhost:3000/auth/callback?next=%2Fhome&"), "{location}");
    Url::parse(location).expect("a URL").query_pairs().into_owned().collect()
}

#[tokio::test]
async fn a_sign_in_comes_back_with_its_state_and_a_code_for_its_verifier_alone() {
    let (supabase, endpoint) = start(SupabaseOptions::default()).await;
    let pkce = PkceVerifier::generate();
    let challenge = pkce.challenge();
    let back = "http://localhost:3000/auth/callback?next=%2Fhome";
    let request = SignInRequest::new(back, "the state&", &challenge, "nonce");
    assert_eq!(endpoint.authorization_url(&request), None, "without a provider");
    let url = endpoint.authorization_url(&request.provider("github").scope("repo")).expect("a URL");
    assert_eq!(
        endpoint.clone().provider("github").authorization_url(&request.scope("repo")),
        Some(url.clone())
    );
    assert!(url.contains("scopes=repo"));
    let more =
        [("login_hint", "ada@example.com"), ("redirect_to", "https://evil.example"), ("provider", "x")];
    let with_more = endpoint.authorization_url(&request.provider("github").scope("repo").parameters(&more));
    assert_eq!(with_more, Some(format!("{url}&login_hint=ada%40example.com")));

    let code = async || {
        let query = sent_back(&url).await;
        let of = |wanted: &str| query.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        assert_eq!(of("state").as_deref(), Some("the state&"));
        of("code").expect("a code")
    };
    let good = code().await;
    let tokens = endpoint.exchange_code(CodeExchange::new(&good, &pkce, back, "nonce"), NOBODY).await;
    assert!(tokens.expect("tokens").refresh_token.is_some());
    let stolen = code().await;
    let other = PkceVerifier::generate();
    for (code, verifier, expected) in
        [(&good, &pkce, "flow_state_not_found"), (&stolen, &other, "bad_code_verifier")]
    {
        let error = endpoint.exchange_code(CodeExchange::new(code, verifier, back, "nonce"), NOBODY).await;
        let error = error.expect_err(expected);
        assert_eq!((error.outcome(), error.code()), (Outcome::Final, Some(expected)));
    }
    assert_eq!(supabase.sessions_alive(), 1);
}

#[tokio::test]
async fn a_sign_out_ends_the_sessions_of_its_scope() {
    let (supabase, endpoint) = start(SupabaseOptions::default()).await;
    for (scope, left) in [(SignOutScope::Local, 2), (SignOutScope::Others, 1), (SignOutScope::Global, 0)] {
        let (_, this) = session(&supabase);
        let _others = (session(&supabase), session(&supabase));
        let before = supabase.sessions_alive();
        endpoint.sign_out(&this, None, scope, NOBODY).await.expect("signed out");
        let expected = if scope == SignOutScope::Local { before - 1 } else { left };
        assert_eq!(supabase.sessions_alive(), expected, "{scope:?}");
        // What is gone is no error.
        endpoint.sign_out(&this, None, SignOutScope::Local, NOBODY).await.expect("signed out again");
        endpoint.sign_out(&this, None, SignOutScope::Local, NOBODY).await.expect("and again");
    }
    // An expired one ended nothing, and that must be known.
    supabase.set_access_token_expires_in(-10);
    let error = endpoint.sign_out(&session(&supabase).1, None, SignOutScope::Local, NOBODY).await;
    let error = error.expect_err("expired");
    assert_eq!((error.outcome(), error.code()), (Outcome::NotSpent, Some("bad_jwt")));
    assert_eq!(supabase.sessions_alive(), 1);
}

#[tokio::test]
async fn the_users_address_goes_along_with_a_secret_key_alone() {
    let options = SupabaseOptions::new().rate_limit();
    for (key, refused) in [("sb_secret_1", 0), ("sb_publishable_1", 10)] {
        let (supabase, _) = start(options).await;
        let endpoint = SupabaseEndpoint::new(supabase.project_url(), key).expect("a project");
        let mut refusals = 0;
        for host in 0..40 {
            let on_behalf = OnBehalf::client(Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))));
            match endpoint.refresh(&session(&supabase).0, on_behalf).await {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.status(), Some(http::StatusCode::TOO_MANY_REQUESTS));
                    assert!(!error.is_of_one_client());
                    refusals += 1;
                }
            }
        }
        assert!(refusals == refused || (refused > 0 && refusals + 1 == refused), "{key}: {refusals}");
    }
}

#[tokio::test]
async fn a_limit_that_is_counted_by_the_users_address_says_so() {
    let (supabase, _) = start(SupabaseOptions::default()).await;
    let endpoint = SupabaseEndpoint::new(supabase.project_url(), "sb_secret_1").expect("a project");
    let known = OnBehalf::client(Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))));
    for (on_behalf, is_of_one_client) in [(known, true), (NOBODY, false)] {
        supabase.script_refreshes([TokenFault::TooManyRequests(None)]);
        let error = endpoint.refresh(&session(&supabase).0, on_behalf).await.expect_err("a limit");
        assert_eq!(error.is_of_one_client(), is_of_one_client);
    }
}

#[tokio::test]
async fn requests_have_the_headers_of_the_real_client() {
    let server = ScriptedJwks::start().await;
    server.always(Step::status(500));
    let on_behalf = OnBehalf::client(Some("::ffff:192.0.2.1".parse().expect("an address")));
    for (key, forwarded) in
        [("sb_secret_1", Some("192.0.2.1")), ("sb_publishable_1", None), ("eyJ.eyJ.c2ln", None)]
    {
        let endpoint = SupabaseEndpoint::new(&server.url(""), key).expect("a project");
        let _ = endpoint.refresh(&RefreshToken::new("r"), on_behalf).await;
        let _ = endpoint.sign_out(&AccessToken::new("a"), None, SignOutScope::Others, on_behalf).await;
        let requests = server.requests();
        let [refresh, sign_out] = &requests[requests.len() - 2..] else { panic!("two requests") };
        for request in [refresh, sign_out] {
            assert_eq!(request.header("apikey"), Some(key));
            assert_eq!(request.header("x-supabase-api-version"), Some("2024-01-01"));
            assert_eq!(request.header("sb-forwarded-for"), forwarded, "{key}");
        }
        assert_eq!(refresh.path(), "/auth/v1/token?grant_type=refresh_token");
        assert_eq!(refresh.header("authorization"), Some(&*format!("Bearer {key}")));
        assert_eq!(refresh.header("content-type"), Some("application/json;charset=UTF-8"));
        assert_eq!(sign_out.path(), "/auth/v1/logout?scope=others");
        assert_eq!(sign_out.header("authorization"), Some("Bearer a"));
    }
    assert_eq!(server.connections(), 6, "each has its own");
}

#[tokio::test]
async fn an_answer_without_an_end_is_lost() {
    let server = ScriptedJwks::start().await;
    let endpoint = SupabaseEndpoint::new(&server.url(""), "k").expect("a project");
    let answer = r#"{"access_token":"a","token_type":"bearer","expires_in":60,"refresh_token":"r"}"#;
    for (name, step) in [
        ("endless", Step::answer(200, answer).chunked().endless()),
        ("cut", Step::answer(200, answer).stop_at(answer.len() - 1, Stop::Close)),
        ("coded", Step::answer(200, answer).header("Content-Encoding", "gzip")),
    ] {
        server.at("/auth/v1/token?grant_type=refresh_token", step);
        let error = endpoint.refresh(&RefreshToken::new("r"), NOBODY).await.expect_err(name);
        assert_eq!(error.outcome(), Outcome::Unknown, "{name}");
    }
    server.at("/auth/v1/token?grant_type=refresh_token", Step::answer(200, answer));
    assert!(endpoint.refresh(&RefreshToken::new("r"), NOBODY).await.is_ok());
}

#[tokio::test]
async fn beyond_the_budget_nothing_is_sent() {
    let (supabase, endpoint) = start(SupabaseOptions::default()).await;
    let endpoint = endpoint.rate_budget(RateBudget::new(2, Duration::from_secs(600)));
    let clone = endpoint.clone();
    assert!(endpoint.refresh(&session(&supabase).0, NOBODY).await.is_ok());
    // Whose address is known and cannot be told, is counted with the others.
    let somebody = OnBehalf::client(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    assert!(clone.refresh(&session(&supabase).0, somebody).await.is_ok());
    let error = endpoint.refresh(&session(&supabase).0, NOBODY).await.expect_err("spent");
    assert_eq!((error.outcome(), error.status()), (Outcome::NotSpent, None));
    assert!(error.retry_after().is_some_and(|wait| wait.as_secs() > 590));
    assert_eq!(supabase.refreshes(), 2);
}

#[tokio::test]
async fn what_anybody_can_cause_leaves_half_of_the_budget_to_refreshes() {
    let (supabase, endpoint) = start(SupabaseOptions::default()).await;
    let full = || endpoint.clone().rate_budget(RateBudget::new(4, Duration::from_secs(600)));
    let (guessed, forced) = (full(), full());
    let mut sent = 0;
    for _ in 0..9 {
        let error = guessed.password(EMAIL, &Secret::new("a guess"), NOBODY).await.expect_err("a guess");
        sent += usize::from(error.status().is_some());
        let pkce = PkceVerifier::generate();
        let code = CodeExchange::new("made-up", &pkce, "http://a.example/", "n");
        let error = guessed.exchange_code(code, NOBODY).await.expect_err("no code");
        sent += usize::from(error.status().is_some());
    }
    assert_eq!(sent, 2);
    let refreshed = async |endpoint: &SupabaseEndpoint, behalf| {
        endpoint.refresh(&session(&supabase).0, behalf).await.is_ok()
    };
    for (behalf, expected) in
        [(NOBODY.that_can_wait(), [true, true, false, false]), (NOBODY, [true, true, false, false])]
    {
        for (number, expected) in expected.into_iter().enumerate() {
            assert_eq!(refreshed(&forced, behalf).await, expected, "{behalf:?} {number}");
        }
    }
    // Nor do those who sign in and out again and again take all of it.
    assert!(refreshed(&guessed, NOBODY).await);
    let error = guessed.sign_out(&session(&supabase).1, None, SignOutScope::Local, NOBODY).await;
    assert_eq!(error.expect_err("a quarter is left").status(), None);
    assert!(refreshed(&guessed, NOBODY).await);
}

#[test]
fn projects_are_named_by_their_url() {
    for url in ["https://abc.supabase.co", "https://abc.supabase.co/", "https://abc.supabase.co/auth/v1"] {
        let endpoint = SupabaseEndpoint::new(url, "k").expect(url);
        assert_eq!(SignIn::issuer(&endpoint), Some("https://abc.supabase.co/auth/v1"));
        assert_eq!(endpoint.at("token").as_str(), "https://abc.supabase.co/auth/v1/token");
    }
    for url in ["abc", "http://abc.supabase.co", "https://abc.supabase.co?a=b", "https://abc.supabase.co#a"] {
        assert!(SupabaseEndpoint::new(url, "k").is_err(), "{url}");
    }
    for key in ["a\nb", "", " "] {
        let refused = SupabaseEndpoint::new("https://abc.supabase.co", key).err();
        assert_eq!(refused, Some(InvalidEndpoint::Key), "{key:?}");
    }
}

#[test]
fn no_key_is_printed() {
    let endpoint = SupabaseEndpoint::new("https://abc.supabase.co", "sb_secret_hunter2").expect("a project");
    assert!(!format!("{endpoint:?}").contains("hunter2"));
}
