//! [`Keyring`]: sessions are encrypted before a store gets to see them.

use crate::{random, store::Key};
use base64::{
    Engine as _, alphabet,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD},
    },
};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use sha2::{Digest as _, Sha256};
use std::{error::Error, fmt};
use zeroize::Zeroizing;

/// The first byte of what is sealed.
const FORMAT: u8 = 1;
const KEY_ID: usize = 4;
const NONCE: usize = 24;
const HEAD: usize = 1 + KEY_ID + NONCE;

/// As people paste it.
const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);

/// The keys by which sessions are encrypted at rest: one for writing, and old ones that are still read.
///
/// Each is a secret of 32 random bytes, the same in all processes that share a store. To change it, first let
/// all processes read the new one (`also`), then let them write it, and take the old one away when the
/// longest session is over: what is refreshed meanwhile is written anew.
///
/// A session that does not open with any of them is unavailable for the first ten minutes after it was
/// written, since a key that was just rolled out may yet arrive. From then on it is over for this process,
/// and the user signs in again; the row stays, for those who have the key.
///
/// ```
/// use bearer_session::Keyring;
///
/// # let variable = |name: &str| match name {
/// #     "SESSION_KEY" => Some("iNdPgDvxRjVEMmqGVhoLuE4X6Mt8u-bqcU03g5B2Wa4".to_owned()),
/// #     _ => Some("oszM9c0XZjnF9pGdrl2NoLOwkn5hDBgR2QjGm7J+9SA=\n".to_owned()),
/// # };
/// // Each 32 bytes, from `openssl rand -base64 32`. `variable` is `|name| std::env::var(name).ok()`.
/// let mut keyring = Keyring::from_text(&variable("SESSION_KEY").ok_or("SESSION_KEY is not set")?)?;
/// if let Some(old) = variable("SESSION_KEY_OLD") {
///     keyring = keyring.also_from_text(&old)?;
/// }
///
/// let refused = Keyring::from_text("correct horse battery staple").unwrap_err();
/// assert!(!refused.to_string().contains("horse"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Sealing is XChaCha20-Poly1305 with a random nonce, bound to the row and the generation: what was copied to
/// another row, or to another generation of its own, does not open. A row that was put back whole, with its
/// generation, does.
pub struct Keyring {
    current: SealingKey,
    old: Vec<SealingKey>,
}

/// A text is no key of a [`Keyring`]. It is not shown: it may be nearly right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidSealingKey(Flaw);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flaw {
    NotBase64,
    /// So many bytes.
    Length(usize),
}

struct SealingKey {
    /// Tells which key to try. A digest of the key, so that nobody needs to name keys.
    id: [u8; KEY_ID],
    cipher: XChaCha20Poly1305,
}

impl Keyring {
    /// Writes and reads with this secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self { current: SealingKey::new(secret), old: Vec::new() }
    }

    /// Also reads what was sealed with this one.
    #[must_use]
    pub fn also(mut self, secret: &[u8; 32]) -> Self {
        self.old.push(SealingKey::new(secret));
        self
    }

    /// As [`new`](Self::new), with a secret from an environment variable or a file: 32 bytes in base64url or
    /// base64 (RFC 4648 §5, §4), padded or not. White space around it is left out.
    ///
    /// # Errors
    /// When it is neither, or the bytes are more or fewer. The error does not show the text.
    pub fn from_text(text: &str) -> Result<Self, InvalidSealingKey> {
        secret(text).map(|secret| Self::new(&secret))
    }

    /// As [`also`](Self::also), with a secret as [`from_text`](Self::from_text) reads it.
    ///
    /// # Errors
    /// As there.
    pub fn also_from_text(self, text: &str) -> Result<Self, InvalidSealingKey> {
        secret(text).map(|secret| self.also(&secret))
    }

    /// A secret that nobody knows: what it seals can be read by this process alone, and ends with it. For
    /// tests, and for a [`MemoryStore`](crate::store::MemoryStore), which ends with the process too.
    ///
    /// With a store that several instances share, give all of them the same one
    /// ([`from_text`](Self::from_text)): what one writes here, each other answers with 503 for ten minutes, and
    /// with 401 from then on.
    ///
    /// # Panics
    /// When the operating system has no randomness.
    pub fn random() -> Self {
        Self::new(&Zeroizing::new(random::bytes()))
    }

    pub(crate) fn seal(&self, key: &Key, generation: u64, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE] = random::bytes();
        let aad = associated(key, generation);
        let payload = Payload { msg: plain, aad: &aad };
        let encrypted = self
            .current
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("XChaCha20 takes 256 GB, more than there is memory");
        let mut sealed = Vec::with_capacity(HEAD + encrypted.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&self.current.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&encrypted);
        sealed
    }

    /// `None` where it was not sealed with one of these keys, for this row and this generation.
    pub(crate) fn open(&self, key: &Key, generation: u64, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (head, encrypted) = sealed.split_at_checked(HEAD)?;
        let [FORMAT, head @ ..] = head else { return None };
        let (id, nonce) = head.split_at_checked(KEY_ID)?;
        let nonce = XNonce::from(<[u8; NONCE]>::try_from(nonce).ok()?);
        let aad = associated(key, generation);
        // Two keys may have one id, if hardly ever.
        std::iter::once(&self.current).chain(&self.old).filter(|key| key.id == id).find_map(|key| {
            let payload = Payload { msg: encrypted, aad: &aad };
            key.cipher.decrypt(&nonce, payload).ok().map(Zeroizing::new)
        })
    }
}

/// Those that decode read all lengths: only the right one is a key.
fn secret(text: &str) -> Result<Zeroizing<[u8; 32]>, InvalidSealingKey> {
    let text = text.trim_ascii();
    let bytes = BASE64URL.decode(text).or_else(|_| BASE64.decode(text));
    let bytes = Zeroizing::new(bytes.map_err(|_| InvalidSealingKey(Flaw::NotBase64))?);
    let mut secret = Zeroizing::new([0; 32]);
    if bytes.len() != secret.len() {
        return Err(InvalidSealingKey(Flaw::Length(bytes.len())));
    }
    secret.copy_from_slice(&bytes);
    Ok(secret)
}

impl fmt::Display for InvalidSealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a key for sessions is 32 bytes in base64url or base64, as of `openssl rand -base64 32`; ",
        )?;
        match self.0 {
            Flaw::NotBase64 => f.write_str("this text is neither"),
            Flaw::Length(bytes) => write!(f, "these are {bytes} bytes"),
        }
    }
}

impl Error for InvalidSealingKey {}

impl SealingKey {
    fn new(secret: &[u8; 32]) -> Self {
        let digest = Sha256::new().chain_update("bearer-session key id").chain_update(secret).finalize();
        let mut id = [0; KEY_ID];
        id.copy_from_slice(&digest[..KEY_ID]);
        Self { id, cipher: XChaCha20Poly1305::new(secret.into()) }
    }
}

/// What must be the same when it is opened.
fn associated(key: &Key, generation: u64) -> [u8; 41] {
    let mut aad = [0; 41];
    aad[0] = FORMAT;
    aad[1..33].copy_from_slice(key.as_bytes());
    aad[33..].copy_from_slice(&generation.to_be_bytes());
    aad
}

/// Which keys, by a digest of each.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |key: &SealingKey| URL_SAFE_NO_PAD.encode(key.id);
        f.debug_struct("Keyring")
            .field("current", &name(&self.current))
            .field("old", &self.old.iter().map(name).collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn row() -> Key {
        Key::of("session", "a")
    }

    #[test]
    fn an_old_key_still_opens_and_the_current_one_seals() {
        let (old, new) = (Keyring::new(&[1; 32]), Keyring::new(&[2; 32]).also(&[1; 32]));
        let sealed = old.seal(&row(), 3, b"tokens");
        assert_eq!(new.open(&row(), 3, &sealed).unwrap().as_slice(), b"tokens");
        let sealed = new.seal(&row(), 4, b"tokens");
        assert_eq!(new.open(&row(), 4, &sealed).unwrap().as_slice(), b"tokens");
        assert!(old.open(&row(), 4, &sealed).is_none());
    }

    #[test]
    fn keys_of_one_id_are_all_tried() {
        let mut keyring = Keyring::new(&[1; 32]).also(&[2; 32]);
        let sealed = Keyring::new(&[2; 32]).seal(&row(), 0, b"tokens");
        keyring.current.id = keyring.old[0].id;
        assert!(keyring.open(&row(), 0, &sealed).is_some());
    }

    #[test]
    fn a_key_is_read_as_people_write_it_and_no_error_shows_it() {
        let ones = [0xff; 32];
        let url = URL_SAFE_NO_PAD.encode(ones);
        let is = |keyring: Keyring| keyring.current.id == SealingKey::new(&ones).id;
        let with = |from: &str, to: &str| url.replace(from, to);
        for good in [url.clone(), format!("{url}="), with("_", "/"), format!(" {}=\r\n", with("_", "/"))] {
            assert!(Keyring::from_text(&good).is_ok_and(is), "{good}");
            let old = Keyring::new(&[1; 32]).also_from_text(&good).unwrap();
            assert_eq!(old.old[0].id, SealingKey::new(&ones).id);
        }
        let hex = "f".repeat(64);
        for (bad, said) in [
            (String::new(), "these are 0 bytes"),
            (url[4..].to_owned(), "these are 29 bytes"),
            (format!("{url}AAAA"), "these are 35 bytes"),
            (hex, "these are 48 bytes"),
            (url[1..].to_owned(), "this text is neither"),
            (url.replacen('_', "/", 1), "this text is neither"),
            (format!("{url}=="), "this text is neither"),
            (format!("{} {}", &url[..9], &url[9..]), "this text is neither"),
            ("correct horse battery staple".to_owned(), "this text is neither"),
        ] {
            let error = Keyring::from_text(&bad).unwrap_err();
            assert!(error.to_string().ends_with(said), "{bad}: {error}");
            assert!(Keyring::new(&ones).also_from_text(&bad).is_err());
            assert!(bad.is_empty() || !format!("{error} {error:?}").contains(&bad), "{error:?}");
        }
    }

    #[test]
    fn debug_does_not_print_the_secret() {
        let debug = format!("{:?}", Keyring::new(&[7; 32]).also(&[8; 32]));
        assert_eq!(debug, r#"Keyring { current: "ipU_6g", old: ["wp88bg"] }"#);
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_for_its_row_and_generation_alone(
            plain in vec(any::<u8>(), 0..200), generation: u64, other_generation: u64, name in ".*",
        ) {
            let keyring = Keyring::new(&[1; 32]);
            let sealed = keyring.seal(&row(), generation, &plain);
            let opened = keyring.open(&row(), generation, &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), &plain[..]);
            prop_assert!(keyring.open(&Key::of("other", &name), generation, &sealed).is_none());
            let other = keyring.open(&row(), other_generation, &sealed);
            prop_assert_eq!(other.is_some(), other_generation == generation);
            prop_assert!(Keyring::new(&[2; 32]).open(&row(), generation, &sealed).is_none());
        }

        #[test]
        fn what_was_changed_or_cut_does_not_open(at: prop::sample::Index, flip in 1..=255_u8) {
            let keyring = Keyring::new(&[1; 32]);
            let sealed = keyring.seal(&row(), 1, b"tokens");
            let mut changed = sealed.clone();
            changed[at.index(sealed.len())] ^= flip;
            prop_assert!(keyring.open(&row(), 1, &changed).is_none());
            prop_assert!(keyring.open(&row(), 1, &sealed[..at.index(sealed.len())]).is_none());
        }

        #[test]
        fn any_key_is_read_and_text_of_any_kind_is_one_or_none(key: [u8; 32], text in "\\PC{0,50}|[A-Za-z0-9_=+/-]{40,46}") {
            let read = secret(&URL_SAFE_NO_PAD.encode(key)).unwrap();
            prop_assert_eq!(*read, key);
            if let Ok(read) = secret(&text) {
                let written = URL_SAFE_NO_PAD.encode(*read);
                let plain = text.trim_ascii().trim_end_matches('=').replace('+', "-").replace('/', "_");
                prop_assert_eq!(written, plain);
            }
        }

        #[test]
        fn garbage_does_not_open(garbage in vec(any::<u8>(), 0..200)) {
            let keyring = Keyring::new(&[1; 32]);
            prop_assert!(keyring.open(&row(), 1, &garbage).is_none());
            let mut with_head = keyring.seal(&row(), 1, b"")[..HEAD].to_vec();
            with_head.extend_from_slice(&garbage);
            prop_assert!(keyring.open(&row(), 1, &with_head).is_none());
        }
    }
}
