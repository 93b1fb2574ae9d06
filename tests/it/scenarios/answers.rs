//! What refusals say, where the gate was told to say more.

use super::{
    outcome::{EXPIRED, FORBIDDEN, INVALID, MALFORMED, MISSING, Outcome, PASSES, UNAVAILABLE, refused},
    row::{Ask, authorization, bearer, get, row},
    servers::{PATH, Servers, by},
};
use crate::support::{
    client::Version,
    frames::{END_STREAM, Frames, HEADERS},
    keys::{AUD, ISS, gate, issuer, token},
};
use axum_bearer::{BearerLayer, JwtVerifier, Verify as _};
use http::Response;
use std::future::ready;
use tower_bearer::{
    AuthError, ProblemDetails, ProtectedResource, Rejection, Verified,
    policy::{aal, authenticated, deny, scope},
    revocation::{CannotTell, WhenUnsure},
};

#[tokio::test]
async fn rs_154_168_a_refused_call_is_one_frame_whoever_refuses_it() {
    let servers = Servers::start(gate(issuer()), by(scope("write"))).await;
    let good = format!("Bearer {}", token().sign());
    for (framework, address) in &servers.all {
        for line in ["Bearer x", &good] {
            let mut frames = Frames::connect(*address).await;
            let headers = [("content-type", "application/grpc"), ("te", "trailers"), ("authorization", line)];
            frames.post(PATH, &headers).await;
            let answer = frames.next().await;
            assert_eq!((answer.kind, answer.flags & END_STREAM), (HEADERS, END_STREAM), "{framework}");
        }
    }
}

const BAD_SIGNATURE: Outcome = refused(
    401,
    &[
        r#"Bearer realm="https://api.example", error="invalid_token", error_description="the signature does not verify""#,
    ],
    16,
);

const PAST_EXPIRY: Outcome = refused(
    401,
    &[r#"Bearer realm="https://api.example", error="invalid_token", error_description="exp has passed""#],
    16,
);

const OTHER_SCOPE: Outcome = refused(
    403,
    &[concat!(
        r#"Bearer realm="https://api.example", error="insufficient_scope", "#,
        r#"error_description="the scopes do not cover the route", scope="write""#
    )],
    7,
);

#[tokio::test]
async fn rs_168_details_are_told_alike_everywhere() {
    let servers = Servers::start(gate(issuer()).detailed_errors(), by(scope("write"))).await;
    servers
        .hold([
            row("tampered with", bearer(token().tampered()), BAD_SIGNATURE),
            row("expired", bearer(token().expired().sign()), PAST_EXPIRY),
            row("another scope", bearer(token().sign()), OTHER_SCOPE),
            row("no token", get(), MISSING),
        ])
        .await;
}

const QUOTED: Outcome = refused(401, &[r#"Bearer realm="the \"a\\b\" API, v2""#], 16);

const QUOTED_FORBIDDEN: Outcome = refused(403, QUOTED_LINES, 7);

const QUOTED_LINES: &[&str] = &[r#"Bearer realm="the \"a\\b\" API, v2""#];

#[tokio::test]
async fn rs_026_168_a_realm_is_quoted_everywhere() {
    let gate = gate(issuer()).realm(r#"the "a\b" API, v2"#).unwrap();
    let servers = Servers::start(gate, by(deny())).await;
    servers
        .hold([
            row("from the gate", get(), QUOTED),
            row("from the policy", bearer(token().sign()), QUOTED_FORBIDDEN),
        ])
        .await;
}

const THREE_LINES: Outcome = refused(
    401,
    &[
        r#"Bearer realm="https://api.example""#,
        r#"DPoP algs="ES256 EdDSA""#,
        r#"Basic realm="a, \"b\"", charset="UTF-8""#,
    ],
    16,
);

const THREE_LINES_FOR_A_BAD_TOKEN: Outcome = refused(
    401,
    &[
        r#"Bearer realm="https://api.example", error="invalid_token", error_description="the access token is invalid""#,
        r#"DPoP algs="ES256 EdDSA""#,
        r#"Basic realm="a, \"b\"", charset="UTF-8""#,
    ],
    16,
);

const WEAK: Outcome = refused(
    401,
    &[concat!(
        r#"Bearer realm="https://api.example", error="insufficient_user_authentication", "#,
        r#"error_description="a stronger or more recent sign-in is required", acr_values="aal2""#
    )],
    16,
);

#[tokio::test]
async fn rs_031_159_168_other_schemes_have_lines_of_their_own_everywhere() {
    let gate = gate(issuer())
        .also_challenge("DPoP", &[("algs", "ES256 EdDSA")])
        .unwrap()
        .also_challenge("Basic", &[("realm", r#"a, "b""#), ("charset", "UTF-8")])
        .unwrap();
    let servers = Servers::start(gate.clone(), by(deny())).await;
    servers
        .hold([
            row("no token", get(), THREE_LINES),
            row("a bad token", bearer("x"), THREE_LINES_FOR_A_BAD_TOKEN),
            row("a malformed one", authorization("Bearer"), MALFORMED),
            row("a good one that may not", bearer(token().sign()), FORBIDDEN),
        ])
        .await;
    let stepping_up = Servers::start(gate, by(aal("aal2"))).await;
    stepping_up
        .hold([
            row("a weak sign-in", bearer(token().sign()), WEAK),
            row("no token, before a step-up", get(), THREE_LINES),
        ])
        .await;
}

macro_rules! pointed {
    ($error:literal, $scope:literal) => {
        concat!(
            "Bearer realm=\"https://api.example\"",
            $error,
            ", resource_metadata=\"https://api.example/.well-known/oauth-protected-resource\"",
            $scope,
        )
    };
}

const WHERE_TO_BEGIN: Outcome = refused(401, &[pointed!("", ", scope=\"read\"")], 16);

const WHERE_TO_BEGIN_AGAIN: Outcome = refused(
    401,
    &[pointed!(
        ", error=\"invalid_token\", error_description=\"the access token is invalid\"",
        ", scope=\"read\""
    )],
    16,
);

const WHERE_TO_GO_ON: Outcome = refused(
    403,
    &[pointed!(
        ", error=\"insufficient_scope\", error_description=\"the access token does not have the scope that is needed\"",
        ", scope=\"write\""
    )],
    7,
);

const BY_THE_WAY: Outcome = refused(
    400,
    &[pointed!(", error=\"invalid_request\", error_description=\"the credential is malformed\"", "")],
    16,
);

#[tokio::test]
async fn rs_114_115_168_challenges_name_the_metadata_everywhere() {
    let resource = ProtectedResource::new(AUD, [ISS]).unwrap().challenge_scopes(["read"]).unwrap();
    let servers = Servers::start(gate(issuer()).resource_metadata(&resource), by(scope("write"))).await;
    servers
        .hold([
            row("no token", get(), WHERE_TO_BEGIN),
            row("a bad token", bearer("x"), WHERE_TO_BEGIN_AGAIN),
            row("another scope", bearer(token().scope("read").sign()), WHERE_TO_GO_ON),
            row("a malformed token", authorization("Bearer"), BY_THE_WAY),
            row("a good token", bearer(token().scope("write").sign()), PASSES),
        ])
        .await;
}

const SIGN_IN: Outcome = Outcome::sent_to("/sign-in?return_to=/test.Echo/Call%3Fpage%3D2");

#[tokio::test]
async fn rs_156_168_only_a_page_that_somebody_opens_is_sent_to_sign_in() {
    let page = |ask: Ask| ask.query("page=2").with("accept", "text/html").with("sec-fetch-mode", "navigate");
    let servers = Servers::start(gate(issuer()).sign_in_page("/sign-in").unwrap(), by(deny())).await;
    servers
        .hold([
            row("a page", page(get()), SIGN_IN).but_grpc(MISSING),
            row("a page, asked for its head", page(get().method("HEAD")), SIGN_IN).but_grpc(MISSING),
            row("a page, expired", page(bearer(token().expired().sign())), SIGN_IN).but_grpc(EXPIRED),
            row("a form", page(get().method("POST")), MISSING),
            row("a page, malformed", page(authorization("Bearer")), MALFORMED),
            row("a page that may not be seen", page(bearer(token().sign())), FORBIDDEN),
            row("a script", get().with("accept", "application/json"), MISSING),
            row(
                "a script with a bad token",
                bearer("x").with("accept", "text/html").with("sec-fetch-mode", "cors"),
                INVALID,
            ),
        ])
        .await;
    let down = |_: &Verified| ready(Err(CannotTell::new("down")));
    let verifier = JwtVerifier::new([issuer()]).unwrap().revocable(down, WhenUnsure::Refuse);
    let gate = BearerLayer::new(verifier).sign_in_page("/sign-in").unwrap();
    let servers = Servers::start(gate, by(authenticated())).await;
    servers.hold([row("an outage", page(bearer(token().sign())), UNAVAILABLE)]).await;
}

const NO_TOKEN: &str = r#"{"title":"Unauthorized","status":401,"detail":"an access token is required"}"#;

const BAD_TOKEN: &str =
    r#"{"title":"Unauthorized","status":401,"detail":"the access token is invalid","error":"invalid_token"}"#;

const NO_SCOPE: &str = concat!(
    r#"{"title":"Forbidden","status":403,"detail":"the access token does not have the scope that is needed","#,
    r#""error":"insufficient_scope","scope":"write"}"#
);

/// Where bodies can be made of text; tonic's cannot.
#[tokio::test]
async fn rs_034_168_bodies_are_rendered_alike_and_not_sent_for_head() {
    let gate = gate(issuer()).rejection(ProblemDetails::new());
    let servers = Servers::with_bodies(gate, by(scope("write"))).await;
    let (good, bad) = (format!("Bearer {}", token().sign()), "Bearer x".to_owned());
    for (framework, address) in &servers.all {
        for version in Version::ALL {
            for (method, line, status, body) in [
                ("GET", None, 401, NO_TOKEN),
                ("HEAD", None, 401, NO_TOKEN),
                ("GET", Some(&bad), 401, BAD_TOKEN),
                ("HEAD", Some(&bad), 401, BAD_TOKEN),
                ("POST", Some(&good), 403, NO_SCOPE),
                ("HEAD", Some(&good), 403, NO_SCOPE),
            ] {
                let name = format!("{framework}, {version:?}: {method}, {status}");
                let headers: Vec<_> = line.iter().map(|line| ("authorization", line.as_bytes())).collect();
                let answer = version.ask(*address, method, PATH, &headers).await;
                let sent = if method == "HEAD" { "" } else { body };
                assert_eq!((answer.status, &*answer.body), (status, sent), "{name}");
                assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{name}");
                assert_eq!(answer.header("content-length"), Some(&*body.len().to_string()), "{name}");
                assert_eq!(answer.challenge().unwrap().scheme, "Bearer", "{name}");
            }
        }
    }
}

/// A renderer that does not think of HEAD.
#[tokio::test]
async fn rs_034_a_body_of_the_applications_own_breaks_no_stream_of_a_head() {
    #[derive(Clone, Copy)]
    struct Own;
    impl<B: From<String>> Rejection<B> for Own {
        fn render(&self, _: &AuthError, answer: Response<()>) -> Response<B> {
            answer.map(|()| "a body".to_owned().into())
        }
    }
    let servers = Servers::with_bodies(gate(issuer()).rejection(Own), by(deny())).await;
    let good = format!("Bearer {}", token().sign());
    for (framework, address) in &servers.all {
        for (version, method, body) in [
            (Version::Http11, "GET", "a body"),
            (Version::Http11, "HEAD", ""),
            (Version::Http2, "GET", "a body"),
            (Version::Http2, "HEAD", ""),
        ] {
            for (line, status) in [("Bearer x", 401), (&*good, 403)] {
                let answer = version.ask(*address, method, PATH, &[("authorization", line.as_bytes())]).await;
                let name = format!("{framework}, {version:?}: {method}");
                assert_eq!((answer.status, &*answer.body), (status, body), "{name}");
            }
        }
    }
}
