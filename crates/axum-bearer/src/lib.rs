//! axum extractors over [`tower_bearer`]: a handler that asks for [`AuthUser`] runs only for a caller whose
//! access token was verified.
//!
//! ```
//! use axum::{Router, body::Body, http::{Request, StatusCode}, routing::get};
//! use axum_bearer::{Algorithm, AuthUser, BearerLayer, Issuer, JwtVerifier, RegisteredClaims};
//! use tower::ServiceExt;
//! # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
//!
//! async fn me(user: AuthUser<RegisteredClaims>) -> String {
//!     user.sub.clone().unwrap_or_default()
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let secret = [7; 32];
//! let verifier = JwtVerifier::new([
//!     Issuer::new("https://issuer.example", "https://api.example").hmac_secret(Algorithm::HS256, secret),
//! ])?;
//! let app = Router::new().route("/me", get(me)).layer(BearerLayer::new(verifier));
//!
//! # let key = SigningKey::hmac(Alg::HS256, &secret);
//! # let token = TokenBuilder::new(&key, "https://issuer.example", "https://api.example").sign();
//! let request = Request::get("/me").header("authorization", format!("Bearer {token}")).body(Body::empty())?;
//! assert_eq!(app.clone().oneshot(request).await?.status(), StatusCode::OK);
//!
//! let stranger = Request::get("/me").body(Body::empty())?;
//! assert_eq!(app.oneshot(stranger).await?.status(), StatusCode::UNAUTHORIZED);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `AuthUser` alone is `AuthUser<SupabaseClaims>`, for [`Issuer::supabase`]. Elsewhere write
//! `AuthUser<RegisteredClaims>` or your own type, that of [`Issuer::claims`]. The same goes for [`Authorized`].
//!
//! # Who may do what
//!
//! Whatever stands inside of the gate is for verified callers alone. What they may do there can be said in
//! four places, all in the same words, those of [`policy`]:
//!
//! | | when |
//! |---|---|
//! | [`AuthUser`] | any caller who is signed in will do, and the handler wants to know who it is |
//! | [`Authorized`] | one handler has a requirement: it stands in its signature, and goes where the handler goes |
//! | [`RequireLayer`] | many routes have one, or a service that is no handler |
//! | [`GuardedRouter`] | an API, in which a route without a policy shall not compile |
//!
//! ```
//! use axum::{Router, body::Body, http::{Request, StatusCode}, routing::get};
//! use axum_bearer::{Authorized, AuthUser, BearerLayer, RegisteredClaims, RequireLayer, policy::{deny, scope}};
//! # use axum_bearer::{Algorithm, Issuer, JwtVerifier};
//! # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
//! # use tower::ServiceExt;
//!
//! axum_bearer::scopes! { OrdersRead = "orders:read"; }
//!
//! async fn me(user: AuthUser<RegisteredClaims>) -> String {
//!     user.sub.clone().unwrap_or_default()
//! }
//! async fn orders(_: Authorized<OrdersRead, RegisteredClaims>) {}
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! # let secret = [7; 32];
//! # let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, secret);
//! # let verifier = JwtVerifier::new([issuer])?;
//! let reports = Router::new().route("/", get(async || "reports")).layer(RequireLayer::new(scope("reports")));
//! let app = Router::new()
//!     .route("/me", get(me))
//!     .route("/orders", get(orders))
//!     .nest("/reports", reports)
//!     .route("/payouts", get(async || "payouts").layer(RequireLayer::new(deny())))
//!     .fallback(async || StatusCode::NOT_FOUND)
//!     .layer(BearerLayer::new(verifier));
//!
//! # let token = TokenBuilder::new(&SigningKey::hmac(Alg::HS256, &secret), "https://issuer.example", "api")
//! #     .scope("orders:read").sign();
//! for (path, stranger, reader_of_orders) in
//!     [("/me", 401, 200), ("/orders", 401, 200), ("/reports", 401, 403), ("/payouts", 401, 403), ("/x", 401, 404)]
//! {
//!     let request = || Request::get(path);
//!     assert_eq!(app.clone().oneshot(request().body(Body::empty())?).await?.status(), stranger, "{path}");
//!     let request = request().header("authorization", format!("Bearer {token}")).body(Body::empty())?;
//!     assert_eq!(app.clone().oneshot(request).await?.status(), reader_of_orders, "{path}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | caller | status | what the challenge tells a client to do |
//! |---|---|---|
//! | has no credential | 401 | sign in |
//! | has a bad one | 401 `invalid_token` | refresh, or sign in |
//! | lacks a scope | 403 `insufficient_scope` | ask for the `scope` |
//! | signed in too weakly, or too long ago | 401 `insufficient_user_authentication` | sign in again, as `acr_values` and `max_age` say |
//! | is not permitted for another reason | 403 | nothing: no token of this caller's would do |
//! | cannot be judged now | 503 | nothing: try again after `Retry-After` |
//! | is good, but the handler needs a gate, or claims, that the service was not set up with | 500 | nothing: the mistake is ours |
//!
//! To deny by default:
//!
//! * Take a [`GuardedRouter`] where you can. It also tells strangers nothing about which paths there are.
//! * With a plain `Router`, add the gate last, for
//!   [`layer`](https://docs.rs/axum/0.8/axum/struct.Router.html#method.layer) is around what was added before
//!   it; and set a fallback explicitly: axum's default one may end up outside of the gate when routers are
//!   merged.
//! * [`policy::deny`] holds a route that nobody has decided about. A requirement of nothing, such as an empty
//!   list of scopes, panics when it is made: it would permit everybody.
//! * What depends on the data, such as whose order it is, the handler decides, and answers with
//!   [`AuthUser::refuse`].
//!
//! # In your tests
//!
//! Routes without their gate take a caller who was never verified: a [`Verified`] in the request's extensions,
//! which [`Verified::assertion`] makes of any claims. [`SupabaseClaims`] come from JSON. What policies on other
//! claims look at, such as roles, comes with [`Verified::with_json`].
//!
//! What the gate itself refuses takes tokens: the crate `bearer-testing` signs good and bad ones, and is an
//! issuer to fetch keys from.
//!
//! ```
//! use axum::{Extension, Router, body::Body, http::{Request, StatusCode}, routing::get};
//! use axum_bearer::{Algorithm, AuthUser, BearerLayer, Issuer, JwtVerifier, RegisteredClaims, RequireLayer, Verified};
//! use axum_bearer::policy::{role, scope};
//! use bearer_testing::{SigningKey, TokenBuilder};
//! use tower::ServiceExt;
//!
//! // The application.
//! fn routes() -> Router {
//!     let orders = async |user: AuthUser<RegisteredClaims>| user.sub.clone().unwrap_or_default();
//!     Router::new()
//!         .route("/orders", get(orders).layer(RequireLayer::new(scope("orders:read"))))
//!         .route("/admin", get(async || "").layer(RequireLayer::new(role("admin").at("realm_access.roles"))))
//! }
//!
//! fn app(verifier: JwtVerifier) -> Router {
//!     routes().layer(BearerLayer::new(verifier))
//! }
//!
//! // Its tests.
//! fn caller(scope: &str, roles: &str) -> Extension<Verified> {
//!     let mut claims = RegisteredClaims::default();
//!     claims.sub = Some("ada".to_owned());
//!     claims.scopes = [scope].into_iter().collect();
//!     let json = format!(r#"{{"realm_access":{{"roles":{roles}}}}}"#);
//!     Extension(Verified::assertion(claims.clone(), claims).with_json(json))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! for (path, caller, status) in [
//!     ("/orders", caller("orders:read", "[]"), StatusCode::OK),
//!     ("/orders", caller("profile", "[]"), StatusCode::FORBIDDEN),
//!     ("/admin", caller("profile", r#"["admin"]"#), StatusCode::OK),
//!     ("/admin", caller("profile", r#"["user"]"#), StatusCode::FORBIDDEN),
//! ] {
//!     let request = Request::get(path).body(Body::empty())?;
//!     assert_eq!(routes().layer(caller).oneshot(request).await?.status(), status, "{path}");
//! }
//!
//! // And through the gate.
//! let secret = [7; 32];
//! let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, secret);
//! let key = SigningKey::hmac(bearer_testing::Algorithm::HS256, &secret);
//! let token = TokenBuilder::new(&key, "https://issuer.example", "api").subject("ada").scope("orders:read");
//! let app = app(JwtVerifier::new([issuer])?);
//! for (token, status) in [(token.clone().sign(), StatusCode::OK), (token.expired().sign(), StatusCode::UNAUTHORIZED)] {
//!     let request = Request::get("/orders").header("authorization", format!("Bearer {token}"));
//!     assert_eq!(app.clone().oneshot(request.body(Body::empty())?).await?.status(), status);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Other names
//!
//! What most applications name of [`tower_bearer`] and [`bearer_jwks`] is here too; the rest is under these
//! names.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod auth_user;
mod authorized;
#[cfg(feature = "router")]
mod guarded;
mod rejection;

pub use auth_user::AuthUser;
pub use authorized::{Authorized, Requirement};
#[cfg(feature = "router")]
pub use guarded::GuardedRouter;
pub use rejection::AuthRejection;

#[doc(no_inline)]
pub use bearer_jwks::{
    self, Connect, ConnectError, Connector, DynamicVerifier, ResolveIssuer, Schedule, Status,
};
#[cfg(feature = "cookies")]
#[doc(no_inline)]
pub use tower_bearer::CsrfLayer;
#[cfg(feature = "logout")]
#[doc(no_inline)]
pub use tower_bearer::LogoutReceiver;
#[doc(no_inline)]
pub use tower_bearer::{
    self, Accepted, Algorithm, Audience, AuthError, AuthErrorKind, BearerLayer, ConfigError, Issuer,
    JwtVerifier, Observe, Presented, ProblemDetails, ProtectedResource, Reason, Refusal, Refused,
    RegisteredClaims, Rejection, RelayedToken, RequireLayer, ReturnPath, Scopes, Source,
    StripRefreshTokensLayer, TokenCache, Verification, Verified, Verify, keys, policy, revocation,
    supabase::{self, SupabaseClaims},
};
