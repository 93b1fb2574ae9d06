//! One row of a table: a request, and what becomes of it.

use super::{
    outcome::Outcome,
    servers::{PATH, Servers},
};
use crate::support::{
    answer::Answer,
    client::{Http2, Version},
};
use std::net::SocketAddr;

/// A request, but for its version and whether it is a gRPC call.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    method: &'static str,
    query: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    /// `Upgrade` is HTTP/1.1's alone.
    only_http11: bool,
}

/// A name, a request, and what is to come of it, by plain HTTP and by gRPC.
#[derive(Clone, Debug)]
pub(super) struct Row {
    name: &'static str,
    ask: Ask,
    plain: Outcome,
    grpc: Outcome,
}

/// A request without anything.
pub(super) fn get() -> Ask {
    Ask { method: "GET", query: String::new(), headers: Vec::new(), only_http11: false }
}

/// A request with this token.
pub(super) fn bearer(token: impl AsRef<str>) -> Ask {
    authorization(format!("Bearer {}", token.as_ref()))
}

/// A request with this `Authorization` line.
pub(super) fn authorization(value: impl AsRef<[u8]>) -> Ask {
    get().with("authorization", value)
}

impl Ask {
    pub(super) fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    pub(super) fn query(self, query: impl Into<String>) -> Self {
        Self { query: format!("?{}", query.into()), ..self }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.only_http11 |= name == "upgrade";
        self.headers.push((name, value.as_ref().to_vec()));
        self
    }

    async fn plain(&self, version: Version, server: SocketAddr, http2: &mut Http2) -> Answer {
        // Field names have no case (RFC 9110 §5.1).
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.to_ascii_uppercase()).collect();
        let shouted = || names.iter().zip(self.lines()).map(|(name, (_, value))| (&**name, value));
        let target = self.target();
        match version {
            Version::Http10 => {
                version.ask(server, self.method, &target, &shouted().collect::<Vec<_>>()).await
            }
            Version::Http11 => {
                version.ask(server, self.method, &target, &self.lines().collect::<Vec<_>>()).await
            }
            Version::Http2 => http2.ask(self.method, &target, &self.lines().collect::<Vec<_>>()).await,
        }
    }

    async fn grpc(&self, http2: &mut Http2) -> Answer {
        let own = [("content-type", &b"application/grpc"[..]), ("te", b"trailers")];
        let headers: Vec<_> = own.into_iter().chain(self.lines()).collect();
        http2.ask("POST", &self.target(), &headers).await
    }

    fn target(&self) -> String {
        format!("{PATH}{}", self.query)
    }

    fn lines(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (*name, &**value))
    }
}

/// What comes of it, however it is asked.
pub(super) fn row(name: &'static str, ask: Ask, outcome: Outcome) -> Row {
    Row { name, ask, plain: outcome, grpc: outcome }
}

impl Row {
    /// Something else comes of the gRPC call: it is a POST, and no page that somebody opens.
    pub(super) fn but_grpc(self, outcome: Outcome) -> Self {
        Self { grpc: outcome, ..self }
    }
}

impl Servers {
    /// Asks every server every row in every way.
    pub(super) async fn hold(&self, rows: impl IntoIterator<Item = Row>) {
        let rows: Vec<_> = rows.into_iter().collect();
        assert!(!rows.is_empty() && !self.all.is_empty());
        for (framework, address) in &self.all {
            // One connection for all: a refusal does not cost the next request.
            let mut http2 = Http2::connect(*address).await;
            for Row { name, ask, plain, grpc } in &rows {
                for version in Version::ALL {
                    if version == Version::Http11 || !ask.only_http11 {
                        let answer = ask.plain(version, *address, &mut http2).await;
                        plain.assert_plain(&format!("{framework}, {version:?}: {name}"), &answer);
                    }
                }
                if !ask.only_http11 {
                    let answer = ask.grpc(&mut http2).await;
                    grpc.assert_grpc(&format!("{framework}, gRPC: {name}"), &answer);
                }
            }
        }
    }
}
