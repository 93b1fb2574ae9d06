//! The issuers that were named, and the answers for those that were not.

use super::ResolveIssuer;
use crate::{connect::ConnectError, connector::ReadyConnector};
use quick_cache::sync::Cache;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Instant, timeout},
};
use tower_bearer::{AuthError, Issuer, JwtVerifier, Reason, TokenCache};
use tracing::warn;

/// The most names that are remembered as nobody's.
pub(super) const STRANGERS: usize = 1024;

/// For how long: a tenant that was just created must not be kept out.
const STRANGE_FOR: Duration = Duration::from_secs(30);

/// How long a question that could not be answered is not asked again.
pub(super) const TROUBLED_FOR: Duration = Duration::from_secs(1);

/// For one question, and for the wait for a turn before it.
pub(super) const DEADLINE: Duration = Duration::from_secs(2);

/// The most questions to the resolver at a time.
pub(super) const QUESTIONS: usize = 64;

pub(super) struct Tenants<R> {
    pub(super) resolver: R,
    pub(super) connector: ReadyConnector,
    pub(super) known: Cache<String, Arc<Known>>,
    pub(super) ask_again_every: Duration,
    pub(super) born: Instant,
    /// One for all tenants, so that its size is one.
    pub(super) tokens: TokenCache,
    /// Names that were asked for in vain.
    pub(super) refused: Cache<String, Refused>,
    pub(super) questions: Semaphore,
}

/// An issuer that the resolver named.
pub(super) struct Known {
    pub(super) verifier: JwtVerifier,
    /// When it was last asked whether it still is one, in milliseconds since this began.
    asked: AtomicU64,
}

/// An answer that holds for a while.
#[derive(Clone)]
pub(super) struct Refused {
    error: AuthError,
    until: Instant,
}

impl<R: ResolveIssuer> Tenants<R> {
    /// The answer that a name had a moment ago.
    pub(super) fn refusal(&self, iss: &str) -> Option<AuthError> {
        self.refused.get(iss).filter(|refused| refused.until > Instant::now()).map(|refused| refused.error)
    }

    /// Remembers an answer, for all who wait for the same and for those who come soon.
    fn refuse(&self, iss: &str, error: AuthError, lasts: Duration) -> AuthError {
        let refused = Refused { error: error.clone(), until: Instant::now() + lasts };
        self.refused.insert(iss.to_owned(), refused);
        error
    }

    /// The verifier of an issuer that the resolver names; all who ask for one at a time share one question.
    pub(super) async fn admit(&self, iss: &str) -> Result<JwtVerifier, AuthError> {
        let known = async {
            let verifier = self.ask(iss).await?;
            Ok(Arc::new(Known { verifier, asked: AtomicU64::new(self.age()) }))
        };
        // The first asks for all. When it is late, another begins anew, and the rest wait on: none is to wait longer
        // than by itself.
        let admitting = timeout(2 * DEADLINE, self.known.get_or_insert_async(iss, known));
        Ok(admitting.await.unwrap_or_else(|_| Err(late()))?.verifier.clone())
    }

    /// In milliseconds.
    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Asks in the background whether the resolver still names an issuer, should it be time. Nobody waits for
    /// that, and no answer is no.
    pub(super) fn ask_again(self: &Arc<Self>, iss: &str, known: &Known) {
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
