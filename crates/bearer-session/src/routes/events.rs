//! Server-sent events: what `onAuthStateChange` tells in the browser, for pages that have no supabase-js.

use super::{
    Shared,
    answer::{empty, too_often, unavailable},
    session::Shown,
    streams::Place,
};
use crate::{Access, SessionErrorKind, Sessions};
use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use futures_core::Stream;
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout_at},
};

/// How often a line goes out when nothing happens, so that no proxy takes the connection for dead; and how
/// often the session is looked at, should a notice of the store have got lost.
const PULSE: Duration = Duration::from_secs(15);

/// The longest that one answer goes on. The browser asks again.
const TERM: Duration = Duration::from_secs(3600);

pub(super) async fn stream(State(shared): Shared, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let initial = match shared.key(&parts).await {
        Ok(key) => shared.sessions.peek(key).await,
        Err(error) => Err(error),
    };
    let initial = match initial {
        Ok(access) => access,
        // By which an EventSource knows that it need not ask again.
        Err(error) if error.kind() == SessionErrorKind::SignedOut => return empty(StatusCode::NO_CONTENT),
        Err(error) => return unavailable(&error),
    };
    let Some(place) = shared.streams.enter(initial.key()) else { return too_often(PULSE.as_secs()) };
    let (events, receiver) = mpsc::channel(4);
    tokio::spawn(tell(shared.sessions.clone(), initial, events, place));
    let mut response = Response::new(Body::from_stream(Lines(receiver)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // nginx would keep the events until it has some kilobytes of them.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Tells of a session until it is over, the page has gone away, or the time is, or the process is to end.
async fn tell(sessions: Sessions, initial: Access, events: mpsc::Sender<Bytes>, place: Place) {
    let end = Instant::now() + TERM;
    let (key, mut known) = (initial.key(), initial.generation());
    let mut changed = sessions.changed(key);
    let mut line = event("INITIAL_SESSION", &Shown::of(&initial));
    drop(initial);
    loop {
        // A page that takes nothing for so long is not there any more.
        let Ok(Ok(())) = timeout_at(Instant::now() + PULSE, events.send(line)).await else { break };
        let pulse = (Instant::now() + PULSE).min(end);
        tokio::select! {
            () = changed => {}
            () = sleep_until(pulse) => {}
            () = events.closed() => break,
            () = sessions.closed() => break,
        }
        if Instant::now() >= end {
            break;
        }
        // First this, and then a look, so that nothing is missed in between.
        changed = sessions.changed(key);
        line = match sessions.look(key).await {
            Ok(access) if access.generation() > known && access.refresh_token().is_some() => {
                known = access.generation();
                event("TOKEN_REFRESHED", &Shown::of(&access))
            }
            Err(error) if error.kind() == SessionErrorKind::SignedOut => {
                let _ = events.try_send(event("SIGNED_OUT", &Shown::NOBODY));
                break;
            }
            // Nothing that a page would want to know: a comment.
            _ => Bytes::from_static(b":\n\n"),
        };
    }
    drop(place);
}

fn event(name: &str, session: &Shown<'_>) -> Bytes {
    let data = serde_json::to_string(session).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// The body.
struct Lines(mpsc::Receiver<Bytes>);

impl Stream for Lines {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|line| line.map(Ok))
    }
}
