//! Whole requests with tokens and cookies that others made: real packages of the JavaScript world, run by Node.js.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod better_auth;
mod jose;
mod node;
mod oidc_provider;
mod session_cookies;
mod supabase_js;
mod supabase_lite;
mod supabase_ssr;

#[allow(dead_code, reason = "the tests of bearer-session use the rest")]
#[path = "../../crates/bearer-session/tests/web/browser.rs"]
mod browser;

#[allow(dead_code, reason = "the other binary uses the rest")]
#[path = "../it/support"]
mod support {
    pub(crate) mod answer;
    pub(crate) mod app;
    pub(crate) mod challenge;
    pub(crate) mod keys;
}
