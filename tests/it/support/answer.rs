//! What came back, and the few shapes that it may have.

use super::{app::REACHED, challenge::Challenge};
use axum::{body::to_bytes, response::Response};
use http::{HeaderMap, header::WWW_AUTHENTICATE};
use tower_bearer::{AuthError, Reason, Verified};

/// An answer, from a socket or not.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// Why it was refused; `None` from a socket.
    pub(crate) reason: Option<Reason>,
    /// What the service was given; `None` from a socket.
    pub(crate) verified: Option<Verified>,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
            reason: parts.extensions.get::<AuthError>().map(AuthError::reason),
            verified: parts.extensions.get::<Verified>().cloned(),
        }
    }

    /// Whether the service behind the gate was called.
    pub(crate) fn reached(&self) -> bool {
        self.headers.contains_key(REACHED)
    }

    /// The text of a header that stands once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap());
        assert!(values.next().is_none(), "{name} stands twice");
        value
    }

    /// The challenge, held to its grammar.
    pub(crate) fn challenge(&self) -> Option<Challenge> {
        self.header(WWW_AUTHENTICATE.as_str()).map(Challenge::parse)
    }

    /// Its error code.
    pub(crate) fn code(&self) -> Option<String> {
        self.challenge()?.param("error")
    }

    #[track_caller]
    pub(crate) fn assert_passed(&self, name: &str) {
        assert!(self.reached() && self.status == 200, "{name}: refused, {self:?}");
    }

    /// 401, a challenge, and no error code: there was no credential to find fault with.
    #[track_caller]
    pub(crate) fn assert_missing(&self, name: &str) {
        self.assert_refused(name, 401, None);
        let challenge = self.challenge().unwrap();
        for param in ["error", "error_description", "error_uri"] {
            assert_eq!(challenge.param(param), None, "{name}");
        }
    }

    /// 400 `invalid_request`.
    #[track_caller]
    pub(crate) fn assert_malformed(&self, name: &str) {
        self.assert_refused(name, 400, Some("invalid_request"));
    }

    /// 401 `invalid_token`.
    #[track_caller]
    pub(crate) fn assert_invalid_token(&self, name: &str) {
        self.assert_refused(name, 401, Some("invalid_token"));
    }

    /// 401 `invalid_token`, for this reason.
    #[track_caller]
    pub(crate) fn assert_invalid(&self, name: &str, reason: Reason) {
        self.assert_invalid_token(name);
        assert_eq!(self.reason, Some(reason), "{name}");
    }

    /// 403 `insufficient_scope`.
    #[track_caller]
    pub(crate) fn assert_insufficient(&self, name: &str) {
        self.assert_refused(name, 403, Some("insufficient_scope"));
    }

    #[track_caller]
    fn assert_refused(&self, name: &str, status: u16, code: Option<&str>) {
        assert!(!self.reached(), "{name}: came through");
        assert_eq!((self.status, self.code().as_deref()), (status, code), "{name}: {self:?}");
        let challenge = self.challenge().unwrap_or_else(|| panic!("{name}: no challenge"));
        assert_eq!(challenge.scheme, "Bearer", "{name}");
    }
}
