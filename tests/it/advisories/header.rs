//! What a token's header asks for: its own key, a connection, an extension, decryption, another type.

use crate::support::{
    app::{app, bearer, usual},
    forge::b64,
    keys::{AUD, ISS, gate, token, token_by},
    soon,
};
use axum_bearer::Issuer;
use bearer_testing::{Algorithm, SigningKey};
use serde_json::{Value, json};
use std::{io::ErrorKind, net::TcpListener};
use tower_bearer::{
    Reason::{self, Encrypted, Signature, UnknownKey},
    keys::{KeySet, channel},
};

#[tokio::test]
async fn cve_2018_0114_cve_2025_24976_cve_2026_27962_a_key_in_the_header_is_not_trusted() {
    let own = SigningKey::generate(Algorithm::ES256);
    let brought =
        || token_by(&own).header("jwk", own.public_jwk()).header("x5c", json!([b64(own.public_der())]));
    let (mut sink, source) = channel();
    let (empty, full) = (app(gate(Issuer::new(ISS, AUD).keys(source))), usual());
    // A set without keys is not a reason to look for one in the token.
    sink.publish(KeySet::default());
    let answering = tokio::spawn(async move { while sink.missed().await.is_some() {} });
    for app in [&empty, &full] {
        bearer(app, &brought().sign()).await.assert_invalid("its own kid", UnknownKey);
        soon(bearer(app, &brought().without_header("kid").sign())).await.assert_invalid_token("no kid");
    }
    bearer(&full, &brought().header("kid", "es256").sign()).await.assert_invalid("our kid", Signature);
    drop((empty, full));
    soon(answering).await.unwrap();
}

#[tokio::test]
async fn cve_2024_21643_nothing_in_a_header_causes_a_connection() {
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", canary.local_addr().unwrap());
    let app = usual();
    for name in ["jku", "x5u", "iss", "kid", "jwks_uri", "url"] {
        bearer(&app, &token_by(&SigningKey::generate(Algorithm::ES256)).header(name, &*url).sign())
            .await
            .assert_invalid_token(name);
        bearer(&app, &token().claim(name, &*url).claim("jku", &*url).tampered())
            .await
            .assert_invalid_token(name);
    }
    assert_eq!(canary.accept().map(|_| ()).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn cve_2023_52428_cve_2024_21319_cve_2024_28180_cve_2024_28122_cve_2026_29000_encrypted_and_compressed_tokens_are_refused_before_any_work()
 {
    let app = usual();
    let jwe = |header: Value, inner: &str| format!("{}.AA.AA.{}.AA", b64(header.to_string()), b64(inner));
    let plain = token().unsigned();
    for (name, token, reason) in [
        (
            "PBES2",
            jwe(json!({ "alg": "PBES2-HS256+A128KW", "p2c": 2_147_483_647, "enc": "A128GCM" }), "x"),
            Encrypted,
        ),
        ("compressed", jwe(json!({ "alg": "dir", "enc": "A128GCM", "zip": "DEF" }), "x"), Encrypted),
        (
            "a plain JWT inside",
            jwe(json!({ "alg": "RSA-OAEP", "enc": "A256GCM", "cty": "JWT" }), &plain),
            Encrypted,
        ),
        (
            "three segments of PBES2",
            token().header("alg", "PBES2-HS256+A128KW").header("p2c", 1 << 30).sign(),
            Reason::Algorithm,
        ),
        ("three segments, compressed", token().header("zip", "DEF").sign(), Reason::UnsupportedHeader("zip")),
    ] {
        bearer(&app, &token).await.assert_invalid(name, reason);
    }
}

#[tokio::test]
async fn cve_2025_59420_ghsa_752w_5fwx_jx9f_cve_2026_35042_a_critical_extension_is_refused() {
    let app = usual();
    for (crit, extension) in [
        (json!(["bork"]), json!({ "bork": 1 })),
        (json!(["b64"]), json!({ "b64": false })),
        (json!(["exp"]), json!({ "exp": 1 })),
        (json!(["http://example.com/x", "cnf"]), json!({ "http://example.com/x": true, "cnf": {} })),
        (json!([]), json!({})),
        (json!("bork"), json!({})),
        (json!(null), json!({})),
    ] {
        let mut token = token().header("crit", crit.clone());
        for (name, value) in extension.as_object().unwrap() {
            token = token.header(name, value.clone());
        }
        bearer(&app, &token.sign()).await.assert_invalid_token(&crit.to_string());
    }
}

#[tokio::test]
async fn cve_2026_41164_another_kind_of_token_is_no_access_token() {
    let app = usual();
    for typ in [
        "vp+jwt",
        "vc+jwt",
        "vc+ld+jwt",
        "openid4vci-proof+jwt",
        "client-authentication+jwt",
        "dpop+jwt",
        "id_token+jwt",
    ] {
        bearer(&app, &token().header("typ", typ).sign()).await.assert_invalid(typ, Reason::TokenType);
    }
}
