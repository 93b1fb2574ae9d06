//! The HTTP server below all but the scripted endpoint, and how all of them accept connections.

use std::{
    convert::Infallible,
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time,
};
use tower_service::Service as _;

/// An HTTP/1.1 server on a free port of 127.0.0.1. Ends on drop, with every connection it has.
#[derive(Debug)]
pub(crate) struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Server {
    /// `routes` gets the URL, because what the server says of itself contains it.
    pub(crate) async fn start(routes: impl FnOnce(&str) -> Router) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("127.0.0.1 has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let url = format!("http://{address}");
        let requests = Arc::default();
        let (router, counted) = (routes(&url), Arc::clone(&requests));
        let serve = move |stream| serve(stream, router.clone(), Arc::clone(&counted));
        let task = tokio::spawn(accept(listener, serve)).abort_handle();
        Self { url, requests, task }
    }

    /// Without a trailing slash.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Not `axum::serve`, whose connections are tasks of their own that outlive it: these belong to the set, and
/// the set to this future, so that aborting it leaves nothing behind, not even a request that is held.
pub(crate) async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve(stream));
            }
            // Most likely there are no file descriptors left: some are closed soon.
            Err(_) => time::sleep(Duration::from_millis(10)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, router: Router, requests: Arc<AtomicUsize>) {
    // If this fails, answers are late at worst.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        requests.fetch_add(1, Ordering::SeqCst);
        // A router is always ready: its `poll_ready` says so.
        let answer = router.clone().call(request);
        async move {
            let Ok(answer): Result<Response<Body>, Infallible> = answer.await;
            match answer.extensions().get() {
                Some(Reset) => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                None => Ok(answer),
            }
        }
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // An error is a client that went away, or `Reset` in the place of an answer. Neither gets an orderly end.
    if (&mut connection).await.is_err() {
        // If this fails, the connection is closed in order, and not reset.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

/// In the place of an answer: the connection is reset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reset;

impl Reset {
    pub(crate) fn response() -> Response {
        axum::Extension(Self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::{future, io::ErrorKind};

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::client;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";

    async fn connect(server: &Server) -> TcpStream {
        TcpStream::connect(client::address(server.url())).await.unwrap()
    }

    #[tokio::test]
    async fn connection_serves_several_requests() {
        let server = Server::start(|_| Router::new().route("/", get(async || "pong"))).await;
        let mut stream = connect(&server).await;
        for round in 1..=3 {
            stream.write_all(GET).await.unwrap();
            let mut answer = String::new();
            while !answer.ends_with("pong") {
                let mut buffer = [0; 512];
                let length = stream.read(&mut buffer).await.unwrap();
                assert_ne!(length, 0, "closed after {answer:?}");
                answer.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
            }
            assert_eq!(server.requests(), round);
        }
    }

    #[tokio::test]
    async fn requests_of_any_path_are_counted() {
        let server = Server::start(|_| Router::new()).await;
        assert_eq!(client::get(&format!("{}/nothing", server.url())).await.status, 404);
        assert_eq!(server.requests(), 1);
    }

    #[tokio::test]
    async fn a_reset_is_the_end_of_the_connection_without_an_answer() {
        let routes = Router::new().route("/", get(async || Reset::response()));
        let server = Server::start(|_| routes).await;
        let mut stream = connect(&server).await;
        stream.write_all(GET).await.unwrap();
        let mut buffer = [0; 8];
        let end = time::timeout(Duration::from_secs(5), stream.read(&mut buffer)).await.unwrap();
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn dropped_server_closes_held_and_idle_connections_and_its_port() {
        let held = Router::new().route("/", get(async || future::pending::<()>().await));
        let server = Server::start(|_| held).await;
        let address = client::address(server.url()).to_owned();
        let (mut idle, mut busy) = (connect(&server).await, connect(&server).await);
        busy.write_all(GET).await.unwrap();
        while server.requests() == 0 {
            tokio::task::yield_now().await;
        }
        drop(server);
        for stream in [&mut idle, &mut busy] {
            let end = time::timeout(Duration::from_secs(5), stream.read(&mut [0; 8])).await.unwrap();
            assert!(
                matches!(end, Ok(0)) || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
            );
        }
        assert!(TcpStream::connect(address).await.is_err());
    }
}
