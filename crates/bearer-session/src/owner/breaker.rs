//! [`Breaker`]: an issuer that is in trouble is left alone by all sessions of this process.

use super::{SOON, rules};
use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Whether the issuer may be asked. After a sign of trouble nobody asks for a while, and then one at a time,
/// until an answer shows that all is well again.
///
/// Each process finds out for itself: it needs no store for it, and none can be wrong about it. What is under
/// way when the trouble begins is not called back.
///
/// Where a lost answer costs the session, the one that asks first does so [without a
/// token](TokenEndpoint::probe) of anybody's.
///
/// [`TokenEndpoint::probe`]: crate::endpoint::TokenEndpoint::probe
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<Option<Trouble>>);

#[derive(Clone, Copy, Debug)]
struct Trouble {
    until: Instant,
    /// How many times in a row.
    failures: u32,
    /// Somebody is asking whether it is over.
    is_tried: bool,
    /// When an answer was last lost that cost a session.
    lost: Option<Instant>,
}

/// For how long no token is risked while the issuer gives no answer to a probe. There may be issuers that
/// never give one.
const NOT_RISKED: Duration = Duration::from_secs(600);

/// What an answer says of the issuer as a whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sign {
    /// It exchanges tokens, or says of one that it never will.
    Well,
    /// Neither well nor unwell: it may be about this session alone.
    Unclear,
    /// It wants to be left alone, perhaps for so long.
    Busy(Option<Duration>),
    /// Its answer was lost, and a session with it.
    Lost,
}

/// Leave to ask the issuer once.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    /// It is the one that asks whether the trouble is over.
    is_trial: bool,
    /// An answer was lost, and is not followed by a token before the issuer answers again.
    lost: Option<Instant>,
}

impl Breaker {
    /// How long nobody may ask, if that is so.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        self.trouble().and_then(|trouble| trouble.left(now))
    }

    /// Leave to ask now, or how long to wait for it.
    pub(super) fn enter(&self, now: Instant) -> Result<Pass<'_>, Duration> {
        let mut trouble = self.trouble();
        if let Some(trouble) = &mut *trouble {
            if let Some(left) = trouble.left(now) {
                return Err(left);
            }
            trouble.is_tried = true;
        }
        let lost = trouble.and_then(|trouble| trouble.lost);
        Ok(Pass { breaker: self, is_trial: trouble.is_some(), lost })
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trouble {
    fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.until.saturating_duration_since(now);
        match self.is_tried {
            _ if !left.is_zero() => Some(left),
            true => Some(SOON),
            false => None,
        }
    }
}

impl Pass<'_> {
    /// Whether to find out first if the issuer answers.
    pub(super) fn is_to_probe(&self) -> bool {
        self.lost.is_some()
    }

    /// Whether a token may be risked though the probe brought no answer.
    pub(super) fn may_risk(&self, now: Instant) -> bool {
        self.lost.is_none_or(|lost| now.saturating_duration_since(lost) >= NOT_RISKED)
    }

    /// A probe brought no answer. Returns for how long nobody asks now.
    pub(super) fn probed_in_vain(mut self, now: Instant) -> Duration {
        self.is_trial = false;
        let mut trouble = self.breaker.trouble();
        let worse = Trouble::after(*trouble, true, None, now);
        *trouble = Some(worse);
        worse.until.saturating_duration_since(now)
    }

    /// What came of it.
    pub(super) fn ended(mut self, sign: Sign, now: Instant) {
        let was_trial = mem::take(&mut self.is_trial);
        let mut trouble = self.breaker.trouble();
        let known = trouble.filter(|_| !was_trial || sign != Sign::Well);
        *trouble = match sign {
            Sign::Well | Sign::Unclear => known.map(|trouble| trouble.tried(was_trial)),
            Sign::Busy(asked) => Some(Trouble::after(known, was_trial, asked, now)),
            Sign::Lost => Some(Trouble { lost: Some(now), ..Trouble::after(known, was_trial, None, now) }),
        };
    }
}

impl Trouble {
    /// More of it. What was asked before it began is part of it and makes nothing worse.
    fn after(before: Option<Self>, was_trial: bool, asked: Option<Duration>, now: Instant) -> Self {
        let failures = match before {
            Some(before) => before.failures.saturating_add(was_trial.into()),
            None => 1,
        };
        let until = now + rules::pause(failures, asked, fastrand::f64());
        let until = before.map_or(until, |before| until.max(before.until));
        let is_tried = before.is_some_and(|before| before.is_tried && !was_trial);
        Self { until, failures, is_tried, lost: before.and_then(|before| before.lost) }
    }

    fn tried(self, was_trial: bool) -> Self {
        Self { is_tried: self.is_tried && !was_trial, ..self }
    }
}

/// A task that broke down must not keep others waiting for what it was to find out.
impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_trial {
            let mut trouble = self.breaker.trouble();
            *trouble = trouble.map(|trouble| trouble.tried(true));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn after_trouble_one_at_a_time_asks_until_all_is_well() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let (first, second) = (breaker.enter(now).unwrap(), breaker.enter(now).unwrap());
        first.ended(Sign::Busy(Some(secs(10))), now);
        // It was under way already, and says nothing of what came after.
        second.ended(Sign::Well, now);
        assert_eq!(breaker.left(now), Some(secs(10)));
        assert_eq!(breaker.enter(now + secs(9)).unwrap_err(), secs(1));

        let later = now + secs(10);
        let trial = breaker.enter(later).unwrap();
        assert_eq!(breaker.enter(later).unwrap_err(), SOON);
        trial.ended(Sign::Unclear, later);
        drop(breaker.enter(later).unwrap());
        let trial = breaker.enter(later).unwrap();
        assert_eq!(breaker.left(later), Some(SOON));
        trial.ended(Sign::Well, later);
        assert_eq!(breaker.left(later), None);
        let _ = (breaker.enter(later).unwrap(), breaker.enter(later).unwrap());
    }

    #[test]
    fn after_a_lost_answer_no_token_is_risked_until_the_issuer_answers_again_or_for_ten_minutes() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        let first = breaker.enter(now).unwrap();
        assert!(!first.is_to_probe());
        first.ended(Sign::Lost, now);
        let lost = now;
        while now < lost + NOT_RISKED {
            now += breaker.left(now).unwrap();
            let trial = breaker.enter(now).unwrap();
            assert!(trial.is_to_probe());
            assert_eq!(trial.may_risk(now), now >= lost + NOT_RISKED);
            let pause = trial.probed_in_vain(now);
            assert_eq!(breaker.left(now), Some(pause));
            assert!(pause <= secs(30), "that it is well again is noticed soon");
        }
        now += breaker.left(now).unwrap();
        let trial = breaker.enter(now).unwrap();
        assert!(trial.may_risk(now));
        trial.ended(Sign::Lost, now);
        now += breaker.left(now).unwrap();
        assert!(!breaker.enter(now).unwrap().may_risk(now), "only one in ten minutes");
        breaker.enter(now).unwrap().ended(Sign::Well, now);
        assert!(!breaker.enter(now).unwrap().is_to_probe());
    }

    #[test]
    fn each_trial_that_fails_makes_the_pause_longer_and_what_fails_together_counts_once() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        let together = [(); 100].map(|()| breaker.enter(now).unwrap());
        for pass in together {
            pass.ended(Sign::Busy(None), now);
        }
        assert!(breaker.left(now).unwrap() <= secs(1));
        for at_least in [1, 2, 4, 8, 15, 15] {
            now += breaker.left(now).unwrap();
            breaker.enter(now).unwrap().ended(Sign::Busy(None), now);
            assert!(breaker.left(now).unwrap() >= secs(at_least), "{at_least}");
        }
        now += secs(30);
        breaker.enter(now).unwrap().ended(Sign::Well, now);
        breaker.enter(now).unwrap().ended(Sign::Busy(None), now);
        assert!(breaker.left(now).unwrap() <= secs(1));
    }
}
