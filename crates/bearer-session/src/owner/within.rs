//! [`within`]: a deadline that a process which slept notices before it does anything.

use std::{future::poll_fn, pin::pin, task::Poll};
use tokio::time::{Instant, sleep_until};

/// The future's output, or `None` when the deadline came first.
///
/// The clock is read before each poll: a process that was stopped for a minute must not, woken up, go on
/// sending what it was about to send. `tokio::time::timeout` would poll the future first.
pub(super) async fn within<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut end = pin!(sleep_until(deadline));
    poll_fn(|cx| {
        if Instant::now() >= deadline || end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::ready, time::Duration};
    use tokio::time::{advance, sleep};

    #[tokio::test(start_paused = true)]
    async fn in_time_or_not_at_all() {
        let deadline = Instant::now() + Duration::from_secs(1);
        assert_eq!(within(deadline, ready(1)).await, Some(1));
        let late = async {
            sleep(Duration::from_secs(2)).await;
            1
        };
        assert_eq!(within(deadline, late).await, None);
        assert_eq!(Instant::now(), deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_deadline_nothing_is_done_any_more() {
        let deadline = Instant::now() + Duration::from_secs(1);
        advance(Duration::from_secs(1)).await;
        assert_eq!(within(deadline, async { panic!("polled") }).await, None::<()>);
    }
}
