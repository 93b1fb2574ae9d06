//! Name resolution that leaves out the addresses which no issuer has.

use crate::off_limits::is_off_limits;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    error::Error,
    fmt, io,
    net::{SocketAddr, ToSocketAddrs as _},
};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// The most lookups at a time, of all fetches of the process together. A lookup holds a thread of the
/// runtime's, and cannot be called off: of a name whose servers do not answer it takes many seconds, whether
/// anybody still waits for it or not. Many issuers of such names would take all the threads that files are
/// read with too.
const LOOKUPS: usize = 64;

static TURNS: Semaphore = Semaphore::const_new(LOOKUPS);

/// Resolves with the system's resolver and leaves out the addresses that are off limits: a name is as good a
/// way to a metadata service as its number.
#[derive(Clone, Debug, Default)]
pub(crate) struct GuardedResolver {
    /// The one name that may lead anywhere.
    pub(crate) exempt: Option<String>,
}

#[derive(Debug)]
struct OffLimits;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_exempt = self.is_exempt(name.as_str());
        Box::pin(async move {
            let found = look_up(&TURNS, move || (name.as_str(), 0).to_socket_addrs()).await??;
            Ok(Box::new(allowed(found, is_exempt)?.into_iter()) as Addrs)
        })
    }
}

impl GuardedResolver {
    fn is_exempt(&self, name: &str) -> bool {
        self.exempt.as_deref().is_some_and(|exempt| exempt.eq_ignore_ascii_case(name))
    }
}

/// Runs a lookup when it is its turn.
async fn look_up<T: Send + 'static>(
    turns: &'static Semaphore,
    lookup: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let turn = turns.acquire().await.map_err(io::Error::other)?;
    let looking = spawn_blocking(move || {
        let found = lookup();
        // The turn is over with the lookup, and not with the fetch that may have been given up long ago.
        drop(turn);
        found
    });
    looking.await.map_err(io::Error::other)
}

fn allowed(found: impl Iterator<Item = SocketAddr>, is_exempt: bool) -> Result<Vec<SocketAddr>, OffLimits> {
    let allowed: Vec<_> = found.filter(|address| is_exempt || !is_off_limits(address.ip())).collect();
    if allowed.is_empty() { Err(OffLimits) } else { Ok(allowed) }
}

impl fmt::Display for OffLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name resolves to nothing but link-local or metadata addresses")
    }
}

impl Error for OffLimits {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
        thread,
        time::Duration,
    };
    use tokio::time::timeout;

    #[test]
    fn a_name_leads_to_no_address_that_is_off_limits() {
        let addresses =
            |texts: &[&str]| texts.iter().map(|text| text.parse().expect(text)).collect::<Vec<SocketAddr>>();
        let mixed = addresses(&["169.254.169.254:0", "10.0.0.1:0", "[fe80::1]:0", "127.0.0.1:0"]);
        assert_eq!(
            allowed(mixed.into_iter(), false).expect("two left"),
            addresses(&["10.0.0.1:0", "127.0.0.1:0"])
        );
        assert!(allowed(addresses(&["169.254.169.254:0"]).into_iter(), false).is_err());
    }

    #[tokio::test]
    async fn lookups_that_nobody_waits_for_any_more_still_take_their_turn() {
        static TURNS: Semaphore = Semaphore::const_new(2);
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        static ANSWERS: AtomicBool = AtomicBool::new(false);
        let dead = || {
            STARTED.fetch_add(1, Ordering::Relaxed);
            while !ANSWERS.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
        };
        for _ in 0..10 {
            assert!(timeout(Duration::from_millis(20), look_up(&TURNS, dead)).await.is_err());
        }
        let started = STARTED.load(Ordering::Relaxed);
        ANSWERS.store(true, Ordering::Relaxed);
        assert_eq!(started, 2);
        assert!(look_up(&TURNS, || 7).await.is_ok_and(|found| found == 7), "the turns are given back");
    }

    #[test]
    fn only_the_name_that_was_allowed_leads_anywhere() {
        let resolver = GuardedResolver { exempt: Some("metadata.example".to_owned()) };
        assert!(resolver.is_exempt("metadata.example") && resolver.is_exempt("METADATA.example"));
        for other in ["example", "a.metadata.example", "metadata.example.evil", ""] {
            assert!(!resolver.is_exempt(other), "{other}");
            assert!(!GuardedResolver::default().is_exempt(other), "{other}");
        }
        let metadata: SocketAddr = "169.254.169.254:0".parse().expect("an address");
        assert_eq!(allowed([metadata].into_iter(), true).expect("allowed"), [metadata]);
    }
}
