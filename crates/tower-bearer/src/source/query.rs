//! A token in the query of the request target (RFC 6750 §2.3).

use super::found::{Carrier, Tokens};
use crate::{config::ConfigError, error::Reason};
use http::{Uri, uri::PathAndQuery};

/// The name of the parameter.
#[derive(Clone, Debug)]
pub(super) struct Parameter(Box<str>);

/// What a part of the query is to us.
enum Is<'a> {
    Token(&'a str),
    Malformed,
    Another,
}

impl Parameter {
    /// A name that never needs percent-encoding: there is one way to write it.
    pub(super) fn new(name: &str) -> Result<Self, ConfigError> {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if !name.is_empty() && name.bytes().all(unreserved) {
            Ok(Self(name.into()))
        } else {
            Err(ConfigError::InvalidParameterName(name.to_owned()))
        }
    }

    pub(super) fn find<'a>(&self, uri: &'a Uri, tokens: &mut Tokens<'a>) -> Result<(), Reason> {
        uri.query().unwrap_or_default().split('&').try_for_each(|part| match self.read(part) {
            Is::Token(token) => tokens.add(token.as_bytes(), Carrier::Query),
            Is::Malformed => Err(Reason::MalformedCredential),
            Is::Another => Ok(()),
        })
    }

    /// Takes the parameter out, and leaves the others as they are; says whether it was there.
    pub(super) fn take_out(&self, uri: &mut Uri) -> bool {
        let is_another = |part: &&str| matches!(self.read(part), Is::Another);
        let query = uri.query().unwrap_or_default();
        if query.split('&').all(|part| is_another(&part)) {
            return false;
        }
        let left = query.split('&').filter(is_another).collect::<Vec<_>>().join("&");
        let target = if left.is_empty() { uri.path().to_owned() } else { format!("{}?{left}", uri.path()) };
        *uri = with_target(uri, &target);
        true
    }

    fn read<'a>(&self, part: &'a str) -> Is<'a> {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if name == &*self.0 {
            Is::Token(value)
        } else if name.contains('%') && is_encoded(&self.0, name) {
            // Someone further in would take it for the same parameter.
            Is::Malformed
        } else {
            Is::Another
        }
    }
}

/// Whether `encoded` is `name` once it is percent-decoded.
fn is_encoded(name: &str, encoded: &str) -> bool {
    let mut rest = encoded.bytes();
    let hex = |digit: Option<u8>| char::from(digit?).to_digit(16);
    let decoded = std::iter::from_fn(|| match rest.next()? {
        b'%' => hex(rest.next()).zip(hex(rest.next())).map(|(high, low)| high * 16 + low),
        byte => Some(u32::from(byte)),
    });
    decoded.eq(name.bytes().map(u32::from))
}

/// The same address with another path and query. Parts of a good target make a good target; should that ever
/// fail, none is left rather than one with the token.
fn with_target(uri: &Uri, target: &str) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(target).ok();
    Uri::from_parts(parts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(uri: &Uri) -> Result<Option<String>, Reason> {
        let mut tokens = Tokens::new(9);
        Parameter::new("access_token").expect("a name").find(uri, &mut tokens)?;
        Ok(tokens.into_one()?.map(std::borrow::Cow::into_owned))
    }

    fn left(uri: &str) -> String {
        let mut uri = uri.parse().expect("a URI");
        Parameter::new("access_token").expect("a name").take_out(&mut uri);
        uri.to_string()
    }

    #[test]
    fn the_parameter_is_found_and_taken_out() {
        for (uri, token, stays) in [
            ("/", None, "/"),
            ("/a?", None, "/a?"),
            ("/a?b=c", None, "/a?b=c"),
            ("/a?access_token=t", Some("t"), "/a"),
            ("/a?b=c&access_token=t", Some("t"), "/a?b=c"),
            ("/a?access_token=t&b=c&&d=%20?", Some("t"), "/a?b=c&&d=%20?"),
            ("/a?access_token=t=", Some("t="), "/a"),
            ("http://x:1/a?access_token=t&b", Some("t"), "http://x:1/a?b"),
            ("/a?Access_Token=t", None, "/a?Access_Token=t"),
            ("/a?xaccess_token=t", None, "/a?xaccess_token=t"),
            ("/a?filter%5Bname%5D=x&access_token=t", Some("t"), "/a?filter%5Bname%5D=x"),
            ("/a?%61ccess_tokens=t", None, "/a?%61ccess_tokens=t"),
            ("/a?access%5Ftoke=t", None, "/a?access%5Ftoke=t"),
            ("/access_token=t?b", None, "/access_token=t?b"),
        ] {
            assert_eq!(find(&uri.parse().expect("a URI")).expect("well formed").as_deref(), token, "{uri}");
            assert_eq!(left(uri), stays, "{uri}");
        }
    }

    #[test]
    fn only_one_plain_b64token_is_read() {
        for (uri, reason) in [
            ("/?access_token", Reason::MalformedCredential),
            ("/?access_token=", Reason::MalformedCredential),
            ("/?access_token=%74", Reason::MalformedCredential),
            ("/?access_token=a,b", Reason::MalformedCredential),
            ("/?access%5Ftoken=t", Reason::MalformedCredential),
            ("/?%61ccess_token=t", Reason::MalformedCredential),
            ("/?access_token=t&access%5ftoken=t", Reason::MalformedCredential),
            ("/?access_token=t&access_token=t", Reason::SeveralCredentials),
            ("/?access_token=0123456789", Reason::CredentialTooLong),
        ] {
            assert_eq!(find(&uri.parse().expect("a URI")), Err(reason), "{uri}");
            assert_eq!(left(uri), "/", "{uri}");
        }
        for bad in ["", "a b", "a%20", "a=b", "é", "a[]"] {
            assert!(Parameter::new(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_other_parameters_stay_as_they_were(
            before in proptest::collection::vec("[a-z]{1,4}(=[a-z0-9%+/?]{0,6})?", 0..4),
            after in proptest::collection::vec("[a-z]{1,4}(=[a-z0-9%+/?]{0,6})?", 0..4),
        ) {
            let with = [before.clone(), vec!["access_token=t".to_owned()], after.clone()].concat().join("&");
            let without = [before, after].concat().join("&");
            let expected = if without.is_empty() { "/p".to_owned() } else { format!("/p?{without}") };
            prop_assert_eq!(left(&format!("/p?{with}")), expected);
        }
    }
}
