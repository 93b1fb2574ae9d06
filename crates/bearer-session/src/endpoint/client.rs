//! [`OAuthClient`]: who asks.

use super::{InvalidEndpoint, location::PlainHosts};
use crate::Secret;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use url::form_urlencoded::{Serializer, byte_serialize};

/// A client as an issuer knows it (RFC 6749 §2.2), and how it proves itself at the token endpoint.
///
/// The id stands in the authorization URL, which every browser sees. So the secret has a type of its own, and
/// the two cannot be given the wrong way round:
///
/// ```
/// use bearer_session::{Secret, endpoint::OAuthClient};
///
/// let client = OAuthClient::secret_basic("app", Secret::new("its-secret"));
/// assert_eq!(client.id(), "app");
/// assert!(!format!("{client:?}").contains("its-secret"));
/// ```
///
/// ```compile_fail,E0308
/// use bearer_session::endpoint::OAuthClient;
///
/// let client = OAuthClient::secret_basic("its-secret", "app");
/// ```
#[derive(Clone, Debug)]
pub struct OAuthClient {
    id: Box<str>,
    proof: Proof,
    plain: PlainHosts,
}

#[derive(Clone, Debug)]
enum Proof {
    None,
    Basic(Secret),
    Post(Secret),
}

impl OAuthClient {
    /// A client without a secret: `none`.
    pub fn public(id: impl Into<Box<str>>) -> Self {
        Self::proving(id.into(), Proof::None)
    }

    /// A client that sends its secret in the `Authorization` header: `client_secret_basic`, what RFC 6749
    /// §2.3.1 wants.
    ///
    /// As that clause has it, id and secret are form-encoded there. Not all issuers undo that: where the secret
    /// has more than letters, digits and `*-._`, and is refused with `invalid_client`, take
    /// [`secret_post`](Self::secret_post), or a plainer secret.
    pub fn secret_basic(id: impl Into<Box<str>>, secret: Secret) -> Self {
        Self::proving(id.into(), Proof::Basic(secret))
    }

    /// A client that sends its secret in the form: `client_secret_post`.
    pub fn secret_post(id: impl Into<Box<str>>, secret: Secret) -> Self {
        Self::proving(id.into(), Proof::Post(secret))
    }

    fn proving(id: Box<str>, proof: Proof) -> Self {
        Self { id, proof, plain: PlainHosts::default() }
    }

    /// Asks this very host over plain `http`, such as `keycloak` in a network of containers; it is the client
    /// that is told, because an [`OAuthEndpoint`](super::OAuthEndpoint) checks its locations when it is made.
    /// Whoever can answer in its place there, or listen, gets the client's secret and the tokens of all
    /// users: a network that only your own services are in.
    ///
    /// ```
    /// use bearer_session::endpoint::{OAuthClient, OAuthEndpoint};
    ///
    /// let token_endpoint = "http://keycloak:8080/realms/app/protocol/openid-connect/token";
    /// let client = OAuthClient::public("app");
    /// assert!(OAuthEndpoint::new(token_endpoint, client.clone()).is_err());
    /// assert!(OAuthEndpoint::new(token_endpoint, client.allow_http("keycloak")).is_ok());
    /// ```
    #[must_use]
    pub fn allow_http(mut self, host: impl Into<Box<str>>) -> Self {
        self.plain.add(host.into());
        self
    }

    /// The hosts that may be asked over plain `http`.
    pub(super) fn plain(&self) -> &PlainHosts {
        &self.plain
    }

    /// The `client_id`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Puts itself into a request: a header, or parameters of the form.
    pub(super) fn prove(
        &self,
        headers: &mut HeaderMap,
        form: &mut Serializer<'_, String>,
    ) -> Result<(), InvalidEndpoint> {
        match &self.proof {
            Proof::None => {
                form.append_pair("client_id", &self.id);
            }
            Proof::Basic(secret) => {
                headers.insert(AUTHORIZATION, basic(&self.id, secret)?);
            }
            Proof::Post(secret) => {
                form.append_pair("client_id", &self.id).append_pair("client_secret", secret.expose());
            }
        }
        Ok(())
    }
}

/// Both halves are form-encoded first, which many forget (RFC 6749 §2.3.1). A space is `%20`: every decoder
/// reads that, and some read `+` as itself (Authlib's).
fn basic(id: &str, secret: &Secret) -> Result<HeaderValue, InvalidEndpoint> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let pair = format!("{}:{}", encoded(id), encoded(secret.expose()));
    let value = format!("Basic {}", STANDARD.encode(pair));
    let mut value = HeaderValue::from_str(&value).map_err(|_| InvalidEndpoint::Key)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(client: &OAuthClient) -> (Option<String>, String) {
        let (mut headers, mut form) = (HeaderMap::new(), Serializer::new(String::new()));
        client.prove(&mut headers, &mut form).expect("it can");
        let value = headers.get(AUTHORIZATION).map(|value| {
            assert!(value.is_sensitive());
            value.to_str().expect("text").to_owned()
        });
        (value, form.finish())
    }

    #[test]
    fn each_client_proves_itself_in_its_way_alone() {
        let form = |text: &str| text.to_owned();
        assert_eq!(proof(&OAuthClient::public("a b")), (None, form("client_id=a+b")));
        assert_eq!(
            proof(&OAuthClient::secret_post("app", Secret::new("s&t"))),
            (None, form("client_id=app&client_secret=s%26t"))
        );
        let pair = STANDARD.encode("a%20b:s%3At%2B%20");
        assert_eq!(
            proof(&OAuthClient::secret_basic("a b", Secret::new("s:t+ "))),
            (Some(format!("Basic {pair}")), form(""))
        );
    }

    #[test]
    fn no_secret_is_printed() {
        let secret = || Secret::new("hunter2");
        for client in [OAuthClient::secret_basic("app", secret()), OAuthClient::secret_post("app", secret())]
        {
            assert!(!format!("{client:?}").contains("hunter2"));
        }
    }
}
