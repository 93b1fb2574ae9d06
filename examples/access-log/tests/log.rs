//! What is noted, and what never is.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use axum::{body::Body, http::Request};
use axum_bearer::{Connect, Issuer};
use bearer_testing::TestIssuer;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::{
    io::Write,
    sync::{Arc, Mutex},
};
use tower::ServiceExt;

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_decision_is_logged_and_counted_and_no_token_is() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);

    let issuer = TestIssuer::start().await;
    let trusted = Issuer::new(issuer.issuer(), issuer.audience()).jwks_uri(issuer.jwks_uri());
    let app = access_log::service(trusted.connect().await.unwrap(), handle);
    let tokens = [
        issuer.token().subject("ada").scope("orders:read").sign(),
        issuer.token().subject("bob").sign(),
        issuer.token().expired().sign(),
        issuer.token().issuer("https://evil.example").sign(),
    ];
    for token in &tokens {
        let authorization = format!("Bearer {token}");
        let request =
            Request::get("/orders?secret=1").header("authorization", authorization).body(Body::empty());
        app.clone().oneshot(request.unwrap()).await.unwrap();
    }

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(r#""target":"access""#)).collect();
    let expected: [&[&str]; 5] = [
        &["accepted", r#""user.id":"ada""#, r#""url.path":"/orders""#, r#""http.request.method":"GET""#],
        &["accepted", r#""user.id":"bob""#],
        &["refused", r#""user.id":"bob""#, r#""error.type":"insufficient_scope""#, r#""reason":"scope""#],
        &["refused", r#""error.type":"invalid_token""#, r#""reason":"expired""#],
        &["refused", r#""reason":"unknown_issuer""#],
    ];
    assert_eq!(lines.len(), expected.len(), "{log}");
    for (line, parts) in lines.iter().zip(expected) {
        for part in parts {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    let metrics = app.oneshot(Request::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
    let metrics = axum::body::to_bytes(metrics.into_body(), 1 << 20).await.unwrap();
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    for line in [
        format!(r#"auth_decisions_total{{outcome="accepted",issuer="{}"}} 2"#, issuer.issuer()),
        r#"auth_decisions_total{outcome="invalid_token",reason="unknown_issuer",issuer="none"} 1"#.to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    for secret in tokens.iter().flat_map(|token| token.split('.').skip(1)) {
        assert!(!log.contains(secret) && !metrics.contains(secret), "a token's part");
    }
    assert!(!log.contains("secret=1") && !metrics.contains("evil"), "a stranger's words");
}
