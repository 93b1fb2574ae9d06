//! [`Claimants`]: names for claims, so that one whose answer was lost can be made again.
//!
//! A claim that timed out may have been granted all the same. Nobody was told, so nothing was spent; yet the
//! row is claimed, and the next one would take the lapsed claim for an interrupted exchange, which ends the
//! session at a strict issuer. So whoever claims next in this process does so under the name of the lost
//! claim, and is given the same one: to use it, or to give it back.

use crate::store::Key;
use quick_cache::sync::Cache;

/// More claims than this are not lost at once, and a forgotten one is only taken for interrupted.
const LOST: usize = 4096;

pub(super) struct Claimants {
    lost: Cache<Key, u128>,
}

/// One claim, lost unless it was [answered](Self::answered): also where its future was dropped.
pub(super) struct Attempt<'a> {
    claimants: &'a Claimants,
    key: Key,
    name: Option<u128>,
}

impl Claimants {
    pub(super) fn new() -> Self {
        Self { lost: Cache::new(LOST) }
    }

    /// Two attempts at the same time have two names.
    pub(super) fn attempt(&self, key: &Key) -> Attempt<'_> {
        let name = self.lost.remove(key).map_or_else(|| fastrand::u128(..), |(_, name)| name);
        Attempt { claimants: self, key: *key, name: Some(name) }
    }
}

impl Attempt<'_> {
    pub(super) fn name(&self) -> String {
        format!("{:032x}", self.name.unwrap_or_default())
    }

    /// Its answer arrived: the name is not used again.
    pub(super) fn answered(mut self) {
        self.name = None;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(name) = self.name {
            self.claimants.lost.insert(self.key, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_claim_is_made_again_under_its_name_and_an_answered_one_is_not() {
        let claimants = Claimants::new();
        let key = Key::of("test", "a");
        let lost = claimants.attempt(&key);
        let name = lost.name();
        assert_ne!(claimants.attempt(&Key::of("test", "b")).name(), name);
        drop(lost);
        let again = claimants.attempt(&key);
        assert_eq!(again.name(), name);
        assert_ne!(claimants.attempt(&key).name(), name, "it has one owner");
        again.answered();
        // The last one that was dropped above is lost now.
        assert_ne!(claimants.attempt(&key).name(), name);
    }
}
