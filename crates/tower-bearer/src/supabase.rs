//! Supabase Auth: its issuer, its claims, and what must not pass for a user.
//!
//! ```
//! use tower_bearer::Issuer;
//!
//! let issuer = Issuer::supabase("https://abc.supabase.co")?;
//! assert_eq!(issuer.iss(), "https://abc.supabase.co/auth/v1");
//! assert_eq!(issuer.key_location(), Some("https://abc.supabase.co/auth/v1/.well-known/jwks.json"));
//!
//! assert!(Issuer::supabase("abc.supabase.co").is_err(), "a URL, not a host");
//! # Ok::<(), tower_bearer::ConfigError>(())
//! ```

use crate::{
    claims::AnyClaims,
    claims_set::{ClaimsSet, scan},
    config::{ConfigError, shown},
    error::Reason,
    jwt::{Algorithm, Issuer, Payload, Text},
};
use http::Uri;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, IgnoredAny},
};
use serde_json::{Map, Value};
use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

/// The cookies of `@supabase/ssr`, as far as reading and owning a session have in common: their names, and
/// how text stands in them. Nothing here looks at a token.
///
/// ```
/// use tower_bearer::supabase::cookies::{Part, SessionName, base64url_decoded};
///
/// let name = SessionName::new("https://abc.supabase.co")?;
/// assert_eq!(name.part(b"sb-abc-auth-token.1"), Some(Part::Chunk(1)));
/// assert_eq!(name.part(b"sb-abc-auth-token-code-verifier"), None);
/// assert_eq!(base64url_decoded(b"e3 0="), Some(b"{}".to_vec()), "with the tolerance of Supabase's own decoder");
/// assert_eq!(base64url_decoded(b"e3+0"), None);
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
pub mod cookies {
    pub use crate::source::{
        session_name::{Part, SessionName},
        session_text::{base64url_decoded, percent_decoded},
    };
}

/// The one audience of Supabase's user tokens.
const AUDIENCE: &str = "authenticated";

impl Issuer {
    /// The Auth server of a Supabase project, hosted or self-hosted: issuer `<project_url>/auth/v1`, audience
    /// `authenticated`, keys at `<issuer>/.well-known/jwks.json` signing with ES256, RS256 or `EdDSA`, claims
    /// as [`SupabaseClaims`].
    ///
    /// Refused beside what every issuer refuses: ID tokens, and the `anon` and `service_role` keys, which are
    /// valid tokens of the project but nobody's sign-in. A self-hosted server without `GOTRUE_JWT_ISSUER`
    /// wants [`allow_missing_iss`](Self::allow_missing_iss); a project that still signs with its shared
    /// secret wants [`legacy_jwt_secret`](Self::legacy_jwt_secret).
    ///
    /// `project_url` is such as `https://abc.supabase.co` or `http://127.0.0.1:54321`.
    ///
    /// # Errors
    /// [`ConfigError::InvalidUrl`] when that is not an `http` or `https` URL.
    pub fn supabase(project_url: &str) -> Result<Self, ConfigError> {
        let invalid = || ConfigError::InvalidUrl(shown(project_url));
        let base = project_url.trim_end_matches('/');
        let base = base.strip_suffix("/auth/v1").unwrap_or(base);
        let uri: Uri = base.parse().map_err(|_| invalid())?;
        if !matches!(uri.scheme_str(), Some("https" | "http")) || uri.host().is_none_or(str::is_empty) {
            return Err(invalid());
        }
        if uri.query().is_some() || base.contains(['#', '@']) {
            return Err(invalid());
        }
        let iss = format!("{base}/auth/v1");
        let jwks = format!("{iss}/.well-known/jwks.json");
        Ok(Self::new(iss, AUDIENCE)
            .algorithms([Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA])
            .jwks_uri(jwks)
            .fitting_claims::<SupabaseClaims>(SupabaseClaims::read)
            .guard(only_users))
    }

    /// Trusts HS256 tokens made with the project's legacy JWT secret, beside those of its signing keys. Only
    /// for projects that have not migrated: whoever has the secret can make tokens. It is one of the at most
    /// two [secrets](Self::hmac_secret).
    #[must_use]
    pub fn legacy_jwt_secret(self, secret: impl AsRef<[u8]>) -> Self {
        self.hmac_secret(Algorithm::HS256, secret)
    }
}

/// The project's keys also sign ID tokens, and its secret the public `anon` key.
fn only_users(payload: &Payload<'_>) -> Result<(), Reason> {
    match payload.kind.role.as_deref() {
        Some("anon" | "service_role" | "supabase_admin") => Err(Reason::NotAUser),
        None | Some("") if payload.session_id.as_deref().is_none_or(str::is_empty) => {
            Err(Reason::NotAnAccessToken)
        }
        _ if payload.sub.as_deref().is_none() => Err(Reason::NotAUser),
        _ => Ok(()),
    }
}

/// The claims of a Supabase user, tolerant of what custom access token hooks leave out or change.
///
/// With claims of your own, write a struct with the fields that you need and name it in
/// [`Issuer::claims`](crate::Issuer::claims); the guards of the preset stay.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct SupabaseClaims {
    /// The user's id, a UUID.
    pub sub: String,
    /// The user's e-mail address; `None` where there is none.
    pub email: Option<String>,
    /// The user's phone number; `None` where there is none.
    pub phone: Option<String>,
    /// The database role, normally `authenticated`.
    pub role: Option<Cow<'static, str>>,
    /// The authenticator assurance level: `aal1`, or `aal2` after a second factor.
    pub aal: Option<Cow<'static, str>>,
    /// How the user signed in, the most recent first.
    pub amr: Vec<AuthenticationMethod>,
    /// The id of the session, a UUID.
    pub session_id: Option<String>,
    /// Whether the user signed in anonymously: a user, but nobody in particular.
    pub is_anonymous: bool,
    /// Set by the server only.
    pub app_metadata: Metadata,
    /// **Writable by the user**: never decide anything by it.
    pub user_metadata: Metadata,
}

impl SupabaseClaims {
    /// Reads the claims once [`only_users`] has seen that the required ones are there.
    fn read(received: &ClaimsSet) -> Option<AnyClaims> {
        Self::of(received).map(|claims| Arc::new(claims) as _)
    }

    /// `None` without a `sub`. What else does not fit counts as missing. The metadata stay where they are in
    /// the text.
    fn of(received: &ClaimsSet) -> Option<Self> {
        let claim = |name| received.claim(name).ok().flatten();
        // An empty string, `null` or another type is no text.
        let text = |name| claim(name).and_then(scan::text).filter(|text| !text.is_empty());
        Some(Self {
            sub: claim("sub").and_then(scan::text)?.into_owned(),
            email: text("email").map(Cow::into_owned),
            phone: text("phone").map(Cow::into_owned),
            role: text("role").map(usual),
            aal: text("aal").map(usual),
            amr: claim("amr").map(methods).unwrap_or_default(),
            session_id: text("session_id").map(Cow::into_owned),
            is_anonymous: claim("is_anonymous") == Some("true"),
            app_metadata: Metadata::within(received, "app_metadata"),
            user_metadata: Metadata::within(received, "user_metadata"),
        })
    }
}

/// From JSON, also as a part of a type of yours: `#[serde(flatten)]`, or a variant of an `untagged` enum.
impl<'de> Deserialize<'de> for SupabaseClaims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let claims = Map::<String, Value>::deserialize(deserializer)?;
        let json = serde_json::to_string(&claims).map_err(D::Error::custom)?;
        let received = ClaimsSet::parse(json.into()).ok_or_else(|| D::Error::custom("not a JSON object"))?;
        Self::of(&received).ok_or_else(|| D::Error::missing_field("sub"))
    }
}

/// One entry of `amr`: `{"method": "password", "timestamp": 1700000000}`, or the method alone.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(from = "AmrEntry")]
pub struct AuthenticationMethod {
    /// Such as `password`, `otp`, `totp`, `oauth`.
    pub method: Cow<'static, str>,
    /// When, in seconds since 1970-01-01T00:00:00Z.
    pub timestamp: Option<u64>,
    /// The identity provider of a `sso/saml` sign-in.
    pub provider: Option<String>,
}

/// An entry as the server makes it.
#[derive(Deserialize)]
struct FullEntry {
    #[serde(deserialize_with = "method")]
    method: Cow<'static, str>,
    #[serde(default)]
    timestamp: Option<u64>,
    #[serde(default)]
    provider: Option<String>,
}

/// An entry as a hook may have left it.
#[derive(Deserialize)]
#[serde(untagged)]
enum AmrEntry {
    Full(FullEntry),
    Name(String),
    Other(IgnoredAny),
}

impl From<FullEntry> for AuthenticationMethod {
    fn from(FullEntry { method, timestamp, provider }: FullEntry) -> Self {
        Self { method, timestamp, provider }
    }
}

impl From<AmrEntry> for AuthenticationMethod {
    fn from(entry: AmrEntry) -> Self {
        match entry {
            AmrEntry::Full(full) => full.into(),
            AmrEntry::Name(method) => Self { method: method.into(), timestamp: None, provider: None },
            AmrEntry::Other(_) => Self { method: "".into(), timestamp: None, provider: None },
        }
    }
}

/// A JSON value that is kept as it came, and parsed when somebody asks: most requests do not.
#[derive(Clone, Default)]
pub struct Metadata(
    /// A part of the token's claims.
    Option<(Arc<str>, Range<usize>)>,
);

impl Metadata {
    /// Parses it into a type of yours. Missing metadata is `null`.
    ///
    /// # Errors
    /// When it does not fit the type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_json())
    }

    /// The JSON text.
    pub fn as_json(&self) -> &str {
        // It was found there; were it not, nothing is the answer that grants nothing.
        self.0.as_ref().and_then(|(json, place)| json.get(place.clone())).unwrap_or("null")
    }

    fn within(received: &ClaimsSet, name: &str) -> Self {
        let place = received.place(name).ok().flatten();
        Self(place.map(|place| (Arc::clone(received.json()), place)))
    }
}

/// From JSON, as a field of a type of yours.
impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json: Arc<str> = Value::deserialize(deserializer)?.to_string().into();
        let place = 0..json.len();
        Ok(Self(Some((json, place))))
    }
}

/// Personal data stays out of logs.
impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metadata(..)")
    }
}

fn method<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'static, str>, D::Error> {
    Text::deserialize(deserializer).map(|Text(text)| usual(text))
}

/// The names that nearly all tokens have need no copy.
fn usual(text: Cow<'_, str>) -> Cow<'static, str> {
    const USUAL: [&str; 8] =
        ["authenticated", "aal1", "aal2", "password", "otp", "totp", "oauth", "magiclink"];
    let known = USUAL.into_iter().find(|usual| **usual == text);
    known.map_or_else(|| text.into_owned().into(), Cow::Borrowed)
}

/// What does not fit does not decide whether the token is good.
fn methods(json: &str) -> Vec<AuthenticationMethod> {
    // The usual form first: telling the forms apart costs as much as all other claims together.
    match serde_json::from_str::<Vec<FullEntry>>(json) {
        Ok(full) => full.into_iter().map(Into::into).collect(),
        Err(_) => serde_json::from_str(json).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any JSON that a hook might put somewhere.
    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            "[a-z\"\\\\é]{0,6}".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            let names = prop_oneof!["method|timestamp|provider", "[a-z]{1,3}"];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
                proptest::collection::hash_map(names, inner, 0..3)
                    .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    const CLAIMS: &[&str] = &[
        "email",
        "phone",
        "role",
        "aal",
        "amr",
        "session_id",
        "is_anonymous",
        "app_metadata",
        "user_metadata",
        "mine",
    ];

    proptest! {
        /// Else a token would be let in whose claims nobody could read.
        #[test]
        fn the_claims_of_every_token_that_is_a_users_can_be_read(
            sub in "[a-zé\"]{0,4}",
            some in proptest::collection::hash_map(proptest::sample::select(CLAIMS), value(), 0..8),
        ) {
            let mut json = serde_json::json!({ "sub": sub, "role": "authenticated" });
            for (name, value) in some {
                json[name] = value;
            }
            let json: Arc<str> = json.to_string().into();
            let payload = Payload::parse(&json).expect("well-formed");
            if only_users(&payload).is_ok() {
                prop_assert!(SupabaseClaims::read(&ClaimsSet::of_token(&json)).is_some(), "{json}");
            }
        }
    }

    fn claims(json: &str) -> SupabaseClaims {
        serde_json::from_str(json).expect("claims")
    }

    #[test]
    fn claims_as_the_server_sends_them_are_read() {
        let claims = claims(
            r#"{"iss":"x","sub":"u","aud":"authenticated","exp":1,"email":"a@example.com","phone":"","role":"authenticated",
            "aal":"aal2","amr":[{"method":"totp","timestamp":2},{"method":"password","timestamp":1}],"session_id":"s",
            "is_anonymous":false,"app_metadata":{"provider":"email"},"user_metadata":{"name":"A"}}"#,
        );
        let SupabaseClaims { sub, email, phone, role, aal, session_id, is_anonymous, .. } = &claims;
        assert_eq!((&**sub, email.as_deref(), phone.as_deref()), ("u", Some("a@example.com"), None));
        assert_eq!((role.as_deref(), aal.as_deref()), (Some("authenticated"), Some("aal2")));
        assert_eq!((session_id.as_deref(), *is_anonymous), (Some("s"), false));
        assert_eq!((claims.amr.len(), &*claims.amr[0].method, claims.amr[0].timestamp), (2, "totp", Some(2)));
        assert_eq!(claims.app_metadata.parse::<serde_json::Value>().expect("JSON")["provider"], "email");
        assert!(claims.user_metadata.parse::<u8>().is_err());
    }

    #[test]
    fn claims_are_read_from_whatever_serde_json_reads() {
        let json =
            serde_json::json!({ "sub": "u\u{e9}", "phone": "+1", "is_anonymous": true, "role": "mine" });
        let claims: SupabaseClaims = serde_json::from_value(json).expect("claims");
        assert_eq!((&*claims.sub, claims.phone.as_deref()), ("u\u{e9}", Some("+1")));
        assert_eq!((claims.is_anonymous, claims.role.as_deref()), (true, Some("mine")));
        for (json, complaint) in [
            ("{}", "missing field `sub`"),
            (r#"{"sub":7}"#, "missing field `sub`"),
            (r#"["u"]"#, "invalid type: sequence, expected a map"),
        ] {
            let error = serde_json::from_str::<SupabaseClaims>(json).expect_err(json);
            assert!(error.to_string().starts_with(complaint), "{json}: {error}");
        }
    }

    #[test]
    fn the_claims_can_be_a_part_of_the_applications_own() {
        #[derive(Deserialize)]
        struct Own {
            org_id: String,
            #[serde(flatten)]
            user: SupabaseClaims,
        }
        #[derive(Deserialize)]
        struct Machine {
            client_id: String,
            app_metadata: Metadata,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Caller {
            User(Box<SupabaseClaims>),
            Machine(Machine),
        }
        let json = r#"{"sub":"u","org_id":"o","role":"authenticated","amr":[{"method":"otp","timestamp":7}],
            "app_metadata":{"roles":["a"]}}"#;
        let own: Own = serde_json::from_str(json).expect("claims");
        assert_eq!((&*own.org_id, &*own.user.sub, own.user.amr[0].timestamp), ("o", "u", Some(7)));
        assert_eq!(own.user.app_metadata.as_json(), r#"{"roles":["a"]}"#);
        let caller = |json| serde_json::from_str(json).expect("a caller");
        assert!(matches!(caller(json), Caller::User(user) if user.sub == "u"));
        let machine = r#"{"client_id":"m","app_metadata":[1]}"#;
        assert!(
            matches!(caller(machine), Caller::Machine(m) if m.client_id == "m" && m.app_metadata.as_json() == "[1]")
        );
        assert!(serde_json::from_str::<Own>(r#"{"org_id":"o"}"#).is_err(), "nobody");
    }

    #[test]
    fn what_hooks_leave_out_or_change_is_tolerated() {
        let few = claims(r#"{"sub":"u"}"#);
        assert!(few.amr.is_empty() && few.role.is_none() && !few.is_anonymous);
        assert_eq!(few.app_metadata.as_json(), "null");
        let odd = claims(
            r#"{"sub":"u","email":null,"phone":7,"amr":["password",{"method":"otp"},7],"app_metadata":null,
            "user_metadata":[1],"is_anonymous":"no","aal":null}"#,
        );
        assert_eq!(odd.amr.iter().map(|entry| &*entry.method).collect::<Vec<_>>(), ["password", "otp", ""]);
        assert_eq!((odd.email, odd.phone, odd.aal, odd.is_anonymous), (None, None, None, false));
        assert_eq!(odd.user_metadata.as_json(), "[1]");
    }

    #[test]
    fn metadata_stays_out_of_debug() {
        let claims = claims(r#"{"sub":"u","user_metadata":{"secret":"s3cret"}}"#);
        assert!(!format!("{claims:?}").contains("s3cret"));
    }

    #[test]
    fn project_urls_become_issuers() {
        for (url, iss) in [
            ("https://abc.supabase.co", "https://abc.supabase.co/auth/v1"),
            ("https://abc.supabase.co/", "https://abc.supabase.co/auth/v1"),
            ("https://abc.supabase.co/auth/v1", "https://abc.supabase.co/auth/v1"),
            ("http://127.0.0.1:54321", "http://127.0.0.1:54321/auth/v1"),
            ("https://example.com/supabase", "https://example.com/supabase/auth/v1"),
        ] {
            assert_eq!(Issuer::supabase(url).expect(url).iss(), iss);
        }
        for url in [
            "",
            "abc.supabase.co",
            "ftp://a.b",
            "https://",
            "https://a b",
            "https://a?x=1",
            "https://u:p@a",
            "/x",
        ] {
            assert!(Issuer::supabase(url).is_err(), "{url}");
        }
    }
}
