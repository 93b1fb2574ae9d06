//! The claim: the right to spend a refresh token, how it is got, and how it ends, with new tokens or without.

use super::{
    Owner,
    flight::Landing,
    local::{Held, Kept},
    rules,
    unsaved::Successor,
};
use crate::{
    endpoint::{AfterUnknown, SignOutScope},
    store::{Claim, Commit, Fence, Key, Lookup, Row},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// The right to spend a refresh token, until then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claimed {
    pub(super) key: Key,
    pub(super) fence: Fence,
    /// Of the row.
    pub(super) row: u64,
    /// Whether a claim before this one lapsed.
    pub(super) interrupted: bool,
    /// Reckoned from before the store was asked: the store's own lease lasts longer.
    pub(super) until: Instant,
}

/// What a claim is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// New tokens, whoever brings them.
    Refresh,
    /// Tokens that the caller has, or is about to get.
    Replace,
}

/// How a commit ended.
pub(super) enum Committed {
    Stored(Arc<Held>),
    Fenced,
    /// The store did not take it while the claim lasted, or did not say so.
    Lost,
}

impl Owner {
    /// Claims a session, and returns it as it lies there now. Or how it ended without: somebody else had the
    /// claim and has brought newer tokens, or this process had some that were not stored yet.
    pub(super) async fn claim(
        self: &Arc<Self>,
        mut known: Arc<Held>,
        purpose: Purpose,
    ) -> Result<(Claimed, Arc<Held>), Landing> {
        let key = known.key;
        let patience = Instant::now() + 2 * self.settings.lease;
        let mut waits = 0;
        while Instant::now() < patience {
            let changed = self.store.changed(&key);
            let Some((claim, asked)) = self.claim_once(key, known.row).await else {
                return Err(self.soon(key));
            };
            match claim {
                Claim::Granted { fence, row, interrupted } => {
                    let until = asked + self.settings.lease;
                    let claim = Claimed { key, fence, row: row.generation, interrupted, until };
                    return self.granted(claim, &row, asked).await.map(|held| (claim, held));
                }
                Claim::Held(left) => {
                    let _ = timeout(rules::look_again(left, waits, fastrand::f64()), changed).await;
                    waits += 1;
                }
                Claim::Moved(row) => match self.absorb(key, &row, asked) {
                    None => return Err(self.later(key, None)),
                    Some((_, Kept::Ended)) => return Err(Landing::Over),
                    Some((held, Kept::Behind(ours))) if known.generation > held.generation => {
                        return Err(self.bring_forward(ours, row.generation).await);
                    }
                    // What came here while the store was asked is news to its answer.
                    Some((_, Kept::Behind(newest)) | (newest, _)) => {
                        if purpose == Purpose::Refresh && !self.is_to_be_refreshed(&newest) {
                            return Err(self.arrived(newest));
                        }
                        known = newest;
                    }
                },
                Claim::Ended => {
                    self.over(&key, SignOutScope::Local);
                    return Err(Landing::Over);
                }
                Claim::Unknown => {
                    self.unknown(&key);
                    return Err(Landing::Over);
                }
            }
        }
        Err(self.soon(key))
    }

    /// What the store says, and when it was asked. A claim whose answer is lost is [taken
    /// back](Self::take_back), and until that is done this process makes no other.
    async fn claim_once(self: &Arc<Self>, key: Key, row: u64) -> Option<(Claim, Instant)> {
        if let Some(release) = self.releases.running_for(&key) {
            // As long as a store that is silent would keep whoever asks it.
            release.until(Instant::now() + self.settings.store_timeout).await?;
        }
        let asked = Instant::now();
        let claim = self.ask(self.store.claim(&key, row, self.settings.lease)).await;
        if claim.is_none() {
            let owner = Arc::clone(self);
            // What the store has not done by then, it will hardly do any more.
            let until = Instant::now() + self.settings.lease;
            let taking = async move { owner.retry_until(until, || owner.take_back(key, row)).await };
            drop(self.releases.run(key, || taking));
        }
        claim.map(|claim| (claim, asked))
    }

    /// The claim, where it is granted at once.
    pub(super) async fn claim_at_once(self: &Arc<Self>, key: Key, row: u64) -> Option<Claimed> {
        let (claim, asked) = self.claim_once(key, row).await?;
        let Claim::Granted { fence, interrupted, .. } = claim else { return None };
        Some(Claimed { key, fence, row, interrupted, until: asked + self.settings.lease })
    }

    /// Gives a claim back that may have been granted though nobody heard of it. Nothing was sent under it;
    /// yet it would hold up every process for the whole lease, and then be taken for an interrupted exchange.
    ///
    /// The store is asked for the row first: each claim that it does not answer it may grant later.
    async fn take_back(&self, key: Key, row: u64) -> Option<()> {
        match self.ask(self.store.load(&key)).await? {
            Lookup::Live(found) if found.generation == row => {}
            Lookup::Live(_) | Lookup::Ended | Lookup::Unknown => return Some(()),
        }
        let until = Instant::now() + self.settings.lease;
        match self.ask(self.store.claim(&key, row, self.settings.lease)).await? {
            Claim::Granted { interrupted: true, .. } if self.is_told_by_a_lapse() => Some(()),
            Claim::Granted { fence, .. } => {
                self.retry_until(until, || self.ask(self.store.release(&key, fence))).await
            }
            // What another has is not ours.
            Claim::Held(_) | Claim::Moved(_) | Claim::Ended | Claim::Unknown => Some(()),
        }
    }

    /// Whether there is something to do about tokens that somebody else has brought.
    fn is_to_be_refreshed(&self, newest: &Held) -> bool {
        let is_over = newest.left(Instant::now()).is_zero() && newest.record.refresh_token.is_some();
        is_over || self.is_followed(newest)
    }

    /// What was claimed, if it is fit for what comes next.
    async fn granted(
        self: &Arc<Self>,
        claim: Claimed,
        row: &Row,
        asked: Instant,
    ) -> Result<Arc<Held>, Landing> {
        let held = match self.absorb(claim.key, row, asked) {
            Some((held, Kept::First | Kept::Same | Kept::Newer)) => held,
            Some((_, Kept::Behind(ours))) => {
                self.release(claim).await;
                return Err(self.bring_forward(ours, row.generation).await);
            }
            Some((_, Kept::Ended)) => {
                self.release(claim).await;
                return Err(Landing::Over);
            }
            None => {
                self.release(claim).await;
                return Err(self.later(claim.key, None));
            }
        };
        if let Some(successor) = self.unsaved.take(&held, self.endpoint.after_unknown()) {
            return Err(self.store(claim, successor).await);
        }
        let unsettled = held.settled.saturating_duration_since(Instant::now());
        if !unsettled.is_zero() {
            self.release(claim).await;
            return Err(self.after(claim.key, unsettled));
        }
        Ok(held)
    }

    /// Stores a successor, trying while the claim lasts.
    pub(super) async fn commit(&self, claim: Claimed, successor: &Successor) -> Committed {
        match self.retry_until(claim.until, || self.commit_once(claim, successor)).await {
            Some((Commit::Stored, asked)) => {
                let tokens = successor.at(asked, claim.row);
                let held = Held::new(claim.key, claim.row + 1, tokens, Duration::ZERO, asked);
                let (held, _) = self.keep(held.trusted(self.settings.local_for_without_a_look()));
                Committed::Stored(held)
            }
            Some((Commit::Fenced, _)) => Committed::Fenced,
            None => Committed::Lost,
        }
    }

    /// What the store says, and when it was asked.
    async fn commit_once(&self, claim: Claimed, successor: &Successor) -> Option<(Commit, Instant)> {
        let asked = Instant::now();
        let Claimed { key, fence, row, .. } = claim;
        let newest = &successor.record;
        let lives = self.settings.row_lives(successor.expires.saturating_duration_since(asked));
        // First the name: a cookie that carries the new token must never lead nowhere.
        if let (true, Some(token)) = (newest.is_aliased, &newest.refresh_token) {
            self.ask(self.store.link(&Key::of_refresh_token(token), &key, lives)).await?;
        }
        // What is left of the token's life is reckoned only now: others reckon it from when the store took
        // the row.
        let record = successor.at(Instant::now(), row);
        let sealed = self.keyring.seal(&key, row + 1, &record.encode());
        let said = self.ask(self.store.commit(&key, fence, &sealed, lives)).await?;
        Some((said, asked))
    }

    /// A request that nobody waits for any more may still arrive. That the claim lapses tells whoever claims
    /// next.
    pub(super) async fn release_unless(self: &Arc<Self>, is_under_way: bool, claim: Claimed) {
        if !is_under_way {
            self.release(claim).await;
        }
    }

    /// Gives a claim back. That it lapses by itself otherwise is slower, and says that a token may be spent.
    /// Where that was already so, it must go on saying so to whoever claims next.
    pub(super) async fn release(self: &Arc<Self>, claim: Claimed) {
        if claim.interrupted && self.is_told_by_a_lapse() {
            return;
        }
        if self.release_once(claim).await.is_none() {
            // An issuer that allows no second try would lose the session over it. Nobody who waits needs to
            // wait for that.
            let owner = Arc::clone(self);
            let release = async move { owner.retry_until(claim.until, || owner.release_once(claim)).await };
            drop(self.releases.run(claim.key, || release));
        }
    }

    /// Whether the claim of an interrupted exchange is left to lapse in its turn.
    fn is_told_by_a_lapse(&self) -> bool {
        self.endpoint.after_unknown() == AfterUnknown::FailClosed
    }

    /// The store ignores the release of a claim that another has taken over.
    async fn release_once(&self, claim: Claimed) -> Option<()> {
        self.ask(self.store.release(&claim.key, claim.fence)).await
    }
}
