//! [`Sessions::replace`]: tokens that came for a session by another way than a refresh.

use super::{
    Access, Owner, SOON, SessionError, Sessions,
    claimed::{Claimed, Purpose},
    flight::Landing,
    local::{Held, after},
    unsaved::Successor,
    within::within,
};
use crate::{TokenSet, endpoint::OnBehalf, store::Key};
use std::{error::Error, fmt, sync::Arc};
use tokio::{sync::oneshot, time::Instant};
use tracing::error;

/// A session has the tokens that it had.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReplaceError<E> {
    /// There is no session, or it has no time now: see [`SessionError`].
    Session(SessionError),
    /// What was to bring the new tokens has failed.
    Tokens(E),
}

impl Sessions {
    /// Gives a session new tokens that the issuer hands out for it by another way than a refresh: after a
    /// second factor, or a change of organization. What was the newest refresh token until then is never
    /// presented again.
    ///
    /// `tokens` asks the issuer, with the access token that it gets, which lives. Nobody refreshes the
    /// session meanwhile, in any process; who wants new tokens waits for these. It may take as long as the
    /// [`lease`], less what the store needs. It runs in a task of its own and goes on when the caller goes
    /// away: tokens that came are not lost.
    ///
    /// Where it fails, the session is as it was. So it must only fail when the issuer has handed out nothing:
    /// otherwise the next refresh presents a token that is not the newest any more. Supabase Auth counts a
    /// second factor as two generations and ends a session whose token is two behind, unless that happens
    /// within its reuse interval; the access token from before lives until it expires.
    ///
    /// ```
    /// use bearer_session::{
    ///     AccessToken, Keyring, RefreshToken, ReplaceError, Sessions, TokenSet,
    ///     endpoint::{OAuthClient, OAuthEndpoint, OnBehalf}, store::MemoryStore,
    /// };
    /// use std::{io, time::Duration};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tokens = |access: &str, refresh: &str| {
    ///     let tokens = TokenSet::new(AccessToken::new(access), Duration::from_secs(3600));
    ///     tokens.refresh_token(RefreshToken::new(refresh))
    /// };
    /// let endpoint = OAuthEndpoint::new("https://issuer.example/token", OAuthClient::public("app"))?;
    /// let sessions = Sessions::builder(endpoint, MemoryStore::new(10), Keyring::random()).build();
    /// let id = sessions.create(tokens("one factor", "r0")).await?;
    ///
    /// // Here the code of the second factor goes to the issuer, with this access token.
    /// let verified = tokens("two factors", "r2");
    /// let access = sessions.replace(&id, OnBehalf::default(), async move |before| {
    ///     assert_eq!(before.token().expose(), "one factor");
    ///     Ok::<_, io::Error>(verified)
    /// });
    /// assert_eq!(access.await?.token().expose(), "two factors");
    ///
    /// let refused = sessions.replace(&id, OnBehalf::default(), async |_| {
    ///     Err(io::Error::other("a wrong code"))
    /// });
    /// assert!(matches!(refused.await, Err(ReplaceError::Tokens(_))));
    /// assert_eq!(sessions.access(&id, OnBehalf::default()).await?.token().expose(), "two factors");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Tokens`](ReplaceError::Tokens) with what `tokens` says; [`Session`](ReplaceError::Session) when
    /// there is no such session any more, when no access token lives, when the tokens are another user's or
    /// of another session, or when they could not be stored: then they are once the store can be reached.
    ///
    /// [`lease`]: crate::SessionsBuilder::lease
    pub async fn replace<F, B, E>(
        &self,
        session: impl Into<Key>,
        on_behalf: OnBehalf,
        tokens: F,
    ) -> Result<Access, ReplaceError<E>>
    where
        F: FnOnce(Access) -> B + Send + 'static,
        B: Future<Output = Result<TokenSet, E>> + Send + 'static,
        E: Send + 'static,
    {
        self.0.replace(session.into(), on_behalf, tokens).await.map(Access)
    }
}

impl Owner {
    async fn replace<F, B, E>(
        self: &Arc<Self>,
        key: Key,
        on_behalf: OnBehalf,
        tokens: F,
    ) -> Result<Arc<Held>, ReplaceError<E>>
    where
        F: FnOnce(Access) -> B + Send + 'static,
        B: Future<Output = Result<TokenSet, E>> + Send + 'static,
        E: Send + 'static,
    {
        let mut tokens = Some(tokens);
        let (failed, failure) = oneshot::channel();
        let mut failed = Some(failed);
        let patience = Instant::now() + 2 * self.settings.lease;
        while Instant::now() < patience && !self.flights.is_closed() {
            let held = self.access(key, on_behalf).await?;
            let owner = Arc::clone(self);
            // One at a time for each session: the one that is under way may not be ours.
            let flight = self.flights.run(key, || {
                let (tokens, failed) = (tokens.take(), failed.take());
                async move { owner.replacement(held, tokens, failed).await }
            });
            let landing = flight.until(patience).await;
            if tokens.is_some() {
                continue;
            }
            return match (landing, failure.await) {
                (_, Ok(error)) => Err(ReplaceError::Tokens(error)),
                (Some(Landing::Arrived(held)), _) => Ok(held),
                (Some(Landing::Over), _) => Err(self.gone(&key).into()),
                (Some(Landing::Later(after)), _) => Err(SessionError::unavailable(after).into()),
                (None, _) => Err(SessionError::unavailable(SOON).into()),
            };
        }
        Err(SessionError::unavailable(SOON).into())
    }

    async fn replacement<F, B, E>(
        self: Arc<Self>,
        mut known: Arc<Held>,
        tokens: Option<F>,
        failed: Option<oneshot::Sender<E>>,
    ) -> Landing
    where
        F: FnOnce(Access) -> B + Send,
        B: Future<Output = Result<TokenSet, E>> + Send,
        E: Send,
    {
        let (Some(tokens), Some(failed)) = (tokens, failed) else { return self.soon(known.key) };
        let (claim, held) = loop {
            match self.claim(known, Purpose::Replace).await {
                Ok(claimed) => break claimed,
                // Some that waited to be stored, or those that somebody else has brought.
                Err(Landing::Arrived(newer)) => known = newer,
                Err(landing) => return landing,
            }
        };
        let asked = Instant::now();
        let until = claim.until.checked_sub(self.settings.store_timeout).unwrap_or(asked);
        match within(until, tokens(Access(Arc::clone(&held)))).await {
            Some(Ok(tokens)) => self.take_over(claim, &held, tokens, asked).await,
            Some(Err(error)) => {
                self.release(claim).await;
                let _ = failed.send(error);
                Landing::Later(SOON)
            }
            // The issuer may be at it still. That the claim lapses tells whoever claims next.
            None => self.soon(claim.key),
        }
    }

    async fn take_over(
        self: &Arc<Self>,
        claim: Claimed,
        held: &Arc<Held>,
        tokens: TokenSet,
        asked: Instant,
    ) -> Landing {
        let expires = after(tokens.expires_in, asked);
        let Some(mut record) = held.record.renewed(tokens) else {
            error!(key = ?claim.key, "the tokens that a session was to get are another user's or session's");
            self.release(claim).await;
            return Landing::Later(SOON);
        };
        if claim.interrupted {
            // A refresh that was lost may still be under way.
            record.settles_in = self.settings.request_timeout;
        }
        self.store(claim, Successor { of: held.generation, record, expires }).await
    }
}

impl<E> From<SessionError> for ReplaceError<E> {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl<E> fmt::Display for ReplaceError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(error) => error.fmt(f),
            Self::Tokens(_) => f.write_str("there are no other tokens for the session"),
        }
    }
}

impl<E: Error + 'static> Error for ReplaceError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Session(_) => None,
            Self::Tokens(error) => Some(error),
        }
    }
}
