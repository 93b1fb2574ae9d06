//! [`Claim`]: the value of one claim, as it was received.

use crate::claims_set::scan::{Ambiguous, elements, is_text, member, text};
use serde::Deserialize;
use std::{borrow::Cow, fmt};

/// The value of one claim, read when asked for; see [`Verified::claim`](crate::Verified::claim).
///
/// ```
/// use tower_bearer::{RegisteredClaims, Verified};
///
/// let json = r#"{"plan":"pro","seats":5,"groups":["staff","ops"]}"#;
/// let caller = Verified::assertion(RegisteredClaims::default(), ()).with_json(json);
///
/// assert_eq!(caller.claim("plan").and_then(|plan| plan.as_str()).as_deref(), Some("pro"));
/// assert!(caller.claim("seats").is_some_and(|seats| seats.as_u64() >= Some(5)));
/// assert!(caller.claim("groups").is_some_and(|groups| groups.contains("ops")));
///
/// assert!(!caller.claim("groups").is_some_and(|groups| groups.contains("op")), "whole names only");
/// assert!(caller.claim("org").is_none());
/// ```
#[derive(Clone, Copy)]
pub struct Claim<'a>(&'a str);

impl<'a> Claim<'a> {
    /// `json` is a part of text that was checked.
    pub(super) fn new(json: &'a str) -> Self {
        Self(json)
    }

    /// A string, decoded; `None` for any other type.
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        text(self.0)
    }

    /// `true` or `false`; `None` for any other type.
    pub fn as_bool(&self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A number that is a whole one and not negative; `None` for any other.
    pub fn as_u64(&self) -> Option<u64> {
        serde_json::from_str(self.0).ok()
    }

    /// A number; `None` for any other type, and for one beyond the range of `f64`.
    pub fn as_f64(&self) -> Option<f64> {
        // Not a string of digits, nor `null`: serde_json takes neither for a number.
        serde_json::from_str(self.0).ok()
    }

    /// Whether the value is `null`.
    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }

    /// Whether the value names this: a string that equals it, an array with such a string, or an object with
    /// a member of that name, once, whose value is neither `false` nor `null` (Zitadel's roles). Compared
    /// whole, byte by byte: a string with spaces is one name.
    pub fn contains(&self, name: &str) -> bool {
        self.holds(name).unwrap_or(false)
    }

    /// [`contains`](Self::contains), for decisions that must not take a doubtful no for a no.
    pub(super) fn holds(&self, name: &str) -> Result<bool, Ambiguous> {
        match self.0.as_bytes().first() {
            Some(b'"') => Ok(is_text(self.0, name)),
            Some(b'[') => {
                let mut found = false;
                elements(self.0, |element| found |= is_text(element, name)).ok_or(Ambiguous)?;
                Ok(found)
            }
            Some(b'{') => Ok(member(self.0, name)?.is_some_and(|value| !matches!(value, "false" | "null"))),
            _ => Ok(false),
        }
    }

    /// Parses the value into a type of yours.
    ///
    /// # Errors
    /// When it does not fit the type. The error's text may quote the value: keep it out of logs.
    pub fn parse<T: Deserialize<'a>>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0)
    }

    /// The JSON text.
    pub fn as_json(&self) -> &'a str {
        self.0
    }
}

/// Claims are personal data.
impl fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claim(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_its_own_type_only() {
        let table = [
            (r#""a\u00e9\"""#, Some("aé\""), None, None, None),
            (r#""true""#, Some("true"), None, None, None),
            (r#""7""#, Some("7"), None, None, None),
            ("true", None, Some(true), None, None),
            ("false", None, Some(false), None, None),
            ("7", None, None, Some(7), Some(7.0)),
            ("-7", None, None, None, Some(-7.0)),
            ("1.5", None, None, None, Some(1.5)),
            ("1e400", None, None, None, None),
            ("null", None, None, None, None),
            ("[7]", None, None, None, None),
            (r#"{"a":7}"#, None, None, None, None),
            (r#""\ud800""#, None, None, None, None),
        ];
        for (json, text, flag, whole, number) in table {
            let claim = Claim::new(json);
            assert_eq!(claim.as_str().as_deref(), text, "{json}");
            assert_eq!((claim.as_bool(), claim.as_u64(), claim.as_f64()), (flag, whole, number), "{json}");
            assert_eq!(claim.is_null(), json == "null", "{json}");
        }
        assert!(matches!(Claim::new(r#""plain""#).as_str(), Some(Cow::Borrowed("plain"))));
    }

    #[test]
    fn names_are_contained_whole_and_only_where_they_count() {
        let table = [
            (r#""admin""#, true),
            (r#""\u0061dmin""#, true),
            (r#""Admin""#, false),
            (r#""admin user""#, false),
            (r#""admin ""#, false),
            (r#"["user","admin"]"#, true),
            (r#"[ "admin" ]"#, true),
            (r#"[["admin"]]"#, false),
            (r#"[{"admin":true}]"#, false),
            (r#"["administrator",7,null]"#, false),
            ("[]", false),
            (r#"{"admin":{"123":"zitadel.cloud"}}"#, true),
            (r#"{"admin":true}"#, true),
            (r#"{"admin":0}"#, true),
            (r#"{"admin":false}"#, false),
            (r#"{"admin":null}"#, false),
            (r#"{"x":{"admin":true}}"#, false),
            (r#"{"admin":true,"admin":true}"#, false),
            ("{}", false),
            ("true", false),
            ("null", false),
            ("7", false),
        ];
        for (json, expected) in table {
            assert_eq!(Claim::new(json).contains("admin"), expected, "{json}");
        }
        assert_eq!(Claim::new(r#"{"admin":true,"admin":false}"#).holds("admin"), Err(Ambiguous));
    }

    #[test]
    fn a_claim_parses_into_the_applications_types() {
        assert_eq!(Claim::new(r#"["a","b"]"#).parse::<Vec<&str>>().expect("strings"), ["a", "b"]);
        assert!(Claim::new(r#"["a",7]"#).parse::<Vec<&str>>().is_err());
    }

    #[test]
    fn the_value_stays_out_of_debug() {
        assert_eq!(format!("{:?}", Claim::new("\"s3cret\"")), "Claim(..)");
    }
}
