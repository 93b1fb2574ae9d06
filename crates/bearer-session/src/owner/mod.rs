//! [`Sessions`]: the one owner of refresh tokens.

mod access;
mod adopt;
mod ask;
mod begin;
mod breaker;
mod builder;
mod claimed;
mod close;
mod end;
mod error;
mod events;
mod flight;
mod local;
mod logouts;
mod look;
mod losses;
mod outage;
mod pauses;
mod replace;
mod rules;
mod save;
mod serve;
mod sign_out;
mod single;
mod store_outage;
#[cfg(test)]
mod tests;
mod unsaved;
mod within;

pub use self::{
    access::Access,
    builder::SessionsBuilder,
    error::{SessionError, SessionErrorKind},
    events::{SessionEvent, SessionEvents, SignedOut, Who},
    replace::ReplaceError,
};

use self::{
    breaker::Breaker, builder::Settings, events::Announcer, flight::Landing, local::Local, look::Looked,
    outage::Outage, pauses::Pauses, single::Single, store_outage::StoreOutage, unsaved::Unsaved,
};
use crate::{
    BoxFuture, Keyring, SessionId, TokenSet,
    endpoint::{OnBehalf, SignOutScope, TokenEndpoint},
    record::Record,
    seldom::Seldom,
    store::{Key, Store},
};
use quick_cache::sync::Cache;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// What a client is told when only time can tell.
const SOON: Duration = Duration::from_secs(1);

/// The one owner of refresh tokens. Clones are one owner.
///
/// Whoever needs an access token asks for it here, for every request. A token that lives is handed out from
/// memory; one that has little left, or nothing, is refreshed by one task, once, for all who ask, in all
/// processes that share a store:
///
/// * A refresh token is sent to the issuer once. Only where nobody knows whether it arrived, and the issuer
///   [allows it](crate::endpoint::AfterUnknown), is it sent again.
/// * No token older than the newest that is known is ever sent.
/// * New tokens are stored before anyone gets them.
/// * Nobody is signed out unless the issuer says so, they wished it, a gate behind the
///   [layer](crate::SessionLayer) refuses their token as revoked, or the store has lost the session, or its
///   [key](Keyring). The exception is an issuer that allows no second try, after an answer that was lost.
/// * Whose refresh token the issuer goes on refusing with 400, though not by `invalid_grant`, is sent to sign in
///   again after half a minute, once the access token has expired. The session and its cookie stay: should the
///   issuer take the token again, it goes on.
/// * An issuer that is in trouble is left alone: after a 429 by all sessions of the process; where a lost
///   answer costs the session, after one such answer too, until the issuer answers
///   [a probe](TokenEndpoint::probe). What was under way already is not called back.
/// * A store that was put back to an earlier time is brought forward by whoever knows newer tokens. What
///   nobody knows any more is lost: the token in the backup may have been spent.
/// * A store that cannot be reached stops refreshing, and nothing else: what is in memory serves while it
///   lives.
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
    outage: Outage,
    store_outage: StoreOutage,
    losses: Seldom,
    unreadable: Seldom,
    refusals: Seldom,
    breaker: Breaker,
    unsaved: Unsaved,
    looks: Single<Looked>,
    flights: Single<Landing>,
    /// Claims that the store did not take back at once, or of which it did not say whether it granted them.
    releases: Single<Option<()>>,
    /// Sign-outs that the issuer has not heard of yet.
    farewells: Single<bool>,
    /// Sessions that end because a gate has refused their tokens as revoked.
    revocations: Single<()>,
    closed: watch::Sender<bool>,
    announcer: Announcer,
}

impl Sessions {
    /// Exchanges tokens at this issuer, and keeps sessions in this store, sealed with these keys.
    ///
    /// Where the configuration says which store it is, that is an `Arc<dyn Store>`: it is a [`Store`] itself,
    /// which a `Box` is not.
    ///
    /// ```
    /// # #[cfg(feature = "redis")]
    /// # fn of(
    /// #     endpoint: impl bearer_session::endpoint::TokenEndpoint, keyring: bearer_session::Keyring, url: Option<&str>,
    /// # ) -> Result<(), bearer_session::store::InvalidRedis> {
    /// # use bearer_session::{Sessions, store::{MemoryStore, RedisStore, Store}};
    /// # use std::sync::Arc;
    /// let store: Arc<dyn Store> = match url {
    ///     Some(url) => Arc::new(RedisStore::open(url)?),
    ///     None => Arc::new(MemoryStore::new(10_000)),
    /// };
    /// let sessions = Sessions::builder(endpoint, store, keyring).build();
    /// # Ok(())
    /// # }
    /// ```
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
            outage: Outage::default(),
            store_outage: StoreOutage::default(),
            losses: Seldom::default(),
            unreadable: Seldom::default(),
            refusals: Seldom::default(),
            breaker: Breaker::default(),
            unsaved: Unsaved::default(),
            looks: Single::default(),
            flights: Single::default(),
            releases: Single::default(),
            farewells: Single::default(),
            revocations: Single::default(),
            closed: watch::Sender::new(false),
            announcer: Announcer::new(on_sign_out),
        }))
    }

    /// Begins a session with what the issuer answered to a sign-in.
    ///
    /// # Errors
    /// [`Unavailable`](SessionErrorKind::Unavailable) when the store does not take it: it is full, or cannot
    /// be reached.
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

    /// Tells that whoever was shown this token has refused it as invalid before its time: the issuer has
    /// withdrawn the key that signed it, say. The [layer](crate::SessionLayer) tells it of the gate's
    /// refusals; tell it of those of a service that you call with the token.
    ///
    /// The token counts as expired from now on in this process, and its successor is fetched at once. Returns
    /// whether it pays to ask for [access](Self::access) again. It does not where the token is younger than a
    /// minute, since its successor would fare no better, or has none.
    #[must_use = "where another token is to be had, the request is worth another try"]
    pub fn refused(&self, access: &Access, on_behalf: OnBehalf) -> bool {
        self.0.refused(&access.0, on_behalf)
    }

    /// A gate has refused the token as one that was revoked: the session ends, here and at the issuer. In a task
    /// of its own; where the store cannot be reached, the next refusal tries again.
    pub(crate) fn revoked(&self, access: &Access, on_behalf: OnBehalf) {
        self.0.revoked(access.key(), on_behalf);
    }

    /// The session as it is, its access token expired perhaps. Nothing is refreshed.
    ///
    /// # Errors
    /// [`SignedOut`](SessionErrorKind::SignedOut) when there is none;
    /// [`Unavailable`](SessionErrorKind::Unavailable) when it is not in memory and the store cannot be
    /// reached.
    pub async fn peek(&self, session: impl Into<Key>) -> Result<Access, SessionError> {
        self.0.peek(session.into()).await.map(Access)
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
    /// Unless the scope is [`Others`](SignOutScope::Others) the session is over here whatever the issuer
    /// says, and a refresh that is under way comes to nothing. That it was over already is no error. An issuer
    /// that is out of order is told again for two minutes, as long as this process lives; one that takes no
    /// access token that has expired is shown a new one, if it [allows](crate::endpoint::AfterUnknown) that a
    /// refresh token comes twice. Whoever asks again meanwhile waits for that. It goes on when the caller goes
    /// away.
    ///
    /// Other sessions of the user, which the issuer ends under the scopes `Others` and `Global`, are found to
    /// be over at their next refresh. Until then their access tokens live, unless a gate refuses them:
    /// [`revoke_in`](crate::revoke_in) tells it of a global sign-out.
    ///
    /// # Errors
    /// [`Unavailable`](SessionErrorKind::Unavailable) when the store cannot be reached, and then nothing was
    /// done; or when the issuer could not be told about other sessions, which may go on: until it has heard
    /// of it, under the scope `Global`.
    pub async fn sign_out(
        &self,
        session: impl Into<Key>,
        scope: SignOutScope,
        on_behalf: OnBehalf,
    ) -> Result<(), SessionError> {
        self.0.sign_out(session.into(), scope, on_behalf).await
    }

    /// Takes over a session that another library began and shares with this one through a cookie. It is found
    /// by its refresh token: by the one it came with, and by all that came after.
    ///
    /// The tokens are taken for the newest only where none of this session are known. Verify the access token
    /// first: otherwise anybody can fill the store.
    ///
    /// # Errors
    /// [`SignedOut`](SessionErrorKind::SignedOut) when there is no refresh token, or the session has ended;
    /// where its name is still known, it is [`access`](Self::access) that says so.
    /// [`Unavailable`](SessionErrorKind::Unavailable) when the store cannot be reached or is full.
    pub async fn adopt(&self, tokens: TokenSet) -> Result<Key, SessionError> {
        self.0.adopt(tokens).await
    }

    /// Shuts down in order: begins no refresh any more, waits for those under way, and has the store take
    /// what it did not take before. For a process that is about to end.
    /// It takes at most the time of [`lease`](SessionsBuilder::lease), and usually none.
    ///
    /// A refresh that is cut off between the issuer's answer and the store costs the session, where the
    /// issuer forgives nothing. What is in memory is served as before; where an access token has expired, the
    /// answer is [`Unavailable`](SessionErrorKind::Unavailable). All clones are closed, and the event streams
    /// of the routes end: a server that shuts down gracefully waits for those, so this is to come before.
    ///
    /// ```
    /// # use bearer_session::Sessions;
    /// # async fn of(sessions: Sessions, app: axum::Router, stop: impl Future<Output = ()> + Send + 'static)
    /// # -> std::io::Result<()> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// let stop = async move {
    ///     stop.await;
    ///     sessions.close().await;
    /// };
    /// axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn close(&self) {
        self.0.close().await;
    }

    /// Resolves when [`close`](Self::close) is called.
    #[cfg(feature = "axum")]
    pub(crate) async fn closed(&self) {
        // Nobody hangs up: the owner is borrowed.
        let _ = self.0.closed.subscribe().wait_for(|is_closed| *is_closed).await;
    }

    /// What happens from now on.
    pub fn events(&self) -> SessionEvents {
        self.0.announcer.listen()
    }

    /// Resolves when a session has changed, in any process, as far as the store can tell: a notice may get
    /// lost, so bound the wait, and look.
    pub fn changed(&self, session: impl Into<Key>) -> BoxFuture<'static, ()> {
        self.0.store.changed(&session.into())
    }
}
