//! `Cookie` lines of requests, and the names that cookies can have (RFC 6265 §4.1.1, §5.4).

use http::{HeaderMap, HeaderName, HeaderValue, header::COOKIE};
use std::{error::Error, fmt};

/// Not the name of a cookie that begins with `__Host-`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidCookie(pub(super) String);

impl fmt::Display for InvalidCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not the name of a cookie that begins with \"__Host-\"", self.0)
    }
}

impl Error for InvalidCookie {}

/// A `token` (RFC 6265 §4.1.1), as the name of a header is (RFC 9110 §5.1).
pub(super) fn is_name(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok()
}

/// All cookies of a request, in their order, as they came.
pub(crate) fn all(request: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    request
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(pair)
}

/// The values of the cookies of this name.
pub(super) fn of_name<'a>(request: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    all(request).filter(move |(found, _)| *found == name.as_bytes()).map(|(_, value)| value)
}

/// Takes cookies out of a request. What is left of a line stays as it came, and so do the other lines.
pub(crate) fn without(request: &mut HeaderMap, is_ours: impl Fn(&[u8]) -> bool) {
    let is_ours = |segment: &[u8]| pair(segment).is_some_and(|(name, _)| is_ours(name));
    let segments = |line: &HeaderValue| -> Option<HeaderValue> {
        let segments = line.as_bytes().split(|byte| *byte == b';');
        if !segments.clone().any(is_ours) {
            return Some(line.clone());
        }
        let left = segments.filter(|segment| !is_ours(segment)).collect::<Vec<_>>().join(&b';');
        let left = left.trim_ascii();
        let mut left = (!left.is_empty()).then(|| HeaderValue::from_bytes(left).ok())??;
        left.set_sensitive(line.is_sensitive());
        Some(left)
    };
    let lines: Vec<_> = request.get_all(COOKIE).iter().filter_map(segments).collect();
    request.remove(COOKIE);
    for line in lines {
        request.append(COOKIE, line);
    }
}

fn pair(segment: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = segment.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (segment[..equals].trim_ascii(), segment[equals + 1..].trim_ascii());
    (!name.is_empty()).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, line.parse().expect("a value"))).collect()
    }

    #[test]
    fn the_others_stay_to_the_byte() {
        let table: &[(&[&str], &[&str])] = &[
            (&[], &[]),
            (&["s=1"], &[]),
            (&["a=b"], &["a=b"]),
            (&[" a = \"b\" ;;c "], &[" a = \"b\" ;;c "]),
            (&["a=b; s=1; c=d"], &["a=b; c=d"]),
            (&["s=1; a=b;c=d"], &["a=b;c=d"]),
            (&["a=b; s=1"], &["a=b"]),
            (&["a=b; s =1;s=2", "s=3", "c=s=1"], &["a=b", "c=s=1"]),
            (&["S=1; ss=2; s"], &["S=1; ss=2; s"]),
        ];
        for (before, after) in table {
            let mut headers = request(before);
            without(&mut headers, |name| name == b"s");
            assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), *after, "{before:?}");
        }
    }

    proptest! {
        #[test]
        fn none_of_ours_is_left_and_none_of_the_others_is_lost(lines in proptest::collection::vec("[st=; \t\"a]{0,20}", 0..4)) {
            let mut headers = request(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            let all_of = |headers: &HeaderMap| all(headers).map(|(name, value)| (name.to_vec(), value.to_vec())).collect::<Vec<_>>();
            let mut expected = all_of(&headers);
            expected.retain(|(name, _)| name != b"s");
            without(&mut headers, |name| name == b"s");
            prop_assert_eq!(all_of(&headers), expected);
        }
    }
}
