//! `AuthUser` in handlers.

use crate::support::{
    answer::Answer,
    app::{app, ask, bearer, request},
    keys::{AUD, gate, issuer, token},
    logs::Logs,
};
use axum::{Router, extract::FromRequestParts as _, routing::get};
use axum_bearer::{AuthRejection, AuthUser, RegisteredClaims, RequireLayer};
use http::Request;
use serde::Deserialize;
use std::{error::Error as _, iter::successors};
use tower_bearer::{
    AuthError, ProblemDetails, Reason,
    policy::{claims, scope},
};

type User = AuthUser<RegisteredClaims>;

/// The application's own claims.
#[derive(Debug, Deserialize)]
struct Tenant {
    tenant: String,
}

async fn me(user: User) -> String {
    user.sub.clone().unwrap_or_default()
}

async fn maybe(user: Option<User>) -> String {
    user.and_then(|user| user.sub.clone()).unwrap_or_else(|| "nobody".to_owned())
}

async fn at(app: &Router, path: &str, authorization: Option<&str>) -> Answer {
    let mut request = request(authorization.iter().map(|value| value.as_bytes()));
    *request.uri_mut() = path.parse().unwrap();
    ask(app, request).await
}

fn good() -> String {
    format!("Bearer {}", token().subject("ada").sign())
}

#[tokio::test]
async fn a_handler_under_nested_routers_is_given_the_user() {
    let inner = Router::new().route("/me", get(me)).route("/maybe", get(maybe));
    let app = Router::new()
        .nest("/api", Router::new().nest("/v1", inner))
        .route("/open", get(async || "open"))
        .layer(gate(issuer()));
    for path in ["/api/v1/me", "/api/v1/maybe"] {
        let answer = at(&app, path, Some(&good())).await;
        assert_eq!((answer.status, &*answer.body), (200, "ada"), "{path}");
        assert_eq!(at(&app, path, None).await.status, 401, "{path}");
    }
    assert_eq!(at(&app, "/open", None).await.status, 401, "the gate is around all of it");
}

#[tokio::test]
async fn a_gate_around_one_route_leaves_the_others_alone() {
    let app = Router::new().route("/me", get(me).layer(gate(issuer()))).route("/open", get(async || "open"));
    assert_eq!(at(&app, "/open", None).await.body, "open");
    assert_eq!(at(&app, "/me", None).await.status, 401);
    assert_eq!(at(&app, "/me", Some(&good())).await.body, "ada");
    // A route that is not there tells nothing about tokens.
    assert_eq!(at(&app, "/nowhere", Some("Bearer x")).await.status, 404);
}

#[tokio::test]
async fn two_extractors_in_one_handler_see_the_same_caller() {
    async fn both(first: User, second: Option<User>, third: User) -> String {
        let second = second.unwrap();
        let same = std::ptr::eq(&raw const *first, &raw const *second);
        let kept = third.clone().into_claims();
        format!("{same} {:?} {:?}", kept.sub.as_deref(), third.verified().subject())
    }
    let app = Router::new().route("/", get(both)).layer(gate(issuer()));
    assert_eq!(at(&app, "/", Some(&good())).await.body, r#"true Some("ada") Some("ada")"#);
}

#[tokio::test]
async fn a_handler_refuses_in_the_name_of_the_gate() {
    async fn order(user: User) -> Result<&'static str, AuthRejection> {
        match user.sub.as_deref() {
            Some("ada") => Ok("ada's order"),
            _ => Err(user.refuse(AuthError::forbidden("somebody else's order"))),
        }
    }
    let gate = gate(issuer()).rejection(ProblemDetails::new());
    let app = Router::new().route("/", get(order)).layer(gate);
    assert_eq!(at(&app, "/", Some(&good())).await.body, "ada's order");

    let line = format!("Bearer {}", token().subject("bob").sign());
    let answer = at(&app, "/", Some(&line)).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.challenge().unwrap().param("realm").as_deref(), Some(AUD));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn claims_of_the_applications_own_type_are_read() {
    async fn tenant(user: AuthUser<Tenant>) -> String {
        format!("{} of {:?}", user.tenant, user.verified().subject())
    }
    let app = Router::new().route("/", get(tenant)).layer(gate(issuer().claims::<Tenant>()));
    let token = |tenant: &str| format!("Bearer {}", token().claim("tenant", tenant).sign());
    assert_eq!(at(&app, "/", Some(&token("acme"))).await.body, r#"acme of Some("test-user")"#);
    // A token that does not fit is the caller's: it is refused by the gate.
    let answer = at(&app, "/", Some(&good())).await;
    answer.assert_invalid("without a tenant", Reason::ClaimsType);
}

#[tokio::test]
async fn rs_176_without_a_gate_the_answer_is_500_and_the_log_says_why() {
    let (logs, _guard) = Logs::capture();
    let app: Router = Router::new()
        .route("/me", get(me))
        .route("/maybe", get(maybe))
        .route("/tenants/{id}", get(async |_: AuthUser<Tenant>| "in"))
        .route("/policy", get(me).layer(RequireLayer::new(scope("a"))));
    for path in ["/me", "/maybe", "/tenants/7", "/policy"] {
        for authorization in [None, Some(&*good())] {
            let answer = at(&app, path, authorization).await;
            assert_eq!((answer.status, &*answer.body), (500, ""), "{path}: never an anonymous pass");
            assert!(answer.challenge().is_none(), "{path}: the caller could do nothing about it");
            assert!(!format!("{:?}", answer.headers).contains("Tenant"), "{path}");
        }
    }
    let logs = logs.text();
    for said in [
        "the handler of /me takes AuthUser<tower_bearer::jwt::claims::RegisteredClaims>, and there is no BearerLayer",
        "the handler of /tenants/{id} takes AuthUser<it::extractors::Tenant>, and there is no BearerLayer",
        "no BearerLayer around the policy",
    ] {
        assert!(logs.contains(said), "{said:?}: {logs}");
    }
    // At ERROR once a second, for the whole process.
    assert_eq!(logs.matches("request refused").count(), 8);
}

#[tokio::test]
async fn rs_176_the_wrong_type_of_claims_is_500_and_the_log_names_both() {
    struct Other;
    let (logs, _guard) = Logs::capture();
    let app = Router::new()
        .route("/other", get(async |_: AuthUser<Other>| "in"))
        .route("/maybe", get(async |_: Option<AuthUser<Other>>| "in"))
        .route("/policy", get(me).layer(RequireLayer::new(claims(|_: &Other| true))))
        .route("/me", get(me))
        .layer(gate(issuer().claims::<Tenant>()));
    let token = format!("Bearer {}", token().claim("tenant", "acme").sign());
    assert_eq!(at(&app, "/me", Some(&token)).await.status, 200, "the registered claims are never wrong");
    for path in ["/other", "/maybe", "/policy"] {
        let answer = at(&app, path, Some(&token)).await;
        assert_eq!((answer.status, &*answer.body), (500, ""), "{path}");
    }
    let logs = logs.text();
    for said in ["the handler of /other takes AuthUser<it::", "a policy asks for the claims it::"] {
        let line = logs.lines().find(|line| line.contains(said)).unwrap_or_default();
        assert!(line.contains("Other") && line.contains("it::extractors::Tenant"), "{said}: {logs}");
    }
    assert!(!logs.contains("acme"), "{logs}");
    // At ERROR once a second, for the whole process.
    assert_eq!(logs.matches("request refused").count(), 3);
    // Who is not there is refused before anybody looks at types.
    assert_eq!(at(&app, "/other", None).await.status, 401);
}

#[tokio::test]
async fn an_anonymous_caller_is_let_through_only_where_a_handler_asks_for_an_option() {
    let app = Router::new()
        .route("/me", get(me))
        .route("/maybe", get(maybe))
        .route("/policy", get(maybe).layer(RequireLayer::new(scope("read"))))
        .layer(gate(issuer()).allow_anonymous());
    assert_eq!(at(&app, "/maybe", None).await.body, "nobody");
    assert_eq!(at(&app, "/maybe", Some("Basic x")).await.body, "nobody");
    assert_eq!(at(&app, "/maybe", Some(&good())).await.body, "ada");
    for path in ["/me", "/policy"] {
        let answer = at(&app, path, None).await;
        answer.assert_missing(path);
        assert_eq!(
            answer.challenge().unwrap().param("realm").as_deref(),
            Some(AUD),
            "{path}: the gate's own"
        );
        assert_eq!(answer.reason, Some(Reason::NoCredential), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    for path in ["/me", "/maybe", "/policy"] {
        let expired = format!("Bearer {}", token().expired().sign());
        at(&app, path, Some(&expired)).await.assert_invalid(path, Reason::Expired);
        at(&app, path, Some("Bearer")).await.assert_malformed(path);
        let tampered = format!("Bearer {}", token().tampered());
        at(&app, path, Some(&tampered)).await.assert_invalid(path, Reason::Signature);
    }
    at(&app, "/policy", Some(&good())).await.assert_insufficient("a user without the scope");
}

#[tokio::test]
async fn a_handler_may_tell_a_caller_who_is_nobody_from_one_who_is_refused() {
    async fn greet(user: Result<User, AuthRejection>) -> Result<String, AuthRejection> {
        match user {
            Err(rejection) if rejection.is_unauthenticated() => Ok("hello, stranger".to_owned()),
            user => Ok(format!("hello, {}", user?.sub.as_deref().unwrap_or_default())),
        }
    }
    let app = Router::new().route("/", get(greet));
    let gated = app.clone().layer(gate(issuer()).allow_anonymous());
    assert_eq!(at(&gated, "/", None).await.body, "hello, stranger");
    assert_eq!(at(&gated, "/", Some(&good())).await.body, "hello, ada");
    assert_eq!(at(&app, "/", None).await.status, 500, "no gate");
}

#[tokio::test]
async fn a_rejection_tells_who_is_to_blame_and_shows_no_claim() {
    let (mut parts, ()) = Request::new(()).into_parts();
    let rejection: AuthRejection = User::from_request_parts(&mut parts, &()).await.unwrap_err();
    assert!(!rejection.is_unauthenticated());

    let verified = bearer(&app(gate(issuer())), &token().subject("s3cret").sign()).await.verified.unwrap();
    parts.extensions.insert(verified);
    let user = User::from_request_parts(&mut parts, &()).await.unwrap();
    assert!(!format!("{user:?}").contains("s3cret"));
    let wrong = AuthUser::<Tenant>::from_request_parts(&mut parts, &()).await.unwrap_err();
    assert!(!wrong.is_unauthenticated());
    assert_eq!(wrong.to_string(), wrong.error().reason().to_string());
    let causes = successors(wrong.source(), |cause| (*cause).source()).map(ToString::to_string);
    let causes = causes.collect::<Vec<_>>().join(": ");
    assert!(causes.contains("Tenant") && !causes.contains("s3cret"), "{causes}");
}
