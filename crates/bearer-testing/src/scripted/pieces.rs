//! The body of an answer, cut into what is written at once.

use std::sync::Arc;

use super::answer::{Answer, Framing};

/// The bytes of one chunk: few, so that a JWK Set has several.
const CHUNK: usize = 100;

/// The bytes that are written at once, where there are so many.
const PIECE: usize = 16 * 1024;

/// The body of an answer, framed and cut, as it is written bit by bit.
pub(super) struct Pieces {
    body: Arc<[u8]>,
    at: usize,
    /// How many bytes of the body may still be sent, of an answer that stops before its end.
    left: Option<usize>,
    chunked: bool,
    endless: bool,
    done: bool,
}

impl Pieces {
    pub(super) fn new(answer: &Answer) -> Self {
        let body = match (answer.endless, &answer.body) {
            (false, body) => Arc::clone(body),
            (true, body) if body.is_empty() => [b' '; PIECE].into(),
            (true, body) => body.repeat(PIECE.div_ceil(body.len())).into(),
        };
        Self {
            body,
            at: 0,
            left: answer.stop.map(|(bytes, _)| bytes),
            chunked: matches!(answer.framing, Framing::Chunked),
            endless: answer.endless,
            done: false,
        }
    }

    fn end(&mut self) -> Option<Vec<u8>> {
        self.done = true;
        (self.chunked && self.left.is_none()).then(|| b"0\r\n\r\n".to_vec())
    }
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.done || self.left == Some(0) {
            return None;
        }
        if self.at == self.body.len() {
            if !self.endless {
                return self.end();
            }
            self.at = 0;
        }
        // An endless body goes out in large chunks, which is faster.
        let size = if self.chunked && !self.endless { CHUNK } else { PIECE };
        let piece = &self.body[self.at..self.body.len().min(self.at + size)];
        let sent = &piece[..piece.len().min(self.left.unwrap_or(usize::MAX))];
        self.at += piece.len();
        self.left = self.left.map(|left| left - sent.len());
        if !self.chunked {
            return Some(sent.to_vec());
        }
        let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
        framed.extend_from_slice(sent);
        if self.left != Some(0) {
            framed.extend_from_slice(b"\r\n");
        }
        Some(framed)
    }
}
