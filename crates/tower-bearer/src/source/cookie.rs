//! `Cookie` lines, read where they stand (RFC 6265 §5.4; several lines under HTTP/2, RFC 9113 §8.2.3).

use crate::credential::trim;
use http::{HeaderMap, HeaderValue, header::COOKIE};

/// One cookie, as it came: nothing is decoded but the quotes around a value.
#[derive(Clone, Copy)]
pub(crate) struct Cookie<'a> {
    pub(crate) name: &'a [u8],
    #[cfg_attr(not(feature = "cookies"), expect(dead_code, reason = "read by cookie sources only"))]
    pub(crate) value: &'a [u8],
}

impl<'a> Cookie<'a> {
    /// What stands between two semicolons; `None` when that has no name.
    pub(crate) fn parse(segment: &'a [u8]) -> Option<Self> {
        let equals = segment.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (trim(&segment[..equals]), trim(&segment[equals + 1..]));
        (!name.is_empty()).then(|| Self { name, value: unquoted(value) })
    }
}

/// All cookies of a request, in their order.
#[cfg_attr(not(feature = "cookies"), expect(dead_code, reason = "read by cookie sources only"))]
pub(crate) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    headers.get_all(COOKIE).iter().flat_map(|line| segments(line.as_bytes())).filter_map(Cookie::parse)
}

/// Takes the cookies out that are asked for. Every other one stays byte for byte. Whether there was one.
pub(crate) fn take_out(headers: &mut HeaderMap, is_one: impl Fn(Cookie<'_>) -> bool) -> bool {
    let is_one = |segment: &[u8]| Cookie::parse(segment).is_some_and(&is_one);
    if !headers.get_all(COOKIE).iter().any(|line| segments(line.as_bytes()).any(is_one)) {
        return false;
    }
    let left: Vec<_> = headers.get_all(COOKIE).iter().filter_map(|line| without(line, is_one)).collect();
    headers.remove(COOKIE);
    for line in left {
        headers.append(COOKIE, line);
    }
    true
}

/// The line without them; `None` when nothing else is in it.
fn without(line: &HeaderValue, is_one: impl Fn(&[u8]) -> bool) -> Option<HeaderValue> {
    let left = segments(line.as_bytes()).filter(|segment| !is_one(segment)).collect::<Vec<_>>().join(&b';');
    if left == line.as_bytes() {
        return Some(line.clone());
    }
    // Parts of a valid value are a valid value; should that fail, nothing is left of the line.
    let mut left = HeaderValue::from_bytes(left.trim_ascii()).ok().filter(|left| !left.is_empty())?;
    left.set_sensitive(line.is_sensitive());
    Some(left)
}

/// The parts of one line, white space and all. Quotes do not protect a semicolon (RFC 6265 §4.1.1).
pub(crate) fn segments(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b';')
}

/// `token` of RFC 9110 §5.6.2: what names cookies can have (RFC 6265 §4.1.1).
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(crate::credential::is_tchar)
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

#[cfg(all(test, feature = "cookies"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lines, and the cookies in them.
    type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);

    fn read(lines: &[&str]) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let headers = lines
            .iter()
            .map(|line| (COOKIE, HeaderValue::from_bytes(line.as_bytes()).expect("a value")))
            .collect::<HeaderMap>();
        cookies(&headers).map(|cookie| (text(cookie.name), text(cookie.value))).collect()
    }

    #[test]
    fn the_grammar_as_a_table() {
        let table: &[Row<'_>] = &[
            (&[], &[]),
            (&[""], &[]),
            (&["a=b"], &[("a", "b")]),
            (&["a=b; c=d"], &[("a", "b"), ("c", "d")]),
            (&["a=b;c=d;"], &[("a", "b"), ("c", "d")]),
            (&["a=b", "c=d"], &[("a", "b"), ("c", "d")]),
            (&["a=b=c"], &[("a", "b=c")]),
            (&["a="], &[("a", "")]),
            (&["a=1; a=2"], &[("a", "1"), ("a", "2")]),
            (&["A=1; a=2"], &[("A", "1"), ("a", "2")]),
            (&[" \ta = b \t; c=d"], &[("a", "b"), ("c", "d")]),
            (&["a=\"b c\""], &[("a", "b c")]),
            (&["a=\"b", "c=d\"", "e=\""], &[("a", "\"b"), ("c", "d\""), ("e", "\"")]),
            (&["a=\"\""], &[("a", "")]),
            (&["a=\"b;c=d\""], &[("a", "\"b"), ("c", "d\"")]),
            (&["nothing", "=nameless", ";;"], &[]),
        ];
        for (lines, expected) in table {
            let read = read(lines);
            let read: Vec<_> = read.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(read, *expected, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_joined_is_split_again(
            jar in proptest::collection::vec(("[!#-'*+.0-9A-Z^-z|~-]{1,8}", "[!#-+.-:<-\\[\\]-~=-]{0,12}"), 0..6),
            cut in any::<proptest::sample::Index>(),
        ) {
            let cut = if jar.is_empty() { 0 } else { cut.index(jar.len() + 1) };
            let line = |jar: &[(String, String)]| {
                jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
            };
            let (first, second) = (line(&jar[..cut]), line(&jar[cut..]));
            prop_assert_eq!(read(&[&first, &second]), jar);
        }
    }
}
