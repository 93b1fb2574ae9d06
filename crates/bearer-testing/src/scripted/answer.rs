//! One answer, and what it is on the wire.

use std::{sync::Arc, time::Duration};

use super::{Stop, pieces::Pieces};

/// An HTTP/1.1 answer and its flaws: what it is on the wire.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Arc<[u8]>,
    pub(super) framing: Framing,
    pub(super) endless: bool,
    /// Answers 304 to this `If-None-Match`.
    pub(super) etag: Option<String>,
    pub(super) body_delay: Duration,
    pub(super) head_drip: Duration,
    pub(super) body_drip: Duration,
    /// After so many bytes of the body.
    pub(super) stop: Option<(usize, Stop)>,
}

/// How the end of the body is told.
#[derive(Clone, Copy)]
pub(super) enum Framing {
    /// The length of the body, or what is given here instead.
    Length(Option<u64>),
    Chunked,
    UntilClose,
}

impl Answer {
    pub(super) fn new(body: &[u8]) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
            framing: Framing::Length(None),
            endless: false,
            etag: None,
            body_delay: Duration::ZERO,
            head_drip: Duration::ZERO,
            body_drip: Duration::ZERO,
            stop: None,
        }
    }

    /// The answer to a request with this `If-None-Match`: itself, or 304.
    pub(super) fn to(self, if_none_match: Option<&str>) -> Self {
        match (&self.etag, if_none_match) {
            (Some(etag), Some(asked)) if asked.split(',').any(|tag| tag.trim() == etag) => {
                Self { status: 304, headers: self.headers, ..Self::new(b"") }
            }
            _ => self,
        }
    }

    /// The status line and the headers.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        match self.framing {
            // These have no body, and no length of it (RFC 9110 §8.6).
            Framing::Length(None) if matches!(self.status, 204 | 304) && self.body.is_empty() => {}
            Framing::Length(length) => {
                let length = length.unwrap_or(self.body.len() as u64);
                head.extend(["Content-Length: ", &length.to_string(), "\r\n"]);
            }
            Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::UntilClose => {}
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// The body, framed and cut, as it is written bit by bit.
    pub(super) fn pieces(&self) -> Pieces {
        Pieces::new(self)
    }
}
