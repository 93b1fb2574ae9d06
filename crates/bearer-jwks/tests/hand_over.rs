//! The hand-over of keys under a scheduler that tries the orders in which threads can run: a reader that
//! misses a key and waits is always answered, and sees what was published before the answer, whoever goes
//! away meanwhile.
//!
//! It is the source of `tower_bearer::keys` itself that runs here, compiled once more in a crate where
//! `tokio` and `arc_swap` are the stand-ins below, made of [Shuttle](shuttle)'s locks. They promise what the
//! originals promise, and no more. (`shuttle-tokio` promises more: there no message can come in between the
//! end of a channel and the end of its receiver, as it can in tokio.)
//!
//! Without the test harness, for it would run the unit tests of that source too, and those want the real
//! tokio.

#![allow(unreachable_pub, reason = "the stand-ins look like the originals")]

extern crate self as arc_swap;
extern crate self as tokio;
extern crate tokio as real_tokio;

#[path = "../../tower-bearer/src/keys/channel.rs"]
#[allow(dead_code, reason = "not all of it is the hand-over")]
mod channel;

use self::channel::{KeySink, KeySource, KeyState, MissKind, Snapshot, channel as new_channel};
use shuttle::{
    future::block_on,
    sync::{Mutex, RwLock},
    thread,
};
use std::sync::Arc;

/// How many orders are tried of each scenario.
const ORDERS: usize = 600;

/// A name that says what holds, and a run in which it has to.
type Scenario = (&'static str, fn());

const SCENARIOS: [Scenario; 5] = [
    (
        "a_reader_that_waits_sees_what_was_published_before_its_answer",
        a_reader_that_waits_sees_what_was_published_before_its_answer,
    ),
    ("snapshots_are_whole_and_never_go_back", snapshots_are_whole_and_never_go_back),
    (
        "a_publisher_that_goes_away_answers_those_it_took_in_and_the_keys_are_stale",
        a_publisher_that_goes_away_answers_those_it_took_in_and_the_keys_are_stale,
    ),
    (
        "a_publisher_that_goes_away_answers_those_on_their_way_in",
        a_publisher_that_goes_away_answers_those_on_their_way_in,
    ),
    (
        "the_last_reader_ends_the_publisher_and_still_gets_its_answer",
        the_last_reader_ends_the_publisher_and_still_gets_its_answer,
    ),
];

/// Takes a part of a name, as the usual harness does.
fn main() {
    let part = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let chosen = SCENARIOS.iter().filter(|(name, _)| part.as_ref().is_none_or(|part| name.contains(&**part)));
    for (name, run) in chosen {
        // By chance, and with few changes from one thread to the other but those at bad moments.
        shuttle::check_random(run, ORDERS);
        shuttle::check_pct(run, ORDERS, 3);
        println!("test {name} ... ok");
    }
}

fn a_reader_that_waits_sees_what_was_published_before_its_answer() {
    let (mut sink, source) = new_channel();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let source = source.clone();
            thread::spawn(move || {
                let seen = source.with(Snapshot::generation);
                let miss = source.miss(MissKind::UnknownKey, Some("new"), seen);
                block_on(miss.expect("somebody publishes"));
                assert!(source.with(Snapshot::generation) > seen, "the answer came before the keys");
            })
        })
        .collect();
    drop(source);
    // As the refresher does it: one publication for all who have seen the same keys.
    while let Some(miss) = block_on(sink.missed()) {
        let current = sink.with(Snapshot::generation);
        if miss.generation() == current {
            sink.publish(KeySet(current + 1));
        }
        drop(miss);
    }
    join(readers);
}

fn snapshots_are_whole_and_never_go_back() {
    let (mut sink, source) = new_channel();
    let reader = thread::spawn(move || {
        let mut last = 0;
        for _ in 0..4 {
            source.with(|now| {
                assert_eq!(now.generation(), now.keys().0, "the keys of another generation");
                assert!(now.generation() >= last, "older keys than before");
                last = now.generation();
            });
        }
    });
    for generation in 1..4 {
        sink.publish(KeySet(generation));
        sink.lag();
        sink.confirm();
    }
    join([reader]);
}

fn a_publisher_that_goes_away_answers_those_it_took_in_and_the_keys_are_stale() {
    let (mut sink, source) = new_channel();
    sink.publish(KeySet(1));
    let answers: Vec<_> =
        (0..2).map(|_| source.miss(MissKind::UnknownKey, Some("new"), 1).expect("a publisher")).collect();
    let readers = answers.into_iter().map(|answer| {
        let source = source.clone();
        thread::spawn(move || {
            block_on(answer);
            assert_eq!(source.with(Snapshot::state), KeyState::Stale);
        })
    });
    let readers: Vec<_> = readers.collect();
    let taken = block_on(sink.missed());
    drop((sink, taken));
    join(readers);
}

fn a_publisher_that_goes_away_answers_those_on_their_way_in() {
    let (mut sink, source) = new_channel();
    sink.publish(KeySet(1));
    let reader = thread::spawn(move || {
        if let Some(answer) = source.miss(MissKind::UnknownKey, Some("new"), 1) {
            block_on(answer);
        }
        assert_eq!(source.with(Snapshot::state), KeyState::Stale);
    });
    drop(sink);
    join([reader]);
}

fn the_last_reader_ends_the_publisher_and_still_gets_its_answer() {
    let (sink, source) = new_channel();
    let publisher = thread::spawn(move || end_of(sink));
    let reader = thread::spawn(move || {
        let answer = ask(&source);
        drop(source);
        block_on(answer);
    });
    join([publisher, reader]);
}

fn ask(source: &KeySource) -> channel::Answer {
    source.miss(MissKind::UnknownKey, None, 0).expect("a publisher")
}

/// Looks at misses for as long as there are readers.
fn end_of(mut sink: KeySink) {
    while block_on(sink.missed()).is_some() {}
}

fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("a thread without a panic");
    }
}

// What `keys::channel` uses of its own crate. A set is the number of its generation.

#[derive(Debug, Default)]
struct KeySet(u64);

impl KeySet {
    #[allow(dead_code, reason = "a helper of the unit tests names it")]
    fn from_jwks(_: &str) -> Option<Self> {
        None
    }

    #[allow(clippy::unused_self, reason = "as the real one")]
    fn keep_of(&mut self, _: &Self) {}

    fn signer(&self, _: Meant<'_>, _: &[u8], _: &[u8]) -> Result<&Arc<Key>, error::Reason> {
        unreachable!("nobody asks set {} about a signature", self.0)
    }
}

struct Key;

struct Meant<'a>(std::marker::PhantomData<&'a str>);

mod error {
    pub enum Reason {
        NoKeys,
        StaleKeys,
    }
}

/// Instead of `arc_swap::ArcSwap`: all loads and stores happen one after the other.
#[derive(Debug)]
struct ArcSwap<T>(RwLock<Arc<T>>);

impl<T> ArcSwap<T> {
    fn from_pointee(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    fn load(&self) -> Arc<T> {
        Arc::clone(&self.0.read().expect("no panic"))
    }

    fn store(&self, value: Arc<T>) {
        *self.0.write().expect("no panic") = value;
    }
}

/// Instead of `tokio::sync`.
mod sync {
    /// A bounded queue. A message takes its place first, and then goes in: in between, the receiver can go
    /// away, and what comes in later stays until the last sender is gone.
    pub mod mpsc {
        use crate::Mutex;
        use std::{
            collections::VecDeque,
            future::poll_fn,
            sync::Arc,
            task::{Poll, Waker},
        };

        #[derive(Debug)]
        struct Queue<T> {
            messages: VecDeque<T>,
            places: usize,
            senders: usize,
            closed: bool,
            receiver: Option<Waker>,
        }

        type Shared<T> = Arc<Mutex<Queue<T>>>;

        #[derive(Debug)]
        pub struct Sender<T>(Shared<T>);

        #[derive(Debug)]
        pub struct Receiver<T>(Shared<T>);

        /// Closed, or full.
        #[derive(Debug)]
        pub struct Refused;

        pub fn channel<T>(places: usize) -> (Sender<T>, Receiver<T>) {
            let messages = VecDeque::new();
            let queue = Queue { messages, places, senders: 1, closed: false, receiver: None };
            let shared = Arc::new(Mutex::new(queue));
            (Sender(Arc::clone(&shared)), Receiver(shared))
        }

        impl<T> Sender<T> {
            pub fn try_send(&self, message: T) -> Result<(), Refused> {
                {
                    let mut queue = self.0.lock().expect("no panic");
                    if queue.closed || queue.places == 0 {
                        return Err(Refused);
                    }
                    queue.places -= 1;
                }
                let receiver = {
                    let mut queue = self.0.lock().expect("no panic");
                    queue.messages.push_back(message);
                    queue.receiver.take()
                };
                receiver.into_iter().for_each(Waker::wake);
                Ok(())
            }
        }

        impl<T> Sender<T> {
            pub fn is_closed(&self) -> bool {
                self.0.lock().expect("no panic").closed
            }
        }

        impl<T> Clone for Sender<T> {
            fn clone(&self) -> Self {
                self.0.lock().expect("no panic").senders += 1;
                Self(Arc::clone(&self.0))
            }
        }

        impl<T> Drop for Sender<T> {
            fn drop(&mut self) {
                let receiver = {
                    let mut queue = self.0.lock().expect("no panic");
                    queue.senders -= 1;
                    if queue.senders == 0 { queue.receiver.take() } else { None }
                };
                receiver.into_iter().for_each(Waker::wake);
            }
        }

        impl<T> Receiver<T> {
            pub async fn recv(&mut self) -> Option<T> {
                poll_fn(|cx| {
                    let mut queue = self.0.lock().expect("no panic");
                    if let Some(message) = queue.messages.pop_front() {
                        queue.places += 1;
                        return Poll::Ready(Some(message));
                    }
                    if queue.senders == 0 {
                        return Poll::Ready(None);
                    }
                    queue.receiver = Some(cx.waker().clone());
                    Poll::Pending
                })
                .await
            }
        }

        impl<T> Drop for Receiver<T> {
            fn drop(&mut self) {
                self.0.lock().expect("no panic").closed = true;
                // Outside the lock, one by one: a message may do something when it is dropped.
                while let Some(message) = { self.0.lock().expect("no panic").messages.pop_front() } {
                    drop(message);
                }
            }
        }
    }

    /// A promise that is only ever broken: nothing is sent, the sender goes away.
    pub mod oneshot {
        use crate::Mutex;
        use std::{
            marker::PhantomData,
            pin::Pin,
            sync::Arc,
            task::{Context, Poll, Waker},
        };

        #[derive(Debug, Default)]
        struct Promise {
            broken: bool,
            abandoned: bool,
            receiver: Option<Waker>,
        }

        #[derive(Debug)]
        pub struct Sender<T>(Arc<Mutex<Promise>>, PhantomData<T>);

        #[derive(Debug)]
        pub struct Receiver<T>(Arc<Mutex<Promise>>, PhantomData<T>);

        pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
            let shared = Arc::new(Mutex::new(Promise::default()));
            (Sender(Arc::clone(&shared), PhantomData), Receiver(shared, PhantomData))
        }

        impl<T> Sender<T> {
            pub fn is_closed(&self) -> bool {
                self.0.lock().expect("no panic").abandoned
            }
        }

        impl<T> Drop for Receiver<T> {
            fn drop(&mut self) {
                self.0.lock().expect("no panic").abandoned = true;
            }
        }

        impl<T> Drop for Sender<T> {
            fn drop(&mut self) {
                let receiver = {
                    let mut promise = self.0.lock().expect("no panic");
                    promise.broken = true;
                    promise.receiver.take()
                };
                receiver.into_iter().for_each(Waker::wake);
            }
        }

        impl<T> Future for Receiver<T> {
            type Output = Option<T>;

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
                let mut promise = self.0.lock().expect("no panic");
                if promise.broken {
                    return Poll::Ready(None);
                }
                promise.receiver = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// For the unit tests of `keys::channel`, which are not compiled here but still name it.
#[allow(unused_imports, reason = "their attribute goes with them")]
use real_tokio::test;

/// No scenario lets time pass.
pub use real_tokio::time;
