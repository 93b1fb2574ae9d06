//! What a [`BearerLayer`](crate::BearerLayer) was told, shared by all services that it makes, and what
//! follows for one request.

use crate::{
    Accepted, AuthError, Reason, Rejection, RelayedToken, Unauthenticated, Verified,
    challenge::{Challenge, Dialect},
    observe::{Observe, Refused, Seen},
    pages::{Pages, Redirect},
    preflight::is_preflight,
    refusal::{Content, FromWithin, log, render},
    seldom::Seldom,
    source::{Caching, Sources},
};
use http::{
    HeaderMap, Request, Response,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TRANSFER_ENCODING},
};
use std::{fmt, mem, sync::Arc, time::SystemTime};

/// The settings of a gate, and who decides at it: one allocation, since routers clone a service for every
/// request.
#[derive(Clone)]
pub(crate) struct Gate<V> {
    pub(crate) verifier: V,
    pub(crate) challenge: Arc<Challenge>,
    pub(crate) sources: Sources,
    pub(crate) limit: usize,
    pub(crate) absent: Absent,
    pub(crate) preflight: Preflight,
    pub(crate) clock: fn() -> SystemTime,
    pub(crate) relays: bool,
    pub(crate) strips_credential: bool,
    pub(crate) pages: Option<Arc<Pages>>,
    pub(crate) observer: Option<Arc<dyn Observe>>,
}

/// What becomes of a request without a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Absent {
    Refused,
    Anonymous,
}

/// What becomes of a CORS preflight.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Preflight {
    AsAnyOther,
    Anonymous,
}

impl<V> Gate<V> {
    /// The token of nearly all requests: in the one line of `Authorization`, where no other source is open
    /// and the token is not relayed. One look at the headers does for it, and marks it as sensitive. `None`
    /// means: look properly.
    pub(crate) fn glance<'a>(&self, headers: &'a mut HeaderMap, scheme: &str) -> Option<&'a [u8]> {
        if self.relays { None } else { self.sources.glance(headers, scheme, self.limit) }
    }

    /// Whether a request without a credential goes on as anonymous.
    pub(crate) fn lets_in_without<B>(&self, reason: Reason, request: &Request<B>) -> bool {
        let is_absent = matches!(reason, Reason::NoCredential | Reason::OtherScheme);
        let passes = self.preflight == Preflight::Anonymous && reason == Reason::NoCredential;
        (self.absent == Absent::Anonymous && is_absent) || (passes && is_preflight(request))
    }

    /// Hands over what was proved. What a gate further out has relayed is another proof's: of several gates
    /// the innermost one decides.
    pub(crate) fn admit<B>(&self, request: &mut Request<B>, verified: Verified, now: SystemTime) {
        let verified = verified.under(&self.challenge, now);
        if let Some(observer) = &self.observer {
            observer.accepted(&Accepted {
                method: request.method(),
                uri: request.uri(),
                verified: &verified,
            });
        }
        let before = request.extensions_mut().insert(verified);
        // A gate that relays has left its proof as well: without one there is nothing to look for.
        if before.is_some() && !self.relays {
            request.extensions_mut().remove::<RelayedToken>();
        }
    }

    /// Lets a request in as anonymous, and takes away what a gate further out has proved or relayed: of
    /// several gates the innermost one decides.
    pub(crate) fn admit_anonymous<B>(&self, request: &mut Request<B>) {
        let extensions = request.extensions_mut();
        extensions.remove::<Verified>();
        extensions.remove::<RelayedToken>();
        extensions.insert(Unauthenticated::new(Arc::clone(&self.challenge)));
    }

    /// The token for the inner service, where that was asked for.
    pub(crate) fn relayed(&self, token: &str) -> Option<RelayedToken> {
        if self.relays { RelayedToken::new(self.challenge.scheme(), token) } else { None }
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
        log(&error);
        self.look_at_own_pages(request);
        let redirect = self.redirect_for(request).and_then(|redirect| redirect.instead_of(&error));
        redirect.unwrap_or_else(|| {
            let dialect = Dialect::of_request(request);
            render(dialect, Content::of(request), rejection, self.challenge.answer(dialect, error))
        })
    }

    /// Whoever is sent to sign in gets there only outside of this gate.
    fn look_at_own_pages<B>(&self, refused: &Request<B>) {
        static WARNED: Seldom = Seldom::new();
        let Some(pages) = &self.pages else { return };
        let target = self.sources.target(refused.uri());
        if pages.include(&target) && WARNED.is_time() {
            let path = target.path();
            tracing::warn!(
                path,
                "the page to sign in or step up stands behind the gate that sends to it: nobody gets there"
            );
        }
    }

    fn redirect_for<B>(&self, request: &Request<B>) -> Option<Redirect> {
        let pages = self.pages.as_ref()?;
        pages.redirect_for(request.method(), &self.sources.target(request.uri()), request.headers())
    }

    /// Makes a request ready for the inner service, and keeps what its answer will be held against.
    pub(crate) fn enter<B>(&self, request: &mut Request<B>) -> Outward {
        Dialect::note(request);
        let caching = self.sources.enter(request);
        if self.strips_credential {
            self.sources.take_out_credential(request.headers_mut(), self.challenge.scheme());
        }
        let redirect = self.redirect_for(request);
        let observer = self.observer.clone();
        // In the usual case nobody asked.
        let watch = (redirect.is_some() || observer.is_some()).then(|| {
            let seen = Seen::of(request, request.extensions().get());
            Box::new(Watch { redirect, observer, seen })
        });
        Outward { caching, content: Content::of(request), watch }
    }
}

/// What becomes of the answer of the inner service on its way out.
pub(crate) struct Outward {
    caching: Caching,
    content: Content,
    watch: Option<Box<Watch>>,
}

/// What is kept of a request that the inner service has.
struct Watch {
    redirect: Option<Redirect>,
    observer: Option<Arc<dyn Observe>>,
    seen: Seen,
}

impl Outward {
    /// A refusal from within is rendered like the gate's own.
    pub(crate) fn settle<B: Default>(&self, response: &mut Response<B>, rejection: &impl Rejection<B>) {
        if let Some(FromWithin(dialect)) = response.extensions_mut().remove() {
            *response = self.refused(mem::take(response), dialect, rejection);
        } else {
            self.caching.apply(response.headers_mut());
        }
    }

    fn refused<B: Default>(
        &self,
        response: Response<B>,
        dialect: Dialect,
        rejection: &impl Rejection<B>,
    ) -> Response<B> {
        if let (Some(watch), Some(error)) = (&self.watch, response.extensions().get::<AuthError>()) {
            if let Some(observer) = &watch.observer {
                observer.refused(&watch.seen.refused(error));
            }
            let redirected = watch.redirect.as_ref().and_then(|redirect| redirect.instead_of(error));
            if let Some(mut redirected) = redirected {
                // What a layer further in told the browser, it would have heard with a 401 too.
                let cookies = response.headers().get_all(SET_COOKIE).iter();
                redirected.headers_mut().extend(cookies.map(|line| (SET_COOKIE, line.clone())));
                return redirected;
            }
        }
        let mut response = response.map(drop);
        if dialect != Dialect::Grpc {
            forget_body(response.headers_mut());
        }
        render(dialect, self.content, rejection, response)
    }
}

/// What was said of a body goes with it: a router sets the length of what it sends, and the renderer's is
/// another.
fn forget_body(headers: &mut HeaderMap) {
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}

impl<V: fmt::Debug> fmt::Debug for Gate<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("verifier", &self.verifier)
            .field("challenge", &self.challenge)
            .field("sources", &self.sources)
            .field("limit", &self.limit)
            .field("absent", &self.absent)
            .finish_non_exhaustive()
    }
}
