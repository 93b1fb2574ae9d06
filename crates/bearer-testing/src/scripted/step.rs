//! One step of a script.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::answer::{Answer, Framing};
use crate::SigningKey;

/// What a [`ScriptedJwks`](crate::ScriptedJwks) does with one request.
///
/// Starts as a well-formed answer, or as something worse; each method spoils or changes one thing. Those that
/// speak of status, headers or body change nothing where there is no answer.
///
/// ```
/// use bearer_testing::{Algorithm, ScriptedJwks, SigningKey, Step, Stop};
/// use std::time::Duration;
/// # use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
/// #
/// # async fn get(jwks: &ScriptedJwks) -> std::io::Result<String> {
/// #     let mut stream = TcpStream::connect(jwks.address()).await?;
/// #     stream.write_all(b"GET /jwks.json HTTP/1.1\r\nHost: test\r\n\r\n").await?;
/// #     let mut answer = String::new();
/// #     stream.read_to_string(&mut answer).await?;
/// #     Ok(answer)
/// # }
/// #
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let key = SigningKey::generate(Algorithm::ES256);
/// let keys = Step::jwks([&key]);
///
/// let tagged = keys.clone().header("Cache-Control", "max-age=60").etag("\"1\"");
/// let late = keys.clone().delay(Duration::from_secs(10));
/// let truncated = keys.clone().stop_at(10, Stop::Close);
/// let huge = Step::answer(200, " ").content_length(1 << 40).endless();
/// let slow = keys.clone().drip(Duration::from_millis(10));
/// let elsewhere = Step::redirect(302, "http://127.0.0.1:9/jwks.json");
/// let missing = keys.with_status(404);
///
/// let jwks = ScriptedJwks::start().await;
/// jwks.script([tagged, truncated, elsewhere, missing]);
/// assert!(get(&jwks).await?.contains("\r\nETag: \"1\"\r\n"));
/// assert!(get(&jwks).await?.ends_with(r#"{"keys":[{"#));
/// assert!(get(&jwks).await?.starts_with("HTTP/1.1 302 "));
/// assert!(get(&jwks).await?.starts_with("HTTP/1.1 404 "));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Step {
    pub(super) delay: Duration,
    pub(super) act: Act,
}

#[derive(Clone)]
pub(super) enum Act {
    Answer(Answer),
    Raw(Arc<[u8]>),
    EndlessHeaders,
    Stop(Stop),
}

/// How a [`Step`] ends before its time.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stop {
    /// Closes the connection in order (FIN).
    Close,
    /// Says nothing more, and keeps the connection until the client gives up.
    Hang,
    /// Closes the connection as one that is broken (RST): what was sent and not read yet may be lost.
    Reset,
}

impl Step {
    /// The JWK Set of these keys, as they are published: 200, `application/json`.
    pub fn jwks<'k>(keys: impl IntoIterator<Item = &'k SigningKey>) -> Self {
        let keys: Vec<_> = keys.into_iter().map(SigningKey::public_jwk).collect();
        Self::json(&json!({ "keys": keys }))
    }

    /// This document: 200, `application/json`.
    pub fn json(document: &Value) -> Self {
        Self::answer(200, document.to_string()).header("Content-Type", "application/json")
    }

    /// This status and this body, with its `Content-Length` and without a `Content-Type`.
    ///
    /// # Panics
    /// When the status is not of three digits, or below 200.
    pub fn answer(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::of(Act::Answer(Answer::new(body.as_ref()))).with_status(status)
    }

    /// This status and no body.
    ///
    /// # Panics
    /// When the status is not of three digits, or below 200.
    pub fn status(status: u16) -> Self {
        Self::answer(status, "")
    }

    /// A redirect: the status, most likely 301, 302, 303, 307 or 308, and `Location`.
    ///
    /// # Panics
    /// When the status is not of three digits, or below 200.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("Location", location)
    }

    /// Takes the request and says nothing, until the client gives up.
    pub fn hang() -> Self {
        Self::of(Act::Stop(Stop::Hang))
    }

    /// Closes the connection instead of an answer.
    pub fn close() -> Self {
        Self::of(Act::Stop(Stop::Close))
    }

    /// Breaks the connection (RST) instead of an answer.
    pub fn reset() -> Self {
        Self::of(Act::Stop(Stop::Reset))
    }

    /// Exactly these bytes instead of an HTTP answer, and then the end of the connection.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self::of(Act::Raw(bytes.as_ref().into()))
    }

    /// A 200 whose headers never end.
    pub fn endless_headers() -> Self {
        Self::of(Act::EndlessHeaders)
    }

    fn of(act: Act) -> Self {
        Self { delay: Duration::ZERO, act }
    }

    /// Another status, with the rest as it is: a good set under 404, say.
    ///
    /// # Panics
    /// When the status is not of three digits, or below 200.
    pub fn with_status(self, status: u16) -> Self {
        assert!((200..1000).contains(&status), "{status} is not the status of a final HTTP answer");
        self.answered(|answer| answer.status = status)
    }

    /// Adds a header line, whatever is in it.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.answered(|answer| answer.headers.push((name.to_owned(), value.to_owned())))
    }

    /// Adds `Retry-After`, in seconds.
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header("Retry-After", &seconds.to_string())
    }

    /// Adds `ETag`, and answers 304 without the body when the request has the same tag in `If-None-Match`
    /// ([RFC 9110 §13.1.2]). Two sets with one tag are a server whose tag is stuck.
    ///
    /// [RFC 9110 §13.1.2]: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2
    pub fn etag(self, tag: &str) -> Self {
        self.header("ETag", tag).answered(|answer| answer.etag = Some(tag.to_owned()))
    }

    /// Waits so long before its first byte.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Waits so long between headers and body.
    pub fn delay_body(self, delay: Duration) -> Self {
        self.answered(|answer| answer.body_delay = delay)
    }

    /// Sends headers and body byte by byte, with this pause before each.
    pub fn drip(self, pause: Duration) -> Self {
        self.answered(|answer| (answer.head_drip, answer.body_drip) = (pause, pause))
    }

    /// Sends the body byte by byte, with this pause before each, and the headers at once.
    pub fn drip_body(self, pause: Duration) -> Self {
        self.answered(|answer| answer.body_drip = pause)
    }

    /// States this `Content-Length`, whatever the length of the body.
    pub fn content_length(self, length: u64) -> Self {
        self.answered(|answer| answer.framing = Framing::Length(Some(length)))
    }

    /// Sends the body in chunks ([RFC 9112 §7.1]), without a `Content-Length`.
    ///
    /// [RFC 9112 §7.1]: https://www.rfc-editor.org/rfc/rfc9112#section-7.1
    pub fn chunked(self) -> Self {
        self.answered(|answer| answer.framing = Framing::Chunked)
    }

    /// Lets the end of the connection be that of the body, without a `Content-Length`.
    pub fn close_delimited(self) -> Self {
        self.answered(|answer| answer.framing = Framing::UntilClose)
    }

    /// Repeats the body without end: in chunks, or until the client closes, as the step says. An empty body
    /// becomes spaces.
    pub fn endless(self) -> Self {
        self.answered(|answer| answer.endless = true)
    }

    /// Sends this many bytes of the body and then stops: neither the rest nor the last chunk is sent.
    pub fn stop_at(self, bytes: usize, stop: Stop) -> Self {
        self.answered(|answer| answer.stop = Some((bytes, stop)))
    }

    fn answered(mut self, change: impl FnOnce(&mut Answer)) -> Self {
        if let Act::Answer(answer) = &mut self.act {
            change(answer);
        }
        self
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Step");
        match &self.act {
            Act::Answer(answer) => debug.field("answer", &answer.status).field("headers", &answer.headers),
            Act::Raw(bytes) => debug.field("raw", &bytes.len()),
            Act::EndlessHeaders => debug.field("headers", &"endless"),
            Act::Stop(stop) => debug.field("stop", stop),
        };
        debug.finish_non_exhaustive()
    }
}
