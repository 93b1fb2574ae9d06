//! The site in a real browser: the binary, Chromium, and `tour.mjs` at the wheel.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod issuer;
mod site;

use serde_json::{Value, json};
use site::Site;
use std::{env, path::Path, process::Stdio, time::Duration};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
    time::timeout,
};

/// More than the tour takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_browser_keeps_its_session_and_sees_none_of_its_tokens() {
    let Some(tour) = tour().await else { return };
    let issuer = issuer::start().await;
    let site = Site::of_project(issuer.project_url()).await;
    let embedded = Site::embedded().await;
    let input = json!({
        "site": site.url(),
        "embedded": embedded.url(),
        "issuer": issuer.control_url(),
        "email": issuer::EMAIL,
        "password": issuer::PASSWORD,
    });
    let report = drive(tour, &input).await;
    println!("{report}");
    assert!(report.lines().filter(|line| line.starts_with("ok ")).count() >= 10, "{report}");
    // Whatever the browser did, no refresh token came to the issuer twice.
    assert!(issuer.presentations().iter().all(|times| *times == 1), "{:?}", issuer.presentations());
}

async fn drive(mut tour: Child, input: &Value) -> String {
    let mut stdin = tour.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).await.unwrap();
    drop(stdin);
    let output = timeout(LIMIT, tour.wait_with_output()).await.expect("it does not end").unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{report}\n{}", String::from_utf8_lossy(&output.stderr));
    report
}

/// The script, started. `None`, having said why, where it cannot run.
async fn tour() -> Option<Child> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let chromium = env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
    if let Some(reason) = missing(&folder, &chromium).await {
        assert!(env::var("BROWSER").as_deref() != Ok("required"), "{reason}");
        println!("skipped: {reason}");
        return None;
    }
    let mut node = Command::new("node");
    node.arg(folder.join("tour.mjs")).env("CHROMIUM", chromium).kill_on_drop(true);
    Some(node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// What the script needs and does not have.
async fn missing(folder: &Path, chromium: &str) -> Option<&'static str> {
    let runs = async |program: &str| {
        let version = Command::new(program).arg("--version").output().await;
        version.is_ok_and(|output| output.status.success())
    };
    if !runs("node").await {
        return Some("there is no Node.js");
    }
    if !runs(chromium).await {
        return Some("there is no Chromium");
    }
    // npm writes this file last.
    let installed = folder.join("node_modules/.package-lock.json").exists();
    (!installed).then_some("`npm ci` was not run in examples/session-web/tests/browser")
}
