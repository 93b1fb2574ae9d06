//! [`Guesses`]: how often one client may try a password. The routes try whatever they are given.

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, header::RETRY_AFTER},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// So many tries at once, since many people may share an address, and one more in each such time.
const AT_ONCE: u32 = 30;
const EVERY: Duration = Duration::from_secs(10);

/// How many clients are remembered. Beyond it those who are new wait: to forget one would be a free try.
const MOST: usize = 10_000;

/// Of each client, the time until which all its tries are earned again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guesses(Arc<Mutex<HashMap<IpAddr, Instant>>>);

/// In front of the routes of the session. The client is whoever is at the other end of the connection: behind a
/// proxy that would be the proxy for all, so limit there, or take the address from the header that it sets.
pub(crate) async fn limited(
    State(guesses): State<Guesses>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if request.uri().path() == "/password"
        && let Err(wait) = guesses.permit(peer.ip(), Instant::now())
    {
        let seconds = wait.as_secs() + 1;
        let text = format!("Too many tries. The next one is in {seconds} s.");
        return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, seconds.to_string())], text).into_response();
    }
    next.run(request).await
}

impl Guesses {
    /// Or else how long to wait.
    fn permit(&self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let client = network(client);
        if clients.len() >= MOST && !clients.contains_key(&client) {
            clients.retain(|_, earned| *earned > now);
            if clients.len() >= MOST {
                return Err(EVERY);
            }
        }
        let earned = clients.entry(client).or_insert(now);
        let owed = earned.saturating_duration_since(now);
        match owed.checked_sub(EVERY * (AT_ONCE - 1)) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                *earned = now + owed + EVERY;
                Ok(())
            }
        }
    }
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

    fn tries(guesses: &Guesses, client: &str, now: Instant) -> usize {
        (0..100).filter(|_| guesses.permit(client.parse().unwrap(), now).is_ok()).count()
    }

    #[test]
    fn each_client_has_so_many_tries_and_earns_them_again() {
        let (guesses, began) = (Guesses::default(), Instant::now());
        assert_eq!(tries(&guesses, "192.0.2.1", began), 30);
        assert_eq!(guesses.permit("192.0.2.1".parse().unwrap(), began), Err(EVERY));
        assert_eq!(tries(&guesses, "::ffff:192.0.2.1", began), 0, "the same in other words");
        assert_eq!(tries(&guesses, "192.0.2.2", began), 30, "somebody else");
        assert_eq!(tries(&guesses, "192.0.2.1", began + EVERY * 2), 2);
        assert_eq!(tries(&guesses, "192.0.2.1", began + EVERY * 1000), 30);
        assert_eq!(tries(&guesses, "2001:db8::1", began), 30);
        assert_eq!(tries(&guesses, "2001:db8::2", began), 0, "of the same network");
        assert_eq!(tries(&guesses, "2001:db8:0:1::1", began), 30);
    }

    #[test]
    fn many_clients_fill_no_memory_and_set_nobody_free() {
        let (guesses, began) = (Guesses::default(), Instant::now());
        assert_eq!(tries(&guesses, "192.0.2.1", began), 30);
        for number in 0..20_000_u32 {
            let _ = guesses.permit(std::net::Ipv4Addr::from_bits(number).into(), began);
        }
        assert_eq!(guesses.0.lock().unwrap().len(), MOST);
        assert_eq!(tries(&guesses, "192.0.2.1", began), 0);
        assert_eq!(tries(&guesses, "198.51.100.1", began), 0, "a new one waits");
        assert_eq!(tries(&guesses, "198.51.100.1", began + EVERY), 30);
    }
}
