//! axum extractors over [`tower_bearer`]: a handler that asks for [`AuthUser`] runs only for a caller whose access
//! token was verified.
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
//! Everything of [`tower_bearer`] and [`bearer_jwks`] that an application names is here too.

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
pub use bearer_jwks::{self, Connect, ConnectError, Connector};
#[cfg(feature = "logout")]
#[doc(no_inline)]
pub use tower_bearer::LogoutReceiver;
#[doc(no_inline)]
pub use tower_bearer::{
    self, AccessToken, Algorithm, AuthError, AuthErrorKind, BearerLayer, ConfigError, Issuer, JwtVerifier,
    Observe, ProblemDetails, ProtectedResource, Reason, Refusal, RegisteredClaims, RequireLayer, ReturnPath,
    Source, StripRefreshTokensLayer, Verified, Verify, policy, revocation,
    supabase::{self, SupabaseClaims},
};
