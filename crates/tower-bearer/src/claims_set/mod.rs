//! The claims set of a token as it was received (RFC 7519 §2), and where each claim stands in it.

pub(crate) mod scan;

use crate::jwt::{Members, from_object};
use scan::{Ambiguous, is_text, members};
use serde::de::IgnoredAny;
use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

/// The text of one JSON object, and where the names of its members are: policies ask for the same few claims
/// on every request, and go straight to what they ask for.
#[derive(Clone)]
pub(crate) struct ClaimsSet {
    json: Arc<str>,
    /// The names of the members in their order, found by the first question unless they were known before.
    /// `None` where they cannot be told, which does not happen for a text that was checked.
    names: OnceLock<Option<Box<[Name]>>>,
}

#[derive(Clone)]
struct Name {
    /// Between the quotes.
    start: u32,
    end: u32,
    /// Written as it is.
    is_plain: bool,
}

impl ClaimsSet {
    /// Of a text that nobody has looked at. `None` when it is not one JSON object.
    pub(crate) fn parse(json: Arc<str>) -> Option<Self> {
        from_object::<IgnoredAny>(&json).ok()?;
        Some(Self { json, names: OnceLock::new() })
    }

    /// Of a text that was found to be an object with these members.
    pub(crate) fn of_parsed<'a>(json: &'a str, members: &Members<'a>) -> Self {
        let known = members.usual().and_then(|names| Name::all_within(json, names));
        let names = known.map_or_else(OnceLock::new, |known| Some(known).into());
        Self { json: json.into(), names }
    }

    /// As that of a token.
    #[cfg(test)]
    pub(crate) fn of_token(json: &str) -> Self {
        let mut names = Members::default();
        crate::jwt::Payload::default().read(json, &mut names).expect("claims");
        Self::of_parsed(json, &names)
    }

    pub(crate) fn json(&self) -> &Arc<str> {
        &self.json
    }

    /// The value of the claim of this name.
    pub(crate) fn claim(&self, name: &str) -> Result<Option<&str>, Ambiguous> {
        let place = self.place(name)?;
        place.map(|place| self.json.get(place).ok_or(Ambiguous)).transpose()
    }

    /// Where that stands in the text.
    pub(crate) fn place(&self, name: &str) -> Result<Option<Range<usize>>, Ambiguous> {
        let names = self.names.get_or_init(|| Name::all(&self.json)).as_deref().ok_or(Ambiguous)?;
        let mut found = names.iter().enumerate().filter(|(_, candidate)| candidate.is(name, &self.json));
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some((at, name)), None) => self.value(name, names.get(at + 1)).map(Some).ok_or(Ambiguous),
            (Some(_), Some(_)) => Err(Ambiguous),
        }
    }

    /// What stands between a name and the next one, or the end.
    fn value(&self, name: &Name, next: Option<&Name>) -> Option<Range<usize>> {
        let start = name.end as usize + QUOTE;
        let (end, last) = match next {
            Some(next) => ((next.start as usize).checked_sub(QUOTE)?, ','),
            None => (self.json.len(), '}'),
        };
        let value = self.json.get(start..end)?.trim_ascii_end().strip_suffix(last)?.trim_ascii_end();
        let end = start + value.len();
        let value = value.trim_ascii_start().strip_prefix(':')?.trim_ascii_start();
        Some(end - value.len()..end)
    }
}

/// In bytes.
const QUOTE: usize = 1;

impl Name {
    /// All of them, from the text alone.
    fn all(json: &str) -> Option<Box<[Self]>> {
        let mut all = Vec::new();
        members(json, |name, _| {
            let name = json.get(name.start + QUOTE..name.end.checked_sub(QUOTE)?)?;
            all.push(Self { is_plain: !name.contains('\\'), ..Self::within(json, name)? });
            Some(())
        })?;
        Some(all.into())
    }

    /// Of plain names that are parts of `json`.
    fn all_within(json: &str, names: &[&str]) -> Option<Box<[Self]>> {
        let mut all = Vec::with_capacity(names.len());
        for name in names {
            all.push(Self::within(json, name)?);
        }
        Some(all.into())
    }

    fn within(json: &str, name: &str) -> Option<Self> {
        let start = name.as_ptr().addr().wrapping_sub(json.as_ptr().addr());
        let end = start.checked_add(name.len()).filter(|end| *end < json.len())?;
        // The end is no less than the start.
        let end = u32::try_from(end).ok()?;
        Some(Self { start: start.try_into().ok()?, end, is_plain: true })
    }

    fn is(&self, name: &str, json: &str) -> bool {
        let (start, end) = (self.start as usize, self.end as usize);
        if self.is_plain {
            // Nearly all names are told apart by their lengths.
            end - start == name.len() && json.as_bytes().get(start..end) == Some(name.as_bytes())
        } else {
            json.get(start - QUOTE..end + QUOTE).is_some_and(|written| is_text(written, name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{scan::member, *};
    use crate::jwt::Payload;
    use proptest::{collection::vec, prelude::*, sample::select};

    /// The text of an object as nobody would write it, but might.
    fn object() -> impl Strategy<Value = String> {
        let space = || select(&["", "", " ", "\n\t", "\r "][..]);
        let name = select(&["a", "b", "ab", "é", "", "sub", "\\u0061", "\\u0062", "a\\\"b", "\\\\"][..]);
        let value = select(
            &["1", "-1.5e3", "null", "\"\"", "\"a\"", "\"}\\\",\"", "[]", "[1, 2 ]", "{\"a\":1,\"b\":{ }}"][..],
        );
        let member = (space(), name, space(), space(), value, space()).prop_map(
            |(before, name, after, ahead, value, behind)| {
                format!("{before}\"{name}\"{after}:{ahead}{value}{behind}")
            },
        );
        let members = prop_oneof![9 => vec(member.clone(), 0..8), 1 => vec(member, 20..40)];
        (space(), members, space()).prop_map(|(before, members, after)| {
            format!("{before}{{{}{}}}{after}", members.join(","), if members.is_empty() { " " } else { "" })
        })
    }

    const NAMES: [&str; 9] = ["a", "b", "ab", "é", "", "sub", "a\"b", "\\", "c"];

    proptest! {
        #[test]
        fn a_claim_is_the_member_that_a_look_at_all_of_the_text_finds(json in object()) {
            let received = ClaimsSet::parse(json.as_str().into()).expect("an object");
            for name in NAMES {
                prop_assert_eq!(received.claim(name), member(json.trim_ascii_start(), name), "{}", name);
            }
        }

        #[test]
        fn what_was_parsed_knows_its_claims_without_another_look(json in object()) {
            // Names that stand twice are refused.
            let mut names = Members::default();
            if Payload::default().read(&json, &mut names).is_ok() {
                let parsed = ClaimsSet::of_parsed(&json, &names);
                prop_assert_eq!(parsed.names.get().is_some(), names.usual().is_some());
                for name in NAMES {
                    prop_assert_eq!(parsed.claim(name), member(json.trim_ascii_start(), name), "{}", name);
                }
            }
        }

        #[test]
        fn no_text_panics(json in r#"[\[\]{}:,"\\ a1é]{0,24}"#, name in "[a1é]{0,2}") {
            let unchecked = ClaimsSet { json: json.into(), names: OnceLock::new() };
            let _ = unchecked.claim(&name);
        }
    }

    #[test]
    fn the_usual_members_are_known_at_once() {
        let many = |count: usize| {
            let members: Vec<_> = (0..count).map(|number| format!("\"{number}\":[{number}]")).collect();
            format!("{{{}}}", members.join(","))
        };
        for (json, expected) in [
            (r#"{"sub":"a","b":{"c":1}}"#, true),
            ("{}", true),
            (r#"{"\u0061":1}"#, false),
            (&many(24), true),
            (&many(25), false),
        ] {
            assert_eq!(ClaimsSet::of_token(json).names.get().is_some(), expected, "{json}");
        }
        for count in 1..40 {
            let received = ClaimsSet::of_token(&many(count));
            for number in 0..count {
                assert_eq!(received.claim(&number.to_string()), Ok(Some(&*format!("[{number}]"))), "{count}");
            }
        }
    }

    #[test]
    fn what_is_no_object_is_no_claims_set() {
        for json in ["", "[]", "null", "{", "{}x", "\"a\"", r#"{"a":tru}"#, r#"{"a":1,}"#] {
            assert!(ClaimsSet::parse(json.into()).is_none(), "{json}");
        }
    }
}
