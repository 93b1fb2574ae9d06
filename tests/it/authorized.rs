//! Requirements in signatures, and routers that refuse what nobody thought of.

use crate::support::{
    answer::Answer,
    app::{ask, request},
    keys::{gate, issuer, token},
};
use axum::{Router, extract::State, routing::get};
use axum_bearer::{AuthUser, Authorized, GuardedRouter, RegisteredClaims, Requirement};
use http::{Method, StatusCode};
use tower_bearer::{Reason, Verified, policy::scope};

axum_bearer::scopes! {
    Read = "orders:read";
    Write = "orders:write";
}

axum_bearer::requirement! {
    OnlyAda = |verified: &Verified| match verified.subject() {
        Some("ada") => Ok(()),
        _ => Err(tower_bearer::AuthError::forbidden("not ada")),
    };
}

type Caller<P> = Authorized<P, RegisteredClaims>;

async fn with(app: &Router, method: Method, path: &str, token: impl Into<Option<String>>) -> Answer {
    let line = token.into().map(|token| format!("Bearer {token}"));
    let mut request = request(line.iter().map(String::as_bytes));
    *request.uri_mut() = path.parse().unwrap();
    *request.method_mut() = method;
    ask(app, request).await
}

async fn at(app: &Router, path: &str, token: impl Into<Option<String>>) -> Answer {
    with(app, Method::GET, path, token).await
}

fn scoped(scope: &str) -> String {
    token().scope(scope).subject("ada").sign()
}

#[tokio::test]
async fn a_handler_runs_only_for_callers_whom_its_signature_permits() {
    async fn name<P: Requirement>(caller: Caller<P>) -> String {
        let verified = caller.verified().subject().unwrap_or_default().to_owned();
        assert_eq!(caller.sub.as_deref(), Some(&*verified));
        caller.clone().into_user().into_claims().sub.clone().unwrap_or_default()
    }
    let app = Router::new()
        .route("/read", get(name::<Read>))
        .route("/both", get(name::<(Read, Write)>))
        .route("/ada", get(name::<OnlyAda>))
        .route(
            "/maybe",
            get(async |caller: Option<Caller<Read>>| if caller.is_some() { "somebody" } else { "nobody" }),
        )
        .layer(gate(issuer()).allow_anonymous());
    assert_eq!(at(&app, "/read", scoped("orders:read")).await.body, "ada");
    assert_eq!(at(&app, "/both", scoped("orders:write orders:read")).await.body, "ada");
    assert_eq!(at(&app, "/ada", scoped("")).await.body, "ada");

    let answer = at(&app, "/both", scoped("orders:read")).await;
    answer.assert_insufficient("one of two");
    assert_eq!(answer.challenge().unwrap().param("scope").as_deref(), Some("orders:write"));
    let answer = at(&app, "/both", scoped("other")).await;
    assert_eq!(
        answer.challenge().unwrap().param("scope").as_deref(),
        Some("orders:read orders:write"),
        "all in one challenge"
    );
    at(&app, "/read", scoped("orders:readonly orders:write")).await.assert_insufficient("another scope");
    assert_eq!(at(&app, "/ada", Some(token().subject("bob").sign())).await.status, 403);
    for path in ["/read", "/both", "/ada"] {
        at(&app, path, None).await.assert_missing(path);
        at(&app, path, Some(token().scope("orders:read orders:write").subject("ada").tampered()))
            .await
            .assert_invalid(path, Reason::Signature);
    }

    assert_eq!(at(&app, "/maybe", None).await.body, "nobody");
    assert_eq!(at(&app, "/maybe", scoped("orders:read")).await.body, "somebody");
    at(&app, "/maybe", scoped("other")).await.assert_insufficient("there, and not permitted");
    at(&app, "/maybe", Some(token().expired().sign())).await.assert_invalid("bad", Reason::Expired);
}

#[tokio::test]
async fn a_requirement_without_a_gate_is_500() {
    let app: Router = Router::new().route("/", get(async |_: Caller<Read>| "in"));
    assert_eq!(at(&app, "/", scoped("orders:read")).await.status, 500);
}

fn guarded() -> GuardedRouter<&'static str> {
    let admin = GuardedRouter::new().public("/ping", get(async || "pong")).route(
        "/users",
        scope("admin"),
        get(async |State(state): State<&'static str>| state),
    );
    GuardedRouter::new()
        .public("/health", get(async || "ok"))
        .route("/orders", scope("orders:read"), get(async || "orders"))
        .merge(GuardedRouter::new().route(
            "/both",
            scope("orders:write"),
            get(async || "secret").put(async || "put"),
        ))
        .public("/both", axum::routing::post(async || "posted"))
        .nest("/admin", admin)
}

#[tokio::test]
async fn every_route_of_a_guarded_router_is_public_or_refuses_strangers() {
    let app = guarded().with_state("users").behind(gate(issuer()));
    for (path, body) in [("/health", "ok"), ("/admin/ping", "pong")] {
        assert_eq!(at(&app, path, None).await.body, body);
        assert_eq!(at(&app, path, "not looked at".to_owned()).await.body, body);
    }
    assert_eq!(at(&app, "/orders", scoped("orders:read")).await.body, "orders");
    assert_eq!(at(&app, "/admin/users", scoped("admin")).await.body, "users");
    at(&app, "/orders", scoped("admin")).await.assert_insufficient("another's scope");
    at(&app, "/admin/users", scoped("orders:read")).await.assert_insufficient("another's scope");
    assert_eq!(with(&app, Method::POST, "/both", None).await.body, "posted");
    assert_eq!(with(&app, Method::PUT, "/both", scoped("orders:write")).await.body, "put");
    with(&app, Method::PUT, "/both", None).await.assert_missing("the other method of a public path");
}

#[tokio::test]
async fn an_optional_route_knows_the_caller_and_refuses_a_bad_token() {
    async fn who(user: Option<AuthUser<RegisteredClaims>>) -> String {
        user.and_then(|user| user.sub.clone()).unwrap_or_else(|| "nobody".to_owned())
    }
    async fn who_cares() -> &'static str {
        "done"
    }
    let inner = GuardedRouter::new()
        .optional("/feed", get(who))
        .public("/feed", axum::routing::post(who_cares))
        .optional("/both", get(who))
        .route("/both", scope("orders:read"), axum::routing::put(who_cares));
    for (app, under) in [
        (inner.clone().behind(gate(issuer())), ""),
        (GuardedRouter::new().nest("/in", inner).behind(gate(issuer())), "/in"),
    ] {
        let (feed, both) = (format!("{under}/feed"), format!("{under}/both"));
        for path in [&feed, &both] {
            assert_eq!(at(&app, path, None).await.body, "nobody");
            assert_eq!(at(&app, path, scoped("x")).await.body, "ada");
            at(&app, path, token().expired().sign()).await.assert_invalid(path, Reason::Expired);
        }
        assert_eq!(with(&app, Method::POST, &feed, None).await.body, "done");
        assert_eq!(with(&app, Method::PUT, &both, scoped("orders:read")).await.body, "done");
        with(&app, Method::PUT, &both, None).await.assert_missing("the guarded method");
        with(&app, Method::DELETE, &both, None).await.assert_missing("a path with a guarded method");
        assert_eq!(with(&app, Method::DELETE, &feed, None).await.status, 405);
    }
}

#[tokio::test]
async fn the_root_of_a_nested_router_is_at_its_prefix() {
    for (prefix, root, within) in [("/", "/", "/in"), ("/a", "/a", "/a/in"), ("/a/", "/a", "/a/in")] {
        let inner = GuardedRouter::new().public("/", get(async || "root")).public("/in", get(async || "in"));
        let app = GuardedRouter::new().nest(prefix, inner).behind(gate(issuer()));
        for (path, body) in [(root, "root"), (within, "in")] {
            assert_eq!(at(&app, path, None).await.body, body, "{path} under {prefix}");
        }
    }
}

#[tokio::test]
async fn a_guarded_router_is_nested_into_one_with_state_and_answers_for_its_own_paths_alone() {
    let api = guarded().with_state("users").behind(gate(issuer()));
    let app: Router = Router::new()
        .route("/", get(async |State(state): State<&'static str>| state))
        .nest("/api", api)
        .fallback(async || (StatusCode::NOT_FOUND, "outside"))
        .with_state("site");
    assert_eq!(at(&app, "/", None).await.body, "site");
    assert_eq!(at(&app, "/nowhere", None).await.body, "outside");
    assert_eq!(at(&app, "/api/health", None).await.body, "ok");
    assert_eq!(at(&app, "/api/admin/users", scoped("admin")).await.body, "users");
    at(&app, "/api/orders", None).await.assert_missing("a route");
    at(&app, "/api/nowhere", None).await.assert_missing("no route");
    assert_eq!(at(&app, "/api/nowhere", scoped("orders:read")).await.status, 404);
}

#[tokio::test]
async fn a_guarded_router_is_merged_where_there_is_no_other_fallback() {
    let guarded = || guarded().with_state("users").behind(gate(issuer()));
    let site = || Router::new().route("/site", get(async || "site"));
    let app = site().merge(guarded());
    assert_eq!(at(&app, "/site", None).await.body, "site");
    at(&app, "/nowhere", None).await.assert_missing("the one fallback is behind the gate");
    let merging = || site().fallback(async || "outside").merge(guarded());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(merging)).is_err());
}

#[tokio::test]
async fn what_is_not_there_tells_strangers_nothing() {
    for gate in [gate(issuer()), gate(issuer()).allow_anonymous()] {
        let app = guarded().with_state("users").behind(gate);
        let there = at(&app, "/orders", None).await;
        there.assert_missing("there");
        for (method, path) in [
            (Method::GET, "/nowhere"),
            (Method::POST, "/orders"),
            (Method::DELETE, "/admin/users"),
            (Method::GET, "/admin/nowhere"),
            (Method::GET, "/admin"),
            (Method::DELETE, "/both"),
            (Method::GET, "/"),
        ] {
            let answer = with(&app, method.clone(), path, None).await;
            assert_eq!(
                (answer.status, &answer.headers, &answer.body),
                (there.status, &there.headers, &there.body),
                "{method} {path}"
            );
        }
        assert_eq!(at(&app, "/nowhere", scoped("orders:read")).await.status, 404);
        let other_method = with(&app, Method::POST, "/orders", scoped("orders:read")).await;
        assert_eq!((other_method.status, other_method.header("allow")), (405, Some("GET,HEAD")));
    }
}
