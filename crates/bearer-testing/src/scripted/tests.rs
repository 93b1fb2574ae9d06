//! The scripted endpoint, byte by byte.

use std::{io::ErrorKind, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::*;
use crate::{Algorithm, SigningKey, client};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Long enough for anything that happens at all.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), what).await.expect("it takes too long")
}

async fn playing(step: Step) -> ScriptedJwks {
    let jwks = ScriptedJwks::start().await;
    jwks.always(step);
    jwks
}

async fn connect(jwks: &ScriptedJwks, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(jwks.address()).await.unwrap();
    let request = format!("GET /jwks.json HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Everything until the end of the connection.
async fn read(jwks: &ScriptedJwks) -> std::io::Result<String> {
    let mut answer = String::new();
    soon(connect(jwks, "").await.read_to_string(&mut answer)).await?;
    Ok(answer)
}

/// Head and body of what the step sends.
async fn sent(step: Step) -> (String, String) {
    let answer = read(&playing(step).await).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// Reads until there are so many bytes.
async fn read_some(stream: &mut TcpStream, least: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < least {
        assert_ne!(soon(stream.read_buf(&mut bytes)).await.unwrap(), 0, "closed after {}", bytes.len());
    }
    bytes
}

#[tokio::test]
async fn keys_are_a_well_formed_answer() {
    let key = SigningKey::generate(Algorithm::ES256).kid("a");
    let jwks = playing(Step::jwks([&key])).await;
    let answer = soon(client::get(&jwks.uri())).await;
    assert_eq!((answer.status, &*answer.headers["content-type"]), (200, "application/json"));
    assert_eq!(answer.headers["content-length"], answer.body.len().to_string());
    assert_eq!(answer.json(), json!({ "keys": [key.public_jwk()] }));
}

#[tokio::test]
async fn status_headers_and_body_are_as_the_step_says() {
    let (head, body) = sent(Step::status(429).retry_after(7)).await;
    assert_eq!((head.lines().next(), &*body), (Some("HTTP/1.1 429 Scripted"), ""));
    assert!(head.contains("\r\nRetry-After: 7\r\n") && head.ends_with("\r\nContent-Length: 0"), "{head}");

    let (head, _) = sent(Step::redirect(307, "file:///etc/passwd")).await;
    assert!(head.starts_with("HTTP/1.1 307 ") && head.contains("\r\nLocation: file:///etc/passwd\r\n"));

    let (head, body) = sent(Step::answer(200, "hello").with_status(404).header("X-A", "b")).await;
    assert!(head.starts_with("HTTP/1.1 404 ") && head.contains("\r\nX-A: b\r\n"), "{head}");
    assert_eq!(body, "hello");

    let (head, _) = sent(Step::status(204)).await;
    assert!(!head.contains("Content-Length"), "{head}");
}

#[tokio::test]
async fn until_it_is_told_it_answers_404() {
    let jwks = ScriptedJwks::start().await;
    assert_eq!(client::get(&jwks.uri()).await.status, 404);
    jwks.always(Step::status(200));
    assert_eq!(client::get(&jwks.url("/elsewhere")).await.status, 404);
    jwks.at("/elsewhere", Step::json(&json!({ "issuer": "x" })));
    assert_eq!(client::get(&jwks.url("/elsewhere")).await.json(), json!({ "issuer": "x" }));
    assert_eq!(client::get(&jwks.uri()).await.status, 200);
    let paths: Vec<_> = jwks.requests().iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(paths, ["/jwks.json", "/elsewhere", "/elsewhere", "/jwks.json"]);
}

#[tokio::test]
async fn the_script_is_followed_and_then_what_is_always_so_in_turn() {
    let jwks = ScriptedJwks::start().await;
    jwks.alternate([Step::status(201), Step::status(202)]);
    jwks.then(Step::status(500)).script([Step::status(501), Step::status(502)]);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(client::get(&jwks.uri()).await.status);
    }
    assert_eq!(statuses, [500, 501, 502, 201, 202, 201]);
    jwks.always(Step::status(203));
    assert_eq!(client::get(&jwks.uri()).await.status, 203);
}

#[tokio::test]
async fn an_answer_waits_before_its_head_or_between_head_and_body() {
    let started = Instant::now();
    sent(Step::answer(200, "x").delay(millis(60)).delay_body(millis(50))).await;
    assert!(started.elapsed() >= millis(110));

    let jwks = playing(Step::answer(200, "body").delay_body(millis(80))).await;
    let mut stream = connect(&jwks, "").await;
    let started = Instant::now();
    let head = read_some(&mut stream, 1).await;
    assert!(head.ends_with(b"\r\n\r\n"), "{:?}", String::from_utf8_lossy(&head));
    assert_eq!(read_some(&mut stream, 4).await, b"body");
    assert!(started.elapsed() >= millis(70));
}

#[tokio::test]
async fn dripping_takes_its_time_for_each_byte() {
    for (step, bytes) in [
        (Step::answer(200, "12345").drip_body(millis(10)), 5),
        (Step::answer(200, "").drip(millis(1)), "HTTP/1.1 200 Scripted\r\n\r\n".len()),
        (Step::answer(200, "").drip_body(millis(100_000)), 0),
    ] {
        let drip = if bytes == 5 { 10 } else { 1 };
        let started = Instant::now();
        let (head, body) = sent(step).await;
        assert!(head.starts_with("HTTP/1.1 200 ") && body.len() <= 5);
        assert!(started.elapsed() >= millis(drip * bytes as u64), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_body_is_framed_as_the_step_says() {
    let body = "x".repeat(250);
    let (head, sent_body) = sent(Step::answer(200, &body).chunked()).await;
    assert!(head.ends_with("\r\nTransfer-Encoding: chunked") && !head.contains("Content-Length"));
    let chunk = |len: usize| format!("{len:x}\r\n{}\r\n", "x".repeat(len));
    assert_eq!(sent_body, [chunk(100), chunk(100), chunk(50), "0\r\n\r\n".to_owned()].concat());

    let (head, sent_body) = sent(Step::answer(200, &body).close_delimited()).await;
    assert!(!head.contains("Content-Length") && !head.contains("Transfer-Encoding"));
    assert_eq!(sent_body, body);

    let (head, sent_body) = sent(Step::answer(200, &body).content_length(251)).await;
    assert!(head.ends_with("\r\nContent-Length: 251"));
    assert_eq!(sent_body, body);
}

#[tokio::test]
async fn a_body_stops_where_the_step_says() {
    let step = Step::answer(200, "x".repeat(250));
    let (head, body) = sent(step.clone().stop_at(249, Stop::Close)).await;
    assert!(head.ends_with("\r\nContent-Length: 250"));
    assert_eq!(body.len(), 249);
    assert_eq!(sent(step.clone().stop_at(0, Stop::Close)).await.1, "");

    let (_, body) = sent(step.clone().chunked().stop_at(150, Stop::Close)).await;
    assert!(body.ends_with(&format!("\r\n64\r\n{}", "x".repeat(50))), "in the middle of a chunk: {body}");
    for all in [250, 1000] {
        let (_, body) = sent(step.clone().chunked().stop_at(all, Stop::Close)).await;
        assert!(body.contains("\r\n32\r\nxx") && !body.contains("0\r\n\r\n"), "no last chunk: {body}");
    }
}

#[tokio::test]
async fn a_hanging_step_ends_when_the_client_gives_up() {
    for (step, least) in [
        (Step::hang(), 0),
        (Step::answer(200, "abcd").stop_at(2, Stop::Hang), 3),
        (Step::status(200).delay(Duration::from_secs(3600)), 0),
    ] {
        let jwks = playing(step).await;
        let mut stream = connect(&jwks, "").await;
        soon(jwks.arrived(1)).await;
        read_some(&mut stream, least).await;
        assert_eq!((jwks.in_flight(), jwks.count()), (1, 1));
        drop(stream);
        soon(jwks.idle()).await;
    }
}

#[tokio::test]
async fn endless_answers_go_on_until_the_client_has_enough() {
    const ENOUGH: usize = 1024 * 1024;
    for (step, expected) in [
        (Step::answer(200, "ab").content_length(1 << 40).endless(), "\r\n\r\nababab"),
        (Step::answer(200, "").chunked().endless(), "\r\n\r\n4000\r\n     "),
        (Step::answer(200, "").close_delimited().endless(), "\r\n\r\n     "),
        (Step::endless_headers(), "\r\nX-Endless: xxxx"),
    ] {
        let jwks = playing(step.clone()).await;
        let mut stream = connect(&jwks, "").await;
        let bytes = read_some(&mut stream, ENOUGH).await;
        let start = String::from_utf8_lossy(&bytes[..4096]);
        assert!(start.starts_with("HTTP/1.1 200 ") && start.contains(expected), "{step:?}: {start:.300}");
        assert!(jwks.bytes_sent() >= ENOUGH as u64);
        drop(stream);
        soon(jwks.idle()).await;
    }
}

#[tokio::test]
async fn raw_bytes_are_all_there_is() {
    assert_eq!(read(&playing(Step::raw("\0no HTTP\r\n")).await).await.unwrap(), "\0no HTTP\r\n");
}

#[tokio::test]
async fn a_closed_connection_ends_in_order_and_a_reset_one_does_not() {
    assert_eq!(read(&playing(Step::close()).await).await.unwrap(), "");
    let broken = Step::answer(200, "abcd").stop_at(2, Stop::Reset).delay_body(millis(20));
    for step in [Step::reset(), broken] {
        let error = read(&playing(step.clone()).await).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{step:?}");
    }
}

#[tokio::test]
async fn a_tag_that_the_client_has_is_answered_304() {
    let jwks = playing(Step::answer(200, "new").header("Cache-Control", "max-age=1").etag("\"1\"")).await;
    for (headers, status) in [
        ("", 200),
        ("If-None-Match: \"1\"\r\n", 304),
        ("if-none-match: \"0\", \"1\"\r\n", 304),
        ("If-None-Match: \"2\"\r\n", 200),
        ("If-None-Match: W/\"1\"\r\n", 200),
    ] {
        let mut answer = String::new();
        soon(connect(&jwks, headers).await.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {answer}");
        assert!(
            answer.contains("\r\nETag: \"1\"\r\n") && answer.contains("\r\nCache-Control: max-age=1\r\n")
        );
        assert_eq!(answer.ends_with("\r\n\r\n"), status == 304, "{answer}");
        assert!(status == 200 || !answer.contains("Content-Length"), "{answer}");
    }
    jwks.always(Step::status(304));
    assert!(read(&jwks).await.unwrap().starts_with("HTTP/1.1 304 "), "whatever was asked");
}

#[tokio::test]
async fn requests_are_recorded_with_their_heads_and_counted() {
    let jwks = playing(Step::status(200).delay(millis(50))).await;
    let before = Instant::now();
    let (one, two) = (connect(&jwks, "Accept: a/b\r\n").await, connect(&jwks, "").await);
    soon(jwks.arrived(2)).await;
    assert_eq!((jwks.in_flight(), jwks.most_at_once(), jwks.connections()), (2, 2, 2));
    soon(jwks.idle()).await;
    let requests = jwks.requests();
    assert_eq!(requests[0].head, "GET /jwks.json HTTP/1.1\r\nHost: test\r\nAccept: a/b");
    assert!(requests.iter().all(|request| request.at >= before && request.at.elapsed() >= millis(50)));
    assert_eq!((jwks.in_flight(), jwks.most_at_once(), jwks.count()), (0, 2, 2));
    drop((one, two));

    let silent = TcpStream::connect(jwks.address()).await.unwrap();
    while jwks.connections() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(jwks.count(), 2, "a connection is no request");
    drop(silent);
}

#[tokio::test]
async fn connections_are_refused_until_it_listens_again() {
    let jwks = playing(Step::hang()).await;
    let mut held = connect(&jwks, "").await;
    soon(jwks.arrived(1)).await;
    jwks.refuse().await;
    let end = soon(held.read(&mut [0; 8])).await;
    assert!(matches!(end, Ok(0)) || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    let refused = TcpStream::connect(jwks.address()).await.unwrap_err();
    assert_eq!((refused.kind(), jwks.in_flight()), (ErrorKind::ConnectionRefused, 0));
    jwks.always(Step::status(200));
    jwks.listen().await;
    assert_eq!((client::get(&jwks.uri()).await.status, jwks.count()), (200, 2));
}

#[tokio::test]
async fn the_last_handle_ends_the_endpoint_with_every_connection() {
    let jwks = playing(Step::hang()).await;
    let address = jwks.address();
    let mut held = connect(&jwks, "").await;
    soon(jwks.arrived(1)).await;
    let clone = jwks.clone();
    drop(jwks);
    assert_eq!(clone.in_flight(), 1, "a clone keeps it");
    drop(clone);
    let end = soon(held.read(&mut [0; 8])).await;
    assert!(matches!(end, Ok(0)) || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    assert!(TcpStream::connect(address).await.is_err());
}

#[test]
fn debug_names_what_matters_and_no_body() {
    let step = Step::json(&Value::from("private")).with_status(503).retry_after(1);
    let debug = format!("{step:?}");
    assert!(debug.contains("503") && debug.contains("Retry-After") && !debug.contains("private"), "{debug}");
    for (step, text) in
        [(Step::hang(), "Hang"), (Step::endless_headers(), "endless"), (Step::raw("abc"), "raw: 3")]
    {
        assert!(format!("{step:?}").contains(text), "{step:?}");
    }
}

#[test]
#[should_panic(expected = "100 is not the status of a final HTTP answer")]
fn an_interim_status_is_no_answer() {
    let _ = Step::status(100);
}
