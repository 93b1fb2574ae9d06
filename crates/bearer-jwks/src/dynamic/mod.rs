//! Issuers that are found when their first token comes: one service, many tenants.

mod builder;
mod future;
mod tenants;

pub use builder::DynamicVerifierBuilder;
pub use future::DynamicFuture;

use crate::connect::ConnectError;
use std::{error::Error, fmt, future::Future, sync::Arc};
use tenants::Tenants;
use tower_bearer::{Issuer, JwtVerifier, Presented, Reason, Verification, Verify};

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
    ///
    /// A `None` holds for 30 seconds: the first user of a tenant who comes before the tenant is in your list, a
    /// moment too early, finds the door closed for that long. Whoever adds a tenant calls
    /// [`forget`](DynamicVerifier::forget) for it, in each process, and it is let in at once. An `Err` holds for
    /// one second.
    fn resolve(&self, iss: &str) -> impl Future<Output = Result<Option<Issuer>, Self::Error>> + Send;
}

/// A [`Verify`] that asks a [`ResolveIssuer`] for the issuers it does not know yet, and keeps the keys of
/// those that are in use fresh. Cheap to clone.
///
/// A request of a known issuer waits for nothing. The number of issuers is bounded; the least used make room,
/// and their keys are no longer fetched. Nothing is ever fetched for an issuer that the resolver did not
/// name.
///
/// It is ready as soon as it is made, also without any tenant: there are no keys that all requests need, and so
/// it has no `is_ready`. A tenant whose keys cannot be fetched is answered 503, and no other is. How each is
/// doing, its [`Connector`](crate::Connector::statuses) shows.
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

    /// Forgets all that is known of this name: the next token of it asks the resolver anew. For an issuer whose
    /// rules have changed, or that has to go at once, and for one that was just added, which may have been
    /// [refused](ResolveIssuer::resolve) a moment ago.
    ///
    /// Says whether the issuer was known, that is, trusted until now: `false` for one that was refused, which is
    /// asked for anew all the same.
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
                Verification::Pending(waiting) => Verification::Pending(DynamicFuture::waiting(waiting)),
            };
        }
        if let Some(error) = self.0.refusal(&iss) {
            return Verification::Done(Err(error));
        }
        let (tenants, token) = (Arc::clone(&self.0), token.to_owned());
        Verification::Pending(DynamicFuture::resolving(async move {
            let verifier = tenants.admit(&iss).await?;
            verifier.verify_token(&token, now).await
        }))
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

#[cfg(test)]
mod tests;
