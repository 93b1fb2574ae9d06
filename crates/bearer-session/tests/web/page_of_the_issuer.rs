//! An issuer that has a page for sign-outs, and ends other sessions as well.

use crate::world::{World, options};
use axum::http::{Request, StatusCode};
use bearer_session::{
    AccessToken, BoxFuture, CsrfLayer, RefreshToken, TokenSet,
    endpoint::{
        AfterUnknown, CodeExchange, ExchangeError, OnBehalf, SignIn, SignInRequest, SignOutRequest,
        SignOutScope, SupabaseEndpoint, TokenEndpoint,
    },
    keeping::OpaqueCookie,
    session_routes,
};
use std::time::Duration;

const PAGE: &str = "https://issuer.example/bye";

#[derive(Clone, Debug)]
struct WithPage(SupabaseEndpoint);

impl TokenEndpoint for WithPage {
    fn refresh<'a>(
        &'a self,
        token: &'a RefreshToken,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        self.0.refresh(token, on_behalf)
    }

    fn sign_out<'a>(
        &'a self,
        access_token: &'a AccessToken,
        refresh_token: Option<&'a RefreshToken>,
        scope: SignOutScope,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<(), ExchangeError>> {
        self.0.sign_out(access_token, refresh_token, scope, on_behalf)
    }

    fn after_unknown(&self) -> AfterUnknown {
        self.0.after_unknown()
    }
}

impl SignIn for WithPage {
    fn authorization_url(&self, request: &SignInRequest<'_>) -> Option<String> {
        self.0.authorization_url(request)
    }

    fn exchange_code<'a>(
        &'a self,
        exchange: CodeExchange<'a>,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        self.0.exchange_code(exchange, on_behalf)
    }

    fn sign_out_url(&self, _: &SignOutRequest<'_>) -> Option<String> {
        Some(PAGE.to_owned())
    }
}

#[tokio::test]
async fn the_page_of_the_issuer_is_for_those_who_sign_out_here() {
    let world = World::start().await;
    let (cookie, csrf) = (OpaqueCookie::new(), CsrfLayer::new());
    let endpoint = WithPage(world.endpoint.clone());
    let options = options().sign_out_at_the_issuer();
    let routes = session_routes(world.sessions.clone(), endpoint, cookie, csrf, options);
    for (scope, accept, status, location) in [
        ("local", "text/html", StatusCode::SEE_OTHER, Some(PAGE)),
        ("global", "text/html", StatusCode::SEE_OTHER, Some(PAGE)),
        ("others", "text/html", StatusCode::SEE_OTHER, Some("/me")),
        ("local", "*/*", StatusCode::NO_CONTENT, None),
    ] {
        let mut browser = world.signed_in(Duration::from_secs(3600)).await;
        browser.app = routes.clone();
        let request = Request::post(format!("/logout?scope={scope}&return_to=/me")).header("accept", accept);
        let answer = browser.send(request, "").await;
        assert_eq!((answer.status, answer.header("location")), (status, location), "{scope}");
    }
}
