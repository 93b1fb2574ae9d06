//! Tests of whole requests: all of them are in `it/`. Here the front page is compiled, and what must not compile is
//! tried.

#[cfg(doctest)]
mod misuse;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../../crates/bearer-jwks/README.md")]
mod bearer_jwks_readme {}

#[cfg(doctest)]
#[doc = include_str!("../../crates/bearer-testing/README.md")]
mod bearer_testing_readme {}

#[cfg(doctest)]
#[doc = include_str!("../../crates/bearer-session/README.md")]
mod bearer_session_readme {}
