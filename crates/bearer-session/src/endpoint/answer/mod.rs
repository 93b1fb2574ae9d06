//! What an answer of a token endpoint means: pure functions of its status and its body.

mod code;

use self::code::code;
use super::{ExchangeError, Outcome};
use crate::{TokenSet, token_response};
use http::StatusCode;
use std::time::Duration;
use zeroize::Zeroizing;

/// What came back, read to its end. A body that broke off or went on for too long is empty.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Whose codes the answer uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dialect {
    /// RFC 6749 §5.2 and OpenID Connect, and what GitHub made of them.
    OAuth,
    /// Supabase Auth, in both shapes, and the OAuth server in it.
    Supabase,
}

impl Dialect {
    /// Whether the code says that this token, code or password will never do: there is no session, or no
    /// longer one.
    ///
    /// What is wrong with the client is not of that kind: an operator puts it right, and the sessions live
    /// on. But Supabase says `invalid_client` of a session that belongs to another.
    fn is_final(self, code: &str) -> bool {
        let oauth = matches!(
            code,
            "invalid_grant"
                | "interaction_required"
                | "login_required"
                | "consent_required"
                | "bad_refresh_token"
                | "bad_verification_code"
        );
        let supabase = matches!(
            code,
            "refresh_token_not_found"
                | "refresh_token_already_used"
                | "session_not_found"
                | "session_expired"
                | "user_banned"
                | "user_not_found"
                | "validation_failed"
                | "invalid_client"
                | "invalid_credentials"
                | "email_not_confirmed"
                | "phone_not_confirmed"
                | "flow_state_not_found"
                | "flow_state_expired"
                | "bad_code_verifier"
        );
        oauth || (self == Self::Supabase && supabase)
    }
}

/// What became of the token that was sent, by the answer alone.
#[allow(clippy::match_same_arms, reason = "each has its own reason, and the order counts")]
pub(super) fn outcome(
    dialect: Dialect,
    status: StatusCode,
    code: Option<&str>,
    retry_after: bool,
) -> Outcome {
    let refused_for_good = code.is_some_and(|code| dialect.is_final(code));
    match status.as_u16() {
        // GitHub refuses with 200. Anything else of this kind was a success that cannot be read.
        200..300 if refused_for_good => Outcome::Final,
        // "Send it there instead": nothing was done with it here (RFC 9110 §15.4.8).
        307 | 308 => Outcome::NotSpent,
        // Somebody on the way gave up waiting, for the request or for the answer.
        408 | 499 => Outcome::Unknown,
        // "Not now", whatever else it says.
        409 | 425 | 429 => Outcome::NotSpent,
        400..500 if refused_for_good => Outcome::Final,
        400..500 if code == Some("server_error") => Outcome::Unknown,
        400..500 => Outcome::NotSpent,
        // Said by a server that declines; without a time, also by a gateway that lost the answer of the one
        // behind it.
        503 if retry_after => Outcome::NotSpent,
        _ => Outcome::Unknown,
    }
}

impl Answer {
    /// The tokens in it. `lifetime` is that of an access token of which the issuer says nothing.
    pub(super) fn tokens(&self, dialect: Dialect, lifetime: Duration) -> Result<TokenSet, ExchangeError> {
        if !self.status.is_success() {
            return Err(self.error(dialect));
        }
        token_response::read(&self.body, lifetime).map_err(|_| self.error(dialect))
    }

    /// The failure that it is.
    pub(super) fn error(&self, dialect: Dialect) -> ExchangeError {
        let code = self.code(dialect);
        let outcome = outcome(dialect, self.status, code.as_deref(), self.retry_after.is_some());
        let mut error = ExchangeError::new(outcome).with_status(self.status);
        if let Some(code) = &code {
            error = error.with_code(code);
        }
        match self.retry_after {
            Some(time) => error.with_retry_after(time),
            None => error,
        }
    }

    /// The issuer's own code.
    pub(super) fn code(&self, dialect: Dialect) -> Option<String> {
        code(dialect, &self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) const LIFETIME: Duration = Duration::from_secs(300);

    pub(super) fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, retry_after: None, body: Zeroizing::new(body.as_bytes().to_vec()) }
    }

    #[test]
    fn tokens_come_with_a_success_alone() {
        for status in 200..600 {
            let tokens = answer(status, r#"{"access_token":"a"}"#).tokens(Dialect::OAuth, LIFETIME);
            assert_eq!(tokens.is_ok(), (200..300).contains(&status), "{status}");
        }
    }

    #[test]
    fn outcomes_as_a_table() {
        use Dialect::{OAuth, Supabase};
        use Outcome::{Final, NotSpent, Unknown};
        let new = |code: &str| format!(r#"{{"code":"{code}","message":"No"}}"#);
        let old = |code: &str| format!(r#"{{"code":400,"error_code":"{code}","msg":"No"}}"#);
        let oauth = |code: &str| format!(r#"{{"error":"{code}","error_description":"No"}}"#);
        let html = "<html><title>502 Bad Gateway</title></html>";
        let mut table = vec![
            (Supabase, 403, new("user_banned"), Final),
            (Supabase, 400, oauth("invalid_client"), Final),
            (Supabase, 400, oauth("invalid_grant"), Final),
            (Supabase, 409, new("conflict"), NotSpent),
            (Supabase, 409, new("session_not_found"), NotSpent),
            (Supabase, 429, new("over_request_rate_limit"), NotSpent),
            (Supabase, 504, new("request_timeout"), Unknown),
            (Supabase, 500, new("unexpected_failure"), Unknown),
            (Supabase, 500, new("session_not_found"), Unknown),
            (Supabase, 502, html.to_owned(), Unknown),
            (Supabase, 503, html.to_owned(), Unknown),
            (Supabase, 522, html.to_owned(), Unknown),
            (Supabase, 401, r#"{"message":"No API key found in request"}"#.to_owned(), NotSpent),
            (Supabase, 400, new("something_new"), NotSpent),
            (Supabase, 403, html.to_owned(), NotSpent),
            (Supabase, 400, String::new(), NotSpent),
            (OAuth, 400, oauth("invalid_grant"), Final),
            (OAuth, 401, oauth("invalid_grant"), Final),
            (OAuth, 400, oauth("interaction_required"), Final),
            (OAuth, 400, oauth("invalid_request"), NotSpent),
            (OAuth, 401, oauth("invalid_client"), NotSpent),
            (OAuth, 400, oauth("unauthorized_client"), NotSpent),
            (OAuth, 400, oauth("temporarily_unavailable"), NotSpent),
            (OAuth, 400, oauth("server_error"), Unknown),
            (OAuth, 400, new("refresh_token_not_found"), NotSpent),
            (OAuth, 200, oauth("bad_refresh_token"), Final),
            (OAuth, 200, oauth("something_else"), Unknown),
            (OAuth, 408, html.to_owned(), Unknown),
            (OAuth, 499, String::new(), Unknown),
            (OAuth, 425, String::new(), NotSpent),
            (OAuth, 307, String::new(), NotSpent),
            (OAuth, 308, String::new(), NotSpent),
            (OAuth, 302, String::new(), Unknown),
            (OAuth, 303, String::new(), Unknown),
            (OAuth, 204, String::new(), Unknown),
            (OAuth, 200, html.to_owned(), Unknown),
            (OAuth, 200, "{}".to_owned(), Unknown),
            (OAuth, 200, r#"["a","bearer",1]"#.to_owned(), Unknown),
            (OAuth, 200, r#"{"access_token":"a","token_type":"DPoP"}"#.to_owned(), Unknown),
            (OAuth, 200, r#"{"access_token":"","token_type":"bearer"}"#.to_owned(), Unknown),
            (OAuth, 200, r#"{"access_token":"a\r\nb","token_type":"bearer"}"#.to_owned(), Unknown),
            (OAuth, 200, r#"{"access_token":"a","access_token":"b"}"#.to_owned(), Unknown),
            (OAuth, 200, r#"{"access_token":"a","expires_in":"soon"}"#.to_owned(), Unknown),
            (OAuth, 200, r#"{"access_token":"a","refresh_tok"#.to_owned(), Unknown),
        ];
        for code in [
            "validation_failed",
            "refresh_token_not_found",
            "refresh_token_already_used",
            "session_not_found",
            "session_expired",
            "user_banned",
        ] {
            table.extend([(Supabase, 400, new(code), Final), (Supabase, 400, old(code), Final)]);
        }
        for (dialect, status, body, expected) in table {
            let error = answer(status, &body).tokens(dialect, LIFETIME).expect_err(&body);
            assert_eq!(error.outcome(), expected, "{dialect:?} {status} {body}");
            assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
        }
    }

    #[test]
    fn who_names_a_time_has_declined() {
        let unavailable = |retry_after| Answer { retry_after, ..answer(503, "") };
        for (retry_after, outcome) in [(None, Outcome::Unknown), (Some(LIFETIME), Outcome::NotSpent)] {
            let error = unavailable(retry_after).error(Dialect::OAuth);
            assert_eq!((error.outcome(), error.retry_after()), (outcome, retry_after));
        }
        let late = Answer { retry_after: Some(LIFETIME), ..answer(504, "") };
        assert_eq!(late.error(Dialect::OAuth).outcome(), Outcome::Unknown, "it says when, not what happened");
    }

    proptest! {
        #[test]
        fn no_answer_panics_or_is_printed(
            status in 200_u16..600,
            body in proptest::collection::vec(any::<u8>(), 0..80),
            member in "token_type|error|error_description|error_code|code|msg|expires_in|x",
        ) {
            let status = StatusCode::from_u16(status).expect("a status");
            let given = format!(
                r#"{{"access_token":"Hunter-1","refresh_token":"Hunter-2","id_token":"Hunter-3","{member}":"Hunter 4"}}"#
            );
            let refused = format!(r#"{{"{member}":"Hunter 4"}}"#);
            for body in [body, given.into_bytes(), refused.into_bytes()] {
                let answer = Answer { status, retry_after: None, body: Zeroizing::new(body) };
                for dialect in [Dialect::OAuth, Dialect::Supabase] {
                    let printed = match answer.tokens(dialect, LIFETIME) {
                        Ok(tokens) => format!("{tokens:?}"),
                        Err(error) => format!("{error:?} {error}"),
                    };
                    prop_assert!(!printed.contains("Hunter"), "{}", printed);
                }
            }
        }

        #[test]
        fn only_a_refusal_of_the_issuer_itself_is_final(
            status in 200_u16..600,
            body in proptest::option::of("[a-z_]{1,20}"),
            retry_after in any::<bool>(),
        ) {
            let status = StatusCode::from_u16(status).expect("a status");
            for dialect in [Dialect::OAuth, Dialect::Supabase] {
                prop_assert_ne!(outcome(dialect, status, body.as_deref(), retry_after), Outcome::Final);
            }
        }
    }
}
