//! A JWKS endpoint that follows a script.

mod answer;
mod connection;
mod log;
mod pieces;
mod recorded;
mod script;
mod step;

pub use recorded::Recorded;
pub use step::{Step, Stop};

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use log::Log;
use script::Script;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::server;

const JWKS_PATH: &str = "/jwks.json";

/// A JWKS endpoint that follows a script, to see what a client of it makes of every kind of answer, and of
/// none.
///
/// What it says is written to the socket by hand, so that it can be as malformed as a [`Step`] asks for. Each
/// connection serves one request. Clones share one endpoint; it runs on the Tokio runtime it was started on,
/// and ends when the last clone is dropped, with every connection it has; or with the runtime.
///
/// Until it is told otherwise it answers 404.
///
/// ```
/// use bearer_testing::{Algorithm, ScriptedJwks, SigningKey, Step};
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
///
/// async fn get(jwks: &ScriptedJwks) -> std::io::Result<String> {
///     let mut stream = TcpStream::connect(jwks.address()).await?;
///     stream.write_all(b"GET /jwks.json HTTP/1.1\r\nHost: test\r\n\r\n").await?;
///     let mut answer = String::new();
///     stream.read_to_string(&mut answer).await?;
///     Ok(answer)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let key = SigningKey::generate(Algorithm::ES256).kid("key-1");
/// let jwks = ScriptedJwks::start().await;
/// jwks.script([Step::status(503).retry_after(1), Step::raw("no HTTP")]).always(Step::jwks([&key]));
///
/// assert!(get(&jwks).await?.starts_with("HTTP/1.1 503 "));
/// assert_eq!(get(&jwks).await?, "no HTTP");
/// assert!(get(&jwks).await?.contains("key-1"));
/// assert_eq!((jwks.count(), jwks.most_at_once()), (3, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ScriptedJwks {
    shared: Arc<Shared>,
    server: Arc<Server>,
}

#[derive(Debug, Default)]
struct Shared {
    script: Script,
    log: Log,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    /// `None` while connections are refused.
    task: Mutex<Option<JoinHandle<()>>>,
}

impl ScriptedJwks {
    /// An endpoint on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// Outside a Tokio runtime with I/O and time enabled, or when no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("127.0.0.1 has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::<Shared>::default();
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { shared, server: Arc::new(Server { address, task: Mutex::new(Some(task)) }) }
    }

    /// `http://127.0.0.1:<port>/jwks.json`: where the script is followed.
    pub fn uri(&self) -> String {
        self.url(JWKS_PATH)
    }

    /// `http://127.0.0.1:<port>` and this path, which is empty or starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Appends one step to the script: each request takes the first one that is left.
    pub fn then(&self, step: Step) -> &Self {
        self.script([step])
    }

    /// Appends steps to the script: each request takes the first one that is left.
    pub fn script(&self, steps: impl IntoIterator<Item = Step>) -> &Self {
        self.shared.script.append(steps);
        self
    }

    /// What every request gets for which the script has no step left. Requests under way keep theirs.
    pub fn always(&self, step: Step) -> &Self {
        self.alternate([step])
    }

    /// As [`always`](Self::always), with several steps in turn, over and over.
    ///
    /// # Panics
    /// When there is no step.
    pub fn alternate(&self, steps: impl IntoIterator<Item = Step>) -> &Self {
        self.shared.script.repeat(steps);
        self
    }

    /// What every request for another path gets, such as a metadata document or the end of a redirect. 404
    /// where nothing was said.
    pub fn at(&self, path: &str, step: Step) -> &Self {
        self.shared.script.elsewhere(path, step);
        self
    }

    /// The requests that have arrived, of any path, answered or not. One whose head never ends is none.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.log.read(|entries| entries.requests.clone())
    }

    /// How many requests have arrived, of any path.
    pub fn count(&self) -> usize {
        self.shared.log.read(|entries| entries.requests.len())
    }

    /// How many connections were accepted, whether or not a request came.
    pub fn connections(&self) -> usize {
        self.shared.log.read(|entries| entries.connections)
    }

    /// How many bytes were handed to the operating system, which may hold some MiB that nobody has read.
    pub fn bytes_sent(&self) -> u64 {
        self.shared.log.read(|entries| entries.bytes_sent)
    }

    /// How many requests are under way: neither answered, nor given up by their client.
    pub fn in_flight(&self) -> usize {
        self.shared.log.read(|entries| entries.in_flight)
    }

    /// The most requests that were ever under way at once.
    pub fn most_at_once(&self) -> usize {
        self.shared.log.read(|entries| entries.most_at_once)
    }

    /// Waits until so many requests have arrived since the start, of any path.
    pub async fn arrived(&self, count: usize) {
        self.shared.log.until(|entries| entries.requests.len() >= count).await;
    }

    /// Waits until no request is under way.
    pub async fn idle(&self) {
        self.shared.log.until(|entries| entries.in_flight == 0).await;
    }

    /// Drops its connections and refuses new ones, as a host whose service is down. The script stays.
    ///
    /// The port is free meanwhile; [`listen`](Self::listen) takes it again.
    pub async fn refuse(&self) {
        if let Some(task) = self.server.take_task() {
            task.abort();
            // Only that it has ended matters, not how.
            let _ = task.await;
        }
    }

    /// Accepts connections again, on the same port.
    ///
    /// # Panics
    /// When something else has taken the port.
    pub async fn listen(&self) {
        self.refuse().await;
        let listener = TcpListener::bind(self.server.address).await.expect("nobody else took the port");
        let task = tokio::spawn(accept(listener, Arc::clone(&self.shared)));
        *self.server.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }
}

impl Server {
    fn take_task(&self) -> Option<JoinHandle<()>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = self.take_task() {
            task.abort();
        }
    }
}

impl fmt::Debug for ScriptedJwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedJwks").field("uri", &self.uri()).finish_non_exhaustive()
    }
}

/// Each connection serves one request.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let serve = move |stream| {
        shared.log.connected();
        let shared = Arc::clone(&shared);
        async move { connection::serve(stream, &shared.script, &shared.log).await }
    };
    server::accept(listener, serve).await;
}

#[cfg(test)]
mod tests;
