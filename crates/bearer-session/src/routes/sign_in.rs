//! Sign-in at the issuer, and the way back.

use super::{
    RouteState, Shared,
    answer::{Failure, add_cookies, see_other, to_the_issuer},
    form::{Form, Repeated},
    log::{self, Grant},
    pending::{Pending, PendingCookies},
    rounds::Rounds,
};
use crate::endpoint::{CodeExchange, SignInRequest};
use axum::{
    extract::{Request, State},
    http::{StatusCode, request::Parts},
    response::Response,
};
use std::time::SystemTime;
use tokio::time::Instant;

pub(super) async fn begin(State(shared): Shared, request: Request) -> Response {
    let headers = request.headers();
    let query = Form::parse(request.uri().query().unwrap_or_default().as_bytes());
    let wish = Wish::read(&query, &shared.options.passed_on);
    let Some(Wish { return_to, provider, acr_values, max_age, passed_on }) = wish else {
        return shared.failed(headers, &Failure::bad_request("invalid_request"), None);
    };
    let return_to = shared.return_to(return_to);
    if shared.rounds().are_too_many(headers) {
        if let Some(others) = shared.sign_in_loops.is_time(Instant::now()) {
            log::sign_in_loop(others);
        }
        // Nothing that comes of the same request again would help; and it takes no more than a cookie to get
        // here, which is not to look like a fault of the server (RFC 9110 §15.5.4).
        let failure = Failure::new(StatusCode::FORBIDDEN, "sign_in_loop");
        return shared.failed(headers, &failure, Some(return_to.as_str()));
    }
    if let (None, Some(page)) = (provider, &shared.options.page) {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("return_to", return_to.as_str());
        if let Some(values) = acr_values {
            query.append_pair("acr_values", values);
        }
        if let Some(max_age) = max_age {
            query.append_pair("max_age", &max_age.to_string());
        }
        query.extend_pairs(passed_on);
        return see_other(&format!("{page}?{}", query.finish()));
    }
    let pending = Pending::new(return_to);
    let challenge = pending.verifier.challenge();
    let (state, nonce) = (pending.state.expose(), pending.nonce.expose());
    let mut asked = SignInRequest::new(&shared.options.callback, state, &challenge, nonce);
    asked = asked.step_up(acr_values, max_age).parameters(&passed_on);
    if let Some(provider) = provider {
        asked = asked.provider(provider);
    }
    let Some(url) = shared.sign_in.authorization_url(&asked) else {
        if provider.is_none() {
            // Not the user's mistake but the set-up's, which is the same for all who come: once is enough.
            shared.missed_provider.call_once(log::no_provider);
        }
        return shared.failed(headers, &Failure::bad_request("unknown_provider"), None);
    };
    let mut response = to_the_issuer(&url);
    add_cookies(&mut response, shared.pending().keep(&pending, headers, SystemTime::now()));
    response
}

/// What a sign-in is asked for.
struct Wish<'a> {
    return_to: Option<&'a str>,
    provider: Option<&'a str>,
    acr_values: Option<&'a str>,
    max_age: Option<u32>,
    passed_on: Vec<(&'a str, &'a str)>,
}

/// The longest value that is passed on, in bytes.
const LONGEST: usize = 512;

impl<'a> Wish<'a> {
    /// `None` where something stands there twice, is too long, or is no number where one belongs.
    fn read(query: &'a Form<'_>, names: &'a [Box<str>]) -> Option<Self> {
        let text = |name| Some(query.one(name).ok()?.filter(|text| !text.is_empty()));
        let max_age = text("max_age")?.map(str::parse).transpose().ok()?;
        let (provider, acr_values) = (text("provider")?, text("acr_values")?);
        let mut passed_on = Vec::new();
        for name in names {
            match text(name)? {
                Some(value) if value.len() > LONGEST => return None,
                value => passed_on.extend(value.map(|value| (&**name, value))),
            }
        }
        Some(Self { return_to: query.one("return_to").ok()?, provider, acr_values, max_age, passed_on })
    }
}

pub(super) async fn callback(State(shared): Shared, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let headers = &parts.headers;
    let query = Form::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let returned = match Returned::read(&query) {
        Ok(Some(returned)) => returned,
        Ok(None) | Err(Repeated) => {
            return shared.failed(headers, &Failure::bad_request("invalid_request"), None);
        }
    };
    // The browser that began it, and no other: otherwise somebody could sign a user in as themselves.
    let Some(pending) = shared.pending().find(returned.state, headers, SystemTime::now()) else {
        if let Some(others) = shared.unknown_sign_ins.is_time(Instant::now()) {
            log::unknown_sign_in(shared.pending().are_in(headers), &shared.options.callback, others);
        }
        return shared.failed(headers, &Failure::bad_request("unknown_sign_in"), None);
    };
    let mut response = match shared.come_back(&parts, &pending, &returned).await {
        Ok(response) => response,
        Err(failure) => shared.failed(headers, &failure, Some(pending.return_to.as_str())),
    };
    add_cookies(&mut response, [shared.pending().forget(returned.state)]);
    response
}

/// What a user brings back.
struct Returned<'a> {
    state: &'a str,
    issuer: Option<&'a str>,
    outcome: Result<&'a str, Refusal<'a>>,
}

#[derive(Clone, Copy)]
struct Refusal<'a> {
    error: &'a str,
    error_code: Option<&'a str>,
}

impl<'a> Returned<'a> {
    /// `None` where there is no state, or neither a code nor an error, or both.
    fn read(query: &'a Form<'_>) -> Result<Option<Self>, Repeated> {
        let (state, issuer) = (query.one("state")?, query.one("iss")?);
        let outcome = match (query.one("code")?, query.one("error")?) {
            (Some(code), None) => Ok(code),
            (None, Some(error)) => {
                // Of most issuers it is nothing at all, twice or not.
                Err(Refusal { error, error_code: query.one("error_code").unwrap_or_default() })
            }
            _ => return Ok(None),
        };
        Ok(state.map(|state| Self { state, issuer, outcome }))
    }
}

impl RouteState {
    fn pending(&self) -> PendingCookies<'_> {
        PendingCookies::new(&self.sessions, self.options.is_secure)
    }

    pub(super) fn rounds(&self) -> Rounds {
        Rounds { is_secure: self.options.is_secure }
    }

    async fn come_back(
        &self,
        request: &Parts,
        pending: &Pending,
        returned: &Returned<'_>,
    ) -> Result<Response, Failure> {
        // An answer of another issuer that was made to look like this one's (RFC 9207 §2.4).
        if let (Some(theirs), Some(ours)) = (returned.issuer, self.sign_in.issuer())
            && theirs != ours
        {
            log::another_issuer();
            return Err(Failure::bad_request("unknown_issuer"));
        }
        let code = match returned.outcome {
            Ok(code) => code,
            Err(Refusal { error, error_code }) => {
                let error = self.sign_in.refusal(error, error_code);
                log::reported(error);
                return Err(Failure::reported(error));
            }
        };
        // Not so of an error, with which nothing begins: some issuers leave their name out there.
        if returned.issuer.is_none() && self.sign_in.names_itself() {
            log::no_issuer();
            return Err(Failure::bad_request("unknown_issuer"));
        }
        let nonce = pending.nonce.expose();
        let exchange = CodeExchange::new(code, &pending.verifier, &self.options.callback, nonce);
        let on_behalf = self.on_behalf(request);
        let exchanged = self.sign_in.exchange_code(exchange, on_behalf).await;
        let exchanged = exchanged.inspect_err(|error| log::refused(error, Grant::Code));
        let tokens = exchanged.map_err(|error| Failure::exchange(&error))?;
        let mut response = see_other(pending.return_to.as_str());
        self.begin(request, tokens, on_behalf, &mut response).await?;
        add_cookies(&mut response, [self.rounds().one_more(&request.headers)]);
        Ok(response)
    }
}
