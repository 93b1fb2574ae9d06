//! The keys of an issuer, and their rotation.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::{Algorithm, SigningKey};

/// The keys of an issuer: which one signs, which are published.
#[derive(Debug)]
pub(crate) struct Keyring(Mutex<Keys>);

#[derive(Debug)]
struct Keys {
    current: Option<SigningKey>,
    published: Vec<SigningKey>,
    /// Served in place of the published keys.
    document: Option<String>,
    /// How many keys there have been, to number the next.
    count: usize,
}

impl Keyring {
    pub(crate) fn new(keys: impl IntoIterator<Item = SigningKey>) -> Self {
        let published: Vec<_> = keys.into_iter().collect();
        let current = published.first().cloned();
        Self(Mutex::new(Keys { current, count: published.len(), published, document: None }))
    }

    pub(crate) fn current(&self) -> Option<SigningKey> {
        self.lock().current.clone()
    }

    pub(crate) fn published(&self) -> Vec<SigningKey> {
        self.lock().published.clone()
    }

    pub(crate) fn rotate(&self) -> SigningKey {
        let algorithm = self.current().map_or(Algorithm::ES256, |key| key.algorithm());
        // Generated before the lock is taken: an RSA key takes long, and requests wait for the lock.
        let key = SigningKey::generate(algorithm);
        let mut keys = self.lock();
        let key = key.kid(format!("key-{}", keys.count + 1));
        keys.rotate_to(key.clone());
        key
    }

    pub(crate) fn rotate_to(&self, key: SigningKey) {
        self.lock().rotate_to(key);
    }

    pub(crate) fn add(&self, key: SigningKey) {
        self.lock().add(key);
    }

    pub(crate) fn remove(&self, kid: &str) {
        let mut keys = self.lock();
        keys.document = None;
        keys.published.retain(|key| key.id() != Some(kid));
    }

    pub(crate) fn publish(&self, document: String) {
        self.lock().document = Some(document);
    }

    pub(crate) fn publish_keys(&self) {
        self.lock().document = None;
    }

    /// What the JWKS endpoint answers: RFC 7517 §5, unless something else is published.
    pub(crate) fn document(&self) -> String {
        let keys = self.lock();
        keys.document.clone().unwrap_or_else(|| {
            // An HMAC secret is never among the keys an issuer shows.
            let shown = keys.published.iter().filter(|key| !key.is_secret());
            json!({ "keys": shown.map(SigningKey::public_jwk).collect::<Vec<_>>() }).to_string()
        })
    }

    /// The document as JSON, or as a JSON string when it is not JSON.
    pub(crate) fn jwks(&self) -> Value {
        let document = self.document();
        serde_json::from_str(&document).unwrap_or(Value::String(document))
    }

    /// Every change is made whole under the lock, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    fn add(&mut self, key: SigningKey) {
        self.document = None;
        self.count += 1;
        self.published.push(key);
    }

    fn rotate_to(&mut self, key: SigningKey) {
        self.current = Some(key.clone());
        self.add(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kids(keyring: &Keyring) -> Vec<String> {
        let jwks = keyring.jwks();
        jwks["keys"].as_array().unwrap().iter().map(|jwk| jwk["kid"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn rotation_publishes_the_new_key_beside_the_old() {
        let keyring = Keyring::new([SigningKey::generate(Algorithm::EdDSA).kid("key-1")]);
        let second = keyring.rotate();
        assert_eq!((second.id(), second.algorithm()), (Some("key-2"), Algorithm::EdDSA));
        assert_eq!(keyring.current().unwrap().id(), Some("key-2"));
        assert_eq!(kids(&keyring), ["key-1", "key-2"]);
        keyring.remove("key-1");
        assert_eq!(kids(&keyring), ["key-2"]);
        assert_eq!(keyring.rotate().id(), Some("key-3"));
    }

    #[test]
    fn added_key_is_published_and_does_not_sign() {
        let keyring = Keyring::new([SigningKey::generate(Algorithm::EdDSA).kid("a")]);
        keyring.add(SigningKey::generate(Algorithm::ES256).kid("b"));
        assert_eq!(keyring.current().unwrap().id(), Some("a"));
        assert_eq!(kids(&keyring), ["a", "b"]);
    }

    #[test]
    fn removed_key_still_signs() {
        let keyring = Keyring::new([SigningKey::generate(Algorithm::EdDSA).kid("a")]);
        keyring.remove("a");
        assert_eq!(keyring.current().unwrap().id(), Some("a"));
        assert!(kids(&keyring).is_empty());
    }

    #[test]
    fn empty_ring_signs_nothing_until_rotated() {
        let keyring = Keyring::new([]);
        assert!(keyring.current().is_none());
        assert_eq!(keyring.rotate().id(), Some("key-1"));
        assert_eq!(keyring.current().unwrap().algorithm(), Algorithm::ES256);
    }

    #[test]
    fn hmac_secret_is_never_published() {
        let keyring = Keyring::new([SigningKey::generate(Algorithm::HS256)]);
        assert_eq!(keyring.jwks(), json!({ "keys": [] }));
    }

    #[test]
    fn document_stands_until_the_keys_change() {
        type Change = fn(&Keyring);
        let changes: [(&str, Change); 5] = [
            ("rotate", |keyring| drop(keyring.rotate())),
            ("rotate_to", |keyring| keyring.rotate_to(SigningKey::generate(Algorithm::EdDSA))),
            ("add", |keyring| keyring.add(SigningKey::generate(Algorithm::EdDSA))),
            ("remove", |keyring| keyring.remove("unknown")),
            ("publish_keys", Keyring::publish_keys),
        ];
        for (name, change) in changes {
            let keyring = Keyring::new([SigningKey::generate(Algorithm::EdDSA)]);
            keyring.publish("<html>".to_owned());
            assert_eq!(keyring.jwks(), json!("<html>"));
            change(&keyring);
            assert!(keyring.jwks()["keys"].is_array(), "{name}");
        }
    }
}
