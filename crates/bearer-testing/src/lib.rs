//! A test issuer for services that take bearer tokens.
//!
//! - [`TestIssuer`] serves a JWK Set on `127.0.0.1`, signs tokens, rotates, fails, hangs and counts requests.
//! - [`ScriptedJwks`] does what it is told with each request for its keys: late, cut, endless or garbled
//!   answers, redirects, resets, or none at all.
//! - [`TokenBuilder`] starts from a good token; each method spoils or changes one thing.
//! - [`SigningKey`] signs with every [`Algorithm`] of JWS, and shows its public half as JWK, DER and PEM.
//! - [`TestSupabase`] is a small Supabase Auth: password login, PKCE, refresh rotation with reuse detection,
//!   logout, and a script of what goes wrong ([`TokenFault`]).
//! - [`TestOAuth`] is a small provider of OAuth 2 and OpenID Connect, whose refresh tokens are good once.
//!
//! Nothing here checks anything for a living: it makes what a verifier must accept and, above all, what it
//! must refuse. Never sign a production token with it.
//!
//! ```
//! use bearer_testing::{SigningKey, TestIssuer, verify_compact};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let issuer = TestIssuer::start().await;
//! let key = issuer.signing_key();
//!
//! // What a service should accept: its keys are at `issuer.jwks_uri()`.
//! let good = issuer.token().subject("ada").scope("orders:read").sign();
//! let claims = verify_compact(&key, &good).expect("signed by the issuer");
//! assert_eq!(claims["sub"], "ada");
//! assert_eq!(claims["iss"], issuer.issuer());
//!
//! // What it should refuse: a changed payload, a stranger's signature, a key confused with a secret.
//! let stranger = SigningKey::generate(key.algorithm()).kid("key-1");
//! let confused = SigningKey::hmac(bearer_testing::Algorithm::HS256, key.public_pem().as_bytes());
//! for bad in [
//!     issuer.token().tampered(),
//!     issuer.token().unsigned(),
//!     issuer.token().key(&stranger).sign(),
//!     issuer.token().key(&confused).sign(),
//! ] {
//!     assert!(verify_compact(&key, &bad).is_none());
//! }
//!
//! // The first key signs no more, and is still published.
//! let second = issuer.rotate();
//! assert_eq!(second.id(), Some("key-2"));
//! assert_eq!(issuer.jwks()["keys"].as_array().map(Vec::len), Some(2));
//! # }
//! ```
//!
//! The servers run as tasks of the current Tokio runtime, whose I/O and time must be enabled, as
//! `#[tokio::test]` does. They end when the last clone of their handle is dropped.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod algorithm;
mod clock;
mod compact;
mod endpoint;
mod fault;
mod issuer;
mod jwk;
mod key;
mod keyring;
mod material;
mod oauth;
mod pkce;
mod presentations;
mod query;
mod random;
mod scripted;
mod server;
mod supabase;
mod token;
mod token_fault;

#[cfg(test)]
mod client;

pub use algorithm::Algorithm;
pub use compact::{sign_compact, verify_compact};
pub use issuer::TestIssuer;
pub use key::SigningKey;
pub use oauth::{OAuthOptions, TestOAuth};
pub use scripted::{Recorded, ScriptedJwks, Step, Stop};
pub use supabase::{RefreshTokenVersion, SupabaseOptions, TestSupabase};
pub use token::TokenBuilder;
pub use token_fault::TokenFault;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
