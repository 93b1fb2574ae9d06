//! RS-013 to RS-035: refusals and challenges.

use crate::support::{
    answer::Answer,
    app::{app, ask, bearer, guarded, reached, request, usual},
    forge::with_payload,
    keys::{AUD, ISS, es256, gate, issuer, jwks, token, token_by},
    server::Server,
};
use axum::{Router, body::Body, response::IntoResponse, routing::get};
use axum_bearer::{AuthUser, Issuer, JwtVerifier, RegisteredClaims};
use bearer_testing::{Algorithm, SigningKey};
use http::StatusCode;
use proptest::prelude::*;
use serde_json::json;
use std::{
    panic::catch_unwind,
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tower_bearer::{
    AuthError, AuthErrorKind, BearerLayer, Presented, ProblemDetails, Reason, RequireLayer, Verification,
    Verified, Verify,
    keys::{KeySet, channel},
    policy::{scope, scopes_all},
};

/// One app for each way to be refused; every path asks for a scope, too.
fn every_kind_of_app() -> Vec<(&'static str, Router)> {
    async fn me(_: AuthUser<RegisteredClaims>) {}
    let policy = || RequireLayer::new(scope("write"));
    vec![
        ("the gate", usual()),
        ("a policy inside", guarded(scope("write"))),
        ("an anonymous caller before a policy", {
            Router::new().fallback(reached).layer(policy()).layer(gate(issuer()).allow_anonymous())
        }),
        ("an anonymous caller before an extractor", {
            Router::new().route("/", get(me)).layer(gate(issuer()).allow_anonymous())
        }),
        ("an extractor inside", Router::new().route("/", get(me)).layer(gate(issuer()))),
        ("a body of our own", {
            app(gate(issuer()).rejection(|error: &AuthError, answer: http::Response<()>| {
                answer.map(|()| Body::from(format!("{{\"why\":\"{error}\"}}")))
            }))
        }),
        ("a body for problems", app(gate(issuer()).rejection(ProblemDetails::new()))),
        ("an answer of our own that forgot the challenge", {
            app(gate(issuer()).rejection(|_: &AuthError, answer: http::Response<()>| {
                (answer.status(), "refused").into_response()
            }))
        }),
        ("a verifier that takes its time", app(BearerLayer::new(Late))),
        ("a policy that is a closure", {
            guarded(|_: &Verified| Err::<(), _>(AuthError::invalid_token("revoked")))
        }),
    ]
}

/// Refuses everything, but not at once.
#[derive(Clone)]
struct Late;

impl Verify for Late {
    type Future = Pin<Box<dyn Future<Output = Result<Verified, AuthError>> + Send>>;

    fn verify(&self, _: &Presented<'_>) -> Verification<Self::Future> {
        Verification::Pending(Box::pin(async {
            tokio::task::yield_now().await;
            Err(AuthError::invalid_token("too late"))
        }))
    }
}

#[tokio::test]
async fn rs_013_014_016_without_a_credential_the_challenge_has_a_parameter_and_no_error() {
    let answer = ask(&usual(), request([])).await;
    answer.assert_missing("no header");
    let challenge = answer.challenge().unwrap();
    assert_eq!(challenge.param("realm").as_deref(), Some(AUD), "the realm that nobody chose is the audience");
    assert_eq!(challenge.names().collect::<Vec<_>>(), ["realm"]);
    // A verifier that names no realm has a parameter all the same.
    let answer = ask(&app(BearerLayer::new(Late)), request([])).await;
    assert_eq!(answer.challenge().unwrap().names().collect::<Vec<_>>(), ["realm"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rs_015_every_401_has_one_challenge_whoever_made_it(
        lines in proptest::collection::vec("(Bearer|bearer|Basic|)[ -~]{0,24}|Bearer [a-z]{1,5}[.][a-z]{1,5}[.][a-z]{1,5}", 0..3),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (name, app) in every_kind_of_app() {
            let answer = runtime.block_on(ask(&app, request(lines.iter().map(String::as_bytes))));
            prop_assert!(!answer.reached() || name.contains("anonymous"), "{name}");
            prop_assert!(matches!(answer.status, 200 | 400 | 401), "{name}: {answer:?}");
            // The reader panics where the grammar is broken.
            prop_assert_eq!(answer.challenge().is_some(), answer.status != 200, "{}: {:?}", name, answer);
        }
    }
}

#[tokio::test]
async fn rs_015_a_good_token_that_is_refused_further_in_is_challenged_too() {
    let mut refused = 0;
    for (name, app) in every_kind_of_app() {
        let answer = bearer(&app, &token().sign()).await;
        assert_eq!(answer.challenge().is_some(), answer.status != 200, "{name}: {answer:?}");
        refused += usize::from(answer.status != 200);
    }
    assert_eq!(refused, 4, "two scopes, one late verifier, one closure");
}

#[tokio::test]
async fn rs_017_every_fault_of_a_token_is_401_invalid_token() {
    let app = usual();
    let stranger = SigningKey::generate(Algorithm::ES256);
    let table = [
        ("expired", token().expired().sign(), Reason::Expired),
        ("not yet valid", token().claim("nbf", 4_000_000_000_u64).sign(), Reason::NotYetValid),
        ("from the future", token().claim("iat", 4_000_000_000_u64).sign(), Reason::IssuedInTheFuture),
        ("another audience", token().audience("https://other.example").sign(), Reason::Audience),
        ("another issuer", token().issuer("https://evil.example").sign(), Reason::UnknownIssuer),
        ("tampered", token().tampered(), Reason::Signature),
        ("unsigned", token().unsigned(), Reason::NotAJwt),
        ("a stranger's key", token_by(&stranger).sign(), Reason::UnknownKey),
        ("a stranger's key under our kid", token_by(&stranger.kid("es256")).sign(), Reason::Signature),
        ("no JWT", "opaque".to_owned(), Reason::NotAJwt),
        ("an API key", "sb_publishable_x".to_owned(), Reason::ApiKey),
        ("a JWE", "a.b.c.d.e".to_owned(), Reason::Encrypted),
        ("bound to a key", token().claim("cnf", json!({ "jkt": "x" })).sign(), Reason::KeyBound),
        ("an ID token", token().claim("at_hash", "x").sign(), Reason::NotAnAccessToken),
    ];
    for (name, token, reason) in table {
        bearer(&app, &token).await.assert_invalid(name, reason);
    }
}

#[tokio::test]
async fn rs_018_a_malformed_request_is_400_invalid_request() {
    let app = usual();
    ask(&app, request([&b"Bearer"[..]])).await.assert_malformed("no token");
    ask(&app, request([&b"Bearer a b"[..]])).await.assert_malformed("two words");
    ask(&app, request([&b"Bearer a"[..], b"Bearer b"])).await.assert_malformed("two headers");
}

#[tokio::test]
async fn rs_019_020_021_too_little_scope_is_403_with_a_challenge_that_names_what_is_needed() {
    let app = guarded(scopes_all(["orders:read", "orders:write"]));
    let answer = bearer(&app, &token().scope("orders:read").sign()).await;
    answer.assert_insufficient("one of two");
    let challenge = answer.challenge().unwrap();
    assert_eq!(challenge.param("scope").as_deref(), Some("orders:read orders:write"));
    assert_eq!(challenge.param("realm").as_deref(), Some(AUD), "under the gate's realm");
    bearer(&app, &token().scope("orders:write orders:read").sign()).await.assert_passed("both");
}

/// Every refusal that a client can bring about, by hostile tokens among others.
async fn refusals() -> Vec<Answer> {
    let (usual, guarded) = (usual(), guarded(scope("write")));
    let mut answers = Vec::new();
    for lines in [&[][..], &["Basic x"], &["Bearer"], &["Bearer a b"], &["Bearer a", "Bearer b"]] {
        answers.push(ask(&usual, request(lines.iter().map(|line| line.as_bytes()))).await);
    }
    let long = "x".repeat(20_000);
    let hostile = "x\", error=\"none\r\nSet-Cookie: a=b\u{e9}\u{1b}[31m";
    for token in [
        "opaque".to_owned(),
        long,
        token().expired().sign(),
        token().tampered(),
        token().issuer(hostile).sign(),
        token().audience(hostile).sign(),
        token().subject(hostile).claim("at_hash", hostile).sign(),
        token().header("kid", hostile).sign(),
        token().header("typ", hostile).sign(),
        token().header("alg", hostile).sign(),
        token().claim(hostile, hostile).claim("iat", hostile).sign(),
        token().scope(hostile).sign(),
    ] {
        answers.push(bearer(&usual, &token).await);
        answers.push(bearer(&guarded, &token).await);
    }
    answers.retain(|answer| !answer.reached());
    answers
}

#[tokio::test]
async fn rs_022_024_025_027_challenges_have_known_codes_and_parameters_once_and_echo_nothing() {
    let answers = refusals().await;
    assert_eq!(answers.len(), 28);
    for answer in answers {
        // The reader refuses repetition, unknown parameters (`error_uri` among them) and foreign characters.
        let challenge = answer.challenge().unwrap();
        let code = challenge.param("error");
        let known = ["invalid_request", "invalid_token", "insufficient_scope"];
        assert!(code.as_deref().is_none_or(|code| known.contains(&code)), "{code:?}");
        let text = format!("{:?}{}", answer.headers, answer.body);
        for echo in ["Set-Cookie", "none", "evil", "31m", "\u{e9}"] {
            assert!(!text.contains(echo), "{echo:?} came back: {text}");
        }
    }
}

#[test]
fn rs_023_a_required_scope_that_is_none_cannot_be_configured() {
    for bad in ["", " ", "a b", "a\"b", "a\\b", "a\tb", "a\n", "\u{e9}", "a\u{7f}", "\u{a0}"] {
        assert!(catch_unwind(|| RequireLayer::new(scope(bad))).is_err(), "{bad:?}");
    }
    assert!(catch_unwind(|| RequireLayer::new(scope("!#[]~"))).is_ok());
}

#[tokio::test]
async fn rs_026_a_realm_is_quoted_so_that_a_client_reads_what_was_written() {
    for realm in [r#"a"b\c"#, "\\", "\"", "a, error=\"x\"", " a\tb "] {
        let answer = ask(&app(gate(issuer()).realm(realm).unwrap()), request([])).await;
        assert_eq!(answer.challenge().unwrap().param("realm").as_deref(), Some(realm));
    }
    for bad in ["", "a\nb", "\u{e9}", "\0"] {
        assert!(gate(issuer()).realm(bad).is_err(), "{bad:?}");
    }
    // A realm that nobody chose: an audience may be any string.
    let odd = Issuer::new(ISS, "caf\u{e9} \"1\"\n").keys(crate::support::keys::source(&jwks(&[es256()])));
    let answer = ask(&app(gate(odd)), request([])).await;
    assert_eq!(answer.challenge().unwrap().param("realm").as_deref(), Some("caf? \"1\"?"));
}

#[tokio::test]
async fn rs_028_authentication_comes_before_authorization() {
    let app = guarded(scope("write"));
    bearer(&app, &token().expired().sign())
        .await
        .assert_invalid("expired and without scope", Reason::Expired);
    bearer(&app, &token().expired().scope("write").sign()).await.assert_invalid("expired", Reason::Expired);
    ask(&app, request([])).await.assert_missing("nobody");
    bearer(&app, &token().sign()).await.assert_insufficient("good, without scope");
}

fn assert_unavailable(name: &str, answer: &Answer) {
    assert_eq!((answer.status, answer.reached()), (503, false), "{name}: {answer:?}");
    assert_eq!(answer.challenge().map(|_| ()), None, "{name}: a 401 in disguise");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{name}: {seconds}");
}

#[tokio::test]
async fn rs_029_030_what_cannot_be_decided_is_503_with_retry_after_and_never_401() {
    let good = token().sign();
    let (sink, source) = channel();
    let nothing_yet = app(gate(Issuer::new(ISS, AUD).keys(source)));
    drop(sink);
    assert_unavailable("no keys yet", &bearer(&nothing_yet, &good).await);

    let (mut sink, source) = channel();
    let stale = app(gate(Issuer::new(ISS, AUD).keys(source)));
    sink.publish(KeySet::from_jwks(&jwks(&[es256()]).to_string()).unwrap());
    bearer(&stale, &good).await.assert_passed("fresh");
    sink.expire();
    assert_unavailable("stale", &bearer(&stale, &good).await);
    // What can be refused without a key is refused, and nobody is told that a credential is missing.
    bearer(&stale, &token().expired().sign()).await.assert_invalid("expired", Reason::Expired);
    ask(&stale, request([])).await.assert_missing("nobody");
    sink.confirm();
    bearer(&stale, &good).await.assert_passed("confirmed");
    drop(sink);
    assert_unavailable("nobody keeps them fresh", &bearer(&stale, &good).await);
}

#[tokio::test]
async fn rs_032_refusals_are_not_stored_and_successes_are_left_alone() {
    let mut answers = refusals().await;
    let (sink, source) = channel();
    drop(sink);
    answers.push(bearer(&app(gate(Issuer::new(ISS, AUD).keys(source))), &token().sign()).await);
    answers
        .push(ask(&Router::new().fallback(reached).layer(RequireLayer::new(scope("a"))), request([])).await);
    for status in [400, 401, 403, 500, 503] {
        assert!(answers.iter().any(|answer| answer.status == status), "no answer {status}");
    }
    for answer in answers {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    }
    let passed = bearer(&usual(), &token().sign()).await;
    let names: Vec<_> = passed.headers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(passed.header("cache-control"), None);
    assert!(
        names.iter().all(|name| ["x-reached", "content-type", "content-length"].contains(name)),
        "{names:?}"
    );
}

#[tokio::test]
async fn rs_033_an_application_may_turn_a_403_into_a_404() {
    let hide = |error: &AuthError, answer: http::Response<()>| match error.kind() {
        AuthErrorKind::InsufficientScope => StatusCode::NOT_FOUND.into_response(),
        _ => answer.map(|()| Body::empty()),
    };
    let policy = RequireLayer::new(scope("write"));
    let app = Router::new().fallback(reached).layer(policy).layer(gate(issuer()).rejection(hide));
    assert_eq!(bearer(&app, &token().sign()).await.status, 404);
    bearer(&app, &token().scope("write").sign()).await.assert_passed("with scope");
    bearer(&app, &token().expired().sign()).await.assert_invalid_token("the 401 stays");
}

#[tokio::test]
async fn rs_034_a_refused_head_has_the_headers_of_get_and_no_body() {
    let body = |_: &AuthError, answer: http::Response<()>| answer.map(|()| Body::from("refused"));
    let server = Server::start(app(gate(issuer()).rejection(body))).await;
    let client = reqwest::Client::new();
    let get = client.get(server.url("/")).send().await.unwrap();
    let head = client.head(server.url("/")).send().await.unwrap();
    assert_eq!((get.status().as_u16(), head.status().as_u16()), (401, 401));
    let headers = |response: &reqwest::Response| {
        let mut headers = response.headers().clone();
        headers.remove("date");
        headers
    };
    assert_eq!(headers(&head), headers(&get));
    assert_eq!(head.bytes().await.unwrap().len(), 0);
    assert_eq!(get.bytes().await.unwrap(), "refused");
}

#[tokio::test]
async fn rs_035_causes_that_an_attacker_could_tell_apart_answer_alike_byte_for_byte() {
    let server = Server::start(usual()).await;
    let client = reqwest::Client::new();
    let stranger = SigningKey::generate(Algorithm::ES256);
    let mut answers = Vec::new();
    for token in [
        token_by(&stranger).sign(),
        token_by(&stranger.clone().kid("es256")).sign(),
        token().issuer("https://evil.example").sign(),
        token().audience("https://other.example").sign(),
        token().tampered(),
        token().header("alg", "PS256").sign(),
        token().header("alg", "HS256").sign(),
        token().header("crit", json!(["x"])).sign(),
        with_payload("{}"),
        "opaque".to_owned(),
    ] {
        let response = client.get(server.url("/")).bearer_auth(&token).send().await.unwrap();
        let mut headers = response.headers().clone();
        headers.remove("date");
        answers.push((response.status(), headers, response.bytes().await.unwrap()));
    }
    assert_eq!(answers[0].0, 401);
    for answer in &answers {
        assert_eq!(*answer, answers[0]);
    }
}

/// A clock from before the epoch, and one from far ahead, decide something and do not panic.
#[tokio::test]
async fn a_clock_that_is_wrong_refuses() {
    fn before() -> SystemTime {
        UNIX_EPOCH - Duration::from_secs(1)
    }
    fn after() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(400_000_000_000)
    }
    let verifier = JwtVerifier::new([issuer()]).unwrap();
    let app_at = |clock| app(BearerLayer::new(verifier.clone()).clock(clock));
    bearer(&app_at(before), &token().sign()).await.assert_invalid("before 1970", Reason::IssuedInTheFuture);
    bearer(&app_at(after), &token().sign()).await.assert_invalid("far ahead", Reason::Expired);
}
