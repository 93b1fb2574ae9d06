//! The ways that a token may come, beside `Authorization: Bearer`.

mod caching;
pub(crate) mod cookie;
#[cfg(feature = "cookies")]
mod cross_site;
mod found;
mod header;
mod query;
#[cfg(feature = "cookies")]
mod session;
pub(crate) mod session_name;
pub(crate) mod session_text;
mod websocket;

use crate::{
    config::ConfigError,
    credential::{Credential, token_of_headers, token_of_value},
    error::Reason,
    refresh_tokens::RefreshTokens,
};
pub(crate) use caching::Caching;
#[cfg(feature = "cookies")]
pub use cross_site::may_use_cookie;
use found::{Carrier, Tokens};
use header::TokenHeader;
use http::{
    HeaderMap, HeaderName, Request, Uri,
    header::{AUTHORIZATION, COOKIE, Entry, SEC_WEBSOCKET_PROTOCOL},
};
use query::Parameter;
use std::{borrow::Cow, sync::Arc};
#[cfg(feature = "cookies")]
use {session_name::SessionName, std::cell::LazyCell, tower_http::csrf::CsrfLayer};

/// One way that a token may come, beside `Authorization: Bearer`, which is always open; given to
/// [`BearerLayer::also_from`](crate::BearerLayer::also_from).
///
/// All sources of a gate are looked at. Something malformed in any of them is refused, and so are two tokens
/// that differ: 400. The same token twice is one. What is said of the `Authorization` header (b64token, the
/// gate's limit, not printed by `Debug`) holds for all.
///
/// Shared caches do not hand out to others what answers a request with an `Authorization` header (RFC 9111
/// §3.5), and know nothing of other sources: where one is open, an answer to a request without that header
/// becomes `Cache-Control: private`, whatever its lifetime, unless it says `public` or `s-maxage`.
///
/// ```
/// use http::{HeaderName, Request, Response, StatusCode};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_bearer::{Algorithm, BearerLayer, Issuer, JwtVerifier, Source};
/// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let secret = [7; 32];
/// let verifier = JwtVerifier::new([
///     Issuer::new("https://issuer.example", "https://api.example").hmac_secret(Algorithm::HS256, secret),
/// ])?;
/// let gate = BearerLayer::new(verifier)
///     .also_from(Source::header(HeaderName::from_static("x-forwarded-access-token"))?)
///     .also_from(Source::websocket_protocol());
/// let service = gate.layer(service_fn(async |_: Request<()>| {
///     Ok::<_, std::convert::Infallible>(Response::new(()))
/// }));
///
/// # let key = SigningKey::hmac(Alg::HS256, &secret);
/// # let token = TokenBuilder::new(&key, "https://issuer.example", "https://api.example").sign();
/// let request = Request::builder().header("x-forwarded-access-token", &*token).body(())?;
/// assert_eq!(service.clone().oneshot(request).await?.status(), StatusCode::OK);
///
/// let another = Request::builder().header("x-token", &*token).body(())?;
/// assert_eq!(service.oneshot(another).await?.status(), StatusCode::UNAUTHORIZED);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Source(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Header(TokenHeader),
    WebSocketProtocol,
    Query(Parameter),
    #[cfg(feature = "cookies")]
    Cookie {
        name: Box<str>,
        csrf: CsrfLayer,
    },
    #[cfg(feature = "cookies")]
    SupabaseSession {
        name: SessionName,
        csrf: CsrfLayer,
    },
}

impl Source {
    /// A header that holds the token and nothing else, such as `X-Forwarded-Access-Token`. Should whoever
    /// sets it not also remove what the client sent under that name, this takes the client's.
    ///
    /// # Errors
    /// [`ConfigError::ReservedHeader`] for headers that mean something else: `Authorization`, `Cookie`,
    /// `Host` and the like.
    pub fn header(name: HeaderName) -> Result<Self, ConfigError> {
        Self::header_with_prefix(name, "")
    }

    /// A header that holds this prefix, such as `Bearer`, then spaces and the token. The prefix is compared
    /// without regard to case. The header without it is malformed: 400.
    ///
    /// # Errors
    /// As [`header`](Self::header).
    pub fn header_with_prefix(name: HeaderName, prefix: &str) -> Result<Self, ConfigError> {
        Ok(Self(Kind::Header(TokenHeader::new(name, prefix)?)))
    }

    /// The WebSocket subprotocol after `bearer`: `new WebSocket(url, ["bearer", token])`, since a page can
    /// set no header of that request. Looked at only where a WebSocket is opened (`Upgrade: websocket`, or
    /// CONNECT).
    ///
    /// The token is taken out before the inner service sees the request. `bearer` stays, and is what that
    /// service selects: browsers close a connection whose server selects none of what they offered.
    pub fn websocket_protocol() -> Self {
        Self(Kind::WebSocketProtocol)
    }

    /// A parameter of the query, such as `access_token` (RFC 6750 §2.3), for clients that can send it in no
    /// other way.
    ///
    /// **It leaks**: into the log of every proxy before this service, into browser histories and `Referer`.
    /// The parameter is taken out of the request before the inner service, so that nothing further in can log
    /// it; what stands outside of this gate has seen it, and so has axum's `OriginalUri` when the gate is a
    /// layer on a `Router`. Answers get `Cache-Control: private` (§2.3), in place of `public` and of a
    /// lifetime for shared caches.
    ///
    /// Only a plain b64token is read, without percent-encoding, and no second credential may stand anywhere
    /// else, not even the same: 400.
    ///
    /// # Errors
    /// [`ConfigError::InvalidParameterName`] when the name is empty, or has other characters than letters,
    /// digits and `-._~`.
    pub fn query_parameter_that_leaks(name: &str) -> Result<Self, ConfigError> {
        Ok(Self(Kind::Query(Parameter::new(name)?)))
    }

    /// A cookie that holds the token. An empty one is none.
    ///
    /// Browsers send cookies on their own, also when another site asks them to. So `csrf` decides whether a
    /// request may use one: GET, HEAD and OPTIONS, requests of the same origin, and those of the origins that
    /// it trusts; the rest is refused with 403. The opening of a WebSocket counts as unsafe, and so does
    /// CONNECT. It is asked only when the token came by cookie alone.
    ///
    /// Refresh tokens are [taken out](crate::BearerLayer::strip_refresh_tokens) of the request.
    ///
    /// ```
    /// use http::{Request, Response, StatusCode};
    /// use tower::{Layer, ServiceExt, service_fn};
    /// use tower_bearer::{Algorithm, BearerLayer, CsrfLayer, Issuer, JwtVerifier, Source};
    /// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let secret = [7; 32];
    /// let verifier = JwtVerifier::new([
    ///     Issuer::new("https://issuer.example", "https://api.example").hmac_secret(Algorithm::HS256, secret),
    /// ])?;
    /// let csrf = CsrfLayer::new().add_trusted_origin("https://app.example")?;
    /// let gate = BearerLayer::new(verifier).also_from(Source::cookie("access_token", csrf)?);
    /// let service = gate.layer(service_fn(async |_: Request<()>| {
    ///     Ok::<_, std::convert::Infallible>(Response::new(()))
    /// }));
    ///
    /// # let key = SigningKey::hmac(Alg::HS256, &secret);
    /// # let token = TokenBuilder::new(&key, "https://issuer.example", "https://api.example").sign();
    /// let post = |origin: &str| {
    ///     let request = Request::post("/").header("origin", origin).header("sec-fetch-site", "cross-site");
    ///     request.header("cookie", format!("access_token={token}")).body(())
    /// };
    /// assert_eq!(service.clone().oneshot(post("https://app.example")?).await?.status(), StatusCode::OK);
    /// assert_eq!(service.oneshot(post("https://evil.example")?).await?.status(), StatusCode::FORBIDDEN);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError::InvalidCookieName`] when no cookie can have that name (RFC 6265 §4.1.1).
    #[cfg(feature = "cookies")]
    #[cfg_attr(docsrs, doc(cfg(feature = "cookies")))]
    pub fn cookie(name: &str, csrf: CsrfLayer) -> Result<Self, ConfigError> {
        if cookie::is_name(name) {
            Ok(Self(Kind::Cookie { name: name.into(), csrf }))
        } else {
            Err(ConfigError::InvalidCookieName(name.to_owned()))
        }
    }

    /// The session of a Supabase user, as `@supabase/ssr` keeps it in the cookie of this name and its chunks
    /// `.0`, `.1` and so on. Instead of the name, the URL of the project will do: `https://abc.supabase.co`
    /// has `sb-abc-auth-token`.
    ///
    /// Of the session only the access token is read. A session that cannot be read is none, as for the real
    /// client. A cookie or chunk that comes twice with two values, from two domain scopes, is refused: 400.
    /// `csrf` is as for a [`cookie`](Self::cookie). The session cookies are [taken
    /// out](crate::BearerLayer::strip_refresh_tokens) of the request, since they hold the refresh token.
    ///
    /// # Errors
    /// * [`ConfigError::InvalidUrl`]: it has `://`, and is no URL with a host;
    /// * [`ConfigError::InvalidCookieName`].
    #[cfg(feature = "cookies")]
    #[cfg_attr(docsrs, doc(cfg(feature = "cookies")))]
    pub fn supabase_session(name_or_project: &str, csrf: CsrfLayer) -> Result<Self, ConfigError> {
        Ok(Self(Kind::SupabaseSession { name: SessionName::new(name_or_project)?, csrf }))
    }

    fn find<'a, B>(&self, request: &'a Request<B>, tokens: &mut Tokens<'a>) -> Result<(), Reason> {
        match &self.0 {
            Kind::Header(header) => header.find(request.headers(), tokens),
            Kind::WebSocketProtocol => websocket::find(request, tokens),
            Kind::Query(parameter) => parameter.find(request.uri(), tokens),
            #[cfg(feature = "cookies")]
            Kind::Cookie { name, csrf } => {
                let by_cookie = by_cookie(csrf, request);
                cookie::cookies(request.headers())
                    .filter(|cookie| cookie.name == name.as_bytes() && !cookie.value.is_empty())
                    .try_for_each(|cookie| tokens.add(cookie.value, *by_cookie))
            }
            #[cfg(feature = "cookies")]
            Kind::SupabaseSession { name, csrf } => {
                let by_cookie = by_cookie(csrf, request);
                session::access_tokens(name, request.headers(), |token| tokens.add_decoded(token, *by_cookie))
            }
        }
    }
}

/// Asked for the first cookie, and not once for each of the thousands that fit into a head.
#[cfg(feature = "cookies")]
fn by_cookie<B>(csrf: &CsrfLayer, request: &Request<B>) -> LazyCell<Carrier, impl FnOnce() -> Carrier> {
    LazyCell::new(move || Carrier::Cookie { permitted: may_use_cookie(csrf, request) })
}

/// All the ways into one gate. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    others: Arc<[Source]>,
    refresh_tokens: Option<RefreshTokens>,
}

impl Sources {
    /// `Authorization`, and nothing else.
    pub(crate) fn authorization() -> Self {
        Self { others: Arc::new([]), refresh_tokens: None }
    }

    pub(crate) fn with(self, source: Source) -> Self {
        let sources = match &source.0 {
            #[cfg(feature = "cookies")]
            Kind::SupabaseSession { name, .. } => {
                let refresh_tokens = self.refresh_tokens.unwrap_or_default();
                Self { refresh_tokens: Some(refresh_tokens.session(name.clone())), ..self }
            }
            #[cfg(feature = "cookies")]
            Kind::Cookie { .. } => self.without_refresh_tokens(),
            Kind::Header(_) | Kind::WebSocketProtocol | Kind::Query(_) => self,
        };
        Self { others: sources.others.iter().cloned().chain([source]).collect(), ..sources }
    }

    pub(crate) fn without_refresh_tokens(self) -> Self {
        Self { refresh_tokens: Some(self.refresh_tokens.unwrap_or_default()), ..self }
    }

    /// Whoever prints the request further in does not print its credential.
    pub(crate) fn mark_sensitive(&self, headers: &mut HeaderMap) {
        mark_sensitive(headers, &AUTHORIZATION);
        for source in &*self.others {
            match &source.0 {
                Kind::Header(header) => mark_sensitive(headers, header.name()),
                Kind::WebSocketProtocol => mark_sensitive(headers, &SEC_WEBSOCKET_PROTOCOL),
                Kind::Query(_) => {}
                #[cfg(feature = "cookies")]
                Kind::Cookie { .. } | Kind::SupabaseSession { .. } => {}
            }
        }
        if self.refresh_tokens.is_some() {
            mark_sensitive(headers, &COOKIE);
        }
    }

    /// The token in the one line of `Authorization`, marked as sensitive, whatever it is. `None` when it
    /// takes more to tell which it is, or whether there is one.
    pub(crate) fn glance<'a>(
        &self,
        headers: &'a mut HeaderMap,
        scheme: &str,
        limit: usize,
    ) -> Option<&'a [u8]> {
        let is_plain = self.others.is_empty() && self.refresh_tokens.is_none();
        // As many lines as names: no name has two.
        if !is_plain || headers.len() > headers.keys_len() {
            return None;
        }
        let value = headers.get_mut(AUTHORIZATION)?;
        value.set_sensitive(true);
        token_of_value(value.as_bytes(), scheme).ok().filter(|token| token.len() <= limit)
    }

    /// The one token of the request, wherever it stands: a b64token.
    ///
    /// # Errors
    /// [`Reason::NoCredential`] or [`Reason::OtherScheme`] when there is none; else why it, or one of them,
    /// is not to be used.
    pub(crate) fn find<'a, B>(
        &self,
        request: &'a Request<B>,
        scheme: &str,
        limit: usize,
    ) -> Result<Cow<'a, str>, Reason> {
        let authorization = token_of_headers(request.headers(), scheme);
        if self.others.is_empty() {
            return Ok(Cow::Borrowed(Credential::from_bytes(authorization?, limit)?.token()));
        }
        let mut tokens = Tokens::new(limit);
        let absent = match authorization {
            Ok(token) => {
                tokens.add(token, Carrier::Header)?;
                Reason::NoCredential
            }
            Err(reason @ (Reason::NoCredential | Reason::OtherScheme)) => reason,
            Err(reason) => return Err(reason),
        };
        self.others.iter().try_for_each(|source| source.find(request, &mut tokens))?;
        tokens.into_one()?.ok_or(absent)
    }

    /// The target of a request without a token that may stand there, for whoever repeats it.
    pub(crate) fn target<'a>(&self, uri: &'a Uri) -> Cow<'a, Uri> {
        let mut target = Cow::Borrowed(uri);
        for source in &*self.others {
            if let Kind::Query(parameter) = &source.0 {
                parameter.take_out(target.to_mut());
            }
        }
        target
    }

    /// Takes the credential out of a request that is let in, so that nothing further in can hand it on by
    /// mistake. What stands in `Authorization` for another scheme stays.
    pub(crate) fn take_out_credential(&self, headers: &mut HeaderMap, scheme: &str) {
        if token_of_headers(headers, scheme).is_ok() {
            headers.remove(AUTHORIZATION);
        }
        for source in &*self.others {
            match &source.0 {
                Kind::Header(header) => {
                    headers.remove(header.name());
                }
                // Also of a request that opens no WebSocket, which may have it there as well.
                Kind::WebSocketProtocol => websocket::take_out_of(headers),
                // Taken out in any case.
                Kind::Query(_) => {}
                #[cfg(feature = "cookies")]
                Kind::Cookie { name, .. } => {
                    cookie::take_out(headers, |cookie| cookie.name == name.as_bytes());
                }
                // Taken out with the refresh token.
                #[cfg(feature = "cookies")]
                Kind::SupabaseSession { .. } => {}
            }
        }
    }

    /// Makes a request ready for the inner service: takes out what must not get there.
    pub(crate) fn enter<B>(&self, request: &mut Request<B>) -> Caching {
        let caches_know = self.others.is_empty() || request.headers().contains_key(AUTHORIZATION);
        let mut caching = if caches_know { Caching::AsAnswered } else { Caching::PrivateByDefault };
        for source in &*self.others {
            match &source.0 {
                Kind::WebSocketProtocol => websocket::take_out(request),
                Kind::Query(parameter) => {
                    if parameter.take_out(request.uri_mut()) {
                        caching = Caching::Private;
                    }
                }
                Kind::Header(_) => {}
                #[cfg(feature = "cookies")]
                Kind::Cookie { .. } | Kind::SupabaseSession { .. } => {}
            }
        }
        if let Some(refresh_tokens) = &self.refresh_tokens {
            refresh_tokens.take_out(request);
        }
        caching
    }
}

fn mark_sensitive(headers: &mut HeaderMap, name: &HeaderName) {
    let Some(first) = headers.get_mut(name) else { return };
    first.set_sensitive(true);
    // Looking for more lines costs as much again, and most requests have two lines of no name.
    if headers.len() > headers.keys_len()
        && let Entry::Occupied(mut values) = headers.entry(name)
    {
        values.iter_mut().for_each(|value| value.set_sensitive(true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn every_line_that_may_hold_a_token_is_marked_before_a_verifier_sees_it() {
        let own = HeaderName::from_static("x-token");
        let sources = Sources::authorization()
            .with(Source::header(own.clone()).expect("a header"))
            .with(Source::websocket_protocol())
            .without_refresh_tokens();
        for name in [AUTHORIZATION, own, SEC_WEBSOCKET_PROTOCOL, COOKIE] {
            let mut headers = HeaderMap::new();
            for line in ["a", "b"] {
                headers.append(&name, HeaderValue::from_static(line));
            }
            sources.mark_sensitive(&mut headers);
            assert!(headers.get_all(&name).iter().all(HeaderValue::is_sensitive), "{name}");
        }
    }

    #[cfg(feature = "cookies")]
    #[test]
    fn a_name_that_no_cookie_has_is_refused() {
        for bad in ["", "a b", "a=b", "a;b", "\u{e9}"] {
            let source = Source::cookie(bad, CsrfLayer::new());
            assert_eq!(source.err(), Some(ConfigError::InvalidCookieName(bad.to_owned())));
        }
    }

    #[cfg(feature = "cookies")]
    #[test]
    fn a_head_full_of_cookies_is_asked_about_once() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let csrf = CsrfLayer::new().with_insecure_bypass(move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            true
        });
        let request = Request::post("/")
            .header("origin", "https://evil.example")
            .header("sec-fetch-site", "cross-site")
            .header(COOKIE, "access=a; ".repeat(1000))
            .body(())
            .expect("a request");
        let sources = Sources::authorization().with(Source::cookie("access", csrf).expect("a cookie"));
        assert_eq!(sources.find(&request, "Bearer", 16).as_deref(), Ok("a"));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}
