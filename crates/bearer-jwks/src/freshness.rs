//! What the headers of an answer say about its lifetime (RFC 9111 §5, RFC 9110 §10.2.3): pure functions of text.

use std::time::Duration;

/// The lifetime that is left: `max-age` less `Age`. `no-store` and `no-cache` leave none, and so do garbled values:
/// the schedule has a floor for all of them.
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

/// `Retry-After` in its form of seconds. The form of a date is left to the backoff: clocks differ.
pub(crate) fn retry_after(value: &str) -> Option<Duration> {
    seconds(value.trim())
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
    fn retry_after_is_seconds_or_nothing() {
        for (text, expected) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("0", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("Fri, 31 Dec 1999 23:59:59 GMT", None),
            ("99999999999", Some(u64::from(u32::MAX))),
        ] {
            assert_eq!(retry_after(text).map(|wait| wait.as_secs()), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(cache_control in any::<String>(), age in any::<String>()) {
            let _ = lifetime(std::iter::once(&*cache_control), Some(&age));
            let _ = retry_after(&age);
        }
    }
}
