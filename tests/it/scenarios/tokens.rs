//! Tokens by themselves: each thing that can be wrong with one.

use super::{
    outcome::{EXPIRED, INVALID, NOT_YET, PASSES},
    row::{bearer, row},
    servers::{Servers, by},
};
use crate::support::{
    forge::{with_claims, with_header, with_payload},
    keys::{AUD, es256, gate, issuer, rs256, token, token_by},
};
use bearer_testing::{Algorithm, SigningKey};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};
use tower_bearer::policy::authenticated;

fn in_an_hour() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600
}

#[tokio::test]
async fn rs_017_035_155_168_every_bad_token_gets_the_same_answer_everywhere() {
    let unknown = SigningKey::generate(Algorithm::ES256).kid("unknown");
    let public = SigningKey::hmac(Algorithm::HS256, es256().public_pem().as_bytes()).kid("es256");
    let servers = Servers::start(gate(issuer()), by(authenticated())).await;
    servers
        .hold([
            row("good, ES256", bearer(token().sign()), PASSES),
            row("good, RS256", bearer(token_by(rs256()).sign()), PASSES),
            row("good, several audiences", bearer(token().audience(json!(["x", AUD])).sign()), PASSES),
            row("expired", bearer(token().expired().sign()), EXPIRED),
            row("expired within the leeway", bearer(token().expires_in(-30).sign()), PASSES),
            row("not yet valid", bearer(token().claim("nbf", in_an_hour()).sign()), NOT_YET),
            row("issued in the future", bearer(token().claim("iat", in_an_hour()).sign()), NOT_YET),
            row("no JWT", bearer("opaque"), INVALID),
            row("two segments", bearer("a.b"), INVALID),
            row("encrypted", bearer("a.b.c.d.e"), INVALID),
            row("no signature", bearer(token().unsigned()), INVALID),
            row("tampered with", bearer(token().tampered()), INVALID),
            row("an unknown key", bearer(token_by(&unknown).sign()), INVALID),
            row("the public key as a secret", bearer(token_by(&public).sign()), INVALID),
            row("another key's algorithm", bearer(with_header(r#"{"alg":"RS256","kid":"es256"}"#)), INVALID),
            row(
                "critical",
                bearer(with_header(r#"{"alg":"ES256","kid":"es256","crit":["x"],"x":1}"#)),
                INVALID,
            ),
            row("another type", bearer(token().header("typ", "dpop+jwt").sign()), INVALID),
            row("another issuer", bearer(token().issuer("https://evil.example").sign()), INVALID),
            row("no issuer", bearer(token().without("iss").sign()), INVALID),
            row("another audience", bearer(token().audience("https://other.example").sign()), INVALID),
            row("no audience", bearer(token().without("aud").sign()), INVALID),
            row("no expiry", bearer(token().without("exp").sign()), INVALID),
            row("an expiry that is text", bearer(token().claim("exp", "soon").sign()), INVALID),
            row("an array for claims", bearer(with_payload("[]")), INVALID),
            row("a claim twice", bearer(with_claims(r#""role":"a","role":"b""#)), INVALID),
            row("bound to a key", bearer(with_claims(r#""cnf":{"jkt":"x"}"#)), INVALID),
            row("an ID token", bearer(token().claim("nonce", "n").claim("at_hash", "h").sign()), INVALID),
            row("a logout token", bearer(token().logout().sign()), INVALID),
        ])
        .await;
}

#[tokio::test]
async fn rs_094_097_098_168_the_profile_lets_only_access_tokens_through_everywhere() {
    let complete =
        || token().header("typ", "at+jwt").claim("client_id", "web").claim("jti", "a").subject("ada");
    let servers = Servers::start(gate(issuer().rfc9068()), by(authenticated())).await;
    servers
        .hold([
            row("complete", bearer(complete().sign()), PASSES),
            row("the type in full", bearer(complete().header("typ", "application/AT+JWT").sign()), PASSES),
            row("the usual type", bearer(complete().header("typ", "JWT").sign()), INVALID),
            row("no type", bearer(complete().without_header("typ").sign()), INVALID),
            row("no client", bearer(complete().without("client_id").sign()), INVALID),
            row("no subject", bearer(complete().without("sub").sign()), INVALID),
            row("no id", bearer(complete().without("jti").sign()), INVALID),
            row("no time of issue", bearer(complete().without("iat").sign()), INVALID),
            row("complete, and expired", bearer(complete().expired().sign()), EXPIRED),
        ])
        .await;
}
