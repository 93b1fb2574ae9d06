//! [`Log`]: what is logged, for a test to read.

use crate::{
    browser::Browser,
    world::{ADA, World, options, site},
};
use axum::{Extension, Router, http::StatusCode, routing::get};
use axum_bearer::{AuthError, AuthErrorKind, BearerLayer, Connect as _, Issuer, Reason};
use bearer_session::{
    AccessToken, RouteOptions, SessionLayer, TokenSet,
    endpoint::SupabaseEndpoint,
    keeping::{Keeping, OpaqueCookie, ssr::SsrCookies},
};
use std::{
    future::ready,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tower_http::csrf::CsrfLayer;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What this thread logs from now on.
    pub(crate) fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_max_level(LevelFilter::DEBUG);
        (log.clone(), tracing::subscriber::set_default(subscriber.with_writer(log).finish()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines of this level and crate since the last time.
    pub(crate) fn take(&self, level: &str) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        let of_level = |line: &&str| line.contains(&format!(" {level} bearer_session"));
        text.lines().filter(of_level).map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_sign_in_that_the_set_up_is_to_blame_for_is_warned_of_and_a_wrong_password_is_not() {
    let world = World::start().await;
    let nowhere = SupabaseEndpoint::new("http://127.0.0.1:1", "sb_publishable_1").unwrap();
    let cut_off = site(&world.sessions, &nowhere, &world.verifier, OpaqueCookie::new(), options());
    let (log, _guard) = Log::start();
    let guess = format!(r#"{{"email":"{ADA}","password":"hunter2"}}"#);

    let answer = world.browser().post_json("/auth/password", &guess).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let text = log.text();
    assert!(text.contains("DEBUG bearer_session::routes::log: a sign-in was refused"), "{text}");
    assert_eq!(log.take("WARN"), [] as [String; 0]);

    let answer = Browser::new(cut_off).post_json("/auth/password", &guess).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let all = format!("{text}{}", log.text());
    let warnings = log.take("WARN");
    assert!(
        matches!(&warnings[..], [line] if line.contains("NotSpent") && line.contains("refused")),
        "{warnings:?}"
    );
    assert!(!all.contains("hunter2") && !all.contains(ADA), "{all}");
}

#[tokio::test]
async fn a_sign_in_that_wants_for_a_provider_says_once_what_to_call() {
    let world = World::start().await;
    let with_one = world.endpoint.clone().provider("github");
    let with_one = site(&world.sessions, &with_one, &world.verifier, OpaqueCookie::new(), options());
    let with_page = options().sign_in_page("/login").unwrap();
    let with_page = site(&world.sessions, &world.endpoint, &world.verifier, OpaqueCookie::new(), with_page);
    let (log, _guard) = Log::start();
    for (app, path) in [
        (&world.app, "/auth/sign-in?provider=github"),
        (&with_one, "/auth/sign-in"),
        (&with_page, "/auth/sign-in"),
    ] {
        assert_eq!(Browser::new(app.clone()).open(path).await.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(log.take("WARN"), [] as [String; 0]);

    for _ in 0..2 {
        let answer = world.browser().open("/auth/sign-in").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.body, r#"{"error":"unknown_provider"}"#);
    }
    let warnings = log.take("WARN");
    assert!(
        matches!(&warnings[..], [line] if line.contains("SupabaseEndpoint::provider") && line.contains("sign_in_page")),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn a_sign_in_that_lost_its_cookie_is_warned_of_once_a_minute_with_the_host_where_it_should_begin() {
    for (begins_another, said) in
        [(false, "has_cookie_of_another=false"), (true, "has_cookie_of_another=true")]
    {
        let world = World::start().await;
        let (log, _guard) = Log::start();
        let mut browser = world.browser();
        if begins_another {
            browser.open("/auth/sign-in?provider=github").await;
        }
        for _ in 0..3 {
            let answer = browser.open("/auth/callback?code=the-code&state=the-state").await;
            assert_eq!(answer.body, r#"{"error":"unknown_sign_in"}"#);
        }
        assert!(!log.text().contains("the-code") && !log.text().contains("the-state"), "{}", log.text());
        let warnings = log.take("WARN");
        assert!(
            matches!(&warnings[..], [line] if line.contains("callback_host=\"app.example\"") && line.contains(said)),
            "{warnings:?}"
        );
    }
}

#[tokio::test]
async fn a_cookie_that_browsers_will_drop_is_warned_of_when_the_routes_are_made() {
    let world = World::start().await;
    let opaque = Keeping::from(OpaqueCookie::new());
    let bare = OpaqueCookie::new().insecure_for_development().into();
    let cookies = SsrCookies::of_project("https://abc.supabase.co").unwrap();
    let of_ssr = |cookies: SsrCookies| Keeping::supabase_ssr(cookies, world.verifier.clone());
    for (origin, keeping, is_warned) in [
        ("http://app.example", opaque.clone(), true),
        ("http://10.0.0.1:3000", opaque.clone(), true),
        ("http://localhost.example", opaque.clone(), true),
        ("http://127.example", opaque.clone(), true),
        ("http://app.example", of_ssr(cookies.clone().secure()), true),
        ("http://app.example", of_ssr(cookies), false),
        ("http://app.example", bare, false),
        ("https://app.example", opaque.clone(), false),
        ("http://localhost:3000", opaque.clone(), false),
        ("http://LOCALHOST", opaque.clone(), false),
        ("http://app.localhost:3000", opaque.clone(), false),
        ("http://127.0.0.2:3000", opaque.clone(), false),
        ("http://[::1]:3000", opaque, false),
    ] {
        let options = RouteOptions::new(&format!("{origin}/auth/callback")).unwrap();
        let (log, _guard) = Log::start();
        drop(site(&world.sessions, &world.endpoint, &world.verifier, keeping, options));
        let warnings = log.take("WARN");
        assert_eq!(warnings.len(), usize::from(is_warned), "{origin}: {warnings:?}");
        assert!(warnings.iter().all(|line| line.contains("insecure_for_development()")), "{warnings:?}");
    }
}

/// What the log says of a session whose token is refused behind the layer, asked for three times.
async fn warnings_of(world: &World, tokens: TokenSet, inner: Router) -> (Vec<String>, String) {
    let id = world.sessions.create(tokens).await.unwrap();
    let layer = SessionLayer::new(world.sessions.clone(), OpaqueCookie::new(), CsrfLayer::new());
    let mut browser = Browser::new(inner.layer(layer));
    browser.cookies.insert("__Host-session".to_owned(), id.to_text().expose().to_owned());
    let (log, _guard) = Log::start();
    for _ in 0..3 {
        browser.get("/me").await;
    }
    let text = log.text();
    (log.take("WARN"), text)
}

#[tokio::test]
async fn a_token_that_the_gate_would_refuse_again_is_warned_of_once_a_minute_with_what_to_look_at() {
    let world = World::start().await;
    for (reason, said) in [
        (Reason::NotAJwt, Some("authorization_parameter")),
        (Reason::Encrypted, Some("authorization_parameter")),
        (Reason::Audience, Some("audience")),
        (Reason::UnknownIssuer, Some("issuers of the gate")),
        (Reason::Algorithm, Some("Issuer::hmac_secret")),
        (Reason::ClaimsType, Some("the gate's settings")),
        (Reason::NotAnAccessToken, Some("the gate's settings")),
        (Reason::CredentialTooLong, Some("the gate's settings")),
        (Reason::Expired, None),
        (Reason::UnknownKey, None),
        (Reason::NotYetValid, None),
        (Reason::Revoked, None),
        (Reason::Scope, None),
        (Reason::StaleKeys, None),
        (Reason::NoCredential, None),
        (Reason::SeveralCredentials, None),
        (Reason::OtherClaims, None),
        (Reason::Other(AuthErrorKind::InvalidToken, "the session was closed"), None),
    ] {
        let refusing = get(move || ready(Extension(AuthError::from(reason))));
        let tokens = world.tokens(Duration::from_secs(3600));
        let (warnings, _) = warnings_of(&world, tokens, Router::new().route("/me", refusing)).await;
        match said {
            None => assert_eq!(warnings, [] as [String; 0], "{reason:?}"),
            Some(said) => {
                let name = format!("reason=\"{}\"", reason.name());
                assert!(
                    matches!(&warnings[..], [line] if line.contains(said) && line.contains(&name)),
                    "{reason:?} {warnings:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_gate_for_another_audience_and_a_token_that_is_no_jwt_are_told_apart_and_neither_token_is_shown() {
    let world = World::start().await;
    let url = world.supabase.project_url();
    let opaque = TokenSet::new(AccessToken::new("hunter2-opaque"), Duration::from_secs(3600));
    let tokens = world.tokens(Duration::from_secs(3600));
    let token = tokens.access_token.expose().to_owned();
    for (tokens, expected, issuer) in [(opaque, "not_a_jwt", false), (tokens, "audience", true)] {
        let (iss, jwks) = (format!("{url}/auth/v1"), format!("{url}/auth/v1/.well-known/jwks.json"));
        let gate = Issuer::new(&iss, "another-api").jwks_uri(jwks).connect().await.unwrap();
        let site = Router::new().route("/me", get(async || "in")).layer(BearerLayer::new(gate));
        let (warnings, text) = warnings_of(&world, tokens, site).await;
        assert!(
            matches!(&warnings[..], [line] if line.contains(expected) && line.contains(&iss) == issuer),
            "{warnings:?}"
        );
        assert!(!text.contains("hunter2") && !text.contains(&token[token.len() - 20..]), "{text}");
    }
}
