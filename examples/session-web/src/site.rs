//! The site: which path stands behind the session and the gate. The part to copy.

use crate::{
    api, assets,
    limit::{Guesses, limited},
    pages::{self, About},
};
use axum::{Router, http::StatusCode, middleware::from_fn_with_state, routing::get};
use axum_bearer::{
    BearerLayer, Connect, Issuer, Verify as _,
    revocation::{DenyList, WhenUnsure},
};
use bearer_session::{
    CsrfLayer, RouteOptions, SessionLayer, Sessions, SessionsBuilder, endpoint::SupabaseEndpoint,
    keeping::OpaqueCookie, revoke_in,
};
use std::{error::Error, time::Duration};

/// How often somebody may press the button that refreshes.
const ON_DEMAND: Duration = Duration::from_secs(5);

/// The path of the sign-in page.
pub(crate) const SIGN_IN: &str = "/sign-in";

/// How many sign-outs the gate remembers, each for as long as an access token may live.
const SIGN_OUTS: usize = 100_000;
const HOUR: Duration = Duration::from_secs(3600);

/// The site at `url`, for the users of one Supabase project.
pub(crate) async fn site(
    url: &str,
    project_url: &str,
    endpoint: SupabaseEndpoint,
    sessions: SessionsBuilder,
    about: About,
) -> Result<(Router, Sessions), Box<dyn Error>> {
    // The gate knows nothing of sessions, and refuses what was signed out all the same.
    let signed_out = DenyList::new(SIGN_OUTS);
    let verifier =
        Issuer::supabase(project_url)?.connect().await?.revocable(signed_out.clone(), WhenUnsure::Refuse);
    let gate = BearerLayer::new(verifier).sign_in_page(SIGN_IN)?;

    let sessions = sessions.on_sign_out(revoke_in(signed_out, HOUR)).build();
    let layer = SessionLayer::new(sessions.clone(), OpaqueCookie::new(), CsrfLayer::new());
    let options = RouteOptions::new(&format!("{url}/auth/callback"))?.sign_in_page(SIGN_IN)?;
    let options = options.refresh_every(ON_DEMAND);
    about.refreshes.listen(&sessions);

    let routes = layer.routes(endpoint, options).layer(from_fn_with_state(Guesses::new(), limited));

    let site = Router::new()
        .route("/", get(pages::dashboard))
        .route("/profile", get(pages::profile))
        .route("/api/me", get(api::me))
        .fallback(async || StatusCode::NOT_FOUND) // named, or the merge below would put an open one in its place
        .layer(gate)
        .layer(layer) // last: around the gate
        .route(SIGN_IN, get(pages::sign_in))
        .route("/refreshes", get(api::refreshes))
        .with_state(about)
        .merge(assets::router())
        .nest("/auth", routes);
    Ok((assets::guarded(site), sessions))
}
