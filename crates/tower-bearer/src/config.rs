//! Mistakes in the set-up of issuers and layers.

use crate::jwt::Algorithm;
use http::Uri;
use std::{error::Error, fmt};

/// A mistake in the set-up, found when the verifier or layer is built.
///
/// `Debug` says what `Display` does: it is what `unwrap`, and a `main` that returns the error, print of it.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum ConfigError {
    /// A verifier without an issuer would refuse everything.
    NoIssuer,
    /// A mistake in the set-up of one issuer.
    Issuer {
        /// Its name.
        iss: String,
        /// What is wrong.
        fault: Box<Self>,
    },
    /// `iss` is empty.
    EmptyIssuer,
    /// An audience or client id is empty.
    EmptyAudience,
    /// The allow-list of algorithms is empty.
    NoAlgorithm,
    /// An HMAC algorithm stands on the allow-list; it comes with
    /// [`Issuer::hmac_secret`](crate::Issuer::hmac_secret), and only so.
    SymmetricAlgorithm(Algorithm),
    /// The algorithm is none with a shared secret.
    AsymmetricSecret(Algorithm),
    /// What is public was given for a shared secret, so that anybody could make tokens: a public key or a
    /// certificate, in whatever form, or a Supabase API key.
    KeyAsSecret,
    /// A secret is shorter than its hash.
    ShortSecret {
        /// The algorithm it is for.
        algorithm: Algorithm,
        /// The least length, in bytes.
        least: usize,
    },
    /// An issuer has three shared secrets: one, and while it is exchanged two, are enough.
    TooManySecrets,
    /// This build's cryptographic backend does not know the algorithm.
    UnsupportedByBackend(Algorithm),
    /// This build has no cryptographic backend: neither the feature `aws-lc-rs` nor `rust-crypto` is on.
    NoBackend,
    /// The issuer has neither keys nor a secret.
    NoKeys(String),
    /// Two issuers of one name.
    DuplicateIssuer(String),
    /// More than one issuer allows tokens without `iss`.
    SeveralWithoutIss,
    /// An issuer whose tokens may lack `iss` has a logout client: its sessions could not be told by their
    /// issuer.
    LogoutWithoutIss,
    /// RFC 9068 requires `iss` and `aud`, and the issuer opts out of one of them.
    ProfileOptedOut,
    /// The leeway is longer than 10 minutes.
    LongLeeway,
    /// Not `http` or `https`, a host, and perhaps a port and path. Shown without user, query and fragment,
    /// which may be secrets.
    InvalidUrl(String),
    /// A realm with characters that a header cannot carry (RFC 9110 §5.6.4).
    InvalidRealm,
    /// Not a path of this site.
    InvalidSignInPath(String),
    /// A challenge of another scheme that does not follow the grammar (RFC 9110 §11.6.1).
    InvalidChallenge,
    /// Not an `https` URL (`http` on a loopback host) that could identify a resource: see
    /// [`ProtectedResource::new`](crate::ProtectedResource::new). Shown as an [invalid
    /// URL](Self::InvalidUrl) is.
    InvalidResource(String),
    /// A protected resource that nobody issues tokens for.
    NoAuthorizationServer,
    /// Not an `https` URL (`http` on a loopback host) without query and fragment (RFC 8414 §2). Shown as an
    /// [invalid URL](Self::InvalidUrl) is.
    InvalidAuthorizationServer(String),
    /// Not a scope token (RFC 6749 §3.3).
    InvalidScope(String),
    /// `offline_access` is between a client and its authorization server; a resource never asks for it.
    OfflineAccess,
    /// No cookie can have this name (RFC 6265 §4.1.1).
    InvalidCookieName(String),
    /// A query parameter whose name is not letters, digits and `-._~`.
    InvalidParameterName(String),
    /// A header that means something else and holds no token.
    ReservedHeader(String),
}

impl ConfigError {
    /// What is wrong, whichever [issuer](Self::Issuer) it is about.
    pub fn fault(&self) -> &Self {
        match self {
            Self::Issuer { fault, .. } => fault,
            fault => fault,
        }
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigError: {self}")
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIssuer => f.write_str("a verifier needs at least one issuer"),
            Self::Issuer { iss, fault } => write!(f, "the issuer {iss}: {fault}"),
            Self::EmptyIssuer => f.write_str("the issuer's name is empty"),
            Self::EmptyAudience => f.write_str("an audience or client id is empty"),
            Self::NoAlgorithm => f.write_str("the list of allowed algorithms is empty"),
            Self::SymmetricAlgorithm(algorithm) => {
                write!(f, "{algorithm} needs a shared secret: use `hmac_secret` instead of `algorithms`")
            }
            Self::AsymmetricSecret(algorithm) => {
                write!(f, "{algorithm} is not verified with a shared secret")
            }
            Self::KeyAsSecret => {
                f.write_str("a public key (PEM, DER, JWK or OpenSSH) or an API key is not a shared secret")
            }
            Self::ShortSecret { algorithm, least } => {
                write!(f, "the secret for {algorithm} is shorter than {least} bytes")
            }
            Self::TooManySecrets => f.write_str("it has more than two shared secrets"),
            Self::UnsupportedByBackend(algorithm) => {
                write!(f, "the cryptographic backend of this build does not support {algorithm}")
            }
            Self::NoBackend => f.write_str(
                "no signature can be verified without `aws-lc-rs` or `rust-crypto`: turn a feature on",
            ),
            Self::NoKeys(iss) => write!(
                f,
                "the issuer {iss} has neither keys nor a secret; what its `jwks_uri` names is fetched by bearer-jwks"
            ),
            Self::DuplicateIssuer(iss) => write!(f, "the issuer {iss} stands twice"),
            Self::SeveralWithoutIss => f.write_str("more than one issuer allows tokens without iss"),
            Self::LogoutWithoutIss => {
                f.write_str("an issuer that allows tokens without iss cannot send logout tokens")
            }
            Self::ProfileOptedOut => {
                f.write_str("RFC 9068 requires iss and aud: there is no opting out of them under `rfc9068`")
            }
            Self::LongLeeway => f.write_str("the leeway is longer than 10 minutes"),
            Self::InvalidUrl(url) => write!(f, "{url:?} is not an http or https URL"),
            Self::InvalidSignInPath(path) => write!(f, "{path:?} is not a path of this site"),
            Self::InvalidChallenge => f.write_str("a challenge is a scheme with parameters of text"),
            Self::InvalidRealm => f.write_str("the realm has characters that a header cannot carry"),
            Self::InvalidResource(resource) => {
                write!(f, "{resource:?} does not identify a resource: an https URL, as clients spell it")
            }
            Self::NoAuthorizationServer => f.write_str("a protected resource needs an authorization server"),
            Self::InvalidAuthorizationServer(server) => {
                write!(f, "{server:?} is not an https URL without query and fragment")
            }
            Self::InvalidScope(scope) => write!(f, "{scope:?} is not a scope token"),
            Self::OfflineAccess => f.write_str(
                "offline_access is asked of the authorization server: a resource neither needs nor lists it",
            ),
            Self::InvalidCookieName(name) => write!(f, "{name:?} is not the name of a cookie"),
            Self::InvalidParameterName(name) => {
                write!(f, "{name:?} is not a plain name of a query parameter")
            }
            Self::ReservedHeader(name) => write!(f, "the header {name} holds no token of its own"),
        }
    }
}

/// Without a source: what a fault says is part of what it says.
impl Error for ConfigError {}

/// A URL that was refused, without what may be secret in it: `…` stands for that.
pub(crate) fn shown(url: &str) -> String {
    let end = url.find(['?', '#']).map_or(url.len(), |at| at + 1);
    let public = if end < url.len() { format!("{}…", &url[..end]) } else { url.to_owned() };
    if !url.contains('@') {
        return public;
    }
    let (scheme, rest) = match public.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        _ => ("", &*public),
    };
    let joint = if scheme.is_empty() { "" } else { "://" };
    match rest.split_once('@') {
        Some((user, rest)) if is_user(url, user) => format!("{scheme}{joint}…@{rest}"),
        // Of what is no URL, or has another `@`, nobody can say where a password ends.
        _ => format!("{scheme}{joint}…"),
    }
}

/// Whether what stands before the first `@` is all that this URL says of a user.
fn is_user(url: &str, user: &str) -> bool {
    !user.contains('/') && url.matches('@').count() == 1 && url.parse::<Uri>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_url_is_shown_without_its_secrets() {
        for (url, expected) in [
            ("", ""),
            ("docs", "docs"),
            ("ftp://h.example/a", "ftp://h.example/a"),
            ("https://h.example/a?s3cret#s3cret", "https://h.example/a?…"),
            ("https://h.example/a#s3cret", "https://h.example/a#…"),
            ("https://h.example/?", "https://h.example/?"),
            ("https://s3cret:s3cret@h.example:1/a?s3cret", "https://…@h.example:1/a?…"),
            ("https://u:s3c@ret@h.example/a", "https://…"),
            ("https://u:s3c/ret@h.example/a", "https://…"),
            ("https://u:s3c?ret@h.example/a", "https://…"),
            ("https://u:s3c#ret@h.example/a", "https://…"),
            ("https://u:s3cret @h.example/a", "https://…"),
            ("u:s3cret@h.example", "…@h.example"),
            ("s3cret@ ://h.example", "…"),
        ] {
            let shown = shown(url);
            assert_eq!(shown, expected, "{url}");
            assert!(!shown.contains("s3c") && !shown.contains("ret"), "{shown}");
        }
    }
}
