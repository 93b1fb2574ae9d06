//! Where tokens may be sent to.

use std::{error::Error, fmt};
use url::{Host, Url};

/// A token endpoint that cannot be used.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InvalidEndpoint {
    /// Not a URL with a host, or one with a user, a password or a fragment in it.
    NotAUrl(String),
    /// Neither `https`, nor `http` on a loopback address or a host that was
    /// [allowed](crate::endpoint::OAuthClient::allow_http); or one of the latter, named by metadata that came
    /// over `https`.
    Insecure(String),
    /// The key is empty, or has characters that no header can carry. It is not shown.
    Key,
    /// The HTTP client could not be made.
    Client(String),
    /// The issuer's metadata could not be read.
    Unreachable(String),
    /// The issuer's metadata is not a JSON object that names a token endpoint.
    NotMetadata,
    /// The metadata names another issuer than the one that was asked for: nothing of it is used (RFC 8414
    /// §3.3).
    OtherIssuer,
}

/// The hosts that the application asks over plain `http`, though they are not this machine.
#[derive(Clone, Debug, Default)]
pub(super) struct PlainHosts(Vec<Box<str>>);

impl PlainHosts {
    /// None: what is not this machine is asked over `https` alone.
    pub(super) const NONE: &'static Self = &Self(Vec::new());

    pub(super) fn add(&mut self, host: Box<str>) {
        self.0.push(host);
    }

    fn has(&self, host: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(host))
    }
}

/// Parses a location, and refuses it unless it is `https`, or `http` on this machine or one of `plain`.
pub(super) fn check(location: &str, plain: &PlainHosts) -> Result<Url, InvalidEndpoint> {
    let invalid = || InvalidEndpoint::NotAUrl(without_userinfo(location));
    let url = Url::parse(location).map_err(|_| invalid())?;
    let is_loopback = match url.host() {
        None => return Err(invalid()),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
    };
    // A fragment has no place here (RFC 6749 §3.2), and what is before an `@` would be printed.
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(invalid());
    }
    let may_be_plain = is_loopback || url.host_str().is_some_and(|host| plain.has(host));
    if url.scheme() != "https" && !(url.scheme() == "http" && may_be_plain) {
        return Err(InvalidEndpoint::Insecure(location.to_owned()));
    }
    Ok(url)
}

/// For the message: what could be a password is left out.
fn without_userinfo(location: &str) -> String {
    match location.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => location.to_owned(),
    }
}

impl fmt::Display for InvalidEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAUrl(location) => {
                write!(f, "{location:?} is not a URL with a host and without a user or a fragment")
            }
            Self::Insecure(location) => {
                write!(
                    f,
                    "{location:?} is neither https, nor http where that stays on this machine, or in a network of \
                    your own (`OAuthClient::allow_http`)"
                )
            }
            Self::Key => f.write_str("the key is empty, or has characters that no header can carry"),
            Self::Client(error) => write!(f, "the HTTP client could not be made: {error}"),
            Self::Unreachable(error) => write!(f, "the issuer's metadata could not be read: {error}"),
            Self::NotMetadata => f.write_str(
                "not the metadata of an issuer (a JSON object with `issuer` and `token_endpoint`)",
            ),
            Self::OtherIssuer => f.write_str("the metadata names another issuer"),
        }
    }
}

impl Error for InvalidEndpoint {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(location: &str) -> Result<Url, InvalidEndpoint> {
        super::check(location, PlainHosts::NONE)
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_safe_to_send_to_and_no_password_is_printed(
            scheme in "https?|ftp|javascript",
            user in "([a-z]{0,3}(:hunter2)?@)?",
            host in "localhost|127\\.0\\.0\\.1|\\[::1\\]|[a-z]{1,5}(\\.[a-z]{2,3})?|[0-9.]{1,9}|",
            rest in "(:[0-9]{0,5})?[/?#@a-z:\\\\]{0,8}",
        ) {
            let location = format!("{scheme}://{user}{host}{rest}");
            match check(&location) {
                Ok(url) => {
                    let is_here = matches!(url.host_str(), Some("localhost" | "[::1]"))
                        || url.host_str().is_some_and(|host| host.starts_with("127."));
                    prop_assert!(url.scheme() == "https" || (url.scheme() == "http" && is_here), "{location}");
                    prop_assert!(url.username().is_empty() && url.password().is_none(), "{location}");
                    prop_assert_eq!(url.fragment(), None);
                }
                Err(error) => {
                    let printed = format!("{error} {error:?}");
                    prop_assert!(!printed.contains("hunter2"), "{location}");
                }
            }
        }
    }

    #[test]
    fn plain_http_goes_to_the_very_hosts_that_were_allowed() {
        let mut plain = PlainHosts::default();
        plain.add("Keycloak".into());
        plain.add("10.0.0.1".into());
        for good in ["http://keycloak:8080/token", "http://KEYCLOAK/token", "http://10.0.0.1/token"] {
            assert!(super::check(good, &plain).is_ok(), "{good}");
        }
        for bad in ["http://keycloak.evil.example/", "http://10.0.0.11/", "http://key/", "ftp://keycloak/"] {
            assert_eq!(super::check(bad, &plain), Err(InvalidEndpoint::Insecure(bad.into())), "{bad}");
        }
    }

    #[test]
    fn tokens_are_sent_over_https_or_to_this_machine() {
        for good in [
            "https://issuer.example/token",
            "https://issuer.example/token?tenant=a",
            "http://127.0.0.1:8080/token",
            "http://[::1]/token",
            "http://localhost/token",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for insecure in [
            "http://issuer.example/token",
            "http://10.0.0.1/",
            "ftp://127.0.0.1/",
            "http://localhost.evil.example/",
        ] {
            assert_eq!(check(insecure), Err(InvalidEndpoint::Insecure(insecure.into())));
        }
        for nothing in [
            "",
            "token",
            "/token",
            "file:///token",
            "https://",
            "https://issuer.example/#f",
            "https://u:hunter2@issuer.example/",
        ] {
            let error = check(nothing).expect_err(nothing);
            assert!(matches!(error, InvalidEndpoint::NotAUrl(_)), "{nothing}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}
