//! Logouts at the issuer, as back-channel logout tells of them: marks in the store. Whoever looks for a
//! session looks for those that are about it.

use super::{Owner, SOON, SessionError, Sessions, end::REMEMBERED, local::Held};
use crate::{BoxFuture, endpoint::SignOutScope, record::Record, store::Key};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;
use tower_bearer::LogoutToken;
use tracing::{error, info, warn};

/// For how long a mark is kept, beside the lifetime of a session: for so much of an access token's life.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Sessions that began before are over: seconds since 1970. It lies in the store as what the name of the
/// issuer's session or user leads to. Nothing in it is a secret, and whoever could forge one could as well
/// delete the session: it is not sealed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Mark(u64);

impl Sessions {
    /// Ends the sessions that a logout token is about (OpenID Connect Back-Channel Logout 1.0 §2.7): those
    /// that began until then, with its `sid`, or with its `sub` where it has no `sid`. It is for
    /// `LogoutReceiver::on_logout` of `tower-bearer`, and wants
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
    /// Every process of the store knows of it within the time of
    /// [`local_for`](crate::SessionsBuilder::local_for), a page that listens to the events within 15 s; a
    /// session that nobody uses for a while is over when somebody does. Which sessions are meant, `iss`,
    /// `sid` and `sub` of the ID token say, or of the access token where there is none; when they began, the
    /// `iat` of the first one. Issuers count in whole seconds: who comes back within that of the logout has
    /// to sign in once more. Of two logouts of one user at the same moment, the earlier may be the one that
    /// is remembered.
    ///
    /// The issuer is not told: the session may have a successor there. A refresh token of `offline_access`,
    /// which outlives a logout (there, §2.7), lives until it expires, and nobody has it any more.
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
        let (key, mark) = match (&token.sid, &token.sub) {
            // Not for good: a user who only takes the consent back that this client has is signed in at the
            // issuer as before, and has the same `sid` when they come back (Keycloak).
            (Some(sid), _) => (of_session(&token.iss, sid), Mark::until(token.iat)),
            (None, Some(sub)) => (of_user(&token.iss, sub), Mark::until(token.iat)),
            // The verifier lets none of these through.
            (None, None) => return None,
        };
        let until = Instant::now() + self.settings.store_timeout;
        self.retry_until(until, || self.mark(key, mark)).await
    }

    /// Leaves this mark, unless there is one that says as much.
    async fn mark(&self, key: Key, mark: Mark) -> Option<()> {
        if self.marked(Some(key)).await? >= mark {
            return Some(());
        }
        self.ask(self.store.link(&key, &mark.key(), self.settings.row_lives(DAY))).await
    }

    /// Whether the issuer has signed out who has this session; `None` where the store does not say.
    pub(super) async fn is_logged_out(&self, record: &Record) -> Option<bool> {
        if !self.settings.heeds_logouts {
            return Some(false);
        }
        let (id, access) = (record.id_labels(), &record.labels);
        let Some(iss) = id.issuer.as_ref().or(access.issuer.as_ref()) else { return Some(false) };
        let sid = record.sid.as_ref().or(access.sid.as_ref()).or(access.session.as_ref());
        let began = Mark(record.issued.unwrap_or(record.signed_in));
        let sub = id.subject.as_ref().or(access.subject.as_ref());
        let (session, user) = tokio::join!(
            self.marked(sid.map(|sid| of_session(iss, sid))),
            self.marked(sub.map(|sub| of_user(iss, sub))),
        );
        Some(began < session?.max(user?))
    }

    /// The mark of this name.
    async fn marked(&self, key: Option<Key>) -> Option<Mark> {
        let Some(key) = key else { return Some(Mark::NONE) };
        Some(self.ask(self.store.resolve(&key)).await?.map_or(Mark::NONE, Mark::of))
    }

    /// Ends a session whose user the issuer has signed out. The hook hears of it in the process that ended
    /// it, and in those that had it.
    pub(super) async fn logged_out(self: &Arc<Self>, found: &Held) {
        let key = found.key;
        info!(?key, "a session is over, since the issuer has signed its user out");
        let end = || self.ask(self.store.end(&key, REMEMBERED));
        let lived = self.retry_until(Instant::now() + self.settings.store_timeout, end).await;
        if !self.over(&key, SignOutScope::Local) && lived == Some(true) {
            self.announce(found, SignOutScope::Local, Instant::now());
        }
        if lived.is_none() {
            warn!(?key, "the store could not be told that a session is over");
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

    /// Issuers count in whole seconds: what began in this one may have been before.
    fn until(iat: SystemTime) -> Self {
        Self(iat.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().saturating_add(1))
    }

    /// No session lies there: other keys are digests.
    fn key(self) -> Key {
        let mut bytes = [0; 32];
        bytes[24..].copy_from_slice(&self.0.to_be_bytes());
        Key::from_bytes(bytes)
    }

    /// What this version does not understand is taken for the most that it may say.
    fn of(key: Key) -> Self {
        match key.as_bytes().split_last_chunk() {
            Some((rest, seconds)) if rest.iter().all(|byte| *byte == 0) => Self(u64::from_be_bytes(*seconds)),
            _ => Self(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_anything_else_as_the_most() {
        for seconds in [0, 1, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(Mark::of(Mark(seconds).key()), Mark(seconds));
        }
        assert_eq!(Mark::of(Key::of("session", "a")), Mark(u64::MAX));
    }

    #[test]
    fn no_two_names_are_one() {
        let keys = [
            ("https://a", "b"),
            ("https://ab", ""),
            ("https://", "ab"),
            ("https://a b", "b"),
            ("https://a", "b b"),
        ];
        let keys = keys.map(|(iss, name)| [of_session(iss, name), of_user(iss, name)]).concat();
        for (number, key) in keys.iter().enumerate() {
            assert!(!keys[..number].contains(key), "{number}");
        }
    }
}
