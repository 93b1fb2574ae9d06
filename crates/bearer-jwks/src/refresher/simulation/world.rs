//! The issuer, and the tokens of its clients and of strangers.

use super::{
    AUD, ISS,
    model::{Claimed, IssuerKey, Model, Outcome},
    steps::{Change, Kind, MOST_KEYS, Mode},
};
use crate::{Fetch, FetchError, Fetched, Schedule};
use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
use std::{
    future::pending,
    sync::{Arc, LazyLock, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// Key pairs, made once for all histories. The last is the strangers'.
static MATERIAL: LazyLock<Vec<SigningKey>> =
    LazyLock::new(|| std::iter::repeat_with(|| SigningKey::generate(Algorithm::EdDSA)).take(24).collect());

/// The issuer as it is, and the model that hears of everything.
#[derive(Clone)]
pub(super) struct World(Arc<Mutex<State>>);

pub(super) struct State {
    pub(super) model: Model,
    pub(super) mode: Mode,
    pub(super) delay: Duration,
    pub(super) keys: Vec<IssuerKey>,
    former: Vec<IssuerKey>,
    /// Counts the changes of the keys.
    version: usize,
    made: usize,
    forged: usize,
    pub(super) is_over: bool,
    /// Lets an answer that is under way arrive before its delay is over.
    pub(super) arrive: Arc<Notify>,
}

impl World {
    pub(super) fn new(schedule: Schedule) -> Self {
        let model = Model::new(schedule, Instant::now());
        let world = Self(Arc::new(Mutex::new(State {
            model,
            mode: Mode::Set { tagged: false, max_age: None },
            delay: Duration::from_millis(1),
            keys: Vec::new(),
            former: Vec::new(),
            version: 0,
            made: 0,
            forged: 0,
            is_over: false,
            arrive: Arc::default(),
        })));
        world.state().change(Change::Add);
        world
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn make(&mut self, kid: Option<String>) -> IssuerKey {
        self.made += 1;
        let kid = kid.unwrap_or_else(|| format!("key-{}", self.made));
        let material = self.made % (MATERIAL.len() - 1);
        let key = IssuerKey { signing: MATERIAL[material].clone().kid(&kid), kid, material };
        self.former.push(key.clone());
        key
    }

    pub(super) fn change(&mut self, change: Change) {
        self.version += 1;
        match change {
            Change::Add => {
                let key = self.make(None);
                self.keys.push(key);
            }
            Change::ReplaceAll => self.keys = vec![self.make(None)],
            Change::Late(at) => {
                let key = self.make(Some(forged_kid(at)));
                self.keys.push(key);
            }
            Change::Remove(at) if !self.keys.is_empty() => drop(self.keys.remove(at % self.keys.len())),
            Change::Renew(at) if !self.keys.is_empty() => {
                let at = at % self.keys.len();
                self.keys[at] = self.make(Some(self.keys[at].kid.clone()));
            }
            Change::Twin(at) if !self.keys.is_empty() => {
                let key = self.make(Some(self.keys[at % self.keys.len()].kid.clone()));
                self.keys.push(key);
            }
            Change::Remove(_) | Change::Renew(_) | Change::Twin(_) => {}
        }
        if self.keys.len() > MOST_KEYS {
            self.keys.remove(0);
        }
    }

    /// The answer to a request that arrives now, and what it means; `None` for none at all.
    fn answer(&self, etag: Option<&str>) -> Option<(Result<Fetched, FetchError>, Outcome)> {
        let full = |tag: Option<String>, max_age: Option<u64>| {
            let max_age = max_age.map(Duration::from_secs);
            let fetched = Fetched { max_age, etag: tag.clone(), ..Fetched::new(jwks(&self.keys)) };
            Some((Ok(fetched), Outcome::Published { keys: self.keys.clone(), etag: tag, max_age }))
        };
        let unchanged = |max_age: Option<u64>| {
            let max_age = max_age.map(Duration::from_secs);
            Some((Ok(Fetched { max_age, ..Fetched::default() }), Outcome::Unchanged { max_age }))
        };
        let failed = |result| Some((result, Outcome::Failed { retry_after: None }));
        let tag = format!("\"{}\"", self.version);
        match self.mode {
            Mode::Set { tagged: true, max_age } if etag == Some(&*tag) => unchanged(max_age),
            Mode::Set { tagged, max_age } => full(tagged.then_some(tag), max_age),
            Mode::Stuck if etag.is_some() => unchanged(None),
            Mode::Stuck => full(Some("\"stuck\"".to_owned()), None),
            Mode::Rogue => unchanged(None),
            Mode::Status(status, seconds) => {
                let asked = seconds.map(Duration::from_secs);
                let heard = asked.filter(|_| matches!(status, 429 | 503));
                Some((
                    Err(FetchError::Status { status, retry_after: asked }),
                    Outcome::Failed { retry_after: heard },
                ))
            }
            Mode::Garbage => failed(Ok(Fetched::new("<html>"))),
            Mode::Empty => failed(Ok(Fetched::new(r#"{"keys":[]}"#))),
            Mode::Hang => None,
        }
    }

    /// A token of this kind, or `None` where there is no such key.
    pub(super) fn token(&mut self, kind: Kind) -> Option<(Claimed, String)> {
        let pick = |keys: &[IssuerKey], at: usize| keys.get(at.checked_rem(keys.len())?).cloned();
        let claimed =
            |kid: Option<&str>, signer| Claimed { kid: kid.map(str::to_owned), signer, expired: false };
        let of = |key: &IssuerKey| TokenBuilder::new(&key.signing, ISS, AUD);
        let forged = |kid: &str| {
            let stranger = &MATERIAL[MATERIAL.len() - 1];
            (claimed(Some(kid), None), TokenBuilder::new(stranger, ISS, AUD).header("kid", kid).sign())
        };
        Some(match kind {
            Kind::Current(at) => {
                let key = pick(&self.keys, at)?;
                (claimed(Some(&key.kid), Some(key.material)), of(&key).sign())
            }
            Kind::Former(at) => {
                let key = pick(&self.former, at)?;
                (claimed(Some(&key.kid), Some(key.material)), of(&key).sign())
            }
            Kind::ForgedKid(at) => forged(&forged_kid(at)),
            Kind::FreshKid => {
                self.forged += 1;
                forged(&format!("fresh-{}", self.forged))
            }
            Kind::ForgedSignature(at) => forged(&pick(&self.model.held, at)?.kid),
            Kind::Nameless(at) => {
                let key = pick(&self.model.held, at)?;
                (claimed(None, Some(key.material)), of(&key).without_header("kid").sign())
            }
            Kind::NamelessForged => {
                let stranger = MATERIAL[MATERIAL.len() - 1].clone().without_kid();
                (claimed(None, None), TokenBuilder::new(&stranger, ISS, AUD).sign())
            }
            Kind::Expired(at) => {
                let key = pick(&self.keys, at)?;
                let claimed = Claimed { expired: true, ..claimed(Some(&key.kid), Some(key.material)) };
                (claimed, of(&key).expired().sign())
            }
        })
    }
}

impl Fetch for World {
    async fn fetch(&mut self, etag: Option<&str>) -> Result<Fetched, FetchError> {
        // What a slow issuer answers is from before the delay.
        let (answer, delay, arrive) = {
            let mut state = self.state();
            state.model.fetch_started(etag, Instant::now());
            (state.answer(etag), state.delay, Arc::clone(&state.arrive))
        };
        let cut = Cut(self);
        let Some((result, outcome)) = answer else { return pending().await };
        tokio::select! {
            () = sleep(delay) => {}
            () = arrive.notified() => {}
        }
        std::mem::forget(cut);
        self.state().model.fetch_ended(outcome, Instant::now());
        result
    }
}

/// Tells the model of a fetch that was given up.
struct Cut<'a>(&'a World);

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if !state.is_over {
            state.model.fetch_cut(Instant::now());
        }
    }
}

fn forged_kid(number: usize) -> String {
    format!("forged-{number}")
}

pub(super) fn jwks(keys: &[IssuerKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.signing.public_jwk()).collect();
    serde_json::json!({ "keys": keys }).to_string()
}
