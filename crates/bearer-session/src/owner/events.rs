//! [`SessionEvent`]: what happens to sessions, for whoever wants to hear of it.

use crate::{endpoint::SignOutScope, labels::Labels, store::Key};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::broadcast::{self, error::RecvError};

/// What happened to a session, as this process saw it: what another process does is seen when the session is
/// next asked for here.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// `SIGNED_IN`: there is a new one.
    SignedIn(Who),
    /// `TOKEN_REFRESHED`: it has new tokens.
    TokenRefreshed(Who),
    /// `SIGNED_OUT`: it is over.
    SignedOut(Who),
    /// So many events were not taken in time and are lost: look for yourself.
    Missed(u64),
}

/// Whose session it is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Who {
    /// The name of the session in the store.
    pub key: Key,
    /// The `sub` of the access token, which nobody has verified here.
    pub subject: Option<Arc<str>>,
}

/// The events from now on. See [`Sessions::events`](crate::Sessions::events).
#[derive(Debug)]
pub struct SessionEvents(broadcast::Receiver<SessionEvent>);

/// A session is over, for what keeps its access token from being used elsewhere, such as the deny list of a
/// gate.
///
/// What it says of the token, nobody has verified here; but only its owner's session was signed out: of a
/// session that was taken over with an expired access token, nothing is said before its first refresh.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SignedOut {
    /// The name of the session in the store.
    pub key: Key,
    /// Which sessions of the user.
    pub scope: SignOutScope,
    /// `iss`.
    pub issuer: Option<Arc<str>>,
    /// `sub`.
    pub subject: Option<Arc<str>>,
    /// `session_id` or `sid`.
    pub session_id: Option<Arc<str>>,
    /// `iat`: when the access token was issued.
    pub access_token_issued_at: Option<SystemTime>,
    /// How long the access token may still live. Tokens of other sessions may live longer.
    pub access_token_lives: Duration,
}

/// Tells the world.
pub(super) struct Announcer {
    events: broadcast::Sender<SessionEvent>,
    on_sign_out: Option<OnSignOut>,
}

pub(super) type OnSignOut = Box<dyn Fn(&SignedOut) + Send + Sync>;

impl Who {
    pub(super) fn new(key: Key, labels: &Labels) -> Self {
        Self { key, subject: labels.subject.clone() }
    }
}

impl SessionEvents {
    /// The next event; `None` when the [`Sessions`](crate::Sessions) are no more.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(SessionEvent::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Announcer {
    /// How many events are kept for a listener that is slow.
    const KEPT: usize = 256;

    pub(super) fn new(on_sign_out: Option<OnSignOut>) -> Self {
        Self { events: broadcast::Sender::new(Self::KEPT), on_sign_out }
    }

    pub(super) fn listen(&self) -> SessionEvents {
        SessionEvents(self.events.subscribe())
    }

    /// That nobody listens is no failure.
    pub(super) fn tell(&self, event: SessionEvent) {
        let _ = self.events.send(event);
    }

    pub(super) fn signed_out(&self, signed_out: &SignedOut) {
        if let Some(hook) = &self.on_sign_out {
            hook(signed_out);
        }
    }
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcer")
            .field("listening", &self.events.receiver_count())
            .field("on_sign_out", &self.on_sign_out.is_some())
            .finish_non_exhaustive()
    }
}
