//! [`RateBudget`]: not to ask more often than the issuer answers.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How many requests an issuer takes from one address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateBudget {
    burst: u32,
    every: Duration,
}

impl RateBudget {
    /// That of hosted Supabase projects: 150 in 5 minutes, and 30 at once.
    pub const HOSTED: Self = Self::new(30, Duration::from_secs(2));

    /// So many at once, and one more in each such time. At least one at once.
    ///
    /// Half of what may be asked at once is kept for refreshes, and a quarter from sign-outs: see
    /// [`SupabaseEndpoint::rate_budget`](super::SupabaseEndpoint::rate_budget).
    pub const fn new(burst: u32, every: Duration) -> Self {
        Self { burst: if burst == 0 { 1 } else { burst }, every }
    }

    /// Whether there may be a request now. `paid` is the time until which all that was spent is earned again;
    /// returned is the new one, or how long to wait.
    fn spend(self, need: Need, paid: Instant, now: Instant) -> Result<Instant, Duration> {
        let paid = paid.max(now);
        let most = self.every.saturating_mul(self.burst - 1 - self.kept_from(need));
        match (paid - now).checked_sub(most) {
            None | Some(Duration::ZERO) => Ok(paid + self.every),
            Some(wait) => Err(wait),
        }
    }

    /// How many of a burst are not for this. Less than all of them.
    const fn kept_from(self, need: Need) -> u32 {
        match need {
            Need::Refresh => 0,
            Need::SignOut => self.burst / 4,
            Need::CanWait => self.burst / 2,
        }
    }
}

/// How much hangs on a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Need {
    /// A session that was signed in goes on.
    Refresh,
    /// One ends, which costs a sign-in first: whoever signs in and out all day is not to stop the others.
    SignOut,
    /// What any visitor can cause, such as a guess at a password; or what only makes something newer.
    CanWait,
}

/// What is left of a [`RateBudget`].
#[derive(Debug)]
pub(super) struct RateLimiter {
    budget: RateBudget,
    paid: Mutex<Instant>,
}

impl RateLimiter {
    pub(super) fn new(budget: RateBudget) -> Self {
        Self { budget, paid: Mutex::new(Instant::now()) }
    }

    /// Takes one request out, or says how long to wait for one.
    pub(super) fn take(&self, need: Need) -> Result<(), Duration> {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        *paid = self.budget.spend(need, *paid, Instant::now())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_burst_and_then_one_at_a_time() {
        let limiter = RateLimiter::new(RateBudget::HOSTED);
        for number in 0..30 {
            assert_eq!(limiter.take(Need::Refresh), Ok(()), "{number}");
        }
        assert_eq!(limiter.take(Need::Refresh), Err(Duration::from_secs(2)));
        advance(Duration::from_secs(1)).await;
        assert_eq!(limiter.take(Need::Refresh), Err(Duration::from_secs(1)), "refusals cost nothing");
        advance(Duration::from_secs(1)).await;
        assert_eq!(limiter.take(Need::Refresh), Ok(()));
        assert_eq!(limiter.take(Need::Refresh), Err(Duration::from_secs(2)));
        advance(Duration::from_secs(1000)).await;
        let taken = (0..100).filter(|_| limiter.take(Need::Refresh).is_ok()).count();
        assert_eq!(taken, 30, "idle time is saved up to the burst");
    }

    #[tokio::test(start_paused = true)]
    async fn no_burst_is_a_burst_of_one() {
        for need in [Need::Refresh, Need::SignOut, Need::CanWait] {
            let limiter = RateLimiter::new(RateBudget::new(0, Duration::from_secs(1)));
            assert_eq!(limiter.take(need), Ok(()));
            assert_eq!(limiter.take(need), Err(Duration::from_secs(1)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_need_finds_its_part() {
        let limiter = RateLimiter::new(RateBudget::HOSTED);
        let taken = |need| (0..100).filter(|_| limiter.take(need).is_ok()).count();
        assert_eq!(taken(Need::CanWait), 15);
        assert_eq!((taken(Need::SignOut), taken(Need::CanWait)), (8, 0));
        assert_eq!((taken(Need::Refresh), taken(Need::SignOut), taken(Need::CanWait)), (7, 0, 0));
        assert_eq!(
            limiter.take(Need::CanWait),
            Err(Duration::from_secs(32)),
            "until there is more than half"
        );
        advance(Duration::from_secs(32)).await;
        assert_eq!((limiter.take(Need::CanWait), taken(Need::CanWait)), (Ok(()), 0));
        assert_eq!(taken(Need::Refresh), 15);
    }
}
