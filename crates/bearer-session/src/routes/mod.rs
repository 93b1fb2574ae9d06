//! Routes ready to mount, for axum.

mod answer;
mod body;
mod events;
mod form;
mod log;
mod options;
mod password;
mod pending;
mod rounds;
mod session;
mod sign_in;
mod sign_out;
mod streams;

pub use self::options::{InvalidRoutes, RouteOptions};

use self::{answer::Failure, session::Forced, streams::Streams};
use crate::{
    SessionError, Sessions, TokenSet,
    endpoint::{OnBehalf, SignIn},
    keeping::{Keeping, jar},
    layer::forbid_caching,
    seldom::Seldom,
    store::Key,
};
use axum::{
    Router,
    http::{HeaderMap, request::Parts},
    middleware::map_response,
    response::Response,
    routing::{get, post},
};
use std::sync::{Arc, Once};
use tower_bearer::ReturnPath;
use tower_http::csrf::CsrfLayer;

/// The routes of a session, for `Router::nest("/auth", …)`.
///
/// | route | what it does |
/// |---|---|
/// | `GET /sign-in?return_to=…&provider=…` | sends the user to the issuer, with PKCE, a state and a nonce, and with the `acr_values` and `max_age` of a gate's [`step_up_page`](tower_bearer::BearerLayer::step_up_page), for issuers of OpenID Connect, and with the parameters that [may be passed on](RouteOptions::pass_on). Without a `provider` it needs [one that is set](crate::endpoint::SupabaseEndpoint::provider), where the issuer has several, or a [page](RouteOptions::sign_in_page) where users choose: else 400 `unknown_provider`, and a warning |
/// | `GET /callback` | takes the user back, begins a session and goes on to `return_to` |
/// | `POST /password` | signs in with `email`, `password` and `return_to`, as a form or JSON, where the issuer has that; else 404 |
/// | `GET /session` | who is signed in, for how long; 503 when only time can tell. A cookie that would expire in an old session is written anew |
/// | `POST /refresh` | new tokens, though the old ones live; the answer is that of `/session`. 429 if it comes too often |
/// | `POST /logout` | signs out here, or by its `scope`: `local` here, `others` elsewhere, `global` everywhere. A form goes on to `return_to`. Both stand in the query, or in the body as a form or JSON. An issuer that ends no sessions but the one it is shown, as those of OAuth alone, has neither: 501 `unsupported_scope`, after which `global` has signed out here, and the user's other sessions go on |
/// | `GET /signed-out` | takes the user back from a [sign-out at the issuer](RouteOptions::post_logout_redirect_uri), and goes on to the `return_to` of `/logout` |
/// | `GET /events` | server-sent events: `INITIAL_SESSION`, `TOKEN_REFRESHED`, and `SIGNED_OUT`, with which it ends; 204 without a session |
///
/// `/password` tries whatever it is given: limit its rate for each client, in front of it. The issuer sees
/// one client, this site, and where it counts, guesses cost everybody; see
/// [`rate_budget`](crate::endpoint::SupabaseEndpoint::rate_budget).
///
/// No answer has a token, and none is cached. A form or script of another site gets 403, by the rules of
/// `csrf`. A sign-in always begins a new session, and ends the one before. `return_to` leads to a path of
/// this site, or to `/`.
///
/// For other ways to sign in, such as one-time codes, passkeys and SAML, see
/// [`Keeping::begin`](crate::keeping::Keeping::begin).
///
/// # What is said of a failure
///
/// A code, and no more: `{"error":"…"}`. To a page (`Accept: text/html`), `/sign-in`, `/callback` and
/// `/password` answer with a redirect to the [sign-in page](RouteOptions::sign_in_page) instead, where there
/// is one: the code is `error` in its query, beside `return_to`.
///
/// | code | status | from | what it means |
/// |---|---|---|---|
/// | `invalid_request` | 400 | `/sign-in`, `/callback`, `/password`, `/logout` | something is missing, is too long or otherwise not what it should be, or stands there twice; or query and body name different places to `return_to` |
/// | `unknown_provider` | 400 | `/sign-in` | the issuer signs nobody in for such a request: see above |
/// | `unknown_sign_in` | 400 | `/callback` | this browser has no cookie of that sign-in: it began on another host than that of the callback, or more than ten minutes ago, or it came back before |
/// | `sign_in_loop` | 403 | `/sign-in` | three sign-ins were completed, one within 30 seconds of the other, and still the user is sent here: see [below](#sign-ins-that-go-round) |
/// | `unknown_issuer` | 400 | `/callback` | it came back in the name of another issuer, or in none from one that always gives its name (RFC 9207) |
/// | `missing_id_token`, `invalid_id_token` | 400 | `/callback` | the tokens came without an ID token where one belongs, or with that of another sign-in |
/// | `sign_in_failed` | 400 | `/callback`, `/password` | the issuer said no, and not why, or in words that are no code |
/// | the issuer's own, such as `access_denied` or `invalid_credentials` | 400; 429 or 503 with `Retry-After` where it may pass | `/callback`, `/password` | what the issuer says; of Supabase the `error_code`, which tells a user who said no (`access_denied`) from one who may not come in (`user_banned`, `signup_disabled`). Letters, digits and `_-.` only, at most 64 |
/// | `temporarily_unavailable` | 503, or 429, with `Retry-After` | all but `/sign-in` | the issuer or the store does not answer as it should: nothing was decided, and no cookie is taken away. But `/logout?scope=global` may have signed out here, cookie and all, when the issuer cannot be told of the user's other sessions: it is told again for two minutes |
/// | `not_found` | 404 | `/password` | the issuer takes no passwords from others |
/// | `signed_out` | 401 | `/refresh` | there is no session, or no more |
/// | `too_many_requests` | 429 with `Retry-After` | `/refresh`, `/events` | too soon after the last one; too many listeners |
/// | `invalid_scope` | 400 | `/logout` | neither `local` nor `others` nor `global`, or several, as when query and body disagree |
/// | `unsupported_scope` | 501 | `/logout` | the issuer ends no other sessions: see above |
///
/// There is no code where no page of this site and no script of its own comes: 403 to other sites, and for
/// the bodies of `/password` and `/logout` 413 (more than 16 KiB) and 415 (neither a form nor JSON; `/logout`
/// needs none).
///
/// # Sign-ins that go round
///
/// An issuer that knows its user signs them in again without a question. If the page that they come back to
/// sends them to sign in all the same, they would go round for ever, with a new session each time. So
/// `/callback` counts, in a cookie of 30 seconds, how many sign-ins followed each other, and after three of
/// them `/sign-in` sends nobody to the issuer: it answers `sign_in_loop`, and a warning names what to look
/// at. 30 seconds later, or after `/logout`, the user may try again. Mostly it is one of these:
///
/// * The gate refuses the access token, and says why in its log at `DEBUG` (`reason`): it is opaque, or for
///   another audience. Auth0, for one, wants to be asked for an `audience`
///   ([`authorization_parameter`](crate::endpoint::OAuthEndpoint::authorization_parameter)).
/// * A [`step_up_page`](tower_bearer::BearerLayer::step_up_page) leads here, and the issuer puts no `acr` or
///   `auth_time` into its access tokens: the gate asks for more than it can get.
/// * The browser does not keep the cookie of the session, which is `Secure`, at a site of plain `http`; or
///   the [`SessionLayer`](crate::SessionLayer) is not around the gate, or looks for another cookie.
///
/// # Where they stand
///
/// Mount them beside the gate and the [`SessionLayer`](crate::SessionLayer), with the same sessions and
/// `keeping`; [`SessionLayer::routes`](crate::SessionLayer::routes) sees to that. A page that somebody may
/// not see is redirected here by the gate itself:
///
/// ```
/// use axum::{Router, body::Body, http::{Request, StatusCode, header::LOCATION}, routing::get};
/// use axum_bearer::{AuthUser, BearerLayer, Connect as _, Issuer, supabase::SupabaseClaims};
/// use bearer_session::{
///     CsrfLayer, Keyring, RouteOptions, SessionLayer, Sessions, endpoint::SupabaseEndpoint, keeping::OpaqueCookie,
///     session_routes, store::MemoryStore,
/// };
/// use tower::ServiceExt as _;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let supabase = bearer_testing::TestSupabase::start().await;
/// # supabase.add_user("ada@example.com", "correct horse");
/// # let (project_url, key) = (supabase.project_url(), "sb_publishable_1");
/// let endpoint = SupabaseEndpoint::new(project_url, key)?.provider("github");
/// let sessions = Sessions::builder(endpoint.clone(), MemoryStore::new(10_000), Keyring::random()).build();
/// let (cookie, csrf) = (OpaqueCookie::new(), CsrfLayer::new());
///
/// let gate = BearerLayer::new(Issuer::supabase(project_url)?.connect().await?).sign_in_page("/auth/sign-in")?;
/// let options = RouteOptions::new("https://app.example/auth/callback")?;
/// let app = Router::new()
///     .route("/me", get(async |user: AuthUser<SupabaseClaims>| user.sub.clone()))
///     .layer(gate)
///     .layer(SessionLayer::new(sessions.clone(), cookie.clone(), csrf.clone())) // last: around the gate
///     .nest("/auth", session_routes(sessions, endpoint, cookie, csrf, options));
///
/// let page = Request::get("/me").header("accept", "text/html").body(Body::empty())?;
/// let answer = app.clone().oneshot(page).await?;
/// assert_eq!(answer.headers()[LOCATION], "/auth/sign-in?return_to=/me");
///
/// let json = r#"{"email":"ada@example.com","password":"correct horse"}"#;
/// let sign_in = |json: &str| Request::post("/auth/password").header("content-type", "application/json").body(Body::from(json.to_owned()));
/// assert_eq!(app.clone().oneshot(sign_in(json)?).await?.status(), StatusCode::OK);
/// let guess = json.replace("correct horse", "a guess");
/// assert_eq!(app.oneshot(sign_in(&guess)?).await?.status(), StatusCode::BAD_REQUEST);
/// # Ok(())
/// # }
/// ```
pub fn session_routes(
    sessions: Sessions,
    sign_in: impl SignIn,
    keeping: impl Into<Keeping>,
    csrf: CsrfLayer,
    options: RouteOptions,
) -> Router {
    let keeping = keeping.into();
    if let Some(host) = options.plain_host().filter(|_| keeping.is_secure()) {
        log::plain_http(&host);
    }
    let shared = Arc::new(RouteState {
        sessions,
        sign_in: Arc::new(sign_in),
        keeping,
        forced: Forced::new(options.refresh_every),
        streams: Streams::new(options.streams),
        missed_provider: Once::new(),
        unknown_sign_ins: Seldom::default(),
        sign_in_loops: Seldom::default(),
        options,
    });
    Router::new()
        .route("/sign-in", get(sign_in::begin))
        .route("/callback", get(sign_in::callback))
        .route("/password", post(password::sign_in))
        .route("/session", get(session::show))
        .route("/refresh", post(session::refresh))
        .route("/logout", post(sign_out::sign_out))
        .route("/signed-out", get(sign_out::come_back))
        .route("/events", get(events::stream))
        .with_state(shared)
        .layer(csrf)
        .layer(map_response(uncached))
}

/// What all routes share.
struct RouteState {
    sessions: Sessions,
    sign_in: Arc<dyn SignIn>,
    keeping: Keeping,
    forced: Forced,
    streams: Streams,
    missed_provider: Once,
    unknown_sign_ins: Seldom,
    sign_in_loops: Seldom,
    options: RouteOptions,
}

type Shared = axum::extract::State<Arc<RouteState>>;

impl RouteState {
    fn on_behalf(&self, request: &Parts) -> OnBehalf {
        self.options.client.of(&request.headers, &request.extensions)
    }

    /// The session of a request.
    async fn key(&self, request: &Parts) -> Result<Key, SessionError> {
        self.keeping.key_of(&self.sessions, request).await
    }

    /// Begins a session in place of the one that the browser has.
    async fn begin(
        &self,
        request: &Parts,
        tokens: TokenSet,
        on_behalf: OnBehalf,
        response: &mut Response,
    ) -> Result<(), Failure> {
        let headers = response.headers_mut();
        let begun = self.keeping.begin(&self.sessions, tokens, request, on_behalf, headers).await;
        begun.map_err(|error| Failure::store(&error))
    }

    /// Where the user goes on to: to this path, if it is one of this site.
    fn return_to(&self, text: Option<&str>) -> ReturnPath {
        text.and_then(ReturnPath::parse).unwrap_or_else(|| self.options.home.clone())
    }
}

async fn uncached(mut response: Response) -> Response {
    forbid_caching(response.headers_mut());
    response
}

/// Whether somebody looks at the answer, rather than a script.
fn is_for_a_page(request: &HeaderMap) -> bool {
    request.get_all(axum::http::header::ACCEPT).iter().any(|accept| {
        accept.as_bytes().split(|byte| *byte == b',').any(|range| {
            let range = range.split(|byte| *byte == b';').next().unwrap_or_default();
            range.trim_ascii().eq_ignore_ascii_case(b"text/html")
        })
    })
}
