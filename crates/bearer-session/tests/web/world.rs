//! A site, its sessions, and the issuer.

use crate::browser::Browser;
use axum::{
    Router,
    extract::Request,
    http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE},
    routing::{any, get},
};
use axum_bearer::{AuthUser, BearerLayer, Connect as _, Issuer, JwtVerifier, supabase::SupabaseClaims};
use bearer_session::{
    AccessToken, CurrentSession, Keyring, RefreshToken, RouteOptions, SessionLayer, Sessions,
    SessionsBuilder, TokenSet,
    endpoint::SupabaseEndpoint,
    keeping::{Keeping, OpaqueCookie},
    session_routes,
    store::{MemoryStore, Store},
};
use bearer_testing::TestSupabase;
use serde_json::Value;
use std::{fmt::Write as _, time::Duration};
use tower_http::csrf::CsrfLayer;

pub(crate) const ADA: &str = "ada@example.com";
pub(crate) const BOB: &str = "bob@example.com";
pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const CALLBACK: &str = "https://app.example/auth/callback";

pub(crate) struct World {
    pub(crate) supabase: TestSupabase,
    pub(crate) endpoint: SupabaseEndpoint,
    pub(crate) verifier: JwtVerifier,
    pub(crate) sessions: Sessions,
    pub(crate) app: Router,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(MemoryStore::new(10_000), |sessions| sessions).await
    }

    pub(crate) async fn with(
        store: impl Store,
        set_up: impl FnOnce(SessionsBuilder) -> SessionsBuilder,
    ) -> Self {
        let supabase = TestSupabase::start().await;
        supabase.add_user(ADA, PASSWORD);
        supabase.add_user(BOB, PASSWORD);
        let endpoint = SupabaseEndpoint::new(supabase.project_url(), "sb_publishable_1").unwrap();
        let sessions = Sessions::builder(endpoint.clone(), store, Keyring::new(&[7; 32]));
        let sessions = set_up(sessions).build();
        let verifier = Issuer::supabase(supabase.project_url()).unwrap().connect().await.unwrap();
        let app = site(&sessions, &endpoint, &verifier, OpaqueCookie::new(), options());
        Self { supabase, endpoint, verifier, sessions, app }
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.app.clone())
    }

    /// A browser with a session whose access token has this much left.
    pub(crate) async fn signed_in(&self, left: Duration) -> Browser {
        let id = self.sessions.create(self.tokens(left)).await.unwrap();
        let mut browser = self.browser();
        browser.cookies.insert("__Host-session".to_owned(), id.to_text().expose().to_owned());
        browser
    }

    pub(crate) fn tokens(&self, left: Duration) -> TokenSet {
        let answer = self.supabase.sign_in(ADA);
        let text = |name: &str| answer[name].as_str().unwrap();
        TokenSet::new(AccessToken::new(text("access_token")), left)
            .refresh_token(RefreshToken::new(text("refresh_token")))
    }
}

pub(crate) fn options() -> RouteOptions {
    RouteOptions::new(CALLBACK).unwrap()
}

pub(crate) fn site(
    sessions: &Sessions,
    endpoint: &SupabaseEndpoint,
    verifier: &JwtVerifier,
    keeping: impl Into<Keeping>,
    options: RouteOptions,
) -> Router {
    let (keeping, csrf) = (keeping.into(), CsrfLayer::new());
    let gate = BearerLayer::new(verifier.clone()).sign_in_page("/auth/sign-in").unwrap();
    Router::new()
        .route("/me", get(me).post(me))
        .layer(gate)
        .route("/echo", any(echo))
        .route("/cached", get(async || ([(CACHE_CONTROL, "public, max-age=600")], "news")))
        .route("/strict", get(async || ([(CACHE_CONTROL, "no-store, must-revalidate")], "news")))
        .layer(SessionLayer::new(sessions.clone(), keeping.clone(), csrf.clone()))
        .nest("/auth", session_routes(sessions.clone(), endpoint.clone(), keeping, csrf, options))
}

async fn me(user: AuthUser<SupabaseClaims>) -> String {
    user.email.clone().unwrap_or_default()
}

/// All that a handler gets to see.
async fn echo(request: Request) -> String {
    let mut seen = String::new();
    for (name, value) in request.headers() {
        let sensitive = if value.is_sensitive() { " (sensitive)" } else { "" };
        if name == AUTHORIZATION || name == COOKIE {
            writeln!(seen, "{name}: {}{sensitive}", String::from_utf8_lossy(value.as_bytes())).unwrap();
        }
    }
    let session = request.extensions().get::<CurrentSession>();
    writeln!(seen, "session: {:?}", session.map(|session| (session.subject().is_some(), session.key())))
        .unwrap();
    writeln!(seen, "printed: {request:?}").unwrap();
    seen
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
