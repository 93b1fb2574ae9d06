//! Taking over a session that came with a cookie of another library.

use super::{Owner, SOON, SessionError, SessionErrorKind, Sessions, local::Entry};
use crate::{RefreshToken, TokenSet, record::Record, store::Key};
use std::sync::Arc;
use tokio::time::Instant;

impl Key {
    /// The name of a session that is found by its refresh token.
    pub(super) fn of_refresh_token(token: &RefreshToken) -> Self {
        Self::of("refresh", token.expose())
    }
}

impl Sessions {
    /// The session that this refresh token is known to belong to.
    pub(crate) async fn find(&self, token: &RefreshToken) -> Result<Option<Key>, SessionError> {
        self.0.find(Key::of_refresh_token(token)).await
    }
}

impl Owner {
    /// Where a name leads. Of a session that the store may have lost, it is asked again: it has the names of
    /// all that it has, and of what was ended.
    async fn find(self: &Arc<Self>, name: Key) -> Result<Option<Key>, SessionError> {
        if let Some(key) = self.names.get(&name) {
            if !self.may_be_lost(key).await? {
                return Ok(Some(key));
            }
            self.names.remove(&name);
        }
        let found = self.ask(self.store.resolve(&name)).await.ok_or(SessionError::unavailable(SOON))?;
        if let Some(key) = found {
            self.names.insert(name, key);
        }
        Ok(found)
    }

    /// Whether a session is gone, and not known to have been ended: that the store has lost it is not
    /// remembered for long, nor of what has no copy here.
    async fn may_be_lost(self: &Arc<Self>, key: Key) -> Result<bool, SessionError> {
        match self.peek(key).await {
            Ok(_) => Ok(false),
            // Whoever asked for more would wait for the same store once more.
            Err(error) if error.kind() == SessionErrorKind::Unavailable => Err(error),
            Err(_) => Ok(!matches!(self.local.get(&key, Instant::now()), Some(Entry::Ended(_)))),
        }
    }

    pub(super) async fn adopt(self: &Arc<Self>, tokens: TokenSet) -> Result<Key, SessionError> {
        let lives = self.settings.row_lives(tokens.expires_in);
        let Some(token) = &tokens.refresh_token else { return Err(SessionError::SIGNED_OUT) };
        let name = Key::of_refresh_token(token);
        if let Some(key) = self.find(name).await? {
            return Ok(key);
        }
        // The first of its tokens that we see: it is the session's name from now on. Whoever else brings it at
        // this moment finds the same row.
        let key = self.create(name, Record::signed_in(tokens, true)).await?.key;
        // It leads to itself, as later names do, and longer than an end is remembered: an old cookie does not
        // begin a session anew that was signed out. Without it the session is as good.
        let _ = self.ask(self.store.link(&name, &key, lives)).await;
        self.names.insert(name, key);
        Ok(key)
    }
}
