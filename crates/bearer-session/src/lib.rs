//! The one owner of refresh tokens, for those who must refresh on the server.
//!
//! A refresh token is spent at most once, whatever the number of parallel requests, tasks and instances; the gate
//! (tower-bearer) only verifies and knows nothing of this crate.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod endpoint;
mod id;
pub mod keeping;
mod layer;
mod owner;
mod random;
mod record;
mod revocation;
#[cfg(feature = "axum")]
mod routes;
mod seal;
mod secret;
pub mod store;
mod tokens;

pub use self::{
    id::SessionId,
    layer::{CurrentSession, SessionFuture, SessionLayer, SessionService},
    owner::{
        Access, SessionError, SessionErrorKind, SessionEvent, SessionEvents, Sessions, SessionsBuilder,
        SignedOut, Who,
    },
    revocation::revoke_in,
    seal::Keyring,
    secret::Secret,
    tokens::{AccessToken, RefreshToken, TokenSet},
};

#[cfg(feature = "axum")]
pub use self::routes::{InvalidRoutes, RouteOptions, session_routes};

/// A boxed future, as the traits of this crate return it: which store and which issuer there is, is chosen when the
/// program runs, and neither is asked on the path of an ordinary request.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
