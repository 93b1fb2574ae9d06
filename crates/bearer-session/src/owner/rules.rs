//! What to do when: pure functions of what happened, the issuer's rule and the time that is left.

use super::breaker::Sign;
use crate::endpoint::{AfterUnknown, ExchangeError, Outcome};
use http::StatusCode;
use std::time::Duration;

/// How an access token may be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Freshness {
    Fresh,
    /// It lives, and is to be refreshed meanwhile.
    Aging,
    Expired,
}

/// An access token with this much of its life left. `margin` is never more than a third of what it had, so
/// that a token with a short life is not refreshed all the time.
pub(super) fn freshness(left: Duration, life: Duration, margin: Duration, has_successor: bool) -> Freshness {
    if left.is_zero() {
        Freshness::Expired
    } else if has_successor && left <= margin.min(life / 3) {
        Freshness::Aging
    } else {
        Freshness::Fresh
    }
}

/// What to do with a claim that was just granted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Granted {
    /// Present the refresh token.
    Spend,
    /// It may be spent, and the issuer takes a second presentation for theft: take it out of the row.
    Burn,
    /// There is none.
    Nothing,
}

pub(super) fn granted(has_refresh_token: bool, interrupted: bool, rule: AfterUnknown) -> Granted {
    match (has_refresh_token, interrupted, rule) {
        (false, ..) => Granted::Nothing,
        (true, true, AfterUnknown::FailClosed) => Granted::Burn,
        (true, false, _) | (true, true, AfterUnknown::PresentAgain) => Granted::Spend,
    }
}

/// What to do after an exchange that failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failed {
    /// End the session.
    End,
    /// The claim is over, and the refusal may be about a token that is not the newest any more: find out.
    LookAgain,
    /// Present the token again, under the same claim, after this time.
    Retry(Duration),
    /// Give the claim back; the token may be presented later.
    Release,
    /// Take the token out of the row.
    Burn,
}

/// The most presentations under one claim.
const MOST_ATTEMPTS: u32 = 4;

/// The first pause between two of them; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Whether the issuer refused because it was asked too often (RFC 6585 §4).
pub(super) fn is_limited(error: &ExchangeError) -> bool {
    error.outcome() == Outcome::NotSpent && error.status() == Some(StatusCode::TOO_MANY_REQUESTS)
}

/// Whether the issuer refused this very token, in other words than those that end a session: some give no code
/// for one that is over, or another than `invalid_grant` (RFC 6749 §5.2). Not what is said of the client or of
/// the moment, which befalls all sessions and passes.
pub(super) fn is_refusal(error: &ExchangeError) -> bool {
    let is_of_all = matches!(
        error.code(),
        Some(
            "invalid_client"
                | "slow_down"
                | "temporarily_unavailable"
                | "unauthorized_client"
                | "unsupported_grant_type"
        )
    );
    error.outcome() == Outcome::NotSpent
        && error.status() == Some(StatusCode::BAD_REQUEST)
        && error.retry_after().is_none()
        && !is_of_all
}

/// For how long the issuer refuses a token before whoever has the session is sent to sign in again. As it may
/// pass after all, the session stays; so this need not be long.
const REFUSED_FOR_GOOD: Duration = Duration::from_secs(30);

/// Whether refusals in so long a time, without anything else between them, are taken at their word.
pub(super) fn is_refused(time: Duration) -> bool {
    time >= REFUSED_FOR_GOOD
}

/// What an exchange that failed says of the issuer as a whole.
pub(super) fn sign(error: &ExchangeError, rule: AfterUnknown) -> Sign {
    match error.outcome() {
        Outcome::Final => Sign::Well,
        // What happened to this session would happen to the next.
        Outcome::Unknown if rule == AfterUnknown::FailClosed => Sign::Lost,
        // Asked from one address for all users, an issuer that counts by address refuses all of them.
        Outcome::NotSpent if is_limited(error) && !error.is_of_one_client() => {
            Sign::Busy(error.retry_after())
        }
        Outcome::NotSpent | Outcome::Unknown => Sign::Unclear,
    }
}

/// An exchange failed, the last of so many under a claim that lasts for `left` and needs `needed` for another
/// one.
pub(super) fn failed(
    error: &ExchangeError,
    rule: AfterUnknown,
    attempts: u32,
    left: Duration,
    needed: Duration,
) -> Failed {
    let pause =
        error.retry_after().unwrap_or_default().max(FIRST_PAUSE * (1 << attempts.saturating_sub(1).min(8)));
    let again = attempts < MOST_ATTEMPTS && pause.saturating_add(needed) <= left;
    match (error.outcome(), rule) {
        (Outcome::Final, _) if left.is_zero() => Failed::LookAgain,
        (Outcome::Final, _) => Failed::End,
        (Outcome::Unknown, AfterUnknown::FailClosed) => Failed::Burn,
        // Asking again is what it asked not to do.
        (Outcome::NotSpent, _) if is_limited(error) => Failed::Release,
        (Outcome::NotSpent, _) | (Outcome::Unknown, AfterUnknown::PresentAgain) if again => {
            Failed::Retry(pause)
        }
        (Outcome::NotSpent, _) | (Outcome::Unknown, AfterUnknown::PresentAgain) => Failed::Release,
    }
}

/// What to do with a session whose row no key of this process opens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unreadable {
    /// Another process has the key, and this one may yet get it.
    Wait,
    /// Nobody can be expected to read it here ever again.
    Over,
}

/// For how long a row shows that somebody could write it, and reads it still: as long as it takes to roll out
/// a key.
const KEYS_SPREAD: Duration = Duration::from_secs(600);

/// A row of this age. `is_news` is whether this process could read an earlier generation of it: then another
/// has written it since, and lives.
pub(super) fn unreadable(age: Duration, is_news: bool) -> Unreadable {
    if is_news || age < KEYS_SPREAD { Unreadable::Wait } else { Unreadable::Over }
}

/// How long to wait for word of a refresh that another process has under way, until `left` from now at most,
/// before the store is asked again: a notice may get lost. `waits` there were before; `random` is within
/// `0.0..1.0`.
pub(super) fn look_again(left: Duration, waits: u32, random: f64) -> Duration {
    const FIRST: Duration = Duration::from_millis(250);
    const LAST: Duration = Duration::from_secs(2);
    /// Where hardly anything is left: a store that rounds is not to be asked without end.
    const LEAST: Duration = Duration::from_millis(10);
    let ceiling = (FIRST * (1 << waits.min(3))).min(LAST);
    left.clamp(LEAST, ceiling.mul_f64(0.75 + random / 4.0))
}

/// The shortest and the longest time after a failed refresh in which the next is not even tried.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// However long an issuer wants to be left alone, a user does not wait longer for the next try.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// How long to leave a session alone after so many failures in a row. `random` is within `0.0..1.0`.
pub(super) fn pause(failures: u32, retry_after: Option<Duration>, random: f64) -> Duration {
    if let Some(asked) = retry_after {
        return asked.clamp(SHORTEST, LONGEST_ASKED);
    }
    let ceiling = (SHORTEST * (1 << failures.saturating_sub(1).min(8))).min(LONGEST);
    ceiling.mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use AfterUnknown::{FailClosed, PresentAgain};

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_token_is_refreshed_in_the_last_third_of_its_life_at_the_earliest() {
        let cases = [
            (3600, 3600, true, Freshness::Fresh),
            (91, 3600, true, Freshness::Fresh),
            (90, 3600, true, Freshness::Aging),
            (1, 3600, true, Freshness::Aging),
            (0, 3600, true, Freshness::Expired),
            (21, 60, true, Freshness::Fresh),
            (20, 60, true, Freshness::Aging),
            (1, 3600, false, Freshness::Fresh),
            (0, 3600, false, Freshness::Expired),
            (0, 0, true, Freshness::Expired),
        ];
        for (left, life, has_successor, expected) in cases {
            assert_eq!(freshness(secs(left), secs(life), secs(90), has_successor), expected, "{left} {life}");
        }
    }

    #[test]
    fn an_interrupted_claim_is_presented_again_where_the_issuer_allows_it() {
        let cases = [
            (true, false, PresentAgain, Granted::Spend),
            (true, false, FailClosed, Granted::Spend),
            (true, true, PresentAgain, Granted::Spend),
            (true, true, FailClosed, Granted::Burn),
            (false, false, PresentAgain, Granted::Nothing),
            (false, true, FailClosed, Granted::Nothing),
        ];
        for (has_token, interrupted, rule, expected) in cases {
            assert_eq!(granted(has_token, interrupted, rule), expected, "{has_token} {interrupted} {rule:?}");
        }
    }

    #[test]
    fn after_a_failure() {
        use Failed::{Burn, End, LookAgain, Release, Retry};
        use Outcome::{Final, NotSpent, Unknown};
        let first = Retry(Duration::from_millis(200));
        let cases = [
            // outcome, rule, Retry-After, attempts, lease left, expected
            (Final, PresentAgain, None, 1, 20, End),
            (Final, FailClosed, None, 3, 1, End),
            (Final, PresentAgain, None, 1, 0, LookAgain),
            (Final, FailClosed, None, 1, 0, LookAgain),
            (NotSpent, PresentAgain, None, 1, 20, first),
            (NotSpent, FailClosed, None, 1, 20, first),
            (NotSpent, FailClosed, None, 3, 20, Retry(Duration::from_millis(800))),
            (NotSpent, FailClosed, None, 4, 20, Release),
            (NotSpent, FailClosed, None, 1, 12, Release),
            (NotSpent, FailClosed, None, 1, 0, Release),
            (NotSpent, PresentAgain, Some(2), 1, 20, Retry(secs(2))),
            (NotSpent, PresentAgain, Some(60), 1, 20, Release),
            (NotSpent, PresentAgain, Some(u64::MAX), 1, 20, Release),
            (Unknown, PresentAgain, None, 1, 20, first),
            (Unknown, PresentAgain, None, 4, 20, Release),
            (Unknown, PresentAgain, None, 1, 12, Release),
            (Unknown, FailClosed, None, 1, 20, Burn),
            (Unknown, FailClosed, None, 1, 0, Burn),
        ];
        for (outcome, rule, retry_after, attempts, left, expected) in cases {
            let error = refusal(outcome, None, retry_after);
            let is = failed(&error, rule, attempts, secs(left), secs(12));
            assert_eq!(is, expected, "{outcome:?} {rule:?} {retry_after:?} {attempts} {left}");
        }
    }

    fn refusal(outcome: Outcome, status: Option<u16>, retry_after: Option<u64>) -> ExchangeError {
        let mut error = ExchangeError::new(outcome);
        if let Some(status) = status {
            error = error.with_status(StatusCode::from_u16(status).unwrap());
        }
        match retry_after {
            Some(time) => error.with_retry_after(secs(time)),
            None => error,
        }
    }

    #[test]
    fn an_issuer_that_was_asked_too_often_is_not_asked_again() {
        for (retry_after, rule) in [(None, PresentAgain), (Some(1), FailClosed)] {
            let error = refusal(Outcome::NotSpent, Some(429), retry_after);
            assert_eq!(failed(&error, rule, 1, secs(20), secs(12)), Failed::Release);
            assert_eq!(sign(&error, rule), Sign::Busy(retry_after.map(secs)));
            assert_eq!(sign(&error.of_one_client(), rule), Sign::Unclear);
        }
        let cases = [
            (Outcome::Final, 400, FailClosed, Sign::Well),
            (Outcome::NotSpent, 409, FailClosed, Sign::Unclear),
            (Outcome::NotSpent, 503, FailClosed, Sign::Unclear),
            (Outcome::Unknown, 500, PresentAgain, Sign::Unclear),
            (Outcome::Unknown, 500, FailClosed, Sign::Lost),
        ];
        for (outcome, status, rule, expected) in cases {
            let error = refusal(outcome, Some(status), Some(7));
            assert_eq!(sign(&error, rule), expected, "{outcome:?} {status} {rule:?}");
        }
    }

    #[test]
    fn a_refusal_of_this_token_is_told_from_what_befalls_all() {
        use Outcome::{NotSpent, Unknown};
        let cases = [
            (NotSpent, Some(400), None, None, true),
            (NotSpent, Some(400), Some("invalid_request"), None, true),
            (NotSpent, Some(400), Some("refresh_token_expired"), None, true),
            (NotSpent, Some(400), Some("invalid_client"), None, false),
            (NotSpent, Some(400), Some("temporarily_unavailable"), None, false),
            (NotSpent, Some(400), None, Some(1), false),
            (NotSpent, Some(401), None, None, false),
            (NotSpent, Some(403), None, None, false),
            (NotSpent, Some(409), None, None, false),
            (NotSpent, None, None, None, false),
            (Unknown, Some(400), None, None, false),
        ];
        for (outcome, status, code, retry_after, expected) in cases {
            let error = refusal(outcome, status, retry_after);
            let error = code.map_or(error, |code| refusal(outcome, status, retry_after).with_code(code));
            assert_eq!(is_refusal(&error), expected, "{outcome:?} {status:?} {code:?} {retry_after:?}");
        }
    }

    #[test]
    fn the_store_is_asked_again_though_no_notice_came() {
        let millis = Duration::from_millis;
        let cases = [
            (secs(30), 0, millis(250)),
            (secs(30), 1, millis(500)),
            (secs(30), 3, secs(2)),
            (secs(30), u32::MAX, secs(2)),
            (millis(40), 3, millis(40)),
            (Duration::ZERO, 0, millis(10)),
        ];
        for (left, waits, expected) in cases {
            assert_eq!(look_again(left, waits, 1.0), expected, "{left:?} {waits}");
        }
        assert!(look_again(secs(30), 0, 0.0) < millis(200), "not all at the same time");
    }

    #[test]
    fn what_cannot_be_read_is_over_once_nobody_can_be_expected_to_bring_the_key() {
        let cases = [
            (0, false, Unreadable::Wait),
            (599, false, Unreadable::Wait),
            (600, false, Unreadable::Over),
            (u64::MAX, false, Unreadable::Over),
            (u64::MAX, true, Unreadable::Wait),
        ];
        for (age, is_news, expected) in cases {
            assert_eq!(unreadable(secs(age), is_news), expected, "{age} {is_news}");
        }
    }

    #[test]
    fn a_session_is_left_alone_longer_with_each_failure_and_as_long_as_the_issuer_asks() {
        let cases = [
            (1, None, Duration::from_millis(750)),
            (3, None, secs(3)),
            (u32::MAX, None, Duration::from_millis(22_500)),
            (1, Some(7), secs(7)),
            (9, Some(0), secs(1)),
            (1, Some(u64::MAX), secs(300)),
        ];
        for (failures, asked, expected) in cases {
            assert_eq!(pause(failures, asked.map(secs), 0.5), expected, "{failures} {asked:?}");
        }
    }
}
