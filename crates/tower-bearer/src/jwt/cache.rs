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
/// # })?;
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct TokenCache(Arc<Lazy>);

/// Made when the first token is accepted: a verifier that nobody asks costs nothing.
///
/// A table of our own was tried: sets of six places read through `arc-swap`, each set one line of the
/// processor's cache, an entry with its token one allocation. Among 100,000 tokens a hit came to 2.6 to 2.9
/// times one among few, in place of 3.2; among 3,000 it took as long, and a new token took longer to put in.
/// Not worth the code. Nor were digests by a universal hash, 40 ns a token, worth comparing less than all of it:
/// 3.1 times among 100,000, an eighth less among 3,000, and a tenth more alone.
struct Lazy {
    bytes: usize,
    cache: OnceLock<Cache<Remembered, Verified, ByWeight>>,
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
                cache.get_or_init(|| Cache::with_weighter(bytes / (2 * OVERHEAD), *bytes as u64, ByWeight));
            let remembered = Remembered { token: token.as_bytes().into(), weight: weight(token, verified) };
            cache.insert(remembered, verified.clone());
        }
    }
}

/// A token, found by its end and compared as a whole.
///
/// The end is of the signature, which nobody can choose but the issuer: of tokens that were accepted, no two
/// end alike by chance. (An issuer that made its own tokens end alike would slow down the search for these.)
/// Hashing all of a token would be a third of a hit.
struct Token<'a>(&'a [u8]);

/// A token with the weight of its entry, found out once.
struct Remembered {
    token: Box<[u8]>,
    weight: u64,
}

/// In characters: 96 bits of a signature, and what the hasher takes at once.
const END: usize = 16;

impl Hash for Token<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.last_chunk::<END>().map_or(self.0, |end| end));
    }
}

impl Equivalent<Remembered> for Token<'_> {
    fn equivalent(&self, other: &Remembered) -> bool {
        *self.0 == *other.token
    }
}

impl Hash for Remembered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Token(&self.token).hash(state);
    }
}

impl PartialEq for Remembered {
    fn eq(&self, other: &Self) -> bool {
        self.token == other.token
    }
}

impl Eq for Remembered {}

#[derive(Clone, Copy)]
struct ByWeight;

impl Weighter<Remembered, Verified> for ByWeight {
    fn weight(&self, remembered: &Remembered, _: &Verified) -> u64 {
        remembered.weight
    }
}

/// What an entry takes, in bytes.
fn weight(token: &str, verified: &Verified) -> u64 {
    let json = verified.json().unwrap_or_default();
    // The claims stand there twice: as text, and taken apart.
    let texts = token.len() + 2 * json.len() + OVERHEAD;
    let structure = if verified.has_own_claims() { structure(json) } else { 0 };
    (texts + structure) as u64
}

/// What this text takes at most when it is taken apart, beside its characters: into a type of the
/// application's own, which may keep what users wrote as a `serde_json::Value`. Each `{"":1},` of theirs is
/// a node of a B-tree there, a hundred times its length.
fn structure(json: &str) -> usize {
    let of = |byte| match byte {
        // A node with room for eleven members.
        b'{' => 640,
        // A vector with room for four elements.
        b'[' => 128,
        // One member or element more, where every other place may be free.
        b',' | b':' => 64,
        _ => 0,
    };
    json.bytes().map(of).sum()
}

impl Default for TokenCache {
    /// 8 MiB: some 3,000 tokens; with [claims](crate::Issuer::claims) of your own some 1,000.
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
