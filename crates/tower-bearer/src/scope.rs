//! Scope tokens and lists of them (RFC 6749 §3.3).

use std::sync::Arc;

/// A list of scope tokens, each valid, separated by one space. Cheap to clone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ScopeList(Arc<str>);

impl ScopeList {
    /// Refuses an empty list and whatever is not a scope token: the text goes into a challenge as it is.
    pub(crate) fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidScope> {
        let mut list = String::new();
        for token in tokens {
            if !is_scope_token(token) {
                return Err(InvalidScope);
            }
            if !list.is_empty() {
                list.push(' ');
            }
            list.push_str(token);
        }
        if list.is_empty() { Err(InvalidScope) } else { Ok(Self(list.into())) }
    }

    /// Leaves out what is not a scope token; `None` when nothing is left.
    pub(crate) fn of_valid<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        Self::new(tokens.into_iter().filter(|token| is_scope_token(token))).ok()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ')
    }
}

#[derive(Debug)]
pub(crate) struct InvalidScope;

/// `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )` (RFC 6749 §3.3).
pub(crate) const fn is_scope_token(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !matches!(bytes[at], 0x21 | 0x23..=0x5B | 0x5D..=0x7E) {
            return false;
        }
        at += 1;
    }
    !bytes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scope_tokens_make_a_list() {
        for good in ["read", "orders:read", "https://api.example/read", "!"] {
            assert!(ScopeList::new([good]).is_ok(), "{good:?}");
        }
        for bad in ["", " ", "a b", "a\"b", "a\\b", "a\tb", "é", "a\u{7f}"] {
            assert!(ScopeList::new([bad]).is_err(), "{bad:?}");
        }
        assert!(ScopeList::new([]).is_err());
        assert_eq!(ScopeList::new(["a", "b"]).expect("valid").as_str(), "a b");
    }
}
