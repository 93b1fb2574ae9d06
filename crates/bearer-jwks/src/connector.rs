//! How keys are fetched for issuers, and what became of it.

use crate::{
    connect::{ConnectError, sealed::Issuers},
    http::HttpFetch,
    refresher::Refresher,
    schedule::Schedule,
    status::Status,
};
use reqwest::Client;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Semaphore, watch};
use tower_bearer::{Issuer, JwtVerifier, keys::KeySource};

/// The most first fetches at a time.
const AT_ONCE: usize = 32;

/// Between two first fetches on average, when many issuers start together and nobody waits.
const BETWEEN: Duration = Duration::from_millis(5);

/// Connects [`Issuer`]s with a client and a rhythm of the application's own, and shows how they are doing.
/// [`Connect`](crate::Connect) is the same with the defaults. Clones share what they show.
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
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Connector {
    client: Option<Client>,
    schedule: Option<Schedule>,
    statuses: Arc<Mutex<Vec<NamedStatus>>>,
}

/// An issuer, and how its keys are doing.
type NamedStatus = (String, watch::Receiver<Status>);

impl Connector {
    /// With the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fetches with the application's own client: its proxy, certificates, timeouts, redirects and name resolution.
    /// Names of addresses that are off limits are then that client's to refuse. It may follow redirects to other
    /// origins, but the answer from there is not taken.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Fetches in another rhythm.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = Some(schedule);
        self
    }

    /// As [`Connect::connect`](crate::Connect::connect).
    ///
    /// # Errors
    /// When the set-up is wrong, or the keys of one issuer cannot be fetched.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub async fn connect(&self, issuers: impl Issuers) -> Result<JwtVerifier, ConnectError> {
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

    /// As [`Connect::connect_lazy`](crate::Connect::connect_lazy).
    ///
    /// # Errors
    /// When the set-up is wrong.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn connect_lazy(&self, issuers: impl Issuers) -> Result<JwtVerifier, ConnectError> {
        let ready = self.ready()?;
        let issuers = issuers.into_vec();
        let others = u32::try_from(issuers.len()).unwrap_or(u32::MAX).saturating_sub(1);
        let spread = BETWEEN * others;
        let issuers = issuers.into_iter().map(|issuer| ready.start(issuer, spread.mul_f64(fastrand::f64())));
        JwtVerifier::new(issuers.collect::<Result<Vec<_>, _>>()?).map_err(ConnectError::Config)
    }

    /// The issuers whose keys are being kept fresh, by name, and how each is doing: to look at, or to wait for.
    pub fn statuses(&self) -> Vec<(String, watch::Receiver<Status>)> {
        self.running().clone()
    }

    /// Those whose refresher has not ended: when it has, the sender is gone.
    fn running(&self) -> MutexGuard<'_, Vec<NamedStatus>> {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.retain(|(_, status)| status.has_changed().is_ok());
        statuses
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

/// A [`Connector`] that has its client.
#[derive(Clone, Debug)]
pub(crate) struct ReadyConnector {
    client: Client,
    connector: Connector,
}

impl ReadyConnector {
    /// Starts fetching the keys of an issuer, if they are fetched: after a while, or when a request wants them.
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
            Ok(()) => Ok(self.run(issuer, refresher, keys)),
            Err(error) => Err(ConnectError::Fetch { iss: issuer.iss().to_owned(), error }),
        }
    }

    fn run(&self, issuer: Issuer, refresher: Refresher<HttpFetch>, keys: KeySource) -> Issuer {
        let status = (issuer.iss().to_owned(), refresher.status());
        self.connector.running().push(status);
        tokio::spawn(refresher.run());
        issuer.keys(keys)
    }

    /// `None` for an issuer whose keys are not fetched.
    fn refresher(&self, issuer: &Issuer) -> Result<Option<(Refresher<HttpFetch>, KeySource)>, ConnectError> {
        issuer.validate().map_err(ConnectError::Config)?;
        let client = self.client.clone();
        let fetch = match issuer.key_location() {
            _ if issuer.has_keys() => return Ok(None),
            Some(location) => HttpFetch::with_client(location, client),
            None if issuer.has_secret() => return Ok(None),
            None => HttpFetch::discover_with_client(issuer.iss(), client),
        };
        let (refresher, keys) = Refresher::new(fetch.map_err(ConnectError::Location)?);
        let mut refresher = refresher.name(issuer.iss());
        if let Some(schedule) = self.connector.schedule {
            refresher = refresher.schedule(schedule);
        }
        // A project that has not migrated from its shared secret publishes an empty set.
        if issuer.has_secret() {
            refresher = refresher.keys_may_be_absent();
        }
        Ok(Some((refresher, keys)))
    }
}
