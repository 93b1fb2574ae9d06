//! When a token is good (RFC 7519 §4.1.4–4.1.6).

use crate::error::Reason;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the token says, in seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Times {
    pub(crate) exp: Option<f64>,
    pub(crate) nbf: Option<f64>,
    pub(crate) iat: Option<f64>,
}

/// What the issuer's clock is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeRules {
    pub(super) leeway: Duration,
    pub(super) max_age: Option<Duration>,
}

/// From when until when a token is good, by the rules of its issuer, since 1970-01-01T00:00:00Z: what is left
/// of both when nobody asks why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    from: Duration,
    until: Duration,
}

impl Validity {
    pub(super) fn contains(self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.from <= now && now < self.until
    }
}

impl TimeRules {
    /// When [`check`](Self::check) finds nothing to object to.
    pub(super) fn validity(self, times: Times) -> Validity {
        // Dates of tokens are neither negative nor too large; were one, it is good at no time.
        let date = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
        let begin = times.nbf.unwrap_or_default().max(times.iat.unwrap_or_default());
        let from = date(begin).map(|begin| begin.saturating_sub(self.leeway));
        let until = times.exp.and_then(date);
        let until = match self.max_age {
            None => until,
            Some(age) => {
                let old = times.iat.and_then(date).map(|iat| iat.saturating_add(age));
                until.zip(old).map(|(exp, old)| exp.min(old))
            }
        };
        let (Some(from), Some(until)) = (from, until) else {
            return Validity { from: Duration::MAX, until: Duration::ZERO };
        };
        Validity { from, until: until.saturating_add(self.leeway) }
    }

    /// At `exp` the token is over.
    pub(super) fn check(self, times: Times, now: SystemTime) -> Result<(), Reason> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let leeway = self.leeway.as_secs_f64();
        let exp = times.exp.ok_or(Reason::MalformedClaims("exp is missing"))?;
        if now >= exp + leeway {
            return Err(Reason::Expired);
        }
        if times.nbf.is_some_and(|nbf| now + leeway < nbf) {
            return Err(Reason::NotYetValid);
        }
        if times.iat.is_some_and(|iat| now + leeway < iat) {
            return Err(Reason::IssuedInTheFuture);
        }
        match (self.max_age, times.iat) {
            (None, _) => Ok(()),
            (Some(age), Some(iat)) if now < iat + age.as_secs_f64() + leeway => Ok(()),
            (Some(_), _) => Err(Reason::TooOld),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Dates around one moment, some with fractions.
    fn date() -> impl Strategy<Value = Option<f64>> {
        let seconds = prop_oneof![(-400_i32..400).prop_map(f64::from), -400.0..400.0];
        proptest::option::weighted(0.9, seconds.prop_map(|seconds| 1_700_000_000.0 + seconds))
    }

    proptest! {
        #[test]
        fn a_token_is_good_within_its_validity_and_at_no_other_time(
            exp in date(),
            nbf in date(),
            iat in date(),
            leeway in 0_u64..100,
            max_age in proptest::option::of(0_u64..200),
            now in -600.0..600.0,
        ) {
            let leeway = Duration::from_secs(leeway);
            let rules = TimeRules { leeway, max_age: max_age.map(Duration::from_secs) };
            let times = Times { exp, nbf, iat };
            let validity = rules.validity(times);
            let at = |seconds: f64| UNIX_EPOCH + Duration::from_secs_f64(1_700_000_000.0 + seconds);
            prop_assert_eq!(validity.contains(at(now)), rules.check(times, at(now)).is_ok());
            // The ends themselves, where they are whole seconds.
            for end in [validity.from, validity.until] {
                if end.subsec_nanos() == 0 && end < Duration::from_secs(1 << 40) {
                    let now = UNIX_EPOCH + end;
                    prop_assert_eq!(validity.contains(now), rules.check(times, now).is_ok());
                }
            }
        }
    }

    #[test]
    fn a_leeway_beyond_all_times_is_no_end() {
        let rules = TimeRules { leeway: Duration::MAX, max_age: Some(Duration::MAX) };
        let times = Times { exp: Some(1.0), nbf: Some(5e9), iat: Some(5e9) };
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert!(rules.validity(times).contains(now) && rules.check(times, now).is_ok());
    }
}
