//! Hears of changes that other processes made, through one subscription.

use super::{connection::Unanswered, reply};
use crate::store::notices::Notices;
use futures_core::Stream as _;
use redis::{Client, Msg, RedisError, aio::PubSubStream};
use std::{convert::Infallible, future::poll_fn, pin::Pin, time::Duration};
use tokio::time::{sleep, timeout};

/// After so long without a word the server is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(5);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(super) struct Subscriber {
    pub(super) client: Client,
    pub(super) channel: String,
    pub(super) notices: Notices,
    pub(super) bound: Duration,
}

impl Subscriber {
    /// Never ends. What happened while there was no subscription is unknown, so all are woken when there is
    /// one again.
    pub(super) async fn run(self) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let mut subscribed = false;
            let Err(why) = self.listen(&mut subscribed).await;
            if subscribed {
                pause = SHORTEST_PAUSE;
                let error: &dyn std::error::Error = &why;
                tracing::warn!(error, "notices of changed sessions are lost until Redis is back");
            }
            // Not all instances at once.
            sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn listen(&self, subscribed: &mut bool) -> Result<Infallible, Unanswered> {
        let (mut sink, mut messages) = self.bounded(self.client.get_async_pubsub()).await?.split();
        self.bounded(sink.subscribe(&self.channel)).await?;
        *subscribed = true;
        self.notices.tell_all();
        loop {
            match timeout(SILENCE, next(&mut messages)).await {
                Ok(Some(message)) => self.tell(&message),
                Ok(None) => return Err(Unanswered::Closed),
                Err(_) => self.bounded(sink.ping::<redis::Value>()).await.map(drop)?,
            }
        }
    }

    /// What is not one of our notices is left alone.
    fn tell(&self, message: &Msg) {
        if let Ok(key) = reply::key(message.get_payload_bytes()) {
            self.notices.tell(&key);
        }
    }

    async fn bounded<T>(&self, asked: impl Future<Output = Result<T, RedisError>>) -> Result<T, Unanswered> {
        timeout(self.bound, asked).await.map_err(|_| Unanswered::TimedOut)?.map_err(Unanswered::Failed)
    }
}

async fn next(messages: &mut PubSubStream) -> Option<Msg> {
    poll_fn(|context| Pin::new(&mut *messages).poll_next(context)).await
}
