//! What the client is told of a refusal.

/// What the client is told, in the vocabulary of RFC 6750 §3.1 and RFC 9470 §3.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AuthErrorKind {
    /// No credential of our scheme: 401, a challenge without an error code.
    MissingCredential,
    /// A credential that is no credential: 400 `invalid_request`.
    InvalidRequest,
    /// A token that proves nothing here: 401 `invalid_token`.
    InvalidToken,
    /// A good token that does not cover this route: 403 `insufficient_scope`.
    InsufficientScope,
    /// A good token of a user who signed in too weakly or too long ago for this route: 401
    /// `insufficient_user_authentication`.
    InsufficientUserAuthentication,
    /// A good token, and the answer is still no: 403 without an error code.
    Forbidden,
    /// We cannot decide: 503 and `Retry-After`. Never caused by the content of a token.
    Unavailable,
    /// The service is put together wrongly, such as a policy without a [`BearerLayer`](crate::BearerLayer)
    /// around it: 500.
    Misconfigured,
}

impl AuthErrorKind {
    /// The error code that the client gets (RFC 6750 §3.1, RFC 9470 §3), where there is one.
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::InvalidRequest => Some("invalid_request"),
            Self::InvalidToken => Some("invalid_token"),
            Self::InsufficientScope => Some("insufficient_scope"),
            Self::InsufficientUserAuthentication => Some("insufficient_user_authentication"),
            Self::MissingCredential | Self::Forbidden | Self::Unavailable | Self::Misconfigured => None,
        }
    }

    /// A fixed name in snake case, for logs and labels of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingCredential => "missing_credential",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::InsufficientUserAuthentication => "insufficient_user_authentication",
            Self::Forbidden => "forbidden",
            Self::Unavailable => "unavailable",
            Self::Misconfigured => "misconfigured",
        }
    }
}
