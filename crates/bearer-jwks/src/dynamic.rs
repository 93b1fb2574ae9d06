//! Issuers that are found when their first token comes: one service, many tenants.

mod builder;

pub use builder::DynamicVerifierBuilder;

use crate::{connect::ConnectError, connector::ReadyConnector};
use quick_cache::sync::Cache;
use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Instant, timeout},
};
use tower_bearer::{
    AuthError, Issuer, JwtVerifier, Presented, Reason, TokenCache, Verification, Verified, Verify,
    WaitForKeys,
};
use tracing::warn;

/// The most names that are remembered as nobody's.
const STRANGERS: usize = 1024;

/// For how long: a tenant that was just created must not be kept out.
const STRANGE_FOR: Duration = Duration::from_secs(30);

/// How long a question that could not be answered is not asked again.
const TROUBLED_FOR: Duration = Duration::from_secs(1);

/// For one question, and for the wait for a turn before it.
const DEADLINE: Duration = Duration::from_secs(2);

/// The most questions to the resolver at a time.
const QUESTIONS: usize = 64;

/// Names the issuers that are trusted, one at a time.
///
/// It is asked for the `iss` of tokens that **anybody** may have made: look it up in a list of yours, never
/// derive an issuer from it. Strangers' questions take turns with those of new tenants, up to 64 at a time, so
/// a name that cannot be one of yours is best answered without asking anybody else.
///
/// An issuer that it has named is asked about again [now and then](DynamicVerifierBuilder::ask_again_every),
/// whether it still is one. Its rules and the location of its keys are those of the first answer until it is
/// [forgotten](DynamicVerifier::forget).
pub trait ResolveIssuer: Send + Sync + 'static {
    /// Why the question could not be answered.
    type Error: Error + Send + Sync + 'static;

    /// The issuer of exactly this name, with its rules, or `None` for one that is not trusted.
    fn resolve(&self, iss: &str) -> impl Future<Output = Result<Option<Issuer>, Self::Error>> + Send;
}

/// A [`Verify`] that asks a [`ResolveIssuer`] for the issuers it does not know yet, and keeps the keys of
/// those that are in use fresh. Cheap to clone.
///
/// A request of a known issuer waits for nothing. The number of issuers is bounded; the least used make room,
/// and their keys are no longer fetched. Nothing is ever fetched for an issuer that the resolver did not
/// name.
///
/// Subjects, client ids, roles and scopes are each tenant's own: `admin` of one is nobody to another. What
/// only one may do asks for [`policy::issuer`](tower_bearer::policy::issuer); what is each tenant's is looked
/// up by `iss` and `sub` together.
///
/// ```
/// use bearer_jwks::{DynamicVerifier, ResolveIssuer};
/// use std::{collections::HashMap, convert::Infallible, time::SystemTime};
/// use tower_bearer::{BearerLayer, Issuer};
/// # use bearer_testing::TestIssuer;
/// # use tower_bearer::Verify as _;
///
/// /// Where each tenant publishes its keys.
/// struct Tenants(HashMap<String, String>);
///
/// impl ResolveIssuer for Tenants {
///     type Error = Infallible;
///     async fn resolve(&self, iss: &str) -> Result<Option<Issuer>, Infallible> {
///         let jwks_uri = self.0.get(iss);
///         Ok(jwks_uri.map(|jwks_uri| Issuer::new(iss, "https://api.example").jwks_uri(jwks_uri)))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let (tenant, stranger) = (TestIssuer::start().await, TestIssuer::start().await);
/// # let token = |of: &TestIssuer| of.token().audience("https://api.example").sign();
/// let tenants = HashMap::from([(tenant.issuer().to_owned(), tenant.jwks_uri().to_string())]);
/// let verifier = DynamicVerifier::new(Tenants(tenants))?;
/// assert!(verifier.is_empty(), "none has come yet");
///
/// assert!(verifier.verify_token(&token(&tenant), SystemTime::now()).await.is_ok());
/// let refused = verifier.verify_token(&token(&stranger), SystemTime::now()).await;
/// assert!(refused.is_err(), "the resolver does not name its issuer");
/// assert_eq!(verifier.len(), 1);
/// let layer = BearerLayer::new(verifier);
/// # drop(layer);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DynamicVerifier<R>(Arc<Tenants<R>>);

struct Tenants<R> {
    resolver: R,
    connector: ReadyConnector,
    known: Cache<String, Arc<Known>>,
    ask_again_every: Duration,
    born: Instant,
    /// One for all tenants, so that its size is one.
    tokens: TokenCache,
    /// Names that were asked for in vain.
    refused: Cache<String, Refused>,
    questions: Semaphore,
}

/// An issuer that the resolver named.
struct Known {
    verifier: JwtVerifier,
    /// When it was last asked whether it still is one, in milliseconds since this began.
    asked: AtomicU64,
}

/// An answer that holds for a while.
#[derive(Clone)]
struct Refused {
    error: AuthError,
    until: Instant,
}

impl<R: ResolveIssuer> DynamicVerifier<R> {
    /// Asks `resolver`, and keeps up to 10,000 issuers.
    ///
    /// # Errors
    /// When the HTTP client for their keys cannot be made.
    pub fn new(resolver: R) -> Result<Self, ConnectError> {
        Self::builder(resolver).build()
    }

    /// With settings.
    ///
    /// ```
    /// # use bearer_jwks::{Connector, DynamicVerifier, ResolveIssuer};
    /// # use std::convert::Infallible;
    /// # use tower_bearer::{Issuer, TokenCache};
    /// # struct Tenants;
    /// # impl ResolveIssuer for Tenants {
    /// #     type Error = Infallible;
    /// #     async fn resolve(&self, _: &str) -> Result<Option<Issuer>, Infallible> {
    /// #         Ok(None)
    /// #     }
    /// # }
    /// let connector = Connector::new();
    /// let verifier = DynamicVerifier::builder(Tenants)
    ///     .connector(&connector)
    ///     .capacity(100)
    ///     .cache(&TokenCache::new(64 * 1024 * 1024))
    ///     .build()?;
    /// # assert!(verifier.is_empty());
    /// # Ok::<(), bearer_jwks::ConnectError>(())
    /// ```
    pub fn builder(resolver: R) -> DynamicVerifierBuilder<R> {
        DynamicVerifierBuilder::new(resolver)
    }

    /// Trusts this issuer no more until the resolver names it again; says whether it was known. For one whose
    /// rules have changed, or that has to go at once.
    pub fn forget(&self, iss: &str) -> bool {
        self.0.refused.remove(iss);
        self.0.known.remove(iss).is_some()
    }

    /// How many issuers are kept.
    pub fn len(&self) -> usize {
        self.0.known.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.0.known.is_empty()
    }
}

impl<R: ResolveIssuer> Tenants<R> {
    /// The answer that a name had a moment ago.
    fn refusal(&self, iss: &str) -> Option<AuthError> {
        self.refused.get(iss).filter(|refused| refused.until > Instant::now()).map(|refused| refused.error)
    }

    /// Remembers an answer, for all who wait for the same and for those who come soon.
    fn refuse(&self, iss: &str, error: AuthError, lasts: Duration) -> AuthError {
        let refused = Refused { error: error.clone(), until: Instant::now() + lasts };
        self.refused.insert(iss.to_owned(), refused);
        error
    }

    /// The verifier of an issuer that the resolver names; all who ask for one at a time share one question.
    async fn admit(&self, iss: &str) -> Result<JwtVerifier, AuthError> {
        let known = async {
            let verifier = self.ask(iss).await?;
            Ok(Arc::new(Known { verifier, asked: AtomicU64::new(self.age()) }))
        };
        self.known.get_or_insert_async(iss, known).await.map(|known| known.verifier.clone())
    }

    /// In milliseconds.
    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Asks in the background whether the resolver still names an issuer, should it be time. Nobody waits for
    /// that, and no answer is no.
    fn ask_again(self: &Arc<Self>, iss: &str, known: &Known) {
        let (asked, now) = (known.asked.load(Relaxed), self.age());
        if Duration::from_millis(now.saturating_sub(asked)) < self.ask_again_every {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        if known.asked.compare_exchange(asked, now, Relaxed, Relaxed).is_err() {
            return;
        }
        let (tenants, iss) = (Arc::clone(self), iss.to_owned());
        runtime.spawn(async move {
            let Ok(_permit) = tenants.questions.acquire().await else { return };
            match timeout(DEADLINE, tenants.resolver.resolve(&iss)).await {
                Ok(Ok(None)) => {
                    tenants.refuse(&iss, Reason::UnknownIssuer.into(), STRANGE_FOR);
                    tenants.known.remove(&iss);
                }
                Ok(Ok(Some(_))) => {}
                Ok(Err(error)) => warn!(%error, "the resolver cannot say whether an issuer is still trusted"),
                Err(_) => warn!("the resolver does not say in time whether an issuer is still trusted"),
            }
        });
    }

    async fn ask(&self, iss: &str) -> Result<JwtVerifier, AuthError> {
        // Whoever asked before us may have learned it.
        if let Some(error) = self.refusal(iss) {
            return Err(error);
        }
        let trouble = |error: AuthError| self.refuse(iss, error, TROUBLED_FOR);
        let Ok(_permit) = timeout(DEADLINE, self.questions.acquire()).await else {
            // Strangers took the turns. Of this one nothing was learned that is to be remembered.
            return Err(late());
        };
        let resolved = match timeout(DEADLINE, self.resolver.resolve(iss)).await {
            Ok(Ok(resolved)) => resolved,
            Ok(Err(error)) => {
                return Err(trouble(
                    AuthError::unavailable("the issuer cannot be resolved").with_source(error),
                ));
            }
            Err(_) => return Err(trouble(late())),
        };
        match resolved {
            Some(issuer) if issuer.iss() == iss => self.start(issuer).map_err(|error| {
                trouble(AuthError::unavailable("the resolved issuer is set up wrongly").with_source(error))
            }),
            Some(_) => Err(trouble(AuthError::unavailable(
                "the resolver named another issuer than it was asked for",
            ))),
            None => Err(self.refuse(iss, Reason::UnknownIssuer.into(), STRANGE_FOR)),
        }
    }

    fn start(&self, issuer: Issuer) -> Result<JwtVerifier, ConnectError> {
        let issuer = self.connector.start(issuer, Duration::ZERO)?;
        let verifier = JwtVerifier::new([issuer]).map_err(ConnectError::Config)?;
        Ok(verifier.cache(&self.tokens))
    }
}

const fn late() -> AuthError {
    AuthError::unavailable("the issuer is not resolved in time")
}

impl<R: ResolveIssuer> Verify for DynamicVerifier<R> {
    type Future = DynamicFuture;

    fn verify(&self, presented: &Presented<'_>) -> Verification<DynamicFuture> {
        let (token, now) = (presented.credential.token(), presented.now);
        let Some(iss) = JwtVerifier::claimed_issuer(token) else {
            return Verification::Done(Err(Reason::UnknownIssuer.into()));
        };
        if let Some(known) = self.0.known.get(&iss) {
            self.0.ask_again(&iss, &known);
            return match known.verifier.verify_token(token, now) {
                Verification::Done(result) => Verification::Done(result),
                Verification::Pending(waiting) => {
                    Verification::Pending(DynamicFuture(State::Waiting(waiting)))
                }
            };
        }
        if let Some(error) = self.0.refusal(&iss) {
            return Verification::Done(Err(error));
        }
        let (tenants, token) = (Arc::clone(&self.0), token.to_owned());
        let resolving = async move {
            // Of those who ask for one issuer the first asks for all. When it is late, another begins anew, and
            // the rest wait on: none is to wait longer than by itself.
            let admitting = timeout(2 * DEADLINE, tenants.admit(&iss));
            let verifier = admitting.await.unwrap_or_else(|_| Err(late()))?;
            verifier.verify_token(&token, now).await
        };
        Verification::Pending(DynamicFuture(State::Resolving(Box::pin(resolving))))
    }
}

/// The future of a [`DynamicVerifier`].
#[must_use = "futures do nothing unless polled"]
pub struct DynamicFuture(State);

enum State {
    Waiting(WaitForKeys),
    Resolving(Pin<Box<dyn Future<Output = Result<Verified, AuthError>> + Send>>),
}

impl Future for DynamicFuture {
    type Output = Result<Verified, AuthError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Waiting(waiting) => Pin::new(waiting).poll(cx),
            State::Resolving(resolving) => resolving.as_mut().poll(cx),
        }
    }
}

impl<R> Clone for DynamicVerifier<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R> fmt::Debug for DynamicVerifier<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicVerifier").field("issuers", &self.0.known.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for DynamicFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DynamicFuture(..)")
    }
}

#[cfg(test)]
mod tests;
