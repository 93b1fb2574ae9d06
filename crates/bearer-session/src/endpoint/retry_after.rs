//! `Retry-After`: how long an issuer wants to be left alone.

use std::time::{Duration, SystemTime};

/// `Retry-After`, in seconds or as a date (RFC 9110 §10.2.3). A date is held against that of the answer,
/// where it has one, since clocks differ; one that has passed means now.
pub(super) fn retry_after(value: &str, answered: Option<&str>, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse::<u32>().unwrap_or(u32::MAX).into()));
    }
    let then = httpdate::parse_http_date(value).ok()?;
    let now = answered.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    Some(then.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:59:00 GMT").expect("a date");
        let table = [
            ("120", None, Some(120)),
            (" 7 ", None, Some(7)),
            ("99999999999", None, Some(u32::MAX)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", None, Some(59)),
            ("Fri, 31 Dec 1999 23:58:59 GMT", None, Some(0)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some("Fri, 31 Dec 1999 23:59:49 GMT"), Some(10)),
            ("-1", None, None),
            ("", None, None),
        ];
        for (text, answered, expected) in table {
            let expected = expected.map(|seconds| Duration::from_secs(seconds.into()));
            assert_eq!(retry_after(text, answered, now), expected, "{text:?} {answered:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(header in any::<String>()) {
            let _ = retry_after(&header, Some(&header), SystemTime::UNIX_EPOCH);
        }

        #[test]
        fn a_time_to_wait_is_what_was_meant(seconds: u64, now in 0..4_000_000_000_u64, wait in 0..10_000_000_u64, ahead in 0..200_u64) {
            let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let most = Duration::from_secs(u32::MAX.into());
            let read = retry_after(&seconds.to_string(), None, at(now));
            prop_assert_eq!(read, Some(Duration::from_secs(seconds).min(most)));
            let (date, answered) = (httpdate::fmt_http_date(at(now + wait)), httpdate::fmt_http_date(at(now)));
            prop_assert_eq!(retry_after(&date, None, at(now)), Some(Duration::from_secs(wait)));
            // However wrong the clock here is, that of the answer counts.
            let read = retry_after(&date, Some(&answered), at(now + ahead));
            prop_assert_eq!(read, Some(Duration::from_secs(wait)));
        }
    }
}
