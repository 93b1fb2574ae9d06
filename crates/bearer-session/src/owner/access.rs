//! [`Access`]: an access token, and what is known of its session.

use super::local::Held;
use crate::{AccessToken, InvalidIdTokenClaims, RefreshToken, Secret, id_claims, labels::Labels, store::Key};
use serde::de::DeserializeOwned;
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;

/// An access token that lives, and what is known of its session. A clone is cheap.
#[derive(Clone, Debug)]
pub struct Access(pub(super) Arc<Held>);

impl Access {
    /// The token.
    pub fn token(&self) -> &AccessToken {
        &self.0.record.access_token
    }

    /// How long it still lives.
    pub fn expires_in(&self) -> Duration {
        self.0.left(Instant::now())
    }

    /// The name of the session in the store.
    pub fn key(&self) -> Key {
        self.0.key
    }

    /// How many times the session was refreshed: of two that differ, the greater is the newer.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// The `sub` of the token, which nobody has verified here.
    pub fn subject(&self) -> Option<&str> {
        self.0.record.labels.subject.as_deref()
    }

    /// The `session_id` or `sid` of the token, which nobody has verified here.
    pub fn session_id(&self) -> Option<&str> {
        self.0.record.labels.session.as_deref()
    }

    /// When the user signed in, by the clock of the process where that was.
    pub fn signed_in_at(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.0.record.signed_in)).unwrap_or(UNIX_EPOCH)
    }

    /// What the ID token says of the user (OpenID Connect Core 1.0 §2, §5.1), in a type of the application:
    /// name, e-mail, picture. `None` where the issuer gave none; at Supabase that is so, and the access token
    /// has the claims.
    ///
    /// It is for display, not for authorization: who the user is and what they may do, the gate says of the
    /// access token. It is that of the sign-in, or of the last refresh that brought one, and says what was so
    /// then, not now; most have expired since.
    ///
    /// | the ID token came | what was checked of it, then and never again |
    /// |---|---|
    /// | with a code, from an [`OAuthEndpoint`](crate::endpoint::OAuthEndpoint) | it is for this client (`aud`, `azp`), in time (`exp`, with 60 s of leeway), of this sign-in (`nonce`), and of this issuer (`iss`), if its name is known, because it was discovered or [told](crate::endpoint::OAuthEndpoint::of_issuer): OpenID Connect Core 1.0 §3.1.3.7. Not its signature: it came straight from the token endpoint, over TLS (there, rule 6), or over plain `http` where [that is allowed](crate::endpoint::OAuthClient::allow_http) |
    /// | with a refresh, from an [`OAuthEndpoint`](crate::endpoint::OAuthEndpoint) | it is for this client (`aud`, `azp`) and of this issuer (`iss`), if its name is known; otherwise it is left out, and the one before stays. Its `sub` and `sid` are those of the one before, as far as both say; otherwise nothing of the answer is taken (there, §12.2) |
    /// | with a refresh at any other endpoint, or to [`Sessions::replace`](crate::Sessions::replace) | its `sub` and `sid`, in the same way. Nothing else |
    /// | with a sign-in at any other endpoint, or to [`Sessions::create`](crate::Sessions::create), [`Sessions::adopt`](crate::Sessions::adopt) or [`Keeping::begin`](crate::keeping::Keeping::begin) | nothing by this crate |
    ///
    /// ```
    /// use bearer_session::{AccessToken, Keyring, Secret, Sessions, TokenSet, store::MemoryStore};
    /// # use bearer_session::endpoint::{OAuthClient, OAuthEndpoint, OnBehalf};
    /// use std::time::Duration;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct User {
    ///     name: String,
    ///     email: Option<String>,
    /// }
    ///
    /// #[derive(Debug, serde::Deserialize)]
    /// struct Employee {
    ///     department: String,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let endpoint = OAuthEndpoint::new("https://issuer.example/token", OAuthClient::public("app"))?;
    /// # let sessions = Sessions::builder(endpoint, MemoryStore::new(10), Keyring::random()).build();
    /// let mut tokens = TokenSet::new(AccessToken::new("a"), Duration::from_secs(3600));
    /// // {"sub":"ada","name":"Ada","email":"ada@example.com"}
    /// let id_token = "e30.eyJzdWIiOiJhZGEiLCJuYW1lIjoiQWRhIiwiZW1haWwiOiJhZGFAZXhhbXBsZS5jb20ifQ.c2ln";
    /// tokens.id_token = Some(Secret::new(id_token));
    /// let session = sessions.create(tokens).await?;
    ///
    /// let access = sessions.access(&session, OnBehalf::default()).await?;
    /// let user: User = access.id_token_claims()?.ok_or("no ID token")?;
    /// assert_eq!((user.name.as_str(), user.email.as_deref()), ("Ada", Some("ada@example.com")));
    ///
    /// let refused = access.id_token_claims::<Employee>().unwrap_err();
    /// assert!(refused.to_string().ends_with("missing field `department`"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the claims do not fit the type, or the ID token is no JWT of three segments: an encrypted one is
    /// not read.
    pub fn id_token_claims<C: DeserializeOwned>(&self) -> Result<Option<C>, InvalidIdTokenClaims> {
        id_claims::read(self.id_token())
    }

    /// Whose it is, as the token says.
    pub(crate) fn labels(&self) -> &Labels {
        &self.0.record.labels
    }

    /// For the keepings that share it with other libraries.
    pub(crate) fn refresh_token(&self) -> Option<&RefreshToken> {
        self.0.record.refresh_token.as_ref()
    }

    /// The issuer's answer, for the keepings that share it with other libraries.
    pub(crate) fn document(&self) -> Option<&Secret> {
        self.0.record.document.as_ref()
    }

    /// The ID token, for signing out at an OpenID provider.
    pub(crate) fn id_token(&self) -> Option<&Secret> {
        self.0.record.id_token.as_deref()
    }

    /// The same, for those who outlive this.
    pub(crate) fn shared_id_token(&self) -> Option<Arc<Secret>> {
        self.0.record.id_token.clone()
    }
}
