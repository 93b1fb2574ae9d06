//! Where keys may be fetched from.

use crate::off_limits::is_off_limits;
use std::{error::Error, fmt, net::IpAddr, sync::Arc};
use url::{Host, Position, Url};

/// A location that keys are not fetched from, as it was given, but without what may be secret in it: user
/// name, password, query and fragment.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InvalidLocation {
    /// Not a URL with a host.
    NotAUrl(String),
    /// Neither `https`, nor `http` on a loopback address or a host that was
    /// [allowed](crate::Connector::allow_http); or one of the latter, named by metadata that came over
    /// `https`.
    Insecure(String),
    /// With a user name or password. Where the keys are not public, give the fetch a client of the
    /// application's own that sends what it takes.
    Credentials(String),
    /// A link-local address, or that of a cloud's metadata service.
    LinkLocal(String),
    /// The HTTP client could not be made.
    Client(String),
}

/// The hosts that the application asks over plain `http`, though they are not this machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlainHosts(Arc<Vec<String>>);

impl PlainHosts {
    pub(crate) fn add(&mut self, host: String) {
        Arc::make_mut(&mut self.0).push(host);
    }

    fn has(&self, host: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(host))
    }
}

/// Parses a location, and refuses it unless it is `https`, or `http` on this machine or one of `plain`.
pub(crate) fn check(location: &str, plain: &PlainHosts) -> Result<Url, InvalidLocation> {
    let url = check_scheme(location, plain)?;
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        _ => None,
    };
    if address.is_some_and(is_off_limits) {
        return Err(InvalidLocation::LinkLocal(public(location)));
    }
    Ok(url)
}

/// As [`check`], for a location that may be off limits, since somebody said so.
pub(crate) fn check_scheme(location: &str, plain: &PlainHosts) -> Result<Url, InvalidLocation> {
    let url = Url::parse(location).map_err(|_| not_a_url(location))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidLocation::Credentials(named(&url)));
    }
    let is_loopback = match url.host() {
        None => return Err(not_a_url(location)),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
    };
    let may_be_plain = is_loopback || url.host_str().is_some_and(|host| plain.has(host));
    if url.scheme() != "https" && !(url.scheme() == "http" && may_be_plain) {
        return Err(InvalidLocation::Insecure(public(location)));
    }
    Ok(url)
}

impl fmt::Display for InvalidLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAUrl(location) => write!(f, "{:?} is not a URL with a host", start(location)),
            Self::Insecure(location) => {
                write!(
                    f,
                    "{:?} is neither https, nor http where that stays on this machine, or in a network of your own \
                    (`Connector::allow_http`)",
                    start(location)
                )
            }
            Self::Credentials(location) => {
                write!(f, "{:?} was given with a user name or password", start(location))
            }
            Self::LinkLocal(location) => {
                write!(f, "{:?} is a link-local or metadata address", start(location))
            }
            Self::Client(error) => write!(f, "the HTTP client could not be made: {error}"),
        }
    }
}

impl Error for InvalidLocation {}

/// As much of a text from outside as a log is to have: what metadata names may be as long as the metadata.
pub(crate) fn start(text: &str) -> &str {
    text.char_indices().nth(200).map_or(text, |(end, _)| &text[..end])
}

/// A location as the log names it: without what may be secret in it.
pub(crate) fn named(location: &Url) -> String {
    let place = &location[Position::BeforeHost..Position::AfterPath];
    start(&format!("{}://{place}", location.scheme())).to_owned()
}

/// As it was given, but for the query and the fragment: of a URL without a user.
pub(crate) fn public(location: &str) -> String {
    location.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// Of what is no URL, nobody can say where a password ends.
fn not_a_url(location: &str) -> InvalidLocation {
    InvalidLocation::NotAUrl(if location.contains('@') { "…".to_owned() } else { public(location) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(location: &str) -> Result<Url, InvalidLocation> {
        super::check(location, &PlainHosts::default())
    }

    fn check_scheme(location: &str) -> Result<Url, InvalidLocation> {
        super::check_scheme(location, &PlainHosts::default())
    }

    #[test]
    fn plain_http_goes_to_the_very_hosts_that_were_allowed() {
        let mut plain = PlainHosts::default();
        plain.add("Keycloak".to_owned());
        plain.add("10.0.0.1".to_owned());
        for good in ["http://keycloak:8080/jwks", "http://KEYCLOAK/jwks", "http://10.0.0.1/jwks"] {
            assert!(super::check(good, &plain).is_ok(), "{good}");
        }
        for bad in ["http://keycloak.evil.example/", "http://10.0.0.11/", "http://key/", "ftp://keycloak/"] {
            assert_eq!(super::check(bad, &plain), Err(InvalidLocation::Insecure(bad.into())), "{bad}");
        }
        plain.add("169.254.169.254".to_owned());
        let link_local = super::check("http://169.254.169.254/", &plain);
        assert!(matches!(link_local, Err(InvalidLocation::LinkLocal(_))), "that is another opt-out");
    }

    #[test]
    fn keys_are_fetched_over_https_or_from_this_machine() {
        for good in [
            "https://issuer.example/jwks",
            "https://10.0.0.1/jwks",
            "http://127.0.0.1:8080/jwks",
            "http://[::1]/jwks",
            "http://localhost/jwks",
            "https://[::1]/jwks",
            "https://[2001:db8::1]/jwks",
            "https://[fd00::1]/jwks",
            "https://[64:ff9b::10.0.0.1]/jwks",
            "https://[64:ff9b:1::10.0.0.1]/jwks",
            "https://[2002:0a00:0001::1]/jwks",
            "https://168.63.129.17/jwks",
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
            "https://168.63.129.16/",
            "https://[fd00:ec2::23]/",
            "https://[fd20:ce::254]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[64:ff9b::169.254.169.254]/",
            "https://[64:ff9b:1::169.254.169.254]/",
            "https://[64:ff9b:1:a:b::169.254.169.254]/",
            "https://[::ffff:0:169.254.169.254]/",
            "https://[2002:a9fe:a9fe::1]/",
            "https://[::169.254.169.254]/",
            "https://[::6464:64c8]/",
        ] {
            assert_eq!(check(link_local), Err(InvalidLocation::LinkLocal(link_local.into())));
            assert!(check_scheme(link_local).is_ok(), "{link_local}, if somebody says so");
        }
        for nothing in ["", "jwks", "/jwks", "file:///jwks", "data:application/json,{}", "https://"] {
            assert!(matches!(check(nothing), Err(InvalidLocation::NotAUrl(_))), "{nothing}");
        }
    }

    #[test]
    fn a_location_with_a_password_is_refused_and_no_message_repeats_it() {
        for location in ["https://user:s3cret@issuer.example/jwks", "https://s3cret@issuer.example/jwks"] {
            let error = check(location).expect_err(location);
            assert!(error.to_string().contains("issuer.example/jwks"), "{error}");
            assert!(error.to_string().contains("user name or password"), "{error}");
        }
        for location in [
            "https://user:s3cret@issuer.example/jwks",
            "https://s3cret@issuer.example/jwks",
            "https://:s3cret@issuer.example/jwks",
            "https:user:s3cret@issuer.example/jwks",
            "http://issuer.example/jwks?key=s3cret",
            "http://user:s3cret@issuer.example/jwks",
            "https://169.254.169.254/jwks?key=s3cret",
            "https://user:s3cret@/?key=s3cret",
            "user:s3cret@issuer.example/jwks",
            "/jwks?key=s3cret#s3cret",
            "https://user:s3cret?@issuer.example/jwks",
            "https://user:s3cret#@issuer.example/jwks",
        ] {
            let error = check(location).expect_err(location);
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("s3cret"), "{shown}");
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
