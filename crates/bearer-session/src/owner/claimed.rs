//! The claim: the right to spend a refresh token, and how it ends, with new tokens or without.

use super::{Owner, local::Held, unsaved::Successor};
use crate::{
    endpoint::AfterUnknown,
    store::{Commit, Fence, Key},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

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

/// How a commit ended.
pub(super) enum Committed {
    Stored(Arc<Held>),
    Fenced,
    /// The store did not take it while the claim lasted, or did not say so.
    Lost,
}

impl Owner {
    /// Stores a successor, trying while the claim lasts.
    pub(super) async fn commit(&self, claim: Claimed, successor: &Successor) -> Committed {
        match self.retry_until(claim.until, || self.commit_once(claim, successor)).await {
            Some((Commit::Stored, asked)) => {
                let tokens = successor.at(asked, claim.row);
                let held = Held::new(claim.key, claim.row + 1, tokens, Duration::ZERO, asked);
                let (held, _) = self.keep(held.trusted(self.settings.local_for));
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
        let (newest, lifetime) = (&successor.record, self.settings.lifetime);
        // First the name: a cookie that carries the new token must never lead nowhere.
        if let (true, Some(token)) = (newest.is_aliased, &newest.refresh_token) {
            self.ask(self.store.link(&Key::of_refresh_token(token), &key, lifetime)).await?;
        }
        // What is left of the token's life is reckoned only now: others reckon it from when the store took the row.
        let record = successor.at(Instant::now(), row);
        let sealed = self.keyring.seal(&key, row + 1, &record.encode());
        let said = self.ask(self.store.commit(&key, fence, &sealed, lifetime)).await?;
        Some((said, asked))
    }

    /// A request that nobody waits for any more may still arrive. That the claim lapses tells whoever claims next.
    pub(super) async fn release_unless(self: &Arc<Self>, is_under_way: bool, claim: Claimed) {
        if !is_under_way {
            self.release(claim).await;
        }
    }

    /// Gives a claim back. That it lapses by itself otherwise is slower, and says that a token may be spent. Where that
    /// was already so, it must go on saying so to whoever claims next.
    pub(super) async fn release(self: &Arc<Self>, claim: Claimed) {
        if claim.interrupted && self.endpoint.after_unknown() == AfterUnknown::FailClosed {
            return;
        }
        if self.release_once(claim).await.is_none() {
            // An issuer that allows no second try would lose the session over it. Nobody who waits needs to wait for that.
            let owner = Arc::clone(self);
            let release = async move { owner.retry_until(claim.until, || owner.release_once(claim)).await };
            drop(self.releases.run(claim.key, || release));
        }
    }

    /// The store ignores the release of a claim that another has taken over.
    async fn release_once(&self, claim: Claimed) -> Option<()> {
        self.ask(self.store.release(&claim.key, claim.fence)).await
    }
}
