//! The issuer, as strict as its rules are, and what goes wrong on the way to it.

use crate::world::{Faults, World, skew};
use bearer_session::{
    AccessToken, BoxFuture, RefreshToken, TokenSet,
    endpoint::{AfterUnknown, ExchangeError, OnBehalf, Outcome, SignOutScope, TokenEndpoint},
};
use http::StatusCode;
use std::{collections::HashMap, future::pending, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, sleep_until},
};

/// How an issuer takes a refresh token that is not the newest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rules {
    /// Supabase Auth, first algorithm: the parent of the active token brings the active token.
    V1,
    /// Supabase Auth, second algorithm: a token one behind brings the newest.
    V2,
    /// Any second presentation is theft.
    Strict,
}

/// A session at the issuer. Its tokens are numbered.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) newest: u64,
    pub(crate) lives: bool,
    presented: HashMap<u64, u32>,
}

/// What the issuer says, before anything gets lost.
enum Verdict {
    Tokens(u64),
    Refused,
}

impl Rules {
    pub(crate) const ALL: [Self; 3] = [Self::V1, Self::V2, Self::Strict];

    pub(crate) const fn after_unknown(self) -> AfterUnknown {
        match self {
            Self::V1 | Self::V2 => AfterUnknown::PresentAgain,
            Self::Strict => AfterUnknown::FailClosed,
        }
    }
}

impl Held {
    pub(crate) fn new() -> Self {
        Self { newest: 0, lives: true, presented: HashMap::new() }
    }

    /// A token arrives. What must never arrive is a violation, whatever the issuer makes of it.
    fn present(&mut self, rules: Rules, number: u64) -> Result<Verdict, String> {
        let times = self.presented.entry(number).or_default();
        *times += 1;
        if rules == Rules::Strict && *times > 1 {
            return Err(format!("token {number} was presented {times} times"));
        }
        if !self.lives {
            return Ok(Verdict::Refused);
        }
        match (rules, self.newest.checked_sub(number)) {
            (_, Some(0)) => {
                self.newest += 1;
                Ok(Verdict::Tokens(self.newest))
            }
            (Rules::V1 | Rules::V2, Some(1)) => Ok(Verdict::Tokens(self.newest)),
            (_, Some(behind)) => Err(format!("token {number} was presented {behind} behind the newest")),
            (_, None) => Err(format!("token {number} was never issued")),
        }
    }
}

/// The issuer as one instance sees it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) world: World,
    pub(crate) instance: usize,
}

/// An exchange that was begun. Without an answer its session is excused.
struct Unanswered<'a> {
    world: &'a World,
    instance: usize,
    session: usize,
    is_answered: bool,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.world.with(|state| state.excuse_unless_dead(self.instance, self.session));
        }
    }
}

/// What becomes of an exchange besides what the issuer decides.
enum Luck {
    Good,
    /// The answer is lost after the issuer has done its work.
    LostAfter,
    /// The request never arrives.
    LostBefore,
    /// The issuer is busy, and says so.
    Busy(Option<Duration>),
    /// The issuer does its work when nobody waits for the answer any more.
    Late,
}

fn luck(faults: &Faults, rng: &mut fastrand::Rng) -> Luck {
    let dice = rng.f64();
    if dice < faults.unknown {
        return match rng.u8(..3) {
            0 => Luck::LostAfter,
            1 => Luck::LostBefore,
            _ => Luck::Late,
        };
    }
    if dice < faults.unknown + faults.busy {
        return Luck::Busy(rng.bool().then(|| Duration::from_secs(rng.u64(0..40))));
    }
    Luck::Good
}

/// The access token has a number of its own: that of when it was made.
pub(crate) fn token_set(session: usize, number: u64, made: usize, expires_in: Duration) -> TokenSet {
    TokenSet::new(AccessToken::new(format!("{session}.{number}.{made}")), expires_in)
        .refresh_token(RefreshToken::new(format!("{session}.{number}")))
}

/// The session and the number that a token says.
pub(crate) fn read(token: &str) -> (usize, u64) {
    let mut parts = token.split('.').map(|part| part.parse().unwrap());
    let (session, number) = (parts.next().unwrap(), parts.next().unwrap());
    (usize::try_from(session).unwrap(), number)
}

impl Endpoint {
    /// A token that was made up.
    async fn probed(&self) -> Result<TokenSet, ExchangeError> {
        self.world.step(self.instance).await;
        let (luck, takes) = self.world.with(|state| {
            state.tally.probes += 1;
            (luck(&state.faults, &mut state.rng), Duration::from_millis(state.rng.u64(2..160)))
        });
        sleep(takes).await;
        self.world.step(self.instance).await;
        Err(match luck {
            Luck::Good => ExchangeError::new(Outcome::Final),
            Luck::Busy(_) => ExchangeError::new(Outcome::NotSpent).with_status(StatusCode::TOO_MANY_REQUESTS),
            Luck::LostAfter | Luck::LostBefore => ExchangeError::new(Outcome::Unknown),
            Luck::Late => return pending().await,
        })
    }
}

impl TokenEndpoint for Endpoint {
    fn refresh<'a>(
        &'a self,
        token: &'a RefreshToken,
        _on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        Box::pin(async move {
            if token.expose().starts_with("probe-") {
                return self.probed().await;
            }
            let (session, number) = read(token.expose());
            let mut unanswered =
                Unanswered { world: &self.world, instance: self.instance, session, is_answered: false };
            let asked = Instant::now();
            self.world.step(self.instance).await;
            let (answer, answered) = oneshot::channel();
            let (luck, there, back, is_limited) = self.world.with(|state| {
                let luck = luck(&state.faults, &mut state.rng);
                let slow = state.rng.f64() < state.faults.slow;
                let there = match luck {
                    Luck::Late => 9000..18_000,
                    _ if slow => 1000..4500,
                    _ => 1..80,
                };
                let there = Duration::from_millis(state.rng.u64(there));
                let back = Duration::from_millis(state.rng.u64(if slow { 1000..4500 } else { 1..80 }));
                state.presents(self.instance, session, number);
                // Held against the wrong clock, where it is a date.
                let luck = match luck {
                    Luck::Busy(Some(time)) if state.rng.bool() => {
                        let skew = skew(0) - skew(self.instance);
                        let time = i64::try_from(time.as_secs()).unwrap() + skew;
                        Luck::Busy(Some(Duration::from_secs(time.max(0).unsigned_abs())))
                    }
                    luck => luck,
                };
                (luck, there, back, state.rng.bool())
            });
            let world = self.world.clone();
            // The issuer does its work whether or not anybody still waits for it.
            tokio::spawn(async move {
                // Reckoned from when it was asked to: what stood still before it sent has less time to be late.
                sleep_until(asked + there).await;
                let error = |outcome| Err(ExchangeError::new(outcome));
                let result = match luck {
                    Luck::Busy(None) if is_limited => {
                        Err(ExchangeError::new(Outcome::NotSpent).with_status(StatusCode::TOO_MANY_REQUESTS))
                    }
                    Luck::Busy(None) => error(Outcome::NotSpent),
                    Luck::Busy(Some(time)) => {
                        let error = ExchangeError::new(Outcome::NotSpent).with_retry_after(time);
                        Err(if is_limited { error.with_status(StatusCode::TOO_MANY_REQUESTS) } else { error })
                    }
                    Luck::LostBefore => error(Outcome::Unknown),
                    Luck::Good | Luck::LostAfter | Luck::Late => {
                        let verdict = world.with(|state| state.present(session, number));
                        match (luck, verdict) {
                            (Luck::LostAfter, _) => error(Outcome::Unknown),
                            (_, Verdict::Refused) => error(Outcome::Final),
                            (_, Verdict::Tokens(number)) => {
                                Ok(world.with(|state| state.mint(session, number)))
                            }
                        }
                    }
                };
                sleep(back).await;
                let _ = answer.send(result);
            });
            let Ok(result) = answered.await else { return pending().await };
            self.world.step(self.instance).await;
            unanswered.is_answered = !matches!(&result, Err(error) if error.outcome() == Outcome::Unknown);
            if let Ok(tokens) = &result {
                let (_, number) = read(tokens.access_token.expose());
                self.world.with(|state| state.learns(self.instance, session, number));
            }
            result
        })
    }

    fn sign_out<'a>(
        &'a self,
        access_token: &'a AccessToken,
        _refresh_token: Option<&'a RefreshToken>,
        _scope: SignOutScope,
        _on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<(), ExchangeError>> {
        Box::pin(async move {
            self.world.step(self.instance).await;
            let (session, _) = read(access_token.expose());
            self.world.with(|state| state.issuer[session].lives = false);
            Ok(())
        })
    }

    fn after_unknown(&self) -> AfterUnknown {
        self.world.with(|state| state.rules.after_unknown())
    }
}

impl crate::world::State {
    fn present(&mut self, session: usize, number: u64) -> Verdict {
        let rules = self.rules;
        self.tally.exchanges += 1;
        match self.issuer[session].present(rules, number) {
            Ok(verdict) => verdict,
            Err(violation) => {
                if self.is_out_of_a_backup(session, number) {
                    self.tally.lost_with_a_backup += 1;
                } else {
                    self.violations.push(format!("session {session}: {violation}"));
                }
                self.issuer[session].lives = false;
                Verdict::Refused
            }
        }
    }
}
