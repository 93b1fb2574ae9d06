//! What goes wrong below and around the answer: connections, deadlines, redirects.

use super::{
    by_hand::ByHand,
    keys::{key, set, token},
    rig::{Rig, millis, quick, soon},
};
use bearer_jwks::{FetchError, Schedule, Status};
use bearer_testing::{ScriptedJwks, Step, Stop};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tower_bearer::Reason;

/// A deadline that is waited for.
fn impatient() -> Schedule {
    let mut schedule = quick();
    schedule.deadline = millis(400);
    schedule
}

/// The fetch is cut at the deadline: not before, and not when the endpoint is done.
async fn assert_cut(by_hand: &mut ByHand, name: &str, step: Step) {
    let started = Instant::now();
    let error = by_hand.refused(name, step).await;
    assert!(matches!(error, FetchError::Timeout), "{name}: {error}");
    let took = started.elapsed();
    assert!((impatient().deadline..Duration::from_secs(4)).contains(&took), "{name}: {took:?}");
    soon(by_hand.jwks.idle()).await;
}

#[tokio::test]
async fn j19_a_hang_is_cut_at_the_deadline_wherever_it_is() {
    let mut by_hand = ByHand::with_schedule(impatient()).await;
    let evil = Step::jwks([&key("evil")]);
    for (name, step) in [
        ("nothing", Step::hang()),
        ("headers only", evil.clone().stop_at(0, Stop::Hang)),
        ("half a body", evil.clone().stop_at(60, Stop::Hang)),
        ("no last chunk", evil.clone().chunked().stop_at(usize::MAX, Stop::Hang)),
        ("no end of the connection", evil.clone().close_delimited().stop_at(usize::MAX, Stop::Hang)),
        ("too late", evil.delay(Duration::from_secs(10))),
    ] {
        assert_cut(&mut by_hand, name, step).await;
    }
}

#[tokio::test]
async fn j22_an_answer_that_drips_is_cut_at_the_deadline_although_bytes_flow() {
    let mut by_hand = ByHand::with_schedule(impatient()).await;
    let evil = Step::jwks([&key("evil")]);
    for (name, step) in [
        ("headers", evil.clone().drip(millis(50))),
        ("body", evil.clone().drip_body(millis(50))),
        ("chunks", evil.clone().chunked().drip_body(millis(50))),
        ("a body without end", evil.close_delimited().endless().drip_body(millis(50))),
    ] {
        let before = by_hand.jwks.bytes_sent();
        assert_cut(&mut by_hand, name, step).await;
        assert!(by_hand.jwks.bytes_sent() - before > 2, "{name}: bytes flowed");
    }
}

#[tokio::test]
async fn j20_a_refused_connection_costs_no_key_and_hides_no_rotation_afterwards() {
    let (old, new) = (key("old"), key("new"));
    let mut rig = Rig::ready(Step::jwks([&old]), quick()).await;
    rig.jwks.refuse().await;
    let status = rig.failures(3).await;
    assert!(matches!(status.last_error, Some(FetchError::Transport(_))), "{:?}", status.last_error);
    assert_eq!(rig.verify_now(&token(&old).sign()), Ok(()));
    rig.jwks.always(Step::jwks([&new]));
    rig.jwks.listen().await;
    let status = rig.until(|status| status.generation > 1 && status.key_ids == ["new"]).await;
    assert_eq!(status.failures, 0);
    assert_eq!(rig.verify_now(&token(&new).sign()), Ok(()));
    rig.assert_one_at_a_time();
}

/// That a full queue of connections swallows the next one is Linux's way.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn j20_a_black_hole_costs_no_key_and_hides_no_rotation_afterwards() {
    let mut by_hand = ByHand::with_schedule(impatient()).await;
    by_hand.jwks.refuse().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(by_hand.jwks.address()).unwrap();
    let hole = socket.listen(1).unwrap();
    let mut swallowed = Vec::new();
    while let Ok(stream) = timeout(millis(200), tokio::net::TcpStream::connect(by_hand.jwks.address())).await
    {
        swallowed.push(stream.unwrap());
        assert!(swallowed.len() < 50, "connections are accepted for ever");
    }
    let asked = Instant::now();
    let error = by_hand.refused("a black hole", Step::jwks([&key("evil")])).await;
    assert!(matches!(error, FetchError::Timeout), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(4));
    drop((hole, swallowed));
    by_hand.jwks.listen().await;
    by_hand.taken("new", |new| Step::jwks([new])).await;
}

#[tokio::test]
async fn j21_broken_connections_and_garbage_cost_no_key_and_it_recovers() {
    let (old, new) = (key("old"), key("new"));
    let mut schedule = quick();
    schedule.longest_backoff = schedule.backoff;
    let mut rig = Rig::ready(Step::jwks([&old]), schedule).await;
    let bad = [
        Step::reset(),
        Step::reset(),
        Step::reset(),
        Step::close(),
        Step::raw("\0\u{1}\u{2}garbage\u{ff}"),
        Step::endless_headers(),
        Step::jwks([&new]).stop_at(10, Stop::Reset),
    ];
    let failures = u32::try_from(bad.len()).unwrap();
    rig.jwks.script(bad).always(Step::status(500));
    let good = token(&old).sign();
    for count in 1..=failures + 1 {
        let status = rig.failures(count).await;
        let is_below_http = matches!(status.last_error, Some(FetchError::Transport(_)));
        assert!(is_below_http || status.failures > failures, "{:?}", status.last_error);
        assert_eq!(rig.verify_now(&good), Ok(()));
    }
    rig.jwks.always(Step::jwks([&new]));
    rig.until(|status| status.failures == 0).await;
    assert_eq!(rig.verify_now(&token(&new).sign()), Ok(()));
    rig.assert_apart(rig.shortest_retry());
}

#[tokio::test]
async fn j21_what_is_no_http_replaces_no_keys() {
    let mut by_hand = ByHand::with_keys().await;
    let text = set(&[key("evil").public_jwk()]).to_string();
    let length = text.len();
    for (name, raw) in [
        ("only a body", text.clone()),
        ("no version", format!("200 OK\r\n\r\n{text}")),
        ("another protocol", "SSH-2.0-OpenSSH_9.9\r\n".to_owned()),
        ("http/2", format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{text}")),
        ("a length that is none", format!("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{text}")),
        ("a negative length", format!("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{text}")),
        (
            "two lengths",
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nContent-Length: 2\r\n\r\n{text}"),
        ),
        (
            "a chunk of no length",
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{text}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk of too great a length",
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{text}\r\n0\r\n\r\n"
            ),
        ),
        ("half a head", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n".to_owned()),
        ("a header with a control character", format!("HTTP/1.1 200 OK\r\nX: \u{1}\r\n\r\n{text}")),
        ("an interim answer and the end", "HTTP/1.1 100 Continue\r\n\r\n".to_owned()),
    ] {
        let error = by_hand.refused(name, Step::raw(raw)).await;
        assert!(matches!(error, FetchError::Transport(_)), "{name}: {error}");
    }
}

#[tokio::test]
async fn j32_no_redirect_leads_to_another_origin() {
    let mut by_hand = ByHand::with_keys().await;
    let canary = ScriptedJwks::start().await;
    canary.always(Step::jwks([&key("evil")]));
    let port = canary.address().port();
    for status in [301, 302, 303, 307, 308] {
        for location in [
            canary.uri(),
            format!("http://localhost:{port}/jwks.json"),
            format!("//127.0.0.1:{port}/jwks.json"),
            format!("http://a:b@127.0.0.1:{port}/jwks.json"),
            canary.uri().replace("http://", "https://"),
            "file:///etc/passwd".to_owned(),
            "data:application/json,{}".to_owned(),
            "http://".to_owned(),
        ] {
            let name = format!("{status} to {location}");
            let error = by_hand.refused(&name, Step::redirect(status, &location)).await;
            assert!(
                matches!(error, FetchError::Status { status: found, .. } if found == status),
                "{name}: {error}"
            );
        }
        by_hand.refused("a redirect to nowhere", Step::status(status)).await;
    }
    assert_eq!(canary.connections(), 0);

    // A way round by a redirect within the origin is none.
    by_hand.jwks.at("/next", Step::redirect(302, &canary.uri()));
    by_hand.refused("two steps", Step::redirect(302, "/next")).await;
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn j32_redirects_within_the_origin_are_followed_and_not_for_ever() {
    let mut by_hand = ByHand::with_keys().await;
    let jwks = by_hand.jwks.clone();
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = format!("/{status}");
        by_hand
            .taken(&status.to_string(), |new| {
                jwks.at(&elsewhere, Step::jwks([new]));
                Step::redirect(status, &elsewhere)
            })
            .await;
    }
    by_hand.old = key("old");
    by_hand.refresh(Step::jwks([&by_hand.old.clone()])).await.unwrap();
    let before = jwks.count();
    let error = by_hand.refused("a loop", Step::redirect(302, &jwks.uri())).await;
    assert!(matches!(error, FetchError::Status { status: 302, .. }), "{error}");
    assert_eq!(jwks.count() - before, 1 + 3, "three redirects are followed");
}

#[tokio::test]
async fn j40_a_shutdown_in_the_middle_of_a_fetch_drops_the_connection_and_asks_no_more() {
    let known = key("known");
    let mut schedule = quick();
    schedule.deadline = Duration::from_secs(3600);
    let mut rig = Rig::ready(Step::jwks([&known]), schedule).await;
    rig.jwks.always(Step::hang());
    rig.fetches(1).await;
    assert_eq!(rig.jwks.in_flight(), 1);
    let stopped = Instant::now();
    drop(rig.handle);
    soon(rig.jwks.idle()).await;
    assert!(stopped.elapsed() < millis(250) * 4, "{:?}, on a machine that may be busy", stopped.elapsed());
    let last = soon(rig.status.wait_for(|status| status.unavailable)).await.unwrap().clone();
    assert!(!last.is_ready() && last.next_fetch.is_none());
    assert!(soon(rig.status.changed()).await.is_err(), "the task is gone");
    let count = rig.jwks.count();
    tokio::time::sleep(rig.schedule.every * 2).await;
    assert_eq!(rig.jwks.count(), count);
    assert_eq!(
        super::rig::verify_now(&rig.verifier, &token(&known).sign()),
        Err(Reason::StaleKeys),
        "keys that nobody keeps fresh"
    );
}

#[tokio::test]
async fn j40_the_last_reader_takes_the_fetch_with_it() {
    let mut rig = Rig::ready(Step::jwks([&key("known")]), quick()).await;
    rig.jwks.always(Step::hang());
    rig.fetches(1).await;
    drop(rig.verifier);
    soon(rig.jwks.idle()).await;
    assert!(soon(rig.status.wait_for(|status: &Status| status.failures > 1_000_000)).await.is_err());
}
