//! Good tokens that are good no more: by list, by store, by word of the issuer.

use crate::support::{
    answer::Answer,
    app::{app, ask, bearer},
    keys::{AUD, ISS, es256, issuer, token},
    logs::Logs,
};
use axum::{Router, body::Body, extract::Request};
use axum_bearer::{
    BearerLayer, JwtVerifier, LogoutReceiver, Reason, Verified, Verify,
    revocation::{CannotTell, DenyList, Standing, WhenUnsure},
};
use bearer_testing::TokenBuilder;
use http::header::CONTENT_TYPE;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const CLIENT: &str = "web";

/// The longest of an access token.
const LIFE: Duration = Duration::from_secs(600);

fn verifier() -> JwtVerifier {
    JwtVerifier::new([issuer().logout_client(CLIENT)]).unwrap()
}

/// An API behind a list, which the issuer's logout tokens feed.
fn listed() -> (Router, DenyList) {
    let list = DenyList::new(100);
    let gate = BearerLayer::new(verifier().revocable(list.clone(), WhenUnsure::Refuse));
    let receiver = LogoutReceiver::new(verifier(), list.clone());
    let api = app(gate);
    (Router::new().route_service("/logout", receiver).fallback_service(api), list)
}

fn access(session: &str, jti: &str) -> TokenBuilder {
    token().subject("ada").claim("sid", session).claim("jti", jti)
}

fn logout() -> TokenBuilder {
    TokenBuilder::new(es256(), ISS, CLIENT).subject("ada").logout()
}

fn seconds_ago(seconds: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - seconds
}

async fn post(app: &Router, token: &str) -> Answer {
    let request = Request::post("/logout")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(format!("logout_token={token}")))
        .unwrap();
    ask(app, request).await
}

#[tokio::test]
async fn rs_101_one_token_one_session_or_one_subject_is_refused() {
    let (app, list) = listed();
    let tokens =
        [access("s-1", "a"), access("s-1", "b"), access("s-2", "c"), access("s-3", "d").subject("bob")];
    let reasons = async || {
        let mut reasons = Vec::new();
        for token in &tokens {
            let answer = bearer(&app, &token.sign()).await;
            match answer.reason {
                None => answer.assert_passed("not revoked"),
                Some(reason) => answer.assert_invalid("revoked", reason),
            }
            reasons.push(answer.reason);
        }
        reasons
    };
    let revoked = Some(Reason::Revoked);
    assert_eq!(reasons().await, [None; 4]);
    list.revoke_token(ISS, "a", SystemTime::now() + LIFE).unwrap();
    assert_eq!(reasons().await, [revoked, None, None, None]);
    list.revoke_session(ISS, "s-1", LIFE).unwrap();
    assert_eq!(reasons().await, [revoked, revoked, None, None]);
    list.revoke_subject(ISS, "ada", SystemTime::now(), LIFE).unwrap();
    assert_eq!(reasons().await, [revoked, revoked, revoked, None]);
}

/// The clocks of issuers are granted up to ten minutes, of which a revocation is not told.
#[tokio::test]
async fn a_revoked_token_does_not_come_to_life_by_the_leeway() {
    let list = DenyList::new(10);
    let lenient = issuer().leeway(Duration::from_secs(600));
    let verifier = JwtVerifier::new([lenient]).unwrap();
    let app = app(BearerLayer::new(verifier.revocable(list.clone(), WhenUnsure::Refuse)));
    let expired = |jti| access("s", jti).claim("exp", seconds_ago(590)).sign();
    let exp = SystemTime::now() - Duration::from_secs(590);
    list.revoke_token(ISS, "a", exp).unwrap();
    bearer(&app, &expired("b")).await.assert_passed("not revoked");
    bearer(&app, &expired("a")).await.assert_invalid("revoked", Reason::Revoked);
    list.revoke_session(ISS, "s", Duration::ZERO).unwrap();
    bearer(&app, &expired("b")).await.assert_invalid("its session is over", Reason::Revoked);
}

#[tokio::test]
async fn a_subject_that_signs_in_again_is_welcome() {
    let (app, list) = listed();
    list.revoke_subject(ISS, "ada", SystemTime::now() - Duration::from_secs(30), LIFE).unwrap();
    let issued = |ago| access("s", "j").claim("iat", seconds_ago(ago)).sign();
    bearer(&app, &issued(60)).await.assert_invalid("before", Reason::Revoked);
    bearer(&app, &access("s", "j").without("iat").sign()).await.assert_invalid("who knows", Reason::Revoked);
    bearer(&app, &issued(10)).await.assert_passed("after");
}

#[tokio::test]
async fn a_store_that_is_down_refuses_or_accepts_as_was_chosen() {
    let store = |verified: &Verified| {
        let session = verified.registered().sid.clone();
        async move {
            tokio::task::yield_now().await;
            match session.as_deref() {
                Some("open") => Ok(Standing::Good),
                Some("closed") => Ok(Standing::Revoked),
                _ => Err(CannotTell::new("the store is down")),
            }
        }
    };
    for when_unsure in [WhenUnsure::Refuse, WhenUnsure::Accept] {
        let app = app(BearerLayer::new(verifier().revocable(store, when_unsure)));
        let ask = async |session| bearer(&app, &access(session, "j").sign()).await;
        ask("open").await.assert_passed("open");
        ask("closed").await.assert_invalid("closed", Reason::Revoked);
        let unsure = ask("?").await;
        match when_unsure {
            WhenUnsure::Accept => unsure.assert_passed("fail open"),
            WhenUnsure::Refuse => {
                assert!(!unsure.reached());
                assert_eq!((unsure.status, unsure.challenge().is_some()), (503, false));
                assert!(unsure.header("retry-after").is_some());
            }
        }
        bearer(&app, &access("open", "j").tampered()).await.assert_invalid("forged", Reason::Signature);
    }
}

#[tokio::test]
async fn the_realm_is_that_of_the_verifier_inside() {
    let (app, _) = listed();
    let challenge = ask(&app, Request::new(Body::empty())).await.challenge().unwrap();
    assert_eq!(challenge.param("realm").as_deref(), Some(AUD));
}

#[tokio::test]
async fn rs_153_after_a_logout_the_old_session_is_refused_and_a_new_one_is_not() {
    let (app, _) = listed();
    bearer(&app, &access("old", "a").sign()).await.assert_passed("before");
    let logout = logout().claim("sid", "old").sign();
    let answer = post(&app, &logout).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    bearer(&app, &access("old", "a").sign()).await.assert_invalid("the session", Reason::Revoked);
    bearer(&app, &access("old", "b").sign()).await.assert_invalid("refreshed", Reason::Revoked);
    bearer(&app, &access("new", "c").sign()).await.assert_passed("signed in again");

    let repeated = post(&app, &logout).await;
    assert_eq!((repeated.status, repeated.header("cache-control")), (400, Some("no-store")));
}

#[tokio::test]
async fn a_logout_in_the_name_of_an_issuer_of_ours_is_not_refused_without_a_word() {
    let (app, _) = listed();
    let (logs, _guard) = Logs::capture();
    let warnings = || logs.text().lines().filter(|line| line.contains(" WARN ")).count();
    for (name, token) in [
        ("a stranger's", logout().issuer("https://elsewhere.example").claim("sid", "s").sign()),
        ("none at all", "opaque".to_owned()),
    ] {
        assert_eq!(post(&app, &token).await.status, 400);
        assert_eq!(warnings(), 0, "{name}");
    }
    let of_another_client = logout().audience("another").claim("sid", "s").sign();
    for _ in 0..2 {
        assert_eq!(post(&app, &of_another_client).await.status, 400);
    }
    let warned = logs.text();
    assert_eq!(warnings(), 1, "{warned}");
    assert!(warned.contains("may go on here") && warned.contains(ISS), "{warned}");
    assert!(of_another_client.split('.').all(|part| !warned.contains(part)));
}

#[tokio::test]
async fn rs_153_a_token_with_two_names_of_its_session_is_refused_by_either() {
    let (app, _) = listed();
    let both = access("by-sid", "a").claim("session_id", "by-session-id").sign();
    let other = access("other-sid", "b").claim("session_id", "by-session-id").sign();
    bearer(&app, &both).await.assert_passed("before");
    assert_eq!(post(&app, &logout().claim("sid", "by-sid").sign()).await.status, 200);
    bearer(&app, &both).await.assert_invalid("by its sid", Reason::Revoked);
    bearer(&app, &other).await.assert_passed("another sid");
    assert_eq!(post(&app, &logout().claim("sid", "by-session-id").sign()).await.status, 200);
    bearer(&app, &other).await.assert_invalid("by its session_id", Reason::Revoked);
}

#[tokio::test]
async fn rs_153_a_logout_of_a_subject_ends_what_was_issued_before() {
    let (app, _) = listed();
    let issued = |ago| access("s", "j").claim("iat", seconds_ago(ago));
    assert_eq!(post(&app, &logout().claim("iat", seconds_ago(20)).sign()).await.status, 200);
    bearer(&app, &issued(30).sign()).await.assert_invalid("before", Reason::Revoked);
    bearer(&app, &issued(10).sign()).await.assert_passed("after");
    bearer(&app, &issued(30).subject("bob").sign()).await.assert_passed("somebody else");
}

#[tokio::test]
async fn rs_150_no_token_is_taken_for_one_of_another_kind() {
    let (app, list) = listed();
    for (name, token) in [
        ("an access token", access("s", "j")),
        ("one for the client", access("s", "j").audience(CLIENT)),
        ("an ID token", access("s", "j").audience(CLIENT).claim("nonce", "n").claim("at_hash", "h")),
        ("a typed access token", logout().header("typ", "at+jwt")),
        ("a logout token for the API", logout().audience(AUD)),
    ] {
        let answer = post(&app, &token.sign()).await;
        assert_eq!(answer.status, 400, "{name}");
        let error: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(error["error"], "invalid_request", "{name}");
    }
    assert!(list.is_empty());
    for (name, token) in [
        ("as it is", logout()),
        ("for the API", logout().audience(AUD)),
        ("for both", logout().audience(vec![AUD, CLIENT]).claim("sid", "s").scope("a")),
        ("without its type", logout().audience(AUD).header("typ", "JWT")),
        ("without any type", logout().audience(AUD).without_header("typ")),
    ] {
        bearer(&app, &token.sign()).await.assert_invalid_token(name);
    }
}

#[tokio::test]
async fn logout_tokens_that_cannot_be_decided_about_do_not_fill_the_log() {
    let (logs, _guard) = Logs::capture();
    let began = Instant::now();
    let receiver = LogoutReceiver::new(verifier(), DenyList::new(0));
    let app = Router::new().route_service("/logout", receiver);
    for n in 0..50 {
        let answer = post(&app, &logout().claim("sid", format!("s-{n}")).sign()).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    let warnings = logs.text().lines().filter(|line| line.contains(" WARN ")).count();
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!((1..=seconds + 2).contains(&warnings), "{warnings} in {seconds} s");
    assert_eq!(logs.text().matches("logout refused: cannot decide").count(), 50, "each at some level");
}
