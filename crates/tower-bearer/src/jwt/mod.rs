//! Access tokens that are JWTs: the rules (RFC 7515, 7518, 7519, 8725, 9068), each in the file of its
//! subject.
//!
//! A token goes through [`compact`] (three strict segments), [`header`] (what it says of itself), [`payload`]
//! (what it claims), the rules of its [`Issuer`], and only then through [`signature`] with a key of that
//! issuer.

mod algorithm;
mod application;
mod cache;
mod claims;
mod compact;
mod first_tokens;
mod header;
mod issuer;
mod issuers;
mod json;
mod judge;
mod logout;
mod payload;
mod public_key;
mod receipt;
mod rules;
mod seen;
pub(crate) mod signature;
mod times;
mod verifier;
mod waiting;

pub use algorithm::Algorithm;
pub use cache::TokenCache;
pub use claims::{Audience, RegisteredClaims, Scopes};
pub use issuer::Issuer;
pub use logout::{LogoutToken, VerifyLogoutToken};
pub use verifier::JwtVerifier;
pub use waiting::WaitForKeys;

pub(crate) use issuer::LONGEST_LEEWAY;
pub(crate) use json::{Members, Text, from_object};
pub(crate) use payload::Payload;
pub(crate) use receipt::Receipt;

/// What a token is asked to be. No token is two of them (RFC 8725 §3.12).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TokenKind {
    Access,
    Logout,
}
