//! What the service behind the gate is told, and what nobody is.

use crate::support::{
    app::{ask, bearer, request},
    keys::{gate, issuer, token},
    logs::Logs,
};
use axum::{Router, extract::Request, routing::get};
use axum_bearer::{AuthUser, RegisteredClaims};
use http::{HeaderValue, header::AUTHORIZATION};
use tower_bearer::{Reason::Signature, Verified};

#[tokio::test]
async fn cve_2021_21378_cve_2022_29165_where_anonymous_callers_pass_a_bad_token_does_not() {
    async fn maybe(request: Request) -> String {
        let verified = request.extensions().get::<Verified>();
        verified.and_then(Verified::subject).unwrap_or("nobody").to_owned()
    }
    let app = Router::new().fallback(maybe).layer(gate(issuer()).allow_anonymous());
    assert_eq!(ask(&app, request([])).await.body, "nobody");
    for (name, token) in [
        ("another issuer", token().issuer("https://evil.example").sign()),
        ("no issuer", token().without("iss").sign()),
        ("expired", token().expired().sign()),
        ("tampered", token().tampered()),
        ("unsigned", token().unsigned()),
        ("another audience", token().audience("x").sign()),
        ("nonsense", "a.b.c".to_owned()),
    ] {
        let answer = bearer(&app, &token).await;
        answer.assert_invalid_token(name);
        assert_eq!(answer.body, "", "{name}");
    }
    // Another scheme is no bearer token: anonymous, and the claims inside are not read.
    let basic = format!("Basic {}", token().sign());
    assert_eq!(ask(&app, request([basic.as_bytes()])).await.body, "nobody");
}

#[tokio::test]
async fn cve_2021_34532_cve_2022_23469_the_token_is_neither_logged_nor_printed() {
    let (logs, _guard) = Logs::capture();
    let app = Router::new().fallback(async |request: Request| format!("{request:?}")).layer(gate(issuer()));
    let tokens = [token().sign(), token().tampered(), token().expired().sign(), "s3cret".to_owned()];
    for token in &tokens {
        let printed = bearer(&app, token).await.body;
        let last = token.rsplit('.').next().unwrap();
        assert!(!printed.contains(last) && !logs.text().contains(last), "{printed}");
    }
    assert_eq!(logs.text().matches("request refused").count(), 3);
}

#[tokio::test]
async fn cve_2025_64484_claims_reach_the_service_by_extensions_and_no_header_imitates_them() {
    async fn echo(request: Request) -> String {
        let mut names: Vec<_> = request.headers().keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        let verified = request.extensions().get::<Verified>();
        format!("{names:?} {:?}", verified.and_then(Verified::subject))
    }
    let app = Router::new().fallback(echo).layer(gate(issuer()).allow_anonymous());
    let smuggled = || {
        let mut request = request([]);
        for name in ["x-user", "x_user", "x-forwarded-user", "x_forwarded_user", "verified", "sub"] {
            request.headers_mut().insert(name, HeaderValue::from_static("admin"));
        }
        request
    };
    let sent = r#""sub", "verified", "x-forwarded-user", "x-user", "x_forwarded_user", "x_user"]"#;
    assert_eq!(ask(&app, smuggled()).await.body, format!("[{sent} None"));
    let mut with_token = smuggled();
    with_token.headers_mut().insert(AUTHORIZATION, format!("Bearer {}", token().sign()).parse().unwrap());
    assert_eq!(ask(&app, with_token).await.body, format!(r#"["authorization", {sent} Some("test-user")"#));
    let mut underscore = request([]);
    underscore.headers_mut().insert("author_ization", format!("Bearer {}", token().sign()).parse().unwrap());
    assert!(ask(&app, underscore).await.body.ends_with("None"));
}

/// What the extractor hands over is what was verified, also here.
#[tokio::test]
async fn an_extractor_sees_nothing_of_a_token_that_was_refused() {
    async fn me(user: Option<AuthUser<RegisteredClaims>>) -> String {
        format!("{:?}", user.map(|user| user.sub.clone()))
    }
    let app = Router::new().route("/", get(me)).layer(gate(issuer()).allow_anonymous());
    assert_eq!(ask(&app, request([])).await.body, "None");
    bearer(&app, &token().tampered()).await.assert_invalid("tampered", Signature);
}
