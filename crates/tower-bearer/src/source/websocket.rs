//! A token among the subprotocols of a WebSocket (RFC 6455 §4.1): the one thing that a page can choose of
//! that request.

use super::found::{Carrier, Tokens};
use crate::error::Reason;
use http::{
    HeaderMap, HeaderValue, Method, Request,
    header::{SEC_WEBSOCKET_PROTOCOL, UPGRADE},
};

/// The subprotocol before the token.
const MARKER: &[u8] = b"bearer";

/// Whether the request opens a WebSocket: an upgrade (RFC 6455 §4.1), or any CONNECT, which under HTTP/2 and
/// 3 is how that is done (RFC 8441 §4).
pub(super) fn is_handshake<B>(request: &Request<B>) -> bool {
    request.method() == Method::CONNECT
        || elements(request.headers(), &UPGRADE).any(|name| {
            // Perhaps with a version (RFC 9110 §7.8).
            let name = name.split(|byte| *byte == b'/').next().unwrap_or_default();
            name.eq_ignore_ascii_case(b"websocket")
        })
}

pub(super) fn find<'a, B>(request: &'a Request<B>, tokens: &mut Tokens<'a>) -> Result<(), Reason> {
    if !is_handshake(request) {
        return Ok(());
    }
    let mut protocols = elements(request.headers(), &SEC_WEBSOCKET_PROTOCOL);
    while let Some(protocol) = protocols.next() {
        if is_marker(protocol) {
            let token = protocols.next().ok_or(Reason::MalformedCredential)?;
            tokens.add(token, Carrier::Header)?;
        }
    }
    Ok(())
}

/// Takes the tokens out of the opening of a WebSocket.
pub(super) fn take_out<B>(request: &mut Request<B>) {
    if is_handshake(request) {
        take_out_of(request.headers_mut());
    }
}

/// Takes the tokens out and leaves the other subprotocols, the marker among them, in their order: the service
/// selects one as usual, and cannot select the token.
pub(super) fn take_out_of(headers: &mut HeaderMap) {
    let mut left = Vec::new();
    let mut protocols = elements(headers, &SEC_WEBSOCKET_PROTOCOL);
    let mut marked = false;
    while let Some(protocol) = protocols.next() {
        if !left.is_empty() {
            left.extend(b", ");
        }
        left.extend(protocol);
        if is_marker(protocol) {
            protocols.next();
            marked = true;
        }
    }
    drop(protocols);
    if marked {
        // Parts of valid values, joined by a comma, are a valid value.
        match HeaderValue::from_bytes(&left) {
            Ok(value) => headers.insert(SEC_WEBSOCKET_PROTOCOL, value),
            Err(_) => headers.remove(SEC_WEBSOCKET_PROTOCOL),
        };
    }
}

/// Subprotocols are compared by case, but a token is not to slip by because of one.
fn is_marker(protocol: &[u8]) -> bool {
    protocol.eq_ignore_ascii_case(MARKER)
}

/// The elements of a list over all its lines (RFC 9110 §5.6.1); empty ones are none.
fn elements<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(lines: &[&str]) -> Request<()> {
        let mut request = Request::builder().header("upgrade", "websocket");
        for line in lines {
            request = request.header(SEC_WEBSOCKET_PROTOCOL, *line);
        }
        request.body(()).expect("a request")
    }

    fn find(request: &Request<()>) -> Result<Option<String>, Reason> {
        let mut tokens = Tokens::new(9);
        super::find(request, &mut tokens)?;
        Ok(tokens.into_one()?.map(std::borrow::Cow::into_owned))
    }

    fn left(mut request: Request<()>) -> Vec<String> {
        take_out(&mut request);
        let lines = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        lines.map(|line| line.to_str().expect("text").to_owned()).collect()
    }

    #[test]
    fn the_token_follows_its_marker_and_only_the_marker_stays() {
        let table: &[(&[&str], Option<&str>, &[&str])] = &[
            (&[], None, &[]),
            (&["chat"], None, &["chat"]),
            (&["chat,  v2"], None, &["chat,  v2"]),
            (&["bearer, t"], Some("t"), &["bearer"]),
            (&["bearer,t"], Some("t"), &["bearer"]),
            (&["Bearer, t"], Some("t"), &["Bearer"]),
            (&["chat, bearer, t, v2"], Some("t"), &["chat, bearer, v2"]),
            (&["chat", "bearer", "t", "v2"], Some("t"), &["chat, bearer, v2"]),
            (&["bearer, ", ", t"], Some("t"), &["bearer"]),
            (&["bearer, t, bearer, t"], Some("t"), &["bearer, bearer"]),
        ];
        for (lines, token, stays) in table {
            let request = request(lines);
            assert_eq!(find(&request).expect("well formed").as_deref(), *token, "{lines:?}");
            assert_eq!(left(request), *stays, "{lines:?}");
        }
    }

    #[test]
    fn a_marker_without_one_token_is_malformed() {
        for (lines, reason) in [
            (&["bearer"][..], Reason::MalformedCredential),
            (&["chat, bearer,"], Reason::MalformedCredential),
            (&["bearer, a b"], Reason::MalformedCredential),
            (&["bearer, a\"b"], Reason::MalformedCredential),
            (&["bearer, 0123456789"], Reason::CredentialTooLong),
            (&["bearer, t, bearer, u"], Reason::SeveralCredentials),
        ] {
            assert_eq!(find(&request(lines)), Err(reason), "{lines:?}");
        }
    }

    #[test]
    fn only_the_opening_of_a_websocket_is_looked_at() {
        for (method, upgrade, opens) in [
            ("GET", Some("websocket"), true),
            ("GET", Some("WebSocket"), true),
            ("GET", Some("h2c, websocket/13"), true),
            ("CONNECT", None, true),
            ("GET", None, false),
            ("GET", Some("websockets"), false),
            ("POST", Some("h2c"), false),
        ] {
            let mut request = request(&["bearer, t"]);
            *request.method_mut() = method.parse().expect("a method");
            request.headers_mut().remove(UPGRADE);
            if let Some(upgrade) = upgrade {
                request.headers_mut().insert(UPGRADE, upgrade.parse().expect("a value"));
            }
            assert_eq!(find(&request).expect("well formed").is_some(), opens, "{method} {upgrade:?}");
            assert_eq!(left(request), [if opens { "bearer" } else { "bearer, t" }], "{method} {upgrade:?}");
        }
    }

    proptest! {
        #[test]
        fn the_others_stay_in_their_order(
            before in proptest::collection::vec("[a-z0-9.]{7,9}", 0..4),
            after in proptest::collection::vec("[a-z0-9.]{7,9}", 0..4),
            token in "[A-Za-z0-9._-]{1,9}",
        ) {
            let all = [before.clone(), vec!["bearer".to_owned(), token.clone()], after.clone()].concat();
            let lines: Vec<_> = all.iter().map(String::as_str).collect();
            let stays = [before, vec!["bearer".to_owned()], after].concat().join(", ");
            for request in [request(&lines), request(&[&lines.join(", ")])] {
                prop_assert_eq!(find(&request), Ok(Some(token.clone())));
                prop_assert_eq!(left(request), [stays.clone()]);
            }
        }
    }
}
