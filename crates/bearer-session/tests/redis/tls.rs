//! Redis over TLS, with a certificate that `openssl` makes for the test.

use crate::server::{BOUND, Server, key};
use bearer_session::store::{RedisStore, Store as _};
use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{self, Command},
    time::Duration,
};

/// A directory with a key and a certificate that is its own authority, gone with this value.
struct Certificate(PathBuf);

impl Certificate {
    fn new(name: &str) -> Option<Self> {
        let directory = env::temp_dir().join(format!("bearer-session-tls-{}-{name}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        let certificate = Self(directory);
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "1",
            ])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(certificate.file("key.pem"))
            .arg("-out")
            .arg(certificate.file("cert.pem"))
            .output();
        let Ok(made) = made else {
            eprintln!("skipped: there is no openssl");
            return None;
        };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(certificate)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[tokio::test]
async fn tls_trusts_the_roots_of_the_platform_and_nobody_else() {
    let Some(certificate) = Certificate::new("ours") else { return };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let (cert, key) = (certificate.file("cert.pem"), certificate.file("key.pem"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (cert, key) = (text(&cert), text(&key));
    let tls =
        ["--tls-port", &port, "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &cert];
    let Some(_server) = Server::start(&[&tls[..], &["--tls-auth-clients", "no"]].concat()) else { return };

    // What the roots are is said by the environment of a process.
    let asks = |roots: &str| {
        let asked = Command::new(env::current_exe().unwrap())
            .args(["tls::ask", "--exact", "--nocapture"])
            .env("TLS_REDIS", format!("rediss://localhost:{port}/"))
            .env("SSL_CERT_FILE", roots)
            .output()
            .unwrap();
        String::from_utf8(asked.stdout).unwrap()
    };
    let trusted = asks(&cert);
    assert!(trusted.contains("answered: Unknown"), "{trusted}");
    let Some(another) = Certificate::new("another") else { return };
    let untrusted = asks(&text(&another.file("cert.pem")));
    assert!(untrusted.contains("refused"), "{untrusted}");
}

/// No test: the process that asks. As a test it does nothing.
#[tokio::test]
async fn ask() {
    let Ok(redis) = env::var("TLS_REDIS") else { return };
    let store = RedisStore::builder(&redis).timeout(Duration::from_secs(5)).build().unwrap();
    match store.load(&key("one")).await {
        Ok(found) => println!("answered: {found:?}"),
        Err(_) => println!("refused"),
    }
}

#[tokio::test]
async fn tls_to_a_redis_without_it_is_an_error_within_the_bound() {
    let Some(server) = Server::start(&[]) else { return };
    let url = format!("rediss://localhost:{}/", server.port());
    let store = RedisStore::builder(&url).timeout(BOUND).build().unwrap();
    let asked = tokio::time::timeout(BOUND * 3, store.load(&key("one"))).await;
    asked.expect("within the bound").unwrap_err();
}
