//! Reading JSON that a stranger wrote: objects only, bounded depth, no member twice.

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{borrow::Cow, fmt};

/// The deepest nesting that is read. Real tokens stay below ten.
const MAX_DEPTH: usize = 64;

/// The most members of one object that are told apart. Bounds the search for duplicates.
const MAX_MEMBERS: usize = 256;

/// A visitor's way to say what was wrong in words of ours: the parser's own messages quote the input.
#[derive(Debug, Default)]
pub(crate) struct Fault(Option<&'static str>);

impl Fault {
    pub(crate) fn raise<E: Error>(&mut self, what: &'static str) -> E {
        self.0.get_or_insert(what);
        E::custom(what)
    }

    /// What was raised, or what the parser itself stumbled over.
    pub(crate) fn explain(self, error: &serde_json::Error) -> &'static str {
        self.0.unwrap_or(match error.classify() {
            serde_json::error::Category::Data => "not a JSON object",
            _ => "not well-formed JSON",
        })
    }
}

/// The names of an object's members so far.
#[derive(Debug, Default)]
pub(crate) struct Members<'de> {
    /// As many as objects of their kind usually have, without an allocation.
    first: [&'de str; USUAL_MEMBERS],
    len: usize,
    more: Vec<Cow<'de, str>>,
    /// One bit for each class of names: the first of its class is new without a search.
    classes: u64,
}

/// Access tokens have some fifteen members.
const USUAL_MEMBERS: usize = 24;

impl<'de> Members<'de> {
    /// Notes a name. Duplicates are refused (RFC 7515 §4 and RFC 7519 §4 allow that, and it leaves no room
    /// for two readers to see two tokens), however they are spelled.
    #[inline]
    pub(crate) fn note<E: Error>(&mut self, name: Cow<'de, str>, fault: &mut Fault) -> Result<(), E> {
        if self.len + self.more.len() == MAX_MEMBERS {
            return Err(fault.raise("too many members"));
        }
        let class = class(name.as_bytes());
        if self.classes & class != 0 && self.contains(&name) {
            return Err(fault.raise("a member stands twice"));
        }
        self.classes |= class;
        match name {
            Cow::Borrowed(name) if self.len < USUAL_MEMBERS => {
                self.first[self.len] = name;
                self.len += 1;
            }
            name => self.more.push(name),
        }
        Ok(())
    }

    /// The names as they stand in the text, and in their order; `None` when there are more than usual, or
    /// some are written with escapes.
    pub(crate) fn usual(&self) -> Option<&[&'de str]> {
        self.more.is_empty().then_some(&self.first[..self.len])
    }

    fn contains(&self, name: &str) -> bool {
        self.first[..self.len].contains(&name) || self.more.iter().any(|known| known == name)
    }
}

/// By length and outer letters, which tells apart nearly all names of claims.
fn class(name: &[u8]) -> u64 {
    let letter = |byte: Option<&u8>| byte.map_or(0, |byte| usize::from(*byte));
    1 << ((name.len() + 3 * letter(name.first()) + 7 * letter(name.last())) % 64)
}

/// A string, borrowed from the input where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Skips one value, of bounded depth; unlike [`IgnoredAny`] it holds strings to the rules of JSON.
pub(crate) struct Skip<'f>(pub(crate) usize, pub(crate) &'f mut Fault);

impl<'f> Skip<'f> {
    pub(crate) fn value(fault: &'f mut Fault) -> Self {
        Self(1, fault)
    }
}

impl<'de> DeserializeSeed<'de> for Skip<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self(depth, fault) = self.deeper()?;
        while seq.next_element_seed(Skip(depth, fault))?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(depth, fault) = self.deeper()?;
        while map.next_key_seed(Skip(depth, fault))?.is_some() {
            map.next_value_seed(Skip(depth, fault))?;
        }
        Ok(())
    }
}

impl Skip<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let Self(depth, fault) = self;
        if depth >= MAX_DEPTH { Err(fault.raise("nested too deeply")) } else { Ok(Skip(depth + 1, fault)) }
    }
}

/// What became of a member whose type is judged by the reader of the claims, not by the parser.
pub(crate) enum Typed<'a> {
    Text(Cow<'a, str>),
    List(Vec<Cow<'a, str>>),
    /// Another type, or a list of something else than strings.
    Other,
}

/// Reads one value into [`Typed`]. A list becomes `Other` unless all of it is strings.
pub(crate) struct Typing<'f>(pub(crate) &'f mut Fault);

impl<'de> DeserializeSeed<'de> for Typing<'_> {
    type Value = Typed<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Typed<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Typing<'_> {
    type Value = Typed<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Typed<'de>, E> {
        Ok(Typed::Other)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Typed<'de>, E> {
        Ok(Typed::Other)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Typed<'de>, E> {
        Ok(Typed::Other)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Typed<'de>, E> {
        Ok(Typed::Other)
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Typed<'de>, E> {
        Ok(Typed::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Typed<'de>, E> {
        Ok(Typed::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_unit<E>(self) -> Result<Typed<'de>, E> {
        Ok(Typed::Other)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Typed<'de>, A::Error> {
        let mut list = Some(Vec::new());
        while let Some(element) = seq.next_element_seed(Element(self.0))? {
            match (element, &mut list) {
                (Some(text), Some(list)) => list.push(text),
                _ => list = None,
            }
        }
        Ok(list.map_or(Typed::Other, Typed::List))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Typed<'de>, A::Error> {
        Skip::value(self.0).visit_map(map)?;
        Ok(Typed::Other)
    }
}

/// One element of a list: its text, or `None` for anything but a string.
struct Element<'f>(&'f mut Fault);

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = Option<Cow<'de, str>>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Skip(2, self.0).visit_seq(seq)?;
        Ok(None)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Skip(2, self.0).visit_map(map)?;
        Ok(None)
    }
}

/// Deserializes an object. serde's derived structs also accept arrays, field by field in order: here that
/// would be a second spelling of a token or key set.
pub(crate) fn from_object<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, serde_json::Error> {
    if json.trim_ascii_start().starts_with('{') {
        serde_json::from_str(json)
    } else {
        serde_json::from_str::<IgnoredAny>(json)?;
        Err(serde_json::Error::custom("not a JSON object"))
    }
}
