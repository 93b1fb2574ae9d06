//! Taking over a session that came with a cookie of another library.

use super::{Owner, SOON, SessionError, SessionErrorKind, Sessions, local::Entry};
use crate::{RefreshToken, TokenSet, record::Record, store::Key};
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
        self.0.find(token).await
    }

    /// Whether the store has lost the session that this refresh token was found to belong to. Then the store
    /// is asked again to whom it belongs.
    pub(crate) async fn has_lost(&self, key: Key, token: &RefreshToken) -> Result<bool, SessionError> {
        match self.peek(key).await {
            Ok(_) => return Ok(false),
            // Whoever asked for more would wait for the same store once more.
            Err(error) if error.kind() == SessionErrorKind::Unavailable => return Err(error),
            Err(_) => {}
        }
        let is_lost = matches!(self.0.local.get(&key, Instant::now()), Some(Entry::Lost(_)));
        if is_lost {
            self.0.names.remove(&Key::of_refresh_token(token));
        }
        Ok(is_lost)
    }
}

impl Owner {
    async fn find(&self, token: &RefreshToken) -> Result<Option<Key>, SessionError> {
        let name = Key::of_refresh_token(token);
        if let Some(key) = self.names.get(&name) {
            return Ok(Some(key));
        }
        let found = self.ask(self.store.resolve(&name)).await.ok_or(SessionError::unavailable(SOON))?;
        if let Some(key) = found {
            self.names.insert(name, key);
        }
        Ok(found)
    }

    pub(super) async fn adopt(&self, tokens: TokenSet) -> Result<Key, SessionError> {
        let Some(token) = &tokens.refresh_token else { return Err(SessionError::SIGNED_OUT) };
        if let Some(key) = self.find(token).await? {
            return Ok(key);
        }
        // The first of its tokens that we see: it is the session's name from now on. Whoever else brings it at
        // this moment finds the same row.
        let name = Key::of_refresh_token(token);
        let key = self.create(name, Record::signed_in(tokens, true)).await?.key;
        // It leads to itself, as later names do, and longer than an end is remembered: an old cookie does not
        // begin a session anew that was signed out. Without it the session is as good.
        let _ = self.ask(self.store.link(&name, &key, self.settings.lifetime)).await;
        self.names.insert(name, key);
        Ok(key)
    }
}
