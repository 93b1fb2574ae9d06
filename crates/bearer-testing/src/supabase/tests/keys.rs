//! The JWK Set, the metadata, and the legacy keys.

use super::*;

#[tokio::test]
async fn keys_are_served_cacheable_and_rotate() {
    let supabase = TestSupabase::start().await;
    let first = supabase.signing_key();
    let second = supabase.rotate();
    let answer = client::get(&supabase.jwks_uri()).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "public, max-age=600");
    assert_eq!(answer.json(), json!({ "keys": [first.public_jwk(), second.public_jwk()] }));
    supabase.remove("key-1");
    supabase.remove("key-2");
    assert_eq!(client::get(&supabase.jwks_uri()).await.json(), json!({ "keys": [] }));
    supabase.fail_with(500);
    assert_eq!(client::get(&supabase.jwks_uri()).await.status, 500);
    assert_eq!((supabase.jwks_requests(), supabase.requests()), (3, 3));
}

#[tokio::test]
async fn discovery_names_issuer_and_keys() {
    let supabase = TestSupabase::start().await;
    assert_eq!(supabase.issuer(), format!("{}/auth/v1", supabase.project_url()));
    let url = format!("{}/.well-known/openid-configuration", supabase.issuer());
    let answer = client::get(&url).await;
    assert_eq!(answer.headers["cache-control"], "public, max-age=600");
    assert_eq!(answer.json()["issuer"], supabase.issuer());
    assert_eq!(answer.json()["jwks_uri"], supabase.jwks_uri());
}

#[tokio::test]
async fn legacy_keys_are_nobodys() {
    let supabase = TestSupabase::start().await;
    assert!(supabase.legacy_secret().len() >= 32);
    let secret = SigningKey::hmac(crate::Algorithm::HS256, supabase.legacy_secret().as_bytes());
    for (key, role) in [(supabase.anon_key(), "anon"), (supabase.service_role_key(), "service_role")] {
        let claims = verify_compact(&secret, &key).unwrap();
        assert_eq!(names(&claims), ["exp", "iat", "iss", "ref", "role"]);
        assert_eq!((text(&claims, "iss"), text(&claims, "role")), ("supabase", role));
    }
}

#[tokio::test]
async fn legacy_token_is_signed_by_the_secret_under_a_standard_base64_kid() {
    let supabase = TestSupabase::start().await;
    let token = supabase.legacy_token();
    let secret = SigningKey::hmac(crate::Algorithm::HS256, supabase.legacy_secret().as_bytes());
    assert_eq!(verify_compact(&secret, &token.sign()).unwrap()["role"], "authenticated");
    let header: Value = serde_json::from_str(&token.header_json()).unwrap();
    assert_eq!(text(&header, "alg"), "HS256");
    assert!(text(&header, "kid").contains('+') && text(&header, "kid").contains('/'));
}
