//! The allow-list of issuers: a token is judged by the one that its `iss` names, or by none.

use super::{issuer::Issuer, receipt::Standing};
use crate::config::ConfigError;
use arc_swap::{ArcSwap, Guard};
use foldhash::fast::RandomState;
use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The list, which all clones of a verifier share.
pub(super) struct Trusted {
    id: ListId,
    issuers: ArcSwap<Issuers>,
}

/// Tells lists apart that one cache serves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ListId(u64);

/// One state of the list. Cheap to clone: a change makes a new list of the same issuers.
#[derive(Clone, Debug, Default)]
pub(super) struct Issuers {
    /// Looked into by names that strangers send; what is in it is ours.
    by_name: HashMap<Box<str>, Arc<Listed>, RandomState>,
    /// The one that allows tokens without `iss`.
    nameless: Option<Arc<Listed>>,
}

/// An issuer in a list.
pub(super) struct Listed {
    pub(super) issuer: Issuer,
    pub(super) standing: Arc<Standing>,
}

impl ListId {
    fn next() -> Self {
        static LISTS: AtomicU64 = AtomicU64::new(0);
        Self(LISTS.fetch_add(1, Ordering::Relaxed))
    }
}

impl Trusted {
    pub(super) fn new(issuers: impl IntoIterator<Item = Issuer>) -> Result<Self, ConfigError> {
        let (id, mut list) = (ListId::next(), Issuers::default());
        for issuer in issuers {
            list.insert(Arc::new(Listed::new(issuer, id)))?;
        }
        Ok(Self { id, issuers: ArcSwap::from_pointee(list) })
    }

    pub(super) fn id(&self) -> ListId {
        self.id
    }

    pub(super) fn load(&self) -> Guard<Arc<Issuers>> {
        self.issuers.load()
    }

    pub(super) fn insert(&self, issuer: Issuer) -> Result<(), ConfigError> {
        let listed = Arc::new(Listed::new(issuer, self.id));
        let mut result = Ok(());
        self.issuers.rcu(|current| {
            let mut next = Issuers::clone(current);
            result = next.insert(Arc::clone(&listed));
            next
        });
        result
    }

    /// Puts an issuer in the place of the one of its name, or beside all others; says which.
    pub(super) fn replace(&self, issuer: Issuer) -> Result<bool, ConfigError> {
        let listed = Arc::new(Listed::new(issuer, self.id));
        let mut result = Ok(None);
        self.issuers.rcu(|current| {
            let mut next = Issuers::clone(current);
            let replaced = next.remove(listed.issuer.iss());
            result = next.insert(Arc::clone(&listed)).map(|()| replaced);
            if result.is_ok() { next } else { Issuers::clone(current) }
        });
        // What was remembered of the old one is judged by the new one's rules.
        Ok(result?.is_some_and(|old| {
            old.standing.end();
            true
        }))
    }

    /// Removes an issuer; says whether it was there.
    pub(super) fn remove(&self, iss: &str) -> bool {
        let mut removed = None;
        self.issuers.rcu(|current| {
            let mut next = Issuers::clone(current);
            removed = next.remove(iss);
            next
        });
        // The tokens that were remembered of it count no more.
        removed.is_some_and(|listed| {
            listed.standing.end();
            true
        })
    }
}

impl Listed {
    fn new(issuer: Issuer, list: ListId) -> Self {
        let standing = Arc::new(Standing::new(&issuer, list));
        Self { issuer, standing }
    }
}

impl Issuers {
    fn insert(&mut self, listed: Arc<Listed>) -> Result<(), ConfigError> {
        let issuer = &listed.issuer;
        issuer.validate()?;
        if !issuer.can_verify() {
            return Err(ConfigError::NoKeys(issuer.iss().to_owned()));
        }
        if issuer.missing_iss_allowed && self.nameless.is_some() {
            return Err(ConfigError::SeveralWithoutIss);
        }
        match self.by_name.entry(issuer.iss().into()) {
            Entry::Occupied(_) => return Err(ConfigError::DuplicateIssuer(issuer.iss().to_owned())),
            Entry::Vacant(place) => place.insert(Arc::clone(&listed)),
        };
        if listed.issuer.missing_iss_allowed {
            self.nameless = Some(listed);
        }
        Ok(())
    }

    fn remove(&mut self, iss: &str) -> Option<Arc<Listed>> {
        self.nameless.take_if(|nameless| nameless.issuer.iss() == iss);
        self.by_name.remove(iss)
    }

    /// The issuer that may have made a token of this `iss`: an exact name of the list.
    pub(super) fn find(&self, iss: Option<&str>) -> Option<&Listed> {
        match iss {
            Some(iss) => self.by_name.get(iss),
            None => self.nameless.as_ref(),
        }
        .map(Arc::as_ref)
    }

    /// The name of the list that this one is but for its letter case or a slash at the end.
    pub(super) fn almost(&self, iss: &str) -> Option<&str> {
        let bare = iss.strip_suffix('/').unwrap_or(iss);
        let is_almost = |name: &str| name.strip_suffix('/').unwrap_or(name).eq_ignore_ascii_case(bare);
        self.iter().map(Issuer::iss).find(|name| *name != iss && is_almost(name))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Issuer> {
        self.by_name.values().map(|listed| &listed.issuer)
    }
}

impl fmt::Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.issuer.fmt(f)
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use crate::{
        ConfigError, Issuer, JwtVerifier, Reason, Verification,
        keys::{self, KeySet, KeySource},
    };
    use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
    use std::time::SystemTime;

    const ONE: &str = "https://one.example";
    const TWO: &str = "https://two.example";

    fn key() -> SigningKey {
        SigningKey::generate(Algorithm::EdDSA).kid("a")
    }

    fn set(key: &SigningKey) -> KeySet {
        KeySet::from_jwks(&serde_json::json!({ "keys": [key.public_jwk()] }).to_string()).expect("a set")
    }

    fn issuer(iss: &str, key: &SigningKey) -> Issuer {
        Issuer::new(iss, "api").keys(KeySource::fixed(set(key)))
    }

    fn verify(verifier: &JwtVerifier, iss: &str, key: &SigningKey) -> Result<(), Reason> {
        verify_token(verifier, &TokenBuilder::new(key, iss, "api"))
    }

    fn verify_token(verifier: &JwtVerifier, token: &TokenBuilder) -> Result<(), Reason> {
        verify_text(verifier, &token.sign())
    }

    fn verify_text(verifier: &JwtVerifier, token: &str) -> Result<(), Reason> {
        match verifier.verify_token(token, SystemTime::now()) {
            Verification::Done(result) => result.map(drop).map_err(|error| error.reason()),
            Verification::Pending(_) => panic!("it waits"),
        }
    }

    #[test]
    fn an_issuer_is_trusted_from_its_insertion_to_its_removal_in_all_clones() {
        let (one, two) = (key(), key());
        let verifier = JwtVerifier::new([issuer(ONE, &one)]).expect("a verifier");
        let clone = verifier.clone();
        assert_eq!(verify(&clone, TWO, &two), Err(Reason::UnknownIssuer));

        verifier.insert(issuer(TWO, &two)).expect("one more");
        assert_eq!(verify(&clone, TWO, &two), Ok(()));
        assert_eq!(verify(&clone, TWO, &one), Err(Reason::Signature), "by its own keys only");
        assert_eq!(verify(&clone, ONE, &one), Ok(()), "beside the first");

        assert!(clone.remove(TWO));
        assert_eq!(verify(&verifier, TWO, &two), Err(Reason::UnknownIssuer));
        assert!(!verifier.remove(TWO), "it is gone");
        assert!(verifier.remove(ONE));
        assert_eq!(verify(&verifier, ONE, &one), Err(Reason::UnknownIssuer), "nobody is trusted by nobody");
    }

    #[test]
    fn a_replaced_issuer_is_judged_by_its_new_rules_in_all_clones_and_for_what_was_remembered() {
        let (old, new) = (key(), key());
        let verifier = JwtVerifier::new([issuer(ONE, &old).allow_missing_iss()]).expect("a verifier");
        let clone = verifier.clone();
        let token = TokenBuilder::new(&old, ONE, "api").sign();
        let nameless = TokenBuilder::new(&old, ONE, "api").without("iss").sign();
        assert_eq!((verify_text(&clone, &token), verify_text(&clone, &nameless)), (Ok(()), Ok(())));

        assert_eq!(verifier.replace(issuer(ONE, &old).also_for("another")), Ok(true));
        assert_eq!(verify_text(&clone, &token), Ok(()), "the new rules let it through");
        assert_eq!(verify_text(&clone, &nameless), Err(Reason::UnknownIssuer));
        assert_eq!(verifier.replace(Issuer::new(ONE, "other").keys(KeySource::fixed(set(&old)))), Ok(true));
        assert_eq!(verify_text(&clone, &token), Err(Reason::Audience));
        assert_eq!(verifier.replace(issuer(ONE, &new)), Ok(true));
        assert_eq!(verify_text(&clone, &token), Err(Reason::Signature));
        assert_eq!(verify(&clone, ONE, &new), Ok(()));
        assert_eq!(verifier.replace(issuer(TWO, &new)), Ok(false), "one more");
        assert_eq!(verify(&clone, TWO, &new), Ok(()));
    }

    #[test]
    fn a_refused_replacement_changes_nothing() {
        let (one, other) = (key(), key());
        let verifier =
            JwtVerifier::new([issuer(ONE, &one).allow_missing_iss(), issuer(TWO, &one)]).expect("a verifier");
        let wrong = [
            (issuer(ONE, &other).also_for(""), ConfigError::EmptyAudience),
            (Issuer::new(ONE, "api"), ConfigError::NoKeys(ONE.to_owned())),
            (issuer(TWO, &other).allow_missing_iss(), ConfigError::SeveralWithoutIss),
        ];
        for (issuer, refusal) in wrong {
            assert_eq!(verifier.replace(issuer).unwrap_err().fault(), &refusal);
            assert_eq!((verify(&verifier, ONE, &one), verify(&verifier, TWO, &one)), (Ok(()), Ok(())));
            let nameless = TokenBuilder::new(&one, ONE, "api").without("iss");
            assert_eq!(verify_token(&verifier, &nameless), Ok(()));
        }
    }

    #[test]
    fn while_an_issuer_is_replaced_no_token_of_it_is_refused() {
        let one = key();
        let verifier = JwtVerifier::new([issuer(ONE, &one)]).expect("a verifier");
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..500 {
                    assert_eq!(verifier.replace(issuer(ONE, &one)), Ok(true));
                }
                done.store(true, std::sync::atomic::Ordering::Release);
            });
            let token = TokenBuilder::new(&one, ONE, "api");
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                assert_eq!(verify_token(&verifier, &token), Ok(()));
            }
        });
    }

    #[test]
    fn a_refused_insertion_changes_nothing() {
        let (one, other) = (key(), key());
        let verifier = JwtVerifier::new([issuer(ONE, &one).allow_missing_iss()]).expect("a verifier");
        let nothing = || KeySource::fixed(KeySet::default());
        for (issuer, refusal) in [
            (issuer(ONE, &other), ConfigError::DuplicateIssuer(ONE.to_owned())),
            (issuer("", &other), ConfigError::EmptyIssuer),
            (Issuer::new(TWO, "api"), ConfigError::NoKeys(TWO.to_owned())),
            (Issuer::new(TWO, "api").keys(nothing()), ConfigError::NoKeys(TWO.to_owned())),
            (issuer(TWO, &other).allow_missing_iss(), ConfigError::SeveralWithoutIss),
        ] {
            assert_eq!(verifier.insert(issuer), Err(refusal));
            assert_eq!(verify(&verifier, ONE, &one), Ok(()));
            assert_eq!(verify(&verifier, ONE, &other), Err(Reason::Signature));
            assert_eq!(verify(&verifier, TWO, &other), Err(Reason::UnknownIssuer));
        }
    }

    #[test]
    fn tokens_without_iss_go_with_the_issuer_that_allows_them() {
        let (one, two) = (key(), key());
        let nameless = |key| TokenBuilder::new(key, ONE, "api").without("iss");
        let verifier = JwtVerifier::new([issuer(ONE, &one).allow_missing_iss()]).expect("a verifier");
        assert_eq!(verify_token(&verifier, &nameless(&one)), Ok(()));
        assert!(verifier.remove(ONE));
        assert_eq!(verify_token(&verifier, &nameless(&one)), Err(Reason::UnknownIssuer));
        verifier.insert(issuer(TWO, &two).allow_missing_iss()).expect("the place is free");
        assert_eq!(verify_token(&verifier, &nameless(&two)), Ok(()));
        assert_eq!(verify_token(&verifier, &nameless(&one)), Err(Reason::Signature));
        assert!(!verifier.remove(ONE));
        assert_eq!(verify_token(&verifier, &nameless(&two)), Ok(()), "another's removal is not its own");
    }

    #[test]
    fn a_verifier_is_ready_when_all_its_issuers_are() {
        let (one, two) = (key(), key());
        let (mut sink, source) = keys::channel();
        let verifier = JwtVerifier::new([issuer(ONE, &one)]).expect("a verifier");
        assert!(verifier.is_ready());
        verifier.insert(Issuer::new(TWO, "api").keys(source)).expect("one more");
        assert!(!verifier.is_ready(), "one has no keys yet");
        sink.publish(set(&two));
        assert!(verifier.is_ready());
        sink.lag();
        assert!(verifier.is_ready(), "keys that are not fresh still decide");
        sink.expire();
        assert!(!verifier.is_ready());
        sink.confirm();
        assert!(verifier.is_ready());
        drop(sink);
        assert!(!verifier.is_ready(), "nobody keeps them fresh");
        assert!(verifier.remove(TWO));
        assert!(verifier.is_ready(), "who is not trusted is not waited for");
    }

    #[test]
    fn a_shared_secret_is_ready_at_once() {
        let secret = Issuer::new(ONE, "api").hmac_secret(crate::Algorithm::HS256, [7; 32]);
        assert!(JwtVerifier::new([secret]).expect("a verifier").is_ready());
    }

    #[test]
    fn insertions_and_removals_at_the_same_time_lose_none() {
        let key = key();
        let verifier = JwtVerifier::new([issuer(ONE, &key)]).expect("a verifier");
        let name = |thread: usize, number: usize| format!("https://{thread}-{number}.example");
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (verifier, key) = (&verifier, &key);
                scope.spawn(move || {
                    for number in 0..25 {
                        verifier.insert(issuer(&name(thread, number), key)).expect("one more");
                        assert!(number % 2 == 0 || verifier.remove(&name(thread, number)));
                    }
                });
            }
        });
        for (thread, number) in (0..4).flat_map(|thread| (0..25).map(move |number| (thread, number))) {
            let expected = if number % 2 == 0 { Ok(()) } else { Err(Reason::UnknownIssuer) };
            assert_eq!(verify(&verifier, &name(thread, number), &key), expected);
        }
    }
}
