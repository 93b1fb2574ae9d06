//! [`GuardedRouter`]: a router in which forgetting a policy is not possible.

use crate::{AuthError, BearerLayer, RequireLayer, Verified, policy::Policy};
use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use http::{StatusCode, header::ALLOW};
use std::collections::BTreeMap;
use tower::util::MapResponse;
use tower_bearer::{Refusal, Rejection, Verify};

/// A router whose every route names its policy, or says that it is public or optional.
///
/// | request | stranger | verified caller |
/// |---|---|---|
/// | a route | 401 | as its policy says |
/// | an optional route | the handler, as nobody | the handler |
/// | a public route | the handler | the handler; its token is not looked at |
/// | no route, or no such method | 401 | 404, 405 |
/// | a path with public and optional routes only, no such method | 405 | 405 |
///
/// So a stranger learns nothing about which routes are there, but for the public and optional ones.
///
/// ```
/// use axum::{body::Body, http::{Request, StatusCode}, routing::get};
/// use axum_bearer::{Algorithm, BearerLayer, GuardedRouter, Issuer, JwtVerifier, policy::scope};
/// use tower::ServiceExt;
/// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let secret = [7; 32];
/// # let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, secret);
/// # let token = TokenBuilder::new(&SigningKey::hmac(Alg::HS256, &secret), "https://issuer.example", "api")
/// #     .scope("orders:read").sign();
/// let app = GuardedRouter::new()
///     .public("/health", get(async || "ok"))
///     .route("/orders", scope("orders:read"), get(async || "orders"))
///     .behind(BearerLayer::new(JwtVerifier::new([issuer])?));
///
/// let ask = |path| Request::get(path).body(Body::empty());
/// assert_eq!(app.clone().oneshot(ask("/health")?).await?.status(), StatusCode::OK);
/// assert_eq!(app.clone().oneshot(ask("/orders")?).await?.status(), StatusCode::UNAUTHORIZED);
/// assert_eq!(app.clone().oneshot(ask("/nowhere")?).await?.status(), StatusCode::UNAUTHORIZED);
///
/// let authorization = format!("Bearer {token}");
/// let reader = Request::get("/orders").header("authorization", authorization).body(Body::empty())?;
/// assert_eq!(app.oneshot(reader).await?.status(), StatusCode::OK);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it serves nothing before `behind` has made a router of it"]
pub struct GuardedRouter<S = ()> {
    routes: BTreeMap<String, Methods<S>>,
}

/// What answers at one path.
#[derive(Clone, Debug)]
struct Methods<S> {
    guarded: Option<MethodRouter<S>>,
    optional: Option<MethodRouter<S>>,
    public: MethodRouter<S>,
}

impl<S: Clone + Send + Sync + 'static> GuardedRouter<S> {
    /// Without a route, everything is refused.
    pub fn new() -> Self {
        Self { routes: BTreeMap::new() }
    }

    /// A route for callers whom `policy` permits.
    ///
    /// # Panics
    /// When there is a route of the same path and method.
    pub fn route<P>(mut self, path: &str, policy: P, methods: MethodRouter<S>) -> Self
    where
        P: Policy + Clone + Send + Sync + 'static,
    {
        add(&mut self.at(path).guarded, methods.layer(RequireLayer::new(policy)));
        self
    }

    /// A route for everybody, whose handler may know who it is: an `Option<AuthUser<C>>` is `None` for who has
    /// no credential. A bad one is refused all the same.
    ///
    /// ```
    /// use axum::{body::Body, http::{Request, StatusCode}, routing::get};
    /// use axum_bearer::{Algorithm, AuthUser, BearerLayer, GuardedRouter, Issuer, JwtVerifier, RegisteredClaims};
    /// use tower::ServiceExt;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, [7; 32]);
    /// async fn feed(user: Option<AuthUser<RegisteredClaims>>) -> &'static str {
    ///     if user.is_some() { "yours" } else { "everybody's" }
    /// }
    ///
    /// let app = GuardedRouter::new()
    ///     .optional("/feed", get(feed))
    ///     .behind(BearerLayer::new(JwtVerifier::new([issuer])?));
    ///
    /// let stranger = Request::get("/feed").body(Body::empty())?;
    /// assert_eq!(app.clone().oneshot(stranger).await?.status(), StatusCode::OK);
    ///
    /// let forged = Request::get("/feed").header("authorization", "Bearer e30.e30.AA").body(Body::empty())?;
    /// assert_eq!(app.oneshot(forged).await?.status(), StatusCode::UNAUTHORIZED);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// When there is an optional route of the same path and method.
    pub fn optional(mut self, path: &str, methods: MethodRouter<S>) -> Self {
        add(&mut self.at(path).optional, methods);
        self
    }

    /// A route for everybody. The gate does not look at its requests: who wants to know the user all the same
    /// takes an [`optional`](Self::optional) one.
    ///
    /// # Panics
    /// When there is a public route of the same path and method.
    pub fn public(mut self, path: &str, methods: MethodRouter<S>) -> Self {
        self.at(path).publish(methods);
        self
    }

    /// The routes of another one, all of whose paths come to begin with `path`. Handlers see the whole path.
    ///
    /// # Panics
    /// When there is a route of the same path and method.
    pub fn nest(self, path: &str, other: Self) -> Self {
        let path = path.trim_end_matches('/');
        let is_all = |inner: &str| inner == "/" && !path.is_empty();
        let under = |inner: String| if is_all(&inner) { path.to_owned() } else { format!("{path}{inner}") };
        self.merge(Self {
            routes: other.routes.into_iter().map(|(inner, methods)| (under(inner), methods)).collect(),
        })
    }

    /// The routes of another one.
    ///
    /// # Panics
    /// When there is a route of the same path and method.
    pub fn merge(mut self, other: Self) -> Self {
        for (path, Methods { guarded, optional, public }) in other.routes {
            let here = self.at(&path);
            here.publish(public);
            if let Some(optional) = optional {
                add(&mut here.optional, optional);
            }
            if let Some(guarded) = guarded {
                add(&mut here.guarded, guarded);
            }
        }
        self
    }

    /// Gives the handlers their [`State`](axum::extract::State).
    pub fn with_state<S2>(self, state: S) -> GuardedRouter<S2> {
        let give = |methods: MethodRouter<S>| methods.with_state(state.clone());
        let give = |Methods { guarded, optional, public }| Methods {
            guarded: guarded.map(give),
            optional: optional.map(give),
            public: give(public),
        };
        GuardedRouter {
            routes: self.routes.into_iter().map(|(path, methods)| (path, give(methods))).collect(),
        }
    }

    fn at(&mut self, path: &str) -> &mut Methods<S> {
        self.routes.entry(path.to_owned()).or_insert_with(|| Methods {
            guarded: None,
            optional: None,
            public: MethodRouter::new(),
        })
    }
}

impl GuardedRouter {
    /// The router, with `gate` around all that is not public. It can be nested into one with any state.
    ///
    /// It has a fallback, for what is not there. Under a path, [`nest`](Router::nest), that one answers for the
    /// paths below and for no others. By axum's rule two routers that both have a fallback cannot be merged:
    /// [`merge`](Router::merge) panics; into a router without, it brings this fallback along.
    ///
    /// ```
    /// use axum::{Router, body::Body, extract::State, http::{Request, StatusCode}, routing::get};
    /// use axum_bearer::{Algorithm, BearerLayer, GuardedRouter, Issuer, JwtVerifier, policy::scope};
    /// use tower::ServiceExt;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, [7; 32]);
    /// # let verifier = JwtVerifier::new([issuer])?;
    /// let api = GuardedRouter::new()
    ///     .public("/health", get(async || "ok"))
    ///     .route("/orders", scope("orders:read"), get(async || "orders"))
    ///     .behind(BearerLayer::new(verifier));
    /// let app: Router = Router::new()
    ///     .route("/", get(async |State(name): State<&'static str>| name))
    ///     .nest("/api", api)
    ///     .fallback(async || (StatusCode::NOT_FOUND, "a page of the site"))
    ///     .with_state("the site");
    ///
    /// for (path, status) in
    ///     [("/", 200), ("/nowhere", 404), ("/api/health", 200), ("/api/orders", 401), ("/api/nowhere", 401)]
    /// {
    ///     let stranger = Request::get(path).body(Body::empty())?;
    ///     assert_eq!(app.clone().oneshot(stranger).await?.status(), status, "{path}");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// When a path is none for axum (see [`Router::route`]), or one method of a path is two of guarded, optional
    /// and public.
    #[allow(clippy::needless_pass_by_value, reason = "it goes into the router")]
    pub fn behind<S2, V, R>(self, gate: BearerLayer<V, R>) -> Router<S2>
    where
        S2: Clone + Send + Sync + 'static,
        V: Verify + Send + Sync + 'static,
        V::Future: Send,
        R: Rejection<Body> + Send + Sync + 'static,
    {
        let open = gate.clone().allow_anonymous();
        let mut router = Router::new().fallback(nothing_here).layer(gate.clone());
        for (path, Methods { guarded, optional, public }) in self.routes {
            let is_public = guarded.is_none() && optional.is_none();
            let mut methods = public;
            // Layered and merged in this order, a method that nothing here has is answered by the gate.
            if let Some(optional) = optional {
                methods = methods.merge(optional.layer(open.clone()));
            }
            if let Some(guarded) = guarded {
                methods = methods.merge(guarded.layer(gate.clone()));
            }
            router = if is_public {
                router.route(&path, methods.with_state(()))
            } else {
                router.route_service(&path, MapResponse::new(methods, without_methods))
            };
        }
        router
    }
}

impl<S: Clone + Send + Sync + 'static> Methods<S> {
    fn publish(&mut self, methods: MethodRouter<S>) {
        self.public = std::mem::take(&mut self.public).merge(methods);
    }
}

/// Adds methods to those of the same kind at that path, where there are any.
fn add<S: Clone + Send + Sync + 'static>(to: &mut Option<MethodRouter<S>>, methods: MethodRouter<S>) {
    *to = Some(match to.take() {
        Some(others) => others.merge(methods),
        None => methods,
    });
}

impl<S: Clone + Send + Sync + 'static> Default for GuardedRouter<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// axum adds `Allow` to whatever a route answers to a method that it has not. On a refusal that would tell a
/// stranger that there is a route.
fn without_methods(mut response: Response) -> Response {
    if response.extensions().get::<AuthError>().is_some() {
        response.headers_mut().remove(ALLOW);
    }
    response
}

/// An anonymous caller gets 401 for a path that does not exist, as for any other, even where the gate admits
/// anonymous callers.
async fn nothing_here(request: Request) -> Response {
    match Verified::of(request.extensions()) {
        Ok(_) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => Refusal::new(error, request.extensions()).into_response(),
    }
}
