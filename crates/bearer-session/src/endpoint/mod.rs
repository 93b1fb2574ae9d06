//! The issuer's side: [`TokenEndpoint`], and what its failures mean ([`ExchangeError`]).

mod error;

pub use self::error::{ExchangeError, Outcome};

use crate::{AccessToken, BoxFuture, RefreshToken, TokenSet};
use std::{fmt, net::IpAddr};

/// What to do with a refresh token when nobody knows whether it was spent: the answer timed out or broke off, or its
/// owner crashed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AfterUnknown {
    /// Present it once more: the issuer gives the same successor to whoever lost the answer (Supabase Auth).
    PresentAgain,
    /// Never present it again: the issuer would take that for theft and end the session. The access token serves until
    /// it expires, and then the session ends.
    FailClosed,
}

/// Which sessions of a user a sign-out ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SignOutScope {
    /// This one.
    #[default]
    Local,
    /// All but this one.
    Others,
    /// All.
    Global,
}

/// For whom something is asked of the issuer, which may limit rates by it.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnBehalf {
    /// The address of the user's client, where it is known and may be told.
    pub client: Option<IpAddr>,
}

/// Exchanges tokens at an issuer.
///
/// It makes one request and reports what came of it. It does not try again: when that is safe is known to the owner of
/// the session, who calls it.
pub trait TokenEndpoint: fmt::Debug + Send + Sync + 'static {
    /// Spends a refresh token (RFC 6749 §6).
    fn refresh<'a>(
        &'a self,
        token: &'a RefreshToken,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>>;

    /// Tells the issuer that a user signed out. What the issuer does not know any more is no error.
    fn sign_out<'a>(
        &'a self,
        access_token: &'a AccessToken,
        refresh_token: Option<&'a RefreshToken>,
        scope: SignOutScope,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<(), ExchangeError>>;

    /// What to do when nobody knows whether a refresh token was spent.
    fn after_unknown(&self) -> AfterUnknown;
}
