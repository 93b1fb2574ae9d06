//! How strongly and how recently the user signed in, and the challenge to do better (step-up, RFC 9470).

use super::{Policy, claim::Claim, claim_path::look};
use crate::{
    claims_set::scan::{elements, member},
    error::{AuthError, Reason, Wanted},
    scope::ScopeList,
    verify::Verified,
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How far the issuer's clock may be ahead of ours, in seconds.
const AHEAD: f64 = 60.0;

/// Permits users by how they signed in; see [`aal`], [`acr`], [`acr_any`], [`max_age`]. Cheap to clone.
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireAssurance {
    wanted: Arc<Wanted>,
    strength: Strength,
}

#[derive(Clone, Copy, Debug)]
enum Strength {
    Any,
    /// `acr` is one of the wanted values.
    Context,
    /// `aal` is this level or a higher one.
    Level(Level),
}

/// NIST SP 800-63B §4, and Supabase's `aal`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Level {
    Aal1,
    Aal2,
    Aal3,
}

/// Permits users of this authenticator assurance level or a higher one, by Supabase's claim `aal`: `aal2` is
/// a second factor. A level that is not `aal1`, `aal2` or `aal3` satisfies nothing.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_bearer::{RegisteredClaims, Verified, policy::{Policy, aal}};
///
/// let policy = aal("aal2").max_age(Duration::from_secs(600));
/// let json = r#"{"aal":"aal2","amr":[{"method":"totp","timestamp":1700000000},{"method":"password","timestamp":1}]}"#;
/// let caller = |now| {
///     Verified::assertion(RegisteredClaims::default(), ())
///         .with_json(json)
///         .verified_at(UNIX_EPOCH + Duration::from_secs(now))
/// };
/// assert!(policy.check(&caller(1_700_000_600)).is_ok());
///
/// let refused = policy.check(&caller(1_700_000_601)).unwrap_err();
/// assert_eq!(refused.required_acr_values(), Some("aal2"));
/// assert_eq!(refused.required_max_age(), Some(Duration::from_secs(600)));
/// ```
///
/// # Panics
/// When `level` is no level.
pub fn aal(level: &str) -> RequireAssurance {
    let parsed = Level::parse(level).expect("a required level is aal1, aal2 or aal3");
    RequireAssurance::new(Strength::Level(parsed), [level])
}

/// Permits users whose authentication context class, the claim `acr`, is this one. Compared exactly: only the
/// issuer knows whether another is stronger (RFC 9470 §3).
///
/// # Panics
/// When `value` is empty, or has a space, quote, backslash or anything but visible ASCII.
pub fn acr(value: &str) -> RequireAssurance {
    acr_any([value])
}

/// Permits users whose authentication context class, the claim `acr`, is one of these. The challenge lists
/// them in this order, the preferred one first.
///
/// # Panics
/// When the list is empty, or one of it is, or has a space, quote, backslash or anything but visible ASCII.
pub fn acr_any<'a>(values: impl IntoIterator<Item = &'a str>) -> RequireAssurance {
    RequireAssurance::new(Strength::Context, values)
}

/// Permits users who signed in no longer ago than this, however they did it; see
/// [`RequireAssurance::max_age`].
pub fn max_age(age: Duration) -> RequireAssurance {
    RequireAssurance { wanted: Arc::default(), strength: Strength::Any }.max_age(age)
}

impl RequireAssurance {
    fn new<'a>(strength: Strength, acr_values: impl IntoIterator<Item = &'a str>) -> Self {
        let values = ScopeList::new(acr_values).expect("acr values are one or more words of visible ASCII");
        let wanted = Wanted { acr_values: Some(values), ..Wanted::default() };
        Self { wanted: Arc::new(wanted), strength }
    }

    /// Also wants the sign-in to be no longer ago than this, in whole seconds; a fraction is dropped.
    ///
    /// The time is the claim `auth_time`. Where there is none, Supabase's `amr` is asked for the latest
    /// sign-in that a user really made: refreshing a token is none. With [`aal`] of `aal2` and more, only the
    /// second factor's time in `amr` counts, since a new password does not renew an old second factor; with
    /// [`acr`] only `auth_time` does. That is the difference to `aal("aal2").and(max_age(…))`.
    ///
    /// A time more than 60 seconds ahead of ours is none.
    pub fn max_age(mut self, age: Duration) -> Self {
        Arc::make_mut(&mut self.wanted).max_age = Some(Duration::from_secs(age.as_secs()));
        self
    }

    fn permits(&self, verified: &Verified) -> Result<bool, AuthError> {
        let fresh = match self.wanted.max_age {
            None => true,
            Some(age) => self.is_fresh(verified, Window::new(verified.at(), age))?,
        };
        Ok(self.is_strong(verified)? && fresh)
    }

    fn is_strong(&self, verified: &Verified) -> Result<bool, AuthError> {
        Ok(match self.strength {
            Strength::Any => true,
            Strength::Context => {
                let acr = look(verified, ["acr"])?.and_then(|acr| acr.as_str());
                let mut wanted = self.wanted.acr_values.iter().flat_map(ScopeList::tokens);
                acr.is_some_and(|acr| wanted.any(|value| value == acr))
            }
            Strength::Level(wanted) => {
                let aal = look(verified, ["aal"])?.and_then(|aal| aal.as_str());
                aal.and_then(|aal| Level::parse(&aal)).is_some_and(|level| level >= wanted)
            }
        })
    }

    fn is_fresh(&self, verified: &Verified, window: Option<Window>) -> Result<bool, AuthError> {
        let Some(window) = window else { return Ok(false) };
        let second_factor = matches!(self.strength, Strength::Level(Level::Aal2 | Level::Aal3));
        if !second_factor && let Some(time) = look(verified, ["auth_time"])? {
            return Ok(window.has(&time));
        }
        let counts = match self.strength {
            Strength::Any | Strength::Level(Level::Aal1) => is_sign_in,
            Strength::Level(Level::Aal2 | Level::Aal3) => is_second_factor,
            Strength::Context => return Ok(false),
        };
        let amr = look(verified, ["amr"])?;
        Ok(amr.is_some_and(|amr| has_recent(&amr, counts, window)))
    }
}

impl Policy for RequireAssurance {
    fn check(&self, verified: &Verified) -> Result<(), AuthError> {
        if self.permits(verified)? {
            Ok(())
        } else {
            Err(AuthError::wanting(Reason::Authentication, Arc::clone(&self.wanted)))
        }
    }
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "aal1" => Some(Self::Aal1),
            "aal2" => Some(Self::Aal2),
            "aal3" => Some(Self::Aal3),
            _ => None,
        }
    }
}

/// The times that are recent enough, in seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: f64,
    to: f64,
}

impl Window {
    /// `None` when our own clock is wrong.
    #[allow(clippy::cast_precision_loss, reason = "an age beyond 2^53 seconds is as good as forever")]
    fn new(now: SystemTime, age: Duration) -> Option<Self> {
        let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        // Times in tokens are whole seconds, nearly always: a part of one must not make the age longer than
        // it is.
        Some(Self { from: now.floor() - age.as_secs() as f64, to: now + AHEAD })
    }

    fn has(self, time: &Claim<'_>) -> bool {
        time.as_f64().is_some_and(|time| time >= self.from.max(0.0) && time <= self.to)
    }
}

/// Whether an entry of `amr` with one of these methods is recent. One that is no
/// `{"method": …, "timestamp": …}` tells nothing.
fn has_recent(amr: &Claim<'_>, counts: fn(&str) -> bool, window: Window) -> bool {
    let is_recent = |entry| {
        let part = |name| member(entry, name).ok().flatten().map(Claim::new);
        let method = part("method").and_then(|method| method.as_str());
        method.is_some_and(|method| counts(&method))
            && part("timestamp").is_some_and(|time| window.has(&time))
    };
    let mut found = false;
    let whole = elements(amr.as_json(), |entry| found |= is_recent(entry));
    whole.is_some() && found
}

/// Whether a user was there and proved it. Not on the list: `token_refresh`,
/// `oauth_provider/authorization_code` and `anonymous`, and what Supabase may come to write.
fn is_sign_in(method: &str) -> bool {
    const METHODS: [&str; 12] = [
        "email/signup",
        "email_change",
        "invite",
        "magiclink",
        "oauth",
        "otp",
        "passkey",
        "password",
        "recovery",
        "sso/saml",
        "totp",
        "web3",
    ];
    METHODS.contains(&method) || is_second_factor(method)
}

fn is_second_factor(method: &str) -> bool {
    method == "totp" || method.strip_prefix("mfa/").is_some_and(|factor| !factor.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::AuthErrorKind, policy::testing};
    use std::panic::catch_unwind;

    const NOW: u64 = 1_700_000_000;

    fn caller(json: &str) -> Verified {
        testing::caller(json).verified_at(UNIX_EPOCH + Duration::from_secs(NOW))
    }

    fn permits(policy: &RequireAssurance, json: &str) -> bool {
        match policy.check(&caller(json)) {
            Ok(()) => true,
            Err(refused) => {
                assert_eq!(refused.reason(), Reason::Authentication, "{json}");
                false
            }
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn rs_142_and_144_a_level_is_satisfied_by_itself_and_by_higher_ones() {
        let table = [
            (r#"{"aal":"aal1"}"#, [true, false, false]),
            (r#"{"aal":"aal2"}"#, [true, true, false]),
            (r#"{"aal":"aal3"}"#, [true, true, true]),
            (r#"{"aal":"\u0061al3"}"#, [true, true, true]),
            (r#"{"aal":"aal0"}"#, [false; 3]),
            (r#"{"aal":"aal4"}"#, [false; 3]),
            (r#"{"aal":"aal22"}"#, [false; 3]),
            (r#"{"aal":"aal"}"#, [false; 3]),
            (r#"{"aal":"AAL2"}"#, [false; 3]),
            (r#"{"aal":" aal2"}"#, [false; 3]),
            (r#"{"aal":2}"#, [false; 3]),
            (r#"{"aal":["aal2"]}"#, [false; 3]),
            (r#"{"aal":null}"#, [false; 3]),
            (r#"{"acr":"aal2"}"#, [false; 3]),
            ("{}", [false; 3]),
        ];
        for (json, expected) in table {
            assert_eq!(["aal1", "aal2", "aal3"].map(|level| permits(&aal(level), json)), expected, "{json}");
        }
    }

    #[test]
    fn rs_142_and_144_a_context_class_is_compared_exactly_and_a_missing_one_is_none() {
        let silver = "urn:mace:incommon:iap:silver";
        let table = [
            (r#"{"acr":"urn:mace:incommon:iap:silver"}"#, true, true),
            (r#"{"acr":"urn:mace:incommon:iap:gold"}"#, false, true),
            (r#"{"acr":"urn:mace:incommon:iap:SILVER"}"#, false, false),
            (r#"{"acr":"urn:mace:incommon:iap:silver "}"#, false, false),
            (r#"{"acr":"urn:mace:incommon:iap:silver urn:mace:incommon:iap:gold"}"#, false, false),
            (r#"{"acr":["urn:mace:incommon:iap:silver"]}"#, false, false),
            (r#"{"acr":""}"#, false, false),
            (r#"{"acr":2}"#, false, false),
            (r#"{"acr":null}"#, false, false),
            (r#"{"aal":"urn:mace:incommon:iap:silver"}"#, false, false),
            ("{}", false, false),
        ];
        for (json, one, any) in table {
            assert_eq!(permits(&acr(silver), json), one, "{json}");
            assert_eq!(permits(&acr_any(["urn:mace:incommon:iap:gold", silver]), json), any, "{json}");
        }
    }

    #[test]
    fn rs_142_and_144_age_counts_from_auth_time_and_a_missing_one_is_none() {
        let table = [
            ("1700000000", true),
            ("1699999700", true),
            ("1699999700.0", true),
            ("1.7e9", true),
            ("1699999699", false),
            ("1699999699.9", false),
            ("0", false),
            ("-1", false),
            ("1700000060", true),
            ("1700000061", false),
            ("1e300", false),
            ("1e400", false),
            ("\"1700000000\"", false),
            ("null", false),
            ("true", false),
            ("[1700000000]", false),
        ];
        for (time, expected) in table {
            let json = format!(r#"{{"auth_time":{time},"acr":"x"}}"#);
            assert_eq!(permits(&max_age(seconds(300)), &json), expected, "{time}");
            assert_eq!(permits(&acr("x").max_age(seconds(300)), &json), expected, "{time}");
            // What auth_time says, amr does not correct.
            let json =
                format!(r#"{{"auth_time":{time},"amr":[{{"method":"totp","timestamp":1700000000}}]}}"#);
            assert_eq!(permits(&max_age(seconds(300)), &json), expected, "{time}");
        }
        assert!(!permits(&max_age(seconds(300)), "{}"));
        assert!(!permits(&max_age(seconds(300)), r#"{"iat":1700000000,"nbf":1700000000}"#));
    }

    /// Whether an entry of `amr` with this method, just now, is fresh for no level, for `aal1`, and for
    /// `aal2`.
    #[test]
    fn rs_142_and_144_only_what_a_user_did_is_a_sign_in() {
        for method in [
            "password",
            "otp",
            "oauth",
            "sso/saml",
            "magiclink",
            "recovery",
            "invite",
            "email/signup",
            "email_change",
            "web3",
            "passkey",
        ] {
            assert_eq!(fresh_by(method), [true, true, false], "{method}");
        }
        for method in ["totp", "mfa/phone", "mfa/webauthn", "mfa/recovery_code"] {
            assert_eq!(fresh_by(method), [true; 3], "{method}");
        }
        for method in [
            "token_refresh",
            "anonymous",
            "oauth_provider/authorization_code",
            "mfa/",
            "mfa",
            "TOTP",
            "totp ",
            "xtotp",
            "x/mfa/phone",
            "tomorrow's",
            "",
        ] {
            assert_eq!(fresh_by(method), [false; 3], "{method}");
        }
    }

    fn fresh_by(method: &str) -> [bool; 3] {
        let json = format!(r#"{{"aal":"aal2","amr":[{{"method":"{method}","timestamp":{NOW}}}]}}"#);
        [max_age(seconds(9)), aal("aal1").max_age(seconds(9)), aal("aal2").max_age(seconds(9))]
            .map(|policy| permits(&policy, &json))
    }

    #[test]
    fn rs_142_a_new_password_does_not_renew_an_old_second_factor() {
        let json = |factor: u64, password: u64| {
            format!(
                r#"{{"aal":"aal2","auth_time":{NOW},"amr":[{{"method":"password","timestamp":{password}}},
                {{"method":"totp","timestamp":{factor}}},{{"method":"token_refresh","timestamp":{NOW}}}]}}"#
            )
        };
        let policy = aal("aal2").max_age(seconds(300));
        assert!(permits(&policy, &json(NOW - 300, NOW - 900)));
        assert!(!permits(&policy, &json(NOW - 301, NOW)));
        assert!(!permits(&policy, &json(NOW + 61, NOW)));
        assert!(!permits(&aal("aal3").max_age(seconds(300)), &json(NOW, NOW)));
        // A context class says nothing of which entry of amr made it.
        let classed = format!(r#"{{"acr":"x","amr":[{{"method":"totp","timestamp":{NOW}}}]}}"#);
        assert!(!permits(&acr("x").max_age(seconds(300)), &classed));
    }

    #[test]
    fn rs_144_entries_of_other_shapes_tell_nothing() {
        for amr in [
            r#"["totp"]"#,
            r#"{"method":"totp","timestamp":1700000000}"#,
            r#"[[{"method":"totp","timestamp":1700000000}]]"#,
            r#"[{"method":"totp"}]"#,
            r#"[{"timestamp":1700000000}]"#,
            r#"[{"method":["totp"],"timestamp":1700000000}]"#,
            r#"[{"method":"totp","timestamp":"1700000000"}]"#,
            r#"[{"method":"totp","timestamp":null}]"#,
            r#"[{"method":"token_refresh","method":"totp","timestamp":1700000000}]"#,
            r#"[{"method":"totp","timestamp":1,"timestamp":1700000000}]"#,
            "[]",
            "null",
            "\"totp\"",
            "1700000000",
        ] {
            assert!(!permits(&max_age(seconds(300)), &format!(r#"{{"amr":{amr}}}"#)), "{amr}");
        }
        let among = r#"{"amr":[7,"totp",{"method":"totp","timestamp":1700000000},{"method":"password","timestamp":1}]}"#;
        assert!(permits(&max_age(seconds(300)), among));
    }

    #[test]
    fn rs_143_the_refusal_says_what_would_be_enough() {
        let refused = |policy: RequireAssurance| policy.check(&caller("{}")).expect_err("refused");
        let wants = |error: &AuthError| {
            assert_eq!(error.kind(), AuthErrorKind::InsufficientUserAuthentication);
            (error.required_acr_values().map(str::to_owned), error.required_max_age())
        };
        let some = |values: &str| Some(values.to_owned());
        assert_eq!(wants(&refused(aal("aal2"))), (some("aal2"), None));
        assert_eq!(wants(&refused(acr_any(["b", "a"]))), (some("b a"), None));
        assert_eq!(wants(&refused(max_age(Duration::from_millis(1999)))), (None, Some(seconds(1))));
        assert_eq!(wants(&refused(acr("a").max_age(seconds(5)))), (some("a"), Some(seconds(5))));
        let no_json = Verified::assertion(crate::RegisteredClaims::default(), ());
        for policy in [aal("aal1"), acr("x"), max_age(seconds(1))] {
            assert_eq!(policy.check(&no_json).expect_err("nobody knows").reason(), Reason::NoClaims);
        }
    }

    #[test]
    fn a_requirement_stays_as_it_was_when_a_clone_gets_an_age() {
        let level = aal("aal2");
        let aged = level.clone().max_age(seconds(5));
        assert!(permits(&level, r#"{"aal":"aal2"}"#) && !permits(&aged, r#"{"aal":"aal2"}"#));
    }

    #[test]
    fn the_times_before_and_at_the_edge_of_the_clock_are_no_times() {
        let at = |now, json| max_age(Duration::MAX).check(&testing::caller(json).verified_at(now)).is_ok();
        assert!(at(UNIX_EPOCH + seconds(1), r#"{"auth_time":0}"#));
        assert!(!at(UNIX_EPOCH + seconds(1), r#"{"auth_time":-1}"#));
        assert!(!at(UNIX_EPOCH - seconds(1), r#"{"auth_time":0}"#));
    }

    #[test]
    fn what_is_no_level_or_context_class_cannot_be_required() {
        for bad in ["", "aal", "aal0", "aal4", "AAL2", "2", "aal2 "] {
            assert!(catch_unwind(|| aal(bad)).is_err(), "{bad:?}");
        }
        for bad in ["", "a b", "a\"", "é"] {
            assert!(catch_unwind(|| acr(bad)).is_err(), "{bad:?}");
        }
        assert!(catch_unwind(|| acr_any([])).is_err());
    }
}
