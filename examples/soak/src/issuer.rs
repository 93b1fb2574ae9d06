//! The issuer's side: keys that come, are used, and go.

use bearer_testing::{Algorithm, SigningKey, TestIssuer, TokenBuilder};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};

/// What visitors present during one second.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) good: Vec<String>,
    pub(crate) bad: Vec<String>,
}

/// Directs an issuer: every second a key that was published two seconds ago begins to sign, the oldest goes,
/// and for a while all fetches fail.
pub(crate) struct Director {
    issuer: TestIssuer,
    /// On standby, the next to sign first.
    standby: VecDeque<SigningKey>,
    /// Still published, the one that signs last.
    signing: VecDeque<SigningKey>,
    /// Gone, long enough for everybody to know, last.
    removed: VecDeque<SigningKey>,
    tokens: watch::Sender<Arc<Tokens>>,
    count: u32,
}

impl Director {
    pub(crate) async fn start() -> (Self, watch::Receiver<Arc<Tokens>>) {
        let first = SigningKey::generate(Algorithm::ES256).kid("0");
        let issuer = TestIssuer::start_with([first.clone()]).await;
        let (tokens, receiver) = watch::channel(Arc::default());
        let mut director = Self {
            issuer,
            standby: VecDeque::new(),
            signing: [first].into(),
            removed: VecDeque::new(),
            tokens,
            count: 0,
        };
        director.publish_next();
        director.publish_next();
        director.tokens.send_replace(Arc::new(director.mint()));
        (director, receiver)
    }

    pub(crate) fn issuer(&self) -> &str {
        self.issuer.issuer()
    }

    pub(crate) fn audience(&self) -> &str {
        self.issuer.audience()
    }

    pub(crate) fn jwks_uri(&self) -> String {
        self.issuer.jwks_uri()
    }

    pub(crate) async fn direct(mut self) {
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        seconds.tick().await;
        loop {
            seconds.tick().await;
            self.rotate();
            sleep(Duration::from_millis(400)).await;
            self.issuer.fail_with(500);
            sleep(Duration::from_millis(300)).await;
            self.issuer.recover();
        }
    }

    fn rotate(&mut self) {
        self.publish_next();
        self.signing.extend(self.standby.pop_front());
        if self.signing.len() > 3
            && let Some(oldest) = self.signing.pop_front()
        {
            self.issuer.remove(oldest.id().unwrap_or_default());
            self.removed.push_back(oldest);
        }
        if self.removed.len() > 4 {
            self.removed.pop_front();
        }
        self.tokens.send_replace(Arc::new(self.mint()));
    }

    fn publish_next(&mut self) {
        self.count += 1;
        let key = SigningKey::generate(Algorithm::ES256).kid(self.count.to_string());
        self.issuer.add(key.clone());
        self.standby.push_back(key);
    }

    fn mint(&self) -> Tokens {
        let token = |key| TokenBuilder::new(key, self.issuer.issuer(), self.issuer.audience());
        // The last but one of the removed went two seconds ago: its removal was fetched since.
        let gone = self.removed.iter().rev().skip(2).map(|key| token(key).sign());
        let (Some(newest), Some(oldest)) =
            (self.signing.back(), self.signing.iter().rev().nth(1).or(self.signing.back()))
        else {
            return Tokens::default();
        };
        let bad = [
            token(newest).tampered(),
            token(newest).expired().sign(),
            token(newest).audience("somebody-else").sign(),
            token(newest).issuer("https://evil.example").sign(),
            token(newest).unsigned(),
            token(newest).header("kid", "forged").sign(),
        ];
        Tokens {
            good: vec![token(newest).sign(), token(oldest).sign()],
            bad: bad.into_iter().chain(gone).collect(),
        }
    }
}
