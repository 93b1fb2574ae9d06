//! [`ClaimPath`]: where a claim stands.

use super::claim::Claim;
use crate::{
    claims_set::{
        ClaimsSet,
        scan::{Ambiguous, member},
    },
    error::{AuthError, Reason},
    verify::Verified,
};
use std::sync::Arc;

/// Where a claim stands: the name of a member, or the names on the way down to a nested one. Cheap to clone.
///
/// Text is split at its dots; a list is taken as it is, for names that have dots of their own:
///
/// ```
/// use tower_bearer::{RegisteredClaims, Verified};
///
/// let json = r#"{
///     "resource_access": { "my.app": { "roles": ["editor"] } },
///     "https://example.com/roles": ["editor"]
/// }"#;
/// let caller = Verified::assertion(RegisteredClaims::default(), ()).with_json(json);
///
/// assert!(caller.claim(["resource_access", "my.app", "roles"]).is_some());
/// assert!(caller.claim(["https://example.com/roles"]).is_some());
/// assert!(caller.claim("resource_access.my.app.roles").is_none(), "four names");
/// ```
///
/// # Panics
/// A path is written by the developer, so a wrong one is a mistake in the program. All conversions panic when
/// there is no name, or an empty one; that from text also when it is a URL (`://`), whose dots are not meant
/// to separate.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ClaimPath(Arc<[Box<str>]>);

impl ClaimPath {
    fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        let names: Arc<[Box<str>]> = names.into_iter().map(|name| name.as_ref().into()).collect();
        assert!(!names.is_empty(), "a claim path has at least one name");
        assert!(names.iter().all(|name| !name.is_empty()), "a claim path has no empty names");
        Self(names)
    }

    /// Holds the path to what a decision may rest on.
    ///
    /// # Panics
    /// When it leads into what users write about themselves.
    #[track_caller]
    pub(super) fn trusted(self) -> Self {
        let first = self.names().next().unwrap_or_default();
        let name = first.rsplit('/').next().unwrap_or(first);
        let writable = ["user_metadata", "raw_user_meta_data"].contains(&name);
        assert!(!writable, "users write {first} themselves: no policy can rest on it");
        self
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }
}

/// Split at the dots.
impl From<&str> for ClaimPath {
    fn from(path: &str) -> Self {
        assert!(
            !path.contains("://"),
            "the name of a claim that is a URL is given as a list: [\"https://…\"]"
        );
        Self::new(path.split('.'))
    }
}

impl<S: AsRef<str>, const N: usize> From<[S; N]> for ClaimPath {
    fn from(names: [S; N]) -> Self {
        Self::new(names)
    }
}

impl<S: AsRef<str>> From<&[S]> for ClaimPath {
    fn from(names: &[S]) -> Self {
        Self::new(names)
    }
}

impl<S: AsRef<str>> From<Vec<S>> for ClaimPath {
    fn from(names: Vec<S>) -> Self {
        Self::new(names)
    }
}

/// The same path: what a lookup with a path made before costs.
impl From<&ClaimPath> for ClaimPath {
    fn from(path: &ClaimPath) -> Self {
        path.clone()
    }
}

impl Verified {
    /// The claim at `path`, read out of [`json`](Self::json). `None` where there is none, where a name on the
    /// way stands twice, and where no JSON was handed over.
    ///
    /// A path that is used often is made once, and given as `&path`: then nothing is allocated, but by the
    /// first question for claims that came [`with_json`](Self::with_json), and where names are written with
    /// escapes.
    ///
    /// # Panics
    /// When `path` is none; see [`ClaimPath`].
    pub fn claim(&self, path: impl Into<ClaimPath>) -> Option<Claim<'_>> {
        find(self.claims_set()?, path.into().names()).ok().flatten()
    }
}

/// The claim, for a decision: what cannot be told is an error, not an absent claim, since absence may permit.
pub(super) fn look<'v, 'p>(
    verified: &'v Verified,
    path: impl IntoIterator<Item = &'p str>,
) -> Result<Option<Claim<'v>>, AuthError> {
    let claims = verified.claims_set().ok_or(Reason::NoClaims)?;
    find(claims, path).map_err(AuthError::from)
}

impl From<Ambiguous> for AuthError {
    fn from(Ambiguous: Ambiguous) -> Self {
        Reason::MalformedClaims("a member stands twice").into()
    }
}

fn find<'a, 'p>(
    claims: &'a ClaimsSet,
    path: impl IntoIterator<Item = &'p str>,
) -> Result<Option<Claim<'a>>, Ambiguous> {
    let mut names = path.into_iter();
    let mut value = names.next().map_or(Ok(None), |name| claims.claim(name))?;
    for name in names {
        let Some(outer) = value else { break };
        value = member(outer, name)?;
    }
    Ok(value.map(Claim::new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::caller;
    use proptest::{collection::vec, prelude::*};
    use serde_json::{Map, Value};
    use std::panic::catch_unwind;

    const CLAIMS: &str = r#" {"sub":"u","realm_access":{"roles":["a"]},"n":{"a":{"b":{"c":1}}},"x":"\"n\":{}",
        "\u0065scaped":{"\u0069n":true},"twice":{"a":1,"a":2,"b":3},"a.b":4,"null":null}"#;

    #[test]
    fn claims_are_found_by_their_path_alone() {
        let caller = caller(CLAIMS);
        for (path, expected) in [
            (&["sub"][..], Some("\"u\"")),
            (&["realm_access", "roles"], Some("[\"a\"]")),
            (&["n", "a", "b", "c"], Some("1")),
            (&["n", "a"], Some("{\"b\":{\"c\":1}}")),
            (&["escaped", "in"], Some("true")),
            (&["a.b"], Some("4")),
            (&["null"], Some("null")),
            (&["null", "a"], None),
            (&["a", "b"], None),
            (&["roles"], None),
            (&["n", "c"], None),
            (&["n", "a", "b", "c", "d"], None),
            (&["sub", "u"], None),
            (&["realm_access", "roles", "a"], None),
            (&["realm_access", "roles", "0"], None),
            (&["twice", "b"], Some("3")),
            (&["twice", "a"], None),
        ] {
            assert_eq!(caller.claim(path).map(|claim| claim.as_json()), expected, "{path:?}");
        }
        assert_eq!(caller.claim("n.a.b.c").and_then(|claim| claim.as_u64()), Some(1));
    }

    #[test]
    fn what_cannot_be_told_is_not_absent() {
        let reason = |verified: &Verified, path: &str| {
            look(verified, path.split('.')).map(drop).map_err(|e| e.reason())
        };
        let ambiguous = Reason::MalformedClaims("a member stands twice");
        assert_eq!(reason(&caller(CLAIMS), "twice.a"), Err(ambiguous));
        assert_eq!(reason(&caller(CLAIMS), "twice.c"), Ok(()));
        for text in ["", "[]", "null", "{", "{}x", "\"a\"", r#"{"a":tru}"#] {
            assert_eq!(reason(&caller(text), "a"), Err(Reason::NoClaims), "{text}");
            assert_eq!(caller(text).json(), None, "{text}");
        }
    }

    #[test]
    fn a_path_without_a_name_cannot_be_made() {
        for bad in ["", ".", "a.", ".a", "a..b", "https://example.com/roles"] {
            assert!(catch_unwind(|| ClaimPath::from(bad)).is_err(), "{bad:?}");
        }
        assert!(catch_unwind(|| ClaimPath::from([""])).is_err());
        assert!(catch_unwind(|| ClaimPath::from(["a", ""])).is_err());
        assert!(catch_unwind(|| ClaimPath::from(Vec::<String>::new())).is_err());
        assert!(catch_unwind(|| ClaimPath::from(<&[&str]>::default())).is_err());
        assert_eq!(ClaimPath::from("a.b"), ClaimPath::from(["a", "b"]));
        assert_ne!(ClaimPath::from("a.b"), ClaimPath::from(["a.b"]));
    }

    #[test]
    fn no_decision_rests_on_what_users_write_themselves() {
        for bad in [
            ClaimPath::from("user_metadata"),
            ClaimPath::from("user_metadata.roles"),
            ClaimPath::from("raw_user_meta_data.role"),
            ClaimPath::from(["https://example.com/user_metadata", "role"]),
        ] {
            assert!(catch_unwind(|| bad.clone().trusted()).is_err(), "{bad:?}");
        }
        for good in ["app_metadata.roles", "my_user_metadata", "app_metadata.user_metadata"] {
            let _ = ClaimPath::from(good).trusted();
        }
    }

    /// Small names, so that paths meet them, and such as need escapes.
    fn name() -> impl Strategy<Value = String> {
        prop_oneof!["[ab]", r#"[ab"\\é\n]{1,2}"#]
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            r#"[ab{}\[\]",:\\]{0,4}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Value::from),
                vec((name(), inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_lookup_agrees_with_a_walk_through_values(
            members in vec((name(), json()), 0..4), path in vec(name(), 1..4), pretty in any::<bool>(),
        ) {
            let value = Value::Object(members.into_iter().collect());
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            let expected = path.iter().try_fold(&value, |value, name| value.as_object()?.get(name));
            let caller = caller(&text);
            let found = caller.claim(path).map(|claim| claim.parse::<Value>().expect("JSON"));
            prop_assert_eq!(found.as_ref(), expected);
        }

        #[test]
        fn no_text_panics(text in any::<String>(), path in vec("[^.]+", 1..3)) {
            let _ = caller(&text).claim(path);
        }
    }
}
