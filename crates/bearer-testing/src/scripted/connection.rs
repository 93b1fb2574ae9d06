//! One connection: reads a request, and does what its step says.

use std::{future, io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time,
};

use super::{
    Recorded, Stop,
    answer::Answer,
    log::Log,
    script::Script,
    step::{Act, Step},
};

/// A request whose head is longer than this is not read to its end.
const LONGEST_HEAD: usize = 64 * 1024;

/// Serves one request.
pub(super) async fn serve(mut stream: TcpStream, script: &Script, log: &Log) {
    // If this fails, answers are late at worst.
    let _ = stream.set_nodelay(true);
    let Some(head) = read_head(&mut stream).await else { return };
    let request = Recorded::now(head);
    let step = script.next(request.path()).to(&request);
    let in_flight = log.arrived(request);
    let (mut reader, writer) = stream.split();
    let end = tokio::select! {
        // An error is a client that went away in the middle.
        end = perform(step, Wire { writer, log }) => end.unwrap_or(Stop::Close),
        () = gone(&mut reader) => Stop::Close,
    };
    drop(in_flight);
    if end == Stop::Reset {
        // If this fails, the connection is closed in order, and not reset.
        let _ = stream.set_zero_linger();
    }
}

/// The head of a request, without the empty line at its end.
async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            bytes.truncate(end);
            return Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        if bytes.len() > LONGEST_HEAD || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

impl Step {
    /// With an answer that heeds the request's condition.
    fn to(mut self, request: &Recorded) -> Self {
        if let Act::Answer(answer) = self.act {
            self.act = Act::Answer(answer.to(request.header("if-none-match")));
        }
        self
    }
}

/// Does what the step says; tells how to end the connection.
async fn perform(step: Step, mut wire: Wire<'_, impl AsyncWrite + Unpin>) -> io::Result<Stop> {
    pause(step.delay).await;
    let stop = match step.act {
        Act::Answer(answer) => wire.answer(&answer).await?,
        Act::Raw(bytes) => {
            wire.send(&bytes, Duration::ZERO).await?;
            Stop::Close
        }
        Act::EndlessHeaders => {
            wire.send(b"HTTP/1.1 200 Scripted\r\n", Duration::ZERO).await?;
            let line = format!("X-Endless: {}\r\n", "x".repeat(1000));
            loop {
                wire.send(line.as_bytes(), Duration::ZERO).await?;
            }
        }
        Act::Stop(stop) => stop,
    };
    if stop == Stop::Hang {
        future::pending::<()>().await;
    }
    Ok(stop)
}

/// Resolves when the client closes the connection. What it sends meanwhile is not looked at.
async fn gone(reader: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0; 512];
    while reader.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
}

/// Counts what is sent.
struct Wire<'l, W> {
    writer: W,
    log: &'l Log,
}

impl<W: AsyncWrite + Unpin> Wire<'_, W> {
    async fn answer(&mut self, answer: &Answer) -> io::Result<Stop> {
        self.send(&answer.head(), answer.head_drip).await?;
        pause(answer.body_delay).await;
        for piece in answer.pieces() {
            self.send(&piece, answer.body_drip).await?;
        }
        Ok(answer.stop.map_or(Stop::Close, |(_, stop)| stop))
    }

    /// At once, or with a pause before each byte.
    async fn send(&mut self, bytes: &[u8], drip: Duration) -> io::Result<()> {
        if drip.is_zero() {
            return self.write(bytes).await;
        }
        for byte in bytes {
            time::sleep(drip).await;
            self.write(&[*byte]).await?;
        }
        Ok(())
    }

    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.writer.write(bytes).await?;
            self.log.sent(written);
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

/// Not even a yield for no time.
async fn pause(duration: Duration) {
    if !duration.is_zero() {
        time::sleep(duration).await;
    }
}
