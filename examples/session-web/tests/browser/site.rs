//! The binary, as a user runs it.

use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

const LIMIT: Duration = Duration::from_secs(30);

/// It runs until this is dropped.
pub(crate) struct Site {
    url: String,
    _child: Child,
}

impl Site {
    /// Beside a test issuer of its own, whose access tokens live for four seconds.
    pub(crate) async fn embedded() -> Self {
        let mut command = session_web();
        command.args(["--lifetime", "4"]);
        Self::start(command).await
    }

    /// For the users of a project, who may also sign in with a provider.
    pub(crate) async fn of_project(url: &str) -> Self {
        let mut command = session_web();
        command.env("SUPABASE_URL", url).env("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_test");
        command.env("SUPABASE_PROVIDERS", "github");
        Self::start(command).await
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = timeout(LIMIT, lines.next_line()).await.expect("it does not start").unwrap();
        let url = url.expect("it says where it is");
        // What it says later is not read, but saying it must not fail.
        child.stdout = Some(lines.into_inner().into_inner());
        Self { url, _child: child }
    }
}

fn session_web() -> Command {
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
    command.args(["--port", "0"]).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}
