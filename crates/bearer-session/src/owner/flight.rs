//! The flight: one refresh of one session, from the claim to the commit.

use super::{
    Kept, Owner, SOON,
    local::{Held, after},
    rules::{self, Failed, Granted},
    unsaved::Successor,
    within::within,
};
use crate::{
    RefreshToken,
    endpoint::{AfterUnknown, ExchangeError, OnBehalf, Outcome, SignOutScope},
    record::Record,
    store::{Claim, Commit, Fence, Key, Lookup, Row},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

/// How a flight ended.
#[derive(Clone, Debug)]
pub(super) enum Landing {
    /// The newest tokens, stored.
    Arrived(Arc<Held>),
    /// The session is over.
    Over,
    /// Nothing came of it; the next may be tried after this time.
    Later(Duration),
}

/// The right to spend a refresh token, until then.
#[derive(Clone, Copy, Debug)]
struct Claimed {
    key: Key,
    fence: Fence,
    generation: u64,
    /// Whether a claim before this one lapsed.
    interrupted: bool,
    /// Reckoned from before the store was asked: the store's own lease lasts longer.
    until: Instant,
}

/// How a commit ended.
enum Committed {
    Stored(Arc<Held>),
    Fenced,
    /// The store did not take it while the claim lasted, or did not say so.
    Lost,
}

/// The most generations by which a store that went back is brought forward.
const MOST_BACK: u64 = 1000;

impl Owner {
    /// Brings the successor of these tokens, or what somebody else has brought meanwhile.
    pub(super) async fn flight(self: Arc<Self>, mut known: Arc<Held>, on_behalf: OnBehalf) -> Landing {
        let key = known.key;
        let patience = Instant::now() + 2 * self.settings.lease;
        while Instant::now() < patience {
            let changed = self.store.changed(&key);
            let asked = Instant::now();
            let claim = self.store.claim(&key, known.generation, self.settings.lease);
            match self.ask(claim).await {
                None => return self.soon(key),
                Some(Claim::Granted { fence, row, interrupted }) => {
                    let until = asked + self.settings.lease;
                    let claim = Claimed { key, fence, generation: row.generation, interrupted, until };
                    return self.claimed(claim, &row, asked, on_behalf).await;
                }
                Some(Claim::Held(left)) => {
                    let _ = timeout(left.max(Duration::from_millis(10)), changed).await;
                }
                Some(Claim::Moved(row)) => match self.absorb(key, &row, asked) {
                    None => return self.later(key, None),
                    Some((_, Kept::Ended)) => return Landing::Over,
                    Some((_, Kept::Behind(ours))) => return self.bring_forward(ours, row.generation).await,
                    Some((held, _)) if held.left(Instant::now()).is_zero() && can_go_on(&held) => {
                        known = held;
                    }
                    Some((held, _)) => return self.arrived(held),
                },
                Some(Claim::Ended | Claim::Unknown) => {
                    self.over(&key, SignOutScope::Local);
                    return Landing::Over;
                }
            }
        }
        self.soon(key)
    }

    async fn claimed(&self, claim: Claimed, row: &Row, asked: Instant, on_behalf: OnBehalf) -> Landing {
        let held = match self.absorb(claim.key, row, asked) {
            Some((held, Kept::First | Kept::Same | Kept::Newer)) => held,
            Some((_, Kept::Behind(ours))) => {
                self.release(claim).await;
                return self.bring_forward(ours, row.generation).await;
            }
            Some((_, Kept::Ended)) => {
                self.release(claim).await;
                return Landing::Over;
            }
            None => {
                self.release(claim).await;
                return self.later(claim.key, None);
            }
        };
        if let Some(successor) = self.unsaved.take(&claim.key, claim.generation) {
            return self.store(claim, successor).await;
        }
        let rule = self.endpoint.after_unknown();
        match (
            rules::granted(held.record.refresh_token.is_some(), claim.interrupted, rule),
            &held.record.refresh_token,
        ) {
            (Granted::Spend, Some(token)) => self.spend(claim, &held, token, rule, on_behalf).await,
            (Granted::Burn, _) => self.burn(claim, &held).await,
            (Granted::Spend | Granted::Nothing, _) => {
                self.release(claim).await;
                self.arrived(held)
            }
        }
    }

    /// Presents the refresh token, as often as that may be.
    async fn spend(
        &self,
        claim: Claimed,
        held: &Arc<Held>,
        token: &RefreshToken,
        rule: AfterUnknown,
        on_behalf: OnBehalf,
    ) -> Landing {
        let needed = self.settings.for_an_exchange();
        let mut was_lost = false;
        for attempts in 1.. {
            let sent = Instant::now();
            // A process that was stopped since it claimed must not present what another may have presented by now.
            if claim.until.saturating_duration_since(sent) < needed {
                break;
            }
            let exchange = self.endpoint.refresh(token, on_behalf);
            let error = match within(sent + self.settings.request_timeout, exchange).await {
                Some(Ok(tokens)) => {
                    // The token lives since some moment after the request was sent.
                    let expires = after(tokens.expires_in, sent);
                    let record = held.record.renewed(tokens);
                    let landing =
                        self.store(claim, Successor { of: claim.generation, record, expires }).await;
                    if was_lost {
                        // The request that was lost may still be under way, with a token that must be no more than
                        // one behind when it arrives.
                        self.pauses.hold(claim.key, self.settings.request_timeout, Instant::now());
                    }
                    return landing;
                }
                Some(Err(error)) => error,
                None => ExchangeError::new(Outcome::Unknown),
            };
            was_lost |= error.outcome() == Outcome::Unknown;
            let left = claim.until.saturating_duration_since(Instant::now());
            let next = rules::failed(error.outcome(), rule, error.retry_after(), attempts, left, needed);
            debug!(key = ?claim.key, %error, ?next, "a refresh failed");
            match next {
                Failed::Retry(pause) => sleep(pause).await,
                Failed::End => {
                    info!(key = ?claim.key, %error, "the issuer has ended a session");
                    self.end_row(claim.key, claim.until, SignOutScope::Local).await;
                    return Landing::Over;
                }
                Failed::Burn => return self.burn(claim, held).await,
                Failed::LookAgain => return Landing::Later(SOON),
                Failed::Release => {
                    self.release(claim).await;
                    return self.later(claim.key, error.retry_after());
                }
            }
        }
        self.release(claim).await;
        self.soon(claim.key)
    }

    /// Stores new tokens and hands them out, in this order.
    async fn store(&self, claim: Claimed, successor: Successor) -> Landing {
        match self.commit(claim, &successor).await {
            Committed::Stored(held) => self.arrived(held),
            Committed::Fenced => self.fenced(claim, successor).await,
            Committed::Lost => {
                warn!(key = ?claim.key, "the store does not take new tokens; they are kept in memory");
                self.unsaved.put(claim.key, successor);
                self.soon(claim.key)
            }
        }
    }

    /// The claim was over when new tokens were to be stored: what lies in the store now decides.
    async fn fenced(&self, claim: Claimed, successor: Successor) -> Landing {
        let asked = Instant::now();
        match self.ask(self.store.load(&claim.key)).await {
            Some(Lookup::Live(row)) if row.generation > claim.generation => {
                match self.absorb(claim.key, &row, asked) {
                    Some((held, Kept::First | Kept::Same | Kept::Newer)) => self.arrived(held),
                    Some((_, Kept::Ended)) => Landing::Over,
                    Some((_, Kept::Behind(_))) | None => self.soon(claim.key),
                }
            }
            Some(Lookup::Live(_)) | None => {
                self.unsaved.put(claim.key, successor);
                self.soon(claim.key)
            }
            Some(Lookup::Ended | Lookup::Unknown) => {
                self.over(&claim.key, SignOutScope::Local);
                self.drop_tokens(&successor.record).await;
                Landing::Over
            }
        }
    }

    /// Takes the refresh token out of the row. The access token serves until it expires.
    async fn burn(&self, claim: Claimed, held: &Arc<Held>) -> Landing {
        warn!(key = ?claim.key, "a refresh token may be spent and is not presented again");
        if held.left(Instant::now()).is_zero() {
            self.end_row(claim.key, claim.until, SignOutScope::Local).await;
            return Landing::Over;
        }
        let burnt = Successor { of: claim.generation, record: held.record.burnt(), expires: held.expires };
        match self.commit(claim, &burnt).await {
            Committed::Stored(held) => self.arrived(held),
            // Whoever claims next finds the claim interrupted, and does the same.
            Committed::Fenced | Committed::Lost => self.soon(claim.key),
        }
    }

    /// The store was put back to an earlier time, and this process knows what came after. The old tokens are not
    /// presented: the newest take their place, under their own number, by which other processes know them.
    ///
    /// They are not refreshed right away either, so that a process that knows still newer ones can speak up.
    async fn bring_forward(&self, ours: Arc<Held>, mut generation: u64) -> Landing {
        let key = ours.key;
        warn!(?key, "the session store has gone back; it is brought forward");
        if ours.generation.saturating_sub(generation) > MOST_BACK {
            self.end_row(key, Instant::now() + self.settings.lease, SignOutScope::Local).await;
            return Landing::Over;
        }
        while generation < ours.generation {
            let asked = Instant::now();
            match self.ask(self.store.claim(&key, generation, self.settings.lease)).await {
                Some(Claim::Granted { fence, interrupted, .. }) => {
                    let until = asked + self.settings.lease;
                    let claim = Claimed { key, fence, generation, interrupted, until };
                    let again = Successor {
                        of: generation,
                        record: Record::clone(&ours.record),
                        expires: ours.expires,
                    };
                    let Some(Commit::Stored) = self.commit_once(claim, &again, asked).await else { break };
                    generation += 1;
                }
                Some(Claim::Moved(row)) if row.generation > generation => generation = row.generation,
                _ => break,
            }
        }
        self.soon(key)
    }

    /// Stores a successor, trying while the claim lasts.
    async fn commit(&self, claim: Claimed, successor: &Successor) -> Committed {
        let mut pause = Duration::from_millis(50);
        loop {
            let now = Instant::now();
            match self.commit_once(claim, successor, now).await {
                Some(Commit::Stored) => {
                    let (record, left) = (successor.at(now), successor.left(now));
                    let held = Held::new(claim.key, claim.generation + 1, record, left, now);
                    let (held, _) = self.keep(held.trusted(self.settings.local_for));
                    return Committed::Stored(held);
                }
                Some(Commit::Fenced) => return Committed::Fenced,
                None if Instant::now() + pause >= claim.until => return Committed::Lost,
                None => sleep(pause).await,
            }
            pause = (2 * pause).min(self.settings.store_timeout);
        }
    }

    async fn commit_once(&self, claim: Claimed, successor: &Successor, now: Instant) -> Option<Commit> {
        let Claimed { key, fence, generation, .. } = claim;
        let (record, lifetime) = (successor.at(now), self.settings.lifetime);
        // First the name: a cookie that carries the new token must never lead nowhere.
        if let (true, Some(token)) = (record.is_aliased, &record.refresh_token) {
            self.ask(self.store.link(&Key::of_refresh_token(token), &key, lifetime)).await?;
        }
        let sealed = self.keyring.seal(&key, generation + 1, &record.encode());
        self.ask(self.store.commit(&key, fence, &sealed, lifetime)).await
    }

    /// Gives a claim back. That it lapses by itself otherwise is slower, and says that a token may be spent. Where that
    /// was already so, it must go on saying so to whoever claims next.
    async fn release(&self, claim: Claimed) {
        if claim.interrupted && self.endpoint.after_unknown() == AfterUnknown::FailClosed {
            return;
        }
        let _ = self.ask(self.store.release(&claim.key, claim.fence)).await;
    }

    /// Tells the issuer to forget tokens that came for a session which was signed out meanwhile.
    async fn drop_tokens(&self, record: &Record) {
        let (access, refresh) = (&record.access_token, record.refresh_token.as_ref());
        let deadline = Instant::now() + self.settings.request_timeout;
        let behalf = OnBehalf::default();
        let told = self.endpoint.sign_out(access, refresh, SignOutScope::Local, behalf);
        if let Some(Err(error)) = within(deadline, told).await {
            warn!(%error, "the issuer could not be told of a sign-out");
        }
    }

    fn arrived(&self, held: Arc<Held>) -> Landing {
        let now = Instant::now();
        if held.left(now).is_zero() {
            // It came dead on arrival. Asking for the next at once would go on for ever.
            return self.later(held.key, None);
        }
        self.pauses.over(&held.key);
        Landing::Arrived(held)
    }

    /// Nothing is wrong with the issuer: the store, or another process, is to have a moment.
    fn soon(&self, key: Key) -> Landing {
        self.pauses.hold(key, SOON, Instant::now());
        Landing::Later(SOON)
    }

    fn later(&self, key: Key, retry_after: Option<Duration>) -> Landing {
        Landing::Later(self.pauses.failed(key, retry_after, Instant::now()))
    }
}

fn can_go_on(held: &Held) -> bool {
    held.record.refresh_token.is_some()
}
