//! Where an issuer's endpoints are, by its own metadata (OpenID Connect Discovery 1.0 §4, RFC 8414 §3):
//! pure functions of the issuer's name and of a document.

use super::{
    InvalidEndpoint,
    location::{PlainHosts, check},
};
use http::StatusCode;
use serde::Deserialize;
use url::Url;

/// What a session needs of an issuer's metadata. Every location has been checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Metadata {
    pub(super) token: Url,
    pub(super) authorization: Option<Url>,
    pub(super) revocation: Option<Url>,
    pub(super) end_session: Option<Url>,
    /// Whether its name stands beside every code (RFC 9207 §3).
    pub(super) names_itself: bool,
}

/// The places where the metadata of an issuer may lie, the most common first: OIDC appends to the path, RFC
/// 8414 inserts before it; with a path, some servers do either with the other's name.
pub(super) fn locations(iss: &Url) -> Vec<Url> {
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

/// Why there is no metadata at a place.
#[derive(Debug)]
pub(super) enum NotRead {
    /// There may be some, and none that can be used.
    Refused(InvalidEndpoint),
    /// There is none, and what it says of that, unless that is 404.
    Nothing(Option<InvalidEndpoint>),
}

/// Hosts say that a place has no metadata with 400, 403, 405 or 410 as well, or with the page of an
/// application; one that is in trouble (429, 5xx) says nothing. The fetcher of keys (bearer-jwks) reads them
/// alike.
pub(super) fn answered(
    status: StatusCode,
    body: &[u8],
    iss: &str,
    check: impl Fn(&str) -> Result<Url, InvalidEndpoint>,
) -> Result<Metadata, NotRead> {
    let unreachable = || InvalidEndpoint::Unreachable(format!("the answer's status is {status}"));
    match status {
        StatusCode::OK => metadata(body, iss, check).map_err(|error| match error {
            InvalidEndpoint::NotMetadata => NotRead::Nothing(Some(error)),
            _ => NotRead::Refused(error),
        }),
        StatusCode::NOT_FOUND => Err(NotRead::Nothing(None)),
        StatusCode::TOO_MANY_REQUESTS => Err(NotRead::Refused(unreachable())),
        _ if status.as_u16() >= 500 => Err(NotRead::Refused(unreachable())),
        _ => Err(NotRead::Nothing(Some(unreachable()))),
    }
}

/// A location as the metadata of this issuer names it. Over plain `http` only where the metadata came that way:
/// an issuer elsewhere must not have us ask a service of our own host or network.
pub(super) fn named(location: &str, issuer: &Url, plain: &PlainHosts) -> Result<Url, InvalidEndpoint> {
    let url = check(location, plain)?;
    if url.scheme() != "https" && issuer.scheme() != "http" {
        return Err(InvalidEndpoint::Insecure(location.to_owned()));
    }
    Ok(url)
}

/// Reads a metadata document of this issuer, in which every location must pass `check`.
fn metadata(
    document: &[u8],
    iss: &str,
    check: impl Fn(&str) -> Result<Url, InvalidEndpoint>,
) -> Result<Metadata, InvalidEndpoint> {
    #[derive(Deserialize)]
    struct Document {
        issuer: String,
        token_endpoint: String,
        #[serde(default)]
        authorization_endpoint: Option<String>,
        #[serde(default)]
        revocation_endpoint: Option<String>,
        #[serde(default)]
        end_session_endpoint: Option<String>,
        // Of any type: what a strange one says is no reason to read nothing at all.
        #[serde(default)]
        authorization_response_iss_parameter_supported: serde_json::Value,
    }
    // serde would read an array as well, member by member.
    if !document.trim_ascii_start().starts_with(b"{") {
        return Err(InvalidEndpoint::NotMetadata);
    }
    let document: Document = serde_json::from_slice(document).map_err(|_| InvalidEndpoint::NotMetadata)?;
    if document.issuer != iss {
        return Err(InvalidEndpoint::OtherIssuer);
    }
    let optional = |location: Option<String>| location.as_deref().map(&check).transpose();
    Ok(Metadata {
        token: check(&document.token_endpoint)?,
        authorization: optional(document.authorization_endpoint)?,
        revocation: optional(document.revocation_endpoint)?,
        end_session: optional(document.end_session_endpoint)?,
        names_itself: document.authorization_response_iss_parameter_supported == true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn metadata(document: &[u8], iss: &str) -> Result<Metadata, InvalidEndpoint> {
        super::metadata(document, iss, |location| check(location, PlainHosts::NONE))
    }

    proptest! {
        #[test]
        fn no_document_panics_and_none_of_another_issuer_is_taken(
            garbage in proptest::collection::vec(any::<u8>(), 0..60),
            issuer in "https://i\\.example/?[a-z]{0,2}",
            token in "(https?://)?[a-z.]{0,9}[/?#]{0,2}",
        ) {
            let iss = "https://i.example";
            prop_assert!(metadata(&garbage, iss).is_err());
            let document = json!({ "issuer": issuer, "token_endpoint": token }).to_string();
            if let Ok(found) = metadata(document.as_bytes(), iss) {
                prop_assert_eq!(issuer, iss);
                prop_assert_eq!(found.token.scheme(), "https");
            }
        }
    }

    #[test]
    fn metadata_lies_where_oidc_appends_and_rfc_8414_inserts() {
        let found = |iss: &str| {
            let iss = Url::parse(iss).expect(iss);
            locations(&iss).iter().map(|url| url.path().to_owned()).collect::<Vec<_>>()
        };
        let root = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];
        assert_eq!(found("https://i.example"), root);
        assert_eq!(found("https://i.example/"), root);
        assert_eq!(
            found("https://i.example/a/b/"),
            [
                "/a/b/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server/a/b",
                "/.well-known/openid-configuration/a/b",
            ]
        );
    }

    #[test]
    fn metadata_from_elsewhere_names_no_plain_http_of_this_machine_or_network() {
        let mut plain = PlainHosts::default();
        plain.add("keycloak".into());
        let by = |issuer: &str, location| named(location, &Url::parse(issuer).expect(issuer), &plain);
        for local in ["http://keycloak/token", "http://127.0.0.1:8080/token", "http://localhost/token"] {
            assert_eq!(
                by("https://i.example", local),
                Err(InvalidEndpoint::Insecure(local.into())),
                "{local}"
            );
            assert!(by("http://keycloak", local).is_ok(), "{local}");
        }
        assert!(by("https://i.example", "https://i.example/token").is_ok());
        assert!(by("http://keycloak", "http://i.example/token").is_err());
    }

    #[test]
    fn a_document_is_taken_to_the_letter_or_not_at_all() {
        let iss = "https://i.example";
        let good = json!({ "issuer": iss, "token_endpoint": "https://i.example/token", "revocation_endpoint": "https://i.example/revoke" });
        let read = |document: &serde_json::Value| metadata(document.to_string().as_bytes(), iss);
        let found = read(&good).expect("good");
        assert_eq!(found.token.as_str(), "https://i.example/token");
        assert_eq!(found.revocation.map(String::from).as_deref(), Some("https://i.example/revoke"));
        assert_eq!((found.end_session, found.names_itself), (None, false));
        let with = |name: &str, value: serde_json::Value| {
            let mut document = good.clone();
            document[name] = value;
            read(&document).map(|_| ())
        };
        for (value, expected) in
            [(json!(true), true), (json!(false), false), (json!(null), false), (json!("true"), false)]
        {
            let mut document = good.clone();
            document["authorization_response_iss_parameter_supported"] = value.clone();
            assert_eq!(read(&document).map(|found| found.names_itself), Ok(expected), "{value}");
        }
        assert_eq!(with("issuer", json!("https://i.example/")), Err(InvalidEndpoint::OtherIssuer));
        assert_eq!(with("token_endpoint", json!(null)), Err(InvalidEndpoint::NotMetadata));
        let insecure = "http://i.example/token";
        for name in
            ["token_endpoint", "authorization_endpoint", "revocation_endpoint", "end_session_endpoint"]
        {
            assert_eq!(
                with(name, json!(insecure)),
                Err(InvalidEndpoint::Insecure(insecure.into())),
                "{name}"
            );
        }
        assert_eq!(
            read(&json!([iss, "https://i.example/token"])).map(|_| ()),
            Err(InvalidEndpoint::NotMetadata)
        );
    }
}
