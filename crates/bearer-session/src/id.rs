//! [`SessionId`]: what the browser knows of its session.

use crate::{Secret, random, store::Key};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// What the browser knows of its session: 32 random bytes, as text in base64url without padding, 43
/// characters.
///
/// Whoever knows it is signed in. The store knows its [`Key`] alone, which does not lead back, and no `Debug`
/// shows it.
///
/// ```
/// use bearer_session::SessionId;
///
/// let id = SessionId::random();
/// assert_eq!(SessionId::parse(id.to_text().expose()), Some(id));
/// assert_eq!(SessionId::parse("a-guess"), None);
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// A new one that nobody can guess.
    ///
    /// # Panics
    /// When the operating system has no randomness.
    pub fn random() -> Self {
        Self(random::bytes())
    }

    /// Reads the text of one, as [`to_text`](Self::to_text) writes it and no other way. `None` for anything
    /// else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut id = Self([0; 32]);
        match URL_SAFE_NO_PAD.decode_slice(text, &mut id.0) {
            Ok(32) => Some(id),
            _ => None,
        }
    }

    /// Its text, for the cookie alone.
    pub fn to_text(&self) -> Secret {
        Secret::new(URL_SAFE_NO_PAD.encode(self.0))
    }

    /// The name of the session in the store.
    #[allow(clippy::missing_panics_doc, reason = "32 bytes are always 43 characters")]
    pub fn key(&self) -> Key {
        // Asked for by every request: the text lies on the stack.
        let mut text = Zeroizing::new([0; 43]);
        let written = URL_SAFE_NO_PAD.encode_slice(self.0, &mut *text).ok();
        let text = written.and_then(|length| str::from_utf8(text.get(..length)?).ok());
        Key::of("session", text.expect("32 bytes are 43 characters of base64url"))
    }
}

impl From<&SessionId> for Key {
    fn from(id: &SessionId) -> Self {
        id.key()
    }
}

impl Drop for SessionId {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_are_never_the_same_and_neither_are_their_keys() {
        let (one, other) = (SessionId::random(), SessionId::random());
        assert_ne!(one, other);
        assert_ne!(one.key(), other.key());
        assert_eq!(one.to_text().expose().len(), 43);
    }

    #[test]
    fn debug_does_not_print_it() {
        assert_eq!(format!("{:?}", SessionId::random()), "SessionId(..)");
    }

    proptest! {
        #[test]
        fn any_text_is_read_one_way_or_not_at_all(text in "[A-Za-z0-9_=+/-]{40,46}|.{0,50}") {
            if let Some(id) = SessionId::parse(&text) {
                let written = id.to_text();
                prop_assert_eq!(written.expose(), text);
            }
        }

        #[test]
        fn what_is_written_is_read(bytes: [u8; 32]) {
            let id = SessionId(bytes);
            prop_assert_eq!(id.key(), Key::of("session", id.to_text().expose()));
            prop_assert_eq!(SessionId::parse(id.to_text().expose()), Some(id));
        }
    }
}
