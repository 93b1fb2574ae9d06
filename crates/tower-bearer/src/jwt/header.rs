//! The JOSE header (RFC 7515 §4): what a token says of itself. Nothing in it ever names a key by value or
//! place.

use super::{
    Algorithm, TokenKind,
    json::{Fault, Members, Skip, Text, Typed, Typing},
};
use crate::{error::Reason, keys::LONGEST_KID};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use std::{borrow::Cow, fmt};

#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Header<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<Cow<'a, str>>,
    /// `typ` is `at+jwt`: the token says that it follows RFC 9068.
    pub(crate) is_at_jwt: bool,
}

impl<'a> Header<'a> {
    /// Reads and checks a decoded header, of a token that is to be of this kind.
    pub(crate) fn parse(bytes: &'a [u8], kind: TokenKind) -> Result<Self, Reason> {
        let text = std::str::from_utf8(bytes).map_err(|_| Reason::MalformedHeader("not UTF-8"))?;
        let mut fault = Fault::default();
        let mut json = serde_json::Deserializer::from_str(text);
        let members = Reader(&mut fault)
            .deserialize(&mut json)
            .and_then(|members| json.end().map(|()| members))
            .map_err(|error| Reason::MalformedHeader(fault.explain(&error)))?;
        members.check(kind)
    }
}

#[derive(Default)]
struct HeaderMembers<'a> {
    alg: Option<Cow<'a, str>>,
    kid: Option<Cow<'a, str>>,
    typ: Option<Cow<'a, str>>,
    /// The first member that asks for something we do not do.
    unsupported: Option<&'static str>,
}

impl<'a> HeaderMembers<'a> {
    fn check(self, kind: TokenKind) -> Result<Header<'a>, Reason> {
        // No extension is understood, so whatever `crit` lists, and be it nothing, is refused (RFC 7515
        // §4.1.11). A JWT has no unencoded payload (RFC 7797 §7), no compression, and no JWT inside (RFC 8725
        // §3.3).
        if let Some(name) = self.unsupported {
            return Err(Reason::UnsupportedHeader(name));
        }
        if !self.typ.as_deref().is_none_or(|typ| names_kind(typ, kind)) {
            return Err(Reason::TokenType);
        }
        let alg = self.alg.ok_or(Reason::MalformedHeader("alg is missing"))?;
        let algorithm = Algorithm::from_name(&alg).ok_or(Reason::Algorithm)?;
        // Nobody is asked for a key of such a name, nor is it kept until the answer comes.
        if self.kid.as_ref().is_some_and(|kid| kid.len() > LONGEST_KID) {
            return Err(Reason::MalformedHeader("kid is longer than 256 bytes"));
        }
        let is_at_jwt = self.typ.as_deref().is_some_and(|typ| is_type(typ, AT_JWT));
        Ok(Header { algorithm, kid: self.kid, is_at_jwt })
    }
}

/// The type of access tokens that follow RFC 9068 §2.1.
const AT_JWT: &str = "at+jwt";

/// A media type, in any case, `application/` implied (RFC 7515 §4.1.9): `JWT`, or that of the very kind. Any
/// other kind of token (`dpop+jwt`, `secevent+jwt` …) is not the one that is asked for (RFC 8725 §3.11).
fn names_kind(typ: &str, kind: TokenKind) -> bool {
    let own = match kind {
        TokenKind::Access => AT_JWT,
        TokenKind::Logout => "logout+jwt",
    };
    is_type(typ, "JWT") || is_type(typ, own)
}

fn is_type(found: &str, wanted: &str) -> bool {
    const PREFIX: &str = "application/";
    let name = match found.get(..PREFIX.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => &found[PREFIX.len()..],
        _ => found,
    };
    name.eq_ignore_ascii_case(wanted)
}

struct Reader<'f>(&'f mut Fault);

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = HeaderMembers<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = HeaderMembers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let fault = self.0;
        let mut names = Members::default();
        let mut header = HeaderMembers::default();
        while let Some(Text(name)) = map.next_key()? {
            match &*name {
                "alg" => header.alg = Some(string(&mut map, fault, "alg is not a string")?),
                "kid" => header.kid = Some(string(&mut map, fault, "kid is not a string")?),
                "typ" => header.typ = Some(string(&mut map, fault, "typ is not a string")?),
                "cty" => {
                    let cty = string(&mut map, fault, "cty is not a string")?;
                    if is_type(&cty, "JWT") {
                        header.unsupported = Some("cty");
                    }
                }
                other => {
                    let unsupported = match other {
                        "crit" => Some("crit"),
                        "b64" => Some("b64"),
                        "zip" => Some("zip"),
                        // `jku`, `jwk`, `x5u`, `x5c` among them: never looked at (RFC 8725 §3.10).
                        _ => None,
                    };
                    header.unsupported = header.unsupported.or(unsupported);
                    map.next_value_seed(Skip::value(fault))?;
                }
            }
            names.note(name, fault)?;
        }
        Ok(header)
    }
}

fn string<'de, A: MapAccess<'de>>(
    map: &mut A,
    fault: &mut Fault,
    complaint: &'static str,
) -> Result<Cow<'de, str>, A::Error> {
    match map.next_value_seed(Typing(fault))? {
        Typed::Text(text) => Ok(text),
        _ => Err(fault.raise(complaint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reason::{MalformedHeader, TokenType, UnsupportedHeader};
    use proptest::prelude::*;

    fn parse(json: &str) -> Result<Header<'_>, Reason> {
        Header::parse(json.as_bytes(), TokenKind::Access)
    }

    #[test]
    fn good_headers_are_read() {
        let header = parse(r#"{"alg":"ES256","kid":"a+b/c=","typ":"JWT","x5t":"y","jwk":{"kty":"EC"}}"#)
            .expect("good");
        let kid = Some("a+b/c=".into());
        assert_eq!(header, Header { algorithm: Algorithm::ES256, kid, is_at_jwt: false });
        assert_eq!(
            parse(r#"{"alg":"Ed25519"}"#),
            Ok(Header { algorithm: Algorithm::EdDSA, kid: None, is_at_jwt: false })
        );
        assert_eq!(parse(r#"{"\u0061lg":"RS256"}"#).expect("escaped name").algorithm, Algorithm::RS256);
        assert!(parse(&format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(256))).is_ok());
    }

    #[test]
    fn bad_headers_are_refused_and_the_reason_says_what_was_wrong() {
        let deep = format!(r#"{{"alg":"ES256","x":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
        let wide = format!(
            r#"{{"alg":"ES256",{}}}"#,
            (0..300).map(|n| format!(r#""m{n}":0"#)).collect::<Vec<_>>().join(",")
        );
        let long_kid = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(257));
        let table = [
            ("", MalformedHeader("not well-formed JSON")),
            ("{}", MalformedHeader("alg is missing")),
            ("[]", MalformedHeader("not a JSON object")),
            (r#"["ES256"]"#, MalformedHeader("not a JSON object")),
            (r#""ES256""#, MalformedHeader("not a JSON object")),
            ("\u{feff}{\"alg\":\"ES256\"}", MalformedHeader("not well-formed JSON")),
            (r#"{"alg":"ES256"}x"#, MalformedHeader("not well-formed JSON")),
            (r#"{"alg":"ES256"}{}"#, MalformedHeader("not well-formed JSON")),
            (r#"{"alg":"ES256",}"#, MalformedHeader("not well-formed JSON")),
            (r#"{"alg":"ES256","x":"\ud800"}"#, MalformedHeader("not well-formed JSON")),
            (r#"{"alg":7}"#, MalformedHeader("alg is not a string")),
            (r#"{"alg":null}"#, MalformedHeader("alg is not a string")),
            (r#"{"alg":["ES256"]}"#, MalformedHeader("alg is not a string")),
            (r#"{"alg":"ES256","kid":7}"#, MalformedHeader("kid is not a string")),
            (r#"{"alg":"ES256","kid":null}"#, MalformedHeader("kid is not a string")),
            (r#"{"alg":"ES256","kid":["a"]}"#, MalformedHeader("kid is not a string")),
            (&long_kid, MalformedHeader("kid is longer than 256 bytes")),
            (r#"{"alg":"ES256","typ":1}"#, MalformedHeader("typ is not a string")),
            (r#"{"alg":"none","alg":"ES256"}"#, MalformedHeader("a member stands twice")),
            (r#"{"alg":"ES256","kid":"a","kid":"a"}"#, MalformedHeader("a member stands twice")),
            (r#"{"alg":"ES256","x":1,"x":2}"#, MalformedHeader("a member stands twice")),
            (r#"{"alg":"ES256","x":1,"\u0078":2}"#, MalformedHeader("a member stands twice")),
            (&deep, MalformedHeader("nested too deeply")),
            (&wide, MalformedHeader("too many members")),
            (r#"{"alg":"ES256","crit":["exp"],"exp":1}"#, UnsupportedHeader("crit")),
            (r#"{"alg":"ES256","crit":[]}"#, UnsupportedHeader("crit")),
            (r#"{"alg":"ES256","crit":"exp"}"#, UnsupportedHeader("crit")),
            (r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, UnsupportedHeader("crit")),
            (r#"{"alg":"ES256","b64":false}"#, UnsupportedHeader("b64")),
            (r#"{"alg":"ES256","zip":"DEF"}"#, UnsupportedHeader("zip")),
            (r#"{"alg":"ES256","cty":"JWT"}"#, UnsupportedHeader("cty")),
            (r#"{"alg":"ES256","cty":"application/jwt"}"#, UnsupportedHeader("cty")),
            (r#"{"alg":"ES256","cty":1}"#, MalformedHeader("cty is not a string")),
            (r#"{"alg":"none"}"#, Reason::Algorithm),
            (r#"{"alg":"noNE"}"#, Reason::Algorithm),
            (r#"{"alg":"es256"}"#, Reason::Algorithm),
            (r#"{"alg":""}"#, Reason::Algorithm),
        ];
        for (json, reason) in table {
            assert_eq!(parse(json), Err(reason), "{json}");
        }
        assert_eq!(
            Header::parse(b"{\"alg\":\"ES256\",\"x\":\"\xff\"}", TokenKind::Access),
            Err(MalformedHeader("not UTF-8"))
        );
    }

    #[test]
    fn rs_095_and_096_typ_is_a_media_type_in_any_case_and_names_an_access_token() {
        for typ in [
            "JWT",
            "jwt",
            "at+jwt",
            "AT+JWT",
            "at+JWT",
            "application/at+jwt",
            "Application/AT+JWT",
            "application/jwt",
        ] {
            assert!(parse(&format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#)).is_ok(), "{typ}");
        }
        for typ in [
            "",
            "x/at+jwt",
            "application/",
            "application/application/jwt",
            "dpop+jwt",
            "logout+jwt",
            "secevent+jwt",
            "id_token+jwt",
            "JWE",
            "JOSE",
            "at+jwt ",
            "application/é",
        ] {
            assert_eq!(parse(&format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#)), Err(TokenType), "{typ}");
        }
    }

    #[test]
    fn rs_150_a_logout_token_is_named_so_or_not_at_all() {
        let parse = |typ: &str, kind| {
            Header::parse(format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#).as_bytes(), kind).map(drop)
        };
        for typ in ["logout+jwt", "Logout+JWT", "application/logout+jwt", "APPLICATION/LOGOUT+JWT"] {
            assert_eq!(parse(typ, TokenKind::Logout), Ok(()), "{typ}");
            assert_eq!(parse(typ, TokenKind::Access), Err(TokenType), "{typ}");
        }
        assert_eq!(parse("JWT", TokenKind::Logout), Ok(()), "as older issuers have it");
        for typ in ["at+jwt", "application/at+jwt", "secevent+jwt", "dpop+jwt", "", "logout", "x/logout+jwt"]
        {
            assert_eq!(parse(typ, TokenKind::Logout), Err(TokenType), "{typ}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Header::parse(&bytes, TokenKind::Access);
        }

        #[test]
        fn a_header_says_what_was_written(kid in any::<String>(), extra in "[a-z]{5}", value in any::<i64>()) {
            let json = serde_json::json!({ "alg": "PS512", "kid": kid, extra: value }).to_string();
            prop_assert_eq!(parse(&json), Ok(Header { algorithm: Algorithm::PS512, kid: Some(kid.into()), is_at_jwt: false }));
        }
    }
}
