//! How keys are fetched for issuers, and what became of it.

use crate::{
    connect::{Connect, ConnectError},
    http::HttpFetch,
    location::PlainHosts,
    refresher::Refresher,
    schedule::Schedule,
    seed::Seed,
    status::Status,
};
use reqwest::Client;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Semaphore, watch};
use tower_bearer::{Issuer, JwtVerifier, keys::KeySource};

/// The most first fetches at a time.
const AT_ONCE: usize = 32;

/// Between two first fetches on average, when many issuers start together and nobody waits.
const BETWEEN: Duration = Duration::from_millis(5);

/// Connects [`Issuer`]s with a client and a [`Schedule`] of the application's own, and shows how they are
/// doing. [`Connect`] is the same with the defaults. Clones share what they show.
///
/// ```
/// use bearer_jwks::{Connector, Schedule};
/// use std::time::Duration;
/// use tower_bearer::Issuer;
/// # use bearer_testing::TestIssuer;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let issuer = TestIssuer::start().await;
/// # let (iss, aud, uri) = (issuer.issuer(), issuer.audience(), issuer.jwks_uri());
/// let mut schedule = Schedule::default();
/// schedule.max_stale = Duration::from_secs(3600);
/// let connector = Connector::new().schedule(schedule);
///
/// let verifier = connector.connect(Issuer::new(iss, aud).jwks_uri(uri)).await?;
/// let (name, mut status) = connector.statuses().remove(0);
/// assert_eq!(name, iss);
/// assert_eq!(status.borrow().key_ids, ["key-1"]);
///
/// drop(verifier);
/// while status.changed().await.is_ok() {}
/// assert!(connector.statuses().is_empty(), "nobody uses those keys any more");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Connector {
    client: Option<Client>,
    schedule: Option<Schedule>,
    plain: PlainHosts,
    /// By issuer.
    seeds: Arc<HashMap<String, Seed>>,
    statuses: Arc<Mutex<Statuses>>,
}

/// How the keys of issuers are doing.
#[derive(Debug, Default)]
struct Statuses {
    /// Those of one issuer, each with its place in the order in which they were connected.
    of: HashMap<String, Vec<(u64, watch::Receiver<Status>)>>,
    connected: u64,
    /// So many issuers are worth looking whether some are not in use any more.
    many: usize,
}

impl Connector {
    /// With the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fetches with the application's own client: its proxy, certificates, timeouts, redirects and name
    /// resolution. Names of addresses that are off limits are then that client's to refuse. It may follow
    /// redirects to other origins, but the answer from there is not taken.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Fetches over plain `http` from this very host, such as `keycloak` or `kong` in a network of
    /// containers. Whoever can answer in its place there makes the keys, and so any token: a network that
    /// only your own services are in.
    ///
    /// ```
    /// use bearer_jwks::Connector;
    /// use tower_bearer::Issuer;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let issuer = || Issuer::new("https://sso.example", "api").jwks_uri("http://keycloak:8080/certs");
    /// assert!(Connector::new().connect_lazy(issuer()).is_err());
    /// assert!(Connector::new().allow_http("keycloak").connect_lazy(issuer()).is_ok());
    /// # });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_http(mut self, host: impl Into<String>) -> Self {
        self.plain.add(host.into());
        self
    }

    /// Replaces the default [`Schedule`].
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = Some(schedule);
        self
    }

    /// Starts an issuer with the keys of a former run, so that a start while it is down serves at once: see
    /// [`Refresher::seed`]. [`Status::seed`](field@Status::seed) is what to keep for it. A seed that is too
    /// old is left aside, and so is one of an issuer that is not connected.
    pub fn seed(mut self, iss: impl Into<String>, seed: Seed) -> Self {
        Arc::make_mut(&mut self.seeds).insert(iss.into(), seed);
        self
    }

    /// As [`Connect::connect`]. Where the first fetch fails, a [seed](Self::seed)
    /// serves.
    ///
    /// # Errors
    /// When the set-up is wrong (so is an empty list), or the keys of one issuer cannot be fetched, and no seed
    /// serves.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub async fn connect(&self, issuers: impl Connect) -> Result<JwtVerifier, ConnectError> {
        let ready = self.ready()?;
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let connecting: Vec<_> = issuers
            .into_vec()
            .into_iter()
            .map(|issuer| tokio::spawn(ready.clone().first_keys(issuer, Arc::clone(&turns))))
            .collect();
        let mut connected = Vec::with_capacity(connecting.len());
        for issuer in connecting {
            // A task of ours neither panics nor is it aborted; if so, there is no verifier.
            connected.push(issuer.await.map_err(|error| ConnectError::Task(error.to_string()))??);
        }
        JwtVerifier::new(connected).map_err(ConnectError::Config)
    }

    /// As [`Connect::connect_lazy`].
    ///
    /// # Errors
    /// When the set-up is wrong.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn connect_lazy(&self, issuers: impl Connect) -> Result<JwtVerifier, ConnectError> {
        let ready = self.ready()?;
        let issuers = issuers.into_vec();
        let others = u32::try_from(issuers.len()).unwrap_or(u32::MAX).saturating_sub(1);
        let spread = BETWEEN * others;
        let issuers = issuers.into_iter().map(|issuer| ready.start(issuer, spread.mul_f64(fastrand::f64())));
        JwtVerifier::new(issuers.collect::<Result<Vec<_>, _>>()?).map_err(ConnectError::Config)
    }

    /// Fetches the keys of one more issuer, and yields it with them, for a verifier that is at work already
    /// ([`JwtVerifier::insert`]). What this makes is kept fresh and shown as with [`connect`](Self::connect),
    /// until the verifier [removes](JwtVerifier::remove) the issuer.
    ///
    /// Where tenants come and go all the time, a [`DynamicVerifier`](crate::DynamicVerifier) does this by
    /// itself.
    ///
    /// ```
    /// use bearer_jwks::Connector;
    /// use std::time::SystemTime;
    /// use tower_bearer::{Issuer, JwtVerifier};
    /// # use bearer_testing::TestIssuer;
    /// # fn config(issuer: &TestIssuer) -> Issuer {
    /// #     Issuer::new(issuer.issuer(), issuer.audience()).jwks_uri(issuer.jwks_uri())
    /// # }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let (one, other) = (TestIssuer::start().await, TestIssuer::start().await);
    /// let connector = Connector::new();
    /// let verifier = connector.connect(config(&one)).await?;
    /// let token = other.token().sign();
    /// let is_accepted = async |token: &str| verifier.verify_token(token, SystemTime::now()).await.is_ok();
    /// assert!(!is_accepted(&token).await, "its issuer is not trusted yet");
    ///
    /// verifier.insert(connector.connect_issuer(config(&other)).await?)?;
    /// assert!(is_accepted(&token).await);
    /// assert_eq!(connector.statuses().len(), 2);
    ///
    /// verifier.remove(other.issuer());
    /// assert!(!is_accepted(&token).await);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub async fn connect_issuer(&self, issuer: Issuer) -> Result<Issuer, ConnectError> {
        self.ready()?.first_keys(issuer, Arc::new(Semaphore::new(1))).await
    }

    /// The issuers whose keys are in use, by name, and how each is doing: to look at, or to wait for. One is
    /// left out when nobody uses its keys any more. One whose refresher was stopped, with its runtime or by a
    /// panic, stays, as unavailable, until the same issuer is connected again.
    pub fn statuses(&self) -> Vec<(String, watch::Receiver<Status>)> {
        self.locked().list()
    }

    fn locked(&self) -> MutexGuard<'_, Statuses> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same connector, with a client for sure.
    pub(crate) fn ready(&self) -> Result<ReadyConnector, ConnectError> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => HttpFetch::default_client().map_err(ConnectError::Location)?,
        };
        Ok(ReadyConnector { client, connector: self.clone() })
    }
}

impl Statuses {
    fn add(&mut self, iss: &str, status: watch::Receiver<Status>) {
        // Not for each: thousands may start together, or come and go.
        if self.of.len() >= self.many {
            self.forget_unread();
            self.many = 2 * self.of.len() + 1;
        }
        let same = self.of.entry(iss.to_owned()).or_default();
        // It takes the place of one that was stopped.
        same.retain(|(_, status)| status.has_changed().is_ok());
        same.push((self.connected, status));
        self.connected += 1;
    }

    /// Leaves out those whose refresher has ended for want of readers.
    fn forget_unread(&mut self) {
        self.of.retain(|_, same| {
            same.retain(|(_, status)| !status.borrow().unread);
            !same.is_empty()
        });
    }

    /// In the order in which they were connected.
    fn list(&mut self) -> Vec<(String, watch::Receiver<Status>)> {
        self.forget_unread();
        let mut all = Vec::new();
        for (iss, same) in &self.of {
            all.extend(same.iter().map(|(at, status)| (*at, iss.clone(), status.clone())));
        }
        all.sort_unstable_by_key(|(at, ..)| *at);
        all.into_iter().map(|(_, iss, status)| (iss, status)).collect()
    }
}

/// Without the client: the application's own may send secrets, and its `Debug` shows them.
impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("schedule", &self.schedule)
            .field("plain", &self.plain)
            .field("seeds", &self.seeds)
            .field("statuses", &self.statuses)
            .finish_non_exhaustive()
    }
}

/// A [`Connector`] that has its client.
#[derive(Clone)]
pub(crate) struct ReadyConnector {
    client: Client,
    connector: Connector,
}

impl ReadyConnector {
    /// Starts fetching the keys of an issuer, if they are fetched: after a while, or when a request wants
    /// them.
    pub(crate) fn start(&self, issuer: Issuer, delay: Duration) -> Result<Issuer, ConnectError> {
        Ok(match self.refresher(&issuer)? {
            None => issuer,
            Some((refresher, keys)) => self.run(issuer, refresher.first_fetch_in(delay), keys),
        })
    }

    /// Fetches the first keys of an issuer, if they are fetched.
    async fn first_keys(self, issuer: Issuer, turns: Arc<Semaphore>) -> Result<Issuer, ConnectError> {
        let Some((mut refresher, keys)) = self.refresher(&issuer)? else {
            return Ok(issuer);
        };
        // Never closed; without a turn the fetch is as good, only sooner.
        let _turn = turns.acquire().await;
        match refresher.refresh().await {
            Err(error) if !refresher.status().borrow().is_ready() => {
                let location = refresher.status().borrow().location.clone();
                Err(ConnectError::Fetch { iss: issuer.iss().to_owned(), location, error })
            }
            _ => Ok(self.run(issuer, refresher, keys)),
        }
    }

    fn run(&self, issuer: Issuer, refresher: Refresher<HttpFetch>, keys: KeySource) -> Issuer {
        self.connector.locked().add(issuer.iss(), refresher.status());
        tokio::spawn(refresher.run());
        issuer.keys(keys)
    }

    /// `None` for an issuer whose keys are not fetched.
    fn refresher(&self, issuer: &Issuer) -> Result<Option<(Refresher<HttpFetch>, KeySource)>, ConnectError> {
        issuer.validate().map_err(ConnectError::Config)?;
        let client = self.client.clone();
        let fetch = match issuer.key_location() {
            _ if issuer.has_keys() => return Ok(None),
            Some(location) => HttpFetch::keys_at(location, client, &self.connector.plain),
            None if issuer.has_secret() => return Ok(None),
            None => HttpFetch::keys_of(issuer.iss(), client, &self.connector.plain),
        };
        let (refresher, keys) = Refresher::new(fetch.map_err(ConnectError::Location)?);
        let mut refresher = refresher.issuer(issuer.iss());
        if let Some(schedule) = self.connector.schedule {
            refresher = refresher.schedule(schedule);
        }
        if let Some(seed) = self.connector.seeds.get(issuer.iss()) {
            refresher = refresher.seed(seed);
        }
        // A project that has not migrated from its shared secret publishes an empty set.
        if issuer.has_secret() {
            refresher = refresher.keys_may_be_absent();
        }
        Ok(Some((refresher, keys)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bearer_testing::{ScriptedJwks, Step, TestIssuer};
    use std::time::SystemTime;
    use tower_bearer::Verification;

    fn is_accepted(verifier: &JwtVerifier, token: &str) -> bool {
        matches!(verifier.verify_token(token, SystemTime::now()), Verification::Done(Ok(_)))
    }

    #[tokio::test]
    async fn a_seed_of_an_issuer_serves_while_it_is_down() {
        let issuer = TestIssuer::start().await;
        let config = |jwks_uri: &str| Issuer::new(issuer.issuer(), issuer.audience()).jwks_uri(jwks_uri);
        let first = Connector::new();
        let _running = first.connect(config(&issuer.jwks_uri())).await.unwrap();
        let seed = first.statuses()[0].1.borrow().seed.clone().unwrap();

        let down = ScriptedJwks::start().await;
        down.always(Step::status(500));
        let down = config(&down.uri());
        let other = Connector::new().seed("https://other.example", Seed::clone(&seed));
        assert!(other.connect(down.clone()).await.is_err(), "no seed of its own");
        let connector = Connector::new().seed(issuer.issuer(), Seed::clone(&seed));
        for verifier in [connector.connect(down.clone()).await, connector.connect_lazy(down.clone())] {
            assert!(is_accepted(&verifier.unwrap(), &issuer.token().sign()));
        }

        let long_ago = SystemTime::now() - Duration::from_secs(24 * 3600);
        let old = Connector::new().seed(issuer.issuer(), Seed::new(&*seed.jwks, long_ago));
        assert!(old.connect(down).await.is_err(), "it is too old");
    }

    #[test]
    fn thousands_of_issuers_start_together_with_few_looks_at_all_of_them() {
        const MANY: usize = 16_000;
        let name = |n| format!("https://tenant-{n}.example");
        for is_unread in [false, true] {
            let (mut statuses, mut looks, mut running) = (Statuses::default(), 0, Vec::new());
            for n in 0..MANY {
                let (sender, status) = watch::channel(Status { unread: is_unread, ..Status::default() });
                let before = statuses.many;
                statuses.add(&name(n), status);
                looks += usize::from(statuses.many != before);
                running.push(sender);
                // Those that come and go do not pile up.
                assert!(!is_unread || statuses.of.len() <= 2);
            }
            let shown: Vec<_> = statuses.list().into_iter().map(|(iss, _)| iss).collect();
            if is_unread {
                assert_eq!(shown, [""; 0]);
            } else {
                assert!(shown.into_iter().eq((0..MANY).map(name)), "in their order");
                assert_eq!(looks, 14, "one for each time that they have doubled");
            }
        }
    }

    #[tokio::test]
    async fn one_issuer_is_connected_or_all_of_an_array_or_of_a_vec() {
        let (one, other) = (TestIssuer::start().await, TestIssuer::start().await);
        let config =
            |issuer: &TestIssuer| Issuer::new(issuer.issuer(), issuer.audience()).jwks_uri(issuer.jwks_uri());
        let both = || [config(&one), config(&other)];
        let connected = [
            (1, Connector::new().connect(config(&one)).await),
            (2, Connector::new().connect(both()).await),
            (2, Connector::new().connect(both().to_vec()).await),
        ];
        for (count, verifier) in connected {
            let verifier = verifier.unwrap();
            assert!(is_accepted(&verifier, &one.token().sign()));
            assert_eq!(is_accepted(&verifier, &other.token().sign()), count == 2);
        }
    }

    #[test]
    fn a_refresher_that_was_stopped_is_shown_as_unavailable_until_there_is_another() {
        let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (servers, first, second) = (runtime(), runtime(), runtime());
        let issuer = servers.block_on(TestIssuer::start());
        let config = || Issuer::new(issuer.issuer(), issuer.audience()).jwks_uri(issuer.jwks_uri());
        let connector = Connector::new();
        let are_ready = || -> Vec<_> {
            connector.statuses().iter().map(|(_, status)| status.borrow().is_ready()).collect()
        };
        let verifier = first.block_on(connector.connect(config())).unwrap();
        assert_eq!(are_ready(), [true]);
        drop(first);
        assert_eq!(are_ready(), [false], "its keys are still used");
        assert!(!is_accepted(&verifier, &issuer.token().sign()));

        let verifier = second.block_on(connector.connect(config())).unwrap();
        assert_eq!(are_ready(), [true], "another has taken its place");
        assert!(is_accepted(&verifier, &issuer.token().sign()));
        let mut status = connector.statuses().remove(0).1;
        drop(verifier);
        second.block_on(async { while status.changed().await.is_ok() {} });
        assert!(connector.statuses().is_empty(), "nobody uses its keys any more");
    }

    #[test]
    fn only_what_was_stopped_loses_its_place_and_only_to_the_same_issuer() {
        let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (servers, first, second) = (runtime(), runtime(), runtime());
        let start = || servers.block_on(TestIssuer::start());
        let (stopped, running) = (start(), start());
        let config =
            |issuer: &TestIssuer| Issuer::new(issuer.issuer(), issuer.audience()).jwks_uri(issuer.jwks_uri());
        let connector = Connector::new();
        let are_ready = || -> Vec<_> {
            connector.statuses().iter().map(|(_, status)| status.borrow().is_ready()).collect()
        };
        let _stopped = first.block_on(connector.connect(config(&stopped))).unwrap();
        drop(first);
        let _running = second.block_on(connector.connect(config(&running))).unwrap();
        assert_eq!(are_ready(), [false, true]);
        let _twice = second.block_on(connector.connect(config(&running))).unwrap();
        assert_eq!(are_ready(), [false, true, true]);
    }
}
