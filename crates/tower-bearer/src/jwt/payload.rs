//! The claims set as a stranger wrote it: read once, in one pass, before the signature is looked at.
//!
//! Nothing of this leaves the crate unless the signature verifies.

use super::{
    json::{Fault, Members, Skip, Text, Typed, Typing},
    times::Times,
};
use crate::error::Reason;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use std::{borrow::Cow, fmt};

/// 9999-12-31T23:59:59Z: later dates are mistakes, and fit no calendar.
const LAST_DATE: f64 = 253_402_300_799.0;

/// What the rules ask about. Absent is `None`; a wrong type never gets here.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Payload<'a> {
    pub(crate) iss: Option<Cow<'a, str>>,
    pub(crate) sub: Option<Cow<'a, str>>,
    pub(crate) aud: Strings<'a>,
    /// Dates are seconds since 1970-01-01T00:00:00Z, fractions allowed (RFC 7519 §2).
    pub(crate) exp: Option<f64>,
    pub(crate) nbf: Option<f64>,
    pub(crate) iat: Option<f64>,
    pub(crate) jti: Option<Cow<'a, str>>,
    pub(crate) client_id: Option<Cow<'a, str>>,
    pub(crate) azp: Option<Cow<'a, str>>,
    pub(crate) session_id: Option<Cow<'a, str>>,
    pub(crate) sid: Option<Cow<'a, str>>,
    pub(crate) scope: Option<ScopeClaim<'a>>,
    /// A `scope` that is a list: it counts where the issuer is known for it.
    pub(crate) scope_list: Option<ScopeClaim<'a>>,
    /// `cnf` is there, whatever it says: the token is bound to a key (RFC 7800 §3.1).
    pub(crate) key_bound: bool,
    pub(crate) kind: Kind<'a>,
}

/// A string, or a list of them: the usual single one makes no list.
#[derive(Debug, PartialEq)]
pub(crate) enum Strings<'a> {
    One(Cow<'a, str>),
    Many(Vec<Cow<'a, str>>),
}

impl<'a> Strings<'a> {
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Cow<'a, str>> {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
        .iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.iter().len() == 0
    }
}

impl Default for Strings<'_> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

#[derive(Debug, PartialEq)]
pub(crate) enum ScopeClaim<'a> {
    Text(Cow<'a, str>),
    List(Vec<Cow<'a, str>>),
}

impl ScopeClaim<'_> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.trim_ascii().is_empty(),
            Self::List(list) => list.is_empty(),
        }
    }
}

/// Members that tell one kind of token from another where `typ` does not.
#[derive(Debug, Default, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "each notes the presence of one member")]
pub(crate) struct Kind<'a> {
    /// `at_hash`, `c_hash` or `s_hash` (OpenID Connect Core §3.1.3.6, §3.3.2.11; FAPI 1.0 §5.1).
    id_token_hash: bool,
    nonce: bool,
    /// `events` (RFC 8417 §2.2), so a logout token too.
    events: bool,
    /// A claim that names another kind: Cognito's `token_use`, Keycloak's `typ`, and the like.
    other_use: bool,
    /// Supabase: what an access token has and an ID token of the same key has not.
    pub(crate) role: Option<Cow<'a, str>>,
}

impl<'a> Payload<'a> {
    /// Reads and checks types. Says nothing about values.
    pub(crate) fn parse(json: &'a str) -> Result<Self, Reason> {
        let mut payload = Self::default();
        payload.read(json, &mut Members::default())?;
        Ok(payload)
    }

    /// The same in place, into an empty one, since it is large; and notes which claims there are.
    pub(crate) fn read(&mut self, json: &'a str, names: &mut Members<'a>) -> Result<(), Reason> {
        let mut fault = Fault::default();
        let mut deserializer = serde_json::Deserializer::from_str(json);
        Reader { payload: self, names, fault: &mut fault }
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end())
            .map_err(|error| Reason::MalformedClaims(fault.explain(&error)))
    }

    /// What the token grants, `scope` as a list included where these count.
    pub(crate) fn granted(&self, lists: bool) -> Option<&ScopeClaim<'a>> {
        self.scope_list.as_ref().filter(|_| lists).or(self.scope.as_ref())
    }

    pub(crate) fn times(&self) -> Times {
        Times { exp: self.exp, nbf: self.nbf, iat: self.iat }
    }

    /// Whether the claims are those of another kind of token than an access token (RFC 8725 §3.12).
    ///
    /// A `nonce` alone decides only without a scope: some issuers copy it into their access tokens.
    pub(crate) fn is_other_kind(&self, lists: bool) -> bool {
        let kind = &self.kind;
        let has_scope = self.granted(lists).is_some_and(|scope| !scope.is_empty());
        kind.id_token_hash || kind.events || kind.other_use || (kind.nonce && !has_scope)
    }

    /// Whether there is a `nonce`, which a logout token must not have.
    pub(crate) fn has_nonce(&self) -> bool {
        self.kind.nonce
    }
}

struct Reader<'de, 'f> {
    payload: &'f mut Payload<'de>,
    names: &'f mut Members<'de>,
    fault: &'f mut Fault,
}

impl<'de> DeserializeSeed<'de> for Reader<'de, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Self { payload, names, fault } = self;
        let mut scp = None;
        while let Some(Text(name)) = map.next_key()? {
            let mut claim = Claim { map: &mut map, fault };
            match &*name {
                "iss" => payload.iss = Some(claim.string("iss is not a string")?),
                "sub" => payload.sub = Some(claim.string("sub is not a string")?),
                "aud" => payload.aud = claim.strings("aud is neither a string nor an array of strings")?,
                "exp" => payload.exp = Some(claim.date("exp is not a date in seconds")?),
                "nbf" => payload.nbf = Some(claim.date("nbf is not a date in seconds")?),
                "iat" => payload.iat = Some(claim.date("iat is not a date in seconds")?),
                "jti" => payload.jti = Some(claim.string("jti is not a string")?),
                "client_id" => payload.client_id = Some(claim.string("client_id is not a string")?),
                "azp" => payload.azp = Some(claim.string("azp is not a string")?),
                // A scope of another type grants nothing (RFC 8693 §4.2); `scp` is how some issuers spell it.
                "scope" => match claim.scope()? {
                    list @ Some(ScopeClaim::List(_)) => payload.scope_list = list,
                    text => payload.scope = text,
                },
                "scp" => scp = claim.scope()?,
                "cnf" => payload.key_bound = claim.present()?,
                "at_hash" | "c_hash" | "s_hash" => payload.kind.id_token_hash = claim.present()?,
                "nonce" => payload.kind.nonce = claim.present()?,
                "events" => payload.kind.events = claim.present()?,
                "token_use" => payload.kind.other_use |= claim.text()?.as_deref() != Some("access"),
                "typ" | "type" | "token_type" => {
                    payload.kind.other_use |= claim.text()?.is_some_and(|kind| names_other_kind(&kind));
                }
                "role" => payload.kind.role = claim.text()?,
                "session_id" => payload.session_id = claim.text()?,
                "sid" => payload.sid = claim.text()?,
                _ => {
                    claim.present()?;
                }
            }
            names.note(name, fault)?;
        }
        if payload.scope.is_none() {
            payload.scope = scp;
        }
        Ok(())
    }
}

/// What issuers call their other tokens, as far as is known: `Bearer`, `JWT` and `access` are none of these.
fn names_other_kind(kind: &str) -> bool {
    const REFRESH: &[u8] = b"refresh";
    let is_refresh = kind.as_bytes().windows(REFRESH.len()).any(|part| part.eq_ignore_ascii_case(REFRESH));
    let names = ["ID", "Serialized-ID", "Offline", "Logout"];
    is_refresh || names.iter().any(|name| kind.eq_ignore_ascii_case(name))
}

/// The value of the member whose name was just read.
struct Claim<'m, 'f, A> {
    map: &'m mut A,
    fault: &'f mut Fault,
}

impl<'de, A: MapAccess<'de>> Claim<'_, '_, A> {
    fn typed(&mut self) -> Result<Typed<'de>, A::Error> {
        self.map.next_value_seed(Typing(self.fault))
    }

    fn string(&mut self, complaint: &'static str) -> Result<Cow<'de, str>, A::Error> {
        match self.typed()? {
            Typed::Text(text) => Ok(text),
            _ => Err(self.fault.raise(complaint)),
        }
    }

    fn strings(&mut self, complaint: &'static str) -> Result<Strings<'de>, A::Error> {
        match self.typed()? {
            Typed::Text(text) => Ok(Strings::One(text)),
            Typed::List(list) => Ok(Strings::Many(list)),
            Typed::Other => Err(self.fault.raise(complaint)),
        }
    }

    fn date(&mut self, complaint: &'static str) -> Result<f64, A::Error> {
        // Asked for as a number: of itself serde_json shows fractions as maps where any crate of the build
        // has turned on its feature `arbitrary_precision`.
        match self.map.next_value::<f64>() {
            Ok(seconds) if (0.0..=LAST_DATE).contains(&seconds) => Ok(seconds),
            _ => Err(self.fault.raise(complaint)),
        }
    }

    fn scope(&mut self) -> Result<Option<ScopeClaim<'de>>, A::Error> {
        Ok(match self.typed()? {
            Typed::Text(text) => Some(ScopeClaim::Text(text)),
            Typed::List(list) => Some(ScopeClaim::List(list)),
            Typed::Other => None,
        })
    }

    fn text(&mut self) -> Result<Option<Cow<'de, str>>, A::Error> {
        Ok(match self.typed()? {
            Typed::Text(text) => Some(text),
            _ => None,
        })
    }

    fn present(&mut self) -> Result<bool, A::Error> {
        self.map.next_value_seed(Skip::value(self.fault)).map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reason::MalformedClaims;
    use proptest::prelude::*;

    const NUMBERS: [&str; 6] = ["0", "1", "1.5", "1e3", "253402300799", "0.0"];
    const NO_DATES: [&str; 14] = [
        "\"99\"",
        "null",
        "true",
        "false",
        "[]",
        "[1]",
        "{}",
        "-1",
        "-0.5",
        "1e300",
        "253402300800",
        "18446744073709551616",
        "\"NaN\"",
        "1e11111",
    ];
    const NO_STRINGS: [&str; 9] =
        ["7", "1.5", "null", "true", "[]", "[\"a\"]", "{}", "{\"a\":1}", "[[\"a\"]]"];

    fn is_refused(json: &str) -> bool {
        matches!(Payload::parse(json), Err(MalformedClaims(_)))
    }

    #[test]
    fn rs_090_every_claim_times_every_json_type() {
        for name in ["exp", "nbf", "iat"] {
            for value in NUMBERS {
                assert!(Payload::parse(&format!(r#"{{"{name}":{value}}}"#)).is_ok(), "{name}: {value}");
            }
            for value in NO_DATES {
                assert!(is_refused(&format!(r#"{{"{name}":{value}}}"#)), "{name}: {value}");
            }
        }
        for name in ["iss", "sub", "jti", "client_id", "azp"] {
            assert!(Payload::parse(&format!(r#"{{"{name}":"a"}}"#)).is_ok(), "{name}");
            for value in NO_STRINGS {
                assert!(is_refused(&format!(r#"{{"{name}":{value}}}"#)), "{name}: {value}");
            }
        }
        for value in [r#""a""#, r#"["a","b"]"#, "[]"] {
            assert!(Payload::parse(&format!(r#"{{"aud":{value}}}"#)).is_ok(), "aud: {value}");
        }
        for value in
            ["7", "1.5", "null", "true", "{}", r#"["a",7]"#, r#"[["a"]]"#, "[null]", r#"[{"a":"b"}]"#]
        {
            assert!(is_refused(&format!(r#"{{"aud":{value}}}"#)), "aud: {value}");
        }
    }

    #[test]
    fn rs_040_a_scope_of_another_type_grants_nothing_and_scp_may_be_a_list() {
        let text = |text: &'static str| Some(ScopeClaim::Text(text.into()));
        let table = [
            (r#"{"scope":"a b"}"#, text("a b")),
            (r#"{"scope":["a"]}"#, None),
            (r#"{"scope":7}"#, None),
            (r#"{"scope":null}"#, None),
            (r#"{"scope":{"a":1}}"#, None),
            (r#"{"scp":"a"}"#, text("a")),
            (r#"{"scp":["a","b"]}"#, Some(ScopeClaim::List(vec!["a".into(), "b".into()]))),
            (r#"{"scp":["a",7]}"#, None),
            (r#"{"scp":["b"],"scope":"a"}"#, text("a")),
            (r#"{"scp":["b"],"scope":7}"#, Some(ScopeClaim::List(vec!["b".into()]))),
        ];
        for (json, expected) in table {
            assert_eq!(Payload::parse(json).map(|payload| payload.scope), Ok(expected), "{json}");
        }
    }

    #[test]
    fn other_kinds_of_tokens_are_told_by_their_claims() {
        let other = [
            r#"{"at_hash":"x"}"#,
            r#"{"c_hash":"x"}"#,
            r#"{"s_hash":"x"}"#,
            r#"{"nonce":"n"}"#,
            r#"{"nonce":"n","scope":" "}"#,
            r#"{"nonce":"n","scp":[]}"#,
            r#"{"token_use":"id"}"#,
            r#"{"token_use":"refresh"}"#,
            r#"{"token_use":7}"#,
            r#"{"typ":"Serialized-ID"}"#,
            r#"{"typ":"refresh"}"#,
            r#"{"typ":"id"}"#,
            r#"{"type":"refresh_token"}"#,
            r#"{"token_type":"RefreshToken"}"#,
            r#"{"typ":"ID"}"#,
            r#"{"typ":"Refresh"}"#,
            r#"{"events":{"http://schemas.openid.net/event/backchannel-logout":{}}}"#,
        ];
        let list = Payload::parse(r#"{"nonce":"n","scope":["a"]}"#).expect("claims");
        assert!(list.is_other_kind(false) && !list.is_other_kind(true), "where lists count, this is a scope");
        for json in other {
            assert!(Payload::parse(json).expect(json).is_other_kind(false), "{json}");
        }
        for json in [
            r#"{"nonce":"n","scope":"a"}"#,
            r#"{"token_use":"access"}"#,
            r#"{"typ":"Bearer"}"#,
            r#"{"type":"access","token_type":"Bearer"}"#,
            "{}",
        ] {
            assert!(!Payload::parse(json).expect(json).is_other_kind(false), "{json}");
        }
    }

    #[test]
    fn only_one_well_formed_object_without_repetition_is_a_claims_set() {
        let deep = format!(r#"{{"x":{}1{}}}"#, "{\"a\":".repeat(70), "}".repeat(70));
        let deeper = format!(r#"{{"x":{}"#, "[".repeat(10_000));
        let table = [
            (r#"[1999999999,null,"s","https://iss","aud"]"#, "not a JSON object"),
            ("null", "not a JSON object"),
            (r#"{"role":"a","role":"b"}"#, "a member stands twice"),
            (r#"{"role":"a","\u0072ole":"b"}"#, "a member stands twice"),
            (r#"{"mine":1,"mine":1}"#, "a member stands twice"),
            (r#"{"mine":1,"mane":1,"mine":1}"#, "a member stands twice"),
            (r#"{"exp":1,"exp":1}"#, "a member stands twice"),
            (r#"{"a":1}x"#, "not well-formed JSON"),
            (r#"{"a":"\ud800"}"#, "not well-formed JSON"),
            ("\u{feff}{}", "not well-formed JSON"),
            (&deep, "nested too deeply"),
            (&deeper, "nested too deeply"),
            (r#"{"aud":[[[1]]],"exp":[{"a":1}]}"#, "aud is neither a string nor an array of strings"),
        ];
        for (json, complaint) in table {
            assert_eq!(Payload::parse(json), Err(MalformedClaims(complaint)), "{json:.40}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = Payload::parse(&text);
        }

        #[test]
        fn what_is_read_is_what_was_written(
            iss in any::<String>(), sub in any::<String>(), aud in proptest::collection::vec(any::<String>(), 0..4),
            exp in 0u64..253_402_300_799, private in any::<f64>(),
        ) {
            let json = serde_json::json!({ "iss": iss, "sub": sub, "aud": aud, "exp": exp, "private": private });
            let json = json.to_string();
            let payload = Payload::parse(&json).expect("well-formed");
            prop_assert_eq!(payload.iss.as_deref(), Some(&*iss));
            prop_assert_eq!(payload.sub.as_deref(), Some(&*sub));
            prop_assert_eq!(payload.aud.iter().map(|aud| &**aud).collect::<Vec<_>>(), aud);
            #[allow(clippy::cast_precision_loss)]
            let exp = exp as f64;
            prop_assert_eq!(payload.exp, Some(exp));
        }
    }
}
