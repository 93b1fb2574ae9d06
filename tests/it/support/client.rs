//! Clients that send what ordinary ones would not.

use super::{answer::Answer, soon};
use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The versions under which the same decisions are made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    Http10,
    Http11,
    Http2,
}

impl Version {
    pub(crate) const ALL: [Self; 3] = [Self::Http10, Self::Http11, Self::Http2];

    /// Asks with these header lines, in this order, as they are.
    pub(crate) async fn ask(
        self,
        server: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &[u8])],
    ) -> Answer {
        let line = match self {
            Self::Http10 => format!("{method} {path} HTTP/1.0\r\nHost: {server}\r\n"),
            Self::Http11 => format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n"),
            Self::Http2 => return soon(Http2::connect(server)).await.ask(method, path, headers).await,
        };
        let mut message = line.into_bytes();
        for (name, value) in headers {
            message.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        message.extend(b"\r\n");
        exchange(server, &message).await
    }
}

/// Sends these bytes on a connection of their own, and reads the answer up to its end.
pub(crate) async fn exchange(server: SocketAddr, message: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(server).await.unwrap();
    // The server may answer, and close, before it has read everything.
    let _ = stream.write_all(message).await;
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    parse(&answer)
}

/// Reads the head of an answer, and leaves the connection open.
pub(crate) async fn read_head(stream: &mut TcpStream) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    parse(&head)
}

fn parse(answer: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.parse::<HeaderName>().unwrap(), value.trim().parse::<HeaderValue>().unwrap())
    };
    Answer {
        status,
        headers: lines.map(header).collect::<HeaderMap>(),
        body: body.to_owned(),
        reason: None,
        verified: None,
    }
}

/// One HTTP/2 connection with prior knowledge.
#[derive(Debug)]
pub(crate) struct Http2 {
    sender: SendRequest<Body>,
    server: SocketAddr,
}

impl Http2 {
    pub(crate) async fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).await.unwrap();
        // Small frames that wait for each other cost 40 ms each.
        stream.set_nodelay(true).unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        // Ends when the sender is dropped, and at the latest with the test's runtime.
        tokio::spawn(connection);
        Self { sender, server }
    }

    pub(crate) async fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &[u8])]) -> Answer {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = self.uri(path);
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).unwrap();
            request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
        }
        self.send(request).await
    }

    pub(crate) fn uri(&self, path: &str) -> Uri {
        format!("http://{}{path}", self.server).parse().unwrap()
    }

    pub(crate) async fn send(&mut self, request: Request<Body>) -> Answer {
        let response = soon(self.sender.send_request(request)).await.unwrap();
        soon(Answer::of(response.map(Body::new))).await
    }
}
