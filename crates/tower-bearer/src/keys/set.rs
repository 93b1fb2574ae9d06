//! A set of verification keys, each for exactly one algorithm.

#[cfg(feature = "pem")]
use super::SkipReason;
use super::{KeySetError, SkippedKey, jwk};
use crate::{
    error::Reason,
    jwt::{Algorithm, from_object, signature::PublicKey},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{collections::HashSet, sync::Arc};

/// The most keys that one set may have.
const MAX_KEYS: usize = 100;

/// The longest `kid`, in bytes, of a key and of a token: issuers take digests and UUIDs, and each is compared
/// with those of up to a hundred keys, by whoever sends a token.
pub(crate) const LONGEST_KID: usize = 256;

/// The most keys that are tried on one token.
const MAX_TRIES: usize = 4;

/// A set of public keys, parsed when it is built, so that a request parses none.
///
/// A token with a `kid` is tried against the keys with that `kid`, or, if there are none, against those
/// without one; a token without a `kid` against all. At most four keys of the token's algorithm are tried: an
/// issuer that publishes more must name them. A key with an `issuer` (Microsoft Entra, where tenants share a
/// set) is tried for that issuer alone. A `kid` has up to 256 bytes.
#[derive(Debug, Default)]
pub struct KeySet {
    /// One entry for each key and algorithm; an RSA key without `alg` has six.
    keys: Vec<Arc<Key>>,
    /// Where in `keys` each `kid` stands first: found out once, since whoever asks for them may be anybody.
    names: Vec<usize>,
    /// How many keys of the set that are.
    count: usize,
    skipped: Vec<SkippedKey>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) kid: Option<Box<str>>,
    /// The one issuer that the key signs for, where the set says so.
    pub(crate) issuer: Option<Box<str>>,
    pub(crate) public: PublicKey,
}

/// What a token says of the key that signed it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meant<'a> {
    /// By the name of the issuer whose keys are asked.
    pub(crate) iss: &'a str,
    pub(crate) kid: Option<&'a str>,
    pub(crate) algorithm: Algorithm,
}

impl Key {
    /// A set that several tenants share says of each key whose tokens it signs: one tenant's, or, with
    /// `{tenantid}` in place of the tenant, every one's (Microsoft Entra).
    fn signs_for(&self, iss: &str) -> bool {
        const TENANT: &str = "{tenantid}";
        let Some(issuer) = self.issuer.as_deref() else { return true };
        match issuer.split_once(TENANT) {
            None => issuer == iss,
            Some((before, after)) => iss
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(|tenant| !tenant.is_empty() && !tenant.contains('/')),
        }
    }
}

#[derive(Deserialize)]
struct JwkSet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl KeySet {
    /// Parses a JWK Set (RFC 7517 §5). Keys that cannot be used are [skipped](Self::skipped); a set of which
    /// nothing is left is empty, not an error.
    ///
    /// # Errors
    /// When the text as a whole is not a JWK Set, or has more than 100 keys.
    pub fn from_jwks(json: &str) -> Result<Self, KeySetError> {
        Self::filtered(json).map(|(set, _)| set)
    }

    /// As [`from_jwks`](Self::from_jwks), and the JWK Set once more with only those keys that are used: what
    /// may be written down, since what an issuer published by mistake (private parts, shared secrets) is not
    /// among them.
    ///
    /// # Errors
    /// As for [`from_jwks`](Self::from_jwks).
    pub fn filtered(json: &str) -> Result<(Self, String), KeySetError> {
        let set: JwkSet<'_> = from_object(json).map_err(|_| KeySetError::NotAJwkSet)?;
        if set.keys.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        let mut parsed = Self::default();
        let mut used = Vec::new();
        for raw in set.keys {
            match jwk::parse(raw.get()) {
                Ok(keys) => {
                    parsed.keys.extend(keys.into_iter().map(Arc::new));
                    parsed.count += 1;
                    used.push(raw.get());
                }
                Err(reason) => parsed.skipped.push(SkippedKey { kid: jwk::kid_of(raw.get()), reason }),
            }
        }
        parsed.note_names();
        Ok((parsed, format!(r#"{{"keys":[{}]}}"#, used.join(","))))
    }

    /// Parses public keys in PEM (`-----BEGIN PUBLIC KEY-----`), one or several. They have no `kid`, and are
    /// tried on tokens of any `kid`, no more than four of an algorithm; an RSA key is good for all RSA
    /// algorithms.
    ///
    /// # Errors
    /// When there is none, or one that cannot be used: a set that somebody wrote by hand has no odd keys.
    #[cfg(feature = "pem")]
    pub fn from_pem(text: &str) -> Result<Self, SkipReason> {
        let mut parsed = Self::default();
        for block in super::pem::blocks(text) {
            parsed.keys.extend(super::pem::parse(block)?.into_iter().map(Arc::new));
            parsed.count += 1;
        }
        if parsed.is_empty() { Err(SkipReason::Malformed("no PEM block")) } else { Ok(parsed) }
    }

    /// Whether no key of the set can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys are in use, those without a `kid` among them.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The `kid`s of the keys in use, in the order of the set, each once.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|at| self.keys.get(*at)?.kid.as_deref())
    }

    /// Whether a key in use has this `kid`.
    pub fn has_id(&self, kid: &str) -> bool {
        self.ids().any(|id| id == kid)
    }

    fn note_names(&mut self) {
        let mut seen = HashSet::new();
        let kids = self.keys.iter().map(|key| key.kid.as_deref()).enumerate();
        self.names =
            kids.filter(|(_, kid)| kid.is_some_and(|kid| seen.insert(kid))).map(|(at, _)| at).collect();
    }

    /// The keys that are not used, and why.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// Takes over the keys that stay from the set before: they are the same keys, and not only equal ones.
    pub(super) fn keep_of(&mut self, before: &Self) {
        for key in &mut self.keys {
            if let Some(same) = before.keys.iter().find(|other| *other == key) {
                *key = Arc::clone(same);
            }
        }
    }

    /// Whether this very key is one of the set.
    pub(crate) fn has(&self, key: &Arc<Key>) -> bool {
        self.keys.iter().any(|other| Arc::ptr_eq(other, key))
    }

    /// Which of the keys that the token may mean made the signature: those of its `kid`, or those that have
    /// none; for a token without `kid`, all. Only keys for its issuer and its algorithm are tried, and only a
    /// few.
    pub(crate) fn signer(
        &self,
        Meant { iss, kid, algorithm }: Meant<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<&Arc<Key>, Reason> {
        let keys = || self.keys.iter().filter(|key| key.signs_for(iss));
        let try_keys = |meant: fn(&Key, Option<&str>) -> bool| {
            let mut tries = keys()
                .filter(|key| meant(key, kid) && key.public.algorithm() == algorithm)
                .take(MAX_TRIES)
                .peekable();
            let any = tries.peek().is_some();
            match tries.find(|key| key.public.verify(message, signature)) {
                Some(key) => Ok(key),
                None if any => Err(Reason::Signature),
                None => Err(Reason::KeyAlgorithm),
            }
        };
        if kid.is_none() {
            try_keys(|_, _| true)
        } else if keys().any(|key| key.kid.as_deref() == kid) {
            try_keys(|key, kid| key.kid.as_deref() == kid)
        } else {
            try_keys(|key, _| key.kid.is_none()).map_err(|_| Reason::UnknownKey)
        }
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
impl KeySet {
    /// Whether there is such a key.
    pub(crate) fn verify(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Reason> {
        self.signer(Meant { iss: "", kid, algorithm }, message, signature).map(drop)
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use super::*;
    use bearer_testing::{Algorithm as Test, SigningKey};
    use serde_json::{Value, json};

    const ED25519: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn set(keys: &[Value]) -> KeySet {
        KeySet::from_jwks(&json!({ "keys": keys }).to_string()).expect("a set")
    }

    fn without(mut jwk: Value, member: &str) -> Value {
        jwk.as_object_mut().expect("a JWK").remove(member);
        jwk
    }

    #[test]
    fn rs_074_only_an_object_with_one_array_of_keys_is_a_set() {
        let deep = format!(r#"{{"keys":{}"#, "[".repeat(100_000));
        let closed = format!(r#"{{"keys":[{}{}]}}"#, "[".repeat(100_000), "]".repeat(100_000));
        for good in [r#"{"keys":[]}"#, r#" {"x":{"y":[1]},"keys":[],"z":null}"#, &closed] {
            assert!(KeySet::from_jwks(good).is_ok_and(|set| set.is_empty()), "{good:.40}");
        }
        let bad = [
            "",
            "null",
            "[]",
            "[[]]",
            "{}",
            r#""keys""#,
            r#"{"keys":null}"#,
            r#"{"keys":{}}"#,
            r#"{"keys":"[]"}"#,
            r#"{"keys":[],"keys":[]}"#,
            r#"{"keys":[]"#,
            r#"{"keys":[]}x"#,
            r#"{"Keys":[]}"#,
            "<html></html>",
            &deep,
        ];
        for json in bad {
            assert_eq!(KeySet::from_jwks(json).err(), Some(KeySetError::NotAJwkSet), "{json:.40}");
        }
        assert!(KeySet::from_jwks(&format!("[[{ED25519}]]")).is_err());
    }

    #[test]
    fn a_hundred_keys_are_a_set_and_one_more_is_refused_as_a_whole() {
        let many = |count| format!(r#"{{"keys":[{}]}}"#, vec![ED25519; count].join(","));
        assert_eq!(KeySet::from_jwks(&many(100)).map(|set| set.keys.len()).ok(), Some(100));
        assert_eq!(KeySet::from_jwks(&many(101)).err(), Some(KeySetError::TooManyKeys));
    }

    #[test]
    fn rs_075_one_odd_key_never_spoils_the_others() {
        let odd = [
            json!(null),
            json!("key"),
            json!(7),
            json!([]),
            json!({}),
            json!({ "kty": "AKP", "kid": "new", "alg": "ML-DSA-44", "pub": "AA" }),
            json!({ "kty": "RSA", "kid": 7 }),
        ];
        let good = SigningKey::generate(Test::EdDSA).kid("good");
        for jwk in odd {
            let set = set(&[jwk.clone(), good.public_jwk(), jwk.clone()]);
            assert_eq!(set.ids().collect::<Vec<_>>(), ["good"], "{jwk}");
            assert_eq!(set.skipped().len(), 2, "{jwk}");
            assert_eq!(set.verify(Some("good"), Algorithm::EdDSA, b"m", &good.sign(b"m")), Ok(()), "{jwk}");
        }
        let named = set(&[json!({ "kty": "AKP", "kid": "new" }), json!({ "kty": "RSA", "kid": 7 })]);
        assert_eq!(named.skipped().iter().map(SkippedKey::kid).collect::<Vec<_>>(), [Some("new"), None]);
    }

    #[test]
    fn rs_078_keys_of_one_kid_are_all_kept_and_the_one_that_fits_alg_is_taken() {
        let (first, second) = (SigningKey::generate(Test::ES256), SigningKey::generate(Test::ES256));
        let ed = SigningKey::generate(Test::EdDSA);
        let keys: Vec<_> = [&ed, &first, &second].map(|key| key.clone().kid("same").public_jwk()).into();
        let set = set(&keys);
        assert_eq!(set.ids().collect::<Vec<_>>(), ["same"]);
        for key in [&first, &second] {
            assert_eq!(set.verify(Some("same"), Algorithm::ES256, b"m", &key.sign(b"m")), Ok(()));
        }
        assert_eq!(set.verify(Some("same"), Algorithm::EdDSA, b"m", &ed.sign(b"m")), Ok(()));
        assert_eq!(
            set.verify(Some("same"), Algorithm::EdDSA, b"m", &first.sign(b"m")),
            Err(Reason::Signature)
        );
        assert_eq!(
            set.verify(Some("same"), Algorithm::ES384, b"m", &first.sign(b"m")),
            Err(Reason::KeyAlgorithm)
        );
    }

    #[test]
    fn each_kid_is_listed_once_and_the_list_is_made_with_the_set() {
        let mut rsa = without(SigningKey::generate(Test::RS256).public_jwk(), "alg");
        let keys: Vec<_> = (0..3)
            .map(|n| {
                rsa["kid"] = format!("k{}", n % 2).into();
                rsa.clone()
            })
            .collect();
        let set = set(&keys);
        assert_eq!(set.keys.len(), 3 * Algorithm::RSA.len());
        assert_eq!(set.names, [0, Algorithm::RSA.len()], "one look for each name");
        assert_eq!(set.ids().collect::<Vec<_>>(), ["k0", "k1"]);
        assert!(set.has_id("k0") && set.has_id("k1") && !set.has_id("k") && !set.has_id("k2"));
    }

    #[test]
    fn rs_064_an_rsa_key_that_names_no_algorithm_has_six_and_one_that_names_one_has_that() {
        let rsa = SigningKey::generate(Test::RS256).kid("rsa");
        let open = set(&[without(rsa.public_jwk(), "alg")]);
        let algorithms: Vec<_> = open.keys.iter().map(|key| key.public.algorithm()).collect();
        assert_eq!(algorithms, Algorithm::RSA);
        let bound = set(&[rsa.with_algorithm(Test::PS256).public_jwk()]);
        for (test, algorithm) in [
            (Test::RS256, Algorithm::RS256),
            (Test::RS384, Algorithm::RS384),
            (Test::RS512, Algorithm::RS512),
            (Test::PS256, Algorithm::PS256),
            (Test::PS384, Algorithm::PS384),
            (Test::PS512, Algorithm::PS512),
        ] {
            let signature = rsa.with_algorithm(test).sign(b"m");
            assert_eq!(open.verify(Some("rsa"), algorithm, b"m", &signature), Ok(()), "{algorithm}");
            let expected = if algorithm == Algorithm::PS256 { Ok(()) } else { Err(Reason::KeyAlgorithm) };
            assert_eq!(bound.verify(Some("rsa"), algorithm, b"m", &signature), expected, "{algorithm}");
        }
    }

    #[test]
    fn rs_076_a_kid_is_compared_byte_for_byte() {
        let key = SigningKey::generate(Test::EdDSA).kid("K1");
        let set = set(&[key.public_jwk()]);
        let verify = |kid| set.verify(kid, Algorithm::EdDSA, b"m", &key.sign(b"m"));
        assert_eq!(verify(Some("K1")), Ok(()));
        for kid in ["k1", "K1 ", "K", "", "K1\0"] {
            assert_eq!(verify(Some(kid)), Err(Reason::UnknownKey), "{kid:?}");
        }
    }

    #[test]
    fn a_key_that_names_an_issuer_signs_for_no_other() {
        const A: &str = "https://login.example/a/v2.0";
        const B: &str = "https://login.example/b/v2.0";
        let key = SigningKey::generate(Test::EdDSA).kid("k");
        let of = |issuer: &str| {
            let mut jwk = key.public_jwk();
            jwk["issuer"] = issuer.into();
            set(&[jwk])
        };
        for kid in [Some("k"), None] {
            let signs = |set: &KeySet, iss| {
                let meant = Meant { iss, kid, algorithm: Algorithm::EdDSA };
                set.signer(meant, b"m", &key.sign(b"m")).is_ok()
            };
            let (one, all) = (of(A), of("https://login.example/{tenantid}/v2.0"));
            assert!(signs(&one, A) && !signs(&one, B), "the key of one tenant");
            assert!(signs(&all, A) && signs(&all, B), "the key of all tenants");
            for iss in [
                "https://login.example//v2.0",
                "https://login.example/a/b/v2.0",
                "https://evil.example/a/v2.0",
                "",
            ] {
                assert!(!signs(&all, iss), "{iss}");
            }
        }
    }

    #[test]
    fn a_token_without_kid_may_mean_any_key_and_a_key_without_kid_any_token() {
        let (named, nameless) =
            (SigningKey::generate(Test::EdDSA).kid("a"), SigningKey::generate(Test::EdDSA));
        let nameless = nameless.without_kid();
        let set = set(&[named.public_jwk(), nameless.public_jwk()]);
        let verify = |kid, key: &SigningKey| set.verify(kid, Algorithm::EdDSA, b"m", &key.sign(b"m"));
        assert_eq!(verify(None, &named), Ok(()));
        assert_eq!(verify(None, &nameless), Ok(()));
        assert_eq!(verify(Some("b"), &nameless), Ok(()));
        assert_eq!(
            verify(Some("a"), &nameless),
            Err(Reason::Signature),
            "the named key is the one that is meant"
        );
        assert_eq!(verify(Some("b"), &named), Err(Reason::UnknownKey));
    }

    #[test]
    fn no_more_than_a_few_keys_are_tried_on_one_token() {
        let keys: Vec<_> =
            std::iter::repeat_with(|| SigningKey::generate(Test::EdDSA)).take(MAX_TRIES + 1).collect();
        let set = set(&keys.iter().map(|key| key.clone().kid("same").public_jwk()).collect::<Vec<_>>());
        let verify = |key: &SigningKey| set.verify(Some("same"), Algorithm::EdDSA, b"m", &key.sign(b"m"));
        assert_eq!(verify(&keys[MAX_TRIES - 1]), Ok(()));
        assert_eq!(verify(&keys[MAX_TRIES]), Err(Reason::Signature));
    }

    #[test]
    fn an_empty_set_knows_no_key_and_verifies_nothing() {
        let empty = KeySet::default();
        assert_eq!(empty.verify(Some("a"), Algorithm::EdDSA, b"", b""), Err(Reason::UnknownKey));
        assert_eq!(empty.verify(None, Algorithm::EdDSA, b"", b""), Err(Reason::KeyAlgorithm));
    }
}
