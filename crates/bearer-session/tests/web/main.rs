//! Browsers, sessions and the gate, over a small Supabase Auth.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod begin;
mod browser;
mod callback;
mod cross_site;
mod events;
mod extract;
mod invariants;
mod layer;
mod log;
mod oauth;
mod order;
mod page_of_the_issuer;
mod routes;
mod secrets;
mod ssr;
mod store;
mod world;
