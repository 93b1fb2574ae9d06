//! An issuer whose metadata says where its keys are, also when they move.

use super::fetch;
use crate::{
    discovery::{self, InvalidMetadata},
    fetch::FetchError,
    location::{PlainHosts, named, public},
};
use reqwest::Client;
use std::{fmt, time::Duration};
use tokio::time::{Instant, timeout};
use url::Url;

/// How long the metadata of an issuer is taken to be current.
const METADATA_AGE: Duration = Duration::from_secs(60);

/// For reading the metadata again while a location is known. Requests wait 2 s in all, and the keys need
/// their part.
const READ_AGAIN: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Metadata {
    iss: String,
    places: Vec<Url>,
    plain: PlainHosts,
    found: Option<Found>,
}

/// Where the keys were said to be.
#[derive(Clone)]
struct Found {
    location: Url,
    /// When the metadata is read again.
    until: Instant,
}

impl Metadata {
    pub(super) fn new(iss: &str, url: &Url, plain: PlainHosts) -> Self {
        Self { iss: iss.to_owned(), places: discovery::locations(url), plain, found: None }
    }

    /// Where the keys are now. `asked` is where it looked last, or in vain.
    pub(super) async fn keys(
        &mut self,
        client: &Client,
        asked: &mut Option<String>,
    ) -> Result<Url, FetchError> {
        let reading = discover(client, &self.iss, &self.places, &self.plain, asked);
        let now = Instant::now();
        match &mut self.found {
            Some(found) if now < found.until => Ok(found.location.clone()),
            Some(found) => {
                // Noted first: where even this is too long for the refresher, its next fetch asks for the
                // keys.
                found.until = now + METADATA_AGE;
                match timeout(READ_AGAIN, reading).await.unwrap_or(Err(FetchError::Timeout)) {
                    Ok(location) => found.location = location,
                    // The metadata may be out of reach while the keys are not.
                    Err(error) => {
                        let location = asked.as_deref();
                        tracing::debug!(%error, location, "the issuer's metadata cannot be read again");
                    }
                }
                Ok(found.location.clone())
            }
            None => {
                let location = reading.await?;
                self.found = Some(Found { location: location.clone(), until: now + METADATA_AGE });
                Ok(location)
            }
        }
    }

    /// The keys are not where they were: the next fetch reads the metadata first.
    pub(super) fn forget(&mut self) {
        self.found = None;
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata").field("iss", &public(&self.iss)).finish_non_exhaustive()
    }
}

/// Reads the metadata at the first place where there is any.
async fn discover(
    client: &Client,
    iss: &str,
    places: &[Url],
    plain: &PlainHosts,
    asked: &mut Option<String>,
) -> Result<Url, FetchError> {
    let mut absent = None;
    for place in places {
        *asked = Some(named(place));
        match read(client, iss, place, plain).await {
            Err(FetchError::Status { status: 404, .. }) => {}
            // Whatever else a place says tells more than a 404.
            Err(error) if is_absence(&error) => absent = absent.or(Some((error, place))),
            result => return result,
        }
    }
    let first = places.first().map(named);
    *asked = absent.as_ref().map(|(_, place)| named(place)).or_else(|| first.clone());
    let nowhere = || FetchError::Metadata(InvalidMetadata::Absent(first.unwrap_or_default()));
    Err(absent.map_or_else(nowhere, |(error, _)| error))
}

/// Where the metadata at a place says that the keys are.
async fn read(client: &Client, iss: &str, place: &Url, plain: &PlainHosts) -> Result<Url, FetchError> {
    let document = match fetch(client, place.clone(), None).await {
        Ok(fetched) => fetched.jwks.unwrap_or_default(),
        Err(FetchError::Malformed(_)) => return Err(FetchError::Metadata(InvalidMetadata::Malformed)),
        Err(error) => return Err(error),
    };
    let named = discovery::jwks_uri(&document, iss).map_err(FetchError::Metadata)?;
    discovery::key_location(&named, place, plain).map_err(FetchError::Location)
}

/// Whether a place has no metadata. Hosts say so with 400, 403, 405 or 410 as well, or with the page of an
/// application or a redirect to it; one that is in trouble (429, 5xx) says nothing.
fn is_absence(error: &FetchError) -> bool {
    match error {
        FetchError::Status { status, .. } => !matches!(status, 429 | 500..),
        FetchError::Metadata(InvalidMetadata::Malformed) | FetchError::Redirected => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpFetch;
    use bearer_testing::{ScriptedJwks, Step};

    const OIDC: &str = "/tenant/.well-known/openid-configuration";
    const OAUTH: &str = "/.well-known/oauth-authorization-server/tenant";
    const OTHER: &str = "/.well-known/openid-configuration/tenant";

    fn document(server: &ScriptedJwks, issuer: &str, path: &str) -> Step {
        Step::json(&serde_json::json!({ "issuer": server.url(issuer), "jwks_uri": server.url(path) }))
    }

    fn metadata(server: &ScriptedJwks) -> Metadata {
        let iss = server.url("/tenant");
        Metadata::new(&iss, &Url::parse(&iss).expect("a URL"), PlainHosts::default())
    }

    async fn keys(metadata: &mut Metadata) -> Result<String, FetchError> {
        let client = HttpFetch::default_client().expect("a client");
        let mut asked = None;
        let looking = timeout(Duration::from_secs(4), metadata.keys(&client, &mut asked));
        looking.await.expect("it takes too long").map(|url| url.path().to_owned())
    }

    /// The paths that were asked for since the last look.
    fn asked(server: &ScriptedJwks, before: &mut usize) -> Vec<String> {
        let requests = server.requests();
        let since = requests[*before..].iter().map(|asked| asked.path().to_owned()).collect();
        *before = requests.len();
        since
    }

    #[tokio::test]
    async fn metadata_that_hangs_keeps_nobody_from_keys_whose_place_is_known() {
        let server = ScriptedJwks::start().await;
        let (mut metadata, mut before) = (metadata(&server), 0);
        server.at(OIDC, document(&server, "/tenant", "/keys"));
        assert_eq!(keys(&mut metadata).await.expect("a place"), "/keys");
        assert_eq!(asked(&server, &mut before), [OIDC]);

        for step in [Step::hang(), Step::status(500), Step::status(404)] {
            server.at(OIDC, step);
            metadata.found.as_mut().expect("a place").until = Instant::now();
            assert_eq!(keys(&mut metadata).await.expect("the last place"), "/keys");
            assert!(asked(&server, &mut before).contains(&OIDC.to_owned()), "it is looked for");
            assert_eq!(keys(&mut metadata).await.expect("the last place"), "/keys");
            assert!(asked(&server, &mut before).is_empty(), "and not again for a while");
        }

        server.at(OIDC, document(&server, "/tenant", "/moved"));
        metadata.found.as_mut().expect("a place").until = Instant::now();
        assert_eq!(keys(&mut metadata).await.expect("the new place"), "/moved");
    }

    #[tokio::test]
    async fn a_fetch_that_is_given_up_over_the_metadata_is_followed_by_one_of_the_keys() {
        let server = ScriptedJwks::start().await;
        let mut metadata = metadata(&server);
        server.at(OIDC, document(&server, "/tenant", "/keys"));
        assert!(keys(&mut metadata).await.is_ok());
        server.at(OIDC, Step::hang());
        metadata.found.as_mut().expect("a place").until = Instant::now();
        let client = HttpFetch::default_client().expect("a client");
        assert!(timeout(READ_AGAIN / 10, metadata.keys(&client, &mut None)).await.is_err(), "it hangs");
        assert!(timeout(READ_AGAIN / 10, metadata.keys(&client, &mut None)).await.is_ok(), "it is not read");
    }

    #[tokio::test]
    async fn a_place_without_metadata_is_passed_by_whatever_it_says() {
        let server = ScriptedJwks::start().await;
        server.at(OTHER, document(&server, "/tenant", "/keys"));
        for step in [
            Step::status(400),
            Step::status(403),
            Step::status(405),
            Step::status(410),
            Step::redirect(302, "https://elsewhere.example/"),
            Step::answer(200, "<html></html>"),
            Step::answer(200, b"\xe9"),
            Step::answer(200, "{}"),
        ] {
            server.at(OIDC, step.clone());
            let found = keys(&mut metadata(&server)).await;
            assert_eq!(found.expect("the last place has it"), "/keys", "{step:?}");
        }
    }

    #[tokio::test]
    async fn a_place_that_has_metadata_or_may_have_it_is_the_last_that_is_asked() {
        let server = ScriptedJwks::start().await;
        server.at(OAUTH, document(&server, "/tenant", "/keys"));
        let mut before = 0;
        for step in [
            Step::status(429),
            Step::status(500),
            Step::status(503),
            Step::reset(),
            document(&server, "/other", "/keys"),
            Step::json(
                &serde_json::json!({ "issuer": server.url("/tenant"), "jwks_uri": "http://k.example/" }),
            ),
        ] {
            server.at(OIDC, step.clone());
            let found = keys(&mut metadata(&server)).await;
            assert!(found.is_err(), "{step:?}: {found:?}");
            assert_eq!(asked(&server, &mut before), [OIDC], "{step:?}");
        }
    }

    #[tokio::test]
    async fn where_nowhere_is_metadata_the_first_answer_that_tells_more_than_404_is_reported() {
        let server = ScriptedJwks::start().await;
        let error = keys(&mut metadata(&server)).await.expect_err("there is none");
        assert!(matches!(error, FetchError::Metadata(InvalidMetadata::Absent(_))), "{error}");
        server.at(OAUTH, Step::status(403)).at(OTHER, Step::answer(200, "<html>"));
        let error = keys(&mut metadata(&server)).await.expect_err("there is none");
        assert!(matches!(error, FetchError::Status { status: 403, .. }), "{error}");
        server.at(OIDC, Step::answer(200, "<html>"));
        let error = keys(&mut metadata(&server)).await.expect_err("there is none");
        assert!(matches!(error, FetchError::Metadata(InvalidMetadata::Malformed)), "{error}");
    }
}
