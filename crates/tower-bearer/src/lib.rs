//! The bearer-token gate for Rust services: a Tower [`Layer`](tower_layer::Layer) that verifies access tokens
//! (JWT) and puts what it proved into the request extensions, for axum, tonic and hyper alike.
//!
//! * [`BearerLayer`] takes one [`Credential`] from the request head (the `Authorization` header, and each
//!   [`Source`] that is switched on), asks a [`Verify`], and either hands the request on with [`Verified`] in
//!   its extensions or answers it (RFC 6750 §3).
//! * [`JwtVerifier`] is that verifier for JWTs of one or several [`Issuer`]s; [here](_issuers) is how well-known
//!   ones are set up.
//! * [`RequireLayer`] holds verified callers to a [`policy`].
//! * [`ProtectedResource`] tells clients that know only a URL where to get a token (RFC 9728).
//! * [`revocation`] is asked about tokens that were good once; logout tokens of the issuer may feed it.
//! * [`keys`] are parsed when they are published, and swapped while requests go on; `bearer-jwks` fetches
//!   them.
//!
//! The gate only verifies: it never stores, forwards or spends a refresh token. An expired access token gets
//! a 401 that says so, upon which a client refreshes; no outage of the issuer makes a 401 of a token whose
//! key is known.
//!
//! ```
//! use tower_bearer::{Algorithm, BearerLayer, Issuer, JwtVerifier};
//!
//! let issuer = Issuer::new("https://issuer.example", "https://api.example");
//! let verifier = JwtVerifier::new([issuer.clone().hmac_secret(Algorithm::HS256, [7; 32])])?;
//! let layer = BearerLayer::new(verifier);
//!
//! assert!(JwtVerifier::new([issuer]).is_err(), "an issuer without keys or secret is a mistake");
//! # Ok::<(), tower_bearer::ConfigError>(())
//! ```
//!
//! # Logs
//!
//! Every refusal is one event of `tracing`, with `error.type`, `reason`, `issuer`, `error` and `source`: at
//! DEBUG those that are the caller's doing, at ERROR those of a service that is put together wrongly (500),
//! and at WARN those for want of keys and the like (503), and of good tokens whose claims do not fit the
//! application's type: one a second of each kind, the others at DEBUG, since all say the same. So it is with
//! tokens that are accepted [in doubt](revocation::WhenUnsure::Accept). A verifier that has accepted nothing
//! yet warns at its tenth refusal, and says what in the set-up may not be as in the tokens: once for tokens
//! that do not fit, once for what is no JWT. A gate around its own sign-in page warns too. No event
//! holds a piece of a token or another credential.
//!
//! # Cryptography
//!
//! The feature `aws-lc-rs` (default) verifies with aws-lc-rs; `rust-crypto` with the RustCrypto crates,
//! without a C compiler and without ES512. With both on, aws-lc-rs is used. Nothing depends on a process-wide
//! provider.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod challenge;
mod claims;
mod claims_set;
mod config;
mod credential;
mod error;
mod future;
mod gate;
#[doc = include_str!("../issuers.md")]
pub mod _issuers {}
mod jwt;
pub mod keys;
mod layer;
#[cfg(feature = "logout")]
mod logout;
mod observe;
mod pages;
pub mod policy;
mod preflight;
mod refresh_tokens;
mod refusal;
mod rejection;
mod relay;
mod require;
mod resource;
mod return_path;
pub mod revocation;
mod scope;
mod seldom;
mod service;
mod short_cut;
mod source;
pub mod supabase;
mod unauthenticated;
mod verify;

pub use config::ConfigError;
pub use credential::Credential;
pub use error::{AuthError, AuthErrorKind, Reason};
pub use future::BearerFuture;
pub use jwt::{
    Algorithm, Audience, Issuer, JwtVerifier, LogoutToken, RegisteredClaims, Scopes, TokenCache,
    VerifyLogoutToken, WaitForKeys,
};
pub use layer::BearerLayer;
#[cfg(feature = "logout")]
pub use logout::{LogoutFuture, LogoutReceiver};
pub use observe::{Accepted, Observe, Refused};
pub use refresh_tokens::{StripRefreshTokens, StripRefreshTokensLayer};
pub use refusal::Refusal;
pub use rejection::{EmptyRejection, ProblemDetails, Rejection};
pub use relay::RelayedToken;
pub use require::{Require, RequireFuture, RequireLayer};
pub use resource::{
    ProtectedResource, ResourceMetadata, ResourceMetadataFuture, ResourceMetadataLayer,
    ResourceMetadataService,
};
pub use return_path::ReturnPath;
pub use service::Bearer;
pub use source::Source;
#[cfg(feature = "cookies")]
pub use source::may_use_cookie;
/// What [`Source::cookie`] asks whether a request may use a cookie: that of tower-http 0.7. Another version's is
/// another type.
#[cfg(feature = "cookies")]
#[cfg_attr(docsrs, doc(cfg(feature = "cookies")))]
#[doc(no_inline)]
pub use tower_http::csrf::CsrfLayer;
pub use unauthenticated::Unauthenticated;
pub use verify::{Presented, Verification, VerificationFuture, Verified, Verify};
