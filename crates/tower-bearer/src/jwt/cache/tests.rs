//! What is remembered of a token, and when it counts no more.

use super::*;
use crate::{
    AuthErrorKind, Issuer, JwtVerifier, Reason, RegisteredClaims, Verification, Verify as _,
    keys::{self, KeySet, KeySink},
    revocation::{DenyList, WhenUnsure},
};
use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

const ISS: &str = "https://issuer.example";

/// One issuer with one key, and a cache to look into.
struct Rig {
    verifier: JwtVerifier,
    cache: TokenCache,
    sink: KeySink,
    key: SigningKey,
    now: SystemTime,
}

impl Rig {
    fn new() -> Self {
        Self::with(|issuer| issuer)
    }

    fn with(set_up: impl FnOnce(Issuer) -> Issuer) -> Self {
        let key = SigningKey::generate(Algorithm::EdDSA).kid("a");
        let (mut sink, source) = keys::channel();
        sink.publish(set(&[&key]));
        let cache = TokenCache::default();
        let issuer = set_up(Issuer::new(ISS, "api").keys(source).leeway(Duration::ZERO));
        let verifier = JwtVerifier::new([issuer]).expect("an issuer").cache(&cache);
        // Tokens are made later than this, and not issued in the future.
        let now = SystemTime::now() + Duration::from_secs(60);
        Self { verifier, cache, sink, key, now }
    }

    fn token(&self) -> TokenBuilder {
        TokenBuilder::new(&self.key, ISS, "api")
    }

    fn ask(&self, token: &str) -> Result<Verified, Reason> {
        self.ask_at(token, self.now)
    }

    fn ask_at(&self, token: &str, now: SystemTime) -> Result<Verified, Reason> {
        ask(&self.verifier, token, now)
    }
}

fn set(keys: &[&SigningKey]) -> KeySet {
    let jwks: Vec<_> = keys.iter().map(|key| key.public_jwk()).collect();
    KeySet::from_jwks(&serde_json::json!({ "keys": jwks }).to_string()).expect("a set")
}

fn ask(verifier: &JwtVerifier, token: &str, now: SystemTime) -> Result<Verified, Reason> {
    match verifier.verify_token(token, now) {
        Verification::Done(result) => result.map_err(|error| error.reason()),
        // Nobody answers here: the refresher of these tests is a hand.
        Verification::Pending(_) => Err(Reason::UnknownKey),
    }
}

/// Whether both are of one verification.
fn same(one: &Verified, other: &Verified) -> bool {
    let claims = |verified: &Verified| verified.claims::<RegisteredClaims>().expect("the claims");
    Arc::ptr_eq(&claims(one), &claims(other))
}

#[test]
fn a_token_that_comes_again_is_not_verified_again() {
    let rig = Rig::new();
    let token = rig.token().sign();
    let (first, second) = (rig.ask(&token).expect("good"), rig.ask(&token).expect("good"));
    assert!(same(&first, &second));
    let another = rig.ask(&rig.token().subject("bob").sign()).expect("good");
    assert_eq!((same(&first, &another), another.subject()), (false, Some("bob")));
    assert_eq!(rig.cache.len(), 2);
}

#[test]
fn a_proof_is_of_the_moment_for_which_it_was_asked() {
    let rig = Rig::new();
    let token = rig.token().sign();
    for minutes in [0, 1, 2] {
        let now = rig.now + Duration::from_secs(minutes * 60);
        assert_eq!(rig.ask_at(&token, now).expect("good").at(), now);
    }
}

#[test]
fn without_a_cache_every_token_is_verified_anew() {
    let rig = Rig::new();
    let (cache, token) = (TokenCache::new(0), rig.token().sign());
    let verifier = rig.verifier.clone().cache(&cache);
    let ask = || ask(&verifier, &token, rig.now).expect("good");
    assert!(!same(&ask(), &ask()) && cache.is_empty());
}

#[test]
fn only_accepted_tokens_are_remembered() {
    let rig = Rig::new();
    let stranger = SigningKey::generate(Algorithm::EdDSA).kid("a");
    let good = rig.token().sign();
    for bad in [
        rig.token().expired().sign(),
        rig.token().tampered(),
        rig.token().key(&stranger).sign(),
        rig.token().audience("other").sign(),
        format!("{good}A"),
        "opaque".to_owned(),
    ] {
        assert!(rig.ask(&bad).is_err());
    }
    assert!(rig.cache.is_empty());
}

#[test]
fn every_byte_of_a_token_counts() {
    let rig = Rig::new();
    let token = rig.token().sign();
    rig.ask(&token).expect("good");
    for at in 0..token.len() {
        let mut other = token.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        assert!(rig.ask(std::str::from_utf8(&other).expect("ASCII")).is_err(), "byte {at}");
    }
    assert!(rig.ask(&token[..token.len() - 1]).is_err());
    assert_eq!(rig.cache.len(), 1);
}

#[test]
fn a_key_that_is_gone_takes_its_tokens_along_at_once() {
    let mut rig = Rig::new();
    let (token, other) = (rig.token().sign(), SigningKey::generate(Algorithm::EdDSA).kid("b"));
    let first = rig.ask(&token).expect("good");

    rig.sink.publish(set(&[&other, &rig.key]));
    assert!(same(&first, &rig.ask(&token).expect("still there")), "the same key in another set");

    rig.sink.publish(set(&[&other]));
    assert_eq!(rig.ask(&token).err(), Some(Reason::UnknownKey));
    assert!(rig.cache.is_empty());

    rig.sink.publish(set(&[&rig.key]));
    assert!(!same(&first, &rig.ask(&token).expect("back again")), "and verified anew");
}

#[test]
fn new_material_under_the_same_kid_is_another_key() {
    let mut rig = Rig::new();
    let token = rig.token().sign();
    rig.ask(&token).expect("good");
    rig.sink.publish(set(&[&SigningKey::generate(Algorithm::EdDSA).kid("a")]));
    assert!(rig.ask(&token).is_err());
    rig.sink.publish(set(&[&rig.key.clone().kid("b")]));
    assert!(rig.ask(&token).is_err(), "nor is the same material under another kid the key that was named");
}

#[test]
fn stale_keys_decide_nothing_for_a_remembered_token_either() {
    let mut rig = Rig::new();
    let token = rig.token().sign();
    let first = rig.ask(&token).expect("good");
    rig.sink.lag();
    assert!(same(&first, &rig.ask(&token).expect("an outage is not the token's fault")));
    rig.sink.expire();
    let refused = rig.ask(&token).expect_err("stale");
    assert_eq!((refused, refused.kind()), (Reason::StaleKeys, AuthErrorKind::Unavailable));
    rig.sink.confirm();
    assert!(same(&first, &rig.ask(&token).expect("confirmed")));
}

#[test]
fn the_times_of_a_token_are_checked_whenever_it_comes() {
    let rig = Rig::with(|issuer| issuer.max_token_age(Duration::from_secs(1000)));
    let now = rig.now.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let at = |seconds: i64| {
        let now = i64::try_from(now).expect("before 2262");
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(now + seconds).expect("after 1970"))
    };
    let aged = rig.token().claim("iat", now - 500).claim("exp", now + 5000).sign();
    let short = rig.token().claim("iat", now).claim("nbf", now + 10).claim("exp", now + 20).sign();
    for (token, seconds, expected) in [
        (&short, 10, None),
        (&short, 19, None),
        (&short, 20, Some(Reason::Expired)),
        (&short, 9, Some(Reason::NotYetValid)),
        (&aged, 0, None),
        (&aged, 499, None),
        (&aged, 500, Some(Reason::TooOld)),
        (&aged, -501, Some(Reason::IssuedInTheFuture)),
    ] {
        // Remembered from a moment at which it was good.
        rig.ask_at(token, at(if token == &short { 15 } else { 0 })).expect("good");
        assert_eq!(rig.ask_at(token, at(seconds)).err(), expected, "at {seconds}");
    }
}

#[test]
fn an_issuer_that_is_trusted_no_more_takes_its_tokens_along() {
    let rig = Rig::new();
    let token = rig.token().sign();
    let first = rig.ask(&token).expect("good");
    let keys = keys::KeySource::fixed(set(&[&rig.key]));
    rig.verifier.insert(Issuer::new("https://other.example", "api").keys(keys.clone())).expect("another");
    assert!(same(&first, &rig.ask(&token).expect("good")), "another issuer changes nothing");

    assert!(rig.verifier.remove(ISS));
    assert_eq!(rig.ask(&token).err(), Some(Reason::UnknownIssuer));
    // Trusted again, and for something else.
    rig.verifier.insert(Issuer::new(ISS, "another-api").keys(keys)).expect("an issuer");
    assert_eq!(rig.ask(&token).err(), Some(Reason::Audience));
}

#[test]
fn verifiers_that_share_a_cache_share_no_trust() {
    let rig = Rig::new();
    let token = rig.token().sign();
    rig.ask(&token).expect("good");
    let keys = keys::KeySource::fixed(set(&[&rig.key]));
    for (issuer, reason) in [
        (Issuer::new("https://other.example", "api").keys(keys.clone()), Reason::UnknownIssuer),
        (Issuer::new(ISS, "another-api").keys(keys), Reason::Audience),
    ] {
        let other = JwtVerifier::new([issuer]).expect("an issuer").cache(&rig.cache);
        assert_eq!(ask(&other, &token, rig.now).err(), Some(reason));
    }
    assert!(rig.ask(&token).is_ok());
}

#[test]
fn an_issuer_of_the_same_name_and_secret_is_not_the_one_that_accepted() {
    let (secret, cache) = ([7; 32], TokenCache::default());
    let verifier = |audience: &str| {
        let issuer = Issuer::new(ISS, audience).hmac_secret(crate::Algorithm::HS256, secret);
        JwtVerifier::new([issuer]).expect("an issuer").cache(&cache)
    };
    let token = TokenBuilder::new(&SigningKey::hmac(Algorithm::HS256, &secret), ISS, "api").sign();
    let now = SystemTime::now() + Duration::from_secs(60);
    let (first, other) = (verifier("api"), verifier("another-api"));
    assert!(ask(&first, &token, now).is_ok());
    assert_eq!(ask(&other, &token, now).err(), Some(Reason::Audience));
    assert!(first.remove(ISS));
    assert_eq!(ask(&first, &token, now).err(), Some(Reason::UnknownIssuer));
}

#[tokio::test]
async fn a_remembered_access_token_is_no_logout_token() {
    let rig = Rig::with(|issuer| issuer.logout_client("api"));
    let token = rig.token().sign();
    rig.ask(&token).expect("good");
    assert!(rig.verifier.verify_logout_token(&token, rig.now).await.is_err());
}

#[test]
fn a_verifier_that_asks_for_more_recalls_nothing() {
    let rig = Rig::new();
    let token = rig.token().sign();
    rig.ask(&token).expect("good");
    let asking = rig.verifier.clone().revocable(DenyList::new(8), WhenUnsure::Refuse);
    assert!(rig.verifier.recall(token.as_bytes(), rig.now).is_some());
    assert!(asking.recall(token.as_bytes(), rig.now).is_none(), "or revocation would not be asked");
}

#[test]
fn the_cache_is_bounded_and_debug_shows_no_token() {
    let rig = Rig::new();
    let cache = TokenCache::new(64 * 1024);
    let verifier = rig.verifier.clone().cache(&cache);
    for user in 0..500 {
        let token = rig.token().subject(&user.to_string()).sign();
        assert!(ask(&verifier, &token, rig.now).is_ok());
        assert!(!format!("{cache:?} {verifier:?}").contains(&token));
    }
    assert!((1..=64).contains(&cache.len()), "{}", cache.len());
}

#[test]
fn tokens_that_come_once_do_not_drive_out_those_that_come_again() {
    let rig = Rig::with(|issuer| issuer.hmac_secret(crate::Algorithm::HS256, [7; 32]));
    let cache = TokenCache::new(256 * 1024);
    let verifier = rig.verifier.clone().cache(&cache);
    // Cheap to make by the thousand.
    let key = SigningKey::hmac(Algorithm::HS256, &[7; 32]);
    let token = |user: String| TokenBuilder::new(&key, ISS, "api").subject(&user).sign();
    let regulars: Vec<_> = (0..40).map(|user| token(format!("regular-{user}"))).collect();
    let come = |token: &str| ask(&verifier, token, rig.now).expect("good");
    for _ in 0..3 {
        for token in &regulars {
            come(token);
        }
    }
    let (mut hits, mut visits) = (0, 0);
    for stranger in 0..5000 {
        come(&token(format!("stranger-{stranger}")));
        let regular = &regulars[stranger % regulars.len()];
        let before = cache.0.cache.get().and_then(|cache| cache.peek(&Token(regular.as_bytes())));
        visits += 1;
        hits += u32::from(before.is_some_and(|before| same(&before, &come(regular))));
    }
    assert!(hits * 100 > visits * 95, "{hits} of {visits}");
}

#[test]
fn what_was_published_before_a_request_decides_about_it() {
    let mut rig = Rig::new();
    let token = rig.token().sign();
    rig.ask(&token).expect("good");
    let (other, verifier, now) =
        (SigningKey::generate(Algorithm::EdDSA).kid("b"), rig.verifier.clone(), rig.now);
    let gone = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (verifier, token) = (verifier.clone(), token.clone());
            scope.spawn(move || {
                loop {
                    let was_gone = gone.load(Ordering::SeqCst);
                    let accepted = ask(&verifier, &token, now).is_ok();
                    assert!(!(was_gone && accepted), "accepted after its key was gone");
                    if was_gone {
                        break;
                    }
                }
            });
        }
        rig.sink.publish(set(&[&other]));
        gone.store(true, Ordering::SeqCst);
    });
}
