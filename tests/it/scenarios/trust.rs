//! Whom the gate trusts, and what it can know of their keys and revocations.

use super::{
    outcome::{EXPIRED, INVALID, MISSING, Outcome, PASSES, UNAVAILABLE, refused},
    row::{bearer, get, row},
    servers::{Servers, by},
};
use crate::support::keys::{AUD, ISS, es256, gate, gate_of, issuer, jwks, rs256, source, token, token_by};
use axum_bearer::{BearerLayer, Issuer, JwtVerifier, Verify as _};
use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
use std::{
    future::ready,
    time::{Duration, SystemTime},
};
use tower_bearer::{
    Algorithm as Alg, Verified,
    keys::{KeySet, KeySink, KeySource, channel},
    policy::authenticated,
    revocation::{CannotTell, DenyList, WhenUnsure},
};

#[tokio::test]
async fn rs_061_081_168_the_keys_of_one_issuer_say_nothing_for_another() {
    let (a, b) = ("https://a.example", "https://b.example");
    // The same name for another key.
    let theirs = SigningKey::generate(Algorithm::ES256).kid("es256");
    let gate = gate_of([
        Issuer::new(a, AUD).algorithms([Alg::ES256]).keys(source(&jwks(&[es256(), rs256()]))),
        Issuer::new(b, AUD).algorithms([Alg::ES256, Alg::RS256]).keys(source(&jwks(&[&theirs, rs256()]))),
    ]);
    let servers = Servers::start(gate, by(authenticated())).await;
    let by = |key: &SigningKey, iss: &str| bearer(TokenBuilder::new(key, iss, AUD).sign());
    servers
        .hold([
            row("A's own", by(es256(), a), PASSES),
            row("B's own", by(&theirs, b), PASSES),
            row("signed by B, in A's name", by(&theirs, a), INVALID),
            row("signed by A, in B's name", by(es256(), b), INVALID),
            row("an algorithm that A does not use", by(rs256(), a), INVALID),
            row("an algorithm that B uses", by(rs256(), b), PASSES),
            row("nobody's", by(es256(), ISS), INVALID),
        ])
        .await;
}

/// The realm is the audience.
const NO_USER: Outcome = refused(
    401,
    &[
        r#"Bearer realm="authenticated", error="invalid_token", error_description="the access token is invalid""#,
    ],
    16,
);

#[tokio::test]
async fn rs_097_168_a_supabase_project_signs_in_users_and_nobody_else() {
    let secret = [7; 32];
    let legacy = SigningKey::hmac(Algorithm::HS256, &secret).without_kid();
    let issued = |key: &SigningKey| {
        TokenBuilder::new(key, "https://abc.supabase.co/auth/v1", "authenticated")
            .claim("role", "authenticated")
            .claim("session_id", "s")
    };
    let id_token = issued(es256()).without("role").without("session_id").claim("nonce", "n");
    let preset = || Issuer::supabase("https://abc.supabase.co").unwrap().keys(source(&jwks(&[es256()])));
    let servers = Servers::start(gate(preset().legacy_jwt_secret(secret)), by(authenticated())).await;
    servers
        .hold([
            row("a user", bearer(issued(es256()).sign()), PASSES),
            row("a user, by the legacy secret", bearer(issued(&legacy).sign()), PASSES),
            row("the anon key", bearer(issued(&legacy).claim("role", "anon").sign()), NO_USER),
            row("the service key", bearer(issued(&legacy).claim("role", "service_role").sign()), NO_USER),
            row("the anon key as it is issued", bearer(issued(&legacy).issuer("supabase").sign()), NO_USER),
            row("a new API key", bearer("sb_secret_abc"), NO_USER),
            row("an ID token", bearer(id_token.sign()), NO_USER),
            row("a refresh token", bearer("v1.MhFy3ZbDgk"), NO_USER),
        ])
        .await;
    let without = Servers::start(gate(preset()), by(authenticated())).await;
    without
        .hold([
            row("a user, without the secret", bearer(issued(es256()).sign()), PASSES),
            row("a user, by a secret that is not trusted", bearer(issued(&legacy).sign()), NO_USER),
        ])
        .await;
}

/// Keys whose publisher has nothing to add to what `begin` published.
fn published(begin: impl FnOnce(&mut KeySink)) -> KeySource {
    let (mut sink, source) = channel();
    begin(&mut sink);
    tokio::spawn(async move { while sink.missed().await.is_some() {} });
    source
}

fn set() -> KeySet {
    KeySet::from_jwks(&jwks(&[es256()]).to_string()).unwrap()
}

#[tokio::test]
async fn rs_029_030_155_168_without_keys_good_tokens_wait_and_bad_ones_do_not() {
    let unknown = token_by(&SigningKey::generate(Algorithm::ES256).kid("unknown")).sign();
    let waiting = published(|_| ());
    let stale = published(|sink| {
        sink.publish(set());
        sink.expire();
    });
    for keys in [waiting, stale] {
        let servers = Servers::start(gate(Issuer::new(ISS, AUD).keys(keys)), by(authenticated())).await;
        servers
            .hold([
                row("a good token", bearer(token().sign()), UNAVAILABLE),
                row("one tampered with", bearer(token().tampered()), UNAVAILABLE),
                row("an unknown key", bearer(&unknown), UNAVAILABLE),
                row("an expired one", bearer(token().expired().sign()), EXPIRED),
                row("another audience", bearer(token().audience("x").sign()), INVALID),
                row("no token", get(), MISSING),
            ])
            .await;
    }
    let lagging = published(|sink| {
        sink.publish(set());
        sink.lag();
    });
    let servers = Servers::start(gate(Issuer::new(ISS, AUD).keys(lagging)), by(authenticated())).await;
    servers
        .hold([
            row("a good token, while the issuer is down", bearer(token().sign()), PASSES),
            row("an unknown key, while the issuer is down", bearer(&unknown), INVALID),
        ])
        .await;
}

#[tokio::test]
async fn rs_101_168_what_was_revoked_is_refused_and_what_cannot_be_told_as_was_chosen() {
    let list = DenyList::new(10);
    list.revoke_token(ISS, "over", SystemTime::now() + Duration::from_secs(600)).unwrap();
    let verifier = || JwtVerifier::new([issuer()]).unwrap();
    let listed = BearerLayer::new(verifier().revocable(list, WhenUnsure::Refuse));
    let servers = Servers::start(listed, by(authenticated())).await;
    servers
        .hold([
            row("not revoked", bearer(token().claim("jti", "good").sign()), PASSES),
            row("revoked", bearer(token().claim("jti", "over").sign()), INVALID),
        ])
        .await;
    let down = |_: &Verified| ready(Err(CannotTell::new("the store is down")));
    for (when_unsure, outcome) in [(WhenUnsure::Refuse, UNAVAILABLE), (WhenUnsure::Accept, PASSES)] {
        let unsure = BearerLayer::new(verifier().revocable(down, when_unsure));
        let servers = Servers::start(unsure, by(authenticated())).await;
        servers
            .hold([
                row("cannot be told", bearer(token().sign()), outcome),
                row("refused anyway", bearer(token().tampered()), INVALID),
            ])
            .await;
    }
}
