//! The program as a user runs it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use bearer_testing::TestSupabase;
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(30);

fn quickstart(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
    command.args(arguments).env_remove("SUPABASE_URL").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn start(mut command: Command) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

/// The next line that starts with `curl`.
async fn next_call(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    let search = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.starts_with("curl") {
                return line;
            }
        }
        panic!("no more curl lines");
    };
    timeout(PATIENCE, search).await.unwrap()
}

/// Does what the line says: `curl -i <url> -H 'Authorization: <value>'`.
async fn call(line: &str) -> u16 {
    let mut words = line.splitn(5, ' ').skip(2);
    let (url, value) = (words.next().unwrap(), words.nth(1).unwrap());
    let value = value.trim_matches('\'').strip_prefix("Authorization: ").unwrap();
    let request =
        reqwest::Client::builder().no_proxy().build().unwrap().get(url).header("authorization", value);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn printed_calls_get_the_printed_answers_through_a_rotation_until_the_input_ends() {
    let (mut child, mut lines) = start(quickstart(&["--port", "0"]));
    let mut stdin = child.stdin.take().unwrap();
    for expected in [200, 401, 401, 403, 200] {
        let line = next_call(&mut lines).await;
        assert_eq!(call(&line).await, expected, "{line}");
    }
    stdin.write_all(b"\n").await.unwrap();
    let rotated = next_call(&mut lines).await;
    assert_eq!(call(&rotated).await, 200);

    drop(stdin);
    assert!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn a_project_of_the_environment_is_served() {
    let supabase = TestSupabase::start().await;
    let mut command = quickstart(&["--port", "0"]);
    command.env("SUPABASE_URL", supabase.project_url());
    let (_child, mut lines) = start(command);
    let line = next_call(&mut lines).await.replace('"', "'");
    for (token, expected) in [(supabase.token().sign(), 200), (supabase.token().expired().sign(), 401)] {
        assert_eq!(call(&line.replace("$TOKEN", &token)).await, expected);
    }
}

#[tokio::test]
async fn what_cannot_work_ends_with_a_reason() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port().to_string();
    for (arguments, url, code, reason) in [
        (&["--rotate"][..], None, 2, "unknown argument \"--rotate\""),
        (&["--rotate"], Some("https://abc.supabase.co"), 2, "Usage:"),
        (&[], Some("abc.supabase.co"), 1, "\"abc.supabase.co\" is not an http or https URL"),
        (&["--port", &taken], None, 1, "in use"),
    ] {
        let mut command = quickstart(arguments);
        command.envs(url.map(|url| ("SUPABASE_URL", url)));
        let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(errors.contains(reason) && output.stdout.is_empty(), "{errors}");
    }
}
