//! The cookies of one session, out of the `Cookie` lines of a request.
//!
//! The gate has a reader of these too (`source` of tower-bearer). It is another one on purpose: that one
//! promises to look at nothing but the access token, and to share it would end the promise. The names, and
//! how text stands in them, are one.

use crate::keeping::cookies;
use http::HeaderMap;
use std::collections::HashSet;
use tower_bearer::supabase::cookies::{Part, SessionName, percent_decoded};

/// More cookies of one session than a browser would send, so that none can make us search for long.
const MOST: usize = 64;

/// A session's cookies, in the order in which they came.
pub(super) struct Jar<'a> {
    cookies: Vec<(Part, &'a str, &'a [u8])>,
}

impl<'a> Jar<'a> {
    pub(super) fn of(name: &SessionName, headers: &'a HeaderMap) -> Self {
        // A part's name is ASCII, since all that it consists of is.
        let part =
            |(cookie, value)| Some((name.part(cookie)?, str::from_utf8(cookie).ok()?, unquoted(value)));
        Self { cookies: cookies::all(headers).filter_map(part).collect() }
    }

    /// The names, each once.
    pub(super) fn names(&self) -> Vec<&'a str> {
        let mut seen = HashSet::new();
        self.cookies.iter().map(|(_, name, _)| *name).filter(|name| seen.insert(*name)).collect()
    }

    /// Whether there is this cookie, and no other of its name.
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        let mut same = self.cookies.iter().filter(|(_, cookie, _)| *cookie == name);
        same.next().is_some_and(|(_, _, found)| *percent_decoded(found) == *value.as_bytes())
            && same.next().is_none()
    }

    /// What was written, once for each domain scope. Cookies without a number win.
    pub(super) fn values(&self) -> Vec<Vec<u8>> {
        // An empty value is a deleted cookie.
        let parts: Vec<_> = self.cookies.iter().filter(|(_, _, value)| !value.is_empty()).collect();
        if parts.len() > MOST {
            return Vec::new();
        }
        let of = |wanted: Part| {
            parts.iter().filter(move |(part, _, _)| *part == wanted).map(|(_, _, value)| value)
        };
        let wholes: Vec<_> = of(Part::Whole).map(|value| percent_decoded(value).into_owned()).collect();
        if !wholes.is_empty() {
            return wholes;
        }
        // From `.0` until the first gap, taking of each name the one that came in this place.
        let joined = |scope| {
            let chunks = (0..).map_while(move |number| of(Part::Chunk(number)).nth(scope));
            let value = chunks.map(|chunk| percent_decoded(chunk)).collect::<Vec<_>>().concat();
            (!value.is_empty()).then_some(value)
        };
        (0..).map_while(joined).collect()
    }
}

/// A value without the quotes around it.
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}
