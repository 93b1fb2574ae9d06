//! Why a request was turned away, for its operators.

use super::AuthErrorKind;
use std::{error::Error, fmt};

/// The typed reason of a refusal, for logs and metrics. Its `Display` never holds a part of the token.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// The request has no `Authorization` header, nor a credential elsewhere that is looked at.
    NoCredential,
    /// The `Authorization` header is of another scheme.
    OtherScheme,
    /// More than one `Authorization` header, or tokens in two places that differ.
    SeveralCredentials,
    /// The header is not `Bearer`, spaces, one b64token (RFC 6750 §2.1), or another source has no b64token.
    MalformedCredential,
    /// The token is longer than the gate's limit.
    CredentialTooLong,
    /// Not three segments of base64url (RFC 7519 §7.2).
    NotAJwt,
    /// Five segments: a JWE, which is never decrypted here.
    Encrypted,
    /// An API key (`sb_publishable_…`, `sb_secret_…`), not an access token.
    ApiKey,
    /// The JOSE header is not what RFC 7515 §4 allows; says what was wrong.
    MalformedHeader(&'static str),
    /// The header asks for something that is not supported (`crit`, `b64`, `zip`, `cty`).
    UnsupportedHeader(&'static str),
    /// The header's `typ` names another kind of token.
    TokenType,
    /// The claims are not what RFC 7519 §4 allows; says what was wrong.
    MalformedClaims(&'static str),
    /// `alg` is unknown, `none`, or not on the issuer's list.
    Algorithm,
    /// `iss` is missing or names nobody on the allow-list.
    UnknownIssuer,
    /// `aud` is missing or names somebody else.
    Audience,
    /// `client_id` (or `azp`) is missing or names another client.
    Client,
    /// At or past `exp`.
    Expired,
    /// Before `nbf`.
    NotYetValid,
    /// `iat` lies in the future.
    IssuedInTheFuture,
    /// Older than the issuer's maximum token age, or without the `iat` that would tell.
    TooOld,
    /// The token is bound to a key (`cnf`) and was presented as a plain bearer token.
    KeyBound,
    /// An ID token, logout token or security event, told by its claims.
    NotAnAccessToken,
    /// Not a logout token, told by its claims: no logout event, or a `nonce`.
    NotALogoutToken,
    /// A Supabase `anon` or `service_role` key: not a user.
    NotAUser,
    /// No key of that `kid`.
    UnknownKey,
    /// The key of that `kid` is not a key for that `alg`.
    KeyAlgorithm,
    /// The signature does not verify.
    Signature,
    /// The claims do not fit the type the application asked for.
    ClaimsType,
    /// The token, its session or its subject was revoked.
    Revoked,
    /// The scopes do not cover the route.
    Scope,
    /// The user's authentication is too weak or too old for the route (RFC 9470).
    Authentication,
    /// A policy said no; names the policy.
    Policy(&'static str),
    /// A cookie came as the credential of a request that another site may have made.
    CrossSite,
    /// No keys have arrived from the issuer yet.
    NoKeys,
    /// The keys are older than we may trust them.
    StaleKeys,
    /// No [`BearerLayer`](crate::BearerLayer) around the policy or extractor.
    NoLayer,
    /// A policy asks for a claim, and the verifier handed over none; see
    /// [`Verified::with_json`](crate::Verified::with_json).
    NoClaims,
    /// A policy or handler asks for claims of another type than the verifier was set up for.
    OtherClaims,
    /// A verifier or policy from outside this crate, in its own words.
    Other(AuthErrorKind, &'static str),
}

impl Reason {
    /// What the client is told.
    pub const fn kind(self) -> AuthErrorKind {
        use AuthErrorKind as Kind;
        match self {
            Self::NoCredential | Self::OtherScheme => Kind::MissingCredential,
            Self::SeveralCredentials | Self::MalformedCredential | Self::CredentialTooLong => {
                Kind::InvalidRequest
            }
            Self::NotAJwt
            | Self::Encrypted
            | Self::ApiKey
            | Self::MalformedHeader(_)
            | Self::UnsupportedHeader(_)
            | Self::TokenType
            | Self::MalformedClaims(_)
            | Self::Algorithm
            | Self::UnknownIssuer
            | Self::Audience
            | Self::Client
            | Self::Expired
            | Self::NotYetValid
            | Self::IssuedInTheFuture
            | Self::TooOld
            | Self::KeyBound
            | Self::NotAnAccessToken
            | Self::NotALogoutToken
            | Self::NotAUser
            | Self::UnknownKey
            | Self::KeyAlgorithm
            | Self::Signature
            | Self::ClaimsType
            | Self::Revoked => Kind::InvalidToken,
            Self::Scope => Kind::InsufficientScope,
            Self::Authentication => Kind::InsufficientUserAuthentication,
            Self::Policy(_) | Self::CrossSite => Kind::Forbidden,
            Self::NoKeys | Self::StaleKeys => Kind::Unavailable,
            Self::NoLayer | Self::NoClaims | Self::OtherClaims => Kind::Misconfigured,
            Self::Other(kind, _) => kind,
        }
    }

    /// A fixed name in snake case, for logs and labels of metrics. A [policy](Self::Policy) has its own,
    /// which may be that of another reason as well: `audience` is a bad token's reason and a policy's. The
    /// [kind](Self::kind) beside it tells them apart.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::OtherScheme => "other_scheme",
            Self::SeveralCredentials => "several_credentials",
            Self::MalformedCredential => "malformed_credential",
            Self::CredentialTooLong => "credential_too_long",
            Self::NotAJwt => "not_a_jwt",
            Self::Encrypted => "encrypted",
            Self::ApiKey => "api_key",
            Self::MalformedHeader(_) => "malformed_header",
            Self::UnsupportedHeader(_) => "unsupported_header",
            Self::TokenType => "token_type",
            Self::MalformedClaims(_) => "malformed_claims",
            Self::Algorithm => "algorithm",
            Self::UnknownIssuer => "unknown_issuer",
            Self::Audience => "audience",
            Self::Client => "client",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuedInTheFuture => "issued_in_the_future",
            Self::TooOld => "too_old",
            Self::KeyBound => "key_bound",
            Self::NotAnAccessToken => "not_an_access_token",
            Self::NotAUser => "not_a_user",
            Self::NotALogoutToken => "not_a_logout_token",
            Self::UnknownKey => "unknown_key",
            Self::KeyAlgorithm => "key_algorithm",
            Self::Signature => "signature",
            Self::ClaimsType => "claims_type",
            Self::Revoked => "revoked",
            Self::Scope => "scope",
            Self::Authentication => "authentication",
            Self::Policy(name) => name,
            Self::CrossSite => "cross_site",
            Self::NoKeys => "no_keys",
            Self::StaleKeys => "stale_keys",
            Self::NoLayer => "no_layer",
            Self::NoClaims => "no_claims",
            Self::OtherClaims => "other_claims",
            Self::Other(..) => "other",
        }
    }

    /// The `error_description` for the client: few, fixed, and the same for all causes that an attacker could
    /// otherwise tell apart (unknown key, bad signature, wrong issuer).
    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::Expired => "the access token expired",
            Self::NotYetValid | Self::IssuedInTheFuture => "the access token is not valid yet",
            Self::SeveralCredentials => "the request has more than one credential",
            Self::CredentialTooLong => "the access token is too long",
            Self::CrossSite => "the request came from another site",
            _ => match self.kind() {
                AuthErrorKind::MissingCredential => "an access token is required",
                AuthErrorKind::InvalidRequest => "the credential is malformed",
                AuthErrorKind::InvalidToken => "the access token is invalid",
                AuthErrorKind::InsufficientScope => "the access token does not have the scope that is needed",
                AuthErrorKind::InsufficientUserAuthentication => {
                    "a stronger or more recent sign-in is required"
                }
                AuthErrorKind::Forbidden => "the access token does not allow this",
                AuthErrorKind::Unavailable => "the access token cannot be checked now",
                AuthErrorKind::Misconfigured => "internal error",
            },
        }
    }
}

impl Error for Reason {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCredential => "no credential",
            Self::OtherScheme => "the Authorization header is of another scheme",
            Self::SeveralCredentials => "more than one credential",
            Self::MalformedCredential => {
                "the credential is not one token in the form that its place asks for"
            }
            Self::CredentialTooLong => "the token is longer than the limit",
            Self::NotAJwt => "the token is not three segments of base64url",
            Self::Encrypted => "the token is encrypted (five segments)",
            Self::ApiKey => "the credential is an API key, not an access token",
            Self::MalformedHeader(what) => return write!(f, "malformed JOSE header: {what}"),
            Self::UnsupportedHeader(what) => return write!(f, "unsupported JOSE header: {what}"),
            Self::TokenType => "typ names another kind of token",
            Self::MalformedClaims(what) => return write!(f, "malformed claims: {what}"),
            Self::Algorithm => "alg is unknown or not allowed for this issuer",
            Self::UnknownIssuer => "iss is missing or unknown",
            Self::Audience => "aud is missing or names another audience",
            Self::Client => "client_id or azp is missing or names another client",
            Self::Expired => "exp has passed",
            Self::NotYetValid => "nbf lies in the future",
            Self::IssuedInTheFuture => "iat lies in the future",
            Self::TooOld => "the token is older than the maximum age",
            Self::KeyBound => "the token is bound to a key (cnf) and came as a plain bearer token",
            Self::NotAnAccessToken => {
                "the claims are those of an ID token or an event, not of an access token"
            }
            Self::NotALogoutToken => "the claims are not those of a logout token",
            Self::NotAUser => "the token is a Supabase API key, not a user's",
            Self::UnknownKey => "no key of that kid",
            Self::KeyAlgorithm => "the key of that kid is not for that alg",
            Self::Signature => "the signature does not verify",
            Self::ClaimsType => "the claims do not fit the application's type",
            Self::Revoked => "the token was revoked",
            Self::Scope => "the scopes do not cover the route",
            Self::Authentication => "the user's authentication is too weak or too old for the route",
            Self::Policy(name) => return write!(f, "refused by the policy {name}"),
            Self::CrossSite => "a cookie as the credential of a request from another site",
            Self::NoKeys => "no keys from the issuer yet",
            Self::StaleKeys => "the issuer's keys are too old to trust",
            Self::NoLayer => "no BearerLayer around the policy or extractor",
            Self::NoClaims => "the verifier did not hand over the claims that a policy asks for",
            Self::OtherClaims => {
                "a policy or handler asks for claims of another type than the verifier was set up for"
            }
            Self::Other(_, detail) => detail,
        })
    }
}
