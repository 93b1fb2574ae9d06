//! The last good set, kept by the application, for a start while the issuer is down.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A JWK Set and when it was fetched: [exported](field@crate::Status::seed) by one process, given to the
/// next, by [`Connector::seed`](crate::Connector::seed) or [`Refresher::seed`](crate::Refresher::seed).
/// Public keys only; but whoever can change it can make tokens.
///
/// Serializes as `{"jwks": "…", "fetched_at": 1700000000}`, seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Seed {
    pub(crate) jwks: String,
    fetched_at: u64,
}

impl Seed {
    /// A set that was fetched at a time.
    pub fn new(jwks: impl Into<String>, fetched_at: SystemTime) -> Self {
        let fetched_at = fetched_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { jwks: jwks.into(), fetched_at }
    }

    /// When the set was fetched, or last confirmed, in whole seconds. A time that the system cannot tell
    /// reads as 1970-01-01T00:00:00Z.
    pub fn fetched_at(&self) -> SystemTime {
        self.time().unwrap_or(UNIX_EPOCH)
    }

    /// How old the set is. One from the future is [`Duration::MAX`] old: it is not to be trusted.
    pub fn age(&self, now: SystemTime) -> Duration {
        self.time().and_then(|at| now.duration_since(at).ok()).unwrap_or(Duration::MAX)
    }

    fn time(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.fetched_at))
    }
}

/// Keys stay out of logs, public as they are.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed").field("fetched_at", &self.fetched_at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_an_age_and_one_from_the_future_is_not_young() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let hour = Duration::from_secs(3600);
        assert_eq!(Seed::new("{}", now - hour).age(now), hour);
        assert_eq!(Seed::new("{}", now - hour).fetched_at(), now - hour);
        assert_eq!(Seed::new("{}", now + hour).age(now), Duration::MAX);
        let absurd: Seed =
            serde_json::from_str(r#"{"jwks":"","fetched_at":18446744073709551615}"#).expect("a seed");
        assert_eq!(absurd.age(now), Duration::MAX);
        assert_eq!(absurd.fetched_at(), UNIX_EPOCH);
    }

    #[test]
    fn a_seed_survives_being_written_down() {
        let seed = Seed::new(r#"{"keys":[]}"#, UNIX_EPOCH + Duration::from_secs(7));
        let text = serde_json::to_string(&seed).expect("JSON");
        assert_eq!(text, r#"{"jwks":"{\"keys\":[]}","fetched_at":7}"#);
        assert_eq!(serde_json::from_str::<Seed>(&text).expect("a seed"), seed);
    }
}
