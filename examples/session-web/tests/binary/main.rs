//! The program as a user runs it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

// `redis-server` at a socket of its own.
#[cfg(unix)]
mod instances;

use reqwest::Client;
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(60);

fn session_web(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-web"));
    for name in [
        "SUPABASE_URL",
        "SUPABASE_PUBLISHABLE_KEY",
        "SUPABASE_PROVIDERS",
        "REDIS_URL",
        "SESSION_KEY",
        "SITE_URL",
    ] {
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
