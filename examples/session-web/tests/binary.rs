//! The program as a user runs it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use bearer_testing::{SupabaseOptions, TestSupabase};
use reqwest::{Client, StatusCode};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    net::UnixStream,
    process::{Child, ChildStdout, Command},
    task::JoinSet,
    time::{sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(60);

fn session_web(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-web"));
    for name in ["SUPABASE_URL", "SUPABASE_PUBLISHABLE_KEY", "REDIS_URL", "SESSION_KEY", "SITE_URL"] {
        command.env_remove(name);
    }
    command.args(arguments).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn the_tour_ends_by_itself_and_says_what_it_saw() {
    let output = timeout(PATIENCE, session_web(&["--demo"]).output()).await.unwrap().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{report}");
    assert!(report.contains("50 × 200 with token 1, 1 refresh"), "{report}");
}

/// The program while it serves.
struct Serving {
    child: Child,
    url: String,
    /// It goes on to write there.
    _output: Lines<BufReader<ChildStdout>>,
}

async fn serving(mut command: Command) -> Serving {
    let mut child = command.args(["--port", "0"]).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = timeout(PATIENCE, output.next_line()).await.unwrap().unwrap().unwrap();
    Serving { child, url, _output: output }
}

fn client() -> Client {
    let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    client.timeout(PATIENCE).build().unwrap()
}

#[tokio::test]
async fn it_says_where_it_is_and_ends_with_its_input() {
    let Serving { mut child, url, _output } = serving(session_web(&[])).await;
    assert!(url.starts_with("http://localhost:"), "{url}");
    let client = client();
    let page = client.get(format!("{url}/sign-in")).send().await.unwrap();
    assert_eq!(page.status().as_u16(), 200);
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    drop(child.stdin.take());
    assert!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn what_cannot_work_ends_with_a_reason() {
    let project = ("SUPABASE_URL", "https://abc.supabase.co");
    for (arguments, variable, code, reason) in [
        (&["--rotate"][..], None, 2, "unknown argument \"--rotate\""),
        (&[], Some(project), 1, "SUPABASE_URL needs SUPABASE_PUBLISHABLE_KEY"),
        (&[], Some(("SESSION_KEY", "too-short")), 1, "32 bytes in base64url"),
    ] {
        let mut command = session_web(arguments);
        command.envs(variable);
        let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(errors.contains(reason) && output.stdout.is_empty(), "{errors}");
        assert!(!errors.contains("too-short"), "a key that is nearly right is a secret");
    }
}

/// A `redis-server` at a socket of its own, gone with this value.
struct Redis {
    _process: Child,
    folder: PathBuf,
}

impl Redis {
    /// `None`, said on standard error, where there is no such program.
    async fn start() -> Option<Self> {
        let folder = env::temp_dir().join(format!("session-web-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(folder.join("socket"));
        let command = command.current_dir(&folder).stdout(Stdio::null()).kill_on_drop(true);
        let Ok(process) = command.spawn() else {
            assert!(env::var("REDIS").as_deref() != Ok("required"), "there is no redis-server");
            eprintln!("skipped: there is no redis-server");
            return None;
        };
        let redis = Self { _process: process, folder };
        timeout(PATIENCE, redis.is_up()).await.unwrap();
        Some(redis)
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    async fn is_up(&self) {
        while UnixStream::connect(self.socket()).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Left behind, it would be a few bytes among other temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// One of several instances.
async fn instance(issuer: &TestSupabase, redis: &Path, session_key: &str) -> Serving {
    let mut command = session_web(&[]);
    command.env("SUPABASE_URL", issuer.project_url()).env("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_1");
    command.env("REDIS_URL", format!("redis+unix://{}", redis.display())).env("SESSION_KEY", session_key);
    serving(command).await
}

#[tokio::test]
async fn two_instances_over_one_redis_serve_one_session_and_refresh_it_once() {
    let Some(redis) = Redis::start().await else { return };
    let options =
        SupabaseOptions { access_token_expires_in: 1, strict_single_use: true, ..SupabaseOptions::default() };
    let issuer = TestSupabase::start_with(options).await;
    issuer.add_user("ada@example.com", "correct horse");
    let session_key = "A".repeat(43);
    let one = instance(&issuer, &redis.socket(), &session_key).await;
    let two = instance(&issuer, &redis.socket(), &session_key).await;
    let (first, second) = (&*one.url, &*two.url);

    let client = client();
    let form = "email=ada%40example.com&password=correct%20horse";
    let sign_in = client.post(format!("{first}/auth/password")).body(form);
    let sign_in = sign_in.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    let cookie = sign_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let call = |site: &str| client.get(format!("{site}/api/me")).header("cookie", &cookie).send();
    assert_eq!(call(second).await.unwrap().status(), StatusCode::OK, "signed in at the other");

    issuer.set_access_token_expires_in(3600);
    // The token is over by the issuer's clock, which is that of this machine.
    sleep(Duration::from_millis(1100)).await;
    let before = issuer.refreshes();
    let mut calls: JoinSet<_> = (0..50).map(|number| call([first, second][number % 2])).collect();
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert_eq!(issuer.refreshes() - before, 1);
    assert!(issuer.presentations().iter().all(|times| *times == 1), "{:?}", issuer.presentations());

    let sign_out = client.post(format!("{first}/auth/logout?scope=local")).header("cookie", &cookie);
    assert_eq!(sign_out.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let is_out = async {
        while call(second).await.unwrap().status() != StatusCode::UNAUTHORIZED {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(10), is_out).await.expect("signed out at the other");
    assert_eq!(issuer.sessions_alive(), 0);
}
