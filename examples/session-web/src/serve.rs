//! Serves the site until Ctrl-C or the end of the input, and says where it is.

use crate::{
    issuer::{self, Refreshes},
    pages::About,
    settings::{Project, Settings},
    site,
};
use axum::Router;
use bearer_session::{
    Keyring, Sessions,
    endpoint::{RateBudget, SupabaseEndpoint},
    store::{MemoryStore, RedisStore},
};
use bearer_testing::TestSupabase;
use std::{
    error::Error,
    io::{self, ErrorKind, Read as _},
    net::{Ipv4Addr, SocketAddr},
    thread,
};
use tokio::{net::TcpListener, signal, sync::oneshot};

const PORT: u16 = 3000;

/// How many sessions the memory holds.
const MOST: usize = 10_000;

pub(crate) async fn run(settings: Settings, port: Option<u16>, lifetime: u32) -> Result<(), Box<dyn Error>> {
    let (listener, url) = listen(port).await?;
    let url = settings.site_url.clone().unwrap_or(url);
    let issuer = match settings.project {
        Some(_) => None,
        None => Some(issuer::start(lifetime).await),
    };
    let (site, sessions) = build(settings, issuer.as_ref(), &url).await?;

    println!("{url}\n");
    if let Some(issuer) = &issuer {
        println!("{} has the password: {}", issuer::EMAIL, issuer::PASSWORD);
        println!("Access tokens live for {lifetime} s. The issuer is {}\n", issuer.project_url());
    }
    println!("Ctrl-C ends.");
    let stop = async move {
        told_to_stop().await;
        // A refresh that is under way is finished.
        sessions.close().await;
    };
    // With the address of the client, for the limit of tries.
    let site = site.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, site).with_graceful_shutdown(stop).await?)
}

async fn told_to_stop() {
    tokio::select! {
        _ = signal::ctrl_c() => {}
        () = terminated() => {}
        () = end_of_input() => {}
    }
}

/// By whoever runs it: systemd, Kubernetes.
async fn terminated() {
    #[cfg(unix)]
    if let Ok(mut signals) = signal::unix::signal(signal::unix::SignalKind::terminate()) {
        signals.recv().await;
        return;
    }
    std::future::pending::<()>().await;
}

/// The site as it is set up, for the users of the project or of the test issuer.
pub(crate) async fn build(
    settings: Settings,
    issuer: Option<&TestSupabase>,
    url: &str,
) -> Result<(Router, Sessions), Box<dyn Error>> {
    let test_project = issuer.map(issuer::project);
    let project = settings.project.as_ref().or(test_project.as_ref()).ok_or("there is no issuer")?;
    let mut endpoint = SupabaseEndpoint::new(&project.url, &project.key)?;
    if project.is_hosted() {
        // The project counts all users as one client: half of what it takes is kept for their refreshes.
        endpoint = endpoint.rate_budget(RateBudget::HOSTED);
    }
    let keyring = settings.keyring.unwrap_or_else(|| random_keyring(settings.redis_url.is_some()));
    let sessions = match &settings.redis_url {
        None => Sessions::builder(endpoint.clone(), MemoryStore::new(MOST), keyring),
        Some(redis) => {
            let store = RedisStore::builder(redis).prefix(prefix(project)).build()?;
            Sessions::builder(endpoint.clone(), store, keyring)
        }
    };
    let about = About {
        hint: issuer.map(|_| (issuer::EMAIL, issuer::PASSWORD)),
        providers: project.providers.clone().into(),
        refreshes: Refreshes::of(issuer.cloned()),
    };
    site::site(url, &project.url, endpoint, sessions, about).await
}

/// The sessions of one issuer are nothing to another, and a test issuer's end with it.
fn prefix(project: &Project) -> String {
    let (_, host) = project.url.split_once("://").unwrap_or_default();
    format!("session-web:{}", host.trim_end_matches('/'))
}

fn random_keyring(is_for_redis: bool) -> Keyring {
    if is_for_redis {
        eprintln!("note: without SESSION_KEY, what this process writes to Redis nobody else can read\n");
    }
    Keyring::random()
}

/// The port that was asked for, or a free one in place of the usual. By the name `localhost`: there browsers
/// keep cookies that are `Secure` without TLS.
pub(crate) async fn listen(asked: Option<u16>) -> Result<(TcpListener, String), Box<dyn Error>> {
    let port = asked.unwrap_or(PORT);
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Err(error) if asked.is_none() && error.kind() == ErrorKind::AddrInUse => {
            eprintln!("note: port {PORT} is taken, using a free one\n");
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?
        }
        result => result.map_err(|error| format!("127.0.0.1:{port}: {error}"))?,
    };
    let url = format!("http://localhost:{}", listener.local_addr()?.port());
    Ok((listener, url))
}

/// On a thread of its own, because a runtime waits at its end for a read of its own.
async fn end_of_input() {
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while matches!(io::stdin().read(&mut bytes), Ok(1..)) {}
        let _ = sender.send(());
    });
    let _ = receiver.await;
}
