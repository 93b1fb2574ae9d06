//! Several instances that share their sessions.

use crate::{PATIENCE, Serving, client, serving, session_web};
use bearer_testing::{SupabaseOptions, TestSupabase};
use reqwest::StatusCode;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Stdio},
    time::Duration,
};
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    task::JoinSet,
    time::{sleep, timeout},
};

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
    let options = SupabaseOptions::new().access_token_expires_in(1).strict_single_use();
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
