//! Finds the parts of JSON text without making values of them.
//!
//! `serde_json` skips values too, but notes their brackets in a buffer of its own: an allocation for every
//! claim that a policy looks at. The text is known to be well-formed (see
//! [`Verified::with_json`](crate::Verified::with_json)); on any other these functions answer `None` or a
//! piece of the text, and never panic.

use crate::jwt::Text;
use std::{borrow::Cow, ops::Range};

/// An object has a member of that name twice: two readers could see two values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ambiguous;

/// The value of the member `name` of an object. `None` where there is none, and for what is no object.
pub(crate) fn member<'a>(json: &'a str, name: &str) -> Result<Option<&'a str>, Ambiguous> {
    if !json.starts_with('{') {
        return Ok(None);
    }
    let mut found = None;
    let whole = members(json, |candidate, value| {
        let is_it = is_text(json.get(candidate)?, name);
        let is_second = is_it && found.replace(json.get(value)?).is_some();
        (!is_second).then_some(())
    });
    whole.map(|()| found).ok_or(Ambiguous)
}

/// Shows the members of an object in order: where the name stands, with its quotes, and where the value,
/// until `visit` has seen enough. `None` then, and when this is no object.
pub(super) fn members(
    json: &str,
    mut visit: impl FnMut(Range<usize>, Range<usize>) -> Option<()>,
) -> Option<()> {
    Scan::of(json).list(b'{', b'}', |scan| {
        let name = scan.value()?;
        scan.eat(b':')?;
        visit(name, scan.value()?)
    })
}

/// Shows the elements of an array in order. `None` when it is no array.
pub(crate) fn elements<'a>(json: &'a str, mut visit: impl FnMut(&'a str)) -> Option<()> {
    Scan::of(json).list(b'[', b']', |scan| {
        visit(json.get(scan.value()?)?);
        Some(())
    })
}

/// What a string says; `None` for any other value. Decoded only where it has escapes.
pub(crate) fn text(json: &str) -> Option<Cow<'_, str>> {
    let plain = json.strip_prefix('"')?.strip_suffix('"')?;
    if plain.contains('\\') {
        serde_json::from_str(json).ok().map(|Text(text)| text)
    } else {
        Some(Cow::Borrowed(plain))
    }
}

/// Whether this is a string that says `expected`.
pub(crate) fn is_text(json: &str, expected: &str) -> bool {
    text(json).is_some_and(|text| text == expected)
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is not white space (RFC 8259 §2).
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte()?, b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.byte()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn list(&mut self, open: u8, close: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.eat(open)?;
        if self.peek()? == close {
            return self.eat(close);
        }
        loop {
            item(self)?;
            if self.peek()? == close {
                return self.eat(close);
            }
            self.eat(b',')?;
        }
    }

    /// One value, whatever is in it. Counts brackets instead of following them: text of any depth needs no
    /// stack.
    fn value(&mut self) -> Option<Range<usize>> {
        self.peek()?;
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' if depth == 0 => return None,
                b',' | b':' => self.at += 1,
                b'"' => self.string()?,
                _ => self.word(),
            }
            if depth == 0 {
                return Some(start..self.at);
            }
        }
    }

    /// Moves past a string: to the first quote that no backslash stands before.
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.byte()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    /// Moves past a number, `true`, `false` or `null`.
    fn word(&mut self) {
        let ends = |byte| {
            matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' | b'{' | b'}' | b'[' | b']' | b'"')
        };
        while self.byte().is_some_and(|byte| !ends(byte)) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_are_found_whatever_stands_around_them() {
        let json =
            r#" { "a" : "x\"}" , "b":[{"c":"]"},{}], "é" : -1.5e3 ,"\u0063":null,"d":{"a":{"b":[]}}} "#
                .trim();
        for (name, value) in [
            ("a", Some(r#""x\"}""#)),
            ("b", Some(r#"[{"c":"]"},{}]"#)),
            ("é", Some("-1.5e3")),
            ("c", Some("null")),
            ("d", Some(r#"{"a":{"b":[]}}"#)),
            ("e", None),
            ("", None),
        ] {
            assert_eq!(member(json, name), Ok(value), "{name}");
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_ambiguous_however_it_is_spelled() {
        for json in [r#"{"a":1,"a":2}"#, r#"{"a":1,"b":0,"\u0061":1}"#, r#"{"a":1,"a":1,"a":1}"#] {
            assert_eq!(member(json, "a"), Err(Ambiguous), "{json}");
            assert_eq!(member(json, "c"), Ok(None), "{json}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for json in ["[]", r#"["a"]"#, r#""a""#, "1", "null", ""] {
            assert_eq!(member(json, "a"), Ok(None), "{json}");
        }
    }

    #[test]
    fn what_is_not_well_formed_shows_nothing() {
        for json in
            ["{", r#"{"a""#, r#"{"a":"#, r#"{"a":1"#, r#"{"a":1]"#, r#"{"a":,}"#, r#"{"a"1}"#, r#"{"a":"\"#]
        {
            assert_eq!(member(json, "a"), Err(Ambiguous), "{json}");
        }
    }

    #[test]
    fn any_depth_is_skipped() {
        let deep = format!(r#"{{"x":{}{},"a":1}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(member(&deep, "a"), Ok(Some("1")));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), name in any::<String>()) {
            let _ = (member(&text, &name), elements(&text, |_| ()), is_text(&text, &name));
        }

        #[test]
        fn nothing_made_of_json_s_own_characters_panics(text in r#"[\[\]{}:,"\\ a1é]{0,24}"#) {
            let _ = (member(&text, "a"), elements(&text, |_| ()), is_text(&text, "a"));
        }
    }
}
