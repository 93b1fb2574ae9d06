//! The flight: one refresh of one session, from the claim to the commit.

use super::{
    Owner, SOON,
    breaker::{Pass, Sign},
    claimed::{Claimed, Committed, Purpose},
    local::{Held, Kept, after},
    rules::{self, Failed, Granted},
    unsaved::Successor,
    within::within,
};
use crate::{
    RefreshToken,
    endpoint::{AfterUnknown, ExchangeError, OnBehalf, Outcome, SignOutScope},
    record::Record,
    sources::sources,
    store::{Key, Lookup},
};
use http::StatusCode;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use tracing::{debug, error, info, warn};

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

impl Owner {
    /// Brings the successor of these tokens, or what somebody else has brought meanwhile.
    pub(super) async fn flight(self: Arc<Self>, known: Arc<Held>, on_behalf: OnBehalf) -> Landing {
        let (claim, held) = match self.claim(known, Purpose::Refresh).await {
            Ok(claimed) => claimed,
            Err(landing) => return landing,
        };
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
        self: &Arc<Self>,
        claim: Claimed,
        held: &Arc<Held>,
        token: &RefreshToken,
        rule: AfterUnknown,
        on_behalf: OnBehalf,
    ) -> Landing {
        let needed = self.settings.for_an_exchange();
        // Whoever was interrupted may have sent it.
        let mut was_lost = claim.interrupted;
        let mut is_under_way = false;
        let mut wait = SOON;
        for attempts in 1.. {
            let pass = match self.may_ask(claim).await {
                Ok(pass) => pass,
                Err(left) => {
                    wait = left;
                    break;
                }
            };
            let sent = Instant::now();
            // A process that was stopped since it claimed must not present what another may have presented by
            // now.
            if claim.until.saturating_duration_since(sent) < needed {
                break;
            }
            let error = match self.present(held, token, sent, on_behalf).await {
                Ok(mut successor) => {
                    pass.ended(Sign::Well, Instant::now());
                    self.outage.is_over();
                    if was_lost {
                        // The request that was lost may still be under way, with a token that must be no more
                        // than one behind when it arrives.
                        successor.record.settles_in = self.settings.request_timeout;
                    }
                    return self.store(claim, successor).await;
                }
                Err(error) => error,
            };
            pass.ended(rules::sign(&error, rule), Instant::now());
            was_lost |= error.outcome() == Outcome::Unknown;
            is_under_way |= error.outcome() == Outcome::Unknown && error.status().is_none_or(gave_up);
            let left = claim.until.saturating_duration_since(Instant::now());
            let next = rules::failed(&error, rule, attempts, left, needed);
            debug!(key = ?claim.key, %error, source = sources(&error), ?next, "a refresh failed");
            if !matches!(next, Failed::End | Failed::LookAgain) {
                self.outage.goes_on(claim.key, &error);
            }
            match next {
                Failed::Retry(pause) => sleep(pause).await,
                Failed::End => {
                    info!(key = ?claim.key, %error, "the issuer has ended a session");
                    self.end(claim.key, claim.until).await;
                    return Landing::Over;
                }
                Failed::Burn => return self.burn(claim, held).await,
                Failed::LookAgain => return Landing::Later(SOON),
                Failed::Release => {
                    self.release_unless(is_under_way, claim).await;
                    let landing = self.later(claim.key, Some(&error));
                    self.say_refused(claim.key, &error);
                    return landing;
                }
            }
        }
        self.release_unless(is_under_way, claim).await;
        self.after(claim.key, wait)
    }

    /// Presents the refresh token once, and checks what comes of it.
    async fn present(
        &self,
        held: &Held,
        token: &RefreshToken,
        sent: Instant,
        on_behalf: OnBehalf,
    ) -> Result<Successor, ExchangeError> {
        let unknown = || ExchangeError::new(Outcome::Unknown);
        // Nobody has shown yet that the token is one: those that others hang on go first.
        let on_behalf = if held.is_proven() { on_behalf } else { on_behalf.that_can_wait() };
        let exchange = self.endpoint.refresh(token, on_behalf);
        let exchanged = within(sent + self.settings.request_timeout, exchange).await;
        let tokens = exchanged.ok_or_else(unknown)??;
        // The token lives since some moment after the request was sent.
        let expires = after(tokens.expires_in, sent);
        let Some(record) = held.record.renewed(tokens) else {
            // As good as an answer that nobody can read.
            error!(key = ?held.key, "the issuer answered with tokens of another user or session");
            return Err(unknown());
        };
        Ok(Successor { of: held.generation, record, expires })
    }

    /// Leave to present a token, or how long to wait for it.
    async fn may_ask(&self, claim: Claimed) -> Result<Pass<'_>, Duration> {
        if self.flights.is_closed() {
            return Err(SOON);
        }
        let now = Instant::now();
        let pass = self.breaker.enter(now)?;
        if pass.is_to_probe() {
            // The exchange is to have its time after it.
            let spare = claim.until.saturating_duration_since(now + self.settings.for_an_exchange()) / 2;
            let deadline = now + spare.min(self.settings.request_timeout);
            let answers = matches!(within(deadline, self.endpoint.probe()).await, Some(Ok(())));
            let now = Instant::now();
            if !answers && !pass.may_risk(now) {
                debug!(key = ?claim.key, "the issuer does not answer; no refresh token is risked");
                return Err(pass.probed_in_vain(now));
            }
        }
        Ok(pass)
    }

    /// Stores new tokens and hands them out, in this order.
    pub(super) async fn store(self: &Arc<Self>, claim: Claimed, successor: Successor) -> Landing {
        match self.commit(claim, &successor).await {
            Committed::Stored(held) => self.arrived(held),
            Committed::Fenced => self.fenced(claim, successor).await,
            Committed::Lost => {
                warn!(key = ?claim.key, "the store does not take new tokens; they are kept in memory");
                self.save_later(claim.key, successor)
            }
        }
    }

    /// The claim was over when new tokens were to be stored: what lies in the store now decides.
    async fn fenced(self: &Arc<Self>, claim: Claimed, successor: Successor) -> Landing {
        let asked = Instant::now();
        match self.ask(self.store.load(&claim.key)).await {
            Some(Lookup::Live(row)) => match self.absorb(claim.key, &row, asked) {
                Some((_, Kept::Ended)) => Landing::Over,
                Some((held, Kept::First | Kept::Same | Kept::Newer))
                    if successor.follows(&held, self.endpoint.after_unknown()) =>
                {
                    self.store_over(&held, successor).await
                }
                Some((held, Kept::First | Kept::Same | Kept::Newer)) if held.generation > successor.of => {
                    self.arrived(held)
                }
                _ => self.save_later(claim.key, successor),
            },
            None => self.save_later(claim.key, successor),
            Some(Lookup::Ended) => {
                self.over(&claim.key, SignOutScope::Local);
                self.drop_tokens(&successor.record).await;
                Landing::Over
            }
            // Nobody signed out: the store may find it again, or the browser have what it began with.
            Some(Lookup::Unknown) => {
                self.unknown(&claim.key);
                Landing::Over
            }
        }
    }

    /// Another process has claimed these tokens meanwhile, and perhaps burnt them. Their successor takes
    /// their place.
    async fn store_over(self: &Arc<Self>, held: &Held, successor: Successor) -> Landing {
        let successor = Successor { of: held.generation, ..successor };
        if let Some(claim) = self.claim_at_once(held.key, held.row).await
            && let Committed::Stored(held) = self.commit(claim, &successor).await
        {
            return self.arrived(held);
        }
        self.save_later(held.key, successor)
    }

    /// Takes the refresh token out of the row. The access token serves until it expires.
    pub(super) async fn burn(self: &Arc<Self>, claim: Claimed, held: &Arc<Held>) -> Landing {
        warn!(key = ?claim.key, "a refresh token may be spent and is not presented again");
        if held.left(Instant::now()).is_zero() {
            // Until the store has taken it, whoever has the successor may still store that.
            if !self.end_row(claim.key, claim.until).await {
                return self.soon(claim.key);
            }
            self.over(&claim.key, SignOutScope::Local);
            return Landing::Over;
        }
        let burnt = Successor { of: held.generation, record: held.record.burnt(), expires: held.expires };
        match self.commit(claim, &burnt).await {
            Committed::Stored(held) => self.arrived(held),
            // Whoever claims next finds the claim interrupted, and does the same.
            Committed::Fenced | Committed::Lost => self.soon(claim.key),
        }
    }

    /// The store was put back to an earlier time, and this process knows what came after. The old tokens are
    /// not presented: the newest take their place in one step, so that nobody ever finds what is neither.
    ///
    /// They are not refreshed right away either: a process that knows still newer ones is to speak up, or to
    /// finish the exchange that it had begun.
    pub(super) async fn bring_forward(self: &Arc<Self>, ours: Arc<Held>, row: u64) -> Landing {
        let key = ours.key;
        warn!(?key, "the session store has gone back; it is brought forward");
        if let Some(claim) = self.claim_at_once(key, row).await {
            let mut record = Record::clone(&ours.record);
            record.settles_in = self.settings.request_timeout;
            let again = Successor { of: ours.generation.saturating_sub(1), record, expires: ours.expires };
            self.commit(claim, &again).await;
        }
        self.soon(key)
    }

    /// Tells the issuer to forget tokens that came for a session which was signed out meanwhile.
    pub(super) async fn drop_tokens(&self, record: &Record) {
        let (access, refresh) = (&record.access_token, record.refresh_token.as_ref());
        let deadline = Instant::now() + self.settings.request_timeout;
        let behalf = OnBehalf::default();
        let told = self.endpoint.sign_out(access, refresh, SignOutScope::Local, behalf);
        if let Some(Err(error)) = within(deadline, told).await {
            warn!(%error, source = sources(&error), "the issuer could not be told of a sign-out");
        }
    }

    pub(super) fn arrived(&self, held: Arc<Held>) -> Landing {
        let now = Instant::now();
        if held.left(now).is_zero() {
            // It came dead on arrival. Asking for the next at once would go on for ever.
            return self.later(held.key, None);
        }
        self.pauses.over(&held.key);
        Landing::Arrived(held)
    }

    /// Nothing is wrong with the issuer: the store, or another process, is to have a moment.
    pub(super) fn soon(&self, key: Key) -> Landing {
        self.after(key, SOON)
    }

    pub(super) fn after(&self, key: Key, pause: Duration) -> Landing {
        self.pauses.hold(key, pause, Instant::now());
        Landing::Later(pause)
    }

    pub(super) fn later(&self, key: Key, error: Option<&ExchangeError>) -> Landing {
        Landing::Later(self.pauses.failed(key, error, Instant::now()))
    }

    /// For whoever runs the service, who sees users sign in again and nothing the matter with the issuer.
    fn say_refused(&self, key: Key, error: &ExchangeError) {
        if !self.pauses.is_refused(&key) {
            return;
        }
        if let Some(others) = self.refusals.is_time(Instant::now()) {
            warn!(
                ?key, %error, others,
                "the issuer goes on refusing the refresh token of a session, and not by `invalid_grant`, which would \
                end it: once its access token has expired, its user is sent to sign in again"
            );
        }
    }
}

/// Somebody stopped waiting for the request or for its answer, and the issuer may be at it still: Supabase
/// Auth says 504 of what it then finishes.
fn gave_up(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT)
}
