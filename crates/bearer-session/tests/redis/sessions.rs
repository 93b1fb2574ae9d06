//! The owner of sessions over a Redis that fails: nobody is signed out, and nothing is presented twice.

use crate::{
    issuer::{Hold, Issuer, Rules, tokens},
    server::{BOUND, Server, keyring},
};
use bearer_session::{
    Access, Secret, SessionErrorKind, SessionId, Sessions, SessionsBuilder, endpoint::OnBehalf,
};
use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::sleep;
use tower_bearer::{Algorithm, JwtVerifier};

const HOUR: Duration = Duration::from_secs(3600);

fn sessions(server: &Server, issuer: &Issuer) -> SessionsBuilder {
    Sessions::builder(issuer.endpoint(), server.store(), keyring())
}

async fn strict(hold: Option<Hold>) -> Issuer {
    Issuer::start(Rules::Strict, hold, Duration::ZERO).await
}

/// Asks until there is a token, for a while. Nobody may be signed out meanwhile.
async fn access(sessions: &Sessions, session: &SessionId) -> Access {
    let started = Instant::now();
    loop {
        match sessions.access(session, OnBehalf::default()).await {
            Ok(access) => return access,
            Err(error) => assert_eq!(error.kind(), SessionErrorKind::Unavailable),
        }
        assert!(started.elapsed() < Duration::from_secs(20), "no token");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn new_tokens_are_stored_when_redis_is_back_and_nobody_gets_them_before() {
    let Some(mut server) = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]) else { return };
    let issuer = strict(Some(Hold::AfterExchange)).await;
    let sessions = sessions(&server, &issuer).build();
    let session = sessions.create(tokens("0", Duration::ZERO)).await.unwrap();
    let waiting = tokio::spawn({
        let (sessions, session) = (sessions.clone(), session.clone());
        async move { access(&sessions, &session).await }
    });
    issuer.held().await;
    server.kill();
    issuer.go_on();
    sleep(Duration::from_millis(700)).await;
    assert!(!waiting.is_finished(), "the new token is not stored yet");
    server.restart();
    assert_eq!(waiting.await.unwrap().token().expose(), "a1");
    let other = self::sessions(&server, &issuer).build();
    assert_eq!(access(&other, &session).await.token().expose(), "a1");
    assert_eq!(issuer.presented(), [0]);
}

#[tokio::test]
async fn without_redis_a_live_token_serves_and_nothing_is_refreshed() {
    let Some(mut server) = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]) else { return };
    let issuer = strict(None).await;
    let sessions = sessions(&server, &issuer).local_for(Duration::from_millis(50)).build();
    let live = sessions.create(tokens("0", HOUR)).await.unwrap();
    let expired = sessions.create(tokens("0", Duration::ZERO)).await.unwrap();
    server.kill();
    sleep(Duration::from_millis(100)).await;
    let served = sessions.access(&live, OnBehalf::default()).await.unwrap();
    assert_eq!(served.token().expose(), "a0");
    let refused = sessions.access(&expired, OnBehalf::default()).await.unwrap_err();
    assert_eq!(refused.kind(), SessionErrorKind::Unavailable, "not signed out");
    assert_eq!(issuer.presented(), [] as [u64; 0], "no claim, no exchange");
    server.restart();
    assert_eq!(access(&sessions, &expired).await.token().expose(), "a1");
    assert_eq!(issuer.presented(), [0]);
}

/// The claim is granted after its caller gave up. A strict issuer's session must survive that.
#[tokio::test]
async fn a_redis_that_froze_during_a_claim_signs_nobody_out() {
    let Some(server) = Server::start(&[]) else { return };
    let issuer = strict(None).await;
    let sessions = sessions(&server, &issuer).build();
    // A third of its life is left, so that the next request causes a claim, and waits for nothing.
    let session = sessions.create(tokens("0", Duration::from_millis(1500))).await.unwrap();
    sleep(Duration::from_millis(1100)).await;
    server.freeze();
    let served = sessions.access(&session, OnBehalf::default()).await.unwrap();
    assert_eq!(served.token().expose(), "a0");
    sleep(BOUND * 2).await;
    server.thaw();
    assert_eq!(access(&sessions, &session).await.token().expose(), "a1");
    assert_eq!(issuer.presented(), [0]);
}

/// The same, and from then on the requests come to another process, which knows nothing of that claim.
#[tokio::test]
async fn a_claim_that_a_frozen_redis_grants_late_holds_up_no_other_process() {
    let Some(server) = Server::start(&[]) else { return };
    let issuer = strict(None).await;
    let one = sessions(&server, &issuer).build();
    let session = one.create(tokens("0", Duration::from_millis(1500))).await.unwrap();
    sleep(Duration::from_millis(1100)).await;
    server.freeze();
    one.access(&session, OnBehalf::default()).await.unwrap();
    sleep(BOUND * 3).await;
    server.thaw();
    sleep(Duration::from_millis(1500)).await;
    let (other, asked) = (sessions(&server, &issuer).build(), Instant::now());
    assert_eq!(access(&other, &session).await.token().expose(), "a1");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(issuer.presented(), [0]);
}

#[tokio::test]
async fn an_evicted_session_is_signed_out_and_its_token_is_presented_no_more() {
    let Some(server) = Server::start(&[]) else { return };
    let issuer = strict(Some(Hold::BeforeExchange)).await;
    let sessions = sessions(&server, &issuer).build();
    let session = sessions.create(tokens("0", Duration::ZERO)).await.unwrap();
    let waiting = tokio::spawn({
        let (sessions, session) = (sessions.clone(), session.clone());
        async move { sessions.access(&session, OnBehalf::default()).await }
    });
    issuer.held().await;
    server.ask::<()>(&["FLUSHALL"]);
    let other = self::sessions(&server, &issuer).build();
    let refused = other.access(&session, OnBehalf::default()).await.unwrap_err();
    assert_eq!(refused.kind(), SessionErrorKind::SignedOut);
    issuer.go_on();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), SessionErrorKind::SignedOut);
    assert_eq!(issuer.presented(), [0]);
}

#[tokio::test]
async fn a_sign_out_in_one_instance_is_seen_by_the_other() {
    let Some(server) = Server::start(&[]) else { return };
    let issuer = strict(None).await;
    let local_for = Duration::from_millis(300);
    let [one, other] = [(); 2].map(|()| sessions(&server, &issuer).local_for(local_for).build());
    let session = one.create(tokens("0", HOUR)).await.unwrap();
    access(&other, &session).await;
    one.sign_out(&session, bearer_session::endpoint::SignOutScope::Local, OnBehalf::default()).await.unwrap();
    sleep(local_for).await;
    let refused = other.access(&session, OnBehalf::default()).await.unwrap_err();
    assert_eq!(refused.kind(), SessionErrorKind::SignedOut);
}

#[tokio::test]
async fn a_logout_at_the_issuer_is_seen_by_the_instance_that_was_not_told() {
    let Some(server) = Server::start(&[]) else { return };
    let issuer = strict(None).await;
    let (key, iss) = (SigningKey::hmac(Alg::HS256, &[7; 32]), "https://issuer.example");
    let issued = |sub: &str| TokenBuilder::new(&key, iss, "app").subject(sub);
    let [told, other] = [(); 2].map(|()| sessions(&server, &issuer).heed_logouts().build());
    let mut begun = Vec::new();
    for user in ["ada", "bob"] {
        let mut tokens = tokens("0", HOUR);
        tokens.id_token = Some(Secret::new(issued(user).sign()));
        begun.push(told.create(tokens).await.unwrap());
    }
    let verifier =
        tower_bearer::Issuer::new(iss, "api").hmac_secret(Algorithm::HS256, [7; 32]).logout_client("app");
    let verifier = JwtVerifier::new([verifier]).unwrap();
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).unwrap().as_secs();
    // The later one takes the place of the other.
    for iat in [second - 1, second] {
        let logout = issued("ada").logout().claim("iat", iat).sign();
        told.heed_logout(verifier.verify_logout_token(&logout, now).await.unwrap()).await.unwrap();
    }
    let over = other.access(&begun[0], OnBehalf::default()).await.unwrap_err();
    assert_eq!(over.kind(), SessionErrorKind::SignedOut);
    access(&other, &begun[1]).await;
    assert_eq!(issuer.presented().len(), 0);
}

#[tokio::test]
async fn a_thousand_requests_on_a_live_session_cost_redis_next_to_nothing() {
    let Some(server) = Server::start(&[]) else { return };
    let issuer = strict(None).await;
    for (local_for, at_most) in [(Duration::from_secs(5), 1), (Duration::ZERO, 1000)] {
        let sessions = sessions(&server, &issuer).local_for(local_for).build();
        let signed_in = self::sessions(&server, &issuer).build();
        let session = signed_in.create(tokens("0", HOUR)).await.unwrap();
        let before = server.calls("evalsha");
        let started = Instant::now();
        for _ in 0..1000 {
            sessions.access(&session, OnBehalf::default()).await.unwrap();
        }
        let (took, calls) = (started.elapsed(), server.calls("evalsha") - before);
        println!("1000 requests, trusted for {local_for:?}: {calls} commands, {took:?}");
        // The time of the test is not paused: on a slow machine one more look may fall into it.
        assert!((1..=at_most + 1).contains(&calls), "{calls}");
    }
}
