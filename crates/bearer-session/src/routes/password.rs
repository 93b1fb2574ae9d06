//! Sign-in with a password, where the issuer takes it from others.

use super::{
    RouteState, Shared,
    answer::{Failure, empty, json, see_other},
    body::{self, Kind},
    form::Form,
    log::{self, Grant},
    session::Shown,
};
use crate::{Secret, labels::Labels};
use axum::{
    extract::{Request, State},
    http::{StatusCode, request::Parts},
    response::Response,
};
use serde::Deserialize;
use zeroize::Zeroizing;

#[derive(Deserialize)]
struct Credentials {
    email: String,
    password: Box<str>,
    return_to: Option<String>,
}

pub(super) async fn sign_in(State(shared): Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(kind) = Kind::of(&parts.headers) else { return empty(StatusCode::UNSUPPORTED_MEDIA_TYPE) };
    let Some(body) = body::read(body).await else { return empty(StatusCode::PAYLOAD_TOO_LARGE) };
    let Some(credentials) = Credentials::read(kind, &body) else {
        let failure = Failure::bad_request("invalid_request");
        let return_to = shared.return_to(return_to_of(kind, &body).as_deref());
        return shared.failed(&parts.headers, &failure, Some(return_to.as_str()));
    };
    let return_to = shared.return_to(credentials.return_to.as_deref());
    match shared.sign_in_with(&parts, kind, credentials, return_to.as_str()).await {
        Ok(response) => response,
        Err(failure) => shared.failed(&parts.headers, &failure, Some(return_to.as_str())),
    }
}

impl RouteState {
    async fn sign_in_with(
        &self,
        request: &Parts,
        kind: Kind,
        credentials: Credentials,
        return_to: &str,
    ) -> Result<Response, Failure> {
        let on_behalf = self.on_behalf(request);
        let password = Secret::new(credentials.password);
        let exchange = self.sign_in.exchange_password(&credentials.email, &password, on_behalf);
        let exchange = exchange.ok_or_else(|| Failure::new(StatusCode::NOT_FOUND, "not_found"))?;
        let exchanged = exchange.await.inspect_err(|error| log::refused(error, Grant::Password));
        let tokens = exchanged.map_err(|error| Failure::exchange(&error))?;
        let mut response = match kind {
            Kind::Form => see_other(return_to),
            Kind::Json => {
                let labels = Labels::of(tokens.access_token.expose());
                json(StatusCode::OK, &Shown::of_tokens(&labels, tokens.expires_in))
            }
        };
        self.begin(request, tokens, on_behalf, &mut response).await?;
        Ok(response)
    }
}

/// Where the user goes on to from a form of which nothing else can be read. A script goes nowhere.
fn return_to_of(kind: Kind, body: &[u8]) -> Option<String> {
    match kind {
        Kind::Json => None,
        Kind::Form => Form::parse(body).one("return_to").ok()?.map(str::to_owned),
    }
}

impl Credentials {
    fn read(kind: Kind, body: &[u8]) -> Option<Self> {
        match kind {
            Kind::Json => body::of_json(body),
            Kind::Form => {
                let form = Form::parse(body);
                let password = Zeroizing::new(form.one("password").ok()??.to_owned());
                Some(Self {
                    email: form.one("email").ok()??.to_owned(),
                    password: password.as_str().into(),
                    return_to: form.one("return_to").ok()?.map(str::to_owned),
                })
            }
        }
    }
}
