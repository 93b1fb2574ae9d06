//! What an answer says of the session.

use crate::{SessionError, keeping::Keeping};
use http::{
    HeaderMap, HeaderValue,
    header::{CACHE_CONTROL, SET_COOKIE},
};

/// Adds lines about the session's cookies, unless whoever was behind has said something of them: that is
/// newer.
pub(super) fn set_cookies(response: &mut HeaderMap, keeping: &Keeping, lines: Vec<HeaderValue>) {
    let has_said = response.get_all(SET_COOKIE).iter().any(|line| keeping.is_in(line));
    if lines.is_empty() || has_said {
        return;
    }
    for line in lines {
        response.append(SET_COOKIE, line);
    }
    forbid_caching(response);
}

/// The request that a shared cache has seen had no `Authorization`, by which it would know that the answer is
/// one user's (RFC 9111 §3.5). What the handler says of it stands: that it is everybody's, too. A lifetime alone
/// does not say that.
pub(super) fn keep_private(response: &mut HeaderMap) {
    if !says(response, &["private", "no-store", "public", "s-maxage"]) {
        response.append(CACHE_CONTROL, HeaderValue::from_static("private"));
    }
}

/// What a cache keeps of an answer with somebody's cookie, it hands out to others (RFC 9111 §5.2.2.5, §7.3).
pub(crate) fn forbid_caching(response: &mut HeaderMap) {
    if !says(response, &["no-store"]) {
        response.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
}

/// Whether a directive for caches has one of these names.
fn says(response: &HeaderMap, names: &[&str]) -> bool {
    response.get_all(CACHE_CONTROL).iter().any(|line| {
        line.as_bytes().split(|byte| *byte == b',').any(|directive| {
            let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
            names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
        })
    })
}

/// `Retry-After` in whole seconds (RFC 9110 §10.2.3): never too early.
pub(crate) fn retry_after(error: &SessionError) -> HeaderValue {
    let time = error.retry_after().unwrap_or_default();
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    HeaderValue::from(seconds.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeping::OpaqueCookie;
    use std::time::Duration;

    #[test]
    fn no_cache_keeps_a_cookie_and_nothing_stricter_is_loosened() {
        for (before, after) in [
            (None, "private, no-store"),
            (Some("public, max-age=600"), "private, no-store"),
            (Some("private"), "private, no-store"),
            (Some("no-cache, x=no-store"), "private, no-store"),
            (Some("no-store"), "no-store"),
            (Some("private,No-Store , max-age=0"), "private,No-Store , max-age=0"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(before) = before {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static(before));
            }
            set_cookies(&mut headers, &OpaqueCookie::new().into(), Vec::new());
            assert_eq!(headers.get(CACHE_CONTROL).map(HeaderValue::as_bytes), before.map(str::as_bytes));
            set_cookies(
                &mut headers,
                &OpaqueCookie::new().into(),
                vec![HeaderValue::from_static("__Host-session=")],
            );
            assert_eq!(headers[CACHE_CONTROL], after, "{before:?}");
            assert_eq!(headers.get_all(SET_COOKIE).iter().count(), 1);
        }
    }

    #[test]
    fn an_answer_to_one_user_is_kept_private_unless_it_says_otherwise() {
        for (before, after) in [
            (None, &["private"][..]),
            (Some("max-age=600"), &["max-age=600", "private"]),
            (Some("no-cache"), &["no-cache", "private"]),
            (Some("public, max-age=600"), &["public, max-age=600"]),
            (Some("S-MAXAGE=600"), &["S-MAXAGE=600"]),
            (Some("max-age=0, s-maxage = 600"), &["max-age=0, s-maxage = 600"]),
            (Some("Private , max-age=0"), &["Private , max-age=0"]),
            (Some("no-store"), &["no-store"]),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(before) = before {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static(before));
            }
            keep_private(&mut headers);
            let lines: Vec<_> = headers.get_all(CACHE_CONTROL).iter().collect();
            assert_eq!(lines, after, "{before:?}");
        }
    }

    #[test]
    fn who_was_behind_has_the_last_word_on_the_cookie() {
        for (theirs, lines) in
            [("__Host-session=new; Path=/", 1), ("theme=dark", 2), ("x=__Host-session=a", 2)]
        {
            let mut headers = HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_static(theirs))]);
            set_cookies(
                &mut headers,
                &OpaqueCookie::new().into(),
                vec![HeaderValue::from_static("__Host-session=")],
            );
            assert_eq!(headers.get_all(SET_COOKIE).iter().count(), lines, "{theirs}");
            assert_eq!(headers.get_all(SET_COOKIE).iter().next().unwrap(), theirs);
        }
    }

    #[test]
    fn a_retry_is_never_too_early() {
        for (time, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (59_999, "60")] {
            let error = SessionError::unavailable(Duration::from_millis(time));
            assert_eq!(retry_after(&error), seconds);
        }
        assert_eq!(retry_after(&SessionError::unavailable(Duration::MAX)), u64::MAX.to_string());
    }
}
