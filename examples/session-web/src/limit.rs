//! [`Guesses`]: how often one client may try a password. The routes try whatever they are given.

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, header::RETRY_AFTER},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use governor::{DefaultKeyedRateLimiter, Quota, clock::Clock as _};
use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

/// So many tries at once, since many people may share an address, and one more in each such time.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(30).unwrap();
const EVERY: Duration = Duration::from_secs(10);

/// Beyond so many clients those go first that have all their tries again.
const MANY: usize = 10_000;

#[derive(Clone, Debug)]
pub(crate) struct Guesses(Arc<DefaultKeyedRateLimiter<IpAddr>>);

impl Guesses {
    pub(crate) fn new() -> Self {
        let quota = Quota::with_period(EVERY).expect("not zero").allow_burst(AT_ONCE);
        Self(Arc::new(DefaultKeyedRateLimiter::keyed(quota)))
    }

    /// Or else how long to wait.
    fn permit(&self, client: IpAddr) -> Result<(), Duration> {
        if self.0.len() > MANY {
            self.0.retain_recent();
        }
        let refused = self.0.check_key(&network(client));
        refused.map_err(|until| until.wait_time_from(self.0.clock().now()))
    }
}

/// In front of the routes of the session. The client is whoever is at the other end of the connection: behind a
/// proxy that would be the proxy for all, so limit there, or take the address from the header that it sets.
pub(crate) async fn limited(
    State(guesses): State<Guesses>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if request.uri().path() == "/password"
        && let Err(wait) = guesses.permit(peer.ip())
    {
        let seconds = wait.as_secs() + 1;
        let text = format!("Too many tries. The next one is in {seconds} s.");
        return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, seconds.to_string())], text).into_response();
    }
    next.run(request).await
}

/// Whoever has one address of IPv6 has 2⁶⁴ of them.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_so_many_tries() {
        let guesses = Guesses::new();
        let tries =
            |client: &str| (0..100).filter(|_| guesses.permit(client.parse().unwrap()).is_ok()).count();
        for (client, permitted) in [
            ("192.0.2.1", 30),
            ("::ffff:192.0.2.1", 0),
            ("192.0.2.2", 30),
            ("2001:db8::1", 30),
            ("2001:db8::2", 0),
            ("2001:db8:0:1::1", 30),
        ] {
            assert_eq!(tries(client), permitted, "{client}");
        }
        let wait = guesses.permit("192.0.2.1".parse().unwrap()).unwrap_err();
        assert!(wait <= EVERY && wait > EVERY / 2, "{wait:?}");
    }
}
