//! Logouts at the issuer, as back-channel logout tells of them: marks in the store. Whoever looks for a session
//! looks for those that are about it.

use super::{Owner, SOON, SessionError, Sessions, local::Held, look::Looked};
use crate::{
    BoxFuture,
    record::Record,
    store::{Claim, Commit, Key, Lookup, Row},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;
use tower_bearer::LogoutToken;
use tracing::{error, info};

/// For how much of an access token's life a mark is kept, beside the lifetime of a session.
const ACCESS_TOKEN_LIVES: Duration = Duration::from_secs(24 * 3600);

/// Sessions that began before are over: seconds since 1970. Nothing in it is a secret, and whoever could forge
/// one could as well delete the session: it is not sealed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Mark(u64);

impl Sessions {
    /// Ends the sessions that a logout token is about: with `sid`, those of that session at the issuer; with
    /// `sub` alone, those of the user that began until then (OpenID Connect Back-Channel Logout 1.0 §2.7). It is
    /// for `LogoutReceiver::on_logout` of `tower-bearer`, and wants
    /// [`heed_logouts`](crate::SessionsBuilder::heed_logouts).
    ///
    /// ```
    /// # use axum::{Router, body::Body, http::{Request, StatusCode, header::CONTENT_TYPE}, routing::post_service};
    /// use axum_bearer::{Connect as _, Issuer, LogoutReceiver, revocation::DenyList};
    /// use bearer_session::{Keyring, Sessions, endpoint::OnBehalf, store::MemoryStore};
    /// # use bearer_session::{TokenSet, endpoint::{OAuthClient, OAuthEndpoint}};
    /// # use bearer_testing::{TestOAuth, TokenBuilder};
    /// # use tower::ServiceExt as _;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let provider = TestOAuth::start().await;
    /// # let endpoint = OAuthEndpoint::discover(provider.issuer(), OAuthClient::public("app")).await?;
    /// # let jwks = format!("{}/.well-known/jwks.json", provider.issuer());
    /// # let issuer = Issuer::new(provider.issuer(), "api").jwks_uri(jwks);
    /// # let tokens = provider.grant("ada").to_string();
    /// # let tokens = TokenSet::from_response(tokens.as_bytes(), std::time::SystemTime::now())?;
    /// let sessions = Sessions::builder(endpoint, MemoryStore::new(10_000), Keyring::random())
    ///     .heed_logouts()
    /// #   .local_for(std::time::Duration::ZERO)
    ///     .build();
    /// let verifier = issuer.logout_client("app").connect().await?;
    /// let heeding = sessions.clone();
    /// let receiver = LogoutReceiver::new(verifier, DenyList::new(100_000))
    ///     .on_logout(move |token| heeding.heed_logout(token))
    ///     .response_body::<Body>();
    /// let app = Router::new().route("/backchannel-logout", post_service(receiver));
    ///
    /// let session = sessions.create(tokens).await?;
    /// assert!(sessions.access(&session, OnBehalf::default()).await.is_ok());
    /// # let logout = TokenBuilder::new(&provider.signing_key(), provider.issuer(), "app").logout().subject("ada");
    /// # let logout = Request::post("/backchannel-logout")
    /// #     .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
    /// #     .body(Body::from(format!("logout_token={}", logout.sign())))?;
    /// assert_eq!(app.oneshot(logout).await?.status(), StatusCode::OK); // "Ada has signed out", says the issuer
    /// assert!(sessions.access(&session, OnBehalf::default()).await.is_err()); // five seconds later
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Every process of the store knows of it within the time of [`local_for`](crate::SessionsBuilder::local_for);
    /// a session that nobody uses for a while is over when somebody does. Which sessions are meant, `iss`, `sid`
    /// and `sub` of the ID token say, or of the access token where there is none. The refresh token is not
    /// revoked: what becomes of it is the issuer's affair, which ended the session itself.
    ///
    /// That a session began before a logout by `sub` is told by the clock of the process that began it, and that
    /// of the issuer: where this one is ahead, who signs in again at once may have to do so twice.
    ///
    /// # Errors
    /// [`Unavailable`](crate::SessionErrorKind::Unavailable) when the store cannot be reached or is full, or
    /// where the sessions do not [heed logouts](crate::SessionsBuilder::heed_logouts).
    pub fn heed_logout(&self, token: LogoutToken) -> BoxFuture<'static, Result<(), SessionError>> {
        let owner = Arc::clone(&self.0);
        Box::pin(async move { owner.heed_logout(&token).await.ok_or(SessionError::unavailable(SOON)) })
    }
}

impl Owner {
    /// `None` where nothing was done.
    async fn heed_logout(&self, token: &LogoutToken) -> Option<()> {
        if !self.settings.heeds_logouts {
            error!(
                "a logout at the issuer ends no session: `heed_logouts` is missing at the builder of the sessions"
            );
            return None;
        }
        match (&token.sid, &token.sub) {
            (Some(sid), _) => self.mark(of_session(&token.iss, sid), Mark::ALL).await,
            (None, Some(sub)) => self.mark(of_user(&token.iss, sub), Mark::until(token.iat)).await,
            // The verifier lets none of these through.
            (None, None) => None,
        }
    }

    /// Leaves this mark, unless there is one that says as much.
    async fn mark(&self, key: Key, mark: Mark) -> Option<()> {
        let lives = self.settings.row_lives(ACCESS_TOKEN_LIVES);
        let row = match self.ask(self.store.create(&key, &mark.encode(), lives)).await? {
            Lookup::Unknown => return Some(()),
            Lookup::Live(row) if Mark::of(&row) >= mark => return Some(()),
            Lookup::Live(row) => row,
            // Nobody ends marks.
            Lookup::Ended => return None,
        };
        match self.ask(self.store.claim(&key, row.generation, self.settings.lease)).await? {
            Claim::Granted { fence, row, .. } => {
                let mark = mark.max(Mark::of(&row));
                let committed = self.ask(self.store.commit(&key, fence, &mark.encode(), lives)).await?;
                (committed == Commit::Stored).then_some(())
            }
            // Another process is at it. The issuer may ask again.
            Claim::Held(_) | Claim::Moved(_) | Claim::Ended | Claim::Unknown => None,
        }
    }

    /// The session as it was found, unless the issuer has signed its user out.
    pub(super) async fn unless_logged_out(self: &Arc<Self>, held: Arc<Held>) -> Looked {
        if !self.settings.heeds_logouts {
            return Looked::Live(held);
        }
        match self.is_logged_out(&held.record).await {
            Some(false) => Looked::Live(held),
            Some(true) => {
                info!(key = ?held.key, "a session is over, since the issuer has signed its user out");
                self.end(held.key, Instant::now() + self.settings.store_timeout).await;
                Looked::Over
            }
            None => Looked::Unreachable,
        }
    }

    /// `None` where the store does not say.
    async fn is_logged_out(&self, record: &Record) -> Option<bool> {
        let (id, access) = (record.id_labels(), &record.labels);
        let Some(iss) = id.issuer.as_ref().or(access.issuer.as_ref()) else { return Some(false) };
        let session = id.session.as_ref().or(access.session.as_ref()).map(|sid| of_session(iss, sid));
        let user = id.subject.as_ref().or(access.subject.as_ref()).map(|sub| of_user(iss, sub));
        let (session, user) = tokio::join!(self.marked(session), self.marked(user));
        Some(Mark(record.signed_in) < session?.max(user?))
    }

    /// The mark of this name.
    async fn marked(&self, key: Option<Key>) -> Option<Mark> {
        let Some(key) = key else { return Some(Mark::NONE) };
        match self.ask(self.store.load(&key)).await? {
            Lookup::Live(row) => Some(Mark::of(&row)),
            Lookup::Ended | Lookup::Unknown => Some(Mark::NONE),
        }
    }
}

fn of_session(iss: &str, sid: &str) -> Key {
    Key::of("logout of a session", &name(iss, sid))
}

fn of_user(iss: &str, sub: &str) -> Key {
    Key::of("logout of a user", &name(iss, sub))
}

/// No two issuers have one in common.
fn name(iss: &str, name: &str) -> String {
    format!("{} {iss} {name}", iss.len())
}

impl Mark {
    const NONE: Self = Self(0);

    const ALL: Self = Self(u64::MAX);

    /// Issuers count in whole seconds: what began in this one may have been before.
    fn until(iat: SystemTime) -> Self {
        Self(iat.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().saturating_add(1))
    }

    const fn encode(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// What this version does not understand is taken for the most that it may say.
    fn of(row: &Row) -> Self {
        <[u8; 8]>::try_from(&*row.sealed).map_or(Self::ALL, |bytes| Self(u64::from_be_bytes(bytes)))
    }
}
