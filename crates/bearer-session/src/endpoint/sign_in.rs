//! [`SignIn`]: how a user gets a session in the first place, by an authorization code with PKCE.

use super::{ExchangeError, OnBehalf, PkceVerifier, TokenEndpoint};
use crate::{BoxFuture, Secret, TokenSet};
use std::{fmt, sync::Arc};

/// An issuer that signs users in on its own pages, and sends them back with a code (RFC 6749 §4.1, RFC 7636).
///
/// The user comes back to the `redirect_uri` with `code` and `state` in the query, or with `error`, at every
/// issuer. Whoever takes the user back compares `state` with what was kept, and `iss`, where it is there,
/// with [`issuer`](Self::issuer) (RFC 9207), before anything else; and takes no code without `iss` of an issuer
/// that always [gives it](Self::names_itself).
pub trait SignIn: TokenEndpoint {
    /// Where to send the user. `None` when this issuer cannot sign anybody in for such a request.
    fn authorization_url(&self, request: &SignInRequest<'_>) -> Option<String>;

    /// Exchanges the code for the first tokens of a session. A code is good once: no failure of this is worth
    /// a second try, and [`Outcome`](super::Outcome) says of the code what it says of refresh tokens
    /// elsewhere.
    fn exchange_code<'a>(
        &'a self,
        exchange: CodeExchange<'a>,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>>;

    /// Exchanges a user's name, an e-mail address mostly, and password. `None` when this issuer takes them on
    /// its own pages alone, as all do that go by the book (RFC 9700 §2.4).
    fn exchange_password<'a>(
        &'a self,
        user: &'a str,
        password: &'a Secret,
        on_behalf: OnBehalf,
    ) -> Option<BoxFuture<'a, Result<TokenSet, ExchangeError>>> {
        let _ = (user, password, on_behalf);
        None
    }

    /// The issuer's own name, to the letter, where it is known.
    fn issuer(&self) -> Option<&str> {
        None
    }

    /// Which code says why a user came back without a sign-in: the `error` of the query (RFC 6749 §4.1.2.1),
    /// or, at an issuer that says there what it means, the `error_code` beside it.
    fn refusal<'a>(&self, error: &'a str, error_code: Option<&'a str>) -> &'a str {
        let _ = error_code;
        error
    }

    /// Whether the issuer gives its name with every code, so that one without it is another's (RFC 9207 §2.4).
    fn names_itself(&self) -> bool {
        false
    }

    /// Where to send a user who signed out, so that the issuer ends its own session too (OpenID Connect
    /// RP-Initiated Logout 1.0). `None` where the issuer has no such page.
    fn sign_out_url(&self, request: &SignOutRequest<'_>) -> Option<String> {
        let _ = request;
        None
    }
}

/// An endpoint that several share.
impl<E: SignIn + ?Sized> SignIn for Arc<E> {
    fn authorization_url(&self, request: &SignInRequest<'_>) -> Option<String> {
        (**self).authorization_url(request)
    }

    fn exchange_code<'a>(
        &'a self,
        exchange: CodeExchange<'a>,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        (**self).exchange_code(exchange, on_behalf)
    }

    fn exchange_password<'a>(
        &'a self,
        user: &'a str,
        password: &'a Secret,
        on_behalf: OnBehalf,
    ) -> Option<BoxFuture<'a, Result<TokenSet, ExchangeError>>> {
        (**self).exchange_password(user, password, on_behalf)
    }

    fn issuer(&self) -> Option<&str> {
        (**self).issuer()
    }

    fn refusal<'a>(&self, error: &'a str, error_code: Option<&'a str>) -> &'a str {
        (**self).refusal(error, error_code)
    }

    fn names_itself(&self) -> bool {
        (**self).names_itself()
    }

    fn sign_out_url(&self, request: &SignOutRequest<'_>) -> Option<String> {
        (**self).sign_out_url(request)
    }
}

/// What a sign-in begins with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SignInRequest<'a> {
    /// Where the user comes back to: an absolute URL that the issuer was told of.
    pub redirect_uri: &'a str,
    /// Comes back with the user. Random, and bound to the user's browser.
    pub state: &'a str,
    /// [`PkceVerifier::challenge`].
    pub pkce_challenge: &'a str,
    /// Comes back in the ID token. Random, and bound to the user's browser.
    pub nonce: &'a str,
    /// Which of the issuer's own providers to ask, such as `github`: Supabase Auth wants one.
    pub provider: Option<&'a str>,
    /// Scopes, separated by spaces, in place of what the endpoint asks for by default.
    pub scope: Option<&'a str>,
    /// How strong the sign-in is to be: authentication contexts, separated by spaces, the preferred one first
    /// (OpenID Connect Core 1.0 §3.1.2.1).
    pub acr_values: Option<&'a str>,
    /// How long ago the user may have signed in at the issuer, in seconds (the same).
    pub max_age: Option<u32>,
    /// More parameters for the issuer, names and values, such as `login_hint`.
    pub parameters: &'a [(&'a str, &'a str)],
}

/// What a sign-in ends with. It prints nothing: the code is a secret until it is exchanged.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct CodeExchange<'a> {
    /// Of the query that the user came back with.
    pub code: &'a str,
    /// Of the challenge that the user left with.
    pub verifier: &'a PkceVerifier,
    /// As in the [`SignInRequest`].
    pub redirect_uri: &'a str,
    /// As in the [`SignInRequest`].
    pub nonce: &'a str,
}

/// For [`SignIn::sign_out_url`].
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SignOutRequest<'a> {
    /// The session's ID token, which tells the issuer who it is. It goes through the user's browser.
    pub id_token: Option<&'a Secret>,
    /// Where the user comes back to, an absolute URL that the issuer was told of: `post_logout_redirect_uri`.
    pub redirect_uri: Option<&'a str>,
    /// Comes back with the user.
    pub state: Option<&'a str>,
}

impl<'a> SignInRequest<'a> {
    /// A request for no provider in particular and the default scope.
    pub const fn new(redirect_uri: &'a str, state: &'a str, pkce_challenge: &'a str, nonce: &'a str) -> Self {
        let (provider, scope, acr_values, max_age) = (None, None, None, None);
        let parameters = &[];
        Self { redirect_uri, state, pkce_challenge, nonce, provider, scope, acr_values, max_age, parameters }
    }

    /// At this provider of the issuer.
    #[must_use]
    pub const fn provider(mut self, provider: &'a str) -> Self {
        self.provider = Some(provider);
        self
    }

    /// With these scopes, separated by spaces.
    #[must_use]
    pub const fn scope(mut self, scope: &'a str) -> Self {
        self.scope = Some(scope);
        self
    }

    /// As strong, and as recent, as a gate has asked for (RFC 9470 §4). Who asks does not decide: the gate
    /// does, by the next token.
    #[must_use]
    pub const fn step_up(mut self, acr_values: Option<&'a str>, max_age: Option<u32>) -> Self {
        self.acr_values = acr_values;
        self.max_age = max_age;
        self
    }

    /// With more parameters for the issuer, names and values, each of which takes the place of what the
    /// endpoint says by default. What a sign-in sets itself, such as `state`, `scope` or `audience`, is left
    /// out, and so is a name that comes again.
    #[must_use]
    pub const fn parameters(mut self, parameters: &'a [(&'a str, &'a str)]) -> Self {
        self.parameters = parameters;
        self
    }

    /// Of the parameters, those that may go along, each once.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "used by the endpoints"))]
    pub(super) fn free_parameters(&self) -> Vec<(&'a str, &'a str)> {
        let mut free: Vec<(&str, &str)> = Vec::new();
        for (name, value) in self.parameters {
            if is_free(name) && free.iter().all(|(earlier, _)| earlier != name) {
                free.push((name, value));
            }
        }
        free
    }
}

/// Names that a sign-in sets itself, or that decide what comes of it: who asks, what for, for whom and where
/// the answer goes. They are of OAuth 2 (RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2, RFC 9101 §5, RFC 9396
/// §2, RFC 9449 §10), of OpenID Connect (Core 1.0 §3.1.2.1, §5.5, §7.2.1), of Supabase Auth, and of the routes.
const RESERVED: [&str; 31] = [
    "acr_values",
    "audience",
    "authorization_details",
    "claims",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code",
    "code_challenge",
    "code_challenge_method",
    "dpop_jkt",
    "error",
    "invite_token",
    "iss",
    "max_age",
    "nonce",
    "provider",
    "redirect_to",
    "redirect_uri",
    "registration",
    "request",
    "request_uri",
    "resource",
    "response_mode",
    "response_type",
    "return_to",
    "scope",
    "scopes",
    "skip_http_redirect",
    "state",
];

/// Whether this name may be one of [`SignInRequest::parameters`]. In capitals a name is refused too: not
/// every issuer goes by the book.
pub(crate) fn is_free(name: &str) -> bool {
    let is_name_char = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    // A `param-name` (RFC 6749 §8.2).
    let is_name = !name.is_empty() && name.bytes().all(is_name_char);
    is_name && !RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

impl<'a> CodeExchange<'a> {
    /// All four are needed, whether the issuer looks at them or not.
    pub const fn new(
        code: &'a str,
        verifier: &'a PkceVerifier,
        redirect_uri: &'a str,
        nonce: &'a str,
    ) -> Self {
        Self { code, verifier, redirect_uri, nonce }
    }
}

impl<'a> SignOutRequest<'a> {
    /// For the holder of this ID token.
    pub const fn new(id_token: Option<&'a Secret>) -> Self {
        Self { id_token, redirect_uri: None, state: None }
    }

    /// Who is to come back here, with this state.
    #[must_use]
    pub const fn back_to(mut self, redirect_uri: &'a str, state: &'a str) -> Self {
        self.redirect_uri = Some(redirect_uri);
        self.state = Some(state);
        self
    }
}

impl fmt::Debug for CodeExchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeExchange").field("redirect_uri", &self.redirect_uri).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AccessToken, RefreshToken,
        endpoint::{AfterUnknown, Outcome, SignOutScope},
    };
    use std::{future::ready, time::Duration};

    /// Answers each question in a way of its own.
    #[derive(Debug)]
    struct Issuer;

    impl TokenEndpoint for Issuer {
        fn refresh<'a>(
            &'a self,
            _token: &'a RefreshToken,
            _on_behalf: OnBehalf,
        ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
            Box::pin(ready(Ok(TokenSet::new(AccessToken::new("refreshed"), Duration::ZERO))))
        }

        fn sign_out<'a>(
            &'a self,
            _access_token: &'a AccessToken,
            _refresh_token: Option<&'a RefreshToken>,
            _scope: SignOutScope,
            _on_behalf: OnBehalf,
        ) -> BoxFuture<'a, Result<(), ExchangeError>> {
            Box::pin(ready(Err(ExchangeError::new(Outcome::NotSpent))))
        }

        fn after_unknown(&self) -> AfterUnknown {
            AfterUnknown::PresentAgain
        }

        fn ends_other_sessions(&self) -> bool {
            false
        }
    }

    impl SignIn for Issuer {
        fn authorization_url(&self, request: &SignInRequest<'_>) -> Option<String> {
            Some(request.state.to_owned())
        }

        fn exchange_code<'a>(
            &'a self,
            exchange: CodeExchange<'a>,
            _on_behalf: OnBehalf,
        ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
            Box::pin(ready(Ok(TokenSet::new(AccessToken::new(exchange.code), Duration::ZERO))))
        }

        fn exchange_password<'a>(
            &'a self,
            user: &'a str,
            _password: &'a Secret,
            _on_behalf: OnBehalf,
        ) -> Option<BoxFuture<'a, Result<TokenSet, ExchangeError>>> {
            Some(Box::pin(ready(Ok(TokenSet::new(AccessToken::new(user), Duration::ZERO)))))
        }

        fn issuer(&self) -> Option<&str> {
            Some("issuer")
        }

        fn refusal<'a>(&self, error: &'a str, error_code: Option<&'a str>) -> &'a str {
            error_code.unwrap_or(error)
        }

        fn names_itself(&self) -> bool {
            true
        }

        fn sign_out_url(&self, request: &SignOutRequest<'_>) -> Option<String> {
            request.state.map(str::to_owned)
        }
    }

    /// By its own implementation, not by that of what is in it.
    async fn ask<E: SignIn>(shared: &E) {
        let (behalf, verifier) = (OnBehalf::default(), PkceVerifier::generate());
        let (access, refresh) = (AccessToken::new("a"), RefreshToken::new("r"));
        let refreshed = shared.refresh(&refresh, behalf).await.expect("tokens");
        assert_eq!(refreshed.access_token.expose(), "refreshed");
        let told = shared.sign_out(&access, None, SignOutScope::Local, behalf).await;
        assert_eq!(told.expect_err("a failure").outcome(), Outcome::NotSpent);
        assert_eq!(shared.after_unknown(), AfterUnknown::PresentAgain);
        assert!(!shared.ends_other_sessions());
        let request = SignInRequest::new("https://app.example/back", "the-state", "c", "n");
        assert_eq!(shared.authorization_url(&request).as_deref(), Some("the-state"));
        let exchange = CodeExchange::new("the-code", &verifier, "https://app.example/back", "n");
        let signed_in = shared.exchange_code(exchange, behalf).await.expect("tokens");
        assert_eq!(signed_in.access_token.expose(), "the-code");
        let password = Secret::new("p");
        let signed_in = shared.exchange_password("ada", &password, behalf).expect("it has passwords");
        assert_eq!(signed_in.await.expect("tokens").access_token.expose(), "ada");
        assert_eq!((shared.issuer(), shared.names_itself()), (Some("issuer"), true));
        assert_eq!(shared.refusal("e", Some("c")), "c");
        let request = SignOutRequest::default().back_to("https://app.example/", "back");
        assert_eq!(shared.sign_out_url(&request).as_deref(), Some("back"));
    }

    #[tokio::test]
    async fn a_shared_endpoint_answers_as_it_does_alone() {
        let shared: Arc<dyn SignIn> = Arc::new(Issuer);
        ask(&shared).await;
    }

    #[test]
    fn no_code_is_printed() {
        let verifier = PkceVerifier::generate();
        let exchange = CodeExchange::new("the-code", &verifier, "https://app.example/back", "the-nonce");
        let printed = format!("{exchange:?}");
        assert!(!printed.contains("the-"), "{printed}");
    }
}
