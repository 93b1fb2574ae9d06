//! Why a request was turned away, sorted by who is to blame.

mod kind;
mod reason;

pub use kind::AuthErrorKind;
pub use reason::Reason;

use crate::scope::ScopeList;
use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

/// Why a request was turned away.
///
/// [`kind`](Self::kind) decides the answer (status and error code); [`reason`](Self::reason) is for logs and
/// metrics: the client gets one of a few fixed descriptions of it, unless
/// [`detailed_errors`](crate::BearerLayer::detailed_errors) is on. The error holds no part of the token.
///
/// A refusal carries its error in the **response** extensions:
///
/// ```
/// use tower_bearer::{AuthError, AuthErrorKind};
///
/// let mut response = http::Response::new(());
/// response.extensions_mut().insert(AuthError::invalid_token("the session was closed"));
///
/// let error = response.extensions().get::<AuthError>().expect("refused");
/// assert_eq!(error.kind(), AuthErrorKind::InvalidToken);
/// assert_eq!(error.to_string(), "the session was closed");
/// ```
#[derive(Clone, Debug)]
pub struct AuthError {
    reason: Reason,
    wanted: Option<Arc<Wanted>>,
    /// The issuer on our list whose token it claimed to be.
    issuer: Option<Arc<str>>,
    /// Whether the client is told the reason in full.
    detailed: bool,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What would have been enough, for the challenge of a refusal that the client can do something about.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Wanted {
    /// RFC 6750 §3.
    pub(crate) scope: Option<ScopeList>,
    /// RFC 9470 §3, in order of preference.
    pub(crate) acr_values: Option<ScopeList>,
    /// RFC 9470 §3.
    pub(crate) max_age: Option<Duration>,
}

impl AuthError {
    /// A bad token, in the words of a [`Verify`](crate::Verify) outside this crate: 401 `invalid_token`. The
    /// detail goes to the log, not to the client.
    pub const fn invalid_token(detail: &'static str) -> Self {
        Self::new(Reason::Other(AuthErrorKind::InvalidToken, detail))
    }

    /// A malformed request: 400 `invalid_request`. The detail goes to the log, not to the client.
    pub const fn invalid_request(detail: &'static str) -> Self {
        Self::new(Reason::Other(AuthErrorKind::InvalidRequest, detail))
    }

    /// A good token that may not do this: 403. The detail goes to the log, not to the client.
    pub const fn forbidden(detail: &'static str) -> Self {
        Self::new(Reason::Other(AuthErrorKind::Forbidden, detail))
    }

    /// We cannot decide now: 503 with `Retry-After`. The detail goes to the log, not to the client.
    pub const fn unavailable(detail: &'static str) -> Self {
        Self::new(Reason::Other(AuthErrorKind::Unavailable, detail))
    }

    /// A good token without the scopes that are needed: 403 `insufficient_scope`, naming them. What is not a
    /// scope token (RFC 6749 §3.3) is left out.
    pub fn insufficient_scope<'a>(required: impl IntoIterator<Item = &'a str>) -> Self {
        let scope = ScopeList::of_valid(required);
        Self::wanting(Reason::Scope, Arc::new(Wanted { scope, ..Wanted::default() }))
    }

    /// A good token of a user who should sign in again, by one of these authentication contexts (the
    /// preferred one first) or more recently than `max_age` ago: 401 `insufficient_user_authentication` (RFC
    /// 9470 §3). Values with other characters than those of a scope token are left out.
    pub fn insufficient_user_authentication<'a>(
        acr_values: impl IntoIterator<Item = &'a str>,
        max_age: Option<Duration>,
    ) -> Self {
        let acr_values = ScopeList::of_valid(acr_values);
        Self::wanting(Reason::Authentication, Arc::new(Wanted { acr_values, max_age, ..Wanted::default() }))
    }

    /// The service is put together wrongly: 500. The detail goes to the log, not to the client.
    pub const fn misconfigured(detail: &'static str) -> Self {
        Self::new(Reason::Other(AuthErrorKind::Misconfigured, detail))
    }

    /// Adds the error that led here. It must not hold a part of the token.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What the client is told.
    pub const fn kind(&self) -> AuthErrorKind {
        self.reason.kind()
    }

    /// Why, for logs and metrics.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The issuer whose token this claimed to be, where that is one on the gate's list: never a stranger's
    /// text, so fit for a label of a metric.
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// What the client is told in words (`error_description`, RFC 6750 §3): one of a few fixed texts, or the
    /// [`reason`](Self::reason) where the gate was told to say [all](crate::BearerLayer::detailed_errors).
    pub fn description(&self) -> Cow<'static, str> {
        if !self.detailed {
            return self.reason.description().into();
        }
        // error_description = %x20-21 / %x23-5B / %x5D-7E
        let allowed = |c: char| matches!(c, ' '..='~' if c != '"' && c != '\\');
        self.reason.to_string().chars().map(|c| if allowed(c) { c } else { '?' }).collect::<String>().into()
    }

    /// The scopes that would have been enough, space-separated, when that is known (RFC 6750 §3.1).
    pub fn required_scope(&self) -> Option<&str> {
        self.wanted()?.scope.as_ref().map(ScopeList::as_str)
    }

    /// The authentication contexts that would have been enough, space-separated, the preferred one first
    /// (`acr_values`, RFC 9470 §3).
    pub fn required_acr_values(&self) -> Option<&str> {
        self.wanted()?.acr_values.as_ref().map(ScopeList::as_str)
    }

    /// How long ago the user may have signed in at most (`max_age`, RFC 9470 §3).
    pub fn required_max_age(&self) -> Option<Duration> {
        self.wanted()?.max_age
    }

    pub(crate) fn wanted(&self) -> Option<&Wanted> {
        self.wanted.as_deref()
    }

    /// For another error that wants the same.
    pub(crate) fn shared_wanted(&self) -> Option<Arc<Wanted>> {
        self.wanted.clone()
    }

    pub(crate) fn with_wanted(self, wanted: Option<Arc<Wanted>>) -> Self {
        Self { wanted, ..self }
    }

    pub(crate) const fn new(reason: Reason) -> Self {
        Self { reason, wanted: None, issuer: None, detailed: false, source: None }
    }

    pub(crate) fn of_issuer(mut self, iss: &Arc<str>) -> Self {
        self.issuer = Some(Arc::clone(iss));
        self
    }

    pub(crate) fn detailed(mut self) -> Self {
        self.detailed = true;
        self
    }

    /// For requirements that are made once and refused with often.
    pub(crate) fn wanting(reason: Reason, wanted: Arc<Wanted>) -> Self {
        Self { wanted: Some(wanted), ..Self::new(reason) }
    }
}

impl From<Reason> for AuthError {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl Error for AuthError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}
