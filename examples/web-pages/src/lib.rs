//! A site for browsers, behind the session that `@supabase/ssr` keeps in its cookies.

mod api;
pub mod frontend;
mod live;
mod notes;
mod pages;

use axum::{
    Router,
    http::StatusCode,
    routing::{any, get},
};
use axum_bearer::{BearerLayer, Connect, CsrfLayer, Issuer, Source};
use notes::Notes;
use std::error::Error;

/// The site, for the users of one Supabase project. Its forms may also be sent by the pages of `partner`,
/// such as `https://partner.example`, whose scripts may call the API.
///
/// # Errors
/// When one of the URLs is none, or the project does not answer.
pub async fn site(project_url: &str, partner: &str) -> Result<Router, Box<dyn Error>> {
    let csrf = CsrfLayer::new().add_trusted_origin(partner)?;
    let verifier = Issuer::supabase(project_url)?.connect().await?;

    // Scripts bring the token themselves: here no cookie is a credential, so no other site can use one.
    let scripts = BearerLayer::new(verifier).strip_refresh_tokens();
    let sockets = scripts.clone().also_from(Source::websocket_protocol());
    let pages = scripts
        .clone()
        .also_from(Source::supabase_session(project_url, csrf.clone())?)
        .sign_in_page(frontend::SIGN_IN)?;
    let open_pages = pages.clone().allow_anonymous();

    let notes = Notes::default();
    let site = Router::new()
        .route("/notes", get(pages::notes).post(pages::add))
        .fallback(async || StatusCode::NOT_FOUND) // named, or the merge below would put an open one in its place
        .layer(pages) // around all above
        .route("/", get(pages::home).layer(open_pages))
        .route("/live", any(live::open).layer(sockets))
        .with_state(notes.clone())
        .nest("/api", api::router(notes, scripts, partner)?)
        // The sign-in page cannot stand behind the gate; another site's form must not sign anybody in all the
        // same.
        .merge(frontend::router(project_url).layer(csrf));
    Ok(site)
}
