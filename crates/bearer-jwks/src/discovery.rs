//! Where an issuer publishes its keys, by its own metadata (OpenID Connect Discovery 1.0 §4, RFC 8414 §3):
//! pure functions of the issuer's name and of a document.

use crate::location::{InvalidLocation, PlainHosts, check, public, start};
use serde::Deserialize;
use std::{error::Error, fmt};
use url::Url;

/// The places where the metadata of an issuer may lie, the most common first: OIDC appends to the path, RFC
/// 8414 inserts before it; with a path, some servers do either with the other's name.
pub(crate) fn locations(iss: &Url) -> Vec<Url> {
    const OIDC: &str = ".well-known/openid-configuration";
    const OAUTH: &str = ".well-known/oauth-authorization-server";
    // A terminating slash is removed first (RFC 8414 §3.1).
    let path = iss.path().trim_matches('/');
    let paths = if path.is_empty() {
        vec![format!("/{OIDC}"), format!("/{OAUTH}")]
    } else {
        vec![format!("/{path}/{OIDC}"), format!("/{OAUTH}/{path}"), format!("/{OIDC}/{path}")]
    };
    let at = |path: String| {
        let mut url = iss.clone();
        url.set_path(&path);
        url
    };
    paths.into_iter().map(at).collect()
}

/// Why a document is not the metadata of the issuer.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InvalidMetadata {
    /// There is none at any of the well-known places, of which this is the first.
    Absent(String),
    /// Not a JSON object with the strings `issuer` and `jwks_uri`.
    Malformed,
    /// `issuer` is not, to the letter, the configured one: nothing of the document is used (RFC 8414 §3.3).
    /// This is its name there, or the beginning of it.
    OtherIssuer(String),
}

impl fmt::Display for InvalidMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(place) => {
                write!(f, "there is no metadata at {place:?}, nor at the other well-known places")
            }
            Self::Malformed => {
                f.write_str("not the metadata of an issuer (a JSON object with `issuer` and `jwks_uri`)")
            }
            Self::OtherIssuer(name) => write!(
                f,
                "the metadata names another issuer, {name:?}: names are compared to the letter, a slash at the end \
                included"
            ),
        }
    }
}

impl Error for InvalidMetadata {}

/// The `jwks_uri` of a metadata document.
pub(crate) fn jwks_uri(document: &str, iss: &str) -> Result<String, InvalidMetadata> {
    #[derive(Deserialize)]
    struct Metadata {
        issuer: String,
        jwks_uri: String,
    }
    // serde would read an array as well, member by member.
    if !document.trim_ascii_start().starts_with('{') {
        return Err(InvalidMetadata::Malformed);
    }
    let metadata: Metadata = serde_json::from_str(document).map_err(|_| InvalidMetadata::Malformed)?;
    if metadata.issuer != iss {
        return Err(InvalidMetadata::OtherIssuer(start(&metadata.issuer).to_owned()));
    }
    Ok(metadata.jwks_uri)
}

/// Where keys are fetched from, as the metadata at `place` names it. Over plain `http` only where the
/// metadata came that way: an issuer elsewhere must not have us ask a service of our own host or network.
pub(crate) fn key_location(jwks_uri: &str, place: &Url, plain: &PlainHosts) -> Result<Url, InvalidLocation> {
    let location = check(jwks_uri, plain)?;
    if location.scheme() != "https" && place.scheme() != "http" {
        return Err(InvalidLocation::Insecure(public(jwks_uri)));
    }
    Ok(location)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rs_104_metadata_lies_where_oidc_appends_and_rfc_8414_inserts() {
        let table = [
            (
                "https://i.example",
                &["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"][..],
            ),
            (
                "https://i.example/",
                &["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
            ),
            (
                "https://i.example/tenant1/",
                &[
                    "/tenant1/.well-known/openid-configuration",
                    "/.well-known/oauth-authorization-server/tenant1",
                    "/.well-known/openid-configuration/tenant1",
                ],
            ),
            (
                "https://i.example/auth/v1",
                &[
                    "/auth/v1/.well-known/openid-configuration",
                    "/.well-known/oauth-authorization-server/auth/v1",
                    "/.well-known/openid-configuration/auth/v1",
                ],
            ),
        ];
        for (iss, expected) in table {
            let found = locations(&Url::parse(iss).expect(iss));
            assert_eq!(found.iter().map(Url::path).collect::<Vec<_>>(), expected, "{iss}");
            assert!(found.iter().all(|url| url.host_str() == Some("i.example")));
        }
    }

    #[test]
    fn rs_103_only_the_issuers_own_metadata_is_used() {
        let iss = "https://i.example/";
        let document =
            |issuer: &str| format!(r#"{{"issuer":"{issuer}","jwks_uri":"https://k.example/jwks","x":[1]}}"#);
        assert_eq!(jwks_uri(&document(iss), iss).as_deref(), Ok("https://k.example/jwks"));
        for other in
            ["https://i.example", "https://I.example/", "https://evil.example/", "https://i.example/a", ""]
        {
            let expected = Err(InvalidMetadata::OtherIssuer(other.to_owned()));
            assert_eq!(jwks_uri(&document(other), iss), expected, "{other}");
        }
        for malformed in [
            "",
            "null",
            "[]",
            "{}",
            r#"["https://i.example/","https://k.example/jwks"]"#,
            r#"{"issuer":"https://i.example/"}"#,
            r#"{"issuer":"https://i.example/","jwks_uri":null}"#,
            r#"{"issuer":["https://i.example/"],"jwks_uri":"x"}"#,
            r#"{"issuer":"https://evil.example/","issuer":"https://i.example/","jwks_uri":"x"}"#,
        ] {
            assert_eq!(jwks_uri(malformed, iss), Err(InvalidMetadata::Malformed), "{malformed}");
        }
    }

    #[test]
    fn metadata_from_elsewhere_names_no_plain_http_on_this_machine() {
        let mut plain = PlainHosts::default();
        plain.add("keycloak".to_owned());
        let at = |place: &str, jwks_uri| key_location(jwks_uri, &Url::parse(place).expect(place), &plain);
        assert!(at("http://keycloak/.well-known/x", "http://keycloak/jwks").is_ok());
        let within = "http://keycloak/jwks".to_owned();
        assert_eq!(
            at("https://i.example/.well-known/x", &within),
            Err(InvalidLocation::Insecure(within.clone()))
        );
        let (far, near) = ("https://i.example/.well-known/x", "http://127.0.0.1:80/.well-known/x");
        for local in ["http://127.0.0.1:8080/jwks", "http://localhost/jwks", "http://[::1]/jwks"] {
            assert_eq!(at(far, local), Err(InvalidLocation::Insecure(local.to_owned())), "{local}");
            assert!(at(near, local).is_ok(), "{local}, which is where the issuer is");
        }
        for place in [far, near] {
            assert!(at(place, "https://k.example/jwks").is_ok());
            let insecure = "http://k.example/jwks";
            assert_eq!(at(place, insecure), Err(InvalidLocation::Insecure(insecure.to_owned())));
            assert!(matches!(at(place, "https://169.254.169.254/"), Err(InvalidLocation::LinkLocal(_))));
        }
    }
}
