//! A JWK Set over HTTP.

use crate::{
    fetch::{Fetch, FetchError, Fetched},
    freshness,
};
use reqwest::{
    Client, Response, StatusCode,
    header::{ACCEPT, AGE, CACHE_CONTROL, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH, RETRY_AFTER},
    redirect::{Attempt, Policy},
};
use std::{error::Error, fmt, net::IpAddr, time::Duration};
use url::{Host, Url};

/// The longest body, in bytes. A set of a hundred keys has half of that.
const MOST_BYTES: usize = 256 * 1024;

/// The most redirects that are followed, all within the origin.
const MOST_REDIRECTS: usize = 3;

/// Fetches from one fixed `https` location (`http` only on this machine), with a bounded body, and redirects only
/// within the same origin. Nothing of a token is ever sent.
#[derive(Clone, Debug)]
pub struct HttpFetch {
    client: Client,
    location: Url,
}

/// A location that keys are not fetched from.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InvalidLocation {
    /// Not a URL with a host.
    NotAUrl(String),
    /// Neither `https`, nor `http` on a loopback address.
    Insecure(String),
    /// A link-local address, such as that of a cloud's metadata service.
    LinkLocal(String),
    /// The HTTP client could not be made.
    Client(String),
}

impl HttpFetch {
    /// Fetches from `location` with a client of its own: 1 s to connect, 5 s in all, no proxy, no cookies.
    ///
    /// # Errors
    /// When keys must not be fetched from there.
    pub fn new(location: &str) -> Result<Self, InvalidLocation> {
        Self::with_client(location, client()?)
    }

    /// Fetches with the application's own client: its proxy, certificates, timeouts and redirects.
    ///
    /// # Errors
    /// When keys must not be fetched from there.
    pub fn with_client(location: &str, client: Client) -> Result<Self, InvalidLocation> {
        Ok(Self { client, location: check(location)? })
    }

    /// The default client, to be shared by several issuers.
    pub(crate) fn client() -> Result<Client, InvalidLocation> {
        client()
    }
}

fn client() -> Result<Client, InvalidLocation> {
    Client::builder()
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(1))
        .timeout(Duration::from_secs(5))
        .redirect(Policy::custom(same_origin))
        .no_proxy()
        .build()
        .map_err(|error| InvalidLocation::Client(error.to_string()))
}

/// A redirect elsewhere is not followed, so that its status is what is reported.
fn same_origin(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let is_same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if is_same && attempt.previous().len() <= MOST_REDIRECTS { attempt.follow() } else { attempt.stop() }
}

fn check(location: &str) -> Result<Url, InvalidLocation> {
    let url = Url::parse(location).map_err(|_| InvalidLocation::NotAUrl(location.to_owned()))?;
    let address = match url.host() {
        None => return Err(InvalidLocation::NotAUrl(location.to_owned())),
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) => None,
    };
    let is_loopback = address.map_or(url.host_str() == Some("localhost"), |address| address.is_loopback());
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
        return Err(InvalidLocation::Insecure(location.to_owned()));
    }
    if address.is_some_and(is_link_local) {
        return Err(InvalidLocation::LinkLocal(location.to_owned()));
    }
    Ok(url)
}

fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local() || address.is_unspecified(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.is_unspecified(),
    }
}

impl Fetch for HttpFetch {
    async fn fetch(&mut self, etag: Option<&str>) -> Result<Fetched, FetchError> {
        let mut request = self
            .client
            .get(self.location.clone())
            .header(ACCEPT, "application/jwk-set+json, application/json");
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = request.send().await.map_err(transport)?;
        let headers = response.headers();
        let fetched = Fetched {
            jwks: None,
            etag: text(headers, &ETAG).map(str::to_owned),
            max_age: freshness::lifetime(
                headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()),
                text(headers, &AGE),
            ),
        };
        match response.status() {
            StatusCode::OK => Ok(Fetched { jwks: Some(body(response).await?), ..fetched }),
            StatusCode::NOT_MODIFIED if etag.is_some() => Ok(fetched),
            status => Err(FetchError::Status {
                status: status.as_u16(),
                retry_after: text(headers, &RETRY_AFTER).and_then(freshness::retry_after),
            }),
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Reads no more than the limit, whatever the length was said to be.
async fn body(mut response: Response) -> Result<String, FetchError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Err(FetchError::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| FetchError::Malformed(tower_bearer::keys::KeySetError::NotAJwkSet))
}

fn transport(error: reqwest::Error) -> FetchError {
    if error.is_timeout() { FetchError::Timeout } else { FetchError::transport(error) }
}

impl fmt::Display for InvalidLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAUrl(location) => write!(f, "{location:?} is not a URL with a host"),
            Self::Insecure(location) => {
                write!(f, "{location:?} is neither https, nor http on a loopback address")
            }
            Self::LinkLocal(location) => write!(f, "{location:?} is a link-local address"),
            Self::Client(error) => write!(f, "the HTTP client could not be made: {error}"),
        }
    }
}

impl Error for InvalidLocation {}

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
        ] {
            assert_eq!(check(link_local), Err(InvalidLocation::LinkLocal(link_local.into())));
        }
        for nothing in ["", "jwks", "/jwks", "file:///jwks", "data:application/json,{}", "https://"] {
            assert!(matches!(check(nothing), Err(InvalidLocation::NotAUrl(_))), "{nothing}");
        }
    }
}
