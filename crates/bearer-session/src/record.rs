//! [`Record`]: what is sealed in a row.

use crate::{AccessToken, RefreshToken, Secret, TokenSet, labels::Labels};
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use zeroize::Zeroizing;

/// A session: its tokens, and what is known of whose they are.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(Eq, PartialEq))]
pub(crate) struct Record {
    pub(crate) access_token: AccessToken,
    /// `None` where there is none, or where it must not be presented any more.
    pub(crate) refresh_token: Option<RefreshToken>,
    /// What was left of the access token's life when this was written.
    pub(crate) expires_in: Duration,
    /// Shared with the handlers of requests that are under way.
    pub(crate) id_token: Option<Arc<Secret>>,
    pub(crate) document: Option<Secret>,
    /// The user signed in: seconds since 1970, by the clock of whoever wrote it. Nothing rests on it but the
    /// renewal of its cookie, and, where the tokens have no dates, whether a logout at the issuer came later.
    pub(crate) signed_in: u64,
    /// The `iat` of the first ID token, or access token: the same, by the clock of the issuer.
    pub(crate) issued: Option<u64>,
    /// The `sid` of an ID token. Later ones need not have it (OpenID Connect Core 1.0 §12.2).
    pub(crate) sid: Option<Arc<str>>,
    /// For how long these tokens must not be refreshed, since this was written: a request with an older one
    /// may still be under way.
    pub(crate) settles_in: Duration,
    /// By how many generations these tokens are ahead of their row: some, once the store was put back to an
    /// earlier time.
    pub(crate) ahead: u64,
    /// The session is also found by its refresh token.
    pub(crate) is_aliased: bool,
    pub(crate) labels: Labels,
}

/// The record as JSON. Its format is named by the first byte of what is sealed.
#[derive(Deserialize, Serialize)]
struct Written<T> {
    access_token: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<T>,
    expires_in_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<T>,
    signed_in: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<T>,
    #[serde(default, skip_serializing_if = "is_zero")]
    settles_in_ms: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    ahead: u64,
    #[serde(default)]
    aliased: bool,
}

impl Record {
    /// The first one of a session.
    pub(crate) fn signed_in(tokens: TokenSet, is_aliased: bool) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::of(tokens, now.as_secs(), is_aliased)
    }

    /// The next one, of these tokens. An ID token stays where none came (OpenID Connect Core §12.2): it says
    /// who signed in.
    ///
    /// `None` for tokens that say they are another user's, or of another session: whoever gets them would be
    /// let in as that user.
    pub(crate) fn renewed(&self, tokens: TokenSet) -> Option<Self> {
        let next = Self::of(tokens, self.signed_in, self.is_aliased);
        let is_same = self.may_be_one_with(&next);
        is_same.then(|| Self {
            id_token: next.id_token.or_else(|| self.id_token.clone()),
            issued: self.issued,
            sid: next.sid.or_else(|| self.sid.clone()),
            ..next
        })
    }

    /// Whether nothing in them says that these are sessions of two users, or two sessions of one.
    pub(crate) fn may_be_one_with(&self, other: &Self) -> bool {
        let is_one_sid = self.sid.is_none() || other.sid.is_none() || self.sid == other.sid;
        is_one_sid && self.labels.agree_with(&other.labels) && self.id_labels().agree_with(&other.id_labels())
    }

    /// What the ID token says of whose it is.
    pub(crate) fn id_labels(&self) -> Labels {
        self.id_token.as_ref().map(|token| Labels::of(token.expose())).unwrap_or_default()
    }

    /// The same, never to be refreshed again.
    pub(crate) fn burnt(&self) -> Self {
        Self { refresh_token: None, ..self.clone() }
    }

    fn of(tokens: TokenSet, signed_in: u64, is_aliased: bool) -> Self {
        let TokenSet { access_token, refresh_token, expires_in, id_token, document } = tokens;
        let labels = Labels::of(access_token.expose());
        let id_labels = id_token.as_ref().map(|token| Labels::of(token.expose())).unwrap_or_default();
        let issued = id_labels.issued.or(labels.issued).and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Self {
            access_token,
            refresh_token,
            expires_in,
            id_token: id_token.map(Arc::new),
            document,
            signed_in,
            issued: issued.map(|since| since.as_secs()),
            sid: id_labels.sid,
            settles_in: Duration::ZERO,
            ahead: 0,
            is_aliased,
            labels,
        }
    }

    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let written = Written {
            access_token: self.access_token.expose(),
            refresh_token: self.refresh_token.as_ref().map(RefreshToken::expose),
            expires_in_ms: milliseconds(self.expires_in),
            id_token: self.id_token.as_deref().map(Secret::expose),
            document: self.document.as_ref().map(Secret::expose),
            signed_in: self.signed_in,
            issued: self.issued,
            sid: self.sid.as_deref(),
            settles_in_ms: milliseconds(self.settles_in),
            ahead: self.ahead,
            aliased: self.is_aliased,
        };
        // Room for all of it, since what grows leaves copies behind that nobody wipes.
        let mut plain = Zeroizing::new(Vec::with_capacity(2 * written.len() + 256));
        serde_json::to_writer(&mut *plain, &written)
            .expect("strings and numbers are JSON, and a Vec takes all");
        plain
    }

    /// `None` for what this version does not understand.
    pub(crate) fn decode(plain: &[u8]) -> Option<Self> {
        let written: Written<Box<str>> = serde_json::from_slice(plain).ok()?;
        Some(Self {
            labels: Labels::of(&written.access_token),
            access_token: AccessToken::new(written.access_token),
            refresh_token: written.refresh_token.map(RefreshToken::new),
            expires_in: Duration::from_millis(written.expires_in_ms),
            id_token: written.id_token.map(|token| Arc::new(Secret::new(token))),
            document: written.document.map(Secret::new),
            signed_in: written.signed_in,
            issued: written.issued,
            sid: written.sid.map(Arc::from),
            settles_in: Duration::from_millis(written.settles_in_ms),
            ahead: written.ahead,
            is_aliased: written.aliased,
        })
    }
}

impl Written<&str> {
    fn len(&self) -> usize {
        let texts = [Some(self.access_token), self.refresh_token, self.id_token, self.document, self.sid];
        texts.into_iter().flatten().map(str::len).sum()
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks this way")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn a_burnt_record_keeps_all_but_the_refresh_token() {
        let tokens = TokenSet::new(AccessToken::new(jwt(r#"{"sub":"u"}"#)), Duration::from_secs(60));
        let record = Record::signed_in(tokens.refresh_token(RefreshToken::new("r")), true);
        let burnt = record.burnt();
        assert!(burnt.refresh_token.is_none());
        assert_eq!(Record { refresh_token: record.refresh_token.clone(), ..burnt }, record);
    }

    #[test]
    fn an_id_token_stays_until_another_comes() {
        let tokens = |id_token: Option<&str>| TokenSet {
            id_token: id_token.map(Secret::new),
            ..TokenSet::new(AccessToken::new("a"), Duration::from_secs(60))
        };
        let first = Record::signed_in(tokens(Some("first")), false);
        let second = first.renewed(tokens(None)).unwrap();
        assert_eq!(second.id_token.as_deref(), Some(&Secret::new("first")));
        let third = second.renewed(tokens(Some("third"))).unwrap();
        assert_eq!(third.id_token.as_deref(), Some(&Secret::new("third")));
    }

    #[test]
    fn what_a_logout_goes_by_stays_whatever_later_id_tokens_say() {
        let tokens = |payload: &str| TokenSet {
            id_token: Some(Secret::new(jwt(payload))),
            ..TokenSet::new(AccessToken::new("a"), Duration::from_secs(60))
        };
        let first = Record::signed_in(tokens(r#"{"sub":"u","sid":"s","iat":7.9}"#), false);
        let second = first.renewed(tokens(r#"{"sub":"u","iat":8}"#)).unwrap();
        assert_eq!((second.sid.as_deref(), second.issued), (Some("s"), Some(7)));
        for record in [first, second] {
            assert!(record.renewed(tokens(r#"{"sub":"u","sid":"another"}"#)).is_none());
        }
    }

    #[test]
    fn tokens_of_another_user_or_session_are_no_successors() {
        let tokens = |access: &str, id_token: Option<&str>| TokenSet {
            id_token: id_token.map(|payload| Secret::new(jwt(payload))),
            ..TokenSet::new(AccessToken::new(jwt(access)), Duration::from_secs(60))
        };
        let whole = r#"{"iss":"i","sub":"u","session_id":"s"}"#;
        let cases = [
            (whole, None, true),
            (r#"{"sub":"u","sid":"s"}"#, Some(r#"{"sub":"u"}"#), true),
            (r#"{"sub":"u"}"#, None, true),
            ("{}", None, true),
            (r#"{"iss":"moved","sub":"u","session_id":"s"}"#, None, true),
            (r#"{"iss":"i","sub":"other","session_id":"s"}"#, None, false),
            (r#"{"iss":"i","sub":"u","session_id":"other"}"#, None, false),
            (whole, Some(r#"{"sub":"other"}"#), false),
        ];
        let first = Record::signed_in(tokens(whole, Some(r#"{"sub":"u"}"#)), false);
        for (access, id_token, expected) in cases {
            let next = first.renewed(tokens(access, id_token));
            assert_eq!(next.is_some(), expected, "{access} {id_token:?}");
        }
        let opaque = Record::signed_in(TokenSet::new(AccessToken::new("a"), Duration::ZERO), false);
        assert!(opaque.renewed(tokens(whole, None)).is_some());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            access: String, refresh: Option<String>, ms: u64, id_token: Option<String>,
            document: Option<String>, signed_in: u64, issued: Option<u64>, sid: Option<String>, settles: u64,
            ahead: u64, is_aliased: bool,
        ) {
            let record = Record {
                labels: Labels::of(&access),
                access_token: AccessToken::new(access),
                refresh_token: refresh.map(RefreshToken::new),
                expires_in: Duration::from_millis(ms),
                id_token: id_token.map(|token| Arc::new(Secret::new(token))),
                document: document.map(Secret::new),
                signed_in,
                issued,
                sid: sid.map(Arc::from),
                settles_in: Duration::from_millis(settles),
                ahead,
                is_aliased,
            };
            prop_assert_eq!(Record::decode(&record.encode()), Some(record));
        }

        #[test]
        fn what_nearly_is_a_record_is_read_to_the_letter_or_not_at_all(
            access in "\"[a-z.]{0,4}\"|[0-9]{1,3}|null|\\[\\]",
            ms in "[0-9]{1,22}|-1|1.5|\"1\"|null",
            more in "(,\"(refresh_token|ahead|settles_in_ms|aliased|unheard_of)\":(\"r\"|1|true|null|\\{\\}))?",
        ) {
            let text = format!(r#"{{"access_token":{access},"expires_in_ms":{ms},"signed_in":1{more}}}"#);
            if let Some(record) = Record::decode(text.as_bytes()) {
                prop_assert_eq!(format!("\"{}\"", record.access_token.expose()), access);
                prop_assert_eq!(ms.parse(), Ok(milliseconds(record.expires_in)));
                prop_assert_eq!(Record::decode(&record.encode()), Some(record));
            }
        }

        #[test]
        fn garbage_and_what_was_cut_is_not_read(garbage: Vec<u8>, at: prop::sample::Index) {
            prop_assert!(Record::decode(&garbage).is_none());
            let tokens = TokenSet::new(AccessToken::new("a"), Duration::from_secs(60));
            let plain = Record::signed_in(tokens, false).encode();
            prop_assert!(Record::decode(&plain[..at.index(plain.len())]).is_none());
        }
    }
}
