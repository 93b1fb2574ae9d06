//! [`SessionLayer`]: between a browser's cookie and the gate.

mod client;
mod current;
#[cfg(feature = "axum")]
mod extract;
mod future;
mod out;
mod service;

#[cfg(feature = "axum")]
pub use self::extract::SessionRejection;
pub use self::{current::CurrentSession, future::SessionFuture, service::SessionService};

pub(crate) use self::client::Client;
pub(crate) use self::out::forbid_caching;
#[cfg(feature = "axum")]
pub(crate) use self::out::retry_after;

use crate::{Sessions, keeping::Keeping, seldom::Seldom};
use http::{Extensions, HeaderMap};
use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Once},
};
use tower_http::csrf::CsrfLayer;
use tower_layer::Layer;

/// Turns a session's cookie into the credential of the request, for the gate behind it.
///
/// | the request has | what happens |
/// |---|---|
/// | no cookie of ours | it passes as it is |
/// | an `Authorization` of its own | that stands, and the session is left alone |
/// | come from another site, with an unsafe method or to open a WebSocket | 403 |
/// | the cookie of a session | it goes on with `Authorization: Bearer <a token that lives>` and a [`CurrentSession`] |
/// | the cookie of a session that is over, or of none | it goes on without credential, and the answer takes the cookie away |
/// | the cookie of a session of which only time can tell | 503 with `Retry-After`; the cookie stays |
/// | the cookie of a session whose token the gate behind refuses for its key or its time | the same, if [another](Sessions::refused) is to be had: an issuer that withdraws a key signs nobody out |
/// | the cookie of a session whose token the gate behind refuses as revoked | the gate's answer; the session ends, here and at the issuer |
/// | the cookie of a session whose token the gate behind refuses for what the next one would have too, such as its audience | the gate's answer; once a minute a warning in the log, with the reason and what to look at |
///
/// Whatever is behind sees neither the session's cookie nor a refresh token: the cookie is taken out of the
/// request, and all others are left as they were. An answer that sets or deletes a cookie of the session has
/// `Cache-Control: private, no-store`. Any other to a request with a session that does not say to be everybody's
/// (`public`, `s-maxage`) has `Cache-Control: private`: a shared cache in front sees no `Authorization` in the
/// request, by which it would know.
///
/// A request of a script whose session is over (`Sec-Fetch-Mode` other than `navigate`) does not take the
/// cookie away: its answer may arrive after that of a sign-in in another tab, and would take the new session
/// away. The next page does.
///
/// Its own answers (403 and 503) have no body. A layer around it can give them one, such as a page that says
/// to come back soon: they have an [`AuthError`](tower_bearer::AuthError) in their extensions, as those of the
/// gate do.
///
/// The rules of [`CsrfLayer`] stand before every session, hence it must be given; see
/// [there](tower_bearer::Source::cookie) for how to name origins that may.
///
/// ```
/// use axum::{Router, body::Body, http::{Request, StatusCode, header::{COOKIE, SET_COOKIE}}, routing::get};
/// use axum_bearer::{AuthUser, BearerLayer, Connect as _, Issuer, supabase::SupabaseClaims};
/// use bearer_session::{
///     CsrfLayer, Keyring, SessionLayer, Sessions, endpoint::SupabaseEndpoint, keeping::OpaqueCookie, store::MemoryStore,
/// };
/// use tower::ServiceExt as _;
/// # use bearer_session::{Secret, endpoint::OnBehalf};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let supabase = bearer_testing::TestSupabase::start().await;
/// # let id = supabase.add_user("ada@example.com", "correct horse");
/// # let (project_url, key) = (supabase.project_url(), "sb_publishable_1");
/// let endpoint = SupabaseEndpoint::new(project_url, key)?;
/// let sessions = Sessions::builder(endpoint.clone(), MemoryStore::new(10_000), Keyring::random()).build();
///
/// let app = Router::new()
///     .route("/me", get(async |user: AuthUser<SupabaseClaims>| user.sub.clone()))
///     .layer(BearerLayer::new(Issuer::supabase(project_url)?.connect().await?))
///     .layer(SessionLayer::new(sessions.clone(), OpaqueCookie::new(), CsrfLayer::new())); // last: around the gate
///
/// // A sign-in, for which there are routes ready to mount.
/// let tokens = endpoint.password("ada@example.com", &Secret::new("correct horse"), OnBehalf::default()).await?;
/// let session = sessions.create(tokens).await?.to_text();
///
/// let request = |session: &str| {
///     Request::get("/me").header(COOKIE, format!("__Host-session={session}")).body(Body::empty())
/// };
/// let answer = app.clone().oneshot(request(session.expose())?).await?;
/// assert_eq!(answer.status(), StatusCode::OK);
///
/// let refused = app.oneshot(request("a-guess")?).await?;
/// assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
/// assert!(refused.headers()[SET_COOKIE].to_str()?.starts_with("__Host-session=; Max-Age=0;"));
/// # Ok(())
/// # }
/// ```
///
/// # Around the gate
///
/// A router's `.layer` goes around all that was added before: call it for this layer *after* the gate's (with a
/// `ServiceBuilder`, before). Inside the gate it is too late: the gate refuses each request with a session as
/// one without a credential, with 401 or by way of the sign-in page, and this layer never hears of it. What
/// the gate lets through, a caller with a token of their own or an anonymous one, gets here; the first of
/// them is logged as a warning. Between two gates, where the outer one asks for something else, all is well,
/// and the warning says nothing.
#[derive(Clone, Debug)]
pub struct SessionLayer(Arc<LayerState>);

/// What all requests share.
#[derive(Clone)]
pub(crate) struct LayerState {
    sessions: Sessions,
    keeping: Keeping,
    csrf: CsrfLayer,
    client: Client,
    /// Whether it was said that a gate stands around this.
    misplaced: Arc<Once>,
    /// Word of tokens that the gate behind refuses, and would again.
    refusals: Arc<Seldom>,
}

impl SessionLayer {
    /// For browsers that keep their sessions so, and sites that may use them.
    pub fn new(sessions: Sessions, keeping: impl Into<Keeping>, csrf: CsrfLayer) -> Self {
        Self(Arc::new(LayerState {
            sessions,
            keeping: keeping.into(),
            csrf,
            client: Client::default(),
            misplaced: Arc::new(Once::new()),
            refusals: Arc::default(),
        }))
    }

    /// Tells the issuer the address of the user's client, which may limit rates by it. Only this side knows
    /// where that stands: in the connection, or in a header of a proxy that can be trusted. Not told by
    /// default.
    #[must_use]
    pub fn client(
        mut self,
        address: impl Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.0).client = Client::by(address);
        self
    }

    /// The [routes](crate::session_routes) for this layer: of the same sessions, with the same cookies, for
    /// the same sites, so that what they begin is found here. They tell the issuer of the same
    /// [client](Self::client), unless the options name another.
    ///
    /// `sign_in` is the endpoint that the sessions were made with.
    #[cfg(feature = "axum")]
    pub fn routes(
        &self,
        sign_in: impl crate::endpoint::SignIn,
        options: crate::RouteOptions,
    ) -> axum::Router {
        let LayerState { sessions, keeping, csrf, client, .. } = &*self.0;
        let options = options.or_client(client);
        crate::session_routes(sessions.clone(), sign_in, keeping.clone(), csrf.clone(), options)
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService { inner, shared: Arc::clone(&self.0) }
    }
}

impl fmt::Debug for LayerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerState")
            .field("sessions", &self.sessions)
            .field("keeping", &self.keeping)
            .finish_non_exhaustive()
    }
}
