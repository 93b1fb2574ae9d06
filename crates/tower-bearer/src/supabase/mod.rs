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

mod amr;
mod claims;
mod metadata;

pub use amr::AuthenticationMethod;
pub use claims::SupabaseClaims;
pub use metadata::Metadata;

use crate::{
    config::{ConfigError, shown},
    error::Reason,
    jwt::{Algorithm, Issuer, Payload},
};
use http::Uri;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims_set::ClaimsSet;
    use proptest::prelude::*;
    use std::sync::Arc;

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

        /// What is shown of a token says what the token says, and is read again as the same.
        #[test]
        fn claims_are_written_as_they_are_read(
            sub in "[a-zé\"]{0,4}",
            some in proptest::collection::hash_map(proptest::sample::select(CLAIMS), value(), 0..8),
        ) {
            let mut json = serde_json::json!({ "sub": sub });
            for (name, value) in some {
                json[name] = value;
            }
            let claims = SupabaseClaims::read(&ClaimsSet::of_token(&json.to_string())).expect("there is a sub");
            let claims = claims.downcast_ref::<SupabaseClaims>().expect("they are these");
            let written = serde_json::to_string(claims).expect("JSON");
            let again: SupabaseClaims = serde_json::from_str(&written).expect("claims");
            // Without the metadata, which `Debug` does not show.
            prop_assert_eq!(format!("{claims:?}"), format!("{again:?}"));
            let shown: serde_json::Map<_, _> = serde_json::from_str(&written).expect("an object");
            for (name, metadata) in
                [("app_metadata", &claims.app_metadata), ("user_metadata", &claims.user_metadata)]
            {
                let received = json.get(name).map(ToString::to_string);
                prop_assert_eq!(shown.contains_key(name), received.is_some());
                if let Some(received) = received {
                    prop_assert_eq!(metadata.as_json(), &received);
                    prop_assert!(written.contains(&format!("\"{name}\":{received}")), "{written}");
                }
            }
        }
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
