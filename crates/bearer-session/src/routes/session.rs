//! Who is signed in, and new tokens on demand.

use super::{
    RouteState, Shared,
    answer::{add_cookies, json, too_often, unavailable},
    jar,
};
use crate::{Access, SessionErrorKind, labels::Labels, store::Key};
use axum::{
    extract::{Request, State},
    http::{StatusCode, request::Parts},
    response::Response,
};
use quick_cache::sync::Cache;
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;

/// What a page may know of its own session.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    signed_in: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
}

impl<'a> Shown<'a> {
    pub(super) const NOBODY: Self = Self { signed_in: false, sub: None, session_id: None, expires_in: None };

    pub(super) fn of(access: &'a Access) -> Self {
        Self::of_tokens(access.labels(), access.expires_in())
    }

    /// Of tokens that have just come.
    pub(super) fn of_tokens(labels: &'a Labels, expires_in: Duration) -> Self {
        Self {
            signed_in: true,
            sub: labels.subject.as_deref(),
            session_id: labels.session.as_deref(),
            expires_in: Some(expires_in.as_secs()),
        }
    }
}

pub(super) async fn show(State(shared): Shared, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let access = match shared.key(&parts).await {
        Ok(key) => shared.sessions.access(key, shared.on_behalf(&parts)).await,
        Err(error) => Err(error),
    };
    match access {
        Ok(access) => shared.shown(&parts, &access),
        Err(error) if error.kind() == SessionErrorKind::SignedOut => json(StatusCode::OK, &Shown::NOBODY),
        Err(error) => unavailable(&error),
    }
}

pub(super) async fn refresh(State(shared): Shared, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let key = match shared.key(&parts).await {
        Ok(key) => key,
        Err(error) => return shared.without(&parts.headers, &error),
    };
    if let Err(left) = shared.forced.permit(key, Instant::now()) {
        return too_often(left.as_secs().saturating_add(1));
    }
    let on_behalf = match shared.sessions.peek(key).await {
        // Nothing hangs on it, and it must not use up what others need.
        Ok(access) if !access.expires_in().is_zero() => shared.on_behalf(&parts).that_can_wait(),
        _ => shared.on_behalf(&parts),
    };
    match shared.sessions.refresh(key, on_behalf).await {
        Ok(access) => shared.shown(&parts, &access),
        Err(error) => {
            shared.forced.take_back(&key);
            shared.without(&parts.headers, &error)
        }
    }
}

impl RouteState {
    /// Who is signed in, and the cookies by which the browser stays so.
    fn shown(&self, request: &Parts, access: &Access) -> Response {
        let mut response = json(StatusCode::OK, &Shown::of(access));
        add_cookies(&mut response, self.keeping.renewed(&jar(request), access));
        response
    }
}

/// When each session was refreshed on demand.
pub(super) struct Forced {
    every: Duration,
    last: Cache<Key, Instant>,
}

impl Forced {
    const MOST: usize = 10_000;

    pub(super) fn new(every: Duration) -> Self {
        Self { every, last: Cache::new(Self::MOST) }
    }

    /// Or else how long to wait.
    fn permit(&self, key: Key, now: Instant) -> Result<(), Duration> {
        let left = |last: Instant| self.every.saturating_sub(now.saturating_duration_since(last));
        match self.last.get(&key).map(left) {
            Some(left) if !left.is_zero() => Err(left),
            _ => {
                self.last.insert(key, now);
                Ok(())
            }
        }
    }

    /// Nothing came of it. How soon the issuer is asked again is the owner's to say.
    fn take_back(&self, key: &Key) {
        self.last.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_is_refreshed_on_demand_once_in_a_while() {
        let forced = Forced::new(Duration::from_secs(5));
        let (one, other, now) = (Key::of("session", "1"), Key::of("session", "2"), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(forced.permit(one, now), Ok(()));
        assert_eq!(forced.permit(one, after(4)), Err(Duration::from_secs(1)));
        assert_eq!(forced.permit(other, after(4)), Ok(()));
        assert_eq!(forced.permit(one, after(5)), Ok(()));
        assert_eq!(forced.permit(one, after(6)), Err(Duration::from_secs(4)));
        let never_again = Forced::new(Duration::MAX);
        assert_eq!(never_again.permit(one, now), Ok(()));
        assert!(never_again.permit(one, after(5)).is_err());
    }
}
