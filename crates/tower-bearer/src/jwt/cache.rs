//! Tokens that were accepted a moment ago: an SDK sends the same one for an hour.

use super::{issuers::ListId, receipt::Holds};
use crate::verify::Verified;
use quick_cache::{Equivalent, Weighter, sync::Cache};
use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
    time::SystemTime,
};

/// The size of a cache by default, in bytes.
const CAPACITY: usize = 8 * 1024 * 1024;

/// What an entry takes beside its texts, in bytes: the claims taken apart, and the cache's own.
const OVERHEAD: usize = 1024;

/// Remembers accepted tokens, so that a token which comes again is neither parsed nor verified again. Cheap
/// to clone: clones are one cache, and several [`JwtVerifier`](crate::JwtVerifier)s may share it.
///
/// A hit says what verifying would say now. The **whole** token is compared; its times are checked against
/// the clock of the request; the very key that verified it must be in the issuer's current set, which must
/// not be stale; and the issuer must be trusted still. Revocation and policies stand outside, and are asked
/// on every request. Only tokens that were accepted get in, so nobody can fill it without them, and tokens
/// that come once make room first.
///
/// Whole tokens are kept rather than digests: hashing one with SHA-256 costs more than all the rest of a hit,
/// and what reads this process's memory reads the tokens of running requests too. They are never printed.
///
/// ```
/// use tower_bearer::{Algorithm, Issuer, JwtVerifier, TokenCache};
/// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
/// # use std::time::{Duration, SystemTime};
///
/// # let secret = [7; 32];
/// # let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, secret);
/// # let token = TokenBuilder::new(&SigningKey::hmac(Alg::HS256, &secret), "https://issuer.example", "api").sign();
/// # tokio_test::block_on(async {
/// let cache = TokenCache::new(1024 * 1024);
/// let verifier = JwtVerifier::new([issuer])?.cache(&cache);
/// let now = SystemTime::now();
/// assert!(verifier.verify_token(&token, now).await.is_ok());
/// assert_eq!(cache.len(), 1);
///
/// let in_two_hours = now + Duration::from_secs(2 * 60 * 60);
/// let then = verifier.verify_token(&token, in_two_hours).await;
/// assert!(then.is_err(), "remembered, and expired all the same");
/// # Ok::<(), tower_bearer::ConfigError>(())
/// # })
/// ```
#[derive(Clone)]
pub struct TokenCache(Arc<Lazy>);

/// Made when the first token is accepted: a verifier that nobody asks costs nothing.
///
/// A table of our own was tried: sets of six places read through `arc-swap`, each set one line of the
/// processor's cache, an entry with its token one allocation. Among 100,000 tokens a hit came to 2.6 to 2.9
/// times one among few, in place of 3.2; among 3,000 it took as long, and a new token took longer to put in.
/// Not worth the code.
struct Lazy {
    bytes: usize,
    cache: OnceLock<Cache<Remembered, Verified, Bytes>>,
}

impl TokenCache {
    /// Keeps up to about so many bytes. 0 turns it off.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Lazy { bytes, cache: OnceLock::new() }))
    }

    /// How many tokens are remembered, whether they are good still or not.
    pub fn len(&self) -> usize {
        self.0.cache.get().map_or(0, Cache::len)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The proof for this token, if it was accepted before and would be now by who trusts the issuers of
    /// `list`.
    pub(super) fn recall(&self, token: &[u8], list: ListId, now: SystemTime) -> Option<Verified> {
        let cache = self.0.cache.get()?;
        let verified = cache.get(&Token(token))?;
        match verified.receipt()?.holds(list, now) {
            Holds::Yes => Some(verified.verified_at(now)),
            Holds::NotNow => None,
            Holds::NoMore => {
                cache.remove(&Token(token));
                None
            }
        }
    }

    pub(super) fn remember(&self, token: &str, verified: &Verified) {
        let Lazy { bytes, cache } = &*self.0;
        if *bytes > 0 {
            let cache =
                cache.get_or_init(|| Cache::with_weighter(bytes / (2 * OVERHEAD), *bytes as u64, Bytes));
            cache.insert(Token(token.as_bytes().into()), verified.clone());
        }
    }
}

/// A token, found by its end and compared as a whole.
///
/// The end is of the signature, which nobody can choose but the issuer: of tokens that were accepted, no two
/// end alike by chance. (An issuer that made its own tokens end alike would slow down the search for these.)
/// Hashing all of a token would be a third of a hit.
#[derive(Eq, PartialEq)]
struct Token<B>(B);

type Remembered = Token<Box<[u8]>>;

/// In characters: 96 bits of a signature, and what the hasher takes at once.
const END: usize = 16;

impl<B: AsRef<[u8]>> Hash for Token<B> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let token = self.0.as_ref();
        state.write(token.last_chunk::<END>().map_or(token, |end| end));
    }
}

impl Equivalent<Remembered> for Token<&[u8]> {
    fn equivalent(&self, other: &Remembered) -> bool {
        *self.0 == *other.0
    }
}

/// Weighs an entry.
#[derive(Clone, Copy)]
struct Bytes;

impl Weighter<Remembered, Verified> for Bytes {
    fn weight(&self, Token(token): &Remembered, verified: &Verified) -> u64 {
        // The claims stand there twice: as text, and taken apart.
        (token.len() + 2 * verified.json().map_or(0, str::len) + OVERHEAD) as u64
    }
}

impl Default for TokenCache {
    /// 8 MiB: some 3,000 tokens.
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

/// The tokens are secrets.
impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests;
