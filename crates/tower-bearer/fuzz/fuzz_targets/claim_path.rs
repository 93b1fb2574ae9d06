//! Whatever the claims say, a claim found by its path is the one that a walk through values finds, too.
//!
//! The first line of the input is the path, its names separated by tabs; the rest is the claims.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::{collections::HashSet, fmt};
use tower_bearer::{
    RegisteredClaims, Verified,
    policy::{ClaimPath, Policy, claim},
};

fuzz_target!(|input: &str| -> Corpus {
    let Some((path, json)) = input.split_once('\n') else { return Corpus::Reject };
    let names: Vec<_> = path.split('\t').collect();
    if names.contains(&"") {
        return Corpus::Reject;
    }
    let path = ClaimPath::from(&*names);
    let caller = Verified::assertion(RegisteredClaims::default(), ()).with_json(json);
    let found = caller.claim(&path);

    let whole = serde_json::from_str::<IgnoredAny>(json).is_ok();
    let object = whole && json.trim_ascii_start().starts_with('{');
    assert_eq!(caller.json().is_some(), object);
    if let Some(found) = found {
        assert!(json.contains(found.as_json()));
        assert!(serde_json::from_str::<IgnoredAny>(found.as_json()).is_ok(), "{}", found.as_json());
        let _ = (found.as_str(), found.as_bool(), found.as_f64(), found.as_u64());
        assert_eq!(format!("{found:?}"), "Claim(..)");
    }
    if names.iter().all(|name| !name.contains("user_meta")) {
        let permitted = claim(&path, |_| true).check(&caller).is_ok();
        assert_eq!(permitted, found.is_some());
    }

    // `Value` knows neither names that stand twice, nor numbers out of range, lone surrogates or great depth.
    let (Ok(value), Ok(Unique(true))) = (serde_json::from_str::<Value>(json), serde_json::from_str(json))
    else {
        return Corpus::Keep;
    };
    let expected = names.iter().try_fold(&value, |value, name| value.as_object()?.get(*name));
    let parsed = found.map(|found| found.parse::<Value>().expect("a part of what was parsed"));
    assert_eq!(parsed.as_ref(), expected);
    if let (Some(found), Some(value)) = (found, expected) {
        check(&names, &found, value);
    }
    Corpus::Keep
});

/// The claim says of itself what the value says.
fn check(names: &[&str], found: &tower_bearer::policy::Claim<'_>, value: &Value) {
    assert_eq!(found.as_str().as_deref(), value.as_str());
    assert_eq!(found.as_bool(), value.as_bool());
    assert_eq!(found.as_u64(), value.as_u64());
    assert_eq!(found.as_f64(), value.as_f64());
    assert_eq!(found.is_null(), value.is_null());
    let named = |name: &str| match value {
        Value::String(text) => text == name,
        Value::Array(list) => list.iter().any(|element| element == name),
        Value::Object(members) => {
            members.get(name).is_some_and(|value| !value.is_null() && *value != Value::Bool(false))
        }
        _ => false,
    };
    let listed = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    let members = value.as_object().into_iter().flat_map(|object| object.keys()).map(String::as_str);
    for name in listed.chain(members).chain(value.as_str()).chain(names.iter().copied()) {
        assert_eq!(found.contains(name), named(name), "{name:?}");
    }
}

/// Whether no name stands twice in any object.
struct Unique(bool);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Unique;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
                Ok(Unique(true))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
                Ok(Unique(true))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
                Ok(Unique(true))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
                Ok(Unique(true))
            }
            fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
                Ok(Unique(true))
            }
            fn visit_unit<E>(self) -> Result<Unique, E> {
                Ok(Unique(true))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Unique, A::Error> {
                let mut unique = true;
                while let Some(Unique(element)) = seq.next_element()? {
                    unique &= element;
                }
                Ok(Unique(unique))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut names = HashSet::new();
                let mut unique = true;
                while let Some((name, Unique(value))) = map.next_entry::<String, Unique>()? {
                    unique &= value & names.insert(name);
                }
                Ok(Unique(unique))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}
