//! RS-109 to RS-118: protected resource metadata, and what MCP asks of a server.

use crate::support::{
    answer::Answer,
    app::{app, ask, bearer, reached, request},
    keys::{AUD, ISS, es256, issuer, jwks, source, token},
};
use axum::{Router, body::Body, extract::Request};
use bearer_testing::TokenBuilder;
use http::header::AUTHORIZATION;
use proptest::prelude::*;
use serde_json::Value;
use tower_bearer::{
    AuthError, BearerLayer, ConfigError, Issuer, JwtVerifier, ProtectedResource, Reason, RequireLayer,
    Verified,
    policy::{Policy, scope},
};

const RESOURCE: &str = "https://api.example/a/mcp";
const METADATA: &str = "/.well-known/oauth-protected-resource/a/mcp";

fn resource() -> ProtectedResource {
    ProtectedResource::new(RESOURCE, [ISS])
        .and_then(|resource| resource.scopes(["read", "write"]))
        .and_then(|resource| resource.challenge_scopes(["read"]))
        .unwrap()
}

fn gate(resource: &ProtectedResource) -> BearerLayer {
    let issuer = Issuer::new(ISS, resource.identifier()).keys(source(&jwks(&[es256()])));
    BearerLayer::new(JwtVerifier::new([issuer]).unwrap()).resource_metadata(resource)
}

/// A resource behind its gate, with its metadata in front of it; every path needs `write`.
fn protected() -> Router {
    let policy = RequireLayer::new(scope("write"));
    Router::new().fallback(reached).layer(policy).layer(gate(&resource())).layer(resource().layer())
}

fn token_for(resource: &str) -> TokenBuilder {
    TokenBuilder::new(es256(), ISS, resource)
}

async fn get(app: &Router, path: &str) -> Answer {
    ask(app, Request::get(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn rs_109_the_document_is_where_the_identifier_says() {
    let app = protected();
    assert_eq!(get(&app, METADATA).await.status, 200);
    for elsewhere in [
        "/a/mcp/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/a/mcp/",
        "/.well-known/oauth-protected-resource/a",
    ] {
        get(&app, elsewhere).await.assert_missing(elsewhere);
    }
    // As a route of its own it is the same.
    let routed = Router::new()
        .fallback(reached)
        .layer(gate(&resource()))
        .route_service(&resource().well_known_path(), resource().service::<Body>());
    assert_eq!(get(&routed, METADATA).await.body, get(&app, METADATA).await.body);
    get(&routed, "/a/mcp").await.assert_missing("the gate");
}

#[tokio::test]
async fn rs_110_the_document_is_one_json_object_and_needs_no_token() {
    let app = protected();
    let with_bad_token =
        Request::get(METADATA).header(AUTHORIZATION, "Bearer x").body(Body::empty()).unwrap();
    for answer in [get(&app, METADATA).await, ask(&app, with_bad_token).await] {
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        assert!(serde_json::from_str::<Value>(&answer.body).unwrap().is_object());
        assert!(answer.challenge().is_none());
    }
}

#[tokio::test]
async fn rs_111_the_document_names_the_url_that_clients_use() {
    for identifier in ["https://api.example", "https://api.example/", "https://api.example/a/mcp"] {
        let resource = ProtectedResource::new(identifier, [ISS]).unwrap();
        let app = Router::new().fallback(reached).layer(resource.layer());
        let answer = get(&app, &resource.well_known_path()).await;
        let document: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(document["resource"], identifier);
    }
}

#[tokio::test]
async fn rs_112_what_has_no_value_is_left_out() {
    let resource = ProtectedResource::new(RESOURCE, [ISS]).unwrap().scopes([]).unwrap().name("");
    let app = Router::new().fallback(reached).layer(resource.layer());
    let document: Value = serde_json::from_str(&get(&app, METADATA).await.body).unwrap();
    let names: Vec<_> = document.as_object().unwrap().keys().collect();
    assert_eq!(names, ["authorization_servers", "bearer_methods_supported", "resource"]);
    let answer = ask(&self::app(gate(&resource)), request([])).await;
    assert_eq!(answer.challenge().unwrap().param("scope"), None);
}

#[test]
fn rs_113_without_an_authorization_server_there_is_no_resource() {
    let refused = ProtectedResource::new(RESOURCE, [""; 0]).unwrap_err();
    assert_eq!(refused, ConfigError::NoAuthorizationServer);
}

#[tokio::test]
async fn rs_114_every_challenge_names_the_document() {
    let app = protected();
    let url = format!("https://api.example{METADATA}");
    let refusals = [
        ("missing", 401, ask(&app, request([])).await),
        ("invalid", 401, bearer(&app, &token_for(RESOURCE).expired().sign()).await),
        ("malformed", 400, ask(&app, request([b"Bearer a b" as &[u8]])).await),
        ("insufficient", 403, bearer(&app, &token_for(RESOURCE).scope("read").sign()).await),
    ];
    for (name, status, answer) in refusals {
        assert_eq!(answer.status, status, "{name}");
        assert_eq!(answer.challenge().unwrap().param("resource_metadata"), Some(url.clone()), "{name}");
    }
    // A realm chosen before or after changes nothing of that.
    for gate in [
        gate(&resource()).realm("notes").unwrap(),
        BearerLayer::new(JwtVerifier::new([issuer()]).unwrap())
            .realm("notes")
            .unwrap()
            .resource_metadata(&resource()),
    ] {
        let challenge = ask(&self::app(gate), request([])).await.challenge().unwrap();
        assert_eq!(challenge.param("realm").as_deref(), Some("notes"));
        assert_eq!(challenge.param("resource_metadata"), Some(url.clone()));
    }
}

#[tokio::test]
async fn rs_115_a_401_asks_for_the_scopes_to_begin_with_and_a_403_for_those_of_the_policy() {
    let app = protected();
    let asked = |answer: Answer| answer.challenge().unwrap().param("scope");
    assert_eq!(asked(ask(&app, request([])).await).as_deref(), Some("read"));
    assert_eq!(asked(bearer(&app, &token_for(RESOURCE).expired().sign()).await).as_deref(), Some("read"));
    let insufficient = bearer(&app, &token_for(RESOURCE).scope("read").sign()).await;
    assert_eq!(asked(insufficient).as_deref(), Some("write"));
    // A 403 that no scope would help does not ask for one.
    let never = |_: &Verified| Err::<(), _>(AuthError::forbidden("never"));
    let closed = Router::new().fallback(reached).layer(RequireLayer::new(never)).layer(gate(&resource()));
    assert_eq!(asked(bearer(&closed, &token_for(RESOURCE).sign()).await), None);

    let refused = ProtectedResource::new(RESOURCE, [ISS]).unwrap().scopes(["read", "offline_access"]);
    assert_eq!(refused.unwrap_err(), ConfigError::OfflineAccess);
}

#[tokio::test]
async fn rs_116_a_token_is_for_this_resource_and_is_not_in_what_the_gate_hands_on() {
    let app = app(gate(&resource()));
    bearer(&app, &token_for(RESOURCE).sign()).await.assert_passed("ours");
    for other in [AUD, "https://api.example/a", "https://api.example/a/mcp/", "https://api.example/A/mcp"] {
        bearer(&app, &token_for(other).sign()).await.assert_invalid(other, Reason::Audience);
    }

    // What the gate proved is handed on, and the token is not in that.
    let token = token_for(RESOURCE).sign();
    let proof = bearer(&app, &token).await.verified.unwrap();
    let told = format!("{proof:?} {:?} {}", proof.registered(), proof.json().unwrap());
    assert!(token.split('.').all(|part| !told.contains(part)), "{told}");
}

#[tokio::test]
async fn rs_117_a_broader_scope_can_imply_a_narrower_one() {
    let read = |verified: &Verified| {
        scope("read").check(verified).or_else(|refused| scope("admin").check(verified).map_err(|_| refused))
    };
    let app = Router::new().fallback(reached).layer(RequireLayer::new(read)).layer(gate(&resource()));
    for granted in ["read", "admin", "x admin"] {
        bearer(&app, &token_for(RESOURCE).scope(granted).sign()).await.assert_passed(granted);
    }
    let refused = bearer(&app, &token_for(RESOURCE).scope("write").sign()).await;
    refused.assert_insufficient("neither");
    assert_eq!(
        refused.challenge().unwrap().param("scope").as_deref(),
        Some("read"),
        "the least that is enough"
    );
}

#[tokio::test]
async fn rs_118_what_the_document_claims_is_what_the_gate_does() {
    let app = protected();
    let document: Value = serde_json::from_str(&get(&app, METADATA).await.body).unwrap();
    assert_eq!(document["bearer_methods_supported"], serde_json::json!(["header"]));
    for claim in ["dpop_bound_access_tokens_required", "tls_client_certificate_bound_access_tokens"] {
        assert!(document.get(claim).is_none(), "{claim}");
    }
    let good = token_for(RESOURCE).scope("write").sign();
    bearer(&app, &good).await.assert_passed("header");
    get(&app, &format!("/a/mcp?access_token={good}")).await.assert_missing("query");
    let form = Request::post("/a/mcp").header("content-type", "application/x-www-form-urlencoded");
    let form = form.body(Body::from(format!("access_token={good}"))).unwrap();
    ask(&app, form).await.assert_missing("body");
    // Neither is a token that claims to be bound.
    let bound = token().audience(RESOURCE).claim("cnf", serde_json::json!({ "jkt": "x" })).sign();
    bearer(&app, &bound).await.assert_invalid("bound", Reason::KeyBound);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rs_109_to_115_whatever_can_be_set_up_makes_a_readable_challenge_and_document(
        identifier in "(https|http)://(api[.]example|localhost|127[.]0[.]0[.]1|\\[::1\\]|\\PC{0,6})(:[0-9]{1,5})?(/[ -~]{0,12}|/[a-z%2eé\"\\\\.]{0,6}){0,3}",
        server in "https://issuer[.]example(/[ -~]{0,12})?",
        scopes in proptest::collection::vec("[a-z:]{1,8}|[!-~]{1,6}|\\PC{0,3}", 0..4),
        name in "\\PC{0,12}",
        page in "https?://docs[.]example(/\\PC{0,8})?",
    ) {
        let made = ProtectedResource::new(&*identifier, [&*server])
            .and_then(|resource| resource.scopes(scopes.iter().map(String::as_str)))
            .and_then(|resource| resource.name(&*name).documentation(&*page));
        let Ok(resource) = made else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();

        // The reader panics where the grammar is broken.
        let refused = runtime.block_on(ask(&app(gate(&resource)), request([])));
        let challenge = refused.challenge().unwrap();
        prop_assert_eq!(challenge.param("realm"), Some(identifier.clone()));
        let url = challenge.param("resource_metadata").unwrap();
        prop_assert_eq!(&url, &resource.metadata_url());
        prop_assert_eq!(challenge.param("scope"), (!scopes.is_empty()).then(|| scopes.join(" ")));

        // A client that parses the URL asks for the document, which says what was set up.
        let url = reqwest::Url::parse(&url).unwrap();
        let front = Router::new().fallback(reached).layer(resource.layer());
        let answer = runtime.block_on(get(&front, url.path()));
        let document: Value = serde_json::from_str(&answer.body).unwrap();
        prop_assert_eq!(&document["resource"], &Value::from(identifier));
        prop_assert_eq!(&document["authorization_servers"], &serde_json::json!([server]));
        let listed = (!scopes.is_empty()).then(|| serde_json::json!(scopes));
        prop_assert_eq!(document.get("scopes_supported"), listed.as_ref());
        let named = (!name.is_empty()).then(|| Value::from(name));
        prop_assert_eq!(document.get("resource_name"), named.as_ref());
        prop_assert_eq!(&document["resource_documentation"], &Value::from(page));
    }
}
