//! [`RouteOptions`]: how the routes are set up.

use crate::{endpoint::is_free, layer::Client};
use axum::http::{Extensions, HeaderMap, Uri};
use std::{error::Error, fmt, net::IpAddr, time::Duration};
use tower_bearer::ReturnPath;

/// How the routes are set up.
#[derive(Clone, Debug)]
pub struct RouteOptions {
    pub(super) callback: Box<str>,
    pub(super) is_secure: bool,
    pub(super) page: Option<ReturnPath>,
    pub(super) at_the_issuer: bool,
    pub(super) post_logout_redirect_uri: Option<Box<str>>,
    pub(super) home: ReturnPath,
    pub(super) client: Client,
    pub(super) refresh_every: Duration,
    pub(super) streams: usize,
    pub(super) passed_on: Vec<Box<str>>,
}

impl RouteOptions {
    /// Users come back from the issuer to this URL: that of the route `/callback`, absolute, as the issuer
    /// was told of it. With `http` in place of `https` the cookie of a sign-in under way is not `Secure`: for
    /// development. That of the session is, unless it is
    /// [made otherwise](crate::keeping::OpaqueCookie::insecure_for_development): over plain `http`, on
    /// another host than `localhost`, browsers drop it, and a sign-in does nothing.
    /// [`session_routes`](crate::session_routes) warns of that.
    ///
    /// # Errors
    /// When that is not such a URL.
    pub fn new(callback: &str) -> Result<Self, InvalidRoutes> {
        let invalid = || InvalidRoutes::Callback(callback.to_owned());
        let is_secure = is_https(callback).ok_or_else(invalid)?;
        Ok(Self {
            callback: callback.into(),
            is_secure,
            page: None,
            at_the_issuer: false,
            post_logout_redirect_uri: None,
            home: ReturnPath::parse("/").ok_or_else(invalid)?,
            client: Client::default(),
            refresh_every: Duration::from_secs(60),
            streams: 1000,
            passed_on: Vec::new(),
        })
    }

    /// A page of this site where users choose how to sign in, such as `/login`. `GET /sign-in` without a
    /// `provider` leads there, and so does a sign-in that failed, with `error` in the query: the issuer's
    /// code, or [one of ours](crate::session_routes#what-is-said-of-a-failure).
    ///
    /// # Errors
    /// When that is no path of this site, or has a query or a fragment.
    pub fn sign_in_page(mut self, path: &str) -> Result<Self, InvalidRoutes> {
        let page = ReturnPath::parse(path).filter(|_| !path.contains(['?', '#']));
        self.page = Some(page.ok_or_else(|| InvalidRoutes::Page(path.to_owned()))?);
        Ok(self)
    }

    /// Where users go on to when nobody says where. Default `/`.
    #[must_use]
    pub fn home(mut self, path: ReturnPath) -> Self {
        self.home = path;
        self
    }

    /// Tells the issuer the address of the user's client. See
    /// [`SessionLayer::client`](crate::SessionLayer::client).
    #[must_use]
    pub fn client(
        mut self,
        address: impl Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.client = Client::by(address);
        self
    }

    /// A session may be refreshed by `POST /refresh` once in this time, in each process. Default 1 minute.
    #[must_use]
    pub fn refresh_every(mut self, time: Duration) -> Self {
        self.refresh_every = time;
        self
    }

    /// How many pages of one process may listen to events at once; a session may have 16 of them. Default
    /// 1000.
    #[must_use]
    pub fn streams(mut self, most: usize) -> Self {
        self.streams = most;
        self
    }

    /// Parameters that `/sign-in` takes from its own query and passes on to the issuer, such as `login_hint`,
    /// `prompt`, `screen_hint` or `ui_locales` (OpenID Connect Core 1.0 §3.1.2.1, and the issuer's own); by
    /// way of the [sign-in page](Self::sign_in_page) where users choose there. None by default: whoever makes
    /// a link to `/sign-in` says what is in it, so name only what the issuer takes for a hint.
    ///
    /// A value may have 512 bytes, and an empty one counts for nothing. It takes the place of the endpoint's
    /// [own](crate::endpoint::OAuthEndpoint::authorization_parameter) of the same name: what must stay as it
    /// is has no place here.
    ///
    /// ```
    /// use bearer_session::RouteOptions;
    ///
    /// let options = RouteOptions::new("https://app.example/auth/callback")?;
    /// let options = options.pass_on(["login_hint", "ui_locales"])?;
    /// assert!(options.pass_on(["redirect_uri"]).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When a name is none (RFC 6749 §8.2), or says what a sign-in says itself: who asks (`client_id`…), what
    /// for (`scope`, `audience`, `resource`, `claims`…), how (`code_challenge`, `state`, `request`…) and
    /// where to (`redirect_uri`, `response_mode`…); `acr_values`, `max_age` and `provider`, which `/sign-in`
    /// takes anyhow.
    pub fn pass_on<N: AsRef<str>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, InvalidRoutes> {
        for name in names {
            let name = name.as_ref();
            if !is_free(name) {
                return Err(InvalidRoutes::Parameter(name.to_owned()));
            }
            if !self.passed_on.iter().any(|known| **known == *name) {
                self.passed_on.push(name.into());
            }
        }
        Ok(self)
    }

    /// Whoever signs out on a page goes on to the issuer's, which ends its own session too (OpenID Connect
    /// RP-Initiated Logout 1.0), where it has such a page. The ID token goes along in the URL, as the
    /// specification wants it: hence not by default. Nobody comes back from there, unless the issuer is told
    /// [where to](Self::post_logout_redirect_uri).
    #[must_use]
    pub fn sign_out_at_the_issuer(mut self) -> Self {
        self.at_the_issuer = true;
        self
    }

    /// Whoever [signs out at the issuer](Self::sign_out_at_the_issuer), which this implies, comes back to
    /// this URL: absolute, of this site, and among those that the issuer was told of for sign-outs, to the
    /// letter (OpenID Connect RP-Initiated Logout 1.0 §3).
    ///
    /// With that of the route `/signed-out`, such as `https://app.example/auth/signed-out`, users go on to
    /// `return_to`, which travels sealed in the `state` (up to 2.8 KB). On a page of your own they stay, with
    /// a `state` in the query that means nothing to anybody else.
    ///
    /// ```
    /// use bearer_session::RouteOptions;
    ///
    /// let options = RouteOptions::new("https://app.example/auth/callback")?;
    /// assert!(options.clone().post_logout_redirect_uri("https://app.example/auth/signed-out").is_ok());
    /// assert!(options.post_logout_redirect_uri("/auth/signed-out").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When that is not such a URL.
    pub fn post_logout_redirect_uri(mut self, url: &str) -> Result<Self, InvalidRoutes> {
        is_https(url).ok_or_else(|| InvalidRoutes::PostLogout(url.to_owned()))?;
        self.post_logout_redirect_uri = Some(url.into());
        Ok(self.sign_out_at_the_issuer())
    }
}

impl RouteOptions {
    pub(crate) fn or_client(mut self, client: &Client) -> Self {
        self.client = self.client.or(client);
        self
    }

    /// The host, where users come back over plain `http` to another machine than their own: a browser keeps
    /// no `Secure` cookie there.
    pub(super) fn plain_host(&self) -> Option<String> {
        let uri: Uri = self.callback.parse().ok().filter(|_| !self.is_secure)?;
        uri.host().filter(|host| !is_loopback(host)).map(str::to_owned)
    }
}

/// Which browsers trust as they trust `https` (W3C Secure Contexts §3.1).
fn is_loopback(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback()) || host == "localhost" || host.ends_with(".localhost")
}

/// `None` for what is no absolute URL of `https` or `http` without a fragment.
fn is_https(url: &str) -> Option<bool> {
    match url.parse::<Uri>().ok()?.scheme_str()? {
        // Which an `Uri` leaves out, and no issuer takes (RFC 6749 §3.1.2).
        _ if url.contains('#') => None,
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

/// The routes cannot be set up so.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InvalidRoutes {
    /// Not an absolute URL of `https` or `http`, or one with a fragment.
    Callback(String),
    /// Not a path of this site without a query.
    Page(String),
    /// Not an absolute URL of `https` or `http` for those who have signed out, or one with a fragment.
    PostLogout(String),
    /// Not the name of a parameter that a request may set.
    Parameter(String),
}

impl fmt::Display for InvalidRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Callback(url) | Self::PostLogout(url) => {
                write!(f, "{url:?} is not a URL where users could come back to")
            }
            Self::Parameter(name) => {
                write!(f, "{name:?} is not the name of a parameter that a request may set")
            }
            Self::Page(path) => write!(f, "{path:?} is not a path of this site without a query"),
        }
    }
}

impl Error for InvalidRoutes {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_come_back_to_an_absolute_url_without_a_fragment() {
        for (url, is_secure) in
            [("https://app.example/auth/callback?a=b", true), ("http://localhost:3000/cb", false)]
        {
            assert_eq!(RouteOptions::new(url).expect(url).is_secure, is_secure, "{url}");
        }
        for bad in ["", "/cb", "app.example/cb", "//app.example/cb", "ftp://app.example/cb", "https:///cb"] {
            assert_eq!(RouteOptions::new(bad).err(), Some(InvalidRoutes::Callback(bad.into())), "{bad}");
        }
        assert!(RouteOptions::new("https://app.example/cb#here").is_err(), "RFC 6749 §3.1.2");
    }

    #[test]
    fn users_choose_on_a_page_of_this_site() {
        let options = RouteOptions::new("https://app.example/cb").expect("a URL");
        assert_eq!(options.clone().sign_in_page("/login").expect("a path").page, ReturnPath::parse("/login"));
        for bad in ["", "login", "//evil.example", "https://app.example/login", "/login?a", "/login#a"] {
            let refused = options.clone().sign_in_page(bad);
            assert_eq!(refused.err(), Some(InvalidRoutes::Page(bad.into())), "{bad}");
        }
    }
}
