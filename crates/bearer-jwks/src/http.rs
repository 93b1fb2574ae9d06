//! A JWK Set over HTTP.

use crate::{
    discovery,
    fetch::{Fetch, FetchError, Fetched},
    freshness,
    location::{InvalidLocation, check, check_scheme},
    resolve::GuardedResolver,
};
use reqwest::{
    Client, Response, StatusCode,
    header::{
        ACCEPT, AGE, CACHE_CONTROL, CONTENT_ENCODING, DATE, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH,
        RETRY_AFTER,
    },
    redirect::{Attempt, Policy},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;
use tower_bearer::keys::KeySetError;
use url::Url;

/// The longest body, in bytes. A set of a hundred keys has half of that.
const MOST_BYTES: usize = 256 * 1024;

/// The most redirects that are followed, all within the origin.
const MOST_REDIRECTS: usize = 3;

/// How long the metadata of an issuer is taken to be current.
const METADATA_AGE: Duration = Duration::from_secs(60);

/// Fetches over `https` (`http` only on this machine), with a bounded body, redirects only within the same origin,
/// and never from a link-local or metadata address, whatever the name. Nothing of a token is ever sent.
#[derive(Clone, Debug)]
pub struct HttpFetch {
    client: Client,
    location: Location,
}

#[derive(Clone, Debug)]
enum Location {
    /// A JWK Set.
    Keys(Url),
    /// An issuer whose metadata says where its keys are.
    Issuer { iss: String, metadata: Vec<Url>, found: Option<(Url, Instant)> },
}

impl HttpFetch {
    /// Fetches the JWK Set at `location`, with a client of its own: 1 s to connect, 5 s in all, no proxy, no cookies.
    ///
    /// # Errors
    /// When keys must not be fetched from there.
    pub fn new(location: &str) -> Result<Self, InvalidLocation> {
        Self::with_client(location, Self::default_client()?)
    }

    /// As [`new`](Self::new), for an issuer on a link-local or metadata address: the opt-out, for this host alone.
    ///
    /// # Errors
    /// When keys must not be fetched from there for another reason.
    pub fn allow_link_local(location: &str) -> Result<Self, InvalidLocation> {
        let location = check_scheme(location)?;
        let client = client(GuardedResolver { exempt: location.host_str().map(str::to_owned) })?;
        Ok(Self { client, location: Location::Keys(location) })
    }

    /// Fetches the JWK Set that the metadata of the issuer names (OpenID Connect Discovery 1.0, RFC 8414). The
    /// metadata is read again with the keys, so that a set that moves is followed.
    ///
    /// # Errors
    /// When `iss` is not a URL that metadata may be fetched from.
    pub fn discover(iss: &str) -> Result<Self, InvalidLocation> {
        Self::discover_with_client(iss, Self::default_client()?)
    }

    /// As [`new`](Self::new), with the application's own client: its proxy, certificates, timeouts, redirects and
    /// name resolution.
    ///
    /// # Errors
    /// When keys must not be fetched from there.
    pub fn with_client(location: &str, client: Client) -> Result<Self, InvalidLocation> {
        Ok(Self { client, location: Location::Keys(check(location)?) })
    }

    /// As [`discover`](Self::discover), with the application's own client.
    ///
    /// # Errors
    /// When `iss` is not a URL that metadata may be fetched from.
    pub fn discover_with_client(iss: &str, client: Client) -> Result<Self, InvalidLocation> {
        let metadata = discovery::locations(&check(iss)?);
        Ok(Self { client, location: Location::Issuer { iss: iss.to_owned(), metadata, found: None } })
    }

    /// The default client, to be shared by several issuers.
    pub(crate) fn default_client() -> Result<Client, InvalidLocation> {
        client(GuardedResolver::default())
    }

    /// Where the keys are now.
    async fn keys(&mut self) -> Result<Url, FetchError> {
        let (iss, metadata, found) = match &mut self.location {
            Location::Keys(location) => return Ok(location.clone()),
            Location::Issuer { iss, metadata, found } => (iss, metadata, found),
        };
        if let Some((location, _)) = found.as_ref().filter(|(_, at)| at.elapsed() < METADATA_AGE) {
            return Ok(location.clone());
        }
        match (discover(&self.client, iss, metadata).await, &found) {
            (Ok(location), _) => {
                *found = Some((location.clone(), Instant::now()));
                Ok(location)
            }
            // The metadata may be out of reach while the keys are not.
            (Err(error), Some((location, _))) => {
                tracing::debug!(%error, "the issuer's metadata cannot be read again");
                Ok(location.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    /// The keys are not where they were: the next fetch reads the metadata first.
    fn forget(&mut self) {
        if let Location::Issuer { found, .. } = &mut self.location {
            *found = None;
        }
    }
}

impl Fetch for HttpFetch {
    async fn fetch(&mut self, etag: Option<&str>) -> Result<Fetched, FetchError> {
        let location = self.keys().await?;
        let fetched = fetch(&self.client, location, etag).await;
        if let Err(FetchError::Status { status: 404 | 410, .. }) = fetched {
            self.forget();
        }
        fetched
    }
}

fn client(resolver: GuardedResolver) -> Result<Client, InvalidLocation> {
    Client::builder()
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(1))
        .timeout(Duration::from_secs(5))
        .redirect(Policy::custom(same_origin))
        .dns_resolver(Arc::new(resolver))
        .no_proxy()
        .build()
        .map_err(|error| InvalidLocation::Client(error.to_string()))
}

/// A redirect elsewhere is not followed, so that its status is what is reported.
fn same_origin(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let is_same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if is_same && attempt.previous().len() <= MOST_REDIRECTS { attempt.follow() } else { attempt.stop() }
}

/// Reads the metadata at the first place where there is any.
async fn discover(client: &Client, iss: &str, places: &[Url]) -> Result<Url, FetchError> {
    let mut last = FetchError::Status { status: 404, retry_after: None };
    for place in places {
        let document = match fetch(client, place.clone(), None).await {
            Ok(fetched) => fetched.jwks.unwrap_or_default(),
            Err(error @ FetchError::Status { status: 404, .. }) => {
                last = error;
                continue;
            }
            Err(error) => return Err(error),
        };
        let location = discovery::jwks_uri(&document, iss).map_err(FetchError::Metadata)?;
        return check(&location).map_err(FetchError::Location);
    }
    Err(last)
}

async fn fetch(client: &Client, location: Url, etag: Option<&str>) -> Result<Fetched, FetchError> {
    let mut request = client.get(location).header(ACCEPT, "application/jwk-set+json, application/json");
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
        // No coding was asked for, and none is undone: the limit is on what is read.
        StatusCode::OK if headers.get_all(CONTENT_ENCODING).iter().any(|coding| coding != "identity") => {
            Err(FetchError::Encoded)
        }
        StatusCode::OK => Ok(Fetched { jwks: Some(body(response).await?), ..fetched }),
        StatusCode::NOT_MODIFIED if etag.is_some() => Ok(fetched),
        status => Err(FetchError::Status {
            status: status.as_u16(),
            retry_after: text(headers, &RETRY_AFTER)
                .and_then(|value| freshness::retry_after(value, text(headers, &DATE), SystemTime::now())),
        }),
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
    String::from_utf8(bytes).map_err(|_| FetchError::Malformed(KeySetError::NotAJwkSet))
}

fn transport(error: reqwest::Error) -> FetchError {
    if error.is_timeout() { FetchError::Timeout } else { FetchError::transport(error) }
}
