//! Better Auth: the tokens of its `jwt` plugin, and sessions at its OAuth provider.

use crate::{
    node,
    support::app::{app, bearer},
};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{
        Request, StatusCode,
        header::{ACCEPT, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE},
        request::Builder,
    },
    routing::get,
};
use axum_bearer::{
    Algorithm, AuthUser, BearerLayer, Connect as _, Issuer, LogoutReceiver, RegisteredClaims, Verify as _,
    revocation::{DenyList, WhenUnsure},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use bearer_session::{
    CsrfLayer, Keyring, RefreshToken, RouteOptions, Secret, SessionErrorKind, SessionLayer, Sessions,
    TokenSet,
    endpoint::{
        CodeExchange, OAuthClient, OAuthEndpoint, OnBehalf, Outcome, PkceVerifier, SignIn as _,
        SignInRequest, SignOutRequest, TokenEndpoint as _,
    },
    keeping::OpaqueCookie,
    store::MemoryStore,
};
use reqwest::{Client, Url, redirect::Policy};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};
use tokio::{process::Child, task::JoinSet};
use tower::ServiceExt as _;
use tower_bearer::Reason;

const NOBODY: OnBehalf = OnBehalf::client(None);

/// The server, as long as it is needed.
struct Server {
    _process: Child,
    about: About,
    http: Client,
}

#[derive(Deserialize)]
struct About {
    /// Whose name the tokens of the `jwt` plugin have, as their audience too.
    origin: String,
    /// Whose name the tokens of the OAuth provider have.
    issuer: String,
    /// What the names of all resources begin with; the name of an algorithm follows.
    api: String,
    algorithms: Vec<String>,
    callback: String,
    signed_out: String,
    /// Ada, and her session at the server: for its plugin `bearer`, and the cookie in which it keeps a copy.
    subject: String,
    session: String,
    cookie: String,
    client: Registered,
}

#[derive(Deserialize)]
struct Registered {
    id: String,
    secret: String,
}

impl Server {
    async fn start() -> Option<Self> {
        let (process, about) = node::serve("better_auth.mjs").await?;
        let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Some(Self { _process: process, about, http })
    }

    /// The issuer of the tokens of the `jwt` plugin, for this audience.
    fn plugin(&self, audience: &str) -> Issuer {
        let About { origin, issuer, .. } = &self.about;
        Issuer::new(origin, audience).jwks_uri(format!("{issuer}/jwks"))
    }

    /// The issuer of the access tokens for this resource, whose metadata says where its keys are.
    fn provider(&self, resource: &str) -> Issuer {
        Issuer::new(&self.about.issuer, self.resource(resource)).rfc9068()
    }

    fn resource(&self, name: &str) -> String {
        format!("{}{name}", self.about.api)
    }

    /// Asks as Ada's browser.
    async fn ask(&self, path: &str) -> Value {
        let location = format!("{}{path}", self.about.origin);
        let answer = self.http.get(&location).bearer_auth(&self.about.session).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{location}");
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// A token of the `jwt` plugin.
    async fn token(&self) -> String {
        self.ask("/api/auth/token").await["token"].as_str().unwrap().to_owned()
    }

    /// How often this refresh token was presented.
    async fn presentations_of(&self, token: &str) -> u64 {
        self.ask("/presentations").await[token].as_u64().unwrap_or_default()
    }

    /// As this server's client, whose access tokens are for this resource, if it asks for one.
    async fn endpoint(&self, resource: Option<&str>) -> OAuthEndpoint {
        let Registered { id, secret } = &self.about.client;
        let client = OAuthClient::secret_basic(id.as_str(), Secret::new(secret.as_str()));
        let endpoint = OAuthEndpoint::discover(&self.about.issuer, client).await.unwrap();
        let endpoint = endpoint.scope("openid offline_access orders:read");
        match resource {
            Some(name) => endpoint.authorization_parameter("resource", self.resource(name)),
            None => endpoint,
        }
    }

    /// Where on our site a browser is in the end that leaves for the server, and signs in there on the way.
    async fn sends_back(&self, leaving_for: &str) -> Url {
        let mut location = Url::parse(leaving_for).unwrap();
        while location.as_str().starts_with(&self.about.origin) {
            let answer = self.http.get(location.clone()).header(ACCEPT, "text/html").send().await.unwrap();
            location = location.join(answer.headers()[LOCATION].to_str().unwrap()).unwrap();
        }
        location
    }

    /// Tokens of a sign-in of their own.
    async fn sign_in(&self, endpoint: &OAuthEndpoint) -> TokenSet {
        let (pkce, callback) = (PkceVerifier::generate(), &self.about.callback);
        let challenge = pkce.challenge();
        let request = SignInRequest::new(callback, "state", &challenge, "nonce");
        let back = self.sends_back(&endpoint.authorization_url(&request).unwrap()).await;
        let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
        let exchange = CodeExchange::new(&code, &pkce, callback, "nonce");
        endpoint.exchange_code(exchange, NOBODY).await.unwrap()
    }
}

async fn gate(issuer: Issuer) -> Router {
    app(BearerLayer::new(issuer.connect().await.unwrap()))
}

fn sessions_at(endpoint: &OAuthEndpoint) -> Sessions {
    Sessions::builder(endpoint.clone(), MemoryStore::new(9), Keyring::random()).build()
}

fn header(token: &str) -> Value {
    let header = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&header).unwrap()
}

#[tokio::test]
async fn a_token_of_the_jwt_plugin_passes_at_its_own_origin_alone() {
    let Some(server) = Server::start().await else { return };
    let token = server.token().await;
    let answer = bearer(&gate(server.plugin(&server.about.origin)).await, &token).await;
    answer.assert_passed("at home");
    assert_eq!(answer.body, server.about.subject);

    let elsewhere = gate(server.plugin("https://api.example")).await;
    bearer(&elsewhere, &token).await.assert_invalid("another audience", Reason::Audience);
    let provider = gate(server.provider("EdDSA")).await;
    bearer(&provider, &token).await.assert_invalid("the same keys", Reason::UnknownIssuer);
    let sessions = gate(server.plugin("better-auth:session-cache")).await;
    let cookie = bearer(&sessions, &server.about.cookie).await;
    cookie.assert_invalid("the server's own copy of a session", Reason::TokenType);
}

#[tokio::test]
async fn access_tokens_of_every_algorithm_pass_at_their_own_resource_and_at_no_other() {
    let Some(server) = Server::start().await else { return };
    let elsewhere = gate(server.provider("elsewhere")).await;
    assert_eq!(server.about.algorithms.len(), 5);
    for alg in &server.about.algorithms {
        let tokens = server.sign_in(&server.endpoint(Some(alg)).await).await;
        let token = tokens.access_token.expose();
        assert_eq!(header(token)["alg"], **alg);
        let here = server.provider(alg).algorithms([Algorithm::from_name(alg).unwrap()]);
        let answer = bearer(&gate(here).await, token).await;
        answer.assert_passed(alg);
        assert_eq!(answer.body, server.about.subject, "{alg}");
        let verified = answer.verified.unwrap();
        assert!(verified.registered().scopes.contains("orders:read"), "{alg}");
        assert_eq!(verified.registered().client_id.as_ref(), Some(&server.about.client.id), "{alg}");
        bearer(&elsewhere, token).await.assert_invalid(alg, Reason::Audience);
    }
}

#[tokio::test]
async fn what_is_no_access_token_is_refused_as_what_it_is() {
    let Some(server) = Server::start().await else { return };
    let tokens = server.sign_in(&server.endpoint(None).await).await;
    // Where the API goes by the client's name, nothing but what an ID token says tells what it is.
    let gate = gate(Issuer::new(&server.about.issuer, &*server.about.client.id)).await;
    for (name, token, reason) in [
        ("an access token for no resource", tokens.access_token.expose(), Reason::NotAJwt),
        ("a refresh token", tokens.refresh_token.as_ref().unwrap().expose(), Reason::NotAJwt),
        ("the token of a session", &server.about.session, Reason::NotAJwt),
        ("an ID token", tokens.id_token.as_ref().unwrap().expose(), Reason::NotAnAccessToken),
    ] {
        bearer(&gate, token).await.assert_invalid(name, reason);
    }
}

#[tokio::test]
async fn a_rotation_costs_no_good_token_anything() {
    let Some(server) = Server::start().await else { return };
    let (old, gate) = (server.token().await, gate(server.plugin(&server.about.origin)).await);
    bearer(&gate, &old).await.assert_passed("before");
    server.ask("/rotate").await;
    // The new key is made when it is first needed, so nobody can have seen it before.
    let new = server.token().await;
    assert_ne!(header(&new)["kid"], header(&old)["kid"]);
    bearer(&gate, &new).await.assert_passed("by the new key");
    bearer(&gate, &old).await.assert_passed("by the old one");
}

#[tokio::test]
async fn whoever_signs_out_there_is_refused_here() {
    let Some(server) = Server::start().await else { return };
    let endpoint = server.endpoint(Some("EdDSA")).await;
    let (tokens, others) = (server.sign_in(&endpoint).await, server.sign_in(&endpoint).await);
    let issuer = server.provider("EdDSA").logout_client(&*server.about.client.id);
    let list = DenyList::new(9);
    let verifier = issuer.connect().await.unwrap();
    let receiver: LogoutReceiver = LogoutReceiver::new(verifier.clone(), list.clone());
    let gate = app(BearerLayer::new(verifier.revocable(list, WhenUnsure::Refuse)));
    bearer(&gate, tokens.access_token.expose()).await.assert_passed("before");
    let (store, keyring) = (MemoryStore::new(9), || Keyring::new(&[7; 32]));
    let [here, elsewhere] = [store.clone(), store]
        .map(|store| Sessions::builder(endpoint.clone(), store, keyring()).heed_logouts().build());
    let session = here.create(tokens.clone()).await.unwrap();
    let another = here.create(others.clone()).await.unwrap();
    let receiver = receiver.on_logout(move |token| here.heed_logout(token));

    let request = SignOutRequest::new(tokens.id_token.as_ref()).back_to(&server.about.signed_out, "state");
    server.sends_back(&endpoint.sign_out_url(&request).unwrap()).await;
    let posted = server.ask("/logouts").await;
    let posted = posted.as_array().unwrap();
    assert_eq!(posted.len(), 1);
    let body = posted[0].as_str().unwrap().to_owned();
    let post = Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
    assert_eq!(receiver.oneshot(post.unwrap()).await.unwrap().status(), StatusCode::OK);
    bearer(&gate, tokens.access_token.expose()).await.assert_invalid("after", Reason::Revoked);
    bearer(&gate, others.access_token.expose()).await.assert_passed("of another session");
    let over = elsewhere.access(&session, NOBODY).await.unwrap_err();
    assert_eq!(over.kind(), SessionErrorKind::SignedOut);
    assert_eq!(elsewhere.access(&another, NOBODY).await.unwrap().token(), &others.access_token);
    assert!(elsewhere.refresh(&another, NOBODY).await.is_ok(), "it goes on there too");
}

#[tokio::test]
async fn fifty_requests_at_once_are_one_refresh() {
    let Some(server) = Server::start().await else { return };
    let endpoint = server.endpoint(Some("EdDSA")).await;
    let gate = gate(server.provider("EdDSA")).await;
    let mut tokens = server.sign_in(&endpoint).await;
    let (access, refresh) = (tokens.access_token.clone(), tokens.refresh_token.clone().unwrap());
    tokens.expires_in = Duration::ZERO;
    let sessions = sessions_at(&endpoint);
    let session = sessions.create(tokens).await.unwrap();
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let (sessions, session) = (sessions.clone(), session.clone());
        requests.spawn(async move { sessions.access(&session, NOBODY).await.unwrap() });
    }
    let answers = requests.join_all().await;
    assert_eq!(server.presentations_of(refresh.expose()).await, 1);
    assert_ne!(*answers[0].token(), access);
    assert!(answers.iter().all(|answer| answer.token() == answers[0].token()));
    bearer(&gate, answers[0].token().expose()).await.assert_passed("for the same resource");
}

#[tokio::test]
async fn a_refresh_token_that_comes_twice_ends_all_sessions_of_the_user_with_this_client() {
    let Some(server) = Server::start().await else { return };
    let endpoint = server.endpoint(None).await;
    let sessions = sessions_at(&endpoint);
    let other = sessions.create(server.sign_in(&endpoint).await).await.unwrap();
    let spent = server.sign_in(&endpoint).await.refresh_token.unwrap();
    let next = endpoint.refresh(&spent, NOBODY).await.unwrap().refresh_token.unwrap();
    assert_ne!(next, spent);
    for token in [&spent, &next] {
        let error = endpoint.refresh(token, NOBODY).await.unwrap_err();
        assert_eq!((error.outcome(), error.code()), (Outcome::Final, Some("invalid_grant")));
    }
    let error = sessions.refresh(&other, NOBODY).await.unwrap_err();
    assert_eq!(error.kind(), SessionErrorKind::SignedOut);
}

#[tokio::test]
async fn the_servers_limit_is_waited_for_and_signs_nobody_out() {
    let Some(server) = Server::start().await else { return };
    let endpoint = server.endpoint(None).await;
    let mut tokens = server.sign_in(&endpoint).await;
    let refresh = tokens.refresh_token.clone().unwrap();
    tokens.expires_in = Duration::ZERO;
    let sessions = sessions_at(&endpoint);
    let session = sessions.create(tokens).await.unwrap();
    // The sign-in was the first of the twenty that are allowed in a row.
    for _ in 1..20 {
        let error = endpoint.refresh(&RefreshToken::new("made up"), NOBODY).await.unwrap_err();
        assert_eq!(error.code(), Some("invalid_grant"));
    }
    let error = sessions.access(&session, NOBODY).await.unwrap_err();
    assert_eq!(error.kind(), SessionErrorKind::Unavailable);
    assert!(error.retry_after() > Some(Duration::from_secs(30)), "it asks for a minute: {error:?}");
    assert_eq!(server.presentations_of(refresh.expose()).await, 0);
    assert!(sessions.peek(&session).await.is_ok());
}

/// A browser on a site whose users sign in at the server.
struct Browser {
    site: Router,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    async fn new(server: &Server, endpoint: OAuthEndpoint) -> Self {
        let About { callback, signed_out, .. } = &server.about;
        let layer = SessionLayer::new(sessions_at(&endpoint), OpaqueCookie::new(), CsrfLayer::new());
        let options = RouteOptions::new(callback).unwrap().post_logout_redirect_uri(signed_out).unwrap();
        let routes = layer.routes(endpoint, options);
        let gate = BearerLayer::new(server.provider("EdDSA").connect().await.unwrap());
        let site = Router::new()
            .route("/me", get(async |user: AuthUser<RegisteredClaims>| user.sub.clone().unwrap()))
            .layer(gate.sign_in_page("/auth/sign-in").unwrap())
            .layer(layer)
            .nest("/auth", routes);
        Self { site, cookies: BTreeMap::new() }
    }

    /// Where a page leads, or else what it says.
    async fn open(&mut self, location: &str) -> Result<String, String> {
        self.send(Request::get(location.trim_start_matches("https://app.example"))).await
    }

    async fn send(&mut self, request: Builder) -> Result<String, String> {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header(ACCEPT, "text/html").header(COOKIE, pairs.join("; "));
        let answer = self.site.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        for line in answer.headers().get_all(SET_COOKIE) {
            let (name, rest) = line.to_str().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
        }
        if let Some(location) = answer.headers().get(LOCATION) {
            return Ok(location.to_str().unwrap().to_owned());
        }
        let body = to_bytes(answer.into_body(), 1 << 16).await.unwrap();
        Err(String::from_utf8(body.to_vec()).unwrap())
    }

    /// From a page of the site to the server, and to where the sign-in there leads.
    async fn sign_in(&mut self, server: &Server) -> Result<String, String> {
        let sign_in = self.open("/me").await.unwrap();
        let leaving_for = self.open(&sign_in).await?;
        let back = server.sends_back(&leaving_for).await;
        self.open(back.as_str()).await
    }
}

#[tokio::test]
async fn a_user_signs_in_here_and_out_here_and_there() {
    let Some(server) = Server::start().await else { return };
    let endpoint = server.endpoint(Some("EdDSA")).await;
    let mut browser = Browser::new(&server, endpoint).await;
    assert_eq!(browser.sign_in(&server).await.unwrap(), "/me");
    assert_eq!(browser.open("/me").await.unwrap_err(), server.about.subject);

    let leaving_for = browser.send(Request::post("/auth/logout?return_to=/bye")).await.unwrap();
    assert_eq!(server.ask("/logouts").await.as_array().unwrap().len(), 0);
    let back = server.sends_back(&leaving_for).await;
    assert_eq!(server.ask("/logouts").await.as_array().unwrap().len(), 1);
    assert_eq!(browser.open(back.as_str()).await.unwrap(), "/bye");
    assert_eq!(browser.open("/me").await.unwrap(), "/auth/sign-in?return_to=/me");
}

#[tokio::test]
async fn a_client_that_asks_for_no_resource_is_told_so_after_three_rounds() {
    let Some(server) = Server::start().await else { return };
    let endpoint = server.endpoint(None).await;
    let mut browser = Browser::new(&server, endpoint).await;
    for _ in 0..3 {
        assert_eq!(browser.sign_in(&server).await.unwrap(), "/me");
    }
    let told = browser.sign_in(&server).await.unwrap_err();
    assert!(told.contains("sign_in_loop"), "{told}");
}
