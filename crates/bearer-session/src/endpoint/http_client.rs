//! One request to an issuer, and its answer.

use super::{ExchangeError, InvalidEndpoint, Outcome, answer::Answer, retry_after::retry_after};
use crate::token_response::MOST_BYTES;
use http::{
    HeaderMap, HeaderName,
    header::{CONTENT_ENCODING, DATE, RETRY_AFTER},
};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, redirect::Policy, retry};
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// How Better Auth says `Retry-After` with its 429.
const X_RETRY_AFTER: HeaderName = HeaderName::from_static("x-retry-after");

/// The defaults: 3 s to connect, 10 s in all, no proxy, no cookies.
pub(super) fn default_client() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(3))
        .timeout(Duration::from_secs(10))
        .no_proxy()
}

/// Builds a client that sends each request once, and to nobody else.
///
/// Every request has a connection of its own: on one that was kept open, a token could be lost that the
/// server, about to close it, never read. A session asks for tokens once in an hour or so; the handshake is
/// cheaper than the doubt.
pub(super) fn build(client: ClientBuilder) -> Result<Client, InvalidEndpoint> {
    client
        .redirect(Policy::none())
        .retry(retry::never())
        .pool_max_idle_per_host(0)
        .http1_only()
        .build()
        .map_err(|error| InvalidEndpoint::Client(error.to_string()))
}

/// Sends a request. An error is one of the transport: there was no answer.
pub(super) async fn send(request: RequestBuilder) -> Result<Answer, ExchangeError> {
    let response = request.send().await.map_err(|error| {
        // A connection that was never made carried nothing.
        let nothing_was_sent = error.is_builder() || error.is_connect();
        let outcome = if nothing_was_sent { Outcome::NotSpent } else { Outcome::Unknown };
        ExchangeError::new(outcome).with_source(error.without_url())
    })?;
    let headers = response.headers();
    let wait = [RETRY_AFTER, X_RETRY_AFTER]
        .iter()
        .find_map(|name| retry_after(text(headers, name)?, text(headers, &DATE), SystemTime::now()));
    // No coding was asked for, and none is undone.
    let is_plain = headers.get_all(CONTENT_ENCODING).iter().all(|coding| coding == "identity");
    let status = response.status();
    let body = if is_plain { body(response).await } else { None };
    Ok(Answer { status, retry_after: wait, body: body.unwrap_or_default() })
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Reads no more than the limit, whatever the length was said to be. `None` when it broke off or went on.
async fn body(mut response: Response) -> Option<Zeroizing<Vec<u8>>> {
    // Room for all of it where its length was said: growing leaves copies behind.
    let length = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.unwrap_or(16 * 1024).min(MOST_BYTES)));
    while let Some(chunk) = response.chunk().await.ok()? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return None;
        }
        bytes.extend_from_slice(&chunk);
    }
    Some(bytes)
}
