//! [`Check`]: what a cookie of another library says is verified before the session is taken over.

use super::ssr::SsrSession;
use crate::{AccessToken, BoxFuture, SessionError, Sessions, store::Key, unverified};
use http::Request;
use serde::Deserialize;
use std::{
    cmp::Reverse,
    fmt, mem,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tower_bearer::{AuthErrorKind, Credential, Presented, Verification, Verify};

/// How long to wait for a verifier that cannot tell now.
const SOON: Duration = Duration::from_secs(1);

/// How long a verifier may wait for the issuer's keys.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks a verifier.
#[derive(Clone)]
pub(super) struct Check(Arc<dyn Judge>);

impl Check {
    pub(super) fn by<V: Verify<Future: Send> + Send + Sync + 'static>(verifier: V) -> Self {
        Self(Arc::new(verifier))
    }

    /// The session of a pair: the one that it is known to belong to, or else a new one, if the access token
    /// was once good. What the store has lost begins anew: the browser has it.
    pub(super) async fn adopt(
        &self,
        sessions: &Sessions,
        pair: &SsrSession,
        first: &mut FirstExchange,
    ) -> Result<Key, SessionError> {
        let refresh_token = pair.refresh_token.as_ref().ok_or(SessionError::SIGNED_OUT)?;
        if let Some(key) = sessions.find(refresh_token).await? {
            return Ok(key);
        }
        let now = SystemTime::now();
        let expires_at = expires_at(&pair.access_token);
        // It has expired, most of the time: that is what the refresh token is for. All else must be as it
        // should.
        let as_of = match expires_at {
            Some(expires_at) if expires_at <= now => expires_at - Duration::from_secs(1),
            _ => now,
        };
        self.0.judge(&pair.access_token, as_of).await?;
        let mut tokens = pair.tokens(now);
        // The token is signed, and what the cookie says beside it is not. Nothing left says that it has
        // expired.
        let left = expires_at.and_then(|expires_at| expires_at.duration_since(now).ok());
        tokens.expires_in = left.unwrap_or_default();
        if tokens.expires_in.is_zero() {
            first.take()?;
        }
        sessions.adopt(tokens).await
    }
}

/// What a request may ask of the issuer for pairs that nobody has seen before: one exchange. Whoever has one
/// access token can put any number of refresh tokens of their own making beside it, and what the issuer
/// answers is counted against all users. The next request finds this one's pair known, and tries the next.
#[derive(Debug, Default)]
pub(super) struct FirstExchange {
    is_taken: bool,
}

impl FirstExchange {
    fn take(&mut self) -> Result<(), SessionError> {
        if mem::replace(&mut self.is_taken, true) { Err(SessionError::unavailable(SOON)) } else { Ok(()) }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check(..)")
    }
}

trait Judge: Send + Sync {
    fn judge<'a>(
        &'a self,
        token: &'a AccessToken,
        as_of: SystemTime,
    ) -> BoxFuture<'a, Result<(), SessionError>>;
}

impl<V: Verify<Future: Send> + Send + Sync> Judge for V {
    fn judge<'a>(
        &'a self,
        token: &'a AccessToken,
        as_of: SystemTime,
    ) -> BoxFuture<'a, Result<(), SessionError>> {
        Box::pin(async move {
            let credential = Credential::new(token.expose()).map_err(|_| SessionError::SIGNED_OUT)?;
            let verification = self.verify(&Presented::new(credential, &Request::new(()), as_of));
            let verdict = match verification {
                Verification::Done(verdict) => verdict,
                Verification::Pending(verdict) => tokio::time::timeout(PATIENCE, verdict)
                    .await
                    .map_err(|_| SessionError::unavailable(SOON))?,
            };
            match verdict {
                Ok(_) => Ok(()),
                Err(error) if error.kind() == AuthErrorKind::Unavailable => {
                    Err(SessionError::unavailable(SOON))
                }
                Err(_) => Err(SessionError::SIGNED_OUT),
            }
        })
    }
}

/// As many scopes as a browser may have cookies of: those of the host, of its domain, and of one in between.
/// Each costs a question to the store, if not a signature.
const MOST_PAIRS: usize = 3;

/// The pairs of several scopes, the newest first, by what their tokens say. Browsers send the oldest first,
/// and whoever presents its refresh token ends the session at the issuer.
pub(super) fn newest_first(mut pairs: Vec<SsrSession>) -> Vec<SsrSession> {
    pairs.sort_by_cached_key(|pair| Reverse(expires_at(&pair.access_token)));
    pairs.truncate(MOST_PAIRS);
    pairs
}

/// When a token says that it expires (RFC 7519 §4.1.4), unverified: the verifier sees the same.
fn expires_at(token: &AccessToken) -> Option<SystemTime> {
    #[derive(Deserialize)]
    struct Payload {
        exp: f64,
    }
    let Payload { exp } = unverified::claims(token.expose())?;
    let since = Duration::try_from_secs_f64(exp).ok().filter(|since| *since > Duration::from_secs(1))?;
    UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    fn token(payload: &str) -> AccessToken {
        AccessToken::new(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload)))
    }

    #[test]
    fn a_token_says_when_it_expires_or_nothing() {
        let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        for (payload, expected) in [
            (r#"{"exp":1000}"#, at(1000)),
            (r#"{"exp":1000.0,"sub":"u"}"#, at(1000)),
            (r#"{"exp":0}"#, None),
            (r#"{"exp":1}"#, None),
            (r#"{"exp":-5}"#, None),
            (r#"{"exp":1e300}"#, None),
            (r#"{"exp":"1000"}"#, None),
            ("{}", None),
            ("", None),
        ] {
            assert_eq!(expires_at(&token(payload)), expected, "{payload}");
        }
        assert_eq!(expires_at(&AccessToken::new("opaque")), None);
    }

    proptest! {
        #[test]
        fn no_token_panics(text in "[ -~]{0,60}", exp: f64) {
            let _ = expires_at(&AccessToken::new(text));
            let _ = expires_at(&token(&format!(r#"{{"exp":{exp}}}"#)));
        }
    }
}
