//! What the headers of an answer say about its lifetime (RFC 9111 §5, RFC 9110 §10.2.3): pure functions of
//! text.

use std::time::{Duration, SystemTime};

/// The lifetime that is left: `max-age` less `Age`. `no-store` and `no-cache` leave none, and so do garbled
/// values: the schedule has a floor for all of them.
pub(crate) fn lifetime<'a>(
    cache_control: impl Iterator<Item = &'a str>,
    age: Option<&str>,
) -> Option<Duration> {
    let mut max_age = None;
    for directive in cache_control.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return Some(Duration::ZERO),
            "max-age" => max_age = Some(seconds(value.trim().trim_matches('"')).unwrap_or(Duration::ZERO)),
            _ => {}
        }
    }
    let age = age.and_then(|age| seconds(age.trim())).unwrap_or(Duration::ZERO);
    max_age.map(|max_age| max_age.saturating_sub(age))
}

/// `Retry-After`, in seconds or as a date (RFC 9110 §10.2.3). A date is held against that of the answer,
/// where it has one, since clocks differ; one that has passed means now.
pub(crate) fn retry_after(value: &str, answered: Option<&str>, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    seconds(value).or_else(|| {
        let then = httpdate::parse_http_date(value).ok()?;
        let now = answered.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
        Some(then.duration_since(now).unwrap_or_default())
    })
}

/// `delta-seconds` (RFC 9111 §1.2.2): digits only. What is too large to count is very long.
fn seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Duration::from_secs(text.parse::<u32>().unwrap_or(u32::MAX).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lifetimes_as_a_table() {
        let table: &[(&[&str], Option<&str>, Option<u64>)] = &[
            (&[], None, None),
            (&["public, max-age=600"], None, Some(600)),
            (&["public", "max-age=600"], None, Some(600)),
            (&["Max-Age = 600"], None, Some(600)),
            (&["max-age=\"600\""], None, Some(600)),
            (&["max-age=600"], Some("100"), Some(500)),
            (&["max-age=600"], Some("900"), Some(0)),
            (&["max-age=600"], Some("soon"), Some(600)),
            (&["max-age=0"], None, Some(0)),
            (&["no-store"], None, Some(0)),
            (&["max-age=600, no-cache"], None, Some(0)),
            (&["max-age=-1"], None, Some(0)),
            (&["max-age=ten"], None, Some(0)),
            (&["max-age"], None, Some(0)),
            (&["max-age=99999999999999999999"], None, Some(u64::from(u32::MAX))),
            (&["s-maxage=5, private"], None, None),
            (&["garbage;;=,,"], None, None),
        ];
        for (cache_control, age, expected) in table {
            let found = lifetime(cache_control.iter().copied(), *age).map(|lifetime| lifetime.as_secs());
            assert_eq!(found, *expected, "{cache_control:?} {age:?}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = |text| httpdate::parse_http_date(text).expect(text);
        let now = date("Fri, 31 Dec 1999 23:59:00 GMT");
        let table = [
            ("120", None, Some(120)),
            (" 7 ", None, Some(7)),
            ("0", None, Some(0)),
            ("99999999999", None, Some(u64::from(u32::MAX))),
            ("Fri, 31 Dec 1999 23:59:59 GMT", None, Some(59)),
            ("Fri, 31 Dec 1999 23:58:59 GMT", None, Some(0)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some("Fri, 31 Dec 1999 23:59:49 GMT"), Some(10)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some("today"), Some(59)),
            ("-1", None, None),
            ("1.5", None, None),
            ("", None, None),
            ("soon", None, None),
            ("Fri, 99 Dec 1999 23:59:59 GMT", None, None),
        ];
        for (text, answered, expected) in table {
            let found = retry_after(text, answered, now).map(|wait| wait.as_secs());
            assert_eq!(found, expected, "{text:?} {answered:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(cache_control in any::<String>(), age in any::<String>()) {
            let _ = lifetime(std::iter::once(&*cache_control), Some(&age));
            let _ = retry_after(&age, Some(&cache_control), SystemTime::UNIX_EPOCH);
        }
    }
}
