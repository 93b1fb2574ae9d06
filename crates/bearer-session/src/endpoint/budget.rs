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
    pub const fn new(burst: u32, every: Duration) -> Self {
        Self { burst: if burst == 0 { 1 } else { burst }, every }
    }

    /// Whether there may be a request now. `paid` is the time until which all that was spent is earned again; returned
    /// is the new one, or how long to wait.
    fn spend(self, paid: Instant, now: Instant) -> Result<Instant, Duration> {
        let paid = paid.max(now);
        let most = self.every.saturating_mul(self.burst - 1);
        match (paid - now).checked_sub(most) {
            None | Some(Duration::ZERO) => Ok(paid + self.every),
            Some(wait) => Err(wait),
        }
    }
}

/// What is left of a [`RateBudget`].
#[derive(Debug)]
pub(super) struct Purse {
    budget: RateBudget,
    paid: Mutex<Instant>,
}

impl Purse {
    pub(super) fn new(budget: RateBudget) -> Self {
        Self { budget, paid: Mutex::new(Instant::now()) }
    }

    /// Takes one request out, or says how long to wait for one.
    pub(super) fn take(&self) -> Result<(), Duration> {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        *paid = self.budget.spend(*paid, Instant::now())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_burst_and_then_one_at_a_time() {
        let purse = Purse::new(RateBudget::HOSTED);
        for number in 0..30 {
            assert_eq!(purse.take(), Ok(()), "{number}");
        }
        assert_eq!(purse.take(), Err(Duration::from_secs(2)));
        advance(Duration::from_secs(1)).await;
        assert_eq!(purse.take(), Err(Duration::from_secs(1)), "refusals cost nothing");
        advance(Duration::from_secs(1)).await;
        assert_eq!(purse.take(), Ok(()));
        assert_eq!(purse.take(), Err(Duration::from_secs(2)));
        advance(Duration::from_secs(1000)).await;
        let taken = (0..100).filter(|_| purse.take().is_ok()).count();
        assert_eq!(taken, 30, "idle time is saved up to the burst");
    }

    #[tokio::test(start_paused = true)]
    async fn no_burst_is_a_burst_of_one() {
        let purse = Purse::new(RateBudget::new(0, Duration::from_secs(1)));
        assert_eq!(purse.take(), Ok(()));
        assert_eq!(purse.take(), Err(Duration::from_secs(1)));
    }
}
