//! [`ReturnPath`]: where a browser may be sent without leaving the site.

use percent_encoding::percent_encode_byte;
use std::fmt;

/// The longest return path, in bytes: it goes into a header.
const LONGEST: usize = 2048;

/// A path within this site, with its query: where a browser may be sent without leaving the site.
///
/// A sign-in page must hold the `return_to` that it is given to this, since anybody can make a link to the
/// page:
///
/// ```
/// use tower_bearer::ReturnPath;
///
/// assert_eq!(ReturnPath::parse("/orders?page=2").expect("of this site").as_str(), "/orders?page=2");
/// for elsewhere in ["https://evil.example/", "//evil.example/", "/\\evil.example", "/\t/evil.example", "orders", ""] {
///     assert!(ReturnPath::parse(elsewhere).is_none(), "{elsewhere:?}");
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReturnPath(Box<str>);

impl ReturnPath {
    /// `None` for what a browser could take for another site's address, and for what is no path of up to 2
    /// KiB.
    ///
    /// Browsers read `\` as `/` and leave out tabs and line breaks, so none of these pass, nor anything else
    /// that a URL cannot have unless it is percent-encoded (RFC 3986 §3.3 to §3.5): quotes, angle brackets, a
    /// `%` by itself. Whoever resolves dot segments away finds no `//` at the beginning either.
    pub fn parse(text: &str) -> Option<Self> {
        let (target, fragment) = text.split_once('#').unwrap_or((text, ""));
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        let is_plain = |part: &str| (0..part.len()).all(|at| may_stand(part.as_bytes(), at));
        let is_path = path.starts_with('/') && !path.starts_with("//") && !hides_slashes(path);
        (text.len() <= LONGEST && is_path && is_plain(target) && is_plain(fragment))
            .then(|| Self(text.into()))
    }

    /// The path and query.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReturnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the byte there may stand in a path, a query or a fragment.
fn may_stand(text: &[u8], at: usize) -> bool {
    match text[at] {
        b'%' => text.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
        byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte),
    }
}

/// Whether the path begins with `//` once its dot segments are gone (RFC 3986 §5.2.4).
fn hides_slashes(path: &str) -> bool {
    let mut left = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match &*segment.to_ascii_lowercase().replace("%2e", ".") {
            dots @ ("." | "..") => {
                if dots == ".." {
                    left.pop();
                }
                // What ends in dots ends in a slash.
                if segments.peek().is_none() {
                    left.push("");
                }
            }
            _ => left.push(segment),
        }
    }
    matches!(&*left, ["", _, ..])
}

/// The target of a request, as a URL spells it: `http` takes characters that a URL has only percent-encoded.
pub(crate) fn spelt(target: &str) -> String {
    let bytes = target.as_bytes();
    let mut spelt = String::with_capacity(target.len());
    for (at, byte) in bytes.iter().enumerate() {
        if may_stand(bytes, at) {
            spelt.push(char::from(*byte));
        } else {
            spelt.push_str(percent_encode_byte(*byte));
        }
    }
    spelt
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_return_path_is_short_and_has_nothing_that_browsers_read_as_something_else() {
        let longest = format!("/{}", "x".repeat(LONGEST - 1));
        for good in [
            "/",
            "/a?b=c&d#e",
            "/a//b",
            "/a//",
            "/a//../b",
            "/a/../b",
            "/.",
            "/..",
            "/a/..",
            "/a?/.//b",
            "/a?/../..//b?c",
            "/%5C%09",
            "/-._~!$&'()*+,;=:@?/?#/?",
            &longest,
        ] {
            assert_eq!(ReturnPath::parse(good).as_ref().map(ReturnPath::as_str), Some(good));
        }
        let too_long = format!("{longest}x");
        for bad in [
            "",
            "a",
            "//a",
            r"/\a",
            r"/a\b",
            "/\t/a",
            "/a\tb",
            "/\n/a",
            "/a\r\nb",
            "/a b",
            "/\0",
            "/\x7f",
            "/\u{e9}",
            "https://a",
            "/\"><script>",
            "/`",
            "/{a}",
            "/a|b",
            "/^",
            "/a[0]",
            "/a?b=<c>",
            "/a#b#c",
            "/a#<",
            "/%",
            "/%2",
            "/%zz",
            "/%0z",
            "/%z0",
            "/a?%2",
            "/a#%",
            "/a%#20",
            "/.//a",
            "/./%2E//a",
            "/b/..//a",
            "/b/.%2e//a",
            "/..//a",
            "/.//",
            "/.//a/..",
            "/.//.",
            &too_long,
        ] {
            assert_eq!(ReturnPath::parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_return_path_resolves_within_the_site(text in any::<String>()) {
            if let Some(path) = ReturnPath::parse(&text) {
                let base = url::Url::parse("https://app.example/sign-in").expect("a URL");
                let resolved = base.join(path.as_str()).expect("a path");
                prop_assert_eq!(resolved.origin(), base.origin());
            }
        }

        #[test]
        fn every_target_is_spelt_as_a_url_spells_it(text in "[^/]{0,32}") {
            let base = url::Url::parse("https://app.example").expect("a URL");
            let spelt = spelt(&format!("/a{text}"));
            prop_assert!((0..spelt.len()).all(|at| may_stand(spelt.as_bytes(), at)));
            let path = ReturnPath::parse(&spelt).expect("of characters that may stand there");
            prop_assert!(base.join(path.as_str()).is_ok());
        }

        #[test]
        fn no_path_begins_with_two_slashes_once_it_is_resolved(path in "(/|\\.|%2e|a){0,12}") {
            if let Some(path) = ReturnPath::parse(&format!("/{path}")) {
                let base = url::Url::parse("https://app.example").expect("a URL");
                prop_assert!(!base.join(path.as_str()).expect("a path").path().starts_with("//"), "{path}");
            }
        }

        #[test]
        fn whatever_begins_like_a_path_resolves_within_the_site(text in "[/\\\\@:.?#%\t\r\n a-z]{0,12}") {
            if let Some(path) = ReturnPath::parse(&format!("/{text}")) {
                let base = url::Url::parse("https://app.example/sign-in").expect("a URL");
                prop_assert_eq!(base.join(path.as_str()).expect("a path").origin(), base.origin());
            }
        }
    }
}
