//! Whole requests through the gate, from the socket to the handler and back.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod advisories;
mod answers;
mod authorized;
mod extractors;
mod issuers;
mod jwks_faults;
mod logs;
mod multi_issuer;
mod policies;
mod readiness;
mod refresher;
mod revocation;
mod scenarios;
mod standards;
mod story;
mod supabase;
mod support;
mod ways;
