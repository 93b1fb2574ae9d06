//! What a protected resource says of itself (RFC 9728), so that a client that knows only its URL finds out
//! where to get a token. MCP asks it of every server that takes tokens.

mod layer;
mod service;
mod url;

pub use layer::{ResourceMetadata, ResourceMetadataFuture, ResourceMetadataLayer};
pub use service::ResourceMetadataService;

use crate::{
    challenge::Pointer,
    config::{ConfigError, shown},
    scope::{ScopeList, is_scope_token},
};
use bytes::Bytes;
use serde::Serialize;
use std::sync::Arc;

/// Where the document of a host is (RFC 9728 §3); the path of the resource follows it.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Asks the authorization server for a refresh token, which is none of a resource's business.
const OFFLINE_ACCESS: &str = "offline_access";

/// The metadata of a protected resource ([RFC 9728 §2]): who issues tokens for it, and which scopes there
/// are.
///
/// It comes to clients in two ways that belong together. [`layer`](Self::layer) (or
/// [`service`](Self::service)) serves the document, without asking for a token;
/// [`BearerLayer::resource_metadata`] names its URL in the challenges. Tokens must be for this resource and
/// no other, so its identifier is the audience of the [`Issuer`].
///
/// Parameters without a value are left out of the document.
///
/// ```
/// use http::{Request, Response, StatusCode, header::WWW_AUTHENTICATE};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_bearer::{Algorithm, BearerLayer, ConfigError, Issuer, JwtVerifier, ProtectedResource};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let resource = ProtectedResource::new("https://api.example/mcp", ["https://issuer.example"])?
///     .scopes(["notes:read", "notes:write"])?
///     .challenge_scopes(["notes:read"])?;
/// let issuer = Issuer::new("https://issuer.example", resource.identifier());
/// # let issuer = issuer.hmac_secret(Algorithm::HS256, [7; 32]);
/// let service = ServiceBuilder::new()
///     .layer(resource.layer()) // outermost: the document is for everybody
///     .layer(BearerLayer::new(JwtVerifier::new([issuer])?).resource_metadata(&resource))
///     .service(service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(Response::new("notes".into()))));
///
/// // Without a token, one learns where to begin…
/// let refused = service.clone().oneshot(Request::get("/mcp").body(())?).await?;
/// # let refused: Response<Vec<u8>> = refused;
/// assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
/// assert_eq!(
///     refused.headers()[WWW_AUTHENTICATE],
///     "Bearer realm=\"https://api.example/mcp\", \
///      resource_metadata=\"https://api.example/.well-known/oauth-protected-resource/mcp\", scope=\"notes:read\"",
/// );
/// // …and there is the document.
/// let document = service.oneshot(Request::get("/.well-known/oauth-protected-resource/mcp").body(())?).await?;
/// assert_eq!(document.status(), StatusCode::OK);
/// assert!(document.into_body().starts_with(br#"{"resource":"https://api.example/mcp","#));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
///
/// let nobody: [&str; 0] = [];
/// let refused = ProtectedResource::new("https://api.example/mcp", nobody).unwrap_err();
/// assert_eq!(refused, ConfigError::NoAuthorizationServer);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [RFC 9728 §2]: https://www.rfc-editor.org/rfc/rfc9728#section-2
/// [`BearerLayer::resource_metadata`]: crate::BearerLayer::resource_metadata
/// [`Issuer`]: crate::Issuer
#[derive(Clone, Debug)]
#[must_use]
pub struct ProtectedResource {
    document: Document,
    /// What a 401 asks for; `None` is all scopes of the document.
    challenge_scopes: Option<Vec<String>>,
}

/// The document, in the order of RFC 9728 §2. What is not offered here (`DPoP`, certificate-bound tokens,
/// signed responses) is not claimed.
#[derive(Clone, Debug, Serialize)]
struct Document {
    resource: String,
    authorization_servers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<String>,
    /// How the gate takes tokens, and nothing that it does not.
    bearer_methods_supported: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_documentation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_policy_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_tos_uri: Option<String>,
}

impl ProtectedResource {
    /// The resource with this identifier, and the issuers whose tokens it takes, the preferred one first.
    ///
    /// The identifier is the URL that clients use, and is kept exactly as given: clients compare it letter by
    /// letter (RFC 9728 §3.3), so `https://api.example` and `https://api.example/` are two. It is an `https`
    /// URL (`http` on a loopback host), spelt as clients spell it: scheme and host in lower case, without a
    /// user, a query, a fragment or dot segments.
    ///
    /// # Errors
    /// [`ConfigError::InvalidResource`] when it is not; [`ConfigError::NoAuthorizationServer`] without an
    /// issuer, since MCP wants one; [`ConfigError::InvalidAuthorizationServer`] for one that is not such a
    /// URL.
    pub fn new<A: Into<String>>(
        resource: impl Into<String>,
        authorization_servers: impl IntoIterator<Item = A>,
    ) -> Result<Self, ConfigError> {
        let resource = resource.into();
        if !url::is_identifier(&resource) {
            return Err(ConfigError::InvalidResource(shown(&resource)));
        }
        let authorization_servers: Vec<String> = authorization_servers.into_iter().map(A::into).collect();
        if authorization_servers.is_empty() {
            return Err(ConfigError::NoAuthorizationServer);
        }
        if let Some(invalid) = authorization_servers.iter().find(|server| !url::is_identifier(server)) {
            return Err(ConfigError::InvalidAuthorizationServer(shown(invalid)));
        }
        let document = Document {
            resource,
            authorization_servers,
            scopes_supported: Vec::new(),
            bearer_methods_supported: &["header"],
            resource_name: None,
            resource_documentation: None,
            resource_policy_uri: None,
            resource_tos_uri: None,
        };
        Ok(Self { document, challenge_scopes: None })
    }

    /// The scopes that there are (`scopes_supported`). A 401 asks for all of them, unless
    /// [`challenge_scopes`](Self::challenge_scopes) says which are enough to begin with.
    ///
    /// # Errors
    /// [`ConfigError::InvalidScope`] for what is not a scope token (RFC 6749 §3.3);
    /// [`ConfigError::OfflineAccess`] for `offline_access`, which a client asks its authorization server for,
    /// not the resource.
    pub fn scopes<'a>(mut self, scopes: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        self.document.scopes_supported = checked(scopes)?;
        Ok(self)
    }

    /// The scopes that a 401 asks for (RFC 6750 §3): those that a client needs to begin with, so that it does
    /// not ask its user for all. Without any, a 401 names none. A 403 names those of the policy, whatever
    /// these are.
    ///
    /// # Errors
    /// As [`scopes`](Self::scopes).
    pub fn challenge_scopes<'a>(
        mut self,
        scopes: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ConfigError> {
        self.challenge_scopes = Some(checked(scopes)?);
        Ok(self)
    }

    /// What a client calls the resource to its user (`resource_name`).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.document.resource_name = Some(name.into()).filter(|name| !name.is_empty());
        self
    }

    /// A page for developers (`resource_documentation`).
    ///
    /// # Errors
    /// [`ConfigError::InvalidUrl`] when it is not an `http` or `https` URL.
    pub fn documentation(mut self, url: impl Into<String>) -> Result<Self, ConfigError> {
        self.document.resource_documentation = Some(page(url.into())?);
        Ok(self)
    }

    /// A page on what clients may do with the data (`resource_policy_uri`).
    ///
    /// # Errors
    /// As [`documentation`](Self::documentation).
    pub fn policy(mut self, url: impl Into<String>) -> Result<Self, ConfigError> {
        self.document.resource_policy_uri = Some(page(url.into())?);
        Ok(self)
    }

    /// The terms of service (`resource_tos_uri`).
    ///
    /// # Errors
    /// As [`documentation`](Self::documentation).
    pub fn terms_of_service(mut self, url: impl Into<String>) -> Result<Self, ConfigError> {
        self.document.resource_tos_uri = Some(page(url.into())?);
        Ok(self)
    }

    /// The identifier, as it was given: the audience of the tokens.
    pub fn identifier(&self) -> &str {
        &self.document.resource
    }

    /// Where the document is on this host: the well-known string and the path of the resource (RFC 9728
    /// §3.1).
    ///
    /// For `https://api.example/mcp` that is `/.well-known/oauth-protected-resource/mcp`.
    pub fn well_known_path(&self) -> String {
        format!("{WELL_KNOWN}{}", url::split(self.identifier()).1)
    }

    /// The URL of the document, as challenges name it.
    pub fn metadata_url(&self) -> String {
        format!("{}{}", url::split(self.identifier()).0, self.well_known_path())
    }

    /// A service that answers with the document whatever path it is asked for, for a route of its own:
    /// `.route_service(&resource.well_known_path(), resource.service::<Body>())`.
    pub fn service<B>(&self) -> ResourceMetadataService<B> {
        ResourceMetadataService::new(self.json())
    }

    /// A layer that answers requests for [`well_known_path`](Self::well_known_path) itself, and passes on all
    /// others. It stands around the gate.
    pub fn layer(&self) -> ResourceMetadataLayer {
        ResourceMetadataLayer::new(self.well_known_path(), self.json())
    }

    /// What challenges say of the resource.
    pub(crate) fn pointer(&self) -> Arc<Pointer> {
        let scopes = self.challenge_scopes.as_ref().unwrap_or(&self.document.scopes_supported);
        let scope = ScopeList::of_valid(scopes.iter().map(String::as_str));
        Arc::new(Pointer { metadata_url: self.metadata_url(), scope })
    }

    fn json(&self) -> Bytes {
        serde_json::to_vec(&self.document).expect("strings and lists of strings are JSON").into()
    }
}

fn checked<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>, ConfigError> {
    let check = |scope: &str| match scope {
        OFFLINE_ACCESS => Err(ConfigError::OfflineAccess),
        _ if is_scope_token(scope) => Ok(scope.to_owned()),
        _ => Err(ConfigError::InvalidScope(scope.to_owned())),
    };
    scopes.into_iter().map(check).collect()
}

fn page(url: String) -> Result<String, ConfigError> {
    if url::is_page(&url) { Ok(url) } else { Err(ConfigError::InvalidUrl(shown(&url))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn resource(identifier: &str) -> ProtectedResource {
        ProtectedResource::new(identifier, ["https://issuer.example"]).expect("a resource")
    }

    fn document(resource: &ProtectedResource) -> Value {
        serde_json::from_slice(&resource.json()).expect("JSON")
    }

    #[test]
    fn rs_109_the_well_known_string_stands_between_host_and_path() {
        for (identifier, path, url) in [
            ("https://h.example", "", "https://h.example"),
            // A slash that ends the host goes (§3); one that ends a path stays.
            ("https://h.example/", "", "https://h.example"),
            ("https://h.example/mcp", "/mcp", "https://h.example"),
            ("https://h.example/mcp/", "/mcp/", "https://h.example"),
            ("https://h.example:8443/a/mcp", "/a/mcp", "https://h.example:8443"),
            ("http://[::1]:3000/mcp", "/mcp", "http://[::1]:3000"),
            ("https://h.example/a://b", "/a://b", "https://h.example"),
        ] {
            let resource = resource(identifier);
            assert_eq!(resource.well_known_path(), format!("/.well-known/oauth-protected-resource{path}"));
            assert_eq!(resource.metadata_url(), format!("{url}{}", resource.well_known_path()));
        }
    }

    #[test]
    fn rs_111_the_identifier_stays_as_it_was_given() {
        for identifier in ["https://h.example", "https://h.example/", "https://h.example/mcp/"] {
            assert_eq!(resource(identifier).identifier(), identifier);
            assert_eq!(document(&resource(identifier))["resource"], identifier);
        }
    }

    #[test]
    fn rs_112_and_118_the_document_says_what_there_is_and_nothing_else() {
        let bare = resource("https://h.example");
        let least = json!({
            "resource": "https://h.example",
            "authorization_servers": ["https://issuer.example"],
            "bearer_methods_supported": ["header"],
        });
        assert_eq!(document(&bare), least);
        assert_eq!(document(&bare.clone().scopes([]).expect("no scopes").name("")), least);

        let full = bare.scopes(["a", "b"]).and_then(|full| {
            full.name("Notes \"é\"")
                .documentation("https://docs.example/notes?v=1#start")?
                .policy("https://docs.example/policy")?
                .terms_of_service("https://docs.example/terms")
        });
        let mut most = least;
        most["scopes_supported"] = json!(["a", "b"]);
        most["resource_name"] = json!("Notes \"é\"");
        most["resource_documentation"] = json!("https://docs.example/notes?v=1#start");
        most["resource_policy_uri"] = json!("https://docs.example/policy");
        most["resource_tos_uri"] = json!("https://docs.example/terms");
        assert_eq!(document(&full.expect("all of it")), most);
    }

    #[test]
    fn rs_113_a_resource_has_an_authorization_server() {
        let servers = |servers: &[&str]| ProtectedResource::new("https://h.example", servers.to_vec());
        assert_eq!(servers(&[]).unwrap_err(), ConfigError::NoAuthorizationServer);
        let two = servers(&["https://one.example/", "https://two.example/tenant"]).expect("two");
        let named = json!(["https://one.example/", "https://two.example/tenant"]);
        assert_eq!(document(&two)["authorization_servers"], named);
        for bad in
            ["", "issuer", "http://issuer.example", "https://issuer.example?x", "https://issuer.example#x"]
        {
            let refused = servers(&["https://one.example", bad]).unwrap_err();
            assert_eq!(refused, ConfigError::InvalidAuthorizationServer(shown(bad)));
        }
    }

    #[test]
    fn rs_115_offline_access_and_what_is_no_scope_are_refused() {
        for (scope, error) in [
            ("offline_access", ConfigError::OfflineAccess),
            ("", ConfigError::InvalidScope(String::new())),
            ("a b", ConfigError::InvalidScope("a b".to_owned())),
            ("a\"", ConfigError::InvalidScope("a\"".to_owned())),
        ] {
            let refused = resource("https://h.example").scopes(["a", scope]).unwrap_err();
            assert_eq!(refused, error);
            let refused = resource("https://h.example").challenge_scopes(["a", scope]).unwrap_err();
            assert_eq!(refused, error);
        }
    }

    #[test]
    fn rs_115_challenges_ask_for_all_scopes_or_for_those_that_were_chosen() {
        let asked = |resource: Result<ProtectedResource, ConfigError>| {
            resource.expect("scopes").pointer().scope.as_ref().map(|scope| scope.as_str().to_owned())
        };
        let bare = || resource("https://h.example");
        assert_eq!(asked(Ok(bare())), None);
        assert_eq!(asked(bare().scopes(["a", "b"])).as_deref(), Some("a b"));
        assert_eq!(
            asked(bare().scopes(["a", "b"]).and_then(|r| r.challenge_scopes(["a"]))).as_deref(),
            Some("a")
        );
        assert_eq!(
            asked(bare().challenge_scopes(["a"]).and_then(|r| r.scopes(["a", "b"]))).as_deref(),
            Some("a")
        );
        assert_eq!(asked(bare().challenge_scopes([]).and_then(|r| r.scopes(["a", "b"]))), None);
    }

    #[test]
    fn a_page_is_a_url_of_the_web() {
        for bad in
            ["", "docs", "javascript:alert(1)", "ftp://docs.example", "https://", "https://docs.example/\n"]
        {
            let refused = resource("https://h.example").documentation(bad).unwrap_err();
            assert_eq!(refused, ConfigError::InvalidUrl(bad.to_owned()));
        }
    }

    #[test]
    fn what_is_refused_is_shown_without_its_secrets() {
        let secret = "https://u:s3cret@h.example/a?s3cret";
        for refused in [
            ProtectedResource::new(secret, ["https://as.example"]).unwrap_err(),
            ProtectedResource::new("https://h.example", [secret]).unwrap_err(),
            resource("https://h.example").documentation(secret).unwrap_err(),
            crate::Issuer::supabase(secret).unwrap_err(),
            crate::Issuer::supabase("https://h.example?s3cret").unwrap_err(),
        ] {
            let shown = format!("{refused} {refused:?}");
            assert!(shown.contains("h.example") && !shown.contains("s3cret"), "{shown}");
        }
    }
}
