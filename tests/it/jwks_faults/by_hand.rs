//! A refresher that fetches when the test says so: what one answer does to keys that are there.

use super::{
    keys::{key, token},
    rig::{quick, soon, verifier, verify_now},
};
use bearer_jwks::{FetchError, HttpFetch, Refresher, Schedule};
use bearer_testing::{ScriptedJwks, SigningKey, Step};
use tower_bearer::{JwtVerifier, Reason};

pub(super) struct ByHand {
    pub(super) jwks: ScriptedJwks,
    pub(super) verifier: JwtVerifier,
    pub(super) refresher: Refresher<HttpFetch>,
    /// The one key of the last good set.
    pub(super) old: SigningKey,
}

impl ByHand {
    /// Holds keys, and has a deadline that is long enough for a busy machine.
    pub(super) async fn with_keys() -> Self {
        let mut schedule = quick();
        schedule.deadline = std::time::Duration::from_secs(10);
        Self::with_schedule(schedule).await
    }

    pub(super) async fn with_schedule(schedule: Schedule) -> Self {
        let jwks = ScriptedJwks::start().await;
        Self::with_fetch(HttpFetch::new(&jwks.uri()).unwrap(), jwks, schedule).await
    }

    pub(super) async fn with_fetch(fetch: HttpFetch, jwks: ScriptedJwks, schedule: Schedule) -> Self {
        let old = key("old");
        jwks.always(Step::jwks([&old]));
        let (refresher, keys) = Refresher::new(fetch);
        let mut refresher = refresher.schedule(schedule);
        soon(refresher.refresh()).await.unwrap();
        let by_hand = Self { jwks, verifier: verifier(keys), refresher, old };
        assert_eq!(by_hand.verify(&by_hand.old), Ok(()));
        by_hand
    }

    /// Fetches once, while the endpoint does this.
    pub(super) async fn refresh(&mut self, step: Step) -> Result<(), FetchError> {
        self.jwks.always(step);
        soon(self.refresher.refresh()).await
    }

    /// What the refresher says to a bad answer; the keys stay in use.
    pub(super) async fn refused(&mut self, name: &str, step: Step) -> FetchError {
        let Err(error) = self.refresh(step).await else { panic!("{name} is taken") };
        assert_eq!(self.verify(&self.old), Ok(()), "after {name}: {error}");
        assert_eq!(self.refresher.status().borrow().key_ids, ["old"], "after {name}");
        error
    }

    /// A good answer replaces the keys.
    pub(super) async fn taken(&mut self, name: &str, step: impl FnOnce(&SigningKey) -> Step) {
        let new = key(name);
        if let Err(error) = self.refresh(step(&new)).await {
            panic!("{name} is refused: {error}");
        }
        assert_eq!(self.verify(&new), Ok(()), "{name}");
        assert_eq!(self.refresher.status().borrow().key_ids, [name]);
        self.old = new;
    }

    /// The answer, at once, to a good token of this key.
    pub(super) fn verify(&self, key: &SigningKey) -> Result<(), Reason> {
        verify_now(&self.verifier, &token(key).sign())
    }
}
