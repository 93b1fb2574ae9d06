//! Sign-in on the server that survives parallel requests, several instances and a crash: the one owner of
//! refresh tokens.
//!
//! A browser has a cookie; the tokens of its session lie in a store. For each request, [`SessionLayer`] asks
//! the owner, [`Sessions`], for an access token that lives, and hands it to the gate (`tower-bearer`) as the
//! credential of the request. The gate verifies it as any other, and knows nothing of this crate.
//! [`session_routes`] sign users in and out; [`SessionLayer::routes`] are those that go with a layer.
//!
//! ```
//! use axum::{Router, body::Body, http::{Request, StatusCode, header::{COOKIE, SET_COOKIE}}, routing::get};
//! use axum_bearer::{AuthUser, BearerLayer, Connect as _, Issuer, supabase::SupabaseClaims};
//! use bearer_session::{
//!     CsrfLayer, Keyring, RouteOptions, SessionLayer, Sessions, endpoint::SupabaseEndpoint, keeping::OpaqueCookie,
//!     store::MemoryStore,
//! };
//! use tower::ServiceExt as _;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let supabase = bearer_testing::TestSupabase::start().await;
//! # supabase.add_user("ada@example.com", "correct horse");
//! # let (project_url, key) = (supabase.project_url(), "sb_publishable_1");
//! let endpoint = SupabaseEndpoint::new(project_url, key)?.provider("github");
//! let sessions = Sessions::builder(endpoint.clone(), MemoryStore::new(10_000), Keyring::random()).build();
//! let layer = SessionLayer::new(sessions, OpaqueCookie::new(), CsrfLayer::new());
//! let options = RouteOptions::new("https://app.example/auth/callback")?;
//! let routes = layer.routes(endpoint, options);
//!
//! let app = Router::new()
//!     .route("/me", get(async |user: AuthUser<SupabaseClaims>| user.sub.clone()))
//!     .layer(BearerLayer::new(Issuer::supabase(project_url)?.connect().await?).sign_in_page("/auth/sign-in")?)
//!     .layer(layer) // last: around the gate
//!     .nest("/auth", routes);
//!
//! let sign_in = Request::post("/auth/password").header("content-type", "application/json");
//! let sign_in = sign_in.body(Body::from(r#"{"email":"ada@example.com","password":"correct horse"}"#))?;
//! let answer = app.clone().oneshot(sign_in).await?;
//! let cookie = answer.headers()[SET_COOKIE].to_str()?.split(';').next().unwrap_or_default();
//!
//! let page = Request::get("/auth/sign-in").header("accept", "text/html").body(Body::empty())?;
//! assert_eq!(app.clone().oneshot(page).await?.status(), StatusCode::SEE_OTHER); // to GitHub, by way of the issuer
//! let me = Request::get("/me").header(COOKIE, cookie).body(Body::empty())?;
//! assert_eq!(app.clone().oneshot(me).await?.status(), StatusCode::OK);
//! let stranger = Request::get("/me").body(Body::empty())?;
//! assert_eq!(app.oneshot(stranger).await?.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```
//!
//! # What holds, whatever happens
//!
//! Each has a test that tries to break it, in `tests/web`; the simulation in `tests/simulation` tries all of
//! them together.
//!
//! 1. A refresh token is sent to the issuer at most once, whatever the number of parallel requests, tasks and
//!    instances; all who wait get the same new pair. The exception is an answer that was lost, at an issuer
//!    that allows for it. `a_refresh_token_is_sent_once_by_all_processes_together`,
//!    `a_thousand_requests_on_one_expired_session_are_one_exchange`
//! 2. A token older than the newest that is known is never sent, and cannot be put back.
//!    `a_process_with_an_older_copy_presents_no_older_token`,
//!    `tabs_that_lag_behind_are_led_to_the_newest_pair`
//! 3. New tokens are stored before anybody gets them. `no_answer_has_new_tokens_that_are_not_stored`
//! 4. A refresh token is in no log, error, `Debug` or body, and not within a handler's reach; at rest it is
//!    encrypted. `neither_tokens_nor_ids_get_out_in_a_whole_life`
//! 5. What passes and what is final are told apart: nobody is signed out by a failure that passes, and a
//!    session that the issuer ended is over once. `a_failure_that_passes_signs_nobody_out`,
//!    `an_issuer_that_ends_the_session_ends_it_here_once`
//! 6. A store that cannot be reached never turns into a token spent twice: nothing is refreshed, and access
//!    tokens serve while they live. `a_store_that_is_cut_off_stops_refreshing_and_nothing_else`

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(all(feature = "axum", feature = "http", feature = "redis"))]
#[doc = include_str!("../cookbook.md")]
pub mod _cookbook {}
pub mod endpoint;
mod id;
mod id_claims;
pub mod keeping;
mod labels;
mod layer;
mod owner;
mod random;
mod record;
mod revocation;
#[cfg(feature = "axum")]
mod routes;
mod seal;
mod secret;
mod seldom;
mod sources;
pub mod store;
mod token_response;
mod tokens;
mod unverified;

pub use self::{
    id::SessionId,
    id_claims::InvalidIdTokenClaims,
    layer::{CurrentSession, SessionFuture, SessionLayer, SessionService},
    owner::{
        Access, ReplaceError, SessionError, SessionErrorKind, SessionEvent, SessionEvents, Sessions,
        SessionsBuilder, SignedOut, Who,
    },
    revocation::revoke_in,
    seal::{InvalidSealingKey, Keyring},
    secret::Secret,
    token_response::InvalidTokenResponse,
    tokens::{AccessToken, RefreshToken, TokenSet},
};

/// What says which sites may use a session: that of tower-http 0.7. Another version's is another type.
#[doc(no_inline)]
pub use tower_http::csrf::CsrfLayer;

#[cfg(feature = "axum")]
pub use self::layer::SessionRejection;
#[cfg(feature = "axum")]
pub use self::routes::{InvalidRoutes, RouteOptions, session_routes};

/// A boxed future, as the traits of this crate return it: which store and which issuer there is, is chosen
/// when the program runs, and neither is asked on the path of an ordinary request.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
