//! What shared caches must not do with the answer to a request that was let in.

use http::{HeaderMap, HeaderValue, header::CACHE_CONTROL};

const PRIVATE: HeaderValue = HeaderValue::from_static("private");

/// Which answers a shared cache may keep. By `Authorization` it knows that an answer is one caller's (RFC
/// 9111 §3.5); it looks at no other place where a token may stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Caching {
    /// Whatever the answer says.
    AsAnswered,
    /// Private unless the answer says that it is everybody's. A lifetime alone does not: of an answer to
    /// `Authorization` no shared cache would take it for that.
    PrivateByDefault,
    /// Private whatever the answer says: the token was part of the URL, which is what caches go by (RFC 6750
    /// §2.3).
    Private,
}

impl Caching {
    pub(crate) fn apply(self, headers: &mut HeaderMap) {
        match self {
            Self::AsAnswered => {}
            Self::PrivateByDefault if is_public(headers) => {}
            _ if !headers.contains_key(CACHE_CONTROL) => drop(headers.insert(CACHE_CONTROL, PRIVATE)),
            Self::PrivateByDefault | Self::Private => {
                if let Some(value) = made_private(headers) {
                    headers.insert(CACHE_CONTROL, value);
                }
            }
        }
    }
}

/// Whether shared caches are invited.
fn is_public(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|text| is(text, &["public", "s-maxage"]))
}

/// The directives without those that invite shared caches. `None` where the answer keeps itself from them
/// already.
fn made_private(headers: &HeaderMap) -> Option<HeaderValue> {
    let lines = headers.get_all(CACHE_CONTROL).iter().map(HeaderValue::to_str).collect::<Result<Vec<_>, _>>();
    // A list inside a quoted-string would be torn apart: what cannot be read in a plain way is left out.
    let lines = lines.ok().filter(|lines| !lines.iter().any(|line| line.contains('"'))).unwrap_or_default();
    let directives =
        || lines.iter().flat_map(|line| line.split(',')).map(str::trim).filter(|text| !text.is_empty());
    if directives().any(|text| is(text, &["private", "no-store"])) {
        return None;
    }
    let kept = directives().filter(|text| !is(text, &["public", "s-maxage", "proxy-revalidate"]));
    let value = std::iter::once("private").chain(kept).collect::<Vec<_>>().join(", ");
    Some(HeaderValue::try_from(value).unwrap_or(PRIVATE))
}

/// Whether a directive is one of these.
fn is(directive: &str, names: &[&str]) -> bool {
    let name = directive.split('=').next().unwrap_or_default().trim();
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(caching: Caching, lines: &[&'static str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
        }
        caching.apply(&mut headers);
        let lines = headers.get_all(CACHE_CONTROL).iter();
        lines.map(|line| line.to_str().expect("ASCII").to_owned()).collect()
    }

    #[test]
    fn rs_011_no_answer_to_a_token_in_the_url_invites_a_shared_cache() {
        for (lines, expected) in [
            (&[][..], &["private"][..]),
            (&[""], &["private"]),
            (&["public"], &["private"]),
            (&["public, max-age=60"], &["private, max-age=60"]),
            (&["max-age=60"], &["private, max-age=60"]),
            (&["Public", "S-MaxAge=9, must-revalidate"], &["private, must-revalidate"]),
            (&["public, s-maxage = 9, max-age = 5"], &["private, max-age = 5"]),
            (&["no-cache=\"a, b\", public"], &["private"]),
            (&["max-age=5", "no-cache=\"a, b\""], &["private"]),
            (&["private=\"set-cookie\", public"], &["private"]),
            (&["private, max-age=5"], &["private, max-age=5"]),
            (&["No-Store"], &["No-Store"]),
            (&["no-cache", "private"], &["no-cache", "private"]),
        ] {
            assert_eq!(applied(Caching::Private, lines), expected, "{lines:?}");
        }
        for (lines, expected) in [
            (&[][..], &["private"][..]),
            (&["public"], &["public"]),
            (&["Public, max-age=60"], &["Public, max-age=60"]),
            (&["max-age=60", "s-maxage = 9"], &["max-age=60", "s-maxage = 9"]),
            (&["max-age=60"], &["private, max-age=60"]),
            (&["max-age=0, must-revalidate"], &["private, max-age=0, must-revalidate"]),
            (&["no-cache"], &["private, no-cache"]),
            (&["no-cache=\"public\""], &["private"]),
            (&["private, max-age=5"], &["private, max-age=5"]),
            (&["no-store"], &["no-store"]),
        ] {
            assert_eq!(applied(Caching::PrivateByDefault, lines), expected, "{lines:?}");
            assert_eq!(applied(Caching::AsAnswered, lines), lines, "{lines:?}");
        }
    }
}
