//! Rows for counting instructions, one at a time: `instructions <row>` under callgrind, which collects only
//! within [`measured`]. Counts repeat to a few in a million, whatever else the machine does;
//! `.ci/instructions` compares them with `instructions.txt` beside this file.
//!
//! Tokens are signed with HMAC, so that what is counted is the gate and not a signature.

#![allow(missing_docs, reason = "one entry point for the profiler")]

use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
use http::{Request, Response, header::AUTHORIZATION};
use serde_json::json;
use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};
use tower::{Layer, Service, service_fn};
use tower_bearer::{
    BearerLayer, Issuer, JwtVerifier, RequireLayer, TokenCache,
    policy::{Policy, aal, role},
};

const PROJECT: &str = "https://abcdefghijklmnopqrst.supabase.co";
const SECRET: [u8; 32] = [7; 32];

/// So that what the first calls make does not count.
const CALLS: usize = 100;

fn token() -> TokenBuilder {
    let key = SigningKey::hmac(Alg::HS256, &SECRET);
    TokenBuilder::new(&key, &format!("{PROJECT}/auth/v1"), "authenticated")
        .subject("0b1f3f0e-9d0a-4c8e-8b59-6a4a2f6d2c11")
        // Longer than any run of this, and the same in every run: the numbers of digits are counted too.
        .claim("iat", 1_700_000_000)
        .claim("exp", 4_000_000_000_u64)
        .claims(json!({
            "email": "ada@example.com",
            "phone": "",
            "app_metadata": { "provider": "email", "roles": ["staff", "admin"] },
            "user_metadata": { "email": "ada@example.com", "email_verified": true },
            "role": "authenticated",
            "aal": "aal2",
            "amr": [{ "method": "password", "timestamp": 1_700_000_000 }],
            "session_id": "7d9f9ac6-3a5e-4f53-9d07-d6ed2b9d8f5c",
            "is_anonymous": false,
        }))
}

fn inner(request: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
    drop(request);
    ready(Ok(Response::new(())))
}

/// What is counted.
#[inline(never)]
fn measured(service: &mut dyn FnMut(Request<()>) -> u16, requests: Vec<Request<()>>) -> u16 {
    let mut status = 0;
    for request in requests {
        status = black_box(service(request));
    }
    status
}

fn serve<S: Service<Request<()>, Response = Response<()>>>(service: &mut S, request: Request<()>) -> u16 {
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(Ok(response)) => response.status().as_u16(),
        _ => panic!("nothing here waits or fails"),
    }
}

fn main() {
    // cargo passes `--bench` when it runs all of them: then there is nothing to do.
    let Some(row) = std::env::args().nth(1).filter(|row| !row.starts_with('-')) else { return };
    let issuer = Issuer::supabase(PROJECT).expect("a project").legacy_jwt_secret(SECRET);
    let remembering = JwtVerifier::new([issuer]).expect("an issuer");
    let cold = BearerLayer::new(remembering.clone().cache(&TokenCache::new(0)));
    let repeat = BearerLayer::new(remembering);
    let with = |token: &str| {
        Request::builder().header(AUTHORIZATION, format!("Bearer {token}")).body(()).expect("a request")
    };
    let (good, policy) = (token().sign(), role("admin").at("app_metadata.roles").and(aal("aal2")));
    let (layer, request, expected) = match &*row {
        "cold" => (cold, with(&good), 200),
        "repeat" | "policies" => (repeat, with(&good), 200),
        "expired" => (cold, with(&token().expired().sign()), 401),
        "foreign" => (cold, with(&token().issuer("https://evil.example").sign()), 401),
        "garbage" => (cold, with("garbage"), 401),
        "missing" => (cold, Request::new(()), 401),
        other => panic!("no row {other}"),
    };
    let bare = service_fn(inner);
    let (mut plain, mut guarded) = (layer.layer(bare), layer.layer(RequireLayer::new(policy).layer(bare)));
    let mut service: Box<dyn FnMut(Request<()>) -> u16> = if row == "policies" {
        Box::new(|request| serve(&mut guarded, request))
    } else {
        Box::new(|request| serve(&mut plain, request))
    };
    assert_eq!(service(request.clone()), expected, "{row}");
    assert_eq!(measured(&mut service, vec![request; CALLS]), expected, "{row}");
}
