//! A JWK Set over HTTP.

mod metadata;

use crate::{
    fetch::{Fetch, FetchError, Fetched},
    freshness,
    location::{InvalidLocation, PlainHosts, check, check_scheme, named},
    resolve::GuardedResolver,
};
use metadata::Metadata;
use reqwest::{
    Client, Response, StatusCode,
    header::{
        ACCEPT, AGE, CACHE_CONTROL, CONTENT_ENCODING, DATE, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH,
        RETRY_AFTER,
    },
    redirect::{Attempt, Policy},
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tower_bearer::keys::KeySetError;
use url::Url;

/// The longest body, in bytes. A set of a hundred keys has half of that.
const MOST_BYTES: usize = 256 * 1024;

/// The most redirects that are followed, all within the origin.
const MOST_REDIRECTS: usize = 3;

/// Fetches over `https` (`http` only on this machine), with a bounded body. Nothing of a token is ever sent.
///
/// The default client follows redirects only within the same origin, and never asks a link-local or metadata
/// address, whatever the name. With a client of the application's own, names of such addresses are for that
/// client to refuse; an answer that it brings from another origin is not taken.
#[derive(Clone)]
pub struct HttpFetch {
    client: Client,
    location: Location,
    /// Where it asked last, as the log may name it.
    asked: Option<String>,
}

#[derive(Clone)]
enum Location {
    /// A JWK Set.
    Keys(Url),
    /// An issuer whose metadata says where its keys are.
    Issuer(Metadata),
}

impl HttpFetch {
    /// Fetches the JWK Set at `location`, with a client of its own: 1 s to connect, 5 s in all, no proxy, no
    /// cookies.
    ///
    /// # Errors
    /// When keys must not be fetched from there.
    pub fn new(location: &str) -> Result<Self, InvalidLocation> {
        Self::with_client(location, Self::default_client()?)
    }

    /// As [`new`](Self::new), for an issuer on a link-local or metadata address, which [`new`](Self::new)
    /// refuses: the opt-out, for this host alone.
    ///
    /// # Errors
    /// When keys must not be fetched from there for another reason.
    pub fn link_local(location: &str) -> Result<Self, InvalidLocation> {
        let location = check_scheme(location, &PlainHosts::default())?;
        let client = client(GuardedResolver { exempt: location.host_str().map(str::to_owned) })?;
        Ok(Self { client, location: Location::Keys(location), asked: None })
    }

    /// Fetches the JWK Set that the metadata of the issuer names (OpenID Connect Discovery 1.0, RFC 8414).
    /// The metadata is read again with the keys, so that a set that moves is followed. It may name another
    /// host, but plain `http` only where it was itself read over `http`, on this machine.
    ///
    /// # Errors
    /// When `iss` is not a URL that metadata may be fetched from.
    pub fn discover(iss: &str) -> Result<Self, InvalidLocation> {
        Self::discover_with_client(iss, Self::default_client()?)
    }

    /// As [`new`](Self::new), with the application's own client: its proxy, certificates, timeouts, redirects
    /// and name resolution. Names of addresses that are off limits are then that client's to refuse. It may
    /// follow redirects to other origins, but the answer from there is not taken.
    ///
    /// # Errors
    /// When keys must not be fetched from there.
    pub fn with_client(location: &str, client: Client) -> Result<Self, InvalidLocation> {
        Self::keys_at(location, client, &PlainHosts::default())
    }

    /// As [`discover`](Self::discover), with the application's own client, as in
    /// [`with_client`](Self::with_client).
    ///
    /// # Errors
    /// When `iss` is not a URL that metadata may be fetched from.
    pub fn discover_with_client(iss: &str, client: Client) -> Result<Self, InvalidLocation> {
        Self::keys_of(iss, client, &PlainHosts::default())
    }

    /// As [`with_client`](Self::with_client), with hosts that may be asked over plain `http`.
    pub(crate) fn keys_at(
        location: &str,
        client: Client,
        plain: &PlainHosts,
    ) -> Result<Self, InvalidLocation> {
        Ok(Self { client, location: Location::Keys(check(location, plain)?), asked: None })
    }

    /// As [`discover_with_client`](Self::discover_with_client), with hosts that may be asked over plain
    /// `http`.
    pub(crate) fn keys_of(iss: &str, client: Client, plain: &PlainHosts) -> Result<Self, InvalidLocation> {
        let metadata = Metadata::new(iss, &check(iss, plain)?, plain.clone());
        Ok(Self { client, location: Location::Issuer(metadata), asked: None })
    }

    /// The default client, to be shared by several issuers.
    pub(crate) fn default_client() -> Result<Client, InvalidLocation> {
        client(GuardedResolver::default())
    }
}

/// Without the client: an application's own may send secrets, and its `Debug` shows them.
impl fmt::Debug for HttpFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpFetch").field("location", &self.location).finish_non_exhaustive()
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(location) => f.debug_tuple("Keys").field(&named(location)).finish(),
            Self::Issuer(metadata) => f.debug_tuple("Issuer").field(metadata).finish(),
        }
    }
}

impl Fetch for HttpFetch {
    async fn fetch(&mut self, etag: Option<&str>) -> Result<Fetched, FetchError> {
        let location = match &mut self.location {
            Location::Keys(location) => location.clone(),
            Location::Issuer(metadata) => metadata.keys(&self.client, &mut self.asked).await?,
        };
        self.asked = Some(named(&location));
        let etag = etag.and_then(|etag| tag_of(etag, &location));
        let result = fetch(&self.client, location.clone(), etag).await;
        if let (Err(FetchError::Status { status: 404 | 410, .. }), Location::Issuer(metadata)) =
            (&result, &mut self.location)
        {
            metadata.forget();
        }
        result.map(|fetched| Fetched { etag: fetched.etag.map(|tag| tag_at(&location, &tag)), ..fetched })
    }

    /// A URL without user, query and fragment. Where the issuer's metadata says where its keys are, that
    /// place, or that of the metadata if it is what failed.
    fn location(&self) -> Option<String> {
        self.asked.clone()
    }
}

/// A tag, and where it means something: keys may move, and another server's tag is another set's.
fn tag_at(location: &Url, tag: &str) -> String {
    format!("{location} {tag}")
}

/// The tag for this location, if that is where it is from. A URL has no space in it.
fn tag_of<'t>(etag: &'t str, location: &Url) -> Option<&'t str> {
    etag.split_once(' ').filter(|(at, _)| *at == location.as_str()).map(|(_, tag)| tag)
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

async fn fetch(client: &Client, location: Url, etag: Option<&str>) -> Result<Fetched, FetchError> {
    let origin = location.origin();
    let mut request = client.get(location).header(ACCEPT, "application/jwk-set+json, application/json");
    if let Some(etag) = etag {
        request = request.header(IF_NONE_MATCH, etag);
    }
    let response = request.send().await.map_err(transport)?;
    // An application's own client follows redirects by rules of its own. Keys are still the issuer's to
    // publish.
    if response.url().origin() != origin {
        return Err(FetchError::Redirected);
    }
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
    if error.is_timeout() {
        return FetchError::Timeout;
    }
    // It goes into the log, and a query may have a secret in it.
    let shown = error.url().and_then(|url| Url::parse(&named(url)).ok());
    let error = error.without_url();
    FetchError::transport(match shown {
        Some(url) => error.with_url(url),
        None => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bearer_testing::{Algorithm, ScriptedJwks, SigningKey, Step};

    #[tokio::test]
    async fn no_error_and_no_debug_output_repeats_the_query_of_a_location() {
        let nobody = "http://127.0.0.1:1/jwks?key=s3cret";
        let mut fetch = HttpFetch::new(nobody).expect("a location");
        let error = fetch.fetch(None).await.expect_err("nobody is there");
        assert!(error.to_string().contains("127.0.0.1:1/jwks"), "{error}");
        let discovery = HttpFetch::discover(nobody).expect("a location");
        let refresher = crate::Refresher::new(fetch.clone()).0;
        let shown = format!("{error} {error:?} {fetch:?} {discovery:?} {refresher:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[tokio::test]
    async fn no_debug_output_repeats_what_the_applications_own_client_sends() {
        let server = ScriptedJwks::start().await;
        server.at(
            "/keys?key=s3cret",
            Step::answer(200, r#"{"keys":[{"kty":"oct","k":"s3cret"}]}"#).header("etag", "\"1\""),
        );
        let headers = [("x-api-key", "s3cret")]
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")));
        let client =
            Client::builder().default_headers(headers.into_iter().collect()).build().expect("a client");
        let location = server.url("/keys?key=s3cret");
        let mut fetch = HttpFetch::with_client(&location, client.clone()).expect("a location");
        let fetched = fetch.fetch(None).await.expect("it answers");
        assert!(
            fetched.etag.as_deref().is_some_and(|etag| etag.contains("s3cret")),
            "a tag of this location"
        );
        let connector = crate::Connector::new().client(client);
        let refresher = crate::Refresher::new(fetch.clone()).0;
        let shown = format!("{fetch:?} {fetched:?} {connector:?} {refresher:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[tokio::test]
    async fn a_client_that_follows_redirects_elsewhere_brings_no_set_from_there() {
        let (server, other) = (ScriptedJwks::start().await, ScriptedJwks::start().await);
        let key = SigningKey::generate(Algorithm::EdDSA).kid("a");
        other.always(Step::jwks([&key]));
        server.always(Step::redirect(302, &other.uri())).at("/here", Step::redirect(302, "/keys"));
        server.at("/keys", Step::jwks([&key]));
        let client = Client::builder().no_proxy().build().expect("a client");
        let fetch = async |uri: &str| {
            HttpFetch::with_client(uri, client.clone()).expect("a location").fetch(None).await
        };
        assert!(fetch(&other.uri()).await.is_ok(), "where it was meant to be asked");
        assert!(fetch(&server.url("/here")).await.is_ok(), "the same origin");
        let error = fetch(&server.uri()).await.expect_err("another origin");
        assert!(error.to_string().contains("another origin"), "{error}");
        assert_eq!(other.count(), 2, "it was asked, by that client's rules");
    }

    #[tokio::test]
    async fn that_nothing_has_changed_is_no_answer_to_who_has_nothing_from_that_location() {
        let server = ScriptedJwks::start().await;
        server.always(Step::status(304));
        let mut fetch = HttpFetch::new(&server.uri()).expect("a location");
        let from = |location: &str| tag_at(&Url::parse(location).expect(location), "\"1\"");
        let unchanged = fetch.fetch(Some(&from(&server.uri()))).await.expect("it has the set");
        assert!(unchanged.jwks.is_none());
        for tag in [None, Some(from("https://elsewhere.example/jwks"))] {
            let result = fetch.fetch(tag.as_deref()).await;
            assert!(matches!(result, Err(FetchError::Status { status: 304, .. })), "{tag:?}: {result:?}");
        }
    }

    #[test]
    fn a_tag_is_for_the_location_that_it_is_from_and_for_no_other() {
        let url = |text: &str| Url::parse(text).expect(text);
        let here = url("https://one.example/a%20b?c=d e");
        for tag in ["\"1\"", "W/\"1\"", "\"a b\"", "", " "] {
            assert_eq!(tag_of(&tag_at(&here, tag), &here), Some(tag));
            for other in ["https://two.example/a%20b?c=d e", "https://one.example/", "https://one.example/a"]
            {
                assert_eq!(tag_of(&tag_at(&here, tag), &url(other)), None, "{other}");
            }
        }
        assert_eq!(tag_of("\"1\"", &here), None, "from nowhere");
    }
}
