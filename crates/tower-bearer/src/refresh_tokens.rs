//! Refresh tokens are nothing for a service that only verifies: they are taken out of requests.

use crate::{
    config::ConfigError,
    source::{
        cookie::{self, Cookie},
        session_name::{SessionName, without_chunk_number},
    },
};
use http::{HeaderMap, HeaderName, Request};
use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tower_layer::Layer;
use tower_service::Service;

/// Cookies that hold a refresh token, besides those of Supabase sessions. Compared without regard to case.
const COOKIES: [&str; 8] = [
    "sb-refresh-token",
    "supabase-auth-token",
    "supabase-refresh-token",
    "supabase.auth.token",
    "refresh_token",
    "refreshToken",
    "refresh-token",
    "x-refresh-token",
];

/// Headers that clients have been seen to send one in.
const HEADERS: [HeaderName; 10] = [
    HeaderName::from_static("refresh-token"),
    HeaderName::from_static("refresh_token"),
    HeaderName::from_static("refreshtoken"),
    HeaderName::from_static("x-refresh-token"),
    HeaderName::from_static("x-refreshtoken"),
    HeaderName::from_static("x-supabase-refresh"),
    HeaderName::from_static("x-supabase-refresh-token"),
    HeaderName::from_static("supabase-refresh-token"),
    HeaderName::from_static("x-sb-refresh-token"),
    HeaderName::from_static("sb-refresh-token"),
];

/// Takes refresh tokens out of request heads, where there is no gate that does it: see
/// [`BearerLayer::strip_refresh_tokens`](crate::BearerLayer::strip_refresh_tokens) for which.
///
/// A refresh token is spent by its owner alone: a second spender signs the user out. What never gets one
/// cannot.
///
/// ```
/// use http::{Request, Response, header::COOKIE};
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_bearer::StripRefreshTokensLayer;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let service = StripRefreshTokensLayer::new().layer(service_fn(async |request: Request<()>| {
///     Ok::<_, std::convert::Infallible>(Response::new(request.headers().get(COOKIE).cloned()))
/// }));
/// let request = Request::builder().header(COOKIE, "theme=dark; sb-abc-auth-token=base64-e30; lang=en").body(())?;
/// assert_eq!(service.clone().oneshot(request).await?.into_body().expect("cookies"), "theme=dark; lang=en");
///
/// let request = Request::builder().header(COOKIE, "refresh_token=x").body(())?;
/// assert_eq!(service.oneshot(request).await?.into_body(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct StripRefreshTokensLayer(RefreshTokens);

impl StripRefreshTokensLayer {
    /// A layer that knows the usual names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also the cookies of `@supabase/ssr` sessions under a name of your own (`cookieOptions.name`).
    ///
    /// # Errors
    /// [`ConfigError::InvalidCookieName`] when no cookie can have that name.
    pub fn session_cookie(self, name: &str) -> Result<Self, ConfigError> {
        Ok(Self(self.0.session(SessionName::new(name)?)))
    }
}

impl<S> Layer<S> for StripRefreshTokensLayer {
    type Service = StripRefreshTokens<S>;

    fn layer(&self, inner: S) -> Self::Service {
        StripRefreshTokens { inner, refresh_tokens: self.0.clone() }
    }
}

/// The service of a [`StripRefreshTokensLayer`]; see there.
#[derive(Clone, Debug)]
pub struct StripRefreshTokens<S> {
    inner: S,
    refresh_tokens: RefreshTokens,
}

impl<S, B> Service<Request<B>> for StripRefreshTokens<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.refresh_tokens.take_out(&mut request);
        self.inner.call(request)
    }
}

/// Which refresh tokens to look for, and where they were found before. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct RefreshTokens {
    sessions: Arc<[SessionName]>,
    warned: Arc<Paths>,
}

impl RefreshTokens {
    /// Also sessions of this name.
    pub(crate) fn session(self, name: SessionName) -> Self {
        Self { sessions: self.sessions.iter().cloned().chain([name]).collect(), ..self }
    }

    /// Takes them out of a request that is let in, and tells whoever runs the service, once per path.
    pub(crate) fn take_out<B>(&self, request: &mut Request<B>) {
        let headers = request.headers_mut();
        // Not `||`: both are to be done.
        if !(take_headers(headers) | cookie::take_out(headers, |cookie| self.is_one(cookie))) {
            return;
        }
        let (method, path) = (request.method(), request.uri().path());
        if self.warned.is_new(&(method, path), self.warned.began.elapsed()) {
            tracing::warn!(
                %method,
                path,
                "a client sent a refresh token; it was taken out. Only its owner may have it: \
                send the access token alone"
            );
        }
    }

    fn is_one(&self, Cookie { name, .. }: Cookie<'_>) -> bool {
        let bare = [&b"__Host-"[..], b"__Secure-"].into_iter().find_map(|prefix| name.strip_prefix(prefix));
        is_known(bare.unwrap_or(name)) || self.sessions.iter().any(|session| session.part(name).is_some())
    }
}

fn take_headers(headers: &mut HeaderMap) -> bool {
    // Each one is removed: no iterator that stops at the first.
    HEADERS.iter().filter(|name| headers.remove(*name).is_some()).count() > 0
}

/// The usual names. `sb-…-auth-token-code-verifier` is none of them.
fn is_known(name: &[u8]) -> bool {
    let name = without_chunk_number(name);
    (name.starts_with(b"sb-") && name.ends_with(b"-auth-token"))
        || COOKIES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Paths that were told of. When there is no place for more, all are forgotten, once an hour: strangers who
/// ask for what does not exist neither fill the log nor hide the paths that matter. Without a lock, since
/// clients that send refresh tokens do so with every request.
struct Paths {
    hasher: RandomState,
    hashes: [AtomicU64; 128],
    began: Instant,
    /// In seconds since the beginning.
    forgot: AtomicU64,
}

const HOUR: u64 = 60 * 60;

impl Paths {
    /// Whether this is seen for the first time, so long after the beginning. At most once per value between
    /// two times of forgetting, whatever the parallelism.
    fn is_new(&self, path: &impl std::hash::Hash, now: Duration) -> bool {
        // Zero is a free place.
        let hash = self.hasher.hash_one(path).max(1);
        for place in &self.hashes {
            match place.compare_exchange(0, hash, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(known) if known == hash => return false,
                Err(_) => {}
            }
        }
        self.forgets(now) && self.is_new(path, now)
    }

    fn forgets(&self, now: Duration) -> bool {
        let (now, forgot) = (now.as_secs(), self.forgot.load(Ordering::Relaxed));
        let is_time = now >= forgot + HOUR;
        // Of several that come at once, one forgets.
        let forgets = is_time
            && self.forgot.compare_exchange(forgot, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if forgets {
            self.hashes.iter().for_each(|place| place.store(0, Ordering::Relaxed));
        }
        forgets
    }
}

impl Default for Paths {
    fn default() -> Self {
        let hashes = [const { AtomicU64::new(0) }; 128];
        Self { hasher: RandomState::new(), hashes, began: Instant::now(), forgot: AtomicU64::new(0) }
    }
}

impl fmt::Debug for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Paths(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, header::COOKIE};
    use proptest::prelude::*;

    fn stripped(lines: &[&str]) -> Vec<String> {
        let mut request = Request::new(());
        for line in lines {
            request.headers_mut().append(COOKIE, line.parse().expect("a value"));
        }
        let session = SessionName::new("my-session").expect("a name");
        RefreshTokens::default().session(session).take_out(&mut request);
        let left = request.headers().get_all(COOKIE).iter();
        left.map(|line| line.to_str().expect("text").to_owned()).collect()
    }

    #[test]
    fn refresh_tokens_go_and_everything_else_stays() {
        for gone in [
            "sb-abc-auth-token",
            "sb-abc-auth-token.0",
            "sb-abc-auth-token.12",
            "sb-a.b-auth-token.0",
            "sb-auth-token",
            "__Host-sb-abc-auth-token.1",
            "__Secure-sb-abc-auth-token",
            "sb-refresh-token",
            "supabase-auth-token",
            "refresh_token",
            "refreshToken",
            "refresh-token",
            "Refresh_Token",
            "__Host-refresh_token",
            "__Secure-refreshToken",
            "my-session",
            "my-session.3",
        ] {
            assert_eq!(stripped(&[&format!("a=b; {gone}=x; c=d")]), ["a=b; c=d"], "{gone}");
            assert_eq!(stripped(&[&format!("{gone}=\"x\";c=d")]), ["c=d"], "{gone}");
            assert_eq!(stripped(&[&format!("a=b; {gone} = x")]), ["a=b"], "{gone}");
            assert_eq!(stripped(&["a=b", &format!("{gone}="), "c=d"]), ["a=b", "c=d"], "{gone}");
            assert_eq!(stripped(&[&format!("{gone}=x; {gone}=y")]), [""; 0], "{gone}");
        }
        for stays in [
            "sb-abc-auth-token-code-verifier",
            "sb-abc-auth-token-flow-0123456789abcdef0123456789abcdef-code-verifier",
            "sb-abc-auth-token-user",
            "sb-abc-auth-token.x",
            "sb-access-token",
            "xsb-abc-auth-token",
            "access_token",
            "refresh_tokens",
            "my-session-code-verifier",
            "theme",
        ] {
            let line = format!("a=b;  {stays}= refresh_token ;c=d; ");
            assert_eq!(stripped(&[&line]), [&*line], "{stays}");
        }
    }

    #[test]
    fn headers_with_a_refresh_token_go_whatever_their_case() {
        for name in ["Refresh-Token", "refresh_token", "X-Refresh-Token", "X-Supabase-Refresh-Token"] {
            let mut request = Request::builder().header(name, "x").header(name, "y").header("x-token", "z");
            request = request.header("refresh", "z");
            let mut request = request.body(()).expect("a request");
            RefreshTokens::default().take_out(&mut request);
            let headers = request.headers();
            assert!(headers.len() == 2 && headers["x-token"] == "z" && headers["refresh"] == "z", "{name}");
        }
    }

    #[test]
    fn what_was_sensitive_stays_so() {
        let mut request = Request::new(());
        let mut line = HeaderValue::from_static("a=b; refresh_token=x");
        line.set_sensitive(true);
        request.headers_mut().insert(COOKIE, line);
        RefreshTokens::default().take_out(&mut request);
        assert!(request.headers()[COOKIE].is_sensitive());
    }

    #[test]
    fn a_path_is_new_once_and_strangers_do_not_hide_it_for_good() {
        let (paths, begin) = (Paths::default(), Duration::ZERO);
        assert!(paths.is_new(&"/a", begin) && !paths.is_new(&"/a", begin));
        let new = (0..1000).filter(|number| paths.is_new(number, begin)).count();
        assert_eq!(new, 127);
        let hour = Duration::from_secs(HOUR);
        assert!((0..1000).all(|number| !paths.is_new(&number, Duration::from_secs(HOUR - 1))));
        assert!(!paths.is_new(&"/a", hour), "as long as there is a place for it");
        assert!(paths.is_new(&"/b", hour) && !paths.is_new(&"/b", hour));
        assert_eq!((0..1000).filter(|number| paths.is_new(number, hour)).count(), 127);
    }

    proptest! {
        #[test]
        fn what_stays_is_what_was_there(
            jar in proptest::collection::vec(("[a-z]{1,3}|sb-[a-z]{1,3}-auth-token(\\.[0-9])?|refresh_token", "[!-:<-~]{0,6}"), 0..8),
            cut in any::<proptest::sample::Index>(),
        ) {
            let line = |jar: &[&(String, String)]| {
                jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
            };
            let is_ours = |name: &str| name.len() > 3;
            let all: Vec<_> = jar.iter().collect();
            let (first, second) = all.split_at(cut.index(all.len() + 1));
            let expected: Vec<_> = [first, second]
                .into_iter()
                .filter(|part| part.is_empty() || part.iter().any(|(name, _)| !is_ours(name)))
                .map(|part| line(&part.iter().copied().filter(|(name, _)| !is_ours(name)).collect::<Vec<_>>()))
                .collect();
            prop_assert_eq!(stripped(&[&line(first), &line(second)]), expected);
        }
    }
}
