//! [`SessionService`]: one request with its session.

use super::{
    CurrentSession, LayerState, SessionFuture,
    out::{forbid_caching, keep_private, retry_after, set_cookies},
};
use crate::{Access, SessionErrorKind, keeping::Brought};
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{AUTHORIZATION, RETRY_AFTER},
};
use std::{
    future::poll_fn,
    mem,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::Instant;
use tower_bearer::{AuthError, Reason, Unauthenticated, Verified, may_use_cookie};
use tower_service::Service;

const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The service of a [`SessionLayer`](super::SessionLayer).
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    pub(super) inner: S,
    pub(super) shared: Arc<LayerState>,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for SessionService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>, Future: Send> + Clone + Send + 'static,
    S::Error: Send,
    ReqBody: Send + 'static,
    ResBody: Default + Send + 'static,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = SessionFuture<S::Future, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let shared = &self.shared;
        shared.look_around(request.extensions());
        #[cfg(feature = "axum")]
        request.extensions_mut().insert(super::current::Passed);
        let brought = shared.keeping.brought(request.headers());
        if matches!(brought, Brought::Nothing) {
            return SessionFuture::passing(self.inner.call(request));
        }
        if request.headers().contains_key(AUTHORIZATION) {
            let removed = shared.keeping.remove_from(request.headers_mut());
            request.extensions_mut().insert(removed);
            return SessionFuture::passing(self.inner.call(request));
        }
        let (shared, ready) = (Arc::clone(shared), take_ready(&mut self.inner));
        // Dropping the service that was ready gives back what it had reserved.
        if !may_use_cookie(&shared.csrf, &request) {
            return SessionFuture::acting(async { Ok(from_another_site()) });
        }
        SessionFuture::acting(shared.serve(ready, request, brought))
    }
}

impl LayerState {
    /// A gate has seen the request already, mostly by mistake. But it may have asked for something else, and
    /// the one for which the session is may be yet to come: hence a word, and no refusal.
    fn look_around(&self, request: &Extensions) {
        if request.get::<Verified>().is_some() || request.get::<Unauthenticated>().is_some() {
            self.misplaced.call_once(|| {
                tracing::warn!(
                    "SessionLayer stands inside a gate, which sees none of its sessions: call `.layer(SessionLayer…)` \
                    after `.layer(BearerLayer…)`, unless another gate stands inside"
                );
            });
        }
    }

    async fn serve<S, ReqBody, ResBody>(
        self: Arc<Self>,
        mut inner: S,
        mut request: Request<ReqBody>,
        brought: Brought,
    ) -> Result<Response<ResBody>, S::Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        ResBody: Default,
    {
        let on_behalf = self.client.of(request.headers(), request.extensions());
        let finding = self.keeping.access(&self.sessions, &brought, request.headers(), on_behalf);
        let (found, is_ready) = lending(&mut inner, finding).await;
        let (found, lines) = match found {
            Ok((access, lines)) => (Some(access), lines),
            Err(error) if error.kind() == SessionErrorKind::SignedOut => {
                let headers = request.headers();
                let takes_away = !error.keeps_cookie() && may_take_away(headers);
                (None, if takes_away { self.keeping.clear(headers) } else { Vec::new() })
            }
            Err(error) => return Ok(not_now(retry_after(&error))),
        };
        let removed = self.keeping.remove_from(request.headers_mut());
        request.extensions_mut().insert(removed);
        if let Some(access) = &found {
            let Some(credential) = credential(access) else { return Ok(not_now(HeaderValue::from(1))) };
            request.headers_mut().insert(AUTHORIZATION, credential);
            request.extensions_mut().insert(CurrentSession::of(access));
        }
        if !is_ready {
            poll_fn(|context| inner.poll_ready(context)).await?;
        }
        let mut response = inner.call(request).await?;
        if let Some(access) = &found {
            if let Some(error) = response.extensions().get::<AuthError>() {
                // Whoever revoked it did not mean the user to have the next one, which may not be refused: an
                // issuer may know of no revocation, and a list forgets.
                if error.reason() == Reason::Revoked {
                    self.sessions.revoked(access, on_behalf);
                }
                if calls_for_another(error.reason()) && self.sessions.refused(access, on_behalf) {
                    return Ok(not_now(HeaderValue::from(1)));
                }
                self.say_what_is_wrong(access, error);
            }
            keep_private(response.headers_mut());
        }
        if !lines.is_empty() && self.is_still_so(found.as_ref()).await {
            set_cookies(response.headers_mut(), &self.keeping, lines);
        }
        Ok(response)
    }

    /// Whoever signs in again gets such a token again: without a word, users would go round in circles between
    /// the page and the sign-in. Two gates that ask for different things are well; it is said of them too.
    fn say_what_is_wrong(&self, access: &Access, error: &AuthError) {
        let Some(remedy) = remedy(error.reason()) else { return };
        let (key, reason, issuer) = (access.key(), error.reason().name(), error.issuer());
        if let Some(others) = self.refusals.is_time(Instant::now()) {
            tracing::warn!(
                ?key, reason, %error, issuer, others,
                "the gate behind refuses the token that the issuer gave for a session, and would refuse the next: {remedy}"
            );
        } else {
            tracing::debug!(
                ?key, reason, %error, issuer,
                "the gate behind refuses the token that the issuer gave for a session, and would refuse the next"
            );
        }
    }

    /// A session that was signed out meanwhile must not come back, least of all in the place of another
    /// user's. That may have been in another process: the store is asked, which happens where there are new
    /// tokens, and not otherwise.
    async fn is_still_so(&self, found: Option<&Access>) -> bool {
        match found {
            Some(access) => self.sessions.look(access.key()).await.is_ok(),
            None => true,
        }
    }
}

/// Whether the gate behind has refused the token for what passes with it: its key or its time. Not what would
/// be so of the next one too, such as an audience that a route does not take.
const fn calls_for_another(reason: Reason) -> bool {
    use Reason::{Algorithm, Expired, KeyAlgorithm, Signature, TooOld, UnknownKey};
    matches!(reason, Algorithm | Expired | KeyAlgorithm | Signature | TooOld | UnknownKey)
}

/// What to look at where the gate behind has refused the token for what the issuer's next one would have too.
/// `None` where that is not so, or not known: what passes with time, keys or a revocation; what a policy wants;
/// what a verifier says in its own words.
fn remedy(reason: Reason) -> Option<&'static str> {
    use Reason::{
        Algorithm, ApiKey, Audience, ClaimsType, Client, CredentialTooLong, Encrypted, KeyBound,
        MalformedClaims, MalformedCredential, MalformedHeader, NotAJwt, NotAUser, NotAnAccessToken,
        TokenType, UnknownIssuer, UnsupportedHeader,
    };
    match reason {
        NotAJwt | Encrypted => Some(
            "ask the issuer for a signed JWT; many give one once the sign-in names the API \
            (`OAuthEndpoint::authorization_parameter`, \"audience\" or \"resource\")",
        ),
        Audience => Some(
            "compare the gate's audience with the one that the sign-in asks for \
            (`OAuthEndpoint::authorization_parameter`, \"audience\" or \"resource\")",
        ),
        // With an old token that was another matter; this one has just come.
        Algorithm => Some(
            "have the issuer sign with an algorithm that the gate takes (`Issuer::algorithms`; HS256 needs the \
            secret, `Issuer::hmac_secret`)",
        ),
        UnknownIssuer => Some("compare the issuers of the gate with the one of the sign-in, to the letter"),
        ApiKey | ClaimsType | Client | CredentialTooLong | KeyBound | MalformedClaims(_)
        | MalformedCredential | MalformedHeader(_) | NotAUser | NotAnAccessToken | TokenType
        | UnsupportedHeader(_) => Some("compare the gate's settings with what the issuer gives"),
        _ => None,
    }
}

/// See [`SessionLayer`](super::SessionLayer): what is no browser, or an old one, does not say.
fn may_take_away(request: &HeaderMap) -> bool {
    request.get(FETCH_MODE).is_none_or(|mode| mode == "navigate")
}

fn credential(access: &Access) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", access.token().expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn not_now<B: Default>(retry_after: HeaderValue) -> Response<B> {
    let error = AuthError::unavailable("the session has no fresh access token right now");
    let mut response = refused(StatusCode::SERVICE_UNAVAILABLE, error);
    response.headers_mut().insert(RETRY_AFTER, retry_after);
    response
}

fn from_another_site<B: Default>() -> Response<B> {
    let error = AuthError::forbidden("a session's cookie as the credential of a request from another site");
    refused(StatusCode::FORBIDDEN, error)
}

/// Logged as the gate logs its own.
fn refused<B: Default>(status: StatusCode, error: AuthError) -> Response<B> {
    tracing::debug!(error.type = error.kind().name(), reason = error.reason().name(), %error, "request refused");
    let mut response = Response::new(B::default());
    *response.status_mut() = status;
    forbid_caching(response.headers_mut());
    response.extensions_mut().insert(error);
    response
}

/// Waits, which may take seconds: what the service has reserved is for others meanwhile. Says whether it is
/// ready still, because there was nothing to wait for; if not, it is a clone, to be asked again when it is
/// needed.
async fn lending<S: Clone, F: Future>(service: &mut S, future: F) -> (F::Output, bool) {
    let mut future = pin!(future);
    match poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await {
        Poll::Ready(output) => (output, true),
        Poll::Pending => {
            *service = service.clone();
            (future.await, false)
        }
    }
}

/// Takes the service that was polled ready and leaves its clone behind, because readiness does not
/// transfer to clones.
fn take_ready<S: Clone>(inner: &mut S) -> S {
    let clone = inner.clone();
    mem::replace(inner, clone)
}
