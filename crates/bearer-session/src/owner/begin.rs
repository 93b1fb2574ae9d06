//! Beginning a session, and undoing that where it fails.

use super::{
    Owner, SOON, SessionError, SessionEvent, Sessions, Who,
    local::{Held, Kept},
    rules::Unreadable,
    within::within,
};
use crate::{
    AccessToken, RefreshToken, SessionId, TokenSet,
    endpoint::{OnBehalf, SignOutScope},
    record::Record,
    sources::sources,
    store::{Key, Lookup},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::warn;

impl Sessions {
    /// As [`create`](Self::create), under a name that is known whatever comes of it.
    pub(crate) async fn create_as(&self, id: &SessionId, tokens: TokenSet) -> Result<(), SessionError> {
        self.0.create(id.key(), Record::signed_in(tokens, false)).await.map(|_| ())
    }

    /// Ends a session that gives way to one with these tokens.
    pub(crate) async fn give_way(
        &self,
        key: Key,
        to: &Record,
        on_behalf: OnBehalf,
    ) -> Result<(), SessionError> {
        self.0.give_way(key, to, on_behalf).await
    }

    /// Gives up the tokens of a session that could not be created, or adopted where there is no id: the
    /// issuer is told, and what the store may have taken all the same is ended. In a task of its own, which
    /// ends by itself: nobody waits for it, and none of it can be relied on.
    pub(crate) fn give_up(
        &self,
        id: Option<&SessionId>,
        access_token: AccessToken,
        refresh_token: Option<RefreshToken>,
        on_behalf: OnBehalf,
    ) {
        let owner = Arc::clone(&self.0);
        let key = id.map(SessionId::key).or_else(|| refresh_token.as_ref().map(Key::of_refresh_token));
        tokio::spawn(async move {
            tokio::join!(owner.tell_of(access_token, refresh_token, on_behalf), owner.end_any(key));
        });
    }
}

impl Owner {
    pub(super) async fn create(&self, key: Key, record: Record) -> Result<Arc<Held>, SessionError> {
        let (asked, sealed) = (Instant::now(), self.keyring.seal(&key, 0, &record.encode()));
        let lives = self.settings.row_lives(record.expires_in);
        match self.ask(self.store.create(&key, &sealed, lives)).await {
            Some(Lookup::Unknown) => {
                let held = Held::new(key, 0, record, Duration::ZERO, asked).trusted(self.settings.local_for);
                let (held, _) = self.local.keep(held, asked);
                self.announcer.tell(SessionEvent::SignedIn(Who::new(key, &held.record.labels)));
                Ok(held)
            }
            Some(Lookup::Live(row)) => match self.absorb(key, &row, asked) {
                Some((_, Kept::Ended)) => Err(SessionError::SIGNED_OUT),
                Some((_, Kept::Behind(held)) | (held, _)) => Ok(held),
                None => Err(match self.unreadable(&key, &row, asked) {
                    Unreadable::Wait => SessionError::unavailable(SOON),
                    Unreadable::Over => SessionError::UNREADABLE,
                }),
            },
            Some(Lookup::Ended) => Err(SessionError::SIGNED_OUT),
            None => Err(SessionError::unavailable(SOON)),
        }
    }

    async fn tell_of(&self, access: AccessToken, refresh: Option<RefreshToken>, on_behalf: OnBehalf) {
        let deadline = Instant::now() + self.settings.request_timeout;
        let told = self.endpoint.sign_out(&access, refresh.as_ref(), SignOutScope::Local, on_behalf);
        match within(deadline, told).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                warn!(%error, source = sources(&error), "the issuer could not be told that a sign-in came to nothing");
            }
            None => warn!("the issuer could not be told in time that a sign-in came to nothing"),
        }
    }

    async fn end_any(&self, key: Option<Key>) {
        if let Some(key) = key {
            self.end_row(key, Instant::now() + self.settings.request_timeout).await;
        }
    }
}
