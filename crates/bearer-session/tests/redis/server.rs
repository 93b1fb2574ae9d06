//! [`Server`]: a Redis of the test's own.

use bearer_session::{
    Keyring,
    store::{Key, RedisStore},
};
use redis::{Commands as _, Connection, FromRedisValue};
use std::{
    env, fs,
    net::TcpListener,
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

/// How long a step may take in the stores of these tests.
pub(crate) const BOUND: Duration = Duration::from_millis(400);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A `redis-server` with its own port and directory, gone with this value.
pub(crate) struct Server {
    process: Child,
    directory: PathBuf,
    settings: Vec<String>,
    port: u16,
}

impl Server {
    /// `None`, said on standard error, where there is no such program.
    pub(crate) fn start(settings: &[&str]) -> Option<Self> {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            assert!(env::var("REDIS").as_deref() != Ok("required"), "there is no redis-server");
            eprintln!("skipped: there is no redis-server");
            return None;
        }
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let directory = env::temp_dir().join(format!("bearer-session-redis-{}-{number}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        // Between finding a free port and taking it, another may take it.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let process = launch(port, &directory, &settings);
            let mut server = Self { process, directory: directory.clone(), settings: settings.clone(), port };
            if server.is_up() {
                return Some(server);
            }
            server.process.kill().ok();
            server.process.wait().ok();
            std::mem::forget(server);
        }
        panic!("redis-server does not start");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Another instance.
    pub(crate) fn store(&self) -> RedisStore {
        RedisStore::builder(&self.url()).timeout(BOUND).build().unwrap()
    }

    /// An instance as the product has it, for tests in which nothing fails.
    pub(crate) fn patient_store(&self) -> RedisStore {
        RedisStore::builder(&self.url()).timeout(Duration::from_secs(10)).build().unwrap()
    }

    /// A connection to look behind the scenes.
    pub(crate) fn admin(&self) -> Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    pub(crate) fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut self.admin()).unwrap()
    }

    /// How many times the server ran each command, its scripts' included.
    pub(crate) fn calls(&self, command: &str) -> u64 {
        let stats: String = self.ask(&["INFO", "commandstats"]);
        let line = format!("cmdstat_{command}:calls=");
        stats
            .lines()
            .find_map(|stat| stat.strip_prefix(&line))
            .map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    }

    /// A value of a section of `INFO`.
    pub(crate) fn info(&self, section: &str, name: &str) -> u64 {
        let info: String = self.ask(&["INFO", section]);
        let line = format!("{name}:");
        info.lines().find_map(|stat| stat.strip_prefix(&line)).unwrap().trim().parse().unwrap()
    }

    /// How many connections listen for notices.
    pub(crate) fn subscribers(&self) -> usize {
        self.ask::<String>(&["CLIENT", "LIST", "TYPE", "pubsub"]).lines().count()
    }

    /// `SIGSTOP`: it accepts connections, since the kernel does, and answers nothing.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) fn restart(&mut self) {
        self.process = launch(self.port, &self.directory, &self.settings);
        assert!(self.is_up(), "redis-server starts again");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(signal).arg(self.process.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    fn is_up(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            let connection = redis::Client::open(self.url()).unwrap().get_connection();
            if connection.is_ok_and(|mut connection| connection.exists::<_, bool>("up").is_ok()) {
                return true;
            }
            sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        fs::remove_dir_all(&self.directory).ok();
    }
}

fn launch(port: u16, directory: &PathBuf, settings: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .arg("--dir")
        .arg(directory)
        .args(settings)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The same in all processes.
pub(crate) fn keyring() -> Keyring {
    Keyring::new(&[7; 32])
}

pub(crate) fn key(name: &str) -> Key {
    Key::of("session", name)
}

/// The name of a session in Redis.
pub(crate) fn name(key: &Key) -> String {
    use std::fmt::Write as _;
    key.as_bytes().iter().fold("bearer:session:".to_owned(), |mut name, byte| {
        write!(name, "{byte:02x}").unwrap();
        name
    })
}
