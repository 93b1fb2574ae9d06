//! Word of sign-ins that come to nothing. Whoever runs the service is to hear of those that the issuer or the
//! set-up is to blame for, and not of each wrong password.

use crate::{
    endpoint::{ExchangeError, Outcome, is_code},
    sources::sources,
};
use http::{StatusCode, Uri};
use tracing::{debug, warn};

/// What a user signs in with (RFC 6749 §1.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Grant {
    /// A code, of this very sign-in: the issuer sent it a moment ago.
    Code,
    Password,
}

/// Who is to blame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Blame {
    User,
    Other,
}

/// The issuer gave no tokens.
pub(super) fn refused(error: &ExchangeError, grant: Grant) {
    let (outcome, code) = (error.outcome(), error.code());
    let (status, source) = (error.status().map(|status| status.as_u16()), sources(error));
    match blame(error, grant) {
        Blame::User => debug!(?grant, ?outcome, status, code, source, "a sign-in was refused"),
        Blame::Other => {
            let remedy = code.and_then(remedy);
            warn!(?grant, ?outcome, status, code, source, remedy, "a sign-in came to nothing");
        }
    }
}

/// What to look at, where it is the set-up that the issuer does not take (RFC 6749 §5.2).
fn remedy(code: &str) -> Option<&'static str> {
    match code {
        "invalid_client" => Some(
            "compare the client's id and secret with the issuer's, and the way they are sent: \
            `OAuthClient::secret_basic`, `secret_post` or `public`",
        ),
        "unauthorized_client" => Some("permit this client the authorization code grant, at the issuer"),
        _ => None,
    }
}

/// The issuer sent the user back with this error. What is no code may be anybody's words.
pub(super) fn reported(error: &str) {
    let code = is_code(error).then_some(error);
    match blame_reported(error) {
        Blame::User => debug!(code, "the issuer sent a user back without a sign-in"),
        Blame::Other => warn!(code, "the issuer sent a user back without a sign-in"),
    }
}

/// Either the set-up has another name for the issuer than the issuer itself, or this is an attack.
pub(super) fn another_issuer() {
    warn!("a sign-in came back in the name of another issuer");
}

/// Something on the way has lost the name, the issuer does not do as it says, or this is an attack.
pub(super) fn no_issuer() {
    warn!(
        "a sign-in came back without the name of the issuer, whose metadata says that it always gives it \
        (`authorization_response_iss_parameter_supported`)"
    );
}

/// Anybody can come with a state of their own making: hence not of each.
pub(super) fn unknown_sign_in(has_cookie_of_another: bool, callback: &str, others: u64) {
    let callback = callback.parse::<Uri>().ok();
    let callback_host = callback.as_ref().and_then(Uri::host);
    warn!(
        has_cookie_of_another,
        callback_host,
        others,
        "a sign-in came back to a browser that has no cookie of it: it began on another host than that of the \
        callback, in a process with other keys, or more than ten minutes ago, or it came back before"
    );
}

/// Whoever is sent to the sign-in by the gate gets no further.
pub(super) fn no_provider() {
    warn!(
        "the issuer signs nobody in without the name of a provider: set one with `SupabaseEndpoint::provider`, or \
        with `RouteOptions::sign_in_page` a page where users choose"
    );
}

/// No error, because it may yet work: behind a proxy that leads the user on to `https`.
pub(super) fn plain_http(callback_host: &str) {
    warn!(
        callback_host,
        "users come back from a sign-in over plain http, and the cookie of their session is Secure: browsers \
        drop it, and the sign-in does nothing; name the callback with https, or, for development alone, make \
        the cookie by `OpaqueCookie::insecure_for_development()` (`SsrCookies` without `secure()`)"
    );
}

/// Whose fault it is, is not known here. Anybody can come with such a cookie: hence not of each.
pub(super) fn sign_in_loop(others: u64) {
    warn!(
        others,
        "a user who has just signed in three times in a row was sent to sign in once more, and was stopped: \
        either the gate refuses the access token, which is then in its log at DEBUG with the `reason` (it is \
        opaque, or for another audience, as at an issuer that was not asked for one by \
        `authorization_parameter`; or it lacks the `acr` or `auth_time` that a step-up asks for), or the \
        browser does not keep the cookie of the session"
    );
}

fn blame(error: &ExchangeError, grant: Grant) -> Blame {
    /// What issuers say of a user who may not come in (RFC 6749 §5.2, and Supabase Auth).
    const OF_USERS: [&str; 8] = [
        "access_denied",
        "email_not_confirmed",
        "invalid_credentials",
        "invalid_grant",
        "phone_not_confirmed",
        "user_banned",
        "user_not_found",
        "validation_failed",
    ];
    let is_of_user = match (grant, error.outcome()) {
        (Grant::Code, _) | (_, Outcome::Unknown) => false,
        (Grant::Password, Outcome::Final) => error.code().is_some_and(|code| OF_USERS.contains(&code)),
        // One user tries too often.
        (Grant::Password, Outcome::NotSpent) => {
            error.is_of_one_client() && error.status() == Some(StatusCode::TOO_MANY_REQUESTS)
        }
    };
    if is_of_user { Blame::User } else { Blame::Other }
}

/// RFC 6749 §4.1.2.1, OpenID Connect Core 1.0 §3.1.2.6, and what Supabase Auth has in place of the first.
fn blame_reported(error: &str) -> Blame {
    match error {
        "access_denied"
        | "account_selection_required"
        | "consent_required"
        | "interaction_required"
        | "login_required"
        | "provider_email_needs_verification"
        | "signup_disabled"
        | "user_banned" => Blame::User,
        _ => Blame::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_password_is_the_users_mistake_and_a_wrong_client_secret_is_not() {
        use Blame::{Other, User};
        use Grant::{Code, Password};
        let cases = [
            (Outcome::Final, 400, "invalid_credentials", Password, User),
            (Outcome::Final, 400, "invalid_grant", Password, User),
            (Outcome::Final, 401, "invalid_client", Password, Other),
            (Outcome::Final, 400, "invalid_grant", Code, Other),
            (Outcome::Final, 401, "invalid_client", Code, Other),
            (Outcome::Final, 200, "invalid_id_token", Code, Other),
            (Outcome::NotSpent, 429, "over_request_rate_limit", Password, Other),
            (Outcome::NotSpent, 503, "access_denied", Password, Other),
            (Outcome::Unknown, 500, "access_denied", Password, Other),
        ];
        for (outcome, status, code, grant, expected) in cases {
            let error = ExchangeError::new(outcome).with_code(code);
            let error = error.with_status(StatusCode::from_u16(status).unwrap());
            assert_eq!(blame(&error, grant), expected, "{outcome:?} {status} {code} {grant:?}");
        }
        let too_often = ExchangeError::new(Outcome::NotSpent).with_status(StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(blame(&too_often.of_one_client(), Password), User);
    }

    #[test]
    fn what_the_issuer_does_not_take_of_the_set_up_comes_with_what_to_look_at() {
        for (code, expected) in [
            ("invalid_client", Some("id and secret")),
            ("unauthorized_client", Some("authorization code grant")),
            ("invalid_grant", None),
        ] {
            let remedy = remedy(code);
            assert_eq!(remedy.is_some(), expected.is_some(), "{code}");
            assert!(remedy.zip(expected).is_none_or(|(remedy, part)| remedy.contains(part)), "{code}");
        }
    }

    #[test]
    fn denied_consent_is_the_users_choice_and_a_scope_that_is_not_known_is_not() {
        for (error, expected) in [
            ("access_denied", Blame::User),
            ("login_required", Blame::User),
            ("invalid_scope", Blame::Other),
            ("server_error", Blame::Other),
            ("anybody's words", Blame::Other),
        ] {
            assert_eq!(blame_reported(error), expected, "{error}");
        }
    }
}
