//! Headers of tokens that were accepted: all tokens of one key have the same, byte for byte.

use super::{Algorithm, header::Header};
use arc_swap::{ArcSwapOption, Guard};
use foldhash::fast::RandomState;
use std::{borrow::Cow, hash::BuildHasher as _, sync::Arc};

/// More than most verifiers have keys that sign. Of two headers that share a place the later one stays.
const PLACES: usize = 8;

/// Header segments of access tokens, and what stands in them. Only accepted tokens get theirs in, and what a
/// header says is all that is remembered: whether a key of that name may sign is asked every time.
#[derive(Default)]
pub(super) struct SeenHeaders {
    places: [ArcSwapOption<Seen>; PLACES],
    hasher: RandomState,
}

/// One of them.
pub(super) struct Seen {
    segment: Box<str>,
    algorithm: Algorithm,
    kid: Option<Box<str>>,
    is_at_jwt: bool,
}

impl SeenHeaders {
    /// What lies where this segment would; see [`Seen::header`].
    pub(super) fn look_up(&self, segment: &str) -> Guard<Option<Arc<Seen>>> {
        self.place(segment).load()
    }

    /// Remembers the header of an accepted token.
    pub(super) fn remember(&self, segment: &str, header: &Header<'_>) {
        let Header { algorithm, kid, is_at_jwt } = header;
        let kid = kid.as_deref().map(Into::into);
        let seen = Seen { segment: segment.into(), algorithm: *algorithm, kid, is_at_jwt: *is_at_jwt };
        self.place(segment).store(Some(Arc::new(seen)));
    }

    fn place(&self, segment: &str) -> &ArcSwapOption<Seen> {
        let hash = self.hasher.hash_one(segment);
        &self.places[usize::try_from(hash % PLACES as u64).unwrap_or_default()]
    }
}

impl Seen {
    /// The header, if this is the segment.
    pub(super) fn header(&self, segment: &str) -> Option<Header<'_>> {
        (*self.segment == *segment).then(|| Header {
            algorithm: self.algorithm,
            kid: self.kid.as_deref().map(Cow::Borrowed),
            is_at_jwt: self.is_at_jwt,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::TokenKind;

    #[test]
    fn only_the_very_segment_is_recognised_and_says_what_it_says() {
        let seen = SeenHeaders::default();
        let json = br#"{"alg":"ES256","kid":"a","typ":"at+jwt"}"#;
        let header = Header::parse(json, TokenKind::Access).expect("a header");
        assert!(seen.look_up("segment").is_none());
        seen.remember("segment", &header);
        let found = |segment: &str| {
            let place = seen.look_up(segment);
            let header = place.as_ref().and_then(|seen| seen.header(segment));
            header.map(|header| format!("{header:?}"))
        };
        assert_eq!(found("segment"), Some(format!("{header:?}")));
        // More than there are places, so that some share that of the one remembered.
        for other in 0..1000 {
            assert_eq!(found(&format!("segment{other}")), None);
        }
    }

    #[test]
    fn of_headers_that_share_a_place_the_latest_one_stays() {
        let seen = SeenHeaders::default();
        let header = Header::parse(br#"{"alg":"ES256"}"#, TokenKind::Access).expect("a header");
        let is_known =
            |segment: &str| seen.look_up(segment).as_ref().is_some_and(|seen| seen.header(segment).is_some());
        let segments: Vec<_> = (0..1000).map(|number| number.to_string()).collect();
        for segment in &segments {
            seen.remember(segment, &header);
            assert!(is_known(segment), "{segment}");
        }
        let known = segments.iter().filter(|segment| is_known(segment)).count();
        assert!((1..=PLACES).contains(&known), "{known}");
    }
}
