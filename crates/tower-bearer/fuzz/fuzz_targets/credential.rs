//! Whatever `Authorization` headers say, a credential is one b64token out of one header of our scheme.
//!
//! Each line of the input is the value of one header.

#![no_main]

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use libfuzzer_sys::fuzz_target;
use tower_bearer::{Credential, Reason};

const LIMIT: usize = 64;

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for value in input.split(|byte| *byte == b'\n').filter_map(|value| HeaderValue::from_bytes(value).ok()) {
        headers.append(AUTHORIZATION, value);
    }
    let lines = headers.get_all(AUTHORIZATION).iter().count();
    match Credential::from_headers(&headers, "Bearer", LIMIT) {
        Ok(credential) => {
            assert_eq!(lines, 1);
            check(headers[AUTHORIZATION].as_bytes(), &credential);
        }
        Err(reason) => assert_eq!(
            (lines == 0, lines > 1),
            (reason == Reason::NoCredential, reason == Reason::SeveralCredentials)
        ),
    }
});

fn check(value: &[u8], credential: &Credential<'_>) {
    let token = credential.token();
    assert!(!token.is_empty() && token.len() <= LIMIT);
    let body = token.trim_end_matches('=');
    assert!(!body.is_empty() && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b)));

    let words: Vec<_> =
        value.trim_ascii().split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect();
    let [scheme, rest] = words[..] else { panic!("{} words", words.len()) };
    assert!(scheme.eq_ignore_ascii_case(b"Bearer"));
    assert_eq!(rest, token.as_bytes());

    assert_eq!(Credential::new(token).expect("a b64token").token(), token);
    assert_eq!(format!("{credential:?}"), "Credential(..)");
}
