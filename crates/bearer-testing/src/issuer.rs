//! An issuer whose keys, tokens and metadata a service can be tested with.

use std::{fmt, sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};

use crate::{Algorithm, SigningKey, TokenBuilder, endpoint::JwksEndpoint, keyring::Keyring, server::Server};

/// The `aud` of good tokens.
pub(crate) const AUDIENCE: &str = "test-api";
const JWKS_PATH: &str = "/.well-known/jwks.json";

/// An issuer in this process: signs tokens, and serves its keys and its metadata on a free port of 127.0.0.1.
///
/// Clones share one issuer. The server runs on the Tokio runtime it was started on, and ends when the last
/// clone is dropped, with every connection it has; or with the runtime.
///
/// It answers, with `Content-Type: application/json`:
/// - `/.well-known/jwks.json`: a JWK Set ([RFC 7517 §5]);
/// - `/.well-known/openid-configuration` and `/.well-known/oauth-authorization-server`: `issuer`, `jwks_uri`
///   and what else [RFC 8414 §2] asks for. No endpoint is behind the other URLs named there.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let issuer = bearer_testing::TestIssuer::start().await;
/// let first = issuer.token().sign();
///
/// // After this, a verifier that knows `first`'s key must fetch the key of `second`…
/// issuer.rotate();
/// let second = issuer.token().sign();
///
/// // …and after this, must not take `first` for long.
/// issuer.remove("key-1");
/// assert_eq!(issuer.jwks()["keys"][0]["kid"], "key-2");
/// assert_eq!(issuer.jwks_requests(), 0);
/// # }
/// ```
///
/// [RFC 7517 §5]: https://www.rfc-editor.org/rfc/rfc7517#section-5
/// [RFC 8414 §2]: https://www.rfc-editor.org/rfc/rfc8414#section-2
#[derive(Clone)]
pub struct TestIssuer {
    endpoint: Arc<JwksEndpoint>,
    server: Arc<Server>,
}

impl TestIssuer {
    /// An issuer with one ES256 key, whose id is `key-1`.
    ///
    /// # Panics
    /// Outside a Tokio runtime with I/O enabled, or when no port is free.
    pub async fn start() -> Self {
        Self::start_with([SigningKey::generate(Algorithm::ES256).kid("key-1")]).await
    }

    /// An issuer with these keys: all are published, except HMAC secrets, and the first one signs.
    ///
    /// Without keys it serves an empty JWK Set and signs nothing until it is rotated.
    ///
    /// # Panics
    /// Outside a Tokio runtime with I/O enabled, or when no port is free.
    pub async fn start_with(keys: impl IntoIterator<Item = SigningKey>) -> Self {
        let endpoint = Arc::new(JwksEndpoint::new(Keyring::new(keys)));
        let server = Server::start(|url| routes(url, Arc::clone(&endpoint))).await;
        Self { endpoint, server: Arc::new(server) }
    }

    /// `http://127.0.0.1:<port>`, without a trailing slash: the `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        self.server.url()
    }

    /// `test-api`: the `aud` of its tokens.
    pub fn audience(&self) -> &str {
        AUDIENCE
    }

    /// `http://127.0.0.1:<port>/.well-known/jwks.json`.
    pub fn jwks_uri(&self) -> String {
        jwks_uri(self.issuer())
    }

    /// A good token, to be signed by the current key.
    ///
    /// # Panics
    /// When the issuer was started without keys and has none yet.
    pub fn token(&self) -> TokenBuilder {
        TokenBuilder::new(&self.signing_key(), self.issuer(), self.audience())
    }

    /// The key that signs now.
    ///
    /// # Panics
    /// When the issuer was started without keys and has none yet.
    pub fn signing_key(&self) -> SigningKey {
        self.endpoint.keyring.current().expect("an issuer started without keys signs after `rotate`")
    }

    /// A new key signs from now on, and is published beside the old one, which stays. Returns the new key.
    ///
    /// It has the algorithm of the old one (ES256 if there is none), and the id `key-<n>`, if it is the n-th
    /// key of this issuer.
    ///
    /// A gate fetches for the tokens of three new keys at once, and then for one every 10 seconds: of keys that
    /// come faster, the tokens of the fourth, `key-5`, are 401. For a test that rotates more often, raise the
    /// `burst` of the `Schedule` that is given to the `Connector` of `bearer-jwks`.
    ///
    /// # Panics
    /// When the system gives no randomness.
    pub fn rotate(&self) -> SigningKey {
        self.endpoint.keyring.rotate()
    }

    /// The given key signs from now on, and is published beside the old one, which stays.
    ///
    /// Two keys may have one id: JWK Sets in the wild do.
    pub fn rotate_to(&self, key: SigningKey) {
        self.endpoint.keyring.rotate_to(key);
    }

    /// Publishes a key that does not sign: one on standby.
    pub fn add(&self, key: SigningKey) {
        self.endpoint.keyring.add(key);
    }

    /// Publishes the keys of this id no longer. If one of them is the current key, it signs on.
    pub fn remove(&self, kid: &str) {
        self.endpoint.keyring.remove(kid);
    }

    /// Serves exactly this document as the JWK Set, until the next `rotate`, `rotate_to`, `add`, `remove` or
    /// `publish_keys`.
    #[allow(clippy::needless_pass_by_value, reason = "reads better with json!({…}) in place")]
    pub fn publish(&self, jwks: Value) {
        self.endpoint.keyring.publish(jwks.to_string());
    }

    /// Like [`publish`](Self::publish), for what need not be JSON. It is served as `application/json` still.
    pub fn publish_text(&self, body: &str) {
        self.endpoint.keyring.publish(body.to_owned());
    }

    /// Serves its own keys again, after [`publish`](Self::publish).
    pub fn publish_keys(&self) {
        self.endpoint.keyring.publish_keys();
    }

    /// What is served as the JWK Set now; a JSON string if it is not JSON.
    pub fn jwks(&self) -> Value {
        self.endpoint.keyring.jwks()
    }

    /// How many requests for the JWK Set have arrived, answered or not.
    pub fn jwks_requests(&self) -> usize {
        self.endpoint.requests()
    }

    /// How many requests have arrived, of any path.
    pub fn requests(&self) -> usize {
        self.server.requests()
    }

    /// Answers requests for the JWK Set with this HTTP status and no body, until [`recover`](Self::recover).
    ///
    /// # Panics
    /// When the status is not of three digits, or below 200.
    pub fn fail_with(&self, status: u16) {
        self.endpoint.faults.fail_with(status);
    }

    /// Every answer to a request for the JWK Set takes this long, until [`recover`](Self::recover). It has
    /// the keys as they are at its end.
    pub fn delay(&self, delay: Duration) {
        self.endpoint.faults.delay(delay);
    }

    /// Requests for the JWK Set hang until [`recover`](Self::recover).
    pub fn hold(&self) {
        self.endpoint.faults.hold();
    }

    /// Ends [`fail_with`](Self::fail_with), [`delay`](Self::delay) and [`hold`](Self::hold); requests that
    /// wait are answered.
    pub fn recover(&self) {
        self.endpoint.faults.recover();
    }

    /// Sends this `Cache-Control` with the JWK Set from now on, such as `max-age=600`. None is sent before.
    ///
    /// # Panics
    /// When the value has other characters than visible ASCII, space and tab.
    pub fn cache_control(&self, value: &str) {
        self.endpoint.cache_control(value);
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer").field("issuer", &self.issuer()).finish_non_exhaustive()
    }
}

fn jwks_uri(issuer: &str) -> String {
    format!("{issuer}{JWKS_PATH}")
}

fn routes(issuer: &str, endpoint: Arc<JwksEndpoint>) -> Router {
    let metadata = metadata(issuer);
    let metadata = get(async move || Json(metadata));
    Router::new()
        .route(JWKS_PATH, get(async |State(endpoint): State<Arc<JwksEndpoint>>| endpoint.answer().await))
        .route("/.well-known/openid-configuration", metadata.clone())
        .route("/.well-known/oauth-authorization-server", metadata)
        .with_state(endpoint)
}

fn metadata(issuer: &str) -> Value {
    let algorithms: Vec<_> = Algorithm::ASYMMETRIC.iter().map(|algorithm| algorithm.name()).collect();
    json!({
        "issuer": issuer,
        "jwks_uri": jwks_uri(issuer),
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
    })
}

#[cfg(test)]
mod tests {
    use tokio::{task, time};

    use super::*;
    use crate::{client, verify_compact};

    async fn served(issuer: &TestIssuer) -> Value {
        let answer = client::get(&issuer.jwks_uri()).await;
        assert_eq!((answer.status, &*answer.headers["content-type"]), (200, "application/json"));
        answer.json()
    }

    #[tokio::test]
    async fn keys_are_served_as_they_are() {
        let issuer = TestIssuer::start().await;
        let jwks = served(&issuer).await;
        assert_eq!(jwks, json!({ "keys": [issuer.signing_key().public_jwk()] }));
        assert_eq!(jwks["keys"][0]["kid"], "key-1");
        assert_eq!(jwks, issuer.jwks());
        assert_eq!((issuer.jwks_requests(), issuer.requests()), (1, 1));
    }

    #[tokio::test]
    async fn metadata_names_the_issuer_and_its_keys() {
        let issuer = TestIssuer::start().await;
        for name in ["openid-configuration", "oauth-authorization-server"] {
            let answer = client::get(&format!("{}/.well-known/{name}", issuer.issuer())).await;
            assert_eq!(answer.headers["content-type"], "application/json");
            let metadata = answer.json();
            assert_eq!(metadata["issuer"], issuer.issuer());
            assert_eq!(metadata["jwks_uri"], issuer.jwks_uri());
        }
        assert_eq!((issuer.jwks_requests(), issuer.requests()), (0, 2));
    }

    #[tokio::test]
    async fn token_is_signed_by_the_current_key() {
        let issuer = TestIssuer::start().await;
        let (first, old) = (issuer.signing_key(), issuer.token().sign());
        let second = issuer.rotate();
        let new = issuer.token().sign();
        assert_eq!(verify_compact(&first, &old).unwrap()["iss"], issuer.issuer());
        assert_eq!(verify_compact(&second, &new).unwrap()["aud"], "test-api");
        assert!(verify_compact(&first, &new).is_none());
        assert_eq!(served(&issuer).await["keys"].as_array().unwrap().len(), 2);
        issuer.remove("key-1");
        assert_eq!(served(&issuer).await, json!({ "keys": [second.public_jwk()] }));
    }

    #[tokio::test]
    async fn clones_share_the_issuer() {
        let issuer = TestIssuer::start().await;
        let clone = issuer.clone();
        clone.rotate();
        drop(clone);
        assert_eq!(served(&issuer).await["keys"].as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn published_document_is_served_word_for_word() {
        let issuer = TestIssuer::start_with([]).await;
        assert_eq!(served(&issuer).await, json!({ "keys": [] }));
        issuer.publish(json!({ "keys": [7] }));
        assert_eq!(served(&issuer).await, json!({ "keys": [7] }));
        issuer.publish_text("<html>");
        assert_eq!(client::get(&issuer.jwks_uri()).await.body, "<html>");
        issuer.publish_keys();
        assert_eq!(served(&issuer).await, json!({ "keys": [] }));
    }

    #[tokio::test]
    #[should_panic(expected = "signs after `rotate`")]
    async fn issuer_without_keys_signs_nothing() {
        let _ = TestIssuer::start_with([]).await.token();
    }

    #[tokio::test]
    async fn failing_endpoint_answers_the_status_until_it_recovers() {
        let issuer = TestIssuer::start().await;
        issuer.fail_with(503);
        let answer = client::get(&issuer.jwks_uri()).await;
        assert_eq!((answer.status, &*answer.body), (503, ""));
        issuer.recover();
        served(&issuer).await;
        assert_eq!(issuer.jwks_requests(), 2);
    }

    #[tokio::test]
    async fn held_request_is_counted_and_answered_after_recovery() {
        let issuer = TestIssuer::start().await;
        issuer.hold();
        let request = task::spawn({
            let uri = issuer.jwks_uri();
            async move { client::get(&uri).await }
        });
        while issuer.jwks_requests() == 0 {
            task::yield_now().await;
        }
        assert!(!request.is_finished());
        issuer.rotate();
        issuer.recover();
        let answer = time::timeout(Duration::from_secs(5), request).await.unwrap().unwrap();
        assert_eq!(answer.json()["keys"].as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn delayed_answer_takes_its_time_or_until_recovery() {
        let issuer = TestIssuer::start().await;
        issuer.delay(Duration::from_millis(30));
        let start = time::Instant::now();
        served(&issuer).await;
        assert!(start.elapsed() >= Duration::from_millis(30));

        issuer.delay(Duration::from_secs(3600));
        let mut request = std::pin::pin!(served(&issuer));
        assert!(time::timeout(Duration::from_millis(30), &mut request).await.is_err());
        issuer.recover();
        time::timeout(Duration::from_secs(5), request).await.unwrap();
    }

    #[tokio::test]
    async fn cache_control_is_sent_once_it_is_set() {
        let issuer = TestIssuer::start().await;
        assert!(!client::get(&issuer.jwks_uri()).await.headers.contains_key("cache-control"));
        issuer.cache_control("max-age=5");
        assert_eq!(client::get(&issuer.jwks_uri()).await.headers["cache-control"], "max-age=5");
    }

    #[tokio::test]
    #[should_panic(expected = "99 is not the status of a final HTTP answer")]
    async fn status_must_be_one() {
        TestIssuer::start().await.fail_with(99);
    }

    #[tokio::test]
    async fn server_ends_with_the_last_clone() {
        let issuer = TestIssuer::start().await;
        let address = client::address(issuer.issuer()).to_owned();
        let clone = issuer.clone();
        drop(issuer);
        served(&clone).await;
        drop(clone);
        let refused = async {
            while tokio::net::TcpStream::connect(&address).await.is_ok() {
                task::yield_now().await;
            }
        };
        time::timeout(Duration::from_secs(5), refused).await.unwrap();
    }

    #[tokio::test]
    async fn debug_shows_the_issuer_and_no_key() {
        let issuer = TestIssuer::start().await;
        assert_eq!(format!("{issuer:?}"), format!("TestIssuer {{ issuer: {:?}, .. }}", issuer.issuer()));
    }
}
