//! Certificates that are not the issuer's.

use super::{
    keys::{key, set, token},
    rig::{soon, verifier, verify_now},
};
use bearer_jwks::{FetchError, HttpFetch, Refresher};
use bearer_testing::SigningKey;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer},
};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server's certificate for `host`, made by the authority, or by nobody but itself.
fn config(host: &str, last_year: i32, authority: Option<&Authority>) -> Arc<ServerConfig> {
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(last_year, 1, 1));
    let key = KeyPair::generate().unwrap();
    let certificate = match authority {
        Some(authority) => params.signed_by(&key, authority),
        None => params.self_signed(&key),
    };
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.unwrap().der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        );
    Arc::new(config.unwrap())
}

/// What is presented, and which key is published behind it.
type Face = (Arc<ServerConfig>, SigningKey);

struct Server {
    uri: String,
    face: watch::Sender<Face>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(face: Face) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("https://localhost:{}/jwks.json", listener.local_addr().unwrap().port());
        let (sender, faces) = watch::channel(face);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let face = faces.borrow().clone();
                // A client that hangs up is what the test is about.
                let _ = serve(stream, face).await;
            }
        });
        Self { uri, face: sender, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, (config, key): Face) -> std::io::Result<()> {
    let mut stream = TlsAcceptor::from(config).accept(stream).await?;
    assert_ne!(stream.read(&mut [0; 4096]).await?, 0);
    let body = set(&[key.public_jwk()]).to_string();
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await
}

#[tokio::test]
async fn k01_a_certificate_that_is_not_the_issuers_brings_no_keys_and_costs_none() {
    let ours = authority();
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_der(ours.der()).unwrap()])
        .no_proxy()
        .build()
        .unwrap();
    let good = || config("localhost", 2999, Some(&ours));
    let (old, evil) = (key("old"), key("evil"));
    for (name, bad) in [
        ("self-signed", config("localhost", 2999, None)),
        ("expired", config("localhost", 2001, Some(&ours))),
        ("of another host", config("issuer.example", 2999, Some(&ours))),
        ("of another authority", config("localhost", 2999, Some(&authority()))),
    ] {
        let server = Server::start((bad.clone(), evil.clone())).await;
        let cold = HttpFetch::with_client(&server.uri, client.clone()).unwrap();
        assert_refused(name, cold.clone()).await;

        server.face.send_replace((good(), old.clone()));
        let (mut refresher, keys) = Refresher::new(cold);
        let verifier = verifier(keys);
        soon(refresher.refresh()).await.unwrap();
        server.face.send_replace((bad, evil.clone()));
        let error = soon(refresher.refresh()).await.unwrap_err();
        assert!(matches!(error, FetchError::Transport(_)), "{name}: {error}");
        assert_eq!(verify_now(&verifier, &token(&old).sign()), Ok(()), "{name}");
        assert_eq!(refresher.status().borrow().key_ids, ["old"], "{name}");
    }
    // The client of our own trusts the system's authorities, and ours is none of them.
    let server = Server::start((good(), evil)).await;
    assert_refused("of nobody", HttpFetch::new(&server.uri).unwrap()).await;
}

async fn assert_refused(name: &str, fetch: HttpFetch) {
    let (mut refresher, _keys) = Refresher::new(fetch);
    let error = soon(refresher.refresh()).await.unwrap_err();
    assert!(matches!(error, FetchError::Transport(_)), "{name}: {error}");
    assert!(!refresher.status().borrow().is_ready());
}
