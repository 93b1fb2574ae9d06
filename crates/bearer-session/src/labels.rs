//! [`Labels`]: whose a session is, as its tokens say.

use crate::unverified;
use serde::Deserialize;
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What the access token says of whose it is, read without verifying it: for events and revocation, never for
/// access.
#[derive(Clone, Debug, Default)]
#[cfg_attr(test, derive(Eq, PartialEq))]
pub(crate) struct Labels {
    pub(crate) issuer: Option<Arc<str>>,
    pub(crate) subject: Option<Arc<str>>,
    /// `session_id` of Supabase Auth, or `sid` of OpenID Connect.
    pub(crate) session: Option<Arc<str>>,
    /// `sid` alone, by which an issuer speaks of the session.
    pub(crate) sid: Option<Arc<str>>,
    /// `iat`: when the token was issued.
    pub(crate) issued: Option<SystemTime>,
}

impl Labels {
    /// Of a JWT (RFC 7519 §4.1). A token of another form has none.
    pub(crate) fn of(access_token: &str) -> Self {
        #[derive(Deserialize)]
        struct Payload {
            iss: Option<String>,
            sub: Option<String>,
            session_id: Option<String>,
            sid: Option<String>,
            iat: Option<serde_json::Value>,
        }
        match unverified::claims::<Payload>(access_token) {
            Some(payload) => {
                let sid: Option<Arc<str>> = payload.sid.map(Arc::from);
                Self {
                    issuer: payload.iss.map(Arc::from),
                    subject: payload.sub.map(Arc::from),
                    session: payload.session_id.map(Arc::from).or_else(|| sid.clone()),
                    sid,
                    issued: payload.iat.as_ref().and_then(date),
                }
            }
            None => Self::default(),
        }
    }

    /// Whether they can be about one session of one user: what both say is the same. The issuer is not looked
    /// at. It answered itself, and its name changes when it moves to a domain of its own.
    pub(crate) fn agree_with(&self, other: &Self) -> bool {
        let agree = |ours: &Option<Arc<str>>, theirs: &Option<Arc<str>>| {
            ours.is_none() || theirs.is_none() || ours == theirs
        };
        agree(&self.subject, &other.subject) && agree(&self.session, &other.session)
    }
}

/// A `NumericDate` (RFC 7519 §2).
fn date(value: &serde_json::Value) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn labels_come_from_the_payload_or_not_at_all() {
        let (some, none) = (|text: &str| Some(Arc::from(text)), Labels::default);
        let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs_f64(seconds));
        let cases = [
            (
                jwt(r#"{"iss":"i","sub":"u","session_id":"s","sid":"t","iat":7}"#),
                Labels {
                    issuer: some("i"),
                    subject: some("u"),
                    session: some("s"),
                    sid: some("t"),
                    issued: at(7.0),
                },
            ),
            (
                jwt(r#"{"sub":"u","sid":"t"}"#),
                Labels { subject: some("u"), session: some("t"), sid: some("t"), ..Labels::default() },
            ),
            (jwt(r#"{"sub":"u","iat":7.5}"#), Labels { subject: some("u"), issued: at(7.5), ..none() }),
            (jwt(r#"{"sub":"u","iat":"7"}"#), Labels { subject: some("u"), ..none() }),
            (jwt(r#"{"sub":"u","iat":-7}"#), Labels { subject: some("u"), ..none() }),
            (jwt(r#"{"sub":"u","iat":1e300}"#), Labels { subject: some("u"), ..none() }),
            (jwt(r#"{"sub":7}"#), Labels::default()),
            (jwt("[]"), Labels::default()),
            ("opaque".into(), Labels::default()),
            (format!("{}.more", jwt(r#"{"sub":"u"}"#)), Labels::default()),
        ];
        for (token, expected) in cases {
            assert_eq!(Labels::of(&token), expected, "{token}");
        }
    }
}
