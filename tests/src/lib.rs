//! Tests of whole requests: all of them are in `it/`. Here the front page and the READMEs of the crates are compiled (that
//! of bearer-testing in its own crate), and what must not compile is tried.

#[cfg(doctest)]
mod misuse;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../../crates/tower-bearer/README.md")]
mod tower_bearer_readme {}

#[cfg(doctest)]
#[doc = include_str!("../../crates/axum-bearer/README.md")]
mod axum_bearer_readme {}

#[cfg(doctest)]
#[doc = include_str!("../../crates/bearer-jwks/README.md")]
mod bearer_jwks_readme {}

#[cfg(doctest)]
#[doc = include_str!("../../crates/bearer-session/README.md")]
mod bearer_session_readme {}
