//! An issuer that has a page for sign-outs, and ends other sessions as well.

use crate::world::{World, options};
use axum::http::{Request, StatusCode};
use bearer_session::{
    AccessToken, BoxFuture, CsrfLayer, RefreshToken, TokenSet,
    endpoint::{
        AfterUnknown, CodeExchange, ExchangeError, OnBehalf, SignIn, SignInRequest, SignOutRequest,
        SignOutScope, TokenEndpoint,
    },
    keeping::OpaqueCookie,
    session_routes,
};
use std::time::Duration;

const PAGE: &str = "https://issuer.example/bye";

/// The routes ask for the page; the sessions have an endpoint of their own for all else.
#[derive(Clone, Debug)]
struct Page;

const ELSEWHERE: &str = "the sessions ask their own endpoint";

impl TokenEndpoint for Page {
    fn refresh<'a>(
        &'a self,
        _: &'a RefreshToken,
        _: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        unreachable!("{ELSEWHERE}")
    }

    fn sign_out<'a>(
        &'a self,
        _: &'a AccessToken,
        _: Option<&'a RefreshToken>,
        _: SignOutScope,
        _: OnBehalf,
    ) -> BoxFuture<'a, Result<(), ExchangeError>> {
        unreachable!("{ELSEWHERE}")
    }

    fn after_unknown(&self) -> AfterUnknown {
        unreachable!("{ELSEWHERE}")
    }

    fn ends_other_sessions(&self) -> bool {
        true
    }
}

impl SignIn for Page {
    fn authorization_url(&self, _: &SignInRequest<'_>) -> Option<String> {
        None
    }

    fn exchange_code<'a>(
        &'a self,
        _: CodeExchange<'a>,
        _: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        unreachable!("nobody is sent there")
    }

    fn sign_out_url(&self, _: &SignOutRequest<'_>) -> Option<String> {
        Some(PAGE.to_owned())
    }
}

#[tokio::test]
async fn the_page_of_the_issuer_is_for_those_who_sign_out_here() {
    let world = World::start().await;
    let (cookie, csrf) = (OpaqueCookie::new(), CsrfLayer::new());
    let options = options().sign_out_at_the_issuer();
    let routes = session_routes(world.sessions.clone(), Page, cookie, csrf, options);
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
