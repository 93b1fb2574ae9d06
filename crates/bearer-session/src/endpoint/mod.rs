//! The issuer's side: [`TokenEndpoint`] and [`SignIn`], and what their failures mean ([`ExchangeError`]).
//!
//! [`SupabaseEndpoint`] is Supabase Auth, and [`OAuthEndpoint`] any issuer of OAuth 2 or OpenID Connect
//! (feature `http`). Both make one request per call: over `https` (`http` only on this machine, or where that
//! was allowed), on a connection of its own, without following redirects, with a bounded time and a bounded
//! answer. Nothing of a request or an answer is ever logged.
//!
//! # What an answer means
//!
//! | answer | a refresh token is |
//! |---|---|
//! | 2xx with tokens | exchanged |
//! | 4xx with a code of the issuer that is about the token or its session, such as `invalid_grant` | refused: [`Final`](Outcome::Final) |
//! | no connection; other 4xx (409, 429, a gateway's own); 307, 308; 503 with `Retry-After` | [`NotSpent`](Outcome::NotSpent) |
//! | all else: 5xx, a time-out, a reset, 2xx that cannot be read | [`Unknown`](Outcome::Unknown) |
//!
//! Some issuers say of a token that is over no more than 400, or a code such as `invalid_request`, where
//! `invalid_grant` belongs (RFC 6749 §5.2). From one answer nobody can tell that from a failure that passes. So
//! after half a minute of them, and once the access token has expired, the user is sent to sign in again;
//! the session and its cookie [stay](crate::SessionError::keeps_cookie).

#[cfg(feature = "http")]
mod answer;
#[cfg(feature = "http")]
mod budget;
#[cfg(feature = "http")]
mod client;
#[cfg(feature = "http")]
mod discovery;
mod error;
#[cfg(feature = "http")]
mod http_client;
#[cfg(feature = "http")]
mod id_token;
#[cfg(feature = "http")]
mod location;
#[cfg(feature = "http")]
mod oauth;
mod pkce;
#[cfg(feature = "http")]
mod retry_after;
mod sign_in;
#[cfg(feature = "http")]
mod supabase;

#[cfg(feature = "http")]
pub use self::{
    budget::RateBudget, client::OAuthClient, location::InvalidEndpoint, oauth::OAuthEndpoint,
    supabase::SupabaseEndpoint,
};
#[cfg(feature = "axum")]
pub(crate) use self::{error::is_code, sign_in::is_free};
pub use self::{
    error::{ExchangeError, Outcome},
    pkce::PkceVerifier,
    sign_in::{CodeExchange, SignIn, SignInRequest, SignOutRequest},
};

use crate::{AccessToken, BoxFuture, RefreshToken, TokenSet};
use std::{fmt, net::IpAddr, sync::Arc};

/// What to do with a refresh token when nobody knows whether it was spent: the answer timed out or broke off,
/// or its owner crashed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AfterUnknown {
    /// Present it once more: the issuer gives the same successor to whoever lost the answer (Supabase Auth).
    PresentAgain,
    /// Never present it again: the issuer would take that for theft and end the session. The access token
    /// serves until it expires, and then the session ends.
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

/// For whom something is asked of the issuer, which may limit rates by it, and how much hangs on it.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct OnBehalf {
    /// The address of the user's client, where it is known and may be told.
    pub client: Option<IpAddr>,
    /// Whether all goes on without it: an endpoint that counts its requests keeps some of them for what
    /// cannot wait.
    pub can_wait: bool,
}

impl OnBehalf {
    /// A user whose client has this address, if that is known.
    pub const fn client(address: Option<IpAddr>) -> Self {
        Self { client: address, can_wait: false }
    }

    /// The same, for something without which all goes on.
    #[must_use]
    pub const fn that_can_wait(self) -> Self {
        Self { can_wait: true, ..self }
    }
}

/// Exchanges tokens at an issuer.
///
/// It makes one request and reports what came of it. It does not try again: when that is safe is known to the
/// owner of the session, who calls it.
pub trait TokenEndpoint: fmt::Debug + Send + Sync + 'static {
    /// Spends a refresh token (RFC 6749 §6).
    fn refresh<'a>(
        &'a self,
        token: &'a RefreshToken,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>>;

    /// Tells the issuer that a user signed out. What the issuer does not know any more is no error; a scope
    /// that it does not know is one. See [`ends_other_sessions`](Self::ends_other_sessions).
    fn sign_out<'a>(
        &'a self,
        access_token: &'a AccessToken,
        refresh_token: Option<&'a RefreshToken>,
        scope: SignOutScope,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<(), ExchangeError>>;

    /// What to do when nobody knows whether a refresh token was spent.
    fn after_unknown(&self) -> AfterUnknown;

    /// Whether the issuer can end sessions of the user that it is shown no token of. Where it cannot,
    /// [`sign_out`](Self::sign_out) with the scopes [`Others`](SignOutScope::Others) and
    /// [`Global`](SignOutScope::Global) is an error with the code `unsupported_scope`; `Global` has ended
    /// this one session all the same.
    fn ends_other_sessions(&self) -> bool {
        true
    }

    /// Whether the issuer answers at all, asked without the token of any session.
    ///
    /// Under [`AfterUnknown::FailClosed`] each lost answer costs a session. So after one, this is asked
    /// before the next session's token is sent, now and then: an outage costs one session, and not all. By
    /// default a refresh token is presented that was made up; an issuer that is well refuses it.
    ///
    /// # Errors
    /// [`Outcome::Unknown`] when there was no answer. A refusal is one.
    fn probe(&self) -> BoxFuture<'_, Result<(), ExchangeError>> {
        Box::pin(async move {
            let made_up = RefreshToken::new(format!("probe-{:032x}", fastrand::u128(..)));
            match self.refresh(&made_up, OnBehalf::default()).await {
                Err(error) if error.outcome() == Outcome::Unknown => Err(error),
                Ok(_) | Err(_) => Ok(()),
            }
        })
    }
}

/// An endpoint that several share, such as the owner of sessions and the routes of a sign-in.
impl<E: TokenEndpoint + ?Sized> TokenEndpoint for Arc<E> {
    fn refresh<'a>(
        &'a self,
        token: &'a RefreshToken,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        (**self).refresh(token, on_behalf)
    }

    fn sign_out<'a>(
        &'a self,
        access_token: &'a AccessToken,
        refresh_token: Option<&'a RefreshToken>,
        scope: SignOutScope,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<(), ExchangeError>> {
        (**self).sign_out(access_token, refresh_token, scope, on_behalf)
    }

    fn after_unknown(&self) -> AfterUnknown {
        (**self).after_unknown()
    }

    fn ends_other_sessions(&self) -> bool {
        (**self).ends_other_sessions()
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), ExchangeError>> {
        (**self).probe()
    }
}
