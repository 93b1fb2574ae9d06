//! Revocation: a good token may be refused before it expires.
//!
//! A [`Revocation`] is asked about every token that was verified, by the [`Revocable`] verifier that
//! [`Verify::revocable`](crate::Verify::revocable) makes. [`DenyList`] is one in memory; a closure is one
//! that asks a store. What happens when it cannot tell is for the application to choose: [`WhenUnsure`].
//!
//! ```
//! use http::{Request, Response, StatusCode, header::AUTHORIZATION};
//! use std::time::{Duration, SystemTime};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_bearer::{Algorithm, BearerLayer, Issuer, JwtVerifier, Verify};
//! use tower_bearer::revocation::{DenyList, WhenUnsure};
//! # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let verifier = JwtVerifier::new([
//!     Issuer::new("https://issuer.example", "https://api.example").hmac_secret(Algorithm::HS256, [7; 32]),
//! ])?;
//! let list = DenyList::new(100_000);
//! let layer = BearerLayer::new(verifier.revocable(list.clone(), WhenUnsure::Refuse));
//! let service = layer.layer(service_fn(async |_: Request<String>| {
//!     Ok::<_, std::convert::Infallible>(Response::new(String::new()))
//! }));
//!
//! # let key = SigningKey::hmac(Alg::HS256, &[7; 32]);
//! # let token = TokenBuilder::new(&key, "https://issuer.example", "https://api.example").subject("ada").sign();
//! # let request = || Request::builder().header(AUTHORIZATION, format!("Bearer {token}")).body(String::new());
//! assert_eq!(service.clone().oneshot(request()?).await?.status(), StatusCode::OK);
//!
//! // Ada signs out everywhere; no access token lives longer than an hour.
//! let longest_life = Duration::from_secs(3600);
//! list.revoke_subject("https://issuer.example", "ada", SystemTime::now(), longest_life)?;
//! assert_eq!(service.oneshot(request()?).await?.status(), StatusCode::UNAUTHORIZED);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod deny_list;
mod future;
mod revocable;
mod table;

pub use deny_list::{DenyList, Full, NotRevoked};
pub use future::RevocableFuture;
pub use revocable::Revocable;

#[cfg(feature = "logout")]
pub(crate) use table::{Key, Kind, Table, Term};

use crate::Verified;
use std::{error::Error, fmt, future::Ready, sync::Arc};

/// Knows which good tokens are good no more.
///
/// Asked after everything else about the token was found good, and each time that it is presented. The time
/// of the request is [`Verified::at`].
///
/// A token may name its session twice: `session_id` and `sid`, which may differ. Ask for both, since whoever
/// ends the session may know either.
///
/// A closure that makes a future is one; it takes what it needs out of the [`Verified`], since the future may
/// not borrow from it:
///
/// ```
/// use tower_bearer::{RegisteredClaims, Verified, revocation::{CannotTell, Inquiry, Revocation, Standing}};
///
/// let ask_the_store = |verified: &Verified| {
///     let claims = verified.registered();
///     let names = [claims.session_id.clone(), claims.sid.clone()];
///     async move {
///         if names == [None, None] {
///             return Err(CannotTell::new("no session"));
///         }
///         let is_open = names.iter().flatten().all(|name| name == "open");
///         Ok(if is_open { Standing::Good } else { Standing::Revoked })
///     }
/// };
/// # let ask = |session_id: Option<&str>, sid: Option<&str>| {
/// #     let mut claims = RegisteredClaims::default();
/// #     claims.session_id = session_id.map(Into::into);
/// #     claims.sid = sid.map(Into::into);
/// #     match ask_the_store.ask(&Verified::assertion(claims, ())) {
/// #         Inquiry::Pending(future) => tokio_test::block_on(future),
/// #         Inquiry::Answered(_) => unreachable!(),
/// #     }
/// # };
/// assert_eq!(ask(Some("open"), None).ok(), Some(Standing::Good));
/// assert_eq!(ask(Some("open"), Some("closed")).ok(), Some(Standing::Revoked));
/// assert!(ask(None, None).is_err());
/// ```
pub trait Revocation: Clone {
    /// Resolves when [`Inquiry::Pending`] was answered. It bounds its own time.
    type Future: Future<Output = Result<Standing, CannotTell>>;

    /// Answers now, or says what it waits for.
    fn ask(&self, verified: &Verified) -> Inquiry<Self::Future>;
}

/// Whether a token is still good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Standing {
    /// It was not revoked.
    Good,
    /// The token, its session or its subject was revoked: 401 `invalid_token`.
    Revoked,
}

/// The answer of a [`Revocation`]. From memory it is `Answered`, so that nothing waits and nothing is boxed.
#[derive(Debug)]
#[must_use]
pub enum Inquiry<F = Ready<Result<Standing, CannotTell>>> {
    /// Known now, or known that it cannot be told.
    Answered(Result<Standing, CannotTell>),
    /// Unknown until the future resolves.
    Pending(F),
}

/// What happens to a good token when the [`Revocation`] [cannot tell](CannotTell). There is no default: one
/// choice lets a revoked token in while the store is down, the other lets nobody in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhenUnsure {
    /// Fails closed: 503 and `Retry-After`, which clients retry without signing anybody out.
    Refuse,
    /// Fails open: the token is accepted, and a warning logged, once a second at most (the others at DEBUG).
    Accept,
}

/// A [`Revocation`] cannot tell, because its store is down or slow, say.
#[derive(Clone, Debug)]
pub struct CannotTell {
    detail: &'static str,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl CannotTell {
    /// Why, for the log.
    pub const fn new(detail: &'static str) -> Self {
        Self { detail, source: None }
    }

    /// Adds the error that led here. It must not hold a part of the token.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}

impl fmt::Display for CannotTell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail)
    }
}

impl Error for CannotTell {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}

impl<F, Fut> Revocation for F
where
    F: Fn(&Verified) -> Fut + Clone,
    Fut: Future<Output = Result<Standing, CannotTell>>,
{
    type Future = Fut;

    fn ask(&self, verified: &Verified) -> Inquiry<Fut> {
        Inquiry::Pending(self(verified))
    }
}
