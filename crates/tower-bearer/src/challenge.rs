//! The one place where a refusal becomes an answer (RFC 6750 §3, RFC 9110 §11.6.1, gRPC over HTTP/2).

use crate::{
    config::ConfigError,
    credential::is_tchar,
    error::{AuthError, AuthErrorKind, Reason},
    scope::ScopeList,
};
use http::{
    Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::sync::{Arc, OnceLock};

/// When to try again where we could not decide, in seconds: a fetch of keys, or a revocation list, may take
/// so long.
pub(crate) const RETRY_AFTER_SECONDS: u64 = 5;

/// What the challenges of one gate have in common.
#[derive(Clone, Debug)]
pub(crate) struct Challenge {
    scheme: &'static str,
    /// `<scheme> realm="<realm>"`, quoted and checked.
    opening: String,
    /// Whole challenges of other schemes that would do as well.
    others: Vec<HeaderValue>,
    /// Whether clients are told the reason in full.
    pub(crate) detailed: bool,
    pub(crate) resource: Option<Arc<Pointer>>,
    usual: Usual,
}

/// The challenges of refusals that differ in nothing from each other, made when the first of them is sent.
#[derive(Debug, Default)]
struct Usual([OnceLock<Option<HeaderValue>>; 3]);

/// A clone is made to be changed: what was made before may not be right for it.
impl Clone for Usual {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Where a client learns how to get a token (RFC 9728 §5.1).
#[derive(Debug)]
pub(crate) struct Pointer {
    /// Only characters of a URI, none of which needs quoting.
    pub(crate) metadata_url: String,
    /// What a token must have to begin with.
    pub(crate) scope: Option<ScopeList>,
}

/// How the caller wants to be answered. The gate leaves a note of it in the extensions of a gRPC call, for
/// those behind it; a request without a note is plain HTTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dialect {
    Http,
    Grpc,
}

impl Challenge {
    /// `realm` is any text of visible ASCII, spaces and tabs (RFC 9110 §5.6.4); quotes are escaped here.
    pub(crate) fn new(scheme: &'static str, realm: &str) -> Result<Self, ConfigError> {
        if realm.is_empty() || !realm.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            return Err(ConfigError::InvalidRealm);
        }
        Ok(Self::opened(scheme, format!("{scheme} realm={}", quoted(realm))))
    }

    fn opened(scheme: &'static str, opening: String) -> Self {
        Self { scheme, opening, others: Vec::new(), detailed: false, resource: None, usual: Usual::default() }
    }

    /// As [`new`](Self::new), for a realm that nobody chose: what cannot stand in a header is replaced.
    pub(crate) fn lenient(scheme: &'static str, realm: &str) -> Self {
        let realm: String = realm.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
        Self::new(scheme, &realm).unwrap_or_else(|_| Self::opened(scheme, format!("{scheme} realm=\"api\"")))
    }

    /// As it is, under another realm.
    pub(crate) fn with_realm(&self, realm: &str) -> Result<Self, ConfigError> {
        let Self { opening, .. } = Self::new(self.scheme, realm)?;
        Ok(Self { opening, ..self.clone() })
    }

    /// Forgets what was made of the settings so far.
    pub(crate) fn about_to_change(&mut self) -> &mut Self {
        self.usual = Usual::default();
        self
    }

    /// Adds a challenge of another scheme (RFC 9110 §11.6.1), to stand in a line of its own.
    pub(crate) fn add_other(&mut self, scheme: &str, params: &[(&str, &str)]) -> Result<(), ConfigError> {
        let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_tchar);
        let is_text = |text: &str| text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
        let well_formed = params.iter().all(|(name, value)| is_token(name) && is_text(value));
        if !is_token(scheme) || !well_formed || params.is_empty() {
            return Err(ConfigError::InvalidChallenge);
        }
        let params: Vec<_> = params.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
        let value = format!("{scheme} {}", params.join(", "));
        self.others.push(HeaderValue::try_from(value).map_err(|_| ConfigError::InvalidChallenge)?);
        Ok(())
    }

    pub(crate) fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The answer to a refused request, but for its body.
    pub(crate) fn answer(&self, dialect: Dialect, error: AuthError) -> Response<()> {
        let error = if self.detailed { error.detailed() } else { error };
        let kind = error.kind();
        let mut response = Response::new(());
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge(&error) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if matches!(kind, AuthErrorKind::MissingCredential | AuthErrorKind::InvalidToken) {
            for other in &self.others {
                headers.append(WWW_AUTHENTICATE, other.clone());
            }
        }
        // A refusal is about this credential at this moment; nobody may store it (RFC 9111 §3).
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if kind == AuthErrorKind::Unavailable {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        match dialect {
            Dialect::Http => *response.status_mut() = status(kind),
            // Trailers-Only: HTTP 200, and the outcome in what is header and trailer at once.
            Dialect::Grpc => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                headers.insert("grpc-status", HeaderValue::from(grpc_status(kind)));
                headers.insert("grpc-message", grpc_message(&error.description()));
            }
        }
        response.extensions_mut().insert(error);
        response
    }

    /// The challenge, for those answers that have one: all that another token could change (RFC 6750 §3). An
    /// error code stands only where a credential was sent (§3.1).
    fn challenge(&self, error: &AuthError) -> Option<HeaderValue> {
        let place = match error.kind() {
            AuthErrorKind::MissingCredential => 0,
            AuthErrorKind::InvalidToken if error.reason() == Reason::Expired => 1,
            AuthErrorKind::InvalidToken
                if error.reason().description() == Reason::Signature.description() =>
            {
                2
            }
            _ => return self.write(error),
        };
        if self.detailed || error.wanted().is_some() {
            return self.write(error);
        }
        self.usual.0[place].get_or_init(|| self.write(error)).clone()
    }

    fn write(&self, error: &AuthError) -> Option<HeaderValue> {
        if matches!(error.kind(), AuthErrorKind::Unavailable | AuthErrorKind::Misconfigured) {
            return None;
        }
        let mut text = self.opening.clone();
        if let Some(code) = error.kind().code() {
            let description = error.description();
            text = format!("{text}, error=\"{code}\", error_description=\"{description}\"");
        }
        if let Some(resource) = &self.resource {
            text = format!("{text}, resource_metadata=\"{}\"", resource.metadata_url);
        }
        if let Some(scope) = error.required_scope().or_else(|| self.scope_to_begin_with(error)) {
            text = format!("{text}, scope=\"{scope}\"");
        }
        if let Some(values) = error.required_acr_values() {
            text = format!("{text}, acr_values=\"{values}\"");
        }
        if let Some(age) = error.required_max_age() {
            text = format!("{text}, max_age=\"{}\"", age.as_secs());
        }
        // Every part was checked when it was made: realm above, scope tokens, our own descriptions.
        HeaderValue::try_from(text).ok()
    }

    /// The scopes that a client should ask for when it goes for a token.
    fn scope_to_begin_with(&self, error: &AuthError) -> Option<&str> {
        let goes_for_one =
            matches!(error.kind(), AuthErrorKind::MissingCredential | AuthErrorKind::InvalidToken);
        let resource = self.resource.as_deref().filter(|_| goes_for_one)?;
        resource.scope.as_ref().map(ScopeList::as_str)
    }
}

impl Dialect {
    /// gRPC calls are POSTs of that content type; gRPC-Web is plain HTTP to us. Whoever asks in another way
    /// gets no refusal with the status 200: a proxy that asks a service whether to let a request through, by
    /// GET and with the client's headers, takes that for a yes.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        const GRPC: &[u8] = b"application/grpc";
        let is_grpc = |value: &HeaderValue| {
            let value = value.as_bytes();
            value.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
                && matches!(value.get(GRPC.len()), None | Some(b'+' | b';'))
        };
        let is_call = *method == Method::POST && headers.get(CONTENT_TYPE).is_some_and(is_grpc);
        if is_call { Self::Grpc } else { Self::Http }
    }

    pub(crate) fn of_request<B>(request: &Request<B>) -> Self {
        Self::of(request.method(), request.headers())
    }

    /// For those behind the gate, who may not have the request's head any more.
    pub(crate) fn note<B>(request: &mut Request<B>) {
        if Self::of_request(request) == Self::Grpc {
            request.extensions_mut().insert(Self::Grpc);
        }
    }

    /// As the gate has noted it.
    pub(crate) fn noted(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or(Self::Http)
    }
}

fn status(kind: AuthErrorKind) -> StatusCode {
    match kind {
        AuthErrorKind::MissingCredential
        | AuthErrorKind::InvalidToken
        | AuthErrorKind::InsufficientUserAuthentication => StatusCode::UNAUTHORIZED,
        AuthErrorKind::InvalidRequest => StatusCode::BAD_REQUEST,
        AuthErrorKind::InsufficientScope | AuthErrorKind::Forbidden => StatusCode::FORBIDDEN,
        AuthErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        AuthErrorKind::Misconfigured => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `UNAUTHENTICATED` also for malformed credentials: `INVALID_ARGUMENT` would read as the application's own.
fn grpc_status(kind: AuthErrorKind) -> u16 {
    match kind {
        AuthErrorKind::MissingCredential
        | AuthErrorKind::InvalidToken
        | AuthErrorKind::InvalidRequest
        | AuthErrorKind::InsufficientUserAuthentication => 16,
        AuthErrorKind::InsufficientScope | AuthErrorKind::Forbidden => 7,
        AuthErrorKind::Unavailable => 14,
        AuthErrorKind::Misconfigured => 13,
    }
}

/// `Percent-Encoded` of the gRPC protocol: `%x20-24 / %x26-7E`, the rest as `%` and two hex digits.
fn grpc_message(text: &str) -> HeaderValue {
    const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');
    HeaderValue::try_from(utf8_percent_encode(text, ESCAPED).to_string())
        .unwrap_or(HeaderValue::from_static("refused"))
}

/// A quoted-string (RFC 9110 §5.6.4).
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn respond(dialect: Dialect, error: impl Into<AuthError>) -> Response<()> {
        Challenge::new("Bearer", "api").expect("a realm").answer(dialect, error.into())
    }

    fn header(response: &Response<()>, name: &str) -> Option<String> {
        response.headers().get(name).map(|value| value.to_str().expect("ASCII").to_owned())
    }

    #[test]
    fn a_challenge_of_another_scheme_is_text_without_line_breaks() {
        let add = |scheme: &str, name: &str, value: &str| {
            Challenge::lenient("Bearer", "api").add_other(scheme, &[(name, value)])
        };
        assert_eq!(add("DPoP", "algs", "ES256 \t\"x\""), Ok(()));
        for value in ["a\r\nb", "\r", "\n", "\0", "\x7f", "\u{e9}", "caf\u{e9}"] {
            assert_eq!(add("DPoP", "algs", value), Err(ConfigError::InvalidChallenge), "{value:?}");
        }
        for (scheme, name) in [("", "a"), ("a", ""), ("a b", "a"), ("a", "a b"), ("a\r\nb", "a"), ("a", "a=")]
        {
            assert_eq!(add(scheme, name, "x"), Err(ConfigError::InvalidChallenge), "{scheme:?} {name:?}");
        }
        let second =
            Challenge::lenient("Bearer", "api").add_other("DPoP", &[("algs", "ES256"), ("a b", "x")]);
        assert_eq!(second, Err(ConfigError::InvalidChallenge));
    }

    #[test]
    fn every_kind_has_its_status_and_challenge() {
        let table = [
            (AuthError::new(Reason::NoCredential), 401, Some(r#"Bearer realm="api""#)),
            (AuthError::new(Reason::OtherScheme), 401, Some(r#"Bearer realm="api""#)),
            (
                AuthError::new(Reason::Expired),
                401,
                Some(
                    r#"Bearer realm="api", error="invalid_token", error_description="the access token expired""#,
                ),
            ),
            (
                AuthError::new(Reason::Signature),
                401,
                Some(
                    r#"Bearer realm="api", error="invalid_token", error_description="the access token is invalid""#,
                ),
            ),
            (
                AuthError::new(Reason::MalformedCredential),
                400,
                Some(
                    r#"Bearer realm="api", error="invalid_request", error_description="the credential is malformed""#,
                ),
            ),
            (
                AuthError::insufficient_scope(["a", "b"]),
                403,
                Some(
                    r#"Bearer realm="api", error="insufficient_scope", error_description="the access token does not have the scope that is needed", scope="a b""#,
                ),
            ),
            (
                AuthError::insufficient_user_authentication(["aal2"], Some(Duration::from_secs(300))),
                401,
                Some(
                    r#"Bearer realm="api", error="insufficient_user_authentication", error_description="a stronger or more recent sign-in is required", acr_values="aal2", max_age="300""#,
                ),
            ),
            (AuthError::forbidden("no"), 403, Some(r#"Bearer realm="api""#)),
            (AuthError::new(Reason::NoKeys), 503, None),
            (AuthError::new(Reason::NoLayer), 500, None),
        ];
        for (error, status, challenge) in table {
            let response = respond(Dialect::Http, error);
            let error = response.extensions().get::<AuthError>().expect("the reason");
            assert_eq!(
                (response.status().as_u16(), header(&response, "www-authenticate").as_deref()),
                (status, challenge),
                "{error}"
            );
            assert_eq!(header(&response, "cache-control").as_deref(), Some("no-store"), "{error}");
            assert_eq!(header(&response, "retry-after").is_some(), status == 503, "{error}");
        }
    }

    #[test]
    fn a_challenge_that_was_sent_before_follows_a_change() {
        let mut gate = Challenge::new("Bearer", "api").expect("a realm");
        let told = |gate: &Challenge| {
            let answer = gate.answer(Dialect::Http, Reason::Signature.into());
            header(&answer, "www-authenticate").expect("a challenge")
        };
        assert_eq!(told(&gate), told(&gate));
        assert!(told(&gate).contains("the access token is invalid"));
        let metadata_url = "https://api.example/metadata".to_owned();
        gate.about_to_change().resource = Some(Arc::new(Pointer { metadata_url, scope: None }));
        assert!(told(&gate).contains("https://api.example/metadata"));
        gate.about_to_change().detailed = true;
        assert!(told(&gate).contains("the signature does not verify"));
        assert!(told(&gate.with_realm("other").expect("a realm")).starts_with(r#"Bearer realm="other""#));
    }

    #[test]
    fn what_was_said_of_one_refusal_is_not_said_of_another() {
        let gate = |detailed| Challenge { detailed, ..Challenge::lenient("Bearer", "api") };
        let told = |gate: &Challenge, error: &AuthError| {
            header(&gate.answer(Dialect::Http, error.clone()), "www-authenticate").expect("a challenge")
        };
        let wanted = AuthError::insufficient_scope(["write"]).shared_wanted();
        for detailed in [false, true] {
            let busy = gate(detailed);
            for reason in [
                Reason::NoCredential,
                Reason::OtherScheme,
                Reason::NotYetValid,
                Reason::Expired,
                Reason::Signature,
                Reason::Audience,
            ] {
                for wanted in [wanted.clone(), None] {
                    let error = AuthError::new(reason).with_wanted(wanted);
                    assert_eq!(told(&busy, &error), told(&gate(detailed), &error), "{reason}");
                }
            }
        }
    }

    #[test]
    fn rs_035_causes_that_an_attacker_could_tell_apart_answer_alike() {
        let alike = [
            Reason::UnknownKey,
            Reason::Signature,
            Reason::UnknownIssuer,
            Reason::Audience,
            Reason::Algorithm,
            Reason::KeyAlgorithm,
            Reason::NotAJwt,
            Reason::TokenType,
            Reason::KeyBound,
            Reason::NotAUser,
            Reason::ClaimsType,
        ];
        let first = respond(Dialect::Http, alike[0]);
        for reason in alike {
            let response = respond(Dialect::Http, reason);
            assert_eq!(
                (response.status(), response.headers()),
                (first.status(), first.headers()),
                "{reason}"
            );
        }
    }

    #[test]
    fn rs_154_and_155_grpc_answers_are_trailers_only() {
        for (reason, code) in [
            (Reason::NoCredential, "16"),
            (Reason::Expired, "16"),
            (Reason::MalformedCredential, "16"),
            (Reason::Scope, "7"),
            (Reason::NoKeys, "14"),
            (Reason::NoLayer, "13"),
        ] {
            let response = respond(Dialect::Grpc, reason);
            assert_eq!(response.status(), 200);
            assert_eq!(header(&response, "content-type").as_deref(), Some("application/grpc"));
            assert_eq!(header(&response, "grpc-status").as_deref(), Some(code), "{reason}");
            assert_eq!(header(&response, "grpc-message").as_deref(), Some(reason.description()), "{reason}");
        }
    }

    #[test]
    fn rs_157_the_dialect_follows_the_content_type_of_a_post() {
        let headers = |value| HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
        let of = |value| Dialect::of(&Method::POST, &headers(value));
        for grpc in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc+json",
            "application/grpc;a=b",
            "Application/gRPC",
        ] {
            assert_eq!(of(grpc), Dialect::Grpc, "{grpc}");
        }
        for http in [
            "application/json",
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grpcx",
            "application/grp",
            "",
        ] {
            assert_eq!(of(http), Dialect::Http, "{http}");
        }
        assert_eq!(Dialect::of(&Method::POST, &HeaderMap::new()), Dialect::Http);
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::CONNECT] {
            assert_eq!(Dialect::of(&method, &headers("application/grpc")), Dialect::Http, "{method}");
        }
    }

    #[test]
    fn rs_026_a_realm_is_a_quoted_string() {
        let challenge = Challenge::new("Bearer", r#"a"b\c"#).expect("a realm");
        assert_eq!(challenge.opening, r#"Bearer realm="a\"b\\c""#);
        for bad in ["", "a\nb", "é", "\u{7f}"] {
            assert!(Challenge::new("Bearer", bad).is_err(), "{bad:?}");
        }
        assert_eq!(Challenge::lenient("Bearer", "é/\n").opening, r#"Bearer realm="?/?""#);
        assert_eq!(Challenge::lenient("Bearer", "").opening, r#"Bearer realm="api""#);
    }

    #[test]
    fn rs_158_grpc_messages_are_percent_encoded() {
        assert_eq!(grpc_message("100% of it\né"), "100%25 of it%0A%C3%A9");
    }

    #[test]
    fn rs_024_descriptions_hold_only_what_a_description_may() {
        use Reason as R;
        for reason in [
            R::NoCredential,
            R::SeveralCredentials,
            R::MalformedCredential,
            R::CredentialTooLong,
            R::NotAJwt,
            R::Expired,
            R::NotYetValid,
            R::IssuedInTheFuture,
            R::Scope,
            R::NoKeys,
            R::NoLayer,
            R::Other(AuthErrorKind::Forbidden, "\"\n"),
        ] {
            let text = reason.description();
            assert!(text.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)), "{text}");
        }
    }
}
