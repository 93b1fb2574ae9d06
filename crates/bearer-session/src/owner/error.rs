//! [`SessionError`]: why there is no access token.

use std::{error::Error, fmt, time::Duration};

/// What to do about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SessionErrorKind {
    /// There is no such session any more, and trying again brings none back: take the cookie away, unless it
    /// is [to stay](SessionError::keeps_cookie).
    SignedOut,
    /// Not now. The session is as it was: leave the cookie alone, and answer 503 with `Retry-After`.
    Unavailable,
}

/// There is no access token for a session. It holds nothing of the session.
#[derive(Clone, Debug)]
pub struct SessionError {
    kind: SessionErrorKind,
    retry_after: Option<Duration>,
    keeps_cookie: bool,
}

impl SessionError {
    pub(crate) const SIGNED_OUT: Self =
        Self { kind: SessionErrorKind::SignedOut, retry_after: None, keeps_cookie: false };

    /// The keys of this process do not open it.
    pub(crate) const UNREADABLE: Self = Self { keeps_cookie: true, ..Self::SIGNED_OUT };

    /// The store has lost it a moment ago.
    pub(crate) const LOST: Self = Self { keeps_cookie: true, ..Self::SIGNED_OUT };

    /// The issuer goes on refusing its refresh token, without the word that would end it.
    pub(super) const REFUSED: Self = Self { keeps_cookie: true, ..Self::SIGNED_OUT };

    pub(crate) fn unavailable(retry_after: Duration) -> Self {
        let kind = SessionErrorKind::Unavailable;
        Self { kind, retry_after: Some(retry_after), keeps_cookie: true }
    }

    /// What to do about it.
    pub const fn kind(&self) -> SessionErrorKind {
        self.kind
    }

    /// Whether the cookie is to stay where it is. So it is when the session is there and does not open with
    /// the [keys](crate::Keyring) of this process: they may be the wrong ones, and those of others the right
    /// ones. So it is for a moment when the store knows the session no more, which nobody has ended: it may
    /// find it again. And so it is when the issuer has refused the refresh token for half a minute, with 400, and
    /// in other words than those that end a session: that may pass, and then the session goes on.
    pub const fn keeps_cookie(&self) -> bool {
        self.keeps_cookie
    }

    /// When to try again, where that makes sense. For `Retry-After`, round up to whole seconds.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            SessionErrorKind::SignedOut => "the session is over",
            SessionErrorKind::Unavailable => "the session has no fresh access token right now",
        })
    }
}

impl Error for SessionError {}
