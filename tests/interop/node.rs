//! The scripts of this folder, where Node.js and their packages are.

use serde::{Serialize, de::DeserializeOwned};
use std::{env, path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// More than a script takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a script to its end and reads what it prints. `None`, having said why, where it cannot run.
pub(crate) async fn run<T: DeserializeOwned>(script: &str) -> Option<T> {
    let mut node = node(script).await?;
    let output = timeout(LIMIT, node.output()).await.expect("it does not end").unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// As [`run`], with something for the script to read from its standard input, as JSON.
pub(crate) async fn run_with<T: DeserializeOwned>(script: &str, input: &impl Serialize) -> Option<T> {
    let mut child = node(script).await?.stdin(Stdio::piped()).spawn().unwrap();
    let input = serde_json::to_vec(input).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A script that ended has said why.
    let write = async move { drop(stdin.write_all(&input).await) };
    let (output, ()) = timeout(LIMIT, async { tokio::join!(child.wait_with_output(), write) })
        .await
        .expect("it does not end");
    let output = output.unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Starts a script that serves until the child is dropped, and reads the line in which it says where. `None`, having
/// said why, where it cannot run.
pub(crate) async fn serve<T: DeserializeOwned>(script: &str) -> Option<(Child, T)> {
    let mut child = node(script).await?.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    timeout(LIMIT, stdout.read_line(&mut line)).await.expect("it does not start").unwrap();
    if line.is_empty() {
        child.stderr.take().unwrap().read_to_string(&mut line).await.unwrap();
        panic!("{script}: {line}");
    }
    // What it says later is not read, but saying it must not fail.
    child.stdout = Some(stdout.into_inner());
    Some((child, serde_json::from_str(&line).unwrap()))
}

/// What runs a script, and kills it when nobody waits for it any more.
async fn node(script: &str) -> Option<Command> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop");
    if let Some(reason) = missing(&folder).await {
        assert!(env::var("INTEROP").as_deref() != Ok("required"), "{reason}");
        println!("skipped: {reason}");
        return None;
    }
    let mut node = Command::new("node");
    node.arg(folder.join(script)).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Some(node)
}

/// What a script needs and does not have.
async fn missing(folder: &Path) -> Option<&'static str> {
    let version = Command::new("node").arg("--version").output().await;
    match version.ok().and_then(|output| major(&output.stdout)) {
        None => Some("there is no Node.js"),
        Some(..20) => Some("Node.js is older than 20"),
        // npm writes this file last.
        Some(20..) if !folder.join("node_modules/.package-lock.json").exists() => {
            Some("`npm ci` was not run in tests/interop")
        }
        Some(20..) => None,
    }
}

/// 20 of `v20.20.2`.
fn major(version: &[u8]) -> Option<u32> {
    std::str::from_utf8(version).ok()?.strip_prefix('v')?.split('.').next()?.parse().ok()
}
