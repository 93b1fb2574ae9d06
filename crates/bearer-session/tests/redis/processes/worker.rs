//! A process of its own, and [`Worker`], its handle: what it is told and what it says are lines.

use super::impatient;
use crate::issuer::LineEndpoint;
use bearer_session::{
    AccessToken, BoxFuture, RefreshToken, SessionId, Sessions, TokenSet,
    endpoint::{AfterUnknown, ExchangeError, OnBehalf, SignOutScope, TokenEndpoint},
    store::{Claim, Commit, Fence, Key, Lookup, RedisStore, Store, StoreError},
};
use std::{
    env,
    future::pending,
    io::{BufRead as _, BufReader, Write as _, stdin},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, task::JoinSet};

/// What a worker says begins with this: the test harness talks too.
const MARK: &str = "worker: ";

/// Where a worker stops for good, once it has said so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stop {
    Never,
    /// It waits for the issuer, and is killed there.
    AtIssuer,
    /// It has the claim and sent nothing.
    Claimed,
    /// It has the new tokens and stored nothing.
    Answered,
    /// The new tokens are stored, and it does not know.
    Committed,
}

pub(super) struct Worker {
    process: Child,
    told: ChildStdin,
    says: mpsc::UnboundedReceiver<String>,
}

impl Worker {
    /// A process that will ask for the access token of this session so often at once.
    pub(super) fn start(
        redis: &str,
        endpoint: LineEndpoint,
        session: &SessionId,
        requests: usize,
        stop: Stop,
    ) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["processes::worker::work", "--exact", "--nocapture"])
            .env("WORKER_REDIS", redis)
            .env("WORKER_ISSUER", endpoint.to_text())
            .env("WORKER_SESSION", session.to_text().expose())
            .env("WORKER_REQUESTS", requests.to_string())
            .env("WORKER_STOP", format!("{stop:?}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (told, out) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, says) = mpsc::unbounded_channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // The harness may have begun the line.
                if let Some((_, said)) = line.split_once(MARK) {
                    let _ = sender.send(said.to_owned());
                }
            }
        });
        Self { process, told, says }
    }

    /// The next thing it says.
    pub(super) async fn says(&mut self) -> String {
        let said = tokio::time::timeout(Duration::from_secs(30), self.says.recv()).await;
        said.expect("the worker is slow").expect("the worker is gone")
    }

    pub(super) fn go(&mut self) {
        writeln!(self.told, "go").unwrap();
    }

    /// `SIGKILL`.
    pub(super) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(super) fn wait(mut self) {
        assert!(self.process.wait().unwrap().success());
    }
}

fn say(what: &str) {
    // One piece, so that nothing comes in between.
    let line = format!("\n{MARK}{what}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

/// No test: the worker itself. As a test it does nothing.
#[tokio::test]
async fn work() {
    let Ok(redis) = env::var("WORKER_REDIS") else { return };
    let setting = |name: &str| env::var(format!("WORKER_{name}")).unwrap();
    let endpoint: LineEndpoint = setting("ISSUER").parse().unwrap();
    let session = SessionId::parse(&setting("SESSION")).unwrap();
    let requests: usize = setting("REQUESTS").parse().unwrap();
    let stop = setting("STOP");
    let stop = [Stop::AtIssuer, Stop::Claimed, Stop::Answered, Stop::Committed]
        .into_iter()
        .find(|known| format!("{known:?}") == stop)
        .unwrap_or(Stop::Never);

    let store = Stopping(RedisStore::open(&redis).unwrap(), stop);
    let sessions = if stop == Stop::Never {
        Sessions::builder(endpoint, store, crate::server::keyring()).build()
    } else {
        impatient(Stopping(endpoint, stop), store).build()
    };
    // The connection is there, as in a process that has served before.
    let _ = sessions.peek(&SessionId::random()).await;
    say("ready");
    tokio::task::spawn_blocking(|| stdin().lines().next()).await.unwrap();

    let mut asked = JoinSet::new();
    for _ in 0..requests {
        let (sessions, session) = (sessions.clone(), session.clone());
        asked.spawn(async move {
            let started = Instant::now();
            let answer = match sessions.access(&session, OnBehalf::default()).await {
                Ok(access) => access.token().expose().to_owned(),
                Err(error) => format!("{:?}", error.kind()),
            };
            format!("{} {answer}", started.elapsed().as_micros())
        });
    }
    while let Some(answer) = asked.join_next().await {
        say(&answer.unwrap());
    }
}

/// An endpoint or a store at which the process stops.
#[derive(Debug)]
struct Stopping<T>(T, Stop);

impl<T> Stopping<T> {
    async fn reached(&self, stop: Stop) {
        if self.1 == stop {
            say(&format!("{stop:?}"));
            pending::<()>().await;
        }
    }
}

impl TokenEndpoint for Stopping<LineEndpoint> {
    fn refresh<'a>(
        &'a self,
        token: &'a RefreshToken,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        Box::pin(async move {
            self.reached(Stop::Claimed).await;
            self.0.refresh(token, on_behalf).await
        })
    }

    fn sign_out<'a>(
        &'a self,
        access_token: &'a AccessToken,
        refresh_token: Option<&'a RefreshToken>,
        scope: SignOutScope,
        on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<(), ExchangeError>> {
        self.0.sign_out(access_token, refresh_token, scope, on_behalf)
    }

    fn after_unknown(&self) -> AfterUnknown {
        self.0.after_unknown()
    }
}

impl Store for Stopping<RedisStore> {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        self.0.load(key)
    }

    fn create<'a>(
        &'a self,
        key: &'a Key,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Lookup, StoreError>> {
        self.0.create(key, sealed, ttl)
    }

    fn claim<'a>(
        &'a self,
        key: &'a Key,
        generation: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        self.0.claim(key, generation, lease)
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        fence: Fence,
        sealed: &'a [u8],
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Commit, StoreError>> {
        Box::pin(async move {
            self.reached(Stop::Answered).await;
            let commit = self.0.commit(key, fence, sealed, ttl).await;
            self.reached(Stop::Committed).await;
            commit
        })
    }

    fn release<'a>(&'a self, key: &'a Key, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.release(key, fence)
    }

    fn end<'a>(&'a self, key: &'a Key, remember: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.0.end(key, remember)
    }

    fn link<'a>(
        &'a self,
        alias: &'a Key,
        key: &'a Key,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.link(alias, key, ttl)
    }

    fn resolve<'a>(&'a self, alias: &'a Key) -> BoxFuture<'a, Result<Option<Key>, StoreError>> {
        self.0.resolve(alias)
    }

    fn changed(&self, key: &Key) -> BoxFuture<'static, ()> {
        self.0.changed(key)
    }
}
