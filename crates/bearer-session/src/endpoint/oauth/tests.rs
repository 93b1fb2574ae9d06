//! The endpoint against an issuer of the test's own.

use super::*;
use crate::{Secret, endpoint::PkceVerifier};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bearer_testing::{OAuthOptions, ScriptedJwks, Step, TestOAuth, TokenFault};

const NOBODY: OnBehalf = OnBehalf::client(None);
const BACK: &str = "http://localhost:3000/callback";

fn app() -> OAuthClient {
    OAuthClient::secret_basic("app", Secret::new("its-secret"))
}

async fn start(options: OAuthOptions) -> (TestOAuth, OAuthEndpoint) {
    let provider = TestOAuth::start_with(options).await;
    let endpoint = OAuthEndpoint::discover(provider.issuer(), app()).await.expect("metadata");
    (provider, endpoint.scope("openid offline_access"))
}

fn grant(provider: &TestOAuth) -> RefreshToken {
    RefreshToken::new(provider.grant("ada")["refresh_token"].as_str().expect("text"))
}

/// Follows the authorization URL, and returns the code.
async fn code(endpoint: &OAuthEndpoint, pkce: &PkceVerifier) -> String {
    let challenge = pkce.challenge();
    let request = SignInRequest::new(BACK, "the state", &challenge, "the-nonce");
    let url = endpoint.authorization_url(&request).expect("a URL");
    let answer = endpoint.http.get(url).send().await.expect("an answer");
    let location = Url::parse(answer.headers()["location"].to_str().expect("text")).expect("a URL");
    let of = |wanted: &str| {
        location.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    assert_eq!(of("state").as_deref(), Some("the state"));
    assert_eq!(of("iss").as_deref(), SignIn::issuer(endpoint));
    of("code").expect("a code")
}

#[tokio::test]
async fn every_kind_of_client_proves_itself() {
    let provider = TestOAuth::start().await;
    for (client, is_good) in [
        (app(), true),
        (OAuthClient::secret_post("app", Secret::new("its-secret")), true),
        (OAuthClient::secret_basic("app", Secret::new("a guess")), false),
        (OAuthClient::secret_post("app", Secret::new("a guess")), false),
        (OAuthClient::public("app"), false),
    ] {
        let endpoint = OAuthEndpoint::new(&provider.token_endpoint(), client.clone()).expect("a location");
        match endpoint.refresh(&grant(&provider), NOBODY).await {
            Ok(tokens) => assert!(is_good && tokens.refresh_token.is_some(), "{client:?}"),
            Err(error) => {
                assert!(!is_good, "{client:?}");
                // The operator puts that right: nobody is signed out for it.
                assert_eq!((error.outcome(), error.code()), (Outcome::NotSpent, Some("invalid_client")));
            }
        }
    }
}

#[tokio::test]
async fn a_spent_token_ends_the_session_for_good() {
    let (provider, endpoint) = start(OAuthOptions::default()).await;
    let first = grant(&provider);
    let second = endpoint.refresh(&first, NOBODY).await.expect("tokens").refresh_token.expect("a token");
    assert_ne!(first, second);
    for token in [&first, &second] {
        let error = endpoint.refresh(token, NOBODY).await.expect_err("spent");
        assert_eq!((error.outcome(), error.code()), (Outcome::Final, Some("invalid_grant")));
    }
}

#[tokio::test]
async fn without_rotation_the_old_token_stays() {
    let (provider, endpoint) = start(OAuthOptions::new().without_rotation()).await;
    let token = grant(&provider);
    let tokens = endpoint.refresh(&token, NOBODY).await.expect("tokens");
    assert_eq!(tokens.refresh_token, Some(token));
}

#[tokio::test]
async fn faults_have_their_outcomes_and_nothing_is_sent_twice() {
    use Outcome::{Final, NotSpent, Unknown};
    let (provider, endpoint) = start(OAuthOptions::default()).await;
    for (fault, outcome) in [
        (TokenFault::TooManyRequests(Some(7)), NotSpent),
        (TokenFault::Unavailable(Some(7)), NotSpent),
        (TokenFault::Unavailable(None), Unknown),
        (TokenFault::BadGateway, Unknown),
        (TokenFault::TimeoutAfterCommit, Unknown),
        (TokenFault::ResetAfterCommit, Unknown),
        (TokenFault::GarbageAfterCommit, Unknown),
        (TokenFault::SessionKilled, Final),
    ] {
        let token = grant(&provider);
        provider.script_refreshes([fault]);
        let error = endpoint.refresh(&token, NOBODY).await.expect_err("a fault");
        assert_eq!(error.outcome(), outcome, "{fault:?}");
        assert_eq!(provider.presentations_of(token.expose()), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn how_long_to_wait_is_heard_under_either_name() {
    let server = ScriptedJwks::start().await;
    let endpoint = OAuthEndpoint::new(&server.url("/token"), app()).expect("a location");
    for (name, step, expected) in [
        ("the standard's", Step::status(429).retry_after(7), Some(7)),
        ("Better Auth's", Step::status(429).header("X-Retry-After", "60"), Some(60)),
        ("both", Step::status(429).header("X-Retry-After", "60").retry_after(7), Some(7)),
        ("one that is none", Step::status(429).header("X-Retry-After", "soon"), None),
    ] {
        server.at("/token", step);
        let error = endpoint.refresh(&RefreshToken::new("a"), NOBODY).await.expect_err(name);
        assert_eq!(error.retry_after(), expected.map(Duration::from_secs), "{name}");
    }
}

#[tokio::test]
async fn a_sign_in_with_its_verifier_and_nonce() {
    let (provider, endpoint) = start(OAuthOptions::default()).await;
    let pkce = PkceVerifier::generate();
    let good = code(&endpoint, &pkce).await;
    let tokens = endpoint.exchange_code(CodeExchange::new(&good, &pkce, BACK, "the-nonce"), NOBODY).await;
    let tokens = tokens.expect("tokens");
    assert!(tokens.id_token.is_some() && tokens.refresh_token.is_some());

    let other = PkceVerifier::generate();
    for (name, verifier, back, nonce, expected) in [
        ("another verifier", &other, BACK, "the-nonce", "invalid_grant"),
        ("another place", &pkce, "http://localhost:3000/", "the-nonce", "invalid_grant"),
        ("another sign-in", &pkce, BACK, "a-nonce", "invalid_id_token"),
    ] {
        let code = code(&endpoint, &pkce).await;
        let refused = endpoint.exchange_code(CodeExchange::new(&code, verifier, back, nonce), NOBODY).await;
        let error = refused.expect_err(name);
        assert_eq!((error.outcome(), error.code()), (Outcome::Final, Some(expected)), "{name}");
    }
    let again = endpoint.exchange_code(CodeExchange::new(&good, &pkce, BACK, "the-nonce"), NOBODY).await;
    assert_eq!(again.expect_err("used").outcome(), Outcome::Final);
    drop(provider);
}

#[tokio::test]
async fn no_id_token_where_there_must_be_one_is_no_sign_in() {
    let provider = TestOAuth::start().await;
    let endpoint = OAuthEndpoint::discover(provider.issuer(), app()).await.expect("metadata");
    let pkce = PkceVerifier::generate();
    let first = code(&endpoint, &pkce).await;
    let exchange = CodeExchange::new(&first, &pkce, BACK, "the-nonce");
    assert_eq!(endpoint.exchange_code(exchange, NOBODY).await.expect("tokens").id_token, None);
    // The provider was asked for none; the exchange expects one.
    let second = code(&endpoint, &pkce).await;
    let exchange = CodeExchange::new(&second, &pkce, BACK, "the-nonce");
    let error = endpoint.clone().scope("openid").exchange_code(exchange, NOBODY).await.expect_err("none");
    assert_eq!(error.code(), Some("missing_id_token"));
}

#[tokio::test]
async fn an_issuer_whose_locations_are_told_is_held_to_its_name_if_that_is_told_too() {
    let provider = TestOAuth::start().await;
    let discovered = OAuthEndpoint::discover(provider.issuer(), app()).await.expect("metadata");
    assert!(discovered.names_itself(), "so its metadata says");
    let authorization = discovered.metadata.authorization.expect("a location");
    let told = OAuthEndpoint::new(&provider.token_endpoint(), app()).expect("a location").scope("openid");
    let told = told.authorization_endpoint(authorization.as_str()).expect("a location");
    let pkce = PkceVerifier::generate();
    assert_eq!((SignIn::issuer(&told), told.names_itself()), (None, false));
    let ours = told.clone().of_issuer(provider.issuer());
    let theirs = told.clone().of_issuer(format!("{}/", provider.issuer()));
    for (endpoint, refusal) in [(told, None), (ours.clone(), None), (theirs, Some("invalid_id_token"))] {
        let code = code(&ours, &pkce).await;
        let exchange = CodeExchange::new(&code, &pkce, BACK, "the-nonce");
        let error = endpoint.exchange_code(exchange, NOBODY).await.err();
        assert_eq!(error.as_ref().and_then(|error| error.code()), refusal, "{:?}", endpoint.issuer);
    }
}

#[tokio::test]
async fn an_id_token_of_a_refresh_that_is_not_between_these_two_is_left_out_and_costs_no_session() {
    let server = ScriptedJwks::start().await;
    let endpoint =
        OAuthEndpoint::new(&server.url("/token"), app()).expect("a location").of_issuer("https://i");
    for (claims, is_kept) in [
        (r#"{"iss":"https://i","aud":"app","exp":1}"#, true),
        (r#"{"iss":"https://i","aud":"another","exp":1}"#, false),
        (r#"{"iss":"https://another","aud":"app","exp":1}"#, false),
        ("no claims", false),
    ] {
        let id_token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let answer =
            serde_json::json!({ "access_token": "new", "token_type": "Bearer", "id_token": id_token });
        server.at("/token", Step::json(&answer));
        let tokens = endpoint.refresh(&RefreshToken::new("r"), NOBODY).await.expect("tokens");
        assert_eq!(tokens.access_token.expose(), "new");
        assert_eq!(tokens.id_token.is_some(), is_kept, "{claims}");
    }
}

#[tokio::test]
async fn a_sign_out_revokes_what_it_can() {
    let (provider, endpoint) = start(OAuthOptions::default()).await;
    let (one, other) = (grant(&provider), grant(&provider));
    let access = AccessToken::new("unknown");
    assert!(!endpoint.ends_other_sessions());
    let sign_out = async |endpoint: &OAuthEndpoint, token: Option<&RefreshToken>, scope| {
        let signed_out = endpoint.sign_out(&access, token, scope, NOBODY).await;
        let code = signed_out.err().and_then(|error| error.code().map(str::to_owned));
        let expected = (scope != SignOutScope::Local).then_some("unsupported_scope");
        assert_eq!(code.as_deref(), expected, "{scope:?}");
        provider.grants_alive()
    };
    assert_eq!(sign_out(&endpoint, Some(&one), SignOutScope::Others).await, 2, "of others it knows nothing");
    assert_eq!(sign_out(&endpoint, Some(&one), SignOutScope::Local).await, 1);
    assert_eq!(sign_out(&endpoint, Some(&one), SignOutScope::Local).await, 1, "gone already");
    assert_eq!(sign_out(&endpoint, None, SignOutScope::Local).await, 1);
    assert_eq!(sign_out(&endpoint, Some(&other), SignOutScope::Global).await, 0);
    let bare = OAuthEndpoint::new(&provider.token_endpoint(), app()).expect("a location");
    let last = grant(&provider);
    assert_eq!(sign_out(&bare, Some(&last), SignOutScope::Local).await, 1, "nowhere to revoke");
    let wrong = OAuthClient::public("app");
    let wrong = OAuthEndpoint::discover(provider.issuer(), wrong).await.expect("metadata");
    let error = wrong.sign_out(&access, Some(&last), SignOutScope::Local, NOBODY).await.expect_err("who?");
    assert_eq!(error.code(), Some("invalid_client"));
}

#[tokio::test]
async fn urls_say_all_that_they_must() {
    let (provider, endpoint) = start(OAuthOptions::default()).await;
    let request = SignInRequest::new("https://a.example/b?c=d", "s&t", "challenge", "nonce");
    let url = endpoint.clone().authorization_parameter("audience", "my api").authorization_url(&request);
    assert_eq!(
        url.expect("a URL"),
        format!(
            "{}/authorize?response_type=code&client_id=app&redirect_uri=https%3A%2F%2Fa.example%2Fb%3Fc%3Dd&state=s%26t\
             &code_challenge=challenge&code_challenge_method=S256&nonce=nonce&scope=openid+offline_access\
             &audience=my+api",
            provider.issuer()
        )
    );
    let id_token = Secret::new("e30.e30.c2ln");
    let request = SignOutRequest::new(Some(&id_token)).back_to("https://a.example/", "s");
    assert_eq!(
        endpoint.sign_out_url(&request).expect("a URL"),
        format!(
            "{}/logout?client_id=app&id_token_hint=e30.e30.c2ln\
             &post_logout_redirect_uri=https%3A%2F%2Fa.example%2F&state=s",
            provider.issuer()
        )
    );
    let bare = OAuthEndpoint::new(&provider.token_endpoint(), app()).expect("a location");
    assert_eq!(bare.sign_out_url(&request), None);
    assert_eq!(bare.authorization_url(&SignInRequest::new(BACK, "s", "c", "n")), None);
}

#[test]
fn no_parameter_of_the_authorization_url_stands_there_twice() {
    let endpoint = OAuthEndpoint::new("https://issuer.example/token", app()).expect("a location");
    let endpoint = endpoint.authorization_endpoint("https://issuer.example/authorize").expect("a location");
    let endpoint = endpoint
        .authorization_parameter("acr_values", "usual")
        .authorization_parameter("max_age", "3600")
        .authorization_parameter("resource", "one")
        .authorization_parameter("resource", "two");
    let asked = SignInRequest::new(BACK, "s", "c", "n");
    for (asked, acr_values, max_age) in
        [(asked, "usual", "3600"), (asked.step_up(Some("strong"), Some(0)), "strong", "0")]
    {
        let url = Url::parse(&endpoint.authorization_url(&asked).expect("a URL")).expect("a URL");
        let of = |wanted: &str| -> Vec<_> {
            url.query_pairs()
                .filter(|(name, _)| name == wanted)
                .map(|(_, value)| value.into_owned())
                .collect()
        };
        assert_eq!(
            (of("acr_values"), of("max_age")),
            (vec![acr_values.to_owned()], vec![max_age.to_owned()])
        );
        assert_eq!(of("resource"), ["one", "two"], "but for those that may (RFC 8707)");
    }
}

#[test]
fn a_request_adds_parameters_and_takes_the_place_of_none_that_a_sign_in_sets() {
    let endpoint = OAuthEndpoint::new("https://issuer.example/token", app()).expect("a location");
    let endpoint = endpoint.authorization_endpoint("https://issuer.example/authorize?tenant=ours");
    let endpoint = endpoint.expect("a location");
    let endpoint =
        endpoint.authorization_parameter("prompt", "login").authorization_parameter("audience", "api");
    let url_of = |parameters: &[(&str, &str)]| {
        let asked = SignInRequest::new(BACK, "s", "c", "n").parameters(parameters);
        let url = Url::parse(&endpoint.authorization_url(&asked).expect("a URL")).expect("a URL");
        url.query().expect("a query").to_owned()
    };
    let ours = "tenant=ours&response_type=code&client_id=app&redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Fcallback\
                &state=s&code_challenge=c&code_challenge_method=S256&nonce=n";
    for (parameters, rest) in [
        (&[][..], "&prompt=login&audience=api"),
        (
            &[("login_hint", "a&b=c"), ("ui_locales", "de")],
            "&login_hint=a%26b%3Dc&ui_locales=de&prompt=login&audience=api",
        ),
        (&[("prompt", "create")], "&prompt=create&audience=api"),
        (&[("prompt", "create"), ("prompt", "none")], "&prompt=create&audience=api"),
        (&[("tenant", "theirs")], "&prompt=login&audience=api"),
        (
            &[("state", "x"), ("scope", "all"), ("audience", "x"), ("Client_ID", "x"), ("max_age", "0")],
            "&prompt=login&audience=api",
        ),
    ] {
        assert_eq!(url_of(parameters), format!("{ours}{rest}"), "{parameters:?}");
    }
}

#[tokio::test]
async fn only_its_own_metadata_makes_an_issuer() {
    let (provider, endpoint) = start(OAuthOptions::default()).await;
    assert_eq!(SignIn::issuer(&endpoint), Some(provider.issuer()));
    let discover = async |issuer: String| OAuthEndpoint::discover(&issuer, app()).await.err();
    assert_eq!(discover(format!("{}/", provider.issuer())).await, Some(InvalidEndpoint::OtherIssuer));
    let other_name = provider.issuer().replace("127.0.0.1", "localhost");
    assert_eq!(discover(other_name).await, Some(InvalidEndpoint::OtherIssuer));
    let nothing = discover(format!("{}/tenant", provider.issuer())).await;
    assert!(matches!(nothing, Some(InvalidEndpoint::Unreachable(_))), "{nothing:?}");
    let insecure = discover("http://issuer.example".to_owned()).await;
    assert!(matches!(insecure, Some(InvalidEndpoint::Insecure(_))), "{insecure:?}");
}

#[test]
fn a_lost_answer_ends_it_unless_somebody_said_otherwise() {
    let endpoint = OAuthEndpoint::new("https://issuer.example/token", app()).expect("a location");
    assert_eq!(endpoint.after_unknown(), AfterUnknown::FailClosed);
    let risky = endpoint.present_again_at_the_risk_of_the_session();
    assert_eq!(risky.after_unknown(), AfterUnknown::PresentAgain);
    assert!(!format!("{risky:?}").contains("its-secret"));
}

const OIDC: &str = "/tenant/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server/tenant";
const OTHER: &str = "/.well-known/openid-configuration/tenant";

fn document(server: &ScriptedJwks, issuer: &str, token_endpoint: &str) -> Step {
    Step::json(&serde_json::json!({ "issuer": server.url(issuer), "token_endpoint": token_endpoint }))
}

async fn discovered(server: &ScriptedJwks) -> Result<OAuthEndpoint, InvalidEndpoint> {
    OAuthEndpoint::discover(&server.url("/tenant"), app()).await
}

#[tokio::test]
async fn a_place_without_metadata_is_passed_by_whatever_it_says() {
    let server = ScriptedJwks::start().await;
    server.at(OTHER, document(&server, "/tenant", &server.url("/token")));
    for step in [
        Step::status(400),
        Step::status(403),
        Step::status(405),
        Step::status(410),
        Step::redirect(302, "https://elsewhere.example/"),
        Step::answer(200, "<html></html>"),
        Step::answer(200, b"\xe9"),
        Step::answer(200, "{}"),
    ] {
        server.at(OIDC, step.clone());
        let found = discovered(&server).await.map(|endpoint| endpoint.metadata.token.path().to_owned());
        assert_eq!(found.as_deref(), Ok("/token"), "{step:?}");
    }
}

#[tokio::test]
async fn a_place_that_has_metadata_or_may_have_it_is_the_last_that_is_asked() {
    let server = ScriptedJwks::start().await;
    server.at(OAUTH, document(&server, "/tenant", &server.url("/token")));
    for step in [
        Step::status(429),
        Step::status(500),
        Step::status(503),
        Step::reset(),
        document(&server, "/other", &server.url("/token")),
        document(&server, "/tenant", "http://issuer.example/token"),
    ] {
        server.at(OIDC, step.clone());
        let before = server.requests().len();
        let found = discovered(&server).await.err();
        assert!(found.is_some(), "{step:?}");
        let asked: Vec<_> = server.requests()[before..].iter().map(|asked| asked.path().to_owned()).collect();
        assert_eq!(asked, [OIDC], "{step:?}: {found:?}");
    }
}

#[tokio::test]
async fn where_nowhere_is_metadata_the_first_answer_that_tells_more_than_404_is_reported() {
    let server = ScriptedJwks::start().await;
    let told = async |server: &ScriptedJwks| discovered(server).await.expect_err("there is none").to_string();
    assert!(told(&server).await.contains("there is none where it should be"));
    server.at(OAUTH, Step::status(403)).at(OTHER, Step::answer(200, "<html>"));
    assert!(told(&server).await.contains("403"));
    server.at(OIDC, Step::answer(200, "<html>"));
    assert_eq!(discovered(&server).await.err(), Some(InvalidEndpoint::NotMetadata));
}

#[tokio::test]
async fn a_probe_is_a_token_that_was_made_up_and_costs_no_grant() {
    let (provider, endpoint) = start(OAuthOptions::default()).await;
    let token = grant(&provider);
    provider.script_refreshes([TokenFault::BadGateway, TokenFault::Unavailable(None)]);
    for _ in 0..2 {
        let error = endpoint.probe().await.expect_err("an outage");
        assert_eq!(error.outcome(), Outcome::Unknown);
    }
    assert!(endpoint.probe().await.is_ok());
    assert_eq!(provider.presentations_of(token.expose()), 0);
    assert!(endpoint.refresh(&token, NOBODY).await.is_ok());
}

#[tokio::test]
async fn an_issuer_in_a_network_of_ones_own_is_asked_over_plain_http_where_that_was_allowed() {
    const ROOT: &str = "/.well-known/openid-configuration";
    let server = ScriptedJwks::start().await;
    let address = server.address();
    let issuer = format!("http://keycloak:{}", address.port());
    let named = |revocation: &str| {
        let (token, revocation) = (format!("{issuer}/token"), revocation.to_owned());
        serde_json::json!({ "issuer": issuer, "token_endpoint": token, "revocation_endpoint": revocation })
    };
    let discover = async |client| {
        let http = Client::builder().no_proxy().resolve("keycloak", address);
        OAuthEndpoint::discover_with_client(&issuer, client, http).await
    };
    server.at(ROOT, Step::json(&named(&format!("{issuer}/revoke"))));
    assert!(matches!(discover(app()).await, Err(InvalidEndpoint::Insecure(_))));
    assert_eq!(server.count(), 0);
    let endpoint = discover(app().allow_http("keycloak")).await.expect("metadata");
    assert_eq!(endpoint.metadata.token.host_str(), Some("keycloak"));
    assert!(endpoint.clone().end_session_endpoint("http://keycloak/logout").is_ok());
    assert!(endpoint.authorization_endpoint("http://another/authorize").is_err());

    server.at(ROOT, Step::json(&named("http://another/revoke")));
    let another = discover(app().allow_http("keycloak")).await;
    assert_eq!(another.err(), Some(InvalidEndpoint::Insecure("http://another/revoke".to_owned())));
}
