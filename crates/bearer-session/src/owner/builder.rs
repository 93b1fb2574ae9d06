//! [`SessionsBuilder`]: how the owner of sessions is set up.

use super::{Sessions, events::OnSignOut};
use crate::{Keyring, SignedOut, endpoint::TokenEndpoint, store::Store};
use std::{fmt, sync::Arc, time::Duration};

/// How [`Sessions`] are set up. See [`Sessions::builder`].
pub struct SessionsBuilder {
    pub(super) endpoint: Arc<dyn TokenEndpoint>,
    pub(super) store: Arc<dyn Store>,
    pub(super) keyring: Keyring,
    pub(super) settings: Settings,
    pub(super) on_sign_out: Option<OnSignOut>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) margin: Duration,
    pub(super) wait: Duration,
    pub(super) local_for: Duration,
    pub(super) local_copies: usize,
    pub(super) request_timeout: Duration,
    pub(super) store_timeout: Duration,
    pub(super) lease: Duration,
    pub(super) lifetime: Duration,
    pub(super) heeds_logouts: bool,
}

impl SessionsBuilder {
    pub(super) fn new(endpoint: Arc<dyn TokenEndpoint>, store: Arc<dyn Store>, keyring: Keyring) -> Self {
        Self { endpoint, store, keyring, settings: Settings::default(), on_sign_out: None }
    }

    /// An access token with less left is refreshed, in the background while it lives. Never more than a third
    /// of the token's life. Default 90 s.
    #[must_use]
    pub fn margin(mut self, margin: Duration) -> Self {
        self.settings.margin = margin;
        self
    }

    /// How long a request waits for a fresh token when its own has expired. Default 15 s.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.settings.wait = wait;
        self
    }

    /// For how long a session is served without asking the store. A sign-out in another process is seen after
    /// that time at the latest; if the store is unreachable, once it is back, or when the access token
    /// expires. Default 5 s.
    #[must_use]
    pub fn local_for(mut self, time: Duration) -> Self {
        self.settings.local_for = time;
        self
    }

    /// How many sessions this process keeps copies of, each as large as its tokens. Default 10 000.
    #[must_use]
    pub fn local_copies(mut self, most: usize) -> Self {
        self.settings.local_copies = most;
        self
    }

    /// For one request to the issuer, from its start to its last byte. Default 10 s.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.settings.request_timeout = timeout;
        self
    }

    /// For one request to the store. Default 2 s.
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.settings.store_timeout = timeout;
        self
    }

    /// For how long one process may refresh a session before another takes over, which it only does when the
    /// first one broke down. Default 30 s; never less than a request to the issuer and two to the store may
    /// take.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// For how long a session that nobody uses lies in the store once its access token has expired. Default
    /// 30 days, never less than the [`lease`](Self::lease). The same in all instances.
    ///
    /// It says how long the store keeps what is left behind, and signs nobody out who is there: each refresh
    /// begins it anew, and with an access token of one hour and a lifetime of 30 minutes, whoever comes back
    /// within half an hour goes on. As an idle time-out it is rough, since the session lives as long as its
    /// last access token before; and no session ends by it because it is old. Where access tokens live for
    /// months, so does what is left behind.
    ///
    /// Limits of that kind are the issuer's, who has one for all that a user is signed in to: time-boxed
    /// sessions and the inactivity time-out of Supabase Auth, or the life of a refresh token at an issuer of
    /// OAuth. A session that the issuer ends is over here at its next refresh, or [within
    /// seconds](Self::heed_logouts). What a handler wants of its own hangs on
    /// [`CurrentSession::signed_in_at`](crate::CurrentSession::signed_in_at), and what a gate wants on its
    /// policy [`max_age`](tower_bearer::policy::max_age).
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.lifetime = lifetime;
        self
    }

    /// Ends sessions whose user the issuer has signed out, as [`heed_logout`](Sessions::heed_logout) is told
    /// of it. For all instances, or none: whenever one looks for a session in the store, it then looks for
    /// what was said of that session and of its user too. What was said lies there for a day and the
    /// [`lifetime`](Self::lifetime): where access tokens live longer than a day, let that be as much longer.
    /// It takes the room of [another name](crate::store::Store::link) of a session.
    #[must_use]
    pub fn heed_logouts(mut self) -> Self {
        self.settings.heeds_logouts = true;
        self
    }

    /// What to do when a session is over, however that came: the place to tell the deny list of a gate. It is
    /// called in the task that noticed, and must not block.
    ///
    /// Of a [global](crate::endpoint::SignOutScope::Global) sign-out it hears twice: before the issuer is
    /// told, and when that has answered, because until then it may issue tokens. It does not hear of a
    /// session that was taken over with an access token that had expired, and was never refreshed: whose it
    /// is, nobody knows.
    ///
    /// ```
    /// # use bearer_session::SessionsBuilder;
    /// use std::sync::mpsc;
    ///
    /// # fn of(builder: SessionsBuilder) -> SessionsBuilder {
    /// let (revoked, _revocations) = mpsc::channel();
    /// builder.on_sign_out(move |session| {
    ///     if let (Some(issuer), Some(id)) = (&session.issuer, &session.session_id) {
    ///         let _ = revoked.send((issuer.clone(), id.clone(), session.access_token_lives));
    ///     }
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn on_sign_out(mut self, hook: impl Fn(&SignedOut) + Send + Sync + 'static) -> Self {
        self.on_sign_out = Some(Box::new(hook));
        self
    }

    /// The owner.
    pub fn build(mut self) -> Sessions {
        /// As good as for ever, and no instant is too far away for it.
        const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
        let Settings { wait, local_for, request_timeout, store_timeout, lease, .. } = &mut self.settings;
        for time in [wait, local_for, request_timeout, store_timeout, lease] {
            *time = LONGEST.min(*time);
        }
        self.settings.lease =
            self.settings.lease.max(self.settings.for_an_exchange() + self.settings.store_timeout);
        // The claim of a refresh lies in the row.
        self.settings.lifetime = self.settings.lifetime.max(self.settings.lease);
        Sessions::from_builder(self)
    }
}

impl Settings {
    /// What must be left of a lease for an exchange: the request, and then the store is to take the answer.
    pub(super) fn for_an_exchange(&self) -> Duration {
        self.request_timeout + self.store_timeout
    }

    /// For how long what came by another way than a look is served without one: a look finds logouts too.
    pub(super) const fn local_for_without_a_look(&self) -> Duration {
        if self.heeds_logouts { Duration::ZERO } else { self.local_for }
    }

    /// For how long a row is to lie in the store whose access token has so long to live. Reckoned from the
    /// end of that: a live token is refreshed when it is nearly over, and until then the row is not written.
    pub(super) const fn row_lives(&self, access_token: Duration) -> Duration {
        access_token.saturating_add(self.lifetime)
    }
}

impl Default for Settings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            margin: Duration::from_secs(90),
            wait: Duration::from_secs(15),
            local_for: Duration::from_secs(5),
            local_copies: 10_000,
            request_timeout: Duration::from_secs(10),
            store_timeout: Duration::from_secs(2),
            lease: Duration::from_secs(30),
            lifetime: 30 * DAY,
            heeds_logouts: false,
        }
    }
}

impl fmt::Debug for SessionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsBuilder")
            .field("endpoint", &self.endpoint)
            .field("store", &self.store)
            .field("keyring", &self.keyring)
            .field("settings", &self.settings)
            .field("on_sign_out", &self.on_sign_out.is_some())
            .finish()
    }
}
