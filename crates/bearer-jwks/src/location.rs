//! From where keys may be fetched.

use std::{error::Error, fmt, net::IpAddr};
use url::{Host, Url};

/// A location that keys are not fetched from.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InvalidLocation {
    /// Not a URL with a host.
    NotAUrl(String),
    /// Neither `https`, nor `http` on a loopback address; or the latter, named by metadata that came over `https`.
    Insecure(String),
    /// A link-local address, or that of a cloud's metadata service.
    LinkLocal(String),
    /// The HTTP client could not be made.
    Client(String),
}

/// Parses a location, and refuses it unless it is `https`, or `http` on this machine.
pub(crate) fn check(location: &str) -> Result<Url, InvalidLocation> {
    let url = check_scheme(location)?;
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        _ => None,
    };
    if address.is_some_and(is_off_limits) {
        return Err(InvalidLocation::LinkLocal(location.to_owned()));
    }
    Ok(url)
}

/// As [`check`], for a location that may be off limits, since somebody said so.
pub(crate) fn check_scheme(location: &str) -> Result<Url, InvalidLocation> {
    let url = Url::parse(location).map_err(|_| InvalidLocation::NotAUrl(location.to_owned()))?;
    let is_loopback = match url.host() {
        None => return Err(InvalidLocation::NotAUrl(location.to_owned())),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
        return Err(InvalidLocation::Insecure(location.to_owned()));
    }
    Ok(url)
}

/// Addresses that no issuer has, and that an attacker would like to see us ask: link-local ones, those of metadata
/// services elsewhere (AWS over IPv6, Alibaba, Oracle), and "any".
pub(crate) fn is_off_limits(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_unspecified()
                || matches!(v4.octets(), [100, 100, 100, 200] | [192, 0, 0, 192])
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
        }
    }
}

impl fmt::Display for InvalidLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAUrl(location) => write!(f, "{:?} is not a URL with a host", start(location)),
            Self::Insecure(location) => {
                write!(f, "{:?} is neither https, nor http where that stays on this machine", start(location))
            }
            Self::LinkLocal(location) => {
                write!(f, "{:?} is a link-local or metadata address", start(location))
            }
            Self::Client(error) => write!(f, "the HTTP client could not be made: {error}"),
        }
    }
}

impl Error for InvalidLocation {}

/// As much of a location as a log is to have: what metadata names may be as long as the metadata.
fn start(location: &str) -> &str {
    location.char_indices().nth(200).map_or(location, |(end, _)| &location[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fetched_over_https_or_from_this_machine() {
        for good in [
            "https://issuer.example/jwks",
            "https://10.0.0.1/jwks",
            "http://127.0.0.1:8080/jwks",
            "http://[::1]/jwks",
            "http://localhost/jwks",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for insecure in [
            "http://issuer.example/jwks",
            "http://10.0.0.1/jwks",
            "ftp://127.0.0.1/jwks",
            "http://localhost.evil.example/",
        ] {
            assert_eq!(check(insecure), Err(InvalidLocation::Insecure(insecure.into())));
        }
        for link_local in [
            "https://169.254.169.254/latest",
            "https://[fe80::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://0.0.0.0/",
            "https://2852039166/",
            "https://100.100.100.200/",
            "https://[fd00:ec2::254]/",
            "https://192.0.0.192/",
        ] {
            assert_eq!(check(link_local), Err(InvalidLocation::LinkLocal(link_local.into())));
            assert!(check_scheme(link_local).is_ok(), "{link_local}, if somebody says so");
        }
        for nothing in ["", "jwks", "/jwks", "file:///jwks", "data:application/json,{}", "https://"] {
            assert!(matches!(check(nothing), Err(InvalidLocation::NotAUrl(_))), "{nothing}");
        }
    }

    #[test]
    fn a_location_without_end_does_not_fill_the_log() {
        let text = |location: &str| InvalidLocation::NotAUrl(location.to_owned()).to_string();
        assert!(text("jwks").starts_with("\"jwks\" is not"));
        assert!(text(&"é".repeat(200)).contains(&"é".repeat(200)));
        assert_eq!(text(&"é".repeat(200)), text(&"é".repeat(100_000)));
    }
}
