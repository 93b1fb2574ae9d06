//! RS-001 to RS-012: taking the token from the request.

use crate::support::{
    answer::Answer,
    app::{ask, bearer, usual},
    client::exchange,
    keys::token,
    server::Server,
};
use axum::body::Body;
use http::{HeaderName, HeaderValue, Request};

/// One request head, and what becomes of it under every version of HTTP.
#[derive(Debug)]
pub(crate) struct Case {
    rule: u16,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    expected: Expected,
}

#[derive(Clone, Copy, Debug)]
enum Expected {
    Passes,
    /// 401, no error code.
    Missing,
    /// 400 `invalid_request`.
    Malformed,
}

impl Case {
    #[track_caller]
    pub(crate) fn assert(&self, answer: &Answer) {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii())).collect();
        let name = format!("RS-{:03}, {headers:.60?}", self.rule);
        match self.expected {
            Expected::Passes => answer.assert_passed(&name),
            Expected::Missing => answer.assert_missing(&name),
            Expected::Malformed => answer.assert_malformed(&name),
        }
    }
}

type Line = (&'static str, &'static [u8]);

/// All of them; `{}` stands for a good token.
pub(crate) fn cases() -> Vec<Case> {
    use Expected::{Malformed, Missing, Passes};
    let good = token().sign();
    let authorization = "Authorization";
    let one_line: &[(u16, &[u8], Expected)] = &[
        (1, b"Bearer {}", Passes),
        (2, b"bearer {}", Passes),
        (2, b"BEARER {}", Passes),
        (2, b"bEaReR {}", Passes),
        (2, b"BearerX {}", Missing),
        (2, b"Bearer{}", Missing),
        (2, b"Bearertok", Missing),
        (2, b"Bear {}", Missing),
        (3, b"Bearer   {}", Passes),
        (3, b"  Bearer {}  ", Passes),
        (3, b"Bearer\t{}", Malformed),
        (3, b"Bearer \t{}", Malformed),
        (3, b"Bearer,{}", Malformed),
        (4, b"Bearer a b", Malformed),
        (4, b"Bearer {} b", Malformed),
        (4, b"Bearer \"{}\"", Malformed),
        (4, b"Bearer {},u", Malformed),
        (4, b"Bearer token={}", Malformed),
        (4, b"Bearer token=\"{}\"", Malformed),
        (4, b"Bearer [1]", Malformed),
        (4, b"Bearer ==", Malformed),
        (5, b"Bearer", Malformed),
        (5, b"Bearer ", Malformed),
        (5, b"", Malformed),
        (6, b"Bearer {}, Bearer {}", Malformed),
        (6, b"Bearer {},Bearer x", Malformed),
        (7, b"Basic eDp5", Missing),
        (7, b"Basic {}", Missing),
        (7, b"DPoP {}", Missing),
        (7, b"Negotiate", Missing),
        (8, b"Bearer \x80", Malformed),
        (8, b"Bearer {}\xff", Malformed),
        (8, b"Bearer \xc3\xa9", Malformed),
        (8, b"\xffBearer {}", Malformed),
        (8, b"Bearer\xa0{}", Malformed),
    ];
    let fill = |value: &[u8]| {
        let mut filled = value.to_vec();
        while let Some(at) = filled.windows(2).position(|two| two == b"{}") {
            filled.splice(at..at + 2, good.bytes());
        }
        filled
    };
    let mut cases: Vec<_> = one_line
        .iter()
        .map(|(rule, value, expected)| Case {
            rule: *rule,
            headers: vec![(authorization, fill(value))],
            expected: *expected,
        })
        .collect();
    let several: &[(u16, &[Line], Expected)] = &[
        (6, &[(authorization, b"Bearer {}"), (authorization, b"Bearer garbage")], Malformed),
        (6, &[(authorization, b"Bearer garbage"), (authorization, b"Bearer {}")], Malformed),
        (6, &[(authorization, b"Bearer {}"), (authorization, b"Bearer {}")], Malformed),
        (6, &[(authorization, b"Basic eDp5"), (authorization, b"Bearer {}")], Malformed),
        (6, &[(authorization, b"Bearer {}"), (authorization, b"")], Malformed),
        (6, &[(authorization, b"Bearer {}"), ("AUTHORIZATION", b"Bearer {}")], Malformed),
        (9, &[("Proxy-Authorization", b"Bearer {}")], Missing),
        (12, &[("Cookie", b"access_token={}; token={}; Authorization=Bearer {}")], Missing),
        (12, &[("X-Access-Token", b"{}"), ("X-Authorization", b"Bearer {}")], Missing),
        (13, &[], Missing),
    ];
    cases.extend(several.iter().map(|(rule, headers, expected)| Case {
        rule: *rule,
        headers: headers.iter().map(|(name, value)| (*name, fill(value))).collect(),
        expected: *expected,
    }));
    cases
}

/// The cases of one rule, without a socket. Under sockets: RS-168.
async fn check(rule: u16) {
    let app = usual();
    let cases = cases();
    let mut of_rule = cases.iter().filter(|case| case.rule == rule).peekable();
    assert!(of_rule.peek().is_some(), "no case of RS-{rule:03}");
    for case in of_rule {
        let mut request = Request::new(Body::empty());
        for (name, value) in &case.headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
        }
        case.assert(&ask(&app, request).await);
    }
}

#[tokio::test]
async fn rs_001_a_good_token_in_the_authorization_header_passes() {
    check(1).await;
}

#[tokio::test]
async fn rs_002_the_scheme_is_compared_whole_and_without_regard_to_case() {
    check(2).await;
}

#[tokio::test]
async fn rs_003_only_spaces_stand_between_scheme_and_token() {
    check(3).await;
}

#[tokio::test]
async fn rs_004_what_is_no_b64token_never_reaches_the_parser() {
    check(4).await;
}

#[tokio::test]
async fn rs_005_a_scheme_with_nothing_after_it_is_malformed() {
    check(5).await;
}

#[tokio::test]
async fn rs_006_two_credentials_are_refused_and_none_is_chosen() {
    check(6).await;
}

#[tokio::test]
async fn rs_007_another_scheme_counts_as_no_credential() {
    check(7).await;
}

#[tokio::test]
async fn rs_008_every_byte_outside_visible_ascii_is_refused_without_a_panic() {
    check(8).await;
    let app = usual();
    for byte in (0x20..=0xff).chain([b'\t']).filter(|byte| !byte.is_ascii_graphic()) {
        if byte == 0x7f {
            assert!(HeaderValue::from_bytes(&[byte]).is_err(), "the type keeps it out");
            continue;
        }
        let value = [b"Bearer a", &[byte][..], b"b"].concat();
        ask(&app, crate::support::app::request([&value[..]])).await.assert_malformed(&format!("{byte:#x}"));
    }
}

#[tokio::test]
async fn rs_008_control_characters_are_refused_by_somebody_before_the_service() {
    let server = Server::start(usual()).await;
    for byte in (0..0x20).chain([0x7f]).filter(|byte| !matches!(byte, b'\t' | b'\r' | b'\n')) {
        let line = [b"Authorization: Bearer a", &[byte][..], b"b\r\n\r\n"].concat();
        let message = [b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", &line[..]].concat();
        let answer = exchange(server.address, &message).await;
        assert_eq!((answer.status, answer.reached()), (400, false), "{byte:#x}");
    }
}

#[tokio::test]
async fn rs_009_a_credential_beside_the_header_section_is_none() {
    check(9).await;
    let server = Server::start(usual()).await;
    let message = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTE: trailers\r\nTrailer: Authorization\r\n\
        Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nAuthorization: Bearer {}\r\n\r\n",
        token().sign()
    );
    exchange(server.address, message.as_bytes()).await.assert_missing("a trailer");
}

#[tokio::test]
async fn rs_010_a_token_in_the_query_is_not_read() {
    let app = usual();
    let good = token().sign();
    for query in ["access_token", "token", "bearer_token", "jwt"] {
        let request = Request::get(format!("/?{query}={good}")).body(Body::empty()).unwrap();
        ask(&app, request).await.assert_missing(query);
    }
    let request = Request::get(format!("/?access_token={good}")).header("authorization", "Bearer x");
    ask(&app, request.body(Body::empty()).unwrap()).await.assert_invalid_token("the header alone counts");
}

#[tokio::test]
async fn rs_011_a_token_in_a_form_is_not_read() {
    let app = usual();
    let body = format!("access_token={}", token().sign());
    for (method, content_type) in [
        ("POST", "application/x-www-form-urlencoded"),
        ("GET", "application/x-www-form-urlencoded"),
        ("POST", "multipart/form-data; boundary=x"),
    ] {
        let request = Request::builder().method(method).header("content-type", content_type);
        ask(&app, request.body(body.clone().into()).unwrap()).await.assert_missing(content_type);
    }
}

#[tokio::test]
async fn rs_012_cookies_and_other_headers_are_no_source_of_tokens() {
    check(12).await;
}

#[tokio::test]
async fn the_good_token_of_these_tests_is_good() {
    bearer(&usual(), &token().sign()).await.assert_passed("the token");
}
