//! Whatever `Cookie` headers say, a session's access token is what a second reading of them finds, and no cookie of the
//! session goes further in.
//!
//! Each line of the input is the value of one header.

#![no_main]

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::{HeaderMap, HeaderValue, Request, Response, header::COOKIE};
use libfuzzer_sys::fuzz_target;
use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};
use tower_bearer::{
    AuthError, BearerLayer, Presented, RegisteredClaims, Source, Verification, Verified, Verify,
};
use tower_http::csrf::CsrfLayer;
use tower_layer::Layer as _;
use tower_service::Service;

const NAME: &str = "sb-abc-auth-token";

fuzz_target!(|input: &[u8]| {
    let mut request = Request::new(());
    for value in input.split(|byte| *byte == b'\n').filter_map(|value| HeaderValue::from_bytes(value).ok()) {
        request.headers_mut().append(COOKIE, value);
    }
    let sent = pairs(request.headers());
    let source = Source::supabase_session("https://abc.supabase.co", CsrfLayer::new()).expect("a name");
    let mut gate = BearerLayer::new(Anyone).also_from(source).layer(Mirror);
    let Poll::Ready(Ok(response)) = pin!(gate.call(request)).poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("everybody answers at once");
    };
    let Some((token, headers)) = response.into_body() else { return };
    let values: Vec<_> = sent.iter().filter(|(name, _)| is_session(name)).map(|(_, value)| value).collect();
    assert!(!values.is_empty(), "out of nothing");
    // The usual form, read again by other means.
    if let [value] = values[..]
        && let Some(encoded) = value.strip_prefix(b"base64-")
        && let Ok(json) = BASE64_URL_SAFE_NO_PAD.decode(encoded)
        // Stricter than the gate about members that the gate skips: depth, halves of characters.
        && let Ok(session) = serde_json::from_slice::<serde_json::Value>(&json)
    {
        assert_eq!(session["access_token"], token);
    }
    assert!(!token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b)));
    let left = pairs(&headers);
    assert!(left.iter().all(|(name, _)| !is_session(name)), "a session went further in");
    assert!(left.iter().all(|cookie| sent.contains(cookie)), "a cookie that was not sent");
});

/// Names and values, read simply.
fn pairs(headers: &HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    let lines = headers.get_all(COOKIE).iter().map(|line| line.as_bytes().to_vec());
    let parts = lines.flat_map(|line| line.split(|b| *b == b';').map(<[u8]>::to_vec).collect::<Vec<_>>());
    parts
        .filter_map(|part| {
            let at = part.iter().position(|b| *b == b'=')?;
            Some((part[..at].trim_ascii().to_vec(), part[at + 1..].trim_ascii().to_vec()))
        })
        .collect()
}

fn is_session(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(NAME.as_bytes()) else { return false };
    match rest {
        [] => true,
        [b'.', b'0'] => true,
        [b'.', b'1'..=b'9', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Accepts every token, as its subject.
#[derive(Clone)]
struct Anyone;

impl Verify for Anyone {
    type Future = Ready<Result<Verified, AuthError>>;

    fn verify(&self, presented: &Presented<'_>) -> Verification {
        let mut claims = RegisteredClaims::default();
        claims.sub = Some(presented.credential.token().into());
        Verification::Done(Ok(Verified::assertion(claims, ())))
    }
}

/// Answers with the token and the headers that came through.
#[derive(Clone)]
struct Mirror;

impl Service<Request<()>> for Mirror {
    type Response = Response<Option<(String, HeaderMap)>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let token = request.extensions().get::<Verified>().and_then(Verified::subject);
        ready(Ok(Response::new(token.map(|token| (token.to_owned(), request.headers().clone())))))
    }
}
