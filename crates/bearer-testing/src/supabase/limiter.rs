//! The rate limit of hosted projects.

use std::{collections::HashMap, sync::Mutex, sync::PoisonError, time::Duration};

use axum::http::HeaderMap;
use tokio::time::Instant;

/// 150 requests in 5 minutes.
const EVERY: Duration = Duration::from_secs(2);
const BURST: u32 = 30;

/// The limit of hosted projects, for each address.
#[derive(Debug, Default)]
pub(super) struct Limiter(Mutex<HashMap<String, Instant>>);

impl Limiter {
    /// Whether this address may send a request now.
    pub(super) fn admits(&self, address: &str, now: Instant) -> bool {
        let mut paid = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let paid = paid.entry(address.to_owned()).or_insert(now);
        let admits = paid.saturating_duration_since(now) <= EVERY * (BURST - 1);
        if admits {
            *paid = (*paid).max(now) + EVERY;
        }
        admits
    }
}

/// The address that a request counts for. Its peer is always this machine.
pub(super) fn address(headers: &HeaderMap) -> &str {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_trusted = text("apikey").is_some_and(|key| key.starts_with("sb_secret_"));
    let forwarded = text("sb-forwarded-for").filter(|_| is_trusted);
    forwarded.and_then(|list| list.split(',').next()).map_or("127.0.0.1", str::trim)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_burst_for_each_address_and_then_one_every_two_seconds() {
        let limiter = Limiter::default();
        let start = Instant::now();
        let admitted = |address, seconds| {
            let now = start + Duration::from_secs(seconds);
            (0..100).filter(|_| limiter.admits(address, now)).count()
        };
        assert_eq!(admitted("a", 0), 30);
        assert_eq!(admitted("b", 1), 30);
        assert_eq!(admitted("a", 1), 0);
        assert_eq!(admitted("a", 4), 2);
        assert_eq!(admitted("a", 1000), 30);
    }

    #[test]
    fn forwarded_address_needs_a_secret_key() {
        for (key, expected) in [("sb_secret_1", "192.0.2.1"), ("sb_publishable_1", "127.0.0.1")] {
            let mut headers = HeaderMap::new();
            headers.insert("apikey", HeaderValue::from_static(key));
            headers.insert("sb-forwarded-for", HeaderValue::from_static("192.0.2.1, 192.0.2.2"));
            assert_eq!(address(&headers), expected, "{key}");
        }
    }
}
