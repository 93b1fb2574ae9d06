//! [`Connection`]: one to the server, made when it is needed, and made anew when it is of no use any more.
//!
//! The connection manager of the redis crate keeps a connection whose answers time out. Where a network drops
//! packets without a word, that would last until the kernel gives up, minutes later.

use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, ScriptInvocation, ServerErrorKind, Value,
    aio::MultiplexedConnection,
};
use std::{
    error::Error,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// After a failed attempt to connect, all who come within this time are refused.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Connection {
    client: Client,
    /// What each connection begins with.
    greeting: Pipeline,
    bound: Duration,
    open: Mutex<Option<Open>>,
    /// Held by the one who connects.
    connecting: tokio::sync::Mutex<Attempts>,
}

#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    number: u64,
}

#[derive(Default)]
struct Attempts {
    made: u64,
    failed: Option<Instant>,
}

/// Why the server did not answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    TimedOut,
    /// An attempt to connect failed a moment ago.
    Paused,
    /// The connection is gone.
    Closed,
    Failed(RedisError),
}

/// What the server is asked.
pub(super) enum Question<'a> {
    /// Where the server forgot the script, it is told and asked again.
    Script(ScriptInvocation<'a>),
    Command(Cmd),
}

/// What the server said.
pub(super) struct Answer {
    pub(super) value: Value,
    /// It was asked before, and what it said then, if anything, was lost.
    pub(super) is_repeated: bool,
}

/// What becomes of a question whose connection breaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Broken {
    /// It is asked again, once: asked twice, it has the answer that it has once.
    Repeat,
    Fail,
}

impl Connection {
    pub(super) fn new(client: Client, greeting: Pipeline, bound: Duration) -> Self {
        Self { client, greeting, bound, open: Mutex::default(), connecting: tokio::sync::Mutex::default() }
    }

    /// Asks the server, all in all within the bound.
    ///
    /// A connection that lay idle may have been closed at the other end, by the server or by what is in
    /// between, and the first to use it finds out.
    pub(super) async fn ask(&self, question: &Question<'_>, broken: Broken) -> Result<Answer, Unanswered> {
        let mut asked = None;
        let answer = timeout(self.bound, async {
            let mut is_repeated = false;
            if let Some(mut open) = self.opened().filter(|_| broken == Broken::Repeat) {
                asked = Some(open.number);
                match question.put(&mut open.connection).await {
                    Ok(value) => return Ok(Answer { value, is_repeated }),
                    Err(error) if error.is_io_error() => self.close(open.number),
                    Err(error) => return Err(Unanswered::Failed(error)),
                }
                is_repeated = true;
            }
            let mut open = self.open().await?;
            asked = Some(open.number);
            let value = question.put(&mut open.connection).await.map_err(Unanswered::Failed)?;
            Ok(Answer { value, is_repeated })
        })
        .await
        .unwrap_or(Err(Unanswered::TimedOut));
        if let (Some(number), Err(why)) = (asked, &answer)
            && why.leaves_no_use()
        {
            self.close(number);
        }
        answer
    }

    async fn open(&self) -> Result<Open, Unanswered> {
        if let Some(open) = self.opened() {
            return Ok(open);
        }
        let mut attempts = self.connecting.lock().await;
        if let Some(open) = self.opened() {
            return Ok(open);
        }
        if attempts.failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
            return Err(Unanswered::Paused);
        }
        // An attempt that is given up counts as failed too.
        attempts.failed = Some(Instant::now());
        // The bound of the whole holds for its parts.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connection.await.map_err(Unanswered::Failed)?;
        match self.greeting.exec_async(&mut connection).await {
            Err(error) if error.is_io_error() => return Err(Unanswered::Failed(error)),
            // Whatever else the server has against it, it will say of each command too.
            _ => {}
        }
        attempts.failed = None;
        attempts.made += 1;
        let open = Open { connection, number: attempts.made };
        *self.lock() = Some(open.clone());
        Ok(open)
    }

    fn opened(&self) -> Option<Open> {
        self.lock().clone()
    }

    /// Of several who find it useless, the first one closes it. Answers on their way still come.
    fn close(&self, number: u64) {
        self.lock().take_if(|open| open.number == number);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Question<'_> {
    async fn put(&self, connection: &mut MultiplexedConnection) -> Result<Value, RedisError> {
        match self {
            Self::Script(script) => script.invoke_async(connection).await,
            Self::Command(command) => command.query_async(connection).await,
        }
    }
}

impl Unanswered {
    /// Whether the next one had better connect anew: also where the server became a replica.
    fn leaves_no_use(&self) -> bool {
        match self {
            Self::TimedOut | Self::Closed => true,
            Self::Paused => false,
            Self::Failed(error) => {
                error.is_unrecoverable_error()
                    || error.is_io_error()
                    || error.kind() == redis::ErrorKind::Server(ServerErrorKind::ReadOnly)
            }
        }
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("Redis did not answer in time"),
            Self::Paused => f.write_str("Redis could not be reached a moment ago"),
            Self::Closed => f.write_str("Redis closed the connection"),
            Self::Failed(_) => f.write_str("Redis could not be asked"),
        }
    }
}

impl Error for Unanswered {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            Self::TimedOut | Self::Paused | Self::Closed => None,
        }
    }
}
