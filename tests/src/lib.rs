//! Tests of whole requests: all of them are in `it/`. Here the front page is compiled.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

#[cfg(doctest)]
#[doc = include_str!("../../crates/bearer-jwks/README.md")]
mod bearer_jwks_readme {}

#[cfg(doctest)]
#[doc = include_str!("../../crates/bearer-testing/README.md")]
mod bearer_testing_readme {}
