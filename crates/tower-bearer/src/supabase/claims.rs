//! [`SupabaseClaims`]: what Supabase Auth says of a user.

use super::{
    amr::{AuthenticationMethod, methods},
    metadata::Metadata,
};
use crate::{
    claims::AnyClaims,
    claims_set::{ClaimsSet, scan},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use std::{borrow::Cow, sync::Arc};

/// The claims of a Supabase user, tolerant of what custom access token hooks leave out or change.
///
/// With claims of your own, write a struct with the fields that you need and name it in
/// [`Issuer::claims`](crate::Issuer::claims); the guards of the preset stay.
///
/// They serialize to JSON in the shape in which they came, without those that are missing:
///
/// ```
/// use tower_bearer::supabase::SupabaseClaims;
///
/// let json = r#"{"sub":"u","email":"a@example.com","role":"authenticated","is_anonymous":false,"app_metadata":{"roles":["a"]}}"#;
/// let claims: SupabaseClaims = serde_json::from_str(json)?;
/// assert_eq!(serde_json::to_string(&claims)?, json);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Serialize)]
pub struct SupabaseClaims {
    /// The user's id, a UUID.
    pub sub: String,
    /// The user's e-mail address; `None` where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The user's phone number; `None` where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The database role, normally `authenticated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Cow<'static, str>>,
    /// The authenticator assurance level: `aal1`, or `aal2` after a second factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aal: Option<Cow<'static, str>>,
    /// How the user signed in, the most recent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<AuthenticationMethod>,
    /// The id of the session, a UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Whether the user signed in anonymously: a user, but nobody in particular.
    pub is_anonymous: bool,
    /// Set by the server only.
    #[serde(skip_serializing_if = "Metadata::is_missing")]
    pub app_metadata: Metadata,
    /// **Writable by the user**: never decide anything by it.
    #[serde(skip_serializing_if = "Metadata::is_missing")]
    pub user_metadata: Metadata,
}

impl SupabaseClaims {
    /// Reads the claims once [`only_users`](super::only_users) has seen that the required ones are there.
    pub(super) fn read(received: &ClaimsSet) -> Option<AnyClaims> {
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

/// The names that nearly all tokens have need no copy.
pub(super) fn usual(text: Cow<'_, str>) -> Cow<'static, str> {
    const USUAL: [&str; 8] =
        ["authenticated", "aal1", "aal2", "password", "otp", "totp", "oauth", "magiclink"];
    let known = USUAL.into_iter().find(|usual| **usual == text);
    known.map_or_else(|| text.into_owned().into(), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn claims_of_a_token_are_written_in_the_same_shape() {
        let json = r#"{"sub":"u","email":"a@example.com","role":"authenticated","aal":"aal2","amr":[{"method":"totp","timestamp":2},{"method":"sso/saml","timestamp":1,"provider":"p"}],"session_id":"s","is_anonymous":false,"app_metadata":{"b":1.10,"a":123456789012345678901234567890},"user_metadata":null}"#;
        let received = SupabaseClaims::of(&ClaimsSet::of_token(json)).expect("claims");
        assert_eq!(serde_json::to_string(&received).expect("JSON"), json);
        let value = serde_json::to_value(&received).expect("JSON");
        assert_eq!(value["app_metadata"]["b"], 1.1);
        let few = serde_json::to_string(&claims(r#"{"sub":"u","phone":"","amr":["otp",7]}"#)).expect("JSON");
        assert_eq!(few, r#"{"sub":"u","amr":[{"method":"otp"},{"method":""}],"is_anonymous":false}"#);
    }

    #[test]
    fn the_claims_can_be_a_part_of_the_applications_own() {
        #[derive(Deserialize, Serialize)]
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
        let written = r#"{"org_id":"o","sub":"u","role":"authenticated","amr":[{"method":"otp","timestamp":7}],"is_anonymous":false,"app_metadata":{"roles":["a"]}}"#;
        assert_eq!(serde_json::to_string(&own).expect("JSON"), written);
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
}
