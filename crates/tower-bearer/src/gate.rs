//! What a [`BearerLayer`](crate::BearerLayer) was told, shared by all services that it makes, and what follows for one
//! request.

use crate::{
    Accepted, AccessToken, AuthError, Credential, Rejection, Unauthenticated, Verified,
    challenge::{Challenge, Dialect},
    observe::{Observe, Refused, Seen},
    pages::{Redirect, SignIn},
    refusal::{FromWithin, refuse, render},
};
use http::{Request, Response};
use std::{fmt, sync::Arc, time::SystemTime};

/// The settings of a gate.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) challenge: Arc<Challenge>,
    pub(crate) limit: usize,
    pub(crate) absent: Absent,
    pub(crate) clock: fn() -> SystemTime,
    pub(crate) relays: bool,
    pub(crate) sign_in: Option<Arc<SignIn>>,
    pub(crate) observer: Option<Arc<dyn Observe>>,
}

/// What becomes of a request without a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Absent {
    Refused,
    Anonymous,
}

impl Gate {
    /// Hands over what was proved.
    pub(crate) fn admit<B>(&self, request: &mut Request<B>, verified: Verified, now: SystemTime) {
        let verified = verified.under(&self.challenge, now);
        if let Some(observer) = &self.observer {
            observer.accepted(&Accepted {
                method: request.method(),
                uri: request.uri(),
                verified: &verified,
            });
        }
        request.extensions_mut().insert(verified);
    }

    /// Hands over that nothing was proved, and nothing was claimed.
    pub(crate) fn admit_anonymous<B>(&self, request: &mut Request<B>) {
        request.extensions_mut().insert(Unauthenticated::new(Arc::clone(&self.challenge)));
    }

    /// The token for the inner service, where that was asked for.
    pub(crate) fn relayed(&self, credential: Credential<'_>) -> Option<AccessToken> {
        self.relays.then(|| AccessToken::new(self.challenge.scheme(), credential.token())).flatten()
    }

    /// The gate's own answer.
    pub(crate) fn refuse<ReqBody, ResBody: Default>(
        &self,
        request: &Request<ReqBody>,
        rejection: &impl Rejection<ResBody>,
        error: AuthError,
    ) -> Response<ResBody> {
        if let Some(observer) = &self.observer {
            let (method, uri) = (request.method(), request.uri());
            observer.refused(&Refused { method, uri, error: &error, verified: None });
        }
        let dialect = Dialect::of(request.headers());
        self.redirect_for(request, dialect)
            .and_then(|redirect| redirect.instead_of(&error))
            .unwrap_or_else(|| refuse(&self.challenge, dialect, rejection, error))
    }

    fn redirect_for<B>(&self, request: &Request<B>, dialect: Dialect) -> Option<Redirect> {
        self.sign_in.as_ref().filter(|_| dialect == Dialect::Http)?.redirect_for(request)
    }

    /// What the answer to this request will be held against; `None` in the usual case that nobody asked.
    pub(crate) fn watch<B>(&self, request: &Request<B>) -> Option<Box<Watch>> {
        let redirect = self.redirect_for(request, Dialect::of(request.headers()));
        let observer = self.observer.clone();
        if redirect.is_none() && observer.is_none() {
            return None;
        }
        let seen = Seen::of(request, request.extensions().get());
        Some(Box::new(Watch { redirect, observer, seen }))
    }
}

/// What is kept of a request that the inner service has.
pub(crate) struct Watch {
    redirect: Option<Redirect>,
    observer: Option<Arc<dyn Observe>>,
    seen: Seen,
}

/// The answer of the inner service on its way out: a refusal from within is rendered like the gate's own.
pub(crate) fn outward<B: Default>(
    mut response: Response<B>,
    rejection: &impl Rejection<B>,
    watch: Option<&Watch>,
) -> Response<B> {
    let Some(FromWithin(dialect)) = response.extensions_mut().remove() else {
        return response;
    };
    if let (Some(watch), Some(error)) = (watch, response.extensions().get::<AuthError>()) {
        if let Some(observer) = &watch.observer {
            observer.refused(&watch.seen.refused(error));
        }
        if let Some(redirected) = watch.redirect.as_ref().and_then(|redirect| redirect.instead_of(error)) {
            return redirected;
        }
    }
    render(dialect, rejection, response.map(drop))
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("challenge", &self.challenge)
            .field("limit", &self.limit)
            .field("absent", &self.absent)
            .finish_non_exhaustive()
    }
}
