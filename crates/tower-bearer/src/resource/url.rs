//! Which texts are URLs that may stand in the document and in a challenge.
//!
//! Only the characters of a URI (RFC 3986 §2) pass, and so nothing that would need quoting in a header.

use http::{Uri, uri::Authority};
use std::net::IpAddr;

/// Whether it identifies a resource or an issuer: `https`, or `http` on a loopback host, and spelt so that a
/// client that parses and prints it gets the same text.
pub(super) fn is_identifier(text: &str) -> bool {
    let is_canonical = |authority: &str, path: &str| {
        !authority.bytes().any(|byte| byte.is_ascii_uppercase()) && !path.split('/').any(is_dot_segment)
    };
    !text.contains(['?', '#'])
        && is_web(text)
        && {
            let (origin, path) = split(text);
            is_canonical(origin, path)
        }
        && (text.starts_with("https://") || (text.starts_with("http://") && is_loopback(text)))
}

/// Whether it is a page that a browser may be sent to.
pub(super) fn is_page(text: &str) -> bool {
    is_web(text)
}

/// The scheme and authority, and the path that follows, which is empty for the root.
pub(super) fn split(identifier: &str) -> (&str, &str) {
    let authority = identifier.find("://").map_or(0, |at| at + "://".len());
    let path = identifier[authority..].find('/').map_or(identifier.len(), |at| authority + at);
    let (origin, path) = identifier.split_at(path);
    (origin, if path == "/" { "" } else { path })
}

/// `http` or `https`, a host, no user, and only characters of a URI.
fn is_web(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    is_http && has_uri_characters(text) && uri.authority().is_some_and(is_host_and_port)
}

fn is_host_and_port(authority: &Authority) -> bool {
    let port = authority.as_str().strip_prefix(authority.host());
    let port_is_valid = match port.map(|rest| rest.strip_prefix(':').ok_or(rest)) {
        Some(Ok(digits)) => digits.parse::<u16>().is_ok() && !digits.starts_with(['+', '0']),
        Some(Err(rest)) => rest.is_empty(),
        // There is a user before the host.
        None => false,
    };
    !authority.host().is_empty() && port_is_valid
}

fn is_loopback(text: &str) -> bool {
    let host = text.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Clients resolve them away, and compare what is left.
fn is_dot_segment(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

/// RFC 3986 §2: unreserved, reserved, and `%` with two hex digits.
fn has_uri_characters(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte);
    let bytes = text.as_bytes();
    bytes.iter().enumerate().all(|(at, &byte)| {
        let is_escape = || {
            byte == b'%' && bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
        };
        is_plain(byte) || is_escape()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rs_111_an_identifier_is_an_https_url_in_the_spelling_of_clients() {
        for good in [
            "https://api.example",
            "https://api.example/",
            "https://api.example/mcp",
            "https://api.example/mcp/",
            "https://api.example:8443/a/mcp",
            "https://10.0.0.1/mcp",
            "https://[2001:db8::1]/mcp",
            "https://api.example/a%20b/~c;d=e",
            "https://api.example/a%20",
            "https://api.example/a://b",
            "http://localhost:3000/mcp",
            "http://127.0.0.1:3000/mcp",
            "http://[::1]/mcp",
        ] {
            assert!(is_identifier(good), "{good}");
        }
        for bad in [
            "",
            "/mcp",
            "api.example/mcp",
            "https://",
            "https:///mcp",
            "http://api.example/mcp",
            "http://localhost.evil.example/mcp",
            "http://127.0.0.1.evil.example/mcp",
            "http://localhost@evil.example/mcp",
            "ftp://api.example/mcp",
            "HTTPS://api.example/mcp",
            "https://API.example/mcp",
            "https://user@api.example/mcp",
            "https://user:secret@api.example/mcp",
            "https://api.example:/mcp",
            "https://api.example:0/mcp",
            "https://api.example:65536/mcp",
            "https://api.example/mcp?x=1",
            "https://api.example/mcp?",
            "https://api.example/mcp#x",
            "https://api.example/mcp#",
            "https://api.example/a/../mcp",
            "https://api.example/a/%2E./mcp",
            "https://api.example/.",
            "https://api.example/a b",
            "https://api.example/a\"b",
            "https://api.example/a\\b",
            "https://api.example/{a}",
            "https://api.example/%zz",
            "https://api.example/%0z",
            "https://api.example/%z0",
            "https://api.example/%2",
            "https://api.example/é",
            "https://api.example/\r\nx: y",
        ] {
            assert!(!is_identifier(bad), "{bad:?}");
        }
    }
}
