//! Mistakes that do not compile, each beside the twin that does: the two differ in the one line that is the mistake.
//!
//! # A proof cannot be made up
//!
//! Only `assertion` makes a `Verified`, so a search for that word finds every origin of a proof.
//! ```
//! use tower_bearer::{RegisteredClaims, Verified};
//! let verified = Verified::assertion(RegisteredClaims::default(), ());
//! ```
//! ```compile_fail,E0451
//! use tower_bearer::{RegisteredClaims, Verified};
//! let verified = Verified { challenge: None, ..Verified::assertion(RegisteredClaims::default(), ()) };
//! ```
//!
//! # An issuer is not a verifier
//!
//! A gate wants somebody who has keys, or fetches them.
//! ```
//! use tower_bearer::{Algorithm, BearerLayer, Issuer, JwtVerifier};
//! let issuer = Issuer::new("https://issuer.example", "https://api.example").hmac_secret(Algorithm::HS256, [7; 32]);
//! let gate = BearerLayer::new(JwtVerifier::new([issuer])?);
//! # Ok::<(), tower_bearer::ConfigError>(())
//! ```
//! ```compile_fail,E0277
//! use tower_bearer::{Algorithm, BearerLayer, Issuer, JwtVerifier};
//! let issuer = Issuer::new("https://issuer.example", "https://api.example").hmac_secret(Algorithm::HS256, [7; 32]);
//! let gate = BearerLayer::new(issuer);
//! # Ok::<(), tower_bearer::ConfigError>(())
//! ```
//!
//! # An audience is not optional
//!
//! ```
//! use tower_bearer::Issuer;
//! let issuer = Issuer::new("https://issuer.example", "https://api.example");
//! ```
//! ```compile_fail,E0061
//! use tower_bearer::Issuer;
//! let issuer = Issuer::new("https://issuer.example");
//! ```
//!
//! # A text is not a policy
//!
//! ```
//! use tower_bearer::{RequireLayer, policy::scope};
//! let layer = RequireLayer::new(scope("orders:read"));
//! ```
//! ```compile_fail,E0277
//! use tower_bearer::{RequireLayer, policy::scope};
//! let layer = RequireLayer::new("orders:read");
//! ```
//!
//! # A closure that answers a bool is not a policy
//!
//! It would leave open what the client is told.
//! ```
//! use tower_bearer::{AuthError, RequireLayer, Verified};
//! let layer = RequireLayer::new(|verified: &Verified| {
//!     verified.subject().is_some().then_some(()).ok_or(AuthError::forbidden("no subject"))
//! });
//! ```
//! ```compile_fail,E0271
//! use tower_bearer::{AuthError, RequireLayer, Verified};
//! let layer = RequireLayer::new(|verified: &Verified| {
//!     verified.subject().is_some()
//! });
//! ```
//!
//! # What is no scope does not become a type
//!
//! ```
//! axum_bearer::scopes! { pub OrdersRead = "orders:read"; }
//! ```
//! ```compile_fail,E0080
//! axum_bearer::scopes! { pub OrdersRead = "orders read"; }
//! ```
//!
//! # A handler's requirement is a requirement
//!
//! ```
//! use axum_bearer::Authorized;
//! axum_bearer::scopes! { pub OrdersRead = "orders:read"; }
//! let app: axum::Router = axum::Router::new().route("/", axum::routing::get(orders));
//! async fn orders(user: Authorized<OrdersRead>) {}
//! ```
//! ```compile_fail,E0277
//! use axum_bearer::Authorized;
//! pub struct OrdersRead;
//! let app: axum::Router = axum::Router::new().route("/", axum::routing::get(orders));
//! async fn orders(user: Authorized<OrdersRead>) {}
//! ```
//!
//! # A guarded route names its policy
//!
//! ```
//! use axum_bearer::{GuardedRouter, policy::scope};
//! let router: GuardedRouter = GuardedRouter::new()
//!     .route("/orders", scope("orders:read"), axum::routing::get(async || "orders"));
//! ```
//! ```compile_fail,E0061
//! use axum_bearer::{GuardedRouter, policy::scope};
//! let router: GuardedRouter = GuardedRouter::new()
//!     .route("/orders", axum::routing::get(async || "orders"));
//! ```
//!
//! # A guarded router serves nothing without its gate
//!
//! ```
//! use axum_bearer::{Algorithm, BearerLayer, GuardedRouter, Issuer, JwtVerifier};
//! # let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, [7; 32]);
//! let gate = BearerLayer::new(JwtVerifier::new([issuer])?);
//! let router = GuardedRouter::<()>::new().behind(gate);
//! let service = router.into_make_service();
//! # Ok::<(), axum_bearer::ConfigError>(())
//! ```
//! ```compile_fail,E0599
//! use axum_bearer::{Algorithm, BearerLayer, GuardedRouter, Issuer, JwtVerifier};
//! # let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, [7; 32]);
//! let gate = BearerLayer::new(JwtVerifier::new([issuer])?);
//! let router = GuardedRouter::<()>::new();
//! let service = router.into_make_service();
//! # Ok::<(), axum_bearer::ConfigError>(())
//! ```
//!
//! # What a snapshot of the keys shows does not leave it
//!
//! ```
//! use tower_bearer::keys::{self, KeySource};
//! let (_sink, source) = keys::channel();
//! let state: bool = source.with(|keys| keys.is_ready());
//! ```
//! ```compile_fail
//! use tower_bearer::keys::{self, KeySource};
//! let (_sink, source) = keys::channel();
//! let keys: &tower_bearer::keys::Snapshot = source.with(|keys| keys);
//! ```
