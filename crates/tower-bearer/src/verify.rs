//! The contract between the gate and whatever decides about a credential.

use crate::{
    challenge::Challenge,
    claims::{AnyClaims, Claims},
    claims_set::ClaimsSet,
    credential::Credential,
    error::{AuthError, Reason},
    jwt::{Receipt, RegisteredClaims, Scopes},
    revocation::{Revocable, Revocation, WhenUnsure},
    unauthenticated::Unauthenticated,
};
use http::{Extensions, HeaderMap, Method, Request, Uri};
use pin_project_lite::pin_project;
use std::{
    any::TypeId,
    fmt,
    future::{Future, IntoFuture, Ready},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::SystemTime,
};

/// Decides whether a presented credential is good.
///
/// [`JwtVerifier`](crate::JwtVerifier) is the one that comes with this crate; token introspection, or a
/// wrapper that demands proof of possession, is another implementation.
///
/// ```
/// use tower_bearer::{AuthError, Presented, RegisteredClaims, Verification, Verified, Verify};
///
/// /// Accepts one fixed token: what a test of a handler may want.
/// #[derive(Clone)]
/// struct OneToken(&'static str);
///
/// impl Verify for OneToken {
///     type Future = std::future::Ready<Result<Verified, AuthError>>;
///     fn verify(&self, presented: &Presented<'_>) -> Verification<Self::Future> {
///         Verification::Done(if presented.credential.token() == self.0 {
///             Ok(Verified::assertion(RegisteredClaims::default(), ()))
///         } else {
///             Err(AuthError::invalid_token("not the token"))
///         })
///     }
/// }
///
/// # tokio_test::block_on(async {
/// let (verifier, now) = (OneToken("open-sesame"), std::time::SystemTime::now());
/// assert!(verifier.verify_token("open-sesame", now).await.is_ok());
/// assert!(verifier.verify_token("open-barley", now).await.is_err());
/// # });
/// ```
pub trait Verify: Clone {
    /// The authentication scheme under which the credential is presented, and challenged.
    const SCHEME: &'static str = "Bearer";

    /// Resolves when [`Verification::Pending`] was answered.
    type Future: Future<Output = Result<Verified, AuthError>>;

    /// Decides now, or says what it waits for.
    fn verify(&self, presented: &Presented<'_>) -> Verification<Self::Future>;

    /// Decides about a token that came by another way than a request, such as the first message of a
    /// WebSocket: with all that this verifier asks, a [revocation](Self::revocable) included. The caller
    /// bounds its length.
    ///
    /// What else a verifier may look at is that of an empty `GET /`: one that wants something there, such as
    /// a client certificate, refuses.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tower_bearer::{Algorithm, Issuer, JwtVerifier, Verify, revocation::{DenyList, WhenUnsure}};
    /// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
    ///
    /// # tokio_test::block_on(async {
    /// # let key = SigningKey::hmac(Alg::HS256, &[7; 32]);
    /// # let token = TokenBuilder::new(&key, "https://issuer.example", "api").claim("jti", "j-1").sign();
    /// let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, [7; 32]);
    /// let list = DenyList::new(1000);
    /// let verifier = JwtVerifier::new([issuer])?.revocable(list.clone(), WhenUnsure::Refuse);
    ///
    /// let caller = verifier.verify_token(&token, SystemTime::now()).await?;
    /// list.revoke(&caller)?;
    /// assert!(verifier.verify_token(&token, SystemTime::now()).await.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn verify_token(&self, token: &str, now: SystemTime) -> Verification<Self::Future> {
        match Credential::new(token) {
            Ok(credential) => self.verify(&Presented::new(credential, &Request::new(()), now)),
            Err(reason) => Verification::Done(Err(reason.into())),
        }
    }

    /// The proof for exactly these bytes, if they were accepted before and would be accepted now. The gate
    /// asks this before it parses the token, where that stands in the one `Authorization` header and no other
    /// source is open.
    ///
    /// `None` means that nothing is remembered: [`verify`](Self::verify) is asked then. The default remembers
    /// nothing. A verifier that wraps another and checks more must not forward the inner one's `recall`.
    fn recall(&self, token: &[u8], now: SystemTime) -> Option<Verified> {
        _ = (token, now);
        None
    }

    /// The `realm` of the challenges, unless the layer is given one. `None` is answered with a fixed text,
    /// because RFC 6750 §3 wants at least one parameter after the scheme.
    fn realm(&self) -> Option<&str> {
        None
    }

    /// Asks `revocation` about every credential that this verifier accepts; `when_unsure` says what happens
    /// when that cannot tell. Whatever caches proofs belongs inside of it, so that cached ones are asked
    /// about too.
    fn revocable<R: Revocation>(self, revocation: R, when_unsure: WhenUnsure) -> Revocable<Self, R> {
        Revocable::new(self, revocation, when_unsure)
    }
}

/// The answer of a [`Verify`]. Most are `Done`, so that the inner service can be called at once: no clone of
/// it, no box. Whoever has time awaits it.
#[derive(Debug)]
#[must_use]
pub enum Verification<F = Ready<Result<Verified, AuthError>>> {
    /// Decided.
    Done(Result<Verified, AuthError>),
    /// Undecided until the future resolves.
    Pending(F),
}

impl<F> IntoFuture for Verification<F>
where
    F: Future<Output = Result<Verified, AuthError>>,
{
    type Output = Result<Verified, AuthError>;
    type IntoFuture = VerificationFuture<F>;

    fn into_future(self) -> VerificationFuture<F> {
        VerificationFuture {
            state: match self {
                Self::Done(result) => State::Done { result: Some(result) },
                Self::Pending(future) => State::Pending { future },
            },
        }
    }
}

pin_project! {
    /// The future of a [`Verification`] that is awaited.
    #[must_use = "futures do nothing unless polled"]
    pub struct VerificationFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Done { result: Option<Result<Verified, AuthError>> },
        Pending { #[pin] future: F },
    }
}

impl<F> Future for VerificationFuture<F>
where
    F: Future<Output = Result<Verified, AuthError>>,
{
    type Output = Result<Verified, AuthError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Done { result } => Poll::Ready(result.take().expect("polled after completion")),
            StateProj::Pending { future } => future.poll(cx),
        }
    }
}

impl<F> fmt::Debug for VerificationFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerificationFuture(..)")
    }
}

/// Everything a verifier may look at. Time is an input, so that verifying is a function.
#[non_exhaustive]
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The one credential of the request.
    pub credential: Credential<'a>,
    /// The method of the request.
    pub method: &'a Method,
    /// The target of the request.
    pub uri: &'a Uri,
    /// The header section; trailers are never looked at.
    pub headers: &'a HeaderMap,
    /// What outer layers have put there (such as a client certificate).
    pub extensions: &'a Extensions,
    /// When the request came.
    pub now: SystemTime,
}

impl<'a> Presented<'a> {
    /// The view of `request` that a verifier gets.
    pub fn new<B>(credential: Credential<'a>, request: &'a Request<B>, now: SystemTime) -> Self {
        Self {
            credential,
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            now,
        }
    }
}

/// Headers and target may hold secrets: they are left out.
impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("credential", &self.credential)
            .field("method", &self.method)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// Proof that a verifier accepted a credential, and what it proved. Lies in the request extensions behind a
/// [`BearerLayer`](crate::BearerLayer).
///
/// Not generic, so that policies, metrics and other frameworks need no type parameter; the application's own
/// claims are inside, read with [`claims`](Self::claims).
#[derive(Clone)]
pub struct Verified {
    /// One allocation, shared by all requests with the same token.
    proof: Arc<Proof>,
    at: SystemTime,
    challenge: Option<Arc<Challenge>>,
}

/// What does not depend on the request.
#[derive(Clone)]
struct Proof {
    registered: RegisteredClaims,
    /// The same, once somebody asked for them as claims of a type.
    shared: OnceLock<AnyClaims>,
    claims: Claims,
    received: Option<ClaimsSet>,
    receipt: Option<Receipt>,
}

impl Verified {
    /// The only way in: search for `assertion` to audit every origin of a proof.
    ///
    /// `registered` is what most policies look at; `claims` is the application's own type, `()` if it has
    /// none. What policies on other claims look at comes with [`with_json`](Self::with_json).
    pub fn assertion<C: Send + Sync + 'static>(registered: RegisteredClaims, claims: C) -> Self {
        let (shared, claims) = (OnceLock::new(), Claims::own(claims));
        let proof = Proof { registered, shared, claims, received: None, receipt: None };
        Self::of_proof(proof, SystemTime::now())
    }

    /// As [`assertion`](Self::assertion), for a JWT: with what it would take to say the same again.
    pub(crate) fn assertion_of_jwt(
        registered: RegisteredClaims,
        claims: Claims,
        received: ClaimsSet,
        receipt: Receipt,
        at: SystemTime,
    ) -> Self {
        let (shared, received, receipt) = (OnceLock::new(), Some(received), Some(receipt));
        Self::of_proof(Proof { registered, shared, claims, received, receipt }, at)
    }

    fn of_proof(proof: Proof, at: SystemTime) -> Self {
        Self { proof: Arc::new(proof), at, challenge: None }
    }

    /// Adds all claims as they were received, for policies that look at others than the registered ones: the
    /// text of one JSON object. Anything else counts as no claims, and then those policies answer 500.
    /// [`JwtVerifier`](crate::JwtVerifier) does this; a verifier of yours may.
    #[must_use]
    pub fn with_json(mut self, claims: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.proof).received = ClaimsSet::parse(claims.into());
        self
    }

    /// Sets the time that [`at`](Self::at) tells. The gate sets it to the time of the request.
    #[must_use]
    pub fn verified_at(mut self, at: SystemTime) -> Self {
        self.at = at;
        self
    }

    /// What the gate proved of the request with these extensions.
    ///
    /// # Errors
    /// [`Reason::NoCredential`](crate::Reason::NoCredential) when the gate let the request through as
    /// anonymous, and [`Reason::NoLayer`](crate::Reason::NoLayer) when there is no gate: then the service is
    /// put together wrongly.
    pub fn of(extensions: &Extensions) -> Result<&Self, AuthError> {
        extensions.get().ok_or_else(|| {
            let is_anonymous = extensions.get::<Unauthenticated>().is_some();
            if is_anonymous { Reason::NoCredential } else { Reason::NoLayer }.into()
        })
    }

    /// The registered claims of the token: issuer, subject, audience, times.
    pub fn registered(&self) -> &RegisteredClaims {
        &self.proof.registered
    }

    /// `sub`, or `None` for a token without one (a client's own).
    pub fn subject(&self) -> Option<&str> {
        self.registered().sub.as_deref()
    }

    /// The scopes of the token.
    pub fn scopes(&self) -> &Scopes {
        &self.registered().scopes
    }

    /// The application's own claims, or `None` when the verifier was set up for another type; see
    /// [`claims_type`](Self::claims_type). [`RegisteredClaims`] are always there.
    ///
    /// ```
    /// use tower_bearer::{RegisteredClaims, Verified};
    ///
    /// struct Tenant(&'static str);
    /// struct Other;
    ///
    /// let verified = Verified::assertion(RegisteredClaims::default(), Tenant("a"));
    /// assert_eq!(verified.claims::<Tenant>().map(|tenant| tenant.0), Some("a"));
    /// assert!(verified.claims::<RegisteredClaims>().is_some());
    /// assert!(verified.claims::<Other>().is_none());
    /// ```
    pub fn claims<C: Send + Sync + 'static>(&self) -> Option<Arc<C>> {
        let Proof { registered, shared, claims, received, .. } = &*self.proof;
        // Its own first: they may be registered claims that somebody asserted as such.
        let own = claims.get(received.as_ref()).and_then(|own| own.downcast().ok());
        own.or_else(|| {
            // Nobody else's question is worth the copy.
            let is_registered = TypeId::of::<C>() == TypeId::of::<RegisteredClaims>();
            let shared = is_registered.then(|| shared.get_or_init(|| Arc::new(registered.clone())))?;
            Arc::clone(shared).downcast().ok()
        })
    }

    /// All claims as they were received, the text of one JSON object; `None` from a verifier that did not
    /// [add](Self::with_json) them.
    pub fn json(&self) -> Option<&str> {
        self.claims_set().map(|claims| &**claims.json())
    }

    /// When the credential was verified: what policies take for now.
    pub fn at(&self) -> SystemTime {
        self.at
    }

    /// The name of the type of the claims inside, for the log line about a wrong one.
    pub fn claims_type(&self) -> &'static str {
        self.proof.claims.name()
    }

    /// The scheme that the credential came under; challenges further in repeat it.
    pub fn scheme(&self) -> &'static str {
        self.challenge.as_deref().map_or("Bearer", Challenge::scheme)
    }

    /// Notes whose gate this passed and when, for the policies further in and their challenges.
    pub(crate) fn under(self, challenge: &Arc<Challenge>, at: SystemTime) -> Self {
        Self { challenge: Some(Arc::clone(challenge)), at, ..self }
    }

    pub(crate) fn claims_set(&self) -> Option<&ClaimsSet> {
        self.proof.received.as_ref()
    }

    /// Whether claims of the application's own type were taken out of the text.
    pub(crate) fn has_own_claims(&self) -> bool {
        matches!(self.proof.claims, Claims::Own { .. })
    }

    pub(crate) fn receipt(&self) -> Option<&Receipt> {
        self.proof.receipt.as_ref()
    }

    pub(crate) fn challenge(&self) -> Option<&Arc<Challenge>> {
        self.challenge.as_ref()
    }
}

/// Claims are personal data: only what every log line needs.
impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("iss", &self.registered().iss)
            .field("claims_type", &self.claims_type())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::any::type_name;
    #[test]
    fn an_answer_is_awaited_whether_it_is_there_or_not() {
        let proof = || Ok(Verified::assertion(RegisteredClaims::default(), ()));
        let refusal = || Err(AuthError::invalid_token("no"));
        for result in [proof, refusal] {
            let later = async {
                tokio::task::yield_now().await;
                result()
            };
            let done: Verification = Verification::Done(result());
            let (now, then) =
                tokio_test::block_on(async { (done.await, Verification::Pending(later).await) });
            assert_eq!((now.is_ok(), then.is_ok()), (result().is_ok(), result().is_ok()));
        }
    }

    #[test]
    fn a_token_that_came_alone_is_refused_where_a_request_with_it_would_be() {
        #[derive(Clone)]
        struct OfAGet;
        impl Verify for OfAGet {
            type Future = Ready<Result<Verified, AuthError>>;
            fn verify(&self, presented: &Presented<'_>) -> Verification<Self::Future> {
                let is_bare = presented.headers.is_empty() && presented.extensions.is_empty();
                assert!(is_bare && presented.method == Method::GET && presented.uri == "/");
                let verified = Verified::assertion(RegisteredClaims::default(), ());
                Verification::Done(Ok(verified.verified_at(presented.now)))
            }
        }
        let (ask, now) = (
            |token| tokio_test::block_on(OfAGet.verify_token(token, SystemTime::UNIX_EPOCH).into_future()),
            SystemTime::UNIX_EPOCH,
        );
        assert_eq!(ask("t").expect("good").at(), now);
        assert_eq!(ask("two tokens").expect_err("no token").reason(), Reason::MalformedCredential);
    }

    #[test]
    fn the_registered_claims_are_there_beside_those_of_any_type() {
        let registered =
            |sub: &str| RegisteredClaims { sub: Some(sub.into()), ..RegisteredClaims::default() };
        let sub = |verified: &Verified| verified.claims::<RegisteredClaims>().expect("always").sub.clone();
        let verified = Verified::assertion(registered("ada"), String::from("mine"));
        assert_eq!(sub(&verified).as_deref(), Some("ada"));
        assert!(verified.claims::<String>().is_some());
        let (one, two) = (verified.claims::<RegisteredClaims>(), verified.claims::<RegisteredClaims>());
        assert!(one.zip(two).is_some_and(|(one, two)| Arc::ptr_eq(&one, &two)), "copied once");
        let own = Verified::assertion(registered("ada"), registered("own"));
        assert_eq!(sub(&own).as_deref(), Some("own"), "asserted as such");
    }

    #[test]
    fn the_wrong_claims_type_is_none_and_can_be_named() {
        let verified = Verified::assertion(RegisteredClaims::default(), String::from("mine"));
        assert_eq!(*verified.claims::<String>().expect("the right type"), "mine");
        assert!(verified.claims::<u8>().is_none());
        assert_eq!(verified.claims_type(), type_name::<String>());
    }
}
