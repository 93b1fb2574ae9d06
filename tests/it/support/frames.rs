//! An HTTP/2 client that sees frames (RFC 9113), for what a library would hide.

use super::soon;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

pub(crate) const DATA: u8 = 0x0;
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const GOAWAY: u8 = 0x7;

pub(crate) const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// A frame as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection whose one request goes by stream 1.
#[derive(Debug)]
pub(crate) struct Frames(TcpStream);

impl Frames {
    pub(crate) async fn connect(server: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(server).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut frames = Self(stream);
        frames.write(SETTINGS, 0, 0, &[]).await.unwrap();
        frames
    }

    /// Opens stream 1 by a `POST`; the body may follow.
    pub(crate) async fn post(&mut self, path: &str, headers: &[(&str, &str)]) {
        let pseudo = [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", path)];
        let mut block = Vec::new();
        for (name, value) in pseudo.iter().chain(headers) {
            // RFC 7541 §6.2.2: a literal without indexing, under a new name.
            block.push(0);
            for text in [name, value] {
                integer(&mut block, text.len());
                block.extend(text.as_bytes());
            }
        }
        self.write(HEADERS, END_HEADERS, 1, &block).await.unwrap();
    }

    /// Sends a piece of the body on stream 1; an error once the server has hung up.
    pub(crate) async fn data(&mut self, piece: &[u8]) -> std::io::Result<()> {
        self.write(DATA, 0, 1, piece).await
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).await
    }

    /// The next frame on stream 1; a `GOAWAY` fails the test.
    pub(crate) async fn next(&mut self) -> Frame {
        loop {
            let frame = soon(self.read()).await;
            assert_ne!(frame.kind, GOAWAY, "the connection is closed: {frame:?}");
            if frame.kind == SETTINGS && frame.flags == 0 {
                self.write(SETTINGS, 1, 0, &[]).await.unwrap();
            }
            if frame.stream == 1 {
                return frame;
            }
        }
    }

    async fn read(&mut self) -> Frame {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut payload).await.unwrap();
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Frame { kind: head[3], flags: head[4], stream, payload }
    }
}

/// RFC 7541 §5.1, with a prefix of seven bits.
fn integer(block: &mut Vec<u8>, value: usize) {
    if value < 127 {
        return block.push(u8::try_from(value).unwrap());
    }
    block.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}
