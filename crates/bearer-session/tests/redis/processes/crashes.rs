//! A process is killed at each step between its claim and its commit.

use super::{
    impatient,
    worker::{Stop, Worker},
};
use crate::{
    issuer::{Hold, Issuer, Rules, tokens},
    server::Server,
};
use bearer_session::{SessionErrorKind, endpoint::OnBehalf};
use std::time::{Duration, Instant};

/// Where the process is when it is killed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// It claimed and sent nothing.
    Claimed,
    /// The issuer has the token and does nothing any more.
    Sent,
    /// The issuer has the token, and exchanges it when the process is gone already.
    SentAndExchangedLater,
    /// The issuer has exchanged it, and the answer is lost.
    Exchanged,
    /// The answer is there, and not stored.
    Answered,
    /// It is stored, and nobody has got it yet.
    Committed,
}

const STEPS: [Step; 6] = [
    Step::Claimed,
    Step::Sent,
    Step::SentAndExchangedLater,
    Step::Exchanged,
    Step::Answered,
    Step::Committed,
];

/// What becomes of the session when another process is asked for it.
#[derive(Debug, Eq, PartialEq)]
struct After {
    /// The access token, unless the session is over.
    token: Option<String>,
    /// What the issuer was presented all in all.
    presented: Vec<u64>,
    ended_by_issuer: bool,
}

async fn after_a_kill(server: &Server, rules: Rules, step: Step) -> After {
    let (hold, stop) = match step {
        Step::Claimed => (None, Stop::Claimed),
        Step::Sent | Step::SentAndExchangedLater => (Some(Hold::BeforeExchange), Stop::AtIssuer),
        Step::Exchanged => (Some(Hold::AfterExchange), Stop::AtIssuer),
        Step::Answered => (None, Stop::Answered),
        Step::Committed => (None, Stop::Committed),
    };
    let issuer = Issuer::start(rules, hold, Duration::ZERO).await;
    let other = impatient(issuer.endpoint(), server.patient_store()).build();
    let session = other.create(tokens("0", Duration::ZERO)).await.unwrap();

    let mut worker = Worker::start(&server.url(), issuer.endpoint(), &session, 3, stop);
    assert_eq!(worker.says().await, "ready");
    worker.go();
    match hold {
        Some(_) => issuer.held().await,
        None => assert_eq!(worker.says().await, format!("{stop:?}")),
    }
    worker.kill();
    if step == Step::SentAndExchangedLater {
        issuer.go_on();
        while issuer.presented().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    let started = Instant::now();
    let token = loop {
        match other.access(&session, OnBehalf::default()).await {
            Ok(access) => break Some(access.token().expose().to_owned()),
            Err(error) if error.kind() == SessionErrorKind::SignedOut => break None,
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{rules:?} {step:?}: no answer");
    };
    println!("{rules:?} {step:?}: {token:?} after {:?}", started.elapsed());
    After { token, presented: issuer.presented(), ended_by_issuer: issuer.is_ended() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_nobody_is_signed_out_where_a_token_may_be_presented_again() {
    let Some(server) = Server::start(&[]) else { return };
    for step in STEPS {
        let after = after_a_kill(&server, Rules::Supabase, step).await;
        assert_eq!(after.token.as_deref(), Some("a1"), "{step:?}");
        let presented = match step {
            Step::Claimed | Step::Sent | Step::Committed => vec![0],
            Step::SentAndExchangedLater | Step::Exchanged | Step::Answered => vec![0, 0],
        };
        assert_eq!(after.presented, presented, "{step:?}");
        assert!(!after.ended_by_issuer, "{step:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_a_strict_issuer_is_presented_nothing_twice() {
    let Some(server) = Server::start(&[]) else { return };
    for step in STEPS {
        let after = after_a_kill(&server, Rules::Strict, step).await;
        let presented = match step {
            Step::Claimed | Step::Sent => vec![],
            _ => vec![0],
        };
        assert_eq!(after.presented, presented, "{step:?}");
        assert!(!after.ended_by_issuer, "{step:?}: a double spend");
        // What was stored is there. Of the rest nobody knows whether the token is spent, and its access token expired.
        let expected = (step == Step::Committed).then_some("a1");
        assert_eq!(after.token.as_deref(), expected, "{step:?}");
    }
}
