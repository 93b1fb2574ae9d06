//! What whoever runs the service reads.

use super::*;
use std::{io, sync::LazyLock};
use tracing::{Dispatch, subscriber::DefaultGuard};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What this thread says from now on, unless it is for debugging.
    fn start() -> (Self, DefaultGuard) {
        // A place in the code that another test comes by first, without a subscriber, is silent for good as
        // long as there is no second one that might want to hear of it.
        static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));
        LazyLock::force(&ANOTHER);
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
        (log, tracing::subscriber::set_default(subscriber.finish()))
    }

    /// The lines, taken out.
    fn take(&self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The one line that was said, of this level and with these words.
#[track_caller]
fn assert_said(log: &Log, level: &str, words: &[&str]) {
    let lines = log.take();
    let [line] = &*lines else { panic!("{lines:?}") };
    assert!(line.contains(&format!(" {level} bearer_jwks")), "{line}");
    assert!(words.iter().all(|words| line.contains(words)), "{line}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_said_when_it_begins_and_with_its_length_when_it_is_over() {
    let (log, _guard) = Log::start();
    let key = key("a");
    let source = Source::of(&[&key]);
    let (_verifier, mut status) = started(&source).await;
    assert_eq!(log.take(), [""; 0], "all is well");

    source.fail();
    status.wait_for(|status| status.failures == 1).await.unwrap();
    assert_said(
        &log,
        "WARN",
        &["those that are there stay in use", "status is 500", "location=\"the source\""],
    );
    let begun = Instant::now();
    advance(secs(3600)).await;
    assert_eq!(log.take(), [""; 0], "once is enough");

    source.publish(&[&key]);
    status.wait_for(|status| status.failures == 0).await.unwrap();
    let seconds = begun.elapsed().as_secs();
    assert_said(&log, "INFO", &["keys fetched", &format!("failing_for_seconds={seconds}")]);
    advance(secs(3600)).await;
    assert_eq!(log.take(), [""; 0], "all is well again");
}

#[tokio::test(start_paused = true)]
async fn without_keys_none_are_said_to_stay_in_use() {
    let (log, _guard) = Log::start();
    let source = Source::default();
    source.fail();
    let (_verifier, mut status) = start(&source);
    status.wait_for(|status| status.failures == 2).await.unwrap();
    assert_said(&log, "WARN", &["there are none to use", "503"]);
    source.publish(&[&key("a")]);
    status.wait_for(Status::is_ready).await.unwrap();
    assert_said(&log, "INFO", &["keys fetched", "failing_for_seconds="]);

    // Beside a shared secret there may be a set without a key.
    source.publish(&[]);
    let (refresher, keys) = Refresher::new(source.clone());
    let mut refresher = refresher.keys_may_be_absent();
    refresher.refresh().await.unwrap();
    source.fail();
    assert!(refresher.refresh().await.is_err());
    assert_said(&log, "WARN", &["there were none before"]);
    drop(keys);
}
