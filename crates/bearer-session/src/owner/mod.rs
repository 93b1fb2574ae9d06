//! [`Sessions`]: the one owner of refresh tokens.

mod access;
mod adopt;
mod begin;
mod builder;
mod claimed;
mod error;
mod events;
mod flight;
mod local;
mod pauses;
mod rules;
mod sign_out;
mod single;
#[cfg(test)]
mod tests;
mod unsaved;
mod within;

pub use self::{
    access::Access,
    builder::SessionsBuilder,
    error::{SessionError, SessionErrorKind},
    events::{SessionEvent, SessionEvents, SignedOut, Who},
};

use self::{
    builder::Settings,
    events::Announcer,
    flight::Landing,
    local::{Entry, Held, Kept, Local},
    pauses::Pauses,
    rules::{Freshness, Unreadable},
    single::{Running, Single},
    unsaved::Unsaved,
    within::within,
};
use crate::{
    BoxFuture, Keyring, SessionId, TokenSet,
    endpoint::{OnBehalf, SignOutScope, TokenEndpoint},
    record::Record,
    store::{Key, Lookup, Row, Store, StoreError},
};
use quick_cache::sync::Cache;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::warn;

/// What a client is told when only time can tell.
const SOON: Duration = Duration::from_secs(1);

/// The one owner of refresh tokens. Clones are one owner.
///
/// Whoever needs an access token asks for it here, for every request. A token that lives is handed out from memory; one
/// that has little left, or nothing, is refreshed by one task, once, for all who ask, in all processes that share a
/// store:
///
/// * A refresh token is sent to the issuer once. Only where nobody knows whether it arrived, and the issuer
///   [allows it](crate::endpoint::AfterUnknown), is it sent again.
/// * No token older than the newest that is known is ever sent.
/// * New tokens are stored before anyone gets them.
/// * Nobody is signed out unless the issuer says so, they wished it, or the store has lost the session, or its
///   [key](Keyring). The exception is an issuer that allows no second try, after an answer that was lost.
/// * A store that was put back to an earlier time is brought forward by whoever knows newer tokens. What nobody knows
///   any more is lost: the token in the backup may have been spent.
/// * A store that cannot be reached stops refreshing, and nothing else: what is in memory serves while it lives.
///
/// It runs in tokio: the tasks are its own, and go on when the request that started one has gone away.
///
/// ```
/// use bearer_session::{
///     AccessToken, BoxFuture, Keyring, RefreshToken, SessionErrorKind, SessionId, Sessions, TokenSet,
///     endpoint::{AfterUnknown, ExchangeError, OnBehalf, SignOutScope, TokenEndpoint},
///     store::MemoryStore,
/// };
/// use std::{future::ready, time::Duration};
///
/// #[derive(Debug)]
/// struct Issuer;
///
/// impl TokenEndpoint for Issuer {
///     fn refresh<'a>(
///         &'a self,
///         _token: &'a RefreshToken,
///         _on_behalf: OnBehalf,
///     ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
///         let tokens = TokenSet::new(AccessToken::new("second"), Duration::from_secs(3600));
///         Box::pin(ready(Ok(tokens)))
///     }
///
///     fn sign_out<'a>(
///         &'a self,
///         _access_token: &'a AccessToken,
///         _refresh_token: Option<&'a RefreshToken>,
///         _scope: SignOutScope,
///         _on_behalf: OnBehalf,
///     ) -> BoxFuture<'a, Result<(), ExchangeError>> {
///         Box::pin(ready(Ok(())))
///     }
///
///     fn after_unknown(&self) -> AfterUnknown {
///         AfterUnknown::FailClosed
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), bearer_session::SessionError> {
/// let sessions = Sessions::builder(Issuer, MemoryStore::new(10_000), Keyring::random()).build();
/// let tokens = TokenSet::new(AccessToken::new("first"), Duration::ZERO).refresh_token(RefreshToken::new("r"));
/// let id = sessions.create(tokens).await?;
///
/// let access = sessions.access(&id, OnBehalf::default()).await?;
/// assert_eq!(access.token().expose(), "second");
///
/// let stranger = sessions.access(&SessionId::random(), OnBehalf::default()).await.unwrap_err();
/// assert_eq!(stranger.kind(), SessionErrorKind::SignedOut);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Sessions(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    endpoint: Arc<dyn TokenEndpoint>,
    store: Arc<dyn Store>,
    keyring: Keyring,
    settings: Settings,
    local: Local,
    /// Where names lead, which never changes.
    names: Cache<Key, Key>,
    pauses: Pauses,
    unsaved: Unsaved,
    looks: Single<Looked>,
    flights: Single<Landing>,
    announcer: Announcer,
}

/// What came of looking into the store.
#[derive(Clone, Debug)]
enum Looked {
    Live(Arc<Held>),
    /// There is no such session any more.
    Over,
    /// The store did not answer, or nobody here can read what it said.
    Unreachable,
}

impl Sessions {
    /// Exchanges tokens at this issuer, and keeps sessions in this store, sealed with these keys.
    pub fn builder(endpoint: impl TokenEndpoint, store: impl Store, keyring: Keyring) -> SessionsBuilder {
        SessionsBuilder::new(Arc::new(endpoint), Arc::new(store), keyring)
    }

    fn from_builder(builder: SessionsBuilder) -> Self {
        let SessionsBuilder { endpoint, store, keyring, settings, on_sign_out } = builder;
        Self(Arc::new(Owner {
            endpoint,
            store,
            keyring,
            settings,
            local: Local::new(settings.local_copies),
            names: Cache::new(settings.local_copies.max(1)),
            pauses: Pauses::new(settings.local_copies),
            unsaved: Unsaved::default(),
            looks: Single::default(),
            flights: Single::default(),
            announcer: Announcer::new(on_sign_out),
        }))
    }

    /// Begins a session with what the issuer answered to a sign-in.
    ///
    /// # Errors
    /// [`Unavailable`](SessionErrorKind::Unavailable) when the store does not take it: it is full, or cannot be reached.
    ///
    /// # Panics
    /// When the operating system has no randomness.
    pub async fn create(&self, tokens: TokenSet) -> Result<SessionId, SessionError> {
        let id = SessionId::random();
        let held = self.0.create(id.key(), Record::signed_in(tokens, false)).await;
        held.map(|_| id)
    }

    /// An access token that lives. `on_behalf` is whose request may cause a refresh.
    ///
    /// Usually it comes from memory at once. It takes at most the time of [`wait`](SessionsBuilder::wait).
    ///
    /// # Errors
    /// [`SignedOut`](SessionErrorKind::SignedOut) when there is no such session any more;
    /// [`Unavailable`](SessionErrorKind::Unavailable) when the token has expired and no new one came in time.
    pub async fn access(&self, session: impl Into<Key>, on_behalf: OnBehalf) -> Result<Access, SessionError> {
        self.0.access(session.into(), on_behalf).await.map(Access)
    }

    /// A new access token, though the old one may live: for claims that have changed.
    ///
    /// Those who ask while one is on its way share it.
    ///
    /// # Errors
    /// As [`access`](Self::access).
    pub async fn refresh(
        &self,
        session: impl Into<Key>,
        on_behalf: OnBehalf,
    ) -> Result<Access, SessionError> {
        self.0.refresh(session.into(), on_behalf).await.map(Access)
    }

    /// The session as it is, its access token expired perhaps. Nothing is refreshed.
    ///
    /// # Errors
    /// [`SignedOut`](SessionErrorKind::SignedOut) when there is none; [`Unavailable`](SessionErrorKind::Unavailable)
    /// when it is not in memory and the store cannot be reached.
    pub async fn peek(&self, session: impl Into<Key>) -> Result<Access, SessionError> {
        let (key, now) = (session.into(), Instant::now());
        match self.0.local.get(&key, now) {
            Some(Entry::Ended(_)) => Err(SessionError::SIGNED_OUT),
            Some(Entry::Live(held)) if held.trusted_until > now => Ok(Access(held)),
            _ => self.0.look_or_trust(key, now + self.0.settings.wait).await.map(Access),
        }
    }

    /// The session as it lies in the store, whatever this process believes: what a notice of a change wants
    /// to know, and whoever is about to write a cookie.
    pub(crate) async fn look(&self, session: impl Into<Key>) -> Result<Access, SessionError> {
        self.0.look_or_trust(session.into(), Instant::now() + self.0.settings.wait).await.map(Access)
    }

    /// For what else is sealed with the keys of the sessions.
    #[cfg(feature = "axum")]
    pub(crate) fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    /// Ends a session, and tells the issuer to end it, or others of the user.
    ///
    /// Unless the scope is [`Others`](SignOutScope::Others) the session is over here whatever the issuer says, and a
    /// refresh that is under way comes to nothing. That it was over already is no error.
    ///
    /// Other sessions of the user, which the issuer ends under the scopes `Others` and `Global`, are found to be over at
    /// their next refresh. Until then their access tokens live, unless a gate refuses them:
    /// [`revoke_in`](crate::revoke_in) tells it of a global sign-out.
    ///
    /// # Errors
    /// [`Unavailable`](SessionErrorKind::Unavailable) when the store cannot be reached, and then nothing was done; or
    /// when the issuer could not be told about other sessions, which may go on.
    pub async fn sign_out(
        &self,
        session: impl Into<Key>,
        scope: SignOutScope,
        on_behalf: OnBehalf,
    ) -> Result<(), SessionError> {
        self.0.sign_out(session.into(), scope, on_behalf).await
    }

    /// Takes over a session that another library began and shares with this one through a cookie. It is found by its
    /// refresh token: by the one it came with, and by all that came after.
    ///
    /// The tokens are taken for the newest only where none of this session are known. Verify the access token first:
    /// otherwise anybody can fill the store.
    ///
    /// # Errors
    /// [`SignedOut`](SessionErrorKind::SignedOut) when the session has ended, or there is no refresh token;
    /// [`Unavailable`](SessionErrorKind::Unavailable) when the store cannot be reached or is full.
    pub async fn adopt(&self, tokens: TokenSet) -> Result<Key, SessionError> {
        self.0.adopt(tokens).await
    }

    /// What happens from now on.
    pub fn events(&self) -> SessionEvents {
        self.0.announcer.listen()
    }

    /// Resolves when a session has changed, in any process, as far as the store can tell: a notice may get lost, so
    /// bound the wait, and look.
    pub fn changed(&self, session: impl Into<Key>) -> BoxFuture<'static, ()> {
        self.0.store.changed(&session.into())
    }
}

impl Owner {
    async fn access(self: &Arc<Self>, key: Key, on_behalf: OnBehalf) -> Result<Arc<Held>, SessionError> {
        let now = Instant::now();
        match self.local.get(&key, now) {
            Some(Entry::Ended(_)) => return Err(SessionError::SIGNED_OUT),
            Some(Entry::Live(held)) if held.trusted_until > now => {
                match held.freshness(now, self.settings.margin) {
                    Freshness::Fresh => return Ok(held),
                    Freshness::Aging => {
                        self.refresh_in_background(&held, on_behalf, now);
                        return Ok(held);
                    }
                    Freshness::Expired => {}
                }
            }
            _ => {}
        }
        self.access_after_a_look(key, on_behalf).await
    }

    async fn access_after_a_look(
        self: &Arc<Self>,
        key: Key,
        on_behalf: OnBehalf,
    ) -> Result<Arc<Held>, SessionError> {
        let deadline = Instant::now() + self.settings.wait;
        let held = self.look_or_trust(key, deadline).await?;
        let now = Instant::now();
        match held.freshness(now, self.settings.margin) {
            Freshness::Fresh => Ok(held),
            Freshness::Aging => {
                self.refresh_in_background(&held, on_behalf, now);
                Ok(held)
            }
            Freshness::Expired if held.record.refresh_token.is_none() => {
                self.end(key, now + self.settings.store_timeout).await;
                Err(SessionError::SIGNED_OUT)
            }
            Freshness::Expired => match self.pauses.left(&key, now) {
                Some(left) => Err(SessionError::unavailable(left)),
                None => self.wait_for(self.fly(held, on_behalf), deadline).await,
            },
        }
    }

    async fn refresh(self: &Arc<Self>, key: Key, on_behalf: OnBehalf) -> Result<Arc<Held>, SessionError> {
        let now = Instant::now();
        let deadline = now + self.settings.wait;
        let held = self.look_or_trust(key, deadline).await?;
        match self.pauses.left(&key, now) {
            Some(left) => Err(SessionError::unavailable(left)),
            None => self.wait_for(self.fly(held, on_behalf), deadline).await,
        }
    }

    fn refresh_in_background(self: &Arc<Self>, held: &Arc<Held>, on_behalf: OnBehalf, now: Instant) {
        if self.pauses.left(&held.key, now).is_none() {
            drop(self.fly(Arc::clone(held), on_behalf));
        }
    }

    /// The flight that brings the successor of these tokens: the one under way, or a new one.
    fn fly(self: &Arc<Self>, held: Arc<Held>, on_behalf: OnBehalf) -> Running<Landing> {
        let owner = Arc::clone(self);
        self.flights.run(held.key, || owner.flight(held, on_behalf))
    }

    async fn wait_for(&self, flight: Running<Landing>, deadline: Instant) -> Result<Arc<Held>, SessionError> {
        match flight.until(deadline).await {
            Some(Landing::Arrived(held)) if !held.left(Instant::now()).is_zero() => Ok(held),
            Some(Landing::Arrived(_)) | None => Err(SessionError::unavailable(SOON)),
            Some(Landing::Over) => Err(SessionError::SIGNED_OUT),
            Some(Landing::Later(after)) => Err(SessionError::unavailable(after)),
        }
    }

    /// The session as it lies in the store; where that cannot be reached, a copy that is still good for something.
    async fn look_or_trust(self: &Arc<Self>, key: Key, deadline: Instant) -> Result<Arc<Held>, SessionError> {
        let owner = Arc::clone(self);
        let looking = self.looks.run(key, || async move { owner.look(key).await });
        match looking.until(deadline).await {
            Some(Looked::Live(held)) => Ok(held),
            Some(Looked::Over) => Err(SessionError::SIGNED_OUT),
            Some(Looked::Unreachable) | None => self.trust(&key),
        }
    }

    /// Serves a copy whose access token lives, for some time without asking again: otherwise each request would wait
    /// for a store that does not answer.
    fn trust(&self, key: &Key) -> Result<Arc<Held>, SessionError> {
        let now = Instant::now();
        let held = self.local.live(key, now).filter(|held| !held.left(now).is_zero());
        let held = held.ok_or(SessionError::unavailable(SOON))?;
        self.local.keep(Arc::new(held.confirmed(now).trusted(SOON)), now);
        Ok(held)
    }

    async fn look(self: Arc<Self>, key: Key) -> Looked {
        let asked = Instant::now();
        let before = self.local.live(&key, asked);
        match self.ask(self.store.load(&key)).await {
            None => Looked::Unreachable,
            Some(Lookup::Live(row)) => match self.confirm_or_absorb(key, &row, asked) {
                None => match self.unreadable(&key, &row, asked) {
                    Unreadable::Wait => Looked::Unreachable,
                    Unreadable::Over => {
                        self.over(&key, SignOutScope::Local);
                        Looked::Over
                    }
                },
                Some((held, Kept::First | Kept::Same | Kept::Newer)) => Looked::Live(held),
                Some((_, Kept::Ended)) => Looked::Over,
                Some((held, Kept::Behind(ours))) => {
                    // What came here while the store was asked is news to its answer. But where it is behind what was
                    // known before, it has gone back, and the flight brings it forward again.
                    if before.is_some_and(|before| before.generation > held.generation) {
                        self.refresh_in_background(&ours, OnBehalf::default(), asked);
                    }
                    Looked::Live(ours)
                }
            },
            Some(Lookup::Ended | Lookup::Unknown) => {
                self.over(&key, SignOutScope::Local);
                Looked::Over
            }
        }
    }

    async fn create(&self, key: Key, record: Record) -> Result<Arc<Held>, SessionError> {
        let (asked, sealed) = (Instant::now(), self.keyring.seal(&key, 0, &record.encode()));
        match self.ask(self.store.create(&key, &sealed, self.settings.lifetime)).await {
            Some(Lookup::Unknown) => {
                let held = Held::new(key, 0, record, Duration::ZERO, asked).trusted(self.settings.local_for);
                let held = Arc::new(held);
                self.local.keep(Arc::clone(&held), asked);
                self.announcer.tell(SessionEvent::SignedIn(Who::new(key, &held.record.labels)));
                Ok(held)
            }
            Some(Lookup::Live(row)) => match self.absorb(key, &row, asked) {
                Some((_, Kept::Ended)) => Err(SessionError::SIGNED_OUT),
                Some((_, Kept::Behind(held)) | (held, _)) => Ok(held),
                None => Err(match self.unreadable(&key, &row, asked) {
                    Unreadable::Wait => SessionError::unavailable(SOON),
                    Unreadable::Over => SessionError::SIGNED_OUT,
                }),
            },
            Some(Lookup::Ended) => Err(SessionError::SIGNED_OUT),
            None => Err(SessionError::unavailable(SOON)),
        }
    }

    /// A generation that is known already needs not be opened.
    fn confirm_or_absorb(&self, key: Key, row: &Row, asked: Instant) -> Option<(Arc<Held>, Kept)> {
        match self.local.live(&key, asked) {
            Some(ours) if ours.row == row.generation => {
                let held = ours.confirmed(asked).aged(row.age, asked);
                Some(self.keep(held.trusted(self.settings.local_for)))
            }
            _ => self.absorb(key, row, asked),
        }
    }

    /// Reads a row that the store was asked for at that time, and keeps a copy. `None` where it does not open.
    fn absorb(&self, key: Key, row: &Row, asked: Instant) -> Option<(Arc<Held>, Kept)> {
        let plain = self.keyring.open(&key, row.generation, &row.sealed);
        let Some(record) = plain.and_then(|plain| Record::decode(&plain)) else {
            warn!(?key, "a session in the store does not open with the keys of this process");
            return None;
        };
        let held = Held::new(key, row.generation, record, row.age, asked).trusted(self.settings.local_for);
        Some(self.keep(held))
    }

    /// The row stays where it is in any case: others may have the key.
    fn unreadable(&self, key: &Key, row: &Row, asked: Instant) -> Unreadable {
        let is_news = self.local.live(key, asked).is_some_and(|ours| ours.row < row.generation);
        rules::unreadable(row.age, is_news)
    }

    fn keep(&self, held: Held) -> (Arc<Held>, Kept) {
        let held = Arc::new(held);
        let kept = self.local.keep(Arc::clone(&held), Instant::now());
        // A session that lost its refresh token has no new access token either.
        if matches!(kept, Kept::Newer) && held.record.refresh_token.is_some() {
            self.announcer.tell(SessionEvent::TokenRefreshed(Who::new(held.key, &held.record.labels)));
        }
        (held, kept)
    }

    /// Remembers that a session is over, and tells those who listen, if it lived here until now.
    fn over(&self, key: &Key, scope: SignOutScope) -> bool {
        let now = Instant::now();
        self.unsaved.forget(key);
        let Some(held) = self.local.end(key, now, self.settings.remember) else { return false };
        self.announce(&held, scope, now);
        self.announcer.tell(SessionEvent::SignedOut(Who::new(*key, &held.record.labels)));
        true
    }

    /// Tells the hook, unless that would let somebody sign out another's session: see [`Held::is_proven`].
    fn announce(&self, held: &Held, scope: SignOutScope, now: Instant) {
        if held.is_proven() {
            self.announcer.signed_out(&held.signed_out(scope, now));
        }
    }

    /// Ends a session that is over, in the store too if that can be reached until then. Otherwise others will find out
    /// for themselves.
    async fn end(&self, key: Key, until: Instant) {
        if !self.end_row(key, until).await {
            warn!(?key, "the store could not be told that a session is over");
        }
        self.over(&key, SignOutScope::Local);
    }

    /// Ends the row, trying until then. Whether the store has taken it.
    async fn end_row(&self, key: Key, until: Instant) -> bool {
        let mut pause = Duration::from_millis(50);
        loop {
            if self.ask(self.store.end(&key, self.settings.remember)).await.is_some() {
                return true;
            }
            if Instant::now() + pause >= until {
                return false;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// What the store says, if it says anything in time.
    async fn ask<T>(&self, question: BoxFuture<'_, Result<T, StoreError>>) -> Option<T> {
        match within(Instant::now() + self.settings.store_timeout, question).await {
            Some(Ok(answer)) => Some(answer),
            Some(Err(error)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                warn!(error = %error, cause, "the session store fails");
                None
            }
            None => {
                warn!("the session store does not answer in time");
                None
            }
        }
    }
}
